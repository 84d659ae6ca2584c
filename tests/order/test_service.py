"""How orders go on, as their callers see it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.order.service import build
from services.order.store import PLUMBING
from tests.harness import (
    eventually,
    metadata,
    running,
    settings,
)
from tests.order.fakes import ECOM, ON_PAYMENT, ON_PLACEMENT, Fakes, Fault
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
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import order_pb2 as pb

RECEIVED, HELD, POSTED = pb.ORDER_STATE_RECEIVED, pb.ORDER_STATE_HELD, pb.ORDER_STATE_POSTED


@pytest.mark.rule("ORD-01")
async def test_an_order_becomes_one_sale_and_one_fulfillment_by_itself(shop: Shop) -> None:
    shop.stock()
    ordered = document("A", lines=[line("MUG", "2", units=5)], outlet_id="main")
    answer = await shop.ingest(ordered)
    assert (answer.changed, answer.order.state) == (True, RECEIVED)
    sale = await shop.posted("A")
    assert (sale.state, sale.paid) == (pb.SALE_STATE_OPEN, False)
    assert (sale.outlet_id, sale.register_id, sale.customer_id) == ("main", "till-1", "customer-1")
    assert [(one.item_id, one.quantity) for one in sale.lines] == [("mug-1", "2")]
    [fulfillment] = await shop.fulfillments("A")
    assert ("main", sale.sale_id) == (fulfillment.outlet_id, fulfillment.sale_id)
    assert fulfillment.kind == pb.FULFILLMENT_KIND_PICKUP
    assert shop.world.available("mug-1") == 6


@pytest.mark.rule("ORD-10")
async def test_an_order_filled_by_two_outlets_has_a_fulfillment_at_each(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", lines=[line("MUG", "7")]))
    await shop.posted("A")
    found = {one.outlet_id: one.lines[0].quantity for one in await shop.fulfillments("A")}
    assert found == {"main": "5", "harbour": "2"}


@pytest.mark.rule("ORD-04")
async def test_where_the_store_fulfills_the_sale_is_complete_at_once(shop: Shop) -> None:
    shop.stock(fulfillment=ECOM)
    await shop.ingest(document("A", payment_status=PAID))
    sale = await shop.posted("A")
    assert (sale.state, await shop.fulfillments("A")) == (pb.SALE_STATE_COMPLETED, [])


@pytest.mark.rule("ORD-02")
@pytest.mark.rule("ORD-03")
async def test_where_posting_waits_for_payment_the_stock_is_held_meanwhile(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT)
    await shop.ingest(document("A", 1, AWAITING))
    held = await shop.becomes("A", HELD)
    assert (held.sale_id, shop.world.available("mug-1")) == ("", 7)
    await shop.ingest(document("A", 2, PAID))
    assert (await shop.posted("A")).paid
    assert len(shop.world.asked("ReserveStock")) == 1


@pytest.mark.rule("ORD-06")
@pytest.mark.rule("ORD-08")
async def test_a_payment_made_later_is_noted_once_with_its_processor(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    unpaid = await shop.posted("A")
    await asyncio.gather(*(shop.ingest(document("A", 2, PAID)) for _ in range(5)))

    async def paid() -> bool:
        return (await shop.sale(unpaid.sale_id)).paid

    await eventually(paid)
    sale = await shop.sale(unpaid.sale_id)
    assert [("Stripe", eur(10))] == [(one.method, one.amount) for one in sale.payments]
    assert (unpaid.revision, sale.revision) == (1, 2)
    told = [changed.revision for _, changed in await shop.sale_events()]
    assert told == [1, 2]


@pytest.mark.rule("ORD-07")
async def test_an_unintegrated_method_is_unpaid_until_the_store_says_otherwise(shop: Shop) -> None:
    shop.stock()
    cash = document("A", 1, AWAITING, payment_processor="", payment_method="Pay at pickup")
    await shop.ingest(cash)
    assert not (await shop.posted("A")).payments
    cash.version, cash.payment_status = 2, PAID
    await shop.ingest(cash)

    async def named() -> bool:
        order = await shop.order("A")
        found = [one.method for one in (await shop.sale(order.sale_id)).payments]
        assert found == ["Pay at pickup"]
        return True

    await eventually(named)


@pytest.mark.rule("ORD-11")
async def test_older_and_equal_documents_change_nothing(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 5, PAID))
    sale = await shop.posted("A")
    told = len(await shop.events(events_pb2.OrderChanged, events_pb2.SaleChanged))
    for version, status in ((5, PAID), (5, AWAITING), (4, CANCELED), (0, AWAITING)):
        assert not (await shop.ingest(document("A", version, status))).changed
    assert sale == await shop.posted("A")
    assert told == len(await shop.events(events_pb2.OrderChanged, events_pb2.SaleChanged))


@pytest.mark.rule("SOR-04")
async def test_an_order_tells_where_it_came_from_when_and_what_is_wrong(shop: Shop) -> None:
    shop.stock()
    answer = await shop.ingest(document("A", lines=[line("UNKNOWN", "1")]))
    assert answer.order.sync_time == answer.order.create_time
    order = await shop.becomes("A", RECEIVED, "ITEM_NOT_FOUND")
    assert (order.channel_id, order.document.order_id) == (CHANNEL, "A")
    assert "UNKNOWN" in order.waiting_message
    await shop.ingest(document("A", 9, lines=[line("UNKNOWN", "1")]))
    assert (await shop.order("A")).sync_time.ToDatetime() > order.sync_time.ToDatetime()


@pytest.mark.rule("ORD-11")
async def test_an_order_that_comes_many_times_at_once_is_one_order(shop: Shop) -> None:
    shop.stock()
    answers = await asyncio.gather(*(shop.ingest(document("A")) for _ in range(20)))
    assert sum(answer.changed for answer in answers) == 1
    await shop.posted("A")
    assert shop.world.available("mug-1") == 7
    assert len((await shop.orders.ListSales(pb.ListSalesRequest(), metadata=metadata())).sales) == 1


@pytest.mark.rule("ORD-12")
async def test_an_unknown_sku_waits_and_goes_on_when_the_catalog_has_it(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", lines=[line("CUP", "2")]))
    waiting = await shop.becomes("A", RECEIVED, "ITEM_NOT_FOUND")
    assert "'CUP'" in waiting.waiting_message
    assert waiting.HasField("next_try_time")
    shop.world.on_hand["cup-1", "main"] += 2
    shop.world.create_item("cup-1", "CUP")
    await shop.posted("A")


async def test_the_catalog_s_feed_wakes_an_order_long_before_its_next_try(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.order.rules.order.pause_seconds",
        lambda _attempts, *, transient: 0.05 if transient else 300,
    )
    shop.stock()
    await shop.ingest(document("A", lines=[line("CUP")]))
    await shop.becomes("A", RECEIVED, "ITEM_NOT_FOUND")
    shop.world.on_hand["cup-1", "main"] += 1
    shop.world.create_item("cup-1", "CUP")
    await shop.posted("A")


@pytest.mark.rule("ORD-12")
async def test_a_retry_lets_a_refused_order_go_on_at_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.order.rules.order.pause_seconds",
        lambda _attempts, *, transient: 0.05 if transient else 300,
    )
    shop.stock()
    await shop.ingest(document("A", lines=[line("MUG", "9")]))
    waiting = await shop.becomes("A", pb.ORDER_STATE_MATCHED, "INSUFFICIENT_STOCK")
    assert waiting.attempts == 1
    assert "count or receive stock" in waiting.waiting_message
    shop.world.on_hand["mug-1", "main"] += 1
    retry = pb.RetryOrderRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.RetryOrder(retry, metadata=metadata())
    await shop.posted("A")
    assert len({request.request_id for request in shop.world.asked("TakeStock")}) == 1


@pytest.mark.parametrize(
    "reason", ["CUSTOMER_AMBIGUOUS", "REGISTER_MISSING", "SKU_AMBIGUOUS", "OUTLET_NOT_FOUND"]
)
@pytest.mark.rule("ORD-12")
async def test_what_another_service_refuses_is_visible_and_tried_again(
    shop: Shop, reason: str
) -> None:
    shop.stock()
    if reason == "CUSTOMER_AMBIGUOUS":
        shop.world.shared_addresses.add("ann@example.com")
    elif reason == "SKU_AMBIGUOUS":
        shop.world.items["mug-2"] = "MUG"
    else:
        shop.world.fail("TakeStock", 1000, Fault(reason))
    await shop.ingest(document("A"))

    async def waits() -> bool:
        return reason in str(await shop.order("A"))

    await eventually(waits)
    shop.world.shared_addresses.clear()
    shop.world.items.pop("mug-2", None)
    shop.world.faults.clear()
    await shop.posted("A")


@pytest.mark.parametrize(
    "methods",
    [
        ["ResolveItems"],
        ["MatchCustomer"],
        ["TakeStock"],
        ["ReserveStock", "CommitReservation"],  # until it is paid
    ],
)
@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_step_that_fails_is_tried_again_and_done_once(
    shop: Shop, methods: list[str], *, after_effect: bool
) -> None:
    held = "ReserveStock" in methods
    shop.stock(posting=ON_PAYMENT if held else ON_PLACEMENT)
    for method in methods:
        shop.world.fail(method, 3, Fault(after_effect=after_effect))
    await shop.ingest(document("A", 1, AWAITING, lines=[line("MUG", "2")]))
    if held:
        await shop.becomes("A", HELD)
        await shop.ingest(document("A", 2, PAID, lines=[line("MUG", "2")]))
    await shop.posted("A")

    async def committed() -> bool:
        return shop.world.on_hand["mug-1", "main"] == 3

    await eventually(committed)
    assert len(shop.world.reservations) == 1


@pytest.mark.rule("ORD-12")
async def test_an_order_is_kept_while_every_other_service_is_down(shop: Shop) -> None:
    shop.stock()
    for one in (shop.others.catalog, shop.others.customer, shop.others.inventory):
        await one.stop()
    await shop.ingest(document("A"))
    await shop.becomes("A", RECEIVED, "SERVICE_UNAVAILABLE")
    for one in (shop.others.catalog, shop.others.customer, shop.others.inventory):
        await one.start()
    await shop.posted("A")


@pytest.mark.rule("ORD-12")
async def test_a_process_that_died_half_way_is_taken_over(
    tmp_path: Path, database_url: str, others: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.order.pool.POLL_S", 0.02)
    monkeypatch.setattr("services.order.service.runs.LEASE", timedelta(seconds=1))
    configured = settings(
        tmp_path,
        database_url,
        catalog_address=others.catalog.address,
        customer_address=others.customer.address,
        inventory_address=others.inventory.address,
    )
    others.world.fail("TakeStock", 1, Fault(after_effect=True))
    async with running("order", PLUMBING, build, configured) as service:
        shop = Shop(service, others)
        shop.stock()
        await asyncio.gather(*(shop.ingest(document(f"A{n}")) for n in range(8)))
    async with running("order", PLUMBING, build, configured) as service:
        shop = Shop(service, others)

        async def all_posted() -> bool:
            found = [(await shop.order(f"A{n}")).state for n in range(8)]
            return found == [POSTED] * 8

        await eventually(all_posted, within_s=20)
    assert (len(others.world.reservations), others.world.available("mug-1")) == (8, 0)


@pytest.mark.rule("ORD-13")
async def test_a_canceled_order_gives_its_stock_free(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT)
    await shop.ingest(document("A", 1, AWAITING))
    await shop.becomes("A", HELD)
    await shop.ingest(document("A", 2, CANCELED))
    await shop.becomes("A", pb.ORDER_STATE_CANCELED)
    assert shop.world.available("mug-1") == 8


@pytest.mark.rule("ORD-13")
@pytest.mark.parametrize(
    ("posting", "method", "end"),
    [
        (ON_PAYMENT, "ReserveStock", "ReleaseReservation"),
        (ON_PLACEMENT, "TakeStock", "PutBackStock"),
    ],
)
async def test_stock_is_given_back_of_which_an_order_did_not_hear_before_it_was_canceled(
    shop: Shop, posting: int, method: str, end: str
) -> None:
    shop.stock(posting=posting)
    shop.world.fail(method, 1, Fault(after_effect=True))
    shop.world.fail(method, 5)
    shop.world.fail(end, 2, Fault(after_effect=True))
    await shop.ingest(document("A", 1, AWAITING))
    await shop.becomes("A", pb.ORDER_STATE_MATCHED, "OVERLOADED")
    await shop.ingest(document("A", 2, CANCELED))
    await shop.becomes("A", pb.ORDER_STATE_CANCELED)
    assert (len(shop.world.reservations), shop.world.available("mug-1")) == (1, 8)


@pytest.mark.rule("ORD-11")
async def test_a_cancellation_that_overtakes_its_order_holds_against_it(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 2, CANCELED))
    await shop.ingest(document("A", 1, AWAITING))
    await shop.becomes("A", pb.ORDER_STATE_CANCELED)
    assert shop.world.available("mug-1") == 8
    assert not shop.world.asked("ReserveStock") + shop.world.asked("TakeStock")


async def test_an_order_that_is_restored_after_its_cancellation_is_held_anew(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT)
    await shop.ingest(document("A", 1, AWAITING))
    await shop.becomes("A", HELD)
    await shop.ingest(document("A", 2, CANCELED))
    await shop.becomes("A", pb.ORDER_STATE_CANCELED)
    await shop.ingest(document("A", 3, PAID))
    await shop.posted("A")
    assert (len(shop.world.reservations), shop.world.available("mug-1")) == (2, 7)


@pytest.mark.parametrize("policies", [{}, {"posting": ON_PAYMENT}])
async def test_lines_changed_after_the_hold_wait_for_an_operator(
    shop: Shop, policies: dict[str, Any]
) -> None:
    shop.stock(**policies)
    await shop.ingest(document("A", 1, AWAITING))
    state = HELD if policies else POSTED
    await shop.becomes("A", state)
    await shop.ingest(document("A", 2, PAID, lines=[line("MUG", "2")]))
    await shop.becomes("A", state, "LINES_CHANGED_AFTER_HOLD")
    await shop.ingest(document("A", 3, PAID))
    assert (await shop.posted("A")).order_id == "A"


async def test_a_refunded_order_counts_as_paid(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT)
    await shop.ingest(document("A", 1, REFUNDED))
    assert (await shop.posted("A")).paid


async def test_an_order_without_an_address_has_no_customer(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", email="", buyer_name=""))
    assert not (await shop.posted("A")).customer_id
    assert not shop.world.asked("MatchCustomer")


@pytest.mark.rule("SOR-01")
async def test_an_order_tells_the_other_services_of_stock_and_buyer_and_nothing_else(
    shop: Shop,
) -> None:
    shop.stock()
    await shop.ingest(document("A", lines=[line("MUG", units=999)]))
    await shop.posted("A")

    allowed = {"GetChannel", "ResolveItems", "MatchCustomer", "TakeStock"}
    assert allowed == {name for name, _ in shop.world.calls}


async def test_a_hint_is_kept_and_has_the_document_fetched(shop: Shop) -> None:
    shop.stock()
    for _ in range(2):
        hint = pb.ReportOrderChangeRequest(
            request_id=request_id(), channel_id=CHANNEL, order_id="A"
        )
        await shop.orders.ReportOrderChange(hint, metadata=metadata())
    await shop.becomes("A", pb.ORDER_STATE_REPORTED, "DOCUMENT_MISSING")
    retry = pb.RetryOrderRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.RetryOrder(retry, metadata=metadata())
    told = await shop.events(events_pb2.OrderChangeReported)
    assert [(event.channel_id, event.subject, one.order_id) for event, one in told] == [
        (CHANNEL, "order/web/A", "A")
    ] * 3
    await shop.ingest(document("A"))
    await shop.posted("A")


async def test_a_payment_is_noted_while_inventory_is_down(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING))
    sale = await shop.posted("A")
    await shop.others.inventory.stop()
    await shop.ingest(document("A", 2, PAID))

    async def paid() -> bool:
        return (await shop.sale(sale.sale_id)).paid

    await eventually(paid)


async def test_many_orders_are_run_and_none_is_promised_what_is_gone(shop: Shop) -> None:
    shop.stock()
    await asyncio.gather(*(shop.ingest(document(f"A{number}")) for number in range(100)))

    async def settled() -> bool:
        posted = pb.ListOrdersRequest(state=POSTED, page_size=200)
        short = pb.ListOrdersRequest(waiting=True, page_size=200)
        found = [
            len((await shop.orders.ListOrders(one, metadata=metadata())).orders)
            for one in (posted, short)
        ]
        return found == [8, 92]

    await eventually(settled, within_s=20)
    assert shop.world.available("mug-1") == 0
