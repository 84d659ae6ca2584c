"""Drift of orders: what stores have otherwise is kept, with both values and a cause, and healed."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.harness import eventually, metadata, refused
from tests.order.shop import AWAITING, CANCELED, CHANNEL, PAID, Shop, document, request_id
from tillbridge.order.v1 import drift_pb2 as pb
from tillbridge.order.v1 import events_pb2, fulfillment_pb2, order_pb2

SHIPPED = order_pb2.FULFILLMENT_STATUS_SHIPPED
PROCESSING = order_pb2.FULFILLMENT_STATUS_PROCESSING
SHIPPING = order_pb2.FULFILLMENT_KIND_SHIPPING
OPEN, HEALED = pb.ORDER_DRIFT_STATE_OPEN, pb.ORDER_DRIFT_STATE_HEALED

Told = tuple[str, str, str, str, str, str]
"""Order, field, own value, store's value, cause, remedy."""


async def see(shop: Shop, order_id: str, **seen: Any) -> None:
    """Somebody looks at an order in the store."""
    request = order_pb2.ReportOrderChangeRequest(
        request_id=request_id(),
        channel_id=CHANNEL,
        order_id=order_id,
        seen=order_pb2.StoreOrder(**seen),
    )
    await shop.orders.ReportOrderChange(request, metadata=metadata())


async def drift_of(shop: Shop, **filters: Any) -> list[pb.OrderDrift]:
    request = pb.ListOrderDriftRequest(channel_id=CHANNEL, **filters)
    return list((await shop.orders.ListOrderDrift(request, metadata=metadata())).drift)


def said(found: Any) -> list[Told]:
    return [
        (
            one.order_id,
            pb.OrderDriftField.Name(one.field).removeprefix("ORDER_DRIFT_FIELD_"),
            one.own_value,
            one.store_value,
            pb.OrderDriftCause.Name(one.cause).removeprefix("ORDER_DRIFT_CAUSE_"),
            pb.OrderDriftRemedy.Name(one.remedy).removeprefix("ORDER_DRIFT_REMEDY_"),
        )
        for one in found
    ]


async def heal(
    shop: Shop, *order_ids: str, validate_only: bool = False
) -> pb.HealOrderDriftResponse:
    request = pb.HealOrderDriftRequest(
        request_id=request_id(),
        channel_id=CHANNEL,
        order_ids=order_ids,
        validate_only=validate_only,
    )
    return await shop.orders.HealOrderDrift(request, metadata=metadata())


async def asked_for(shop: Shop) -> list[str]:
    """The orders whose documents the gateway was asked to fetch."""
    told = await shop.events(events_pb2.OrderChangeReported)
    return [message.order_id for _, message in told]


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-12")
async def test_an_order_that_nobody_told_of_is_drift_until_it_is_fetched(shop: Shop) -> None:
    shop.stock()
    await see(shop, "A", version=7, payment_status=PAID)
    assert said(await drift_of(shop)) == [("A", "ORDER", "", "PAID", "LOST_EVENT", "FETCH")]
    assert await asked_for(shop) == ["A"]
    assert (await shop.order("A")).state == order_pb2.ORDER_STATE_REPORTED
    await see(shop, "A", version=7, payment_status=PAID)  # by somebody else, just after
    assert len(await drift_of(shop, state=OPEN)) == 1
    await shop.ingest(document("A", 7, PAID))
    [healed] = await drift_of(shop, state=HEALED)
    assert (healed.times, await drift_of(shop, state=OPEN)) == (1, [])
    assert healed.heal_time.ToDatetime() >= healed.observe_time.ToDatetime()


