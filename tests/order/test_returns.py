"""Taking orders back: canceled, refunded, returned; before and after they are handed over."""

import asyncio
from typing import Any

import pytest

from tests.harness import eventually, metadata, refused
from tests.order.fakes import ECOM, ON_PAYMENT, ON_PLACEMENT, Fault
from tests.order.shop import (
    AWAITING,
    CANCELED,
    CHANNEL,
    PAID,
    REFUNDED,
    Shop,
    document,
    eur,
    line,
    request_id,
)
from tillbridge.order.v1 import fulfillment_pb2 as fpb
from tillbridge.order.v1 import order_pb2 as pb

POSTED, GONE = pb.ORDER_STATE_POSTED, pb.ORDER_STATE_CANCELED
PARTIALLY = pb.PAYMENT_STATUS_PARTIALLY_REFUNDED


def mugs(order_id: str, count: int, status: Any = PAID, version: int = 1, **more: Any) -> Any:
    """An order of mugs at 10 each."""
    return document(
        order_id,
        version,
        status,
        lines=[line("MUG", str(count))],
        total=eur(10 * count),
        **more,
    )


def account(order: pb.Order) -> tuple[str, ...]:
    """Ordered, canceled, fulfilled, returned, restocked."""
    [one] = order.line_accounts
    return one.ordered, one.canceled, one.fulfilled, one.returned, one.restocked


async def hand_over(shop: Shop, order_id: str, quantity: str = "") -> None:
    """Hands over what an order's only fulfillment has, or so many of it."""
    [found] = await shop.fulfillments(order_id)
    steps = [fpb.FulfillmentStep(line_id="1", quantity=quantity)] if quantity else []
    request = fpb.CompleteFulfillmentRequest(
        request_id=request_id(), fulfillment_id=found.fulfillment_id, lines=steps
    )
    await shop.handing.CompleteFulfillment(request, metadata=metadata())


@pytest.mark.rule("ORD-13")
async def test_an_unpaid_order_canceled_after_posting_is_void_and_its_stock_is_back(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 7, AWAITING))
    order = await shop.settled("A")
    await shop.stands(0)
    await shop.ingest(mugs("A", 7, CANCELED, 2))
    order = await shop.becomes("A", GONE)
    sale = await shop.sale(order.sale_id)
    assert (sale.state, len(sale.payments)) == (pb.SALE_STATE_VOIDED, 0)
    assert account(order) == ("7", "7", "0", "0", "0")
    assert not order.return_sale_ids
    states = {one.state for one in await shop.fulfillments("A")}
    assert states == {fpb.FULFILLMENT_STATE_CANCELED}
    await shop.stands(5)
    await shop.stands(3, outlet_id="harbour")
    shown = order.store_update
    assert shown.fulfillment_status == pb.FULFILLMENT_STATUS_WILL_NOT_DELIVER
    assert not shown.payment_status


@pytest.mark.rule("ORD-13")
async def test_a_paid_order_canceled_after_posting_is_returned_without_money(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 2))
    await shop.settled("A")
    await shop.ingest(mugs("A", 2, CANCELED, 2))
    order = await shop.becomes("A", GONE)
    [return_id] = order.return_sale_ids
    sale, back = await shop.sale(order.sale_id), await shop.sale(return_id)
    assert (sale.state, sale.paid) == (pb.SALE_STATE_COMPLETED, True)
    assert (back.return_for, back.refund_id, len(back.payments)) == (sale.sale_id, "cancel", 0)
    assert [(one.item_id, one.quantity) for one in back.lines] == [("mug-1", "-2")]
    assert [(one.kind, one.amount) for one in back.charges] == [(pb.CHARGE_KIND_REFUND, eur(20))]
    assert back.total == eur(0)
    assert (order.paid, order.HasField("refunded")) == (eur(20), False)
    await shop.stands(5)


