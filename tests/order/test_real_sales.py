"""Sales as a point of sale really tells them, into the sales history."""

from pathlib import Path

import pytest

from gateway.pos.lightspeed_r import sale_of, sales_in
from gateway.records import parse_json
from tests.harness import metadata
from tests.order.shop import Shop, request_id
from tillbridge.order.v1 import order_pb2 as pb

DATA = Path(__file__).parents[3] / "shared/data/lightspeed-r"
"""Recorded answers of an R-Series test account."""


@pytest.mark.skipif(not DATA.exists(), reason="the reference data is not here")
@pytest.mark.rule("ORD-05")
async def test_recorded_sales_are_mirrored_once_and_are_no_orders(shop: Shop) -> None:
    for name in ("Sales_create", "Sales_create.1", "Sales_show", "Sales_update"):
        body = parse_json((DATA / f"{name}.json").read_text())["body"]
        for mirrored in filter(None, (sale_of(row, "USD") for row in sales_in(body))):
            for created in (True, False):
                answer = await shop.orders.RecordSale(
                    pb.RecordSaleRequest(
                        request_id=request_id(),
                        sale=mirrored.sale,
                        mirrored=True,
                        version=mirrored.version,
                    ),
                    metadata=metadata(),
                )
                assert (answer.created, answer.sale.revision) == (created, 1)
    listed = await shop.orders.ListSales(pb.ListSalesRequest(), metadata=metadata())
    assert [(sale.sale_id, sale.total.units) for sale in listed.sales] == [("1", 5), ("121", 2)]
    assert {sale.state for sale in listed.sales} == {pb.SALE_STATE_PARKED}
    orders = await shop.orders.ListOrders(pb.ListOrdersRequest(), metadata=metadata())
    assert not orders.orders
    report = await shop.orders.GetPaymentReport(pb.GetPaymentReportRequest(), metadata=metadata())
    assert not report.sums
    assert not shop.world.asked("AdjustStock")