@pytest.mark.rule("BEY-07")
async def test_news_that_is_less_than_a_minute_old_may_be_on_its_way(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    now = Timestamp()
    now.GetCurrentTime()
    await see(shop, "A", version=2, payment_status=PAID, change_time=now)
    told = [("A", "PAYMENT_STATUS", "AWAITING", "PAID", "IN_FLIGHT", "FETCH")]
    assert said(await drift_of(shop)) == told
    now.seconds -= 61
    await see(shop, "A", version=2, payment_status=PAID, change_time=now)
    [found] = await drift_of(shop)
    assert found.cause == pb.ORDER_DRIFT_CAUSE_LOST_EVENT
    assert (found.times, found.state) == (1, OPEN)
    assert found.last_observe_time.ToDatetime() > found.observe_time.ToDatetime()


@pytest.mark.rule("BEY-07")
async def test_drift_that_comes_again_is_counted(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    for version in (2, 3):
        await see(shop, "A", version=version, payment_status=AWAITING)
        await shop.ingest(document("A", version, AWAITING))
    [found] = await drift_of(shop)
    assert said([found]) == [("A", "VERSION", "2", "3", "LOST_EVENT", "FETCH")]
    assert (found.times, found.state) == (2, HEALED)


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-11")
async def test_a_document_that_says_nothing_new_heals_too(shop: Shop) -> None:
    """A store's list may have been behind the order itself."""
    shop.stock()
    await shop.ingest(document("A", 1, PAID))
    await see(shop, "A", version=1, payment_status=AWAITING)
    assert len(await drift_of(shop, state=OPEN)) == 1
    assert not (await shop.ingest(document("A", 1, PAID))).changed
    assert not await drift_of(shop, state=OPEN)


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-11")
async def test_a_document_that_does_not_hold_heals_nothing(shop: Shop) -> None:
    """Of two documents of one second the one that is further holds, though the store has the other:
    that stays visible.
    """
    shop.stock()
    await shop.ingest(document("A", 1, PAID))
    await see(shop, "A", version=1, payment_status=AWAITING)
    assert not (await shop.ingest(document("A", 1, AWAITING))).changed
    told = [("A", "PAYMENT_STATUS", "PAID", "AWAITING", "LOST_EVENT", "FETCH")]
    assert said(await drift_of(shop, state=OPEN)) == told


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    "seen",
    [
        {"version": 1, "payment_status": AWAITING},
        {"version": 1, "payment_status": AWAITING, "fulfillment_status": 0},
        {"version": 0, "payment_status": PAID},
    ],
    ids=["the same", "the same, and no more to be seen", "older"],
)
async def test_what_does_not_differ_is_no_news(shop: Shop, seen: dict[str, Any]) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    await see(shop, "A", **seen)
    assert (await drift_of(shop), await asked_for(shop)) == ([], [])


@pytest.mark.rule("BEY-07")
async def test_drift_ends_when_it_is_seen_to_be_gone(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    await see(shop, "A", version=2, payment_status=AWAITING)
    await see(shop, "A", version=1, payment_status=AWAITING)
    assert not await drift_of(shop, state=OPEN)


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-13")
async def test_an_order_deleted_in_its_store_stays_until_somebody_has_it_canceled(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(document("A"))
    await shop.settled("A")
    before = shop.world.available("mug-1")
    await see(shop, "A", gone=True)
    told = [("A", "ORDER", "POSTED", "", "DELETED_IN_STORE", "CANCEL")]
    assert said(await drift_of(shop)) == told
    assert await asked_for(shop) == []
    assert not (await heal(shop)).drift  # only what is named is canceled
    plan = await heal(shop, "A", validate_only=True)
    assert (said(plan.drift), plan.order_count) == (told, 1)
    assert (await shop.order("A")).state == order_pb2.ORDER_STATE_POSTED
    done = await heal(shop, "A")
    assert said(done.drift) == told

    async def back() -> None:
        assert shop.world.available("mug-1") == before + 1

    await eventually(back)
    order = await shop.order("A")
    assert (order.state, order.cancel_reason) == (
        order_pb2.ORDER_STATE_CANCELED,
        "deleted in the store",
    )
    assert not await drift_of(shop, state=OPEN)
    await see(shop, "A", gone=True)  # as it is here
    assert not await drift_of(shop, state=OPEN)


@pytest.mark.rule("BEY-07")
async def test_an_order_that_was_handed_over_is_kept_though_its_store_has_it_no_more(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(document("A", payment_status=PAID))
    await complete(shop, "A")
    assert (await shop.order("A")).HasField("store_update")
    await see(shop, "A", gone=True)
    told = [("A", "ORDER", "POSTED", "", "DELETED_IN_STORE", "KEEP")]
    assert said((await heal(shop, "A")).drift) == told
    kept = await shop.order("A")
    assert kept.state == order_pb2.ORDER_STATE_POSTED
    assert not kept.HasField("store_update")  # there is nothing to show it on
    assert not await drift_of(shop, state=OPEN)
    await see(shop, "A", gone=True)  # by the sweep of each night
    assert not await drift_of(shop, state=OPEN)
    await shop.ingest(document("A", payment_status=PAID))  # it is back, as it was

    async def wanted() -> None:
        assert (await shop.order("A")).HasField("store_update")

    await eventually(wanted)


@pytest.mark.rule("BEY-07")
async def test_a_hint_of_an_order_that_the_store_does_not_have_can_be_put_away(shop: Shop) -> None:
    shop.stock()
    await hint(shop, "A")
    await see(shop, "A", gone=True)
    told = [("A", "ORDER", "REPORTED", "", "DELETED_IN_STORE", "CANCEL")]
    assert said(await drift_of(shop)) == told
    await heal(shop, "A")
    assert (await shop.order("A")).state == order_pb2.ORDER_STATE_CANCELED
    assert not await drift_of(shop, state=OPEN)


@pytest.mark.rule("BEY-07")
async def test_an_order_that_was_told_of_just_now_is_being_fetched(shop: Shop) -> None:
    shop.stock()
    await hint(shop, "A")
    await see(shop, "A", version=1, payment_status=PAID)
    assert await drift_of(shop) == []
    assert await asked_for(shop) == ["A"]  # as it was told


async def hint(shop: Shop, order_id: str) -> None:
    """The store tells that something of an order has changed."""
    request = order_pb2.ReportOrderChangeRequest(
        request_id=request_id(), channel_id=CHANNEL, order_id=order_id
    )
    await shop.orders.ReportOrderChange(request, metadata=metadata())


@pytest.mark.rule("BEY-07")
async def test_what_is_gone_and_was_never_known_is_nothing(shop: Shop) -> None:
    shop.stock()
    await see(shop, "A", gone=True)
    assert await drift_of(shop) == []
    async with refused("ORDER_NOT_FOUND"):
        await shop.order("A")
    async with refused("ORDER_NOT_FOUND"):
        await heal(shop, "A")


@pytest.mark.rule("BEY-07")
async def test_an_order_that_is_back_in_its_store_is_healed(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1))
    await see(shop, "A", gone=True)
    await see(shop, "A", version=1, payment_status=AWAITING)
    assert not await drift_of(shop, state=OPEN)


async def complete(shop: Shop, order_id: str) -> None:
    """Hands over all of an order."""
    await shop.settled(order_id)
    [found] = await shop.fulfillments(order_id)
    request = fulfillment_pb2.CompleteFulfillmentRequest(
        request_id=request_id(), fulfillment_id=found.fulfillment_id
    )
    await shop.handing.CompleteFulfillment(request, metadata=metadata())


@pytest.mark.rule("BEY-07")
async def test_a_status_that_somebody_changes_in_the_store_is_drift_until_it_is_shown_again(
    shop: Shop,
) -> None:
    shop.stock()
    paid: dict[str, Any] = {"payment_status": PAID, "fulfillment_kind": SHIPPING}
    await shop.ingest(document("A", 1, **paid))
    await complete(shop, "A")
    assert await drift_of(shop) == []  # the gateway has yet to write it: no drift
    await shop.ingest(document("A", 2, fulfillment_status=SHIPPED, **paid))
    await agreed(shop, "A")
    assert await drift_of(shop) == []
    await shop.ingest(document("A", 3, fulfillment_status=PROCESSING, **paid))
    told = [("A", "FULFILLMENT_STATUS", "SHIPPED", "PROCESSING", "MANUAL_EDIT", "SHOW")]

    async def seen() -> None:
        assert said(await drift_of(shop, state=OPEN)) == told

    await eventually(seen)
    before = len(await shop.events(events_pb2.OrderChanged))
    assert said((await heal(shop, validate_only=True)).drift) == told
    assert len(await shop.events(events_pb2.OrderChanged)) == before
    await heal(shop)  # the gateway is told to write it
    assert len(await shop.events(events_pb2.OrderChanged)) == before + 1
    await shop.ingest(document("A", 4, fulfillment_status=SHIPPED, **paid))

    async def healed() -> None:
        assert said(await drift_of(shop, state=HEALED)) == told

    await eventually(healed)


async def agreed(shop: Shop, order_id: str) -> None:
    """Waits until the store shows all that it should."""

    async def shown() -> None:
        assert not (await shop.order(order_id)).HasField("store_update")

    await eventually(shown)


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-13")
async def test_a_sale_that_is_voided_in_the_point_of_sale_is_drift_until_its_order_is_canceled(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(document("A"))
    order = await shop.settled("A")
    before = shop.world.available("mug-1")
    await echo(shop, order.sale_id, order_pb2.SALE_STATE_VOIDED)
    told = [
        ("A", "SALE_STATE", "OPEN", "VOIDED", "VOIDED_IN_POINT_OF_SALE", "CANCEL"),
    ]
    assert said(await drift_of(shop)) == told
    await shop.ingest(document("A", 2, PAID))  # what the store says has nothing to do with it
    assert said(await drift_of(shop, state=OPEN)) == told
    assert not (await heal(shop)).drift
    assert said((await heal(shop, "A", validate_only=True)).drift) == told
    await heal(shop, "A")

    async def back() -> None:
        assert shop.world.available("mug-1") == before + 1

    await eventually(back)
    assert (await shop.order("A")).cancel_reason == "voided in the point of sale"
    assert not await drift_of(shop, state=OPEN)


@pytest.mark.rule("BEY-07")
async def test_a_sale_that_stands_in_the_point_of_sale_is_no_drift(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A"))
    order = await shop.settled("A")
    await echo(shop, order.sale_id, order_pb2.SALE_STATE_OPEN)
    assert await drift_of(shop) == []
    await echo(shop, order.sale_id, order_pb2.SALE_STATE_VOIDED)
    await echo(shop, order.sale_id, order_pb2.SALE_STATE_COMPLETED)
    [found] = await drift_of(shop)
    assert found.state == HEALED


async def echo(shop: Shop, sale_id: str, state: "order_pb2.SaleState.ValueType") -> None:
    """The point of sale tells of a sale that was posted there from here."""
    sale = await shop.sale(sale_id)
    sale.state = state
    request = order_pb2.RecordSaleRequest(request_id=request_id(), sale=sale, mirrored=True)
    assert not (await shop.orders.RecordSale(request, metadata=metadata())).created


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("BEY-11")
async def test_lists_have_pages_and_filters_and_one_merchant(shop: Shop) -> None:
    shop.stock()
    for name in ("A", "B", "C"):
        await shop.ingest(document(name, 1, AWAITING))
        await see(shop, name, version=2, payment_status=CANCELED, fulfillment_status=SHIPPED)
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListOrderDriftRequest(channel_id=CHANNEL, page_size=4, page_token=token)
        page = await shop.orders.ListOrderDrift(request, metadata=metadata())
        found += [one.order_id for one in page.drift]
        token = page.next_page_token
        if not token:
            break
    assert found == ["A", "A", "B", "B", "C", "C"]
    assert {one.order_id for one in await drift_of(shop, order_id="B")} == {"B"}
    request = pb.ListOrderDriftRequest(channel_id=CHANNEL)
    other = await shop.orders.ListOrderDrift(request, metadata=metadata("another"))
    assert not other.drift
    async with refused("INVALID_PAGE_TOKEN"):
        await drift_of(shop, page_token="none")
    assert (await heal(shop)).order_count == 3
    assert sorted(await asked_for(shop)) == ["A", "A", "B", "B", "C", "C"]


@pytest.mark.rule("BEY-07")
async def test_a_time_that_is_none_is_refused(shop: Shop) -> None:
    shop.stock()
    async with refused("INVALID_FIELD"):
        await see(shop, "A", version=1, change_time=Timestamp(seconds=-(10**12)))
    async with refused("ORDER_NOT_FOUND"):
        await shop.order("A")