@pytest.mark.rule("ORD-13")
async def test_cancel_order_takes_back_what_was_not_handed_over(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 3))
    await shop.settled("A")
    await hand_over(shop, "A", "1")
    order = await shop.cancel("A", "too late")
    assert order.cancel_reason == "too late"

    async def booked() -> bool:
        assert account(await shop.order("A")) == ("3", "2", "1", "0", "0")
        return True

    await eventually(booked)
    order = await shop.becomes("A", POSTED)
    assert order.store_update.payment_status == CANCELED
    assert (await shop.sale(order.sale_id)).state == pb.SALE_STATE_COMPLETED
    await shop.stands(4)
    assert (await shop.cancel("A")).cancel_reason == "too late"
    assert len((await shop.order("A")).return_sale_ids) == 1
    await shop.ingest(mugs("A", 3, CANCELED, 2))

    async def shown() -> bool:
        return not (await shop.order("A")).store_update.payment_status

    await eventually(shown)


@pytest.mark.rule("ORD-13")
async def test_what_was_handed_over_cannot_be_canceled(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 1))
    await shop.settled("A")
    await hand_over(shop, "A")
    async with refused("NOTHING_TO_CANCEL"):
        await shop.cancel("A")
    async with refused("ORDER_NOT_FOUND"):
        await shop.cancel("B")
    await shop.ingest(mugs("A", 1, CANCELED, 2))
    await shop.becomes("A", POSTED, "CANCELED_AFTER_POSTING")
    await shop.refund("A", lines=[pb.RefundLine(line_id="1", quantity="1")])
    order = await shop.becomes("A", POSTED)
    assert account(order) == ("1", "0", "1", "1", "1")
    assert order.store_update.fulfillment_status == pb.FULFILLMENT_STATUS_RETURNED


@pytest.mark.rule("ORD-13")
@pytest.mark.parametrize("status", [AWAITING, PAID])
async def test_cancel_order_before_posting_gives_the_stock_free(shop: Shop, status: Any) -> None:
    shop.stock(post_sales=False)
    await shop.ingest(mugs("A", 2, status))
    await shop.becomes("A", pb.ORDER_STATE_HELD)
    await shop.cancel("A")
    order = await shop.becomes("A", GONE)
    assert (shop.world.available("mug-1"), order.sale_id) == (8, "")
    assert order.store_update.payment_status == CANCELED


@pytest.mark.rule("ORD-13")
async def test_an_order_whose_document_is_still_missing_is_canceled_when_it_comes(
    shop: Shop,
) -> None:
    shop.stock()
    hint = pb.ReportOrderChangeRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.ReportOrderChange(hint, metadata=metadata())
    await shop.cancel("A")
    await shop.ingest(mugs("A", 1))
    await shop.becomes("A", GONE)
    assert not shop.world.asked("ReserveStock") + shop.world.asked("TakeStock")


@pytest.mark.rule("ORD-13")
@pytest.mark.parametrize("method", ["ReserveStock", "CommitReservation", "TakeStock"])
@pytest.mark.parametrize("after_effect", [False, True])
async def test_cancel_while_a_step_is_under_way_is_applied_after_it(
    shop: Shop, method: str, *, after_effect: bool
) -> None:
    shop.stock(posting=ON_PLACEMENT if method == "TakeStock" else ON_PAYMENT)
    shop.world.fail(method, 4, Fault(after_effect=after_effect))
    await shop.ingest(mugs("A", 2, AWAITING))
    if method == "CommitReservation":
        await shop.becomes("A", pb.ORDER_STATE_HELD)
        await shop.ingest(mugs("A", 2, PAID, 2))

    async def tried() -> bool:
        return bool(shop.world.asked(method))

    await eventually(tried)
    await shop.cancel("A")
    await shop.becomes("A", GONE)

    async def all_back() -> bool:
        assert shop.world.available("mug-1") == 8
        assert sum(shop.world.on_hand.values()) == 8
        return True

    await eventually(all_back)


