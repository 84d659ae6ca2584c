"""Sales of tills and of outside points of sale, as their callers see them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

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
