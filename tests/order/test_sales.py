"""Sales of tills and of outside points of sale, as their callers see them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from tests.harness import (
    eventually,
    metadata,
    refused,
    service_metadata,
)
from tests.order.fakes import Fault
from tests.order.shop import (
    Shop,
    document,
    eur,
    request_id,
)
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.order.v1 import order_pb2 as pb

POSTED = pb.ORDER_STATE_POSTED


async def test_the_outside_point_of_sale_ends_the_hold_with_its_version(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(document("A"))
    sale = await shop.posted("A")
    assert not shop.world.asked("CommitReservation")
    failed = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sale.sale_id, revision=1, error="register closed"
    )
    await shop.orders.ReportSalePosted(failed, metadata=service_metadata())
    assert (await shop.sale(sale.sale_id)).post_error == "register closed"
    assert not shop.world.asked("CommitReservation")
    await shop.others.inventory.stop()
    done = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sale.sale_id, revision=1, pos_version=412
    )
    answer = await shop.orders.ReportSalePosted(done, metadata=service_metadata())
    assert (answer.sale.posted_revision, answer.sale.post_error) == (1, "")
    await shop.becomes("A", POSTED, "SERVICE_UNAVAILABLE")
    await shop.others.inventory.start()

    async def committed() -> bool:
        return list(shop.world.pos_versions.values()) == [412]

    await eventually(committed)
    await shop.becomes("A", POSTED)


def till_sale(sale_id: str, quantity: str = "1", **changes: Any) -> pb.Sale:
    found = pb.Sale(
        sale_id=sale_id,
        outlet_id="harbour",
        lines=[pb.SaleLine(item_id="mug-1", quantity=quantity, unit_price=eur(10))],
        payments=[pb.SalePayment(method="Cash", amount=eur(10))],
        total=eur(10),
    )
    found.MergeFrom(pb.Sale(**changes))
    return found


async def record(
    shop: Shop, sale: pb.Sale, *, mirrored: bool = False, version: int = 0
) -> pb.RecordSaleResponse:
    request = pb.RecordSaleRequest(
        request_id=request_id(), sale=sale, mirrored=mirrored, version=version
    )
    return await shop.orders.RecordSale(request, metadata=metadata())


@pytest.mark.rule("ORD-05")
async def test_a_till_s_sale_takes_its_stock_and_is_no_order(shop: Shop) -> None:
    shop.stock()
    shop.world.fail("AdjustStock", 2)
    shop.world.fail("AdjustStock", 1, Fault(after_effect=True))
    answer = await record(shop, till_sale("S"))
    assert (answer.created, answer.sale.paid, answer.sale.stock_pending) == (True, True, True)

    async def taken() -> bool:
        return not (await shop.sale("S")).stock_pending

    await eventually(taken)
    assert shop.world.available("mug-1") == 7
    listed = await shop.orders.ListOrders(pb.ListOrdersRequest(), metadata=metadata())
    assert not listed.orders
    assert [event.channel_id for event, _ in await shop.sale_events()] == [""]


async def test_a_sale_with_a_return_takes_one_and_gives_back_the_other(shop: Shop) -> None:
    shop.stock()
    shop.world.items["cup-1"] = "CUP"
    returned = [pb.SaleLine(item_id="cup-1", quantity="-2.5")]
    await record(shop, till_sale("S", lines=returned))

    async def taken() -> bool:
        return not (await shop.sale("S")).stock_pending

    await eventually(taken)
    kinds = {request.kind: request.lines[0].quantity for request in shop.world.asked("AdjustStock")}
    assert kinds == {
        inventory_pb2.MOVEMENT_KIND_POS_SALE: "-1",
        inventory_pb2.MOVEMENT_KIND_POS_RETURN: "2.5",
    }


async def test_a_till_s_sale_of_an_unknown_item_is_kept_and_tried_again(shop: Shop) -> None:
    shop.stock()
    del shop.world.items["mug-1"]
    await record(shop, till_sale("S"))

    async def said() -> bool:
        return "ITEM_NOT_FOUND" in (await shop.sale("S")).stock_error

    await eventually(said)
    shop.world.items["mug-1"] = "MUG"

    async def taken() -> bool:
        return not (await shop.sale("S")).stock_pending

    await eventually(taken)


async def test_the_same_sale_again_changes_nothing_and_another_is_refused(shop: Shop) -> None:
    shop.stock()
    first = await record(shop, till_sale("S"))
    again = await record(shop, till_sale("S"))
    assert (False, first.sale.revision) == (again.created, again.sale.revision)
    async with refused("SALE_EXISTS") as facts:
        await record(shop, till_sale("S", "2"))
    assert facts["sale_id"] == "S"
    async with refused("INVALID_FIELD") as facts:
        nowhere = till_sale("T")
        nowhere.outlet_id = ""
        await record(shop, nowhere)
    assert "sale.outlet_id" in facts
    assert len(await shop.sale_events()) == 1


async def test_a_mirrored_sale_follows_the_outside_point_of_sale(shop: Shop) -> None:
    shop.stock()
    layby = till_sale("S", state=pb.SALE_STATE_OPEN)
    layby.ClearField("payments")
    opened = await record(shop, layby, mirrored=True, version=7)
    assert (opened.sale.state, opened.sale.paid) == (pb.SALE_STATE_OPEN, False)
    closed = await record(shop, till_sale("S"), mirrored=True, version=9)
    assert (closed.created, closed.sale.revision, closed.sale.paid) == (False, 2, True)
    late = await record(shop, layby, mirrored=True, version=8)
    assert closed.sale == late.sale
    assert not shop.world.asked("AdjustStock")


async def test_our_own_posting_that_comes_back_changes_nothing(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(document("A"))
    sale = await shop.posted("A")
    echo = till_sale(sale.sale_id, "3", note="from the till")
    answer = await record(shop, echo, mirrored=True, version=99)
    assert (False, sale) == (answer.created, answer.sale)
    async with refused("SALE_EXISTS"):
        await record(shop, echo)


@pytest.mark.rule("ORD-06")
async def test_the_payment_report_sums_by_day_method_outlet_and_currency(shop: Shop) -> None:
    shop.stock()

    def paid(sale_id: str, day: int, method: str, units: int, **changes: Any) -> pb.Sale:
        found = till_sale(sale_id, **changes)
        found.ClearField("payments")
        time = Timestamp()
        time.FromDatetime(datetime(2026, 7, day, 23, 59, 59, 999999, tzinfo=UTC))
        amount = eur(units, 750_000_000)
        found.payments.append(pb.SalePayment(method=method, amount=amount, pay_time=time))
        return found

    large = 8_000_000_000
    for sale in (
        paid("S1", 3, "Cash", 1),
        paid("S2", 3, "Cash", 2),
        paid("S3", 3, "Stripe", 4, outlet_id="main"),
        paid("S4", 4, "Cash", large),
        paid("S5", 4, "Cash", large),
        paid("S6", 5, "Cash", 9),
    ):
        await record(shop, sale)
    request = pb.GetPaymentReportRequest(
        start_date={"year": 2026, "month": 7, "day": 3},
        end_date={"year": 2026, "month": 7, "day": 4},
    )
    answer = await shop.orders.GetPaymentReport(request, metadata=metadata())
    assert [
        (3, "Cash", "harbour", eur(4, 500_000_000), 2),
        (3, "Stripe", "main", eur(4, 750_000_000), 1),
        (4, "Cash", "harbour", eur(2 * large + 1, 500_000_000), 2),
    ] == [(one.date.day, one.method, one.outlet_id, one.amount, one.count) for one in answer.sums]
    whole = await shop.orders.GetPaymentReport(pb.GetPaymentReportRequest(), metadata=metadata())
    assert len(whole.sums) == 4


async def test_a_report_of_a_revision_that_is_not_there_is_refused(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(document("A"))
    sale = await shop.posted("A")
    report = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sale.sale_id, revision=2, pos_version=1
    )
    async with refused("INVALID_FIELD") as facts:
        await shop.orders.ReportSalePosted(report, metadata=service_metadata())
    assert "revision" in facts


async def settled(shop: Shop, sale_id: str) -> pb.Sale:
    """A sale, once its stock has moved."""
    found = [pb.Sale()]

    async def moved() -> bool:
        found[0] = await shop.sale(sale_id)
        return not found[0].stock_pending

    await eventually(moved)
    return found[0]


@pytest.mark.rule("ORD-05")
async def test_a_till_s_sale_takes_its_stock_when_it_is_one_and_gives_it_back_when_void(
    shop: Shop,
) -> None:
    shop.stock()
    parked = await record(shop, till_sale("S", "2", state=pb.SALE_STATE_PARKED))
    assert (parked.sale.stock_pending, parked.sale.paid) == (False, False)
    assert not shop.world.asked("AdjustStock")
    done = await record(shop, till_sale("S", "2"))
    assert (done.created, done.sale.revision, done.sale.paid) == (False, 2, True)
    await settled(shop, "S")
    assert shop.world.available("mug-1") == 6
    voided = await record(shop, till_sale("S", "2", state=pb.SALE_STATE_VOIDED))
    assert (voided.sale.state, voided.sale.paid) == (pb.SALE_STATE_VOIDED, False)
    await settled(shop, "S")
    assert shop.world.available("mug-1") == 8
    again = await record(shop, till_sale("S", "2", state=pb.SALE_STATE_VOIDED))
    assert again.sale.revision == 3
    async with refused("SALE_EXISTS"):
        await record(shop, till_sale("S", "2"))
    assert shop.world.available("mug-1") == 8


async def test_a_sale_that_is_voided_before_its_stock_is_taken_leaves_none_taken(
    shop: Shop,
) -> None:
    shop.stock()
    shop.world.fail("AdjustStock", 2)
    shop.world.fail("AdjustStock", 1, Fault(after_effect=True))
    await record(shop, till_sale("S"))
    await record(shop, till_sale("S", state=pb.SALE_STATE_VOIDED))
    await settled(shop, "S")
    assert shop.world.available("mug-1") == 8


async def test_a_layby_takes_its_stock_once_and_is_paid_bit_by_bit(shop: Shop) -> None:
    shop.stock()
    first = till_sale("S", state=pb.SALE_STATE_LAYBY)
    first.ClearField("payments")
    await record(shop, first)
    await settled(shop, "S")
    first.payments.add(method="Cash", amount=eur(4))
    half = await record(shop, first)
    assert (half.sale.paid, half.sale.stock_pending) == (False, False)
    first.payments.add(method="Card", amount=eur(6))
    first.state = pb.SALE_STATE_COMPLETED
    whole = await record(shop, first)
    assert (whole.sale.paid, whole.sale.state) == (True, pb.SALE_STATE_COMPLETED)
    assert len(shop.world.asked("AdjustStock")) == 1
    more = till_sale("S", "2")
    async with refused("SALE_EXISTS"):
        await record(shop, more)


async def test_what_the_outside_point_of_sale_parks_and_voids_is_shown_and_moves_nothing(
    shop: Shop,
) -> None:
    shop.stock()
    states = (pb.SALE_STATE_PARKED, pb.SALE_STATE_COMPLETED, pb.SALE_STATE_VOIDED)
    for version, state in enumerate(states, 1):
        sale = till_sale("S", state=state, return_for="T", note=f"{version}")
        answer = await record(shop, sale, mirrored=True, version=version)
        assert (answer.sale.state, answer.sale.paid) == (state, state == states[1])
    found = await shop.sale("S")
    assert (found.state, found.return_for, found.revision) == (states[2], "T", 3)
    assert not shop.world.asked("AdjustStock")


def day(number: int) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(datetime(2026, 7, number, 12, tzinfo=UTC))
    return found


@pytest.mark.rule("ORD-06")
async def test_the_payment_report_tells_what_was_given_back_page_by_page(shop: Shop) -> None:
    shop.stock()

    async def pay(sale_id: str, method: str, units: int, **changes: Any) -> None:
        quantity = "1" if units > 0 else "-1"
        found = till_sale(sale_id, quantity, sale_time=day(3), **changes)
        found.ClearField("payments")
        found.payments.add(method=method, amount=eur(units, units), pay_time=day(3))
        await record(shop, found, mirrored=True)

    for sale_id, method, units in (("S1", "Cash", 9), ("S2", "Cash", -4), ("S3", "Visa", -7)):
        await pay(sale_id, method, units)
    await pay("S4", "Visa", 10, outlet_id="main")
    await pay("S5", "Cash", 100, state=pb.SALE_STATE_VOIDED)
    await pay("S6", "Cash", 100, state=pb.SALE_STATE_PARKED)
    await pay("S7", "Cash", 100, state=pb.SALE_STATE_LAYBY, outlet_id="pier")
    sums: list[pb.PaymentSum] = []
    request = pb.GetPaymentReportRequest(page_size=1)
    while True:
        answer = await shop.orders.GetPaymentReport(request, metadata=metadata())
        sums += answer.sums
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert [
        ("Cash", "harbour", eur(5, 5), 2, eur(4, 4)),
        ("Cash", "pier", eur(100, 100), 1, None),
        ("Visa", "harbour", eur(-7, -7), 1, eur(7, 7)),
        ("Visa", "main", eur(10, 10), 1, None),
    ] == [
        (s.method, s.outlet_id, s.amount, s.count, s.refunded if s.HasField("refunded") else None)
        for s in sums
    ]
    whole = await shop.orders.GetPaymentReport(pb.GetPaymentReportRequest(), metadata=metadata())
    assert list(whole.sums) == sums
    request.start_date.CopyFrom(Date(year=2025, month=1, day=1))
    async with refused("INVALID_PAGE_TOKEN"):
        await shop.orders.GetPaymentReport(request, metadata=metadata())


@pytest.mark.rule("ORD-01")
async def test_the_sales_history_is_narrowed_down_and_told_what_is_unposted(shop: Shop) -> None:
    shop.stock(external_pos=True)
    shop.stock("shop-2", external_pos=True)
    await shop.ingest(document("A"))
    await shop.ingest(document("B"))
    await shop.ingest(document("A"), "shop-2")
    await record(shop, till_sale("S"), mirrored=True)
    sales = {name: await shop.posted(name) for name in ("A", "B")}
    other = await shop.order("A", "shop-2")
    done = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sales["B"].sale_id, revision=1, pos_version=1
    )
    await shop.orders.ReportSalePosted(done, metadata=service_metadata())

    async def listed(**only: Any) -> set[str]:
        request = pb.ListSalesRequest(**only)
        answer = await shop.orders.ListSales(request, metadata=metadata())
        return {sale.sale_id for sale in answer.sales}

    assert await listed(channel_id="web") == {sale.sale_id for sale in sales.values()}
    assert await listed(channel_id="web", order_id="A") == {sales["A"].sale_id}
    assert await listed(channel_id="web", unposted=True) == {sales["A"].sale_id}
    assert "S" not in await listed(unposted=True)
    assert await listed(channel_id="none") == set()
    assert other.document.order_id == "A"
    async with refused("INVALID_FIELD") as facts:
        await listed(order_id="A")
    assert "channel_id" in facts


@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-06")
async def test_all_that_an_order_costs_is_in_its_sale_and_adds_up(shop: Shop) -> None:
    shop.stock()
    told = document(
        "A",
        1,
        pb.PAYMENT_STATUS_PAID,
        lines=[
            pb.OrderLine(
                line_id="1",
                sku="MUG",
                quantity="7",
                unit_price=eur(10),
                discount=eur(1),
                tax=eur(7),
            )
        ],
        discount=eur(3),
        discounts=[pb.Discount(kind=pb.DISCOUNT_KIND_COUPON, code="SUN", amount=eur(3))],
        charges=[pb.Charge(kind=pb.CHARGE_KIND_TIP, amount=eur(2))],
        shipping_price=eur(4),
        tax=eur(7),
        payments=[
            pb.OrderPayment(method="Gift card", amount=eur(9), pay_time=day(3)),
            pb.OrderPayment(method="Card", processor="Stripe", amount=eur(70, 10_000_000)),
        ],
    )
    told.total.CopyFrom(eur(79, 10_000_000))
    await shop.ingest(told)
    sale = await shop.posted("A")
    assert (await shop.order("A")).document == told
    assert [(line.outlet_id, line.quantity, line.line_id) for line in sale.lines] == [
        ("", "5", "1"),
        ("harbour", "2", "1"),
    ]
    assert sum(line.tax.units * 10**9 + line.tax.nanos for line in sale.lines) == 7 * 10**9
    assert [one.kind for one in sale.charges] == [pb.CHARGE_KIND_TIP, pb.CHARGE_KIND_ROUNDING]
    assert (sale.charges[1].amount, sale.HasField("difference")) == (eur(0, 10_000_000), False)
    assert [one.method for one in sale.payments] == ["Gift card", "Stripe"]
    assert (sale.paid, sale.discounts[0].code) == (True, "SUN")
    told.total.CopyFrom(eur(90))
    told.version = 2
    await shop.ingest(told)

    async def differs() -> bool:
        found = await shop.sale(sale.sale_id)
        return found.difference == eur(11) and not found.paid

    await eventually(differs)


REFUSED = attention_pb2.ATTENTION_CAUSE_SALE_REFUSED


async def refuse(shop: Shop, sale_id: str, version: int, reason: str = "INVALID_FIELD") -> None:
    report = pb.ReportSaleRefusedRequest(
        request_id=request_id(),
        sale_id=sale_id,
        version=version,
        reason=reason,
        message=f"{sale_id} makes no sense",
    )
    await shop.orders.ReportSaleRefused(report, metadata=service_metadata())


async def uncopied(shop: Shop) -> dict[str, list[str]]:
    """The sales that an operator is told could not be copied, by reason."""
    answer = await shop.orders.ListAttention(pb.ListAttentionRequest(), metadata=metadata())
    return {one.key: list(one.examples) for one in answer.groups if one.cause == REFUSED}


@pytest.mark.rule("BEY-09")
async def test_a_sale_that_could_not_be_copied_is_shown_until_it_is(shop: Shop) -> None:
    shop.stock()
    await refuse(shop, "S", 3)
    await refuse(shop, "S", 2, "SALE_EXISTS")
    await refuse(shop, "T", 0, "SALE_EXISTS")
    await refuse(shop, "U", 5)
    assert await uncopied(shop) == {"INVALID_FIELD": ["S", "U"], "SALE_EXISTS": ["T"]}
    await record(shop, till_sale("S"), mirrored=True, version=2)
    assert await uncopied(shop) == {"INVALID_FIELD": ["S", "U"], "SALE_EXISTS": ["T"]}
    await record(shop, till_sale("S"), mirrored=True, version=4)
    await record(shop, till_sale("T"), mirrored=True)
    assert await uncopied(shop) == {"INVALID_FIELD": ["U"]}
    await refuse(shop, "S", 3)
    assert await uncopied(shop) == {"INVALID_FIELD": ["U"]}
    retry = pb.RetryOrdersRequest(request_id=request_id(), cause=REFUSED, key="INVALID_FIELD")
    answer = await shop.orders.RetryOrders(retry, metadata=metadata())
    assert answer.retried_count == 1
    assert await uncopied(shop) == {}