@pytest.mark.rule("ORD-13")
async def test_a_sale_that_is_void_before_it_gets_outside_just_frees_its_stock(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(mugs("A", 2, AWAITING))
    sale = await shop.posted("A")
    await shop.cancel("A")
    await shop.becomes("A", GONE)
    assert shop.world.available("mug-1") == 6
    sale = await shop.sale(sale.sale_id)
    assert (sale.state, sale.revision, sale.stock_pending) == (pb.SALE_STATE_VOIDED, 2, False)
    await _report(shop, sale, 2, 7)

    async def free() -> bool:
        return shop.world.available("mug-1") == 8

    await eventually(free)
    assert not shop.world.asked("AdjustStock")
    assert not shop.world.asked("CommitReservation")


@pytest.mark.rule("ORD-13")
async def test_a_sale_that_got_outside_before_it_was_void_keeps_its_hold_until_the_levels_say_so(
    shop: Shop,
) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(mugs("A", 2, AWAITING))
    sale = await shop.posted("A")
    await shop.cancel("A")
    await shop.becomes("A", GONE)
    await _report(shop, sale, 1, 7)
    await _report(shop, sale, 2, 8)

    async def committed() -> bool:
        return bool(shop.world.asked("CommitReservation"))

    await eventually(committed)
    assert list(shop.world.pos_versions.values()) == [7]
    assert not shop.world.asked("ReleaseReservation") + shop.world.asked("AdjustStock")


async def _report(shop: Shop, sale: pb.Sale, revision: int, version: int) -> None:
    request = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sale.sale_id, revision=revision, pos_version=version
    )
    found = ["service"]
    await shop.orders.ReportSalePosted(request, metadata=metadata(roles=found))


@pytest.mark.rule("ORD-12")
async def test_an_order_restored_after_it_was_taken_back_waits_for_an_operator(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 1, AWAITING))
    await shop.settled("A")
    await shop.ingest(mugs("A", 1, CANCELED, 2))
    await shop.becomes("A", GONE)
    await shop.ingest(mugs("A", 1, PAID, 3))
    order = await shop.becomes("A", GONE, "CANCELED_AFTER_POSTING")
    assert "placed again" in order.waiting_message
    await shop.cancel("A")
    order = await shop.becomes("A", GONE)
    assert order.store_update.payment_status == CANCELED


@pytest.mark.rule("ORD-13")
async def test_an_order_restored_while_its_stock_was_given_free_is_held_anew(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT)
    await shop.ingest(mugs("A", 2, AWAITING))
    await shop.becomes("A", pb.ORDER_STATE_HELD)
    shop.world.fail("ReleaseReservation", 3, Fault(after_effect=True))
    await shop.ingest(mugs("A", 2, CANCELED, 2))

    async def asked() -> bool:
        return bool(shop.world.asked("ReleaseReservation"))

    await eventually(asked)
    await shop.ingest(mugs("A", 2, PAID, 3))
    await shop.settled("A")
    assert (len(shop.world.reservations), shop.world.available("mug-1")) == (2, 6)


@pytest.mark.rule("BEY-13")
@pytest.mark.rule("ORD-13")
async def test_a_refund_with_a_return_in_part_goes_back_to_the_outlet_named_once(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 3))
    await shop.settled("A")
    await hand_over(shop, "A")
    asked: Any = {
        "lines": [pb.RefundLine(line_id="1", quantity="2", not_restocked="1")],
        "outlet_id": "harbour",
        "amount": eur(15),
    }
    preview = await shop.refund("A", validate_only=True, **asked)
    assert (preview.created, preview.sale.total) == (True, eur(-15))
    assert not (await shop.order("A")).return_sale_ids
    answers = await asyncio.gather(*(shop.refund("A", **asked) for _ in range(4)))
    assert sorted(answer.created for answer in answers) == [False, False, False, True]
    [sale] = {one.sale.SerializeToString(deterministic=True): one.sale for one in answers}.values()
    assert [(one.method, one.amount) for one in sale.payments] == [("Stripe", eur(-15))]
    assert (sale.outlet_id, sale.total) == ("harbour", eur(-15))
    assert sorted((one.quantity, one.not_restocked) for one in sale.lines) == [
        ("-1", False),
        ("-1", True),
    ]
    assert [one.amount for one in sale.charges] == [eur(5)]
    order = await shop.order("A")
    assert account(order) == ("3", "0", "3", "2", "1")
    assert (order.paid, order.refunded) == (eur(30), eur(15))
    assert order.store_update.payment_status == PARTIALLY
    await shop.stands(4, outlet_id="harbour")
    assert shop.world.on_hand["mug-1", "main"] == 2
    async with refused("REFUND_EXISTS"):
        await shop.refund("A", amount=eur(1))
    async with refused("QUANTITY_EXCEEDS_ORDERED"):
        await shop.refund("A", "R2", lines=[pb.RefundLine(line_id="1", quantity="2")])
    async with refused("REFUND_EXCEEDS_PAID"):
        await shop.refund("A", "R2", amount=eur(16))
    await shop.refund("A", "R2", amount=eur(15), method="Cash")
    assert (await shop.order("A")).store_update.payment_status == REFUNDED


