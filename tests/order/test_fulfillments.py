"""Fulfillments: picked, packed and handed over, and what the store is to show of that."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.chassis.errors import DomainError
from services.order.rules import fulfillment as rules
from services.order.rules.accounting import StoreUpdate
from services.order.rules.case import Case
from services.order.rules.document import (
    Document,
    FulfillmentKind,
    FulfillmentStatus,
    Line,
    Money,
    PaymentStatus,
)
from services.order.rules.fulfillment import (
    Fulfillment,
    FulfillmentLine,
    FulfillmentState,
    Handling,
)
from services.order.rules.order import Order, OrderKey
from services.order.rules.sale import Sale, SaleKey, SaleOrigin, SaleState
from services.order.rules.shown import store_update
from tests.harness import eventually, metadata, refused
from tests.order.fakes import ECOM
from tests.order.shop import AWAITING, PAID, Shop, document, line, request_id
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import fulfillment_pb2 as fpb
from tillbridge.order.v1 import order_pb2 as pb

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
PICKUP, SHIPPING = FulfillmentKind.PICKUP, FulfillmentKind.SHIPPING
TEN = Money("EUR", 10_000_000_000)
UNPAID = Sale(
    SaleKey("mug-shop", "S"), SaleOrigin.ONLINE, SaleState.OPEN, (), (), TEN, NOW
)  # nothing of its lines matters here


def to_hand_over(*lines: FulfillmentLine, kind: FulfillmentKind = SHIPPING) -> Fulfillment:
    return Fulfillment("mug-shop", "F", "web", "A", "S", "main", kind, lines, NOW)


def some(**done: Any) -> FulfillmentLine:
    return replace(FulfillmentLine("1", "mug-1", 3000), **done)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([some()], FulfillmentState.NEW),
        ([some(picked=1000)], FulfillmentState.PICKED),
        ([some(picked=3000, packed=2000)], FulfillmentState.PICKED),
        ([some(picked=3000, packed=3000)], FulfillmentState.PACKED),
        ([some(picked=3000, packed=3000, fulfilled=1000)], FulfillmentState.PACKED),
        ([some(picked=3000, packed=3000, fulfilled=3000)], FulfillmentState.FULFILLED),
        ([some(canceled=3000)], FulfillmentState.CANCELED),
        (
            [some(picked=1000, packed=1000, fulfilled=1000, canceled=2000)],
            FulfillmentState.FULFILLED,
        ),
        ([some(canceled=3000), some(picked=1000)], FulfillmentState.PICKED),
    ],
)
def test_how_far_a_fulfillment_has_got_follows_from_its_lines(
    lines: list[FulfillmentLine], expected: FulfillmentState
) -> None:
    assert expected is to_hand_over(*lines).state


@pytest.mark.parametrize(
    ("does", "before", "handling", "expected"),
    [
        (rules.pick, some(), Handling(), some(picked=3000)),
        (rules.pick, some(), Handling(1, (("1", 1000),)), some(picked=1000)),
        (rules.pick, some(), Handling(2), "VERSION_CONFLICT"),
        (rules.pick, some(), Handling(steps=(("1", 3001),)), "QUANTITY_EXCEEDS_ORDERED"),
        (
            rules.pick,
            some(canceled=1000),
            Handling(steps=(("1", 2001),)),
            "QUANTITY_EXCEEDS_ORDERED",
        ),
        (rules.pick, some(), Handling(steps=(("9", 1),)), "INVALID_FIELD"),
        (rules.pick, some(), Handling(steps=(("1", 1), ("1", 1))), "INVALID_FIELD"),
        (rules.pick, some(canceled=3000), Handling(), "FULFILLMENT_ENDED"),
        (rules.pick, some(picked=3000), Handling(), some(picked=3000)),
        (rules.pack, some(), Handling(steps=(("1", 2000),)), some(picked=2000, packed=2000)),
        (rules.pack, some(picked=3000), Handling(), some(picked=3000, packed=3000)),
    ],
)
def test_what_is_picked_and_packed(
    does: Any, before: FulfillmentLine, handling: Handling, expected: FulfillmentLine | str
) -> None:
    found = to_hand_over(before)
    if isinstance(expected, str):
        with pytest.raises(DomainError) as refusal:
            does(found, handling, NOW)
        assert expected == refusal.value.reason
        return
    after = does(found, handling, NOW)
    assert (expected,) == after.lines
    assert (1 if expected == before else 2) == after.version


@pytest.mark.parametrize(
    ("kind", "paid", "expected"),
    [
        (SHIPPING, False, some(picked=3000, packed=3000, fulfilled=3000)),
        (FulfillmentKind.DELIVERY, False, some(picked=3000, packed=3000, fulfilled=3000)),
        (PICKUP, True, some(picked=3000, packed=3000, fulfilled=3000)),
        (PICKUP, False, "SALE_UNPAID"),
    ],
)
def test_a_pickup_is_paid_before_it_is_handed_over(
    kind: FulfillmentKind, paid: bool, expected: FulfillmentLine | str
) -> None:
    found = to_hand_over(some(), kind=kind)
    sale = replace(UNPAID, total=Money("EUR", 0)) if paid else UNPAID
    if isinstance(expected, str):
        with pytest.raises(DomainError) as refusal:
            rules.complete(found, Handling(), sale, NOW)
        assert expected == refusal.value.reason
    else:
        assert (expected,) == rules.complete(found, Handling(), sale, NOW).lines


S = FulfillmentStatus
NEW, PICKED = some(), some(picked=1000)
PACKED = some(picked=3000, packed=3000)
DONE = some(picked=3000, packed=3000, fulfilled=3000)
GONE = some(canceled=3000)


@pytest.mark.parametrize(
    ("kind", "lines", "shown", "expected"),
    [
        (SHIPPING, [NEW], S.UNSPECIFIED, None),
        (SHIPPING, [NEW], S.AWAITING_PROCESSING, None),
        (SHIPPING, [NEW], S.SHIPPED, None),
        (SHIPPING, [PICKED], S.AWAITING_PROCESSING, S.PROCESSING),
        (SHIPPING, [PACKED], S.AWAITING_PROCESSING, S.PROCESSING),
        (PICKUP, [PACKED], S.PROCESSING, S.READY_FOR_PICKUP),
        (PICKUP, [PACKED, NEW], S.AWAITING_PROCESSING, S.PROCESSING),
        (PICKUP, [PACKED, DONE], S.PROCESSING, S.READY_FOR_PICKUP),
        (SHIPPING, [DONE], S.PROCESSING, S.SHIPPED),
        (SHIPPING, [DONE], S.DELIVERED, None),
        (SHIPPING, [DONE, NEW], S.AWAITING_PROCESSING, S.PROCESSING),
        (FulfillmentKind.DELIVERY, [DONE], S.PROCESSING, S.SHIPPED),
        (PICKUP, [DONE, GONE], S.READY_FOR_PICKUP, S.DELIVERED),
        (PICKUP, [GONE], S.AWAITING_PROCESSING, S.WILL_NOT_DELIVER),
        (SHIPPING, [DONE], S.OTHER, S.SHIPPED),
    ],
)
def test_what_the_store_is_to_show(
    kind: FulfillmentKind, lines: list[FulfillmentLine], shown: S, expected: S | None
) -> None:
    ordered = Document(
        "A",
        1,
        PaymentStatus.PAID,
        (Line("1", "", "MUG", "Mug", 3000),),
        TEN,
        fulfillment_status=shown,
    )
    order = Order(OrderKey("mug-shop", "web", "A"), NOW, NOW, ordered)
    found = tuple(to_hand_over(one, kind=kind) for one in lines)
    wanted = StoreUpdate(fulfillment_status=expected) if expected else None
    assert wanted == store_update(Case(order, UNPAID, found))


def test_tracking_numbers_are_shown_together_until_the_store_shows_them() -> None:
    ordered = Document("A", 1, PaymentStatus.PAID, (), TEN, fulfillment_status=S.SHIPPED)
    order = Order(OrderKey("mug-shop", "web", "A"), NOW, NOW, ordered)
    found = tuple(
        replace(to_hand_over(DONE), tracking_number=one) for one in ("T1", "", "T2", "T1")
    )
    assert StoreUpdate(tracking_number="T1, T2") == store_update(Case(order, UNPAID, found))
    shows = replace(order, document=replace(ordered, tracking_number="T1, T2"))
    assert store_update(Case(shows, UNPAID, found)) is None


def handle(kind: Any, fulfillment_id: str, **changes: Any) -> Any:
    return kind(request_id=request_id(), fulfillment_id=fulfillment_id, **changes)


def step(quantity: str, line_id: str = "1") -> fpb.FulfillmentStep:
    return fpb.FulfillmentStep(line_id=line_id, quantity=quantity)


@pytest.mark.rule("ORD-01")
async def test_a_split_order_is_handed_over_outlet_by_outlet_and_then_its_sale_is_complete(
    shop: Shop,
) -> None:
    shop.stock()
    mugs = document(
        "A", 1, PAID, lines=[line("MUG", "7")], fulfillment_kind=pb.FULFILLMENT_KIND_SHIPPING
    )
    await shop.ingest(mugs)
    sale = await shop.posted("A")
    by_outlet = {one.outlet_id: one for one in await shop.fulfillments("A")}
    main, harbour = by_outlet["main"], by_outlet["harbour"]
    request = handle(fpb.PickFulfillmentRequest, main.fulfillment_id, version=1, lines=[step("2")])
    picked = (await shop.handing.PickFulfillment(request, metadata=metadata())).fulfillment
    assert (picked.state, picked.version) == (fpb.FULFILLMENT_STATE_PICKED, 2)
    async with refused("VERSION_CONFLICT"):
        again = handle(fpb.PickFulfillmentRequest, main.fulfillment_id, version=1)
        await shop.handing.PickFulfillment(again, metadata=metadata())
    request = handle(fpb.PackFulfillmentRequest, main.fulfillment_id, tracking_number=" T1 ")
    packed = (await shop.handing.PackFulfillment(request, metadata=metadata())).fulfillment
    assert (packed.state, packed.lines[0].packed) == (fpb.FULFILLMENT_STATE_PACKED, "5")
    update = (await shop.order("A")).store_update
    assert update.fulfillment_status == pb.FULFILLMENT_STATUS_PROCESSING
    assert update.tracking_number == "T1"
    request = handle(fpb.CompleteFulfillmentRequest, main.fulfillment_id)
    await shop.handing.CompleteFulfillment(request, metadata=metadata())
    assert (await shop.sale(sale.sale_id)).state == pb.SALE_STATE_OPEN
    [account] = (await shop.order("A")).line_accounts
    assert (account.ordered, account.fulfilled) == ("7", "5")
    request = handle(
        fpb.CompleteFulfillmentRequest, harbour.fulfillment_id, tracking_number="T2", carrier="Post"
    )
    done = (await shop.handing.CompleteFulfillment(request, metadata=metadata())).fulfillment
    assert (done.state, done.carrier) == (fpb.FULFILLMENT_STATE_FULFILLED, "Post")
    assert (await shop.sale(sale.sale_id)).state == pb.SALE_STATE_COMPLETED
    update = (await shop.order("A")).store_update
    assert update.fulfillment_status == pb.FULFILLMENT_STATUS_SHIPPED
    assert set(update.tracking_number.split(", ")) == {"T1", "T2"}
    told = [one.version for _, one in await shop.events(events_pb2.FulfillmentChanged)]
    assert sorted(told) == [1, 1, 2, 2, 3, 4]


async def test_what_the_store_shows_already_is_not_told_again(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, PAID))
    await shop.posted("A")
    [found] = await shop.fulfillments("A")
    request = handle(fpb.CompleteFulfillmentRequest, found.fulfillment_id)
    await shop.handing.CompleteFulfillment(request, metadata=metadata())
    wanted = (await shop.order("A")).store_update.fulfillment_status
    assert wanted == pb.FULFILLMENT_STATUS_DELIVERED
    await shop.ingest(document("A", 2, PAID, fulfillment_status=wanted))

    async def shown() -> bool:
        return not (await shop.order("A")).HasField("store_update")

    await eventually(shown)


async def test_an_unpaid_pickup_is_handed_over_once_it_is_paid(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    sale = await shop.posted("A")
    [found] = await shop.fulfillments("A")
    request = handle(fpb.CompleteFulfillmentRequest, found.fulfillment_id)
    async with refused("SALE_UNPAID"):
        await shop.handing.CompleteFulfillment(request, metadata=metadata())
    assert [found] == await shop.fulfillments("A")
    await shop.ingest(document("A", 2, PAID))

    async def paid() -> bool:
        return (await shop.sale(sale.sale_id)).paid

    await eventually(paid)
    done = (await shop.handing.CompleteFulfillment(request, metadata=metadata())).fulfillment
    assert done.state == fpb.FULFILLMENT_STATE_FULFILLED
    async with refused("FULFILLMENT_ENDED"):
        again = handle(fpb.CompleteFulfillmentRequest, found.fulfillment_id)
        await shop.handing.CompleteFulfillment(again, metadata=metadata())


async def test_lists_of_fulfillments_are_filtered(shop: Shop) -> None:
    shop.stock()
    shop.stock("other")
    shop.world.add_channel("ecom", fulfillment=ECOM)
    for order_id, channel_id in (("A", "web"), ("B", "other"), ("C", "ecom")):
        await shop.ingest(document(order_id, 1, PAID), channel_id)
        await eventually(lambda o=order_id, c=channel_id: _posted(shop, o, c))
    [other] = (
        await shop.handing.ListFulfillments(
            fpb.ListFulfillmentsRequest(channel_id="other"), metadata=metadata()
        )
    ).fulfillments
    assert other.order_id == "B"
    request = handle(fpb.CompleteFulfillmentRequest, other.fulfillment_id)
    await shop.handing.CompleteFulfillment(request, metadata=metadata())
    new = fpb.ListFulfillmentsRequest(state=fpb.FULFILLMENT_STATE_NEW)
    found = await shop.handing.ListFulfillments(new, metadata=metadata())
    assert [one.order_id for one in found.fulfillments] == ["A"]
    async with refused("FULFILLMENT_NOT_FOUND"):
        unknown = handle(fpb.PickFulfillmentRequest, "nothing")
        await shop.handing.PickFulfillment(unknown, metadata=metadata())


async def _posted(shop: Shop, order_id: str, channel_id: str) -> bool:
    return (await shop.order(order_id, channel_id)).state == pb.ORDER_STATE_POSTED