@pytest.mark.rule("BEY-13")
async def test_money_goes_back_the_ways_it_came_as_far_as_each_goes(shop: Shop) -> None:
    shop.stock()
    payments = [
        pb.OrderPayment(method="Gift card", amount=eur(7)),
        pb.OrderPayment(method="Card", processor="Stripe", amount=eur(13)),
    ]
    await shop.ingest(mugs("A", 2, payments=payments))
    await shop.settled("A")
    found = [(await shop.refund("A", f"R{units}", amount=eur(units))).sale for units in (5, 10)]
    ways = [[(one.method, one.amount.units) for one in sale.payments] for sale in found]
    assert ways == [[("Gift card", -5)], [("Gift card", -2), ("Stripe", -8)]]


@pytest.mark.rule("BEY-13")
async def test_what_was_not_handed_over_is_canceled_first(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 3))
    await shop.settled("A")
    await hand_over(shop, "A", "1")
    answer = await shop.refund("A", lines=[pb.RefundLine(line_id="1", quantity="3")])
    assert account(answer.order) == ("3", "2", "1", "1", "1")
    assert (await shop.sale(answer.order.sale_id)).state == pb.SALE_STATE_COMPLETED
    await shop.stands(5)


@pytest.mark.rule("BEY-13")
async def test_where_the_store_fulfills_all_that_is_posted_counts_as_handed_over(
    shop: Shop,
) -> None:
    shop.stock(fulfillment=ECOM)
    await shop.ingest(mugs("A", 3))
    await shop.settled("A")
    assert account(await shop.order("A")) == ("3", "0", "3", "0", "0")
    answer = await shop.refund("A", lines=[pb.RefundLine(line_id="1", quantity="1")])
    assert account(answer.order) == ("3", "0", "3", "1", "1")
    await shop.cancel("A")

    async def booked() -> bool:
        assert account(await shop.order("A")) == ("3", "2", "1", "1", "1")
        return True

    await eventually(booked)
    await shop.stands(5)
    await shop.ingest(mugs("B", 1, fulfillment_status=pb.FULFILLMENT_STATUS_SHIPPED))
    await shop.settled("B")
    async with refused("NOTHING_TO_CANCEL"):
        await shop.cancel("B")


async def test_what_a_refund_asks_for_has_to_make_sense(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", lines=[line("UNKNOWN")]))
    async with refused("ORDER_NOT_POSTED"):
        await shop.refund("A", amount=eur(1))
    await shop.ingest(mugs("B", 1))
    await shop.settled("B")
    one = pb.RefundLine(line_id="1", quantity="1")
    bad: list[tuple[str, str, dict[str, Any]]] = [
        ("ORDER_NOT_FOUND", "Z", {"amount": eur(1)}),
        ("INVALID_FIELD", "B", {}),
        ("INVALID_FIELD", "B", {"amount": eur(0)}),
        ("INVALID_FIELD", "B", {"amount": eur(-1)}),
        ("INVALID_FIELD", "B", {"lines": [one, one]}),
        ("INVALID_FIELD", "B", {"lines": [pb.RefundLine(line_id="9", quantity="1")]}),
        (
            "INVALID_FIELD",
            "B",
            {"lines": [pb.RefundLine(line_id="1", quantity="1", not_restocked="2")]},
        ),
        ("OUTLET_NOT_FOUND", "B", {"lines": [one], "outlet_id": "nowhere"}),
    ]
    for reason, order_id, changes in bad:
        async with refused(reason):
            await shop.refund(order_id, **changes)
    for taken in ("cancel", "till/R"):
        async with refused("INVALID_FIELD") as facts:
            await shop.refund("B", taken, amount=eur(1))
        assert "refund_id" in facts


@pytest.mark.rule("BEY-13")
async def test_money_that_the_store_gave_back_is_returned_once(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 3))
    await shop.settled("A")
    first = pb.OrderRefund(refund_id="x", amount=eur(4), reason="scratched")
    for version in (2, 3, 3):
        await shop.ingest(mugs("A", 3, PARTIALLY, version, refunds=[first]))
    await _refunded(shop, 4)
    second = pb.OrderRefund(refund_id="y", amount=eur(50))
    await shop.ingest(mugs("A", 3, REFUNDED, 4, refunds=[first, second]))
    await _refunded(shop, 30)
    order = await shop.order("A")
    sales = [await shop.sale(one) for one in order.return_sale_ids]
    assert [(one.total, len(one.lines)) for one in sales] == [(eur(-4), 0), (eur(-26), 0)]
    assert "scratched" in sales[0].note
    assert account(order) == ("3", "0", "0", "0", "0")
    assert not order.store_update.payment_status


@pytest.mark.rule("BEY-13")
async def test_an_order_refunded_without_saying_how_was_given_back_its_total(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 3, REFUNDED))
    await _refunded(shop, 30)
    assert len((await shop.order("A")).return_sale_ids) == 1


@pytest.mark.rule("BEY-13")
async def test_a_refund_made_here_that_the_store_then_shows_is_not_counted_again(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(mugs("A", 3))
    await shop.settled("A")
    await shop.refund("A", amount=eur(10))
    shown = pb.OrderRefund(refund_id="x", amount=eur(10))
    more = pb.OrderRefund(refund_id="y", amount=eur(5))
    await shop.ingest(mugs("A", 3, PARTIALLY, 2, refunds=[shown]))
    await shop.ingest(mugs("A", 3, PARTIALLY, 3, refunds=[shown, more]))
    await _refunded(shop, 15)
    assert len((await shop.order("A")).return_sale_ids) == 2


async def _refunded(shop: Shop, units: int) -> None:
    async def there() -> bool:
        assert (await shop.order("A")).refunded == eur(units)
        return True

    await eventually(there)
    await shop.becomes("A", POSTED)
    assert (await shop.order("A")).refunded == eur(units)


@pytest.mark.rule("ORD-09")
async def test_orders_kept_while_posting_is_off_are_posted_once_when_it_is_on_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("peers", "service.followers"):
        monkeypatch.setattr(f"services.order.{module}.CHANNEL_FRESH_S", 0.1)
    shop.stock(post_sales=False)
    for number in range(4):
        await shop.ingest(mugs(f"A{number}", 1, AWAITING if number % 2 else PAID))
    for number in range(4):
        await shop.becomes(f"A{number}", pb.ORDER_STATE_HELD)
    assert shop.world.available("mug-1") == 4
    shop.world.switch_post_sales(CHANNEL, on=True)
    for number in range(4):
        await shop.posted(f"A{number}")
    shop.world.switch_post_sales(CHANNEL, on=False)
    shop.world.switch_post_sales(CHANNEL, on=True)
    found = await shop.orders.ListSales(pb.ListSalesRequest(), metadata=metadata())
    assert sorted(one.order_id for one in found.sales) == ["A0", "A1", "A2", "A3"]


@pytest.mark.rule("ORD-12")
async def test_stock_that_comes_lets_the_orders_go_on_that_it_is_enough_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.order.rules.order.pause_seconds",
        lambda _attempts, *, transient: 0.05 if transient else 300,
    )
    shop.stock()
    await shop.ingest(mugs("A", 9))
    await shop.becomes("A", pb.ORDER_STATE_MATCHED, "INSUFFICIENT_STOCK")
    asked = len(shop.world.asked("TakeStock"))
    await shop.ingest(mugs("B", 30))
    await shop.becomes("B", pb.ORDER_STATE_MATCHED, "INSUFFICIENT_STOCK")
    shop.world.receive(CHANNEL, "mug-1", "main", 2)
    await shop.posted("A")
    assert len(shop.world.asked("TakeStock")) == asked + 2
