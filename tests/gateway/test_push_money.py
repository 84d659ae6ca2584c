"""All that an order costs, and all that comes back of it, in the outside point of sale."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.pos import SaleToPost
from gateway.push.sales import SalePosting
from gateway.records import money
from services.chassis.errors import DomainError
from tests.gateway.installation import MAIN, MUG, Installation, gateway, installation
from tests.harness import eventually
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.order.v1 import order_pb2

WITHIN_S = 15.0


@pytest.fixture
async def shop_open(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation whose channel sells mugs online: 12 at Main, 5 at Harbour."""
    async with installation(tmp_path) as installed, gateway(installed):
        await installed.connect()

        async def listed() -> None:
            request = catalog_pb2.ListListingsRequest(channel_id=installed.channel_id)
            owners = installed.owners
            answer = await owners.call(owners.catalog.ListListings, request)
            assert len(answer.listings) == 17

        await told(listed)
        await installed.sell_online(MUG)
        await shows(installed, 17)
        yield installed


async def told(condition: Any) -> None:
    """Waits until a condition holds; what is refused meanwhile is not yet."""

    async def holds() -> None:
        try:
            await condition()
        except DomainError as error:
            raise AssertionError(error.message) from error

    await eventually(holds, WITHIN_S)


async def shows(installed: Installation, quantity: int) -> None:
    async def has() -> None:
        assert await installed.shown() == quantity

    await eventually(has, WITHIN_S)


async def at_main(installed: Installation) -> float:
    rows = (await installed.pos_api.get(f"/api/2.0/products/{MUG}/inventory")).json()["data"]
    return float(next(row["inventory_level"] for row in rows if row["outlet_id"] == MAIN))


def worth(row: dict[str, Any]) -> float:
    return round(float(row["total_price"]) + float(row["total_tax"]), 4)


@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-13")
async def test_an_order_with_all_its_money_is_posted_and_comes_back(
    shop_open: Installation,
) -> None:
    tip = {"id": "TIPS", "description": "Tip", "total": 3, "totalWithoutTax": 3}
    order_id = await shop_open.order(
        MUG,
        2,
        paymentStatus="PAID",
        paymentMethod="Credit card",
        paymentModule="Stripe",
        customSurcharges=[tip],
        couponDiscount=4,
        discountCoupon={"name": "Sun", "code": "SUN"},
        total=45,
    )

    async def posted() -> None:
        sales = await shop_open.pos_sales()
        assert [worth(sale) for sale in sales] == [45.0]
        assert [payment["amount"] for payment in sales[0]["payments"]] == [45]
        rows = sales[0]["ecom_custom_charges"]["charges"]
        assert {row["name"]: row["total_incl"] for row in rows} == {"Tip": 3, "Coupon: Sun": -4}

    await told(posted)
    [original] = await shop_open.pos_sales()
    await shows(shop_open, 15)
    assert await at_main(shop_open) == 10

    owners = shop_open.owners
    order = (
        await owners.call(
            owners.orders.GetOrder,
            order_pb2.GetOrderRequest(channel_id=shop_open.channel_id, order_id=order_id),
        )
    ).order
    refund = order_pb2.RefundOrderRequest(
        request_id="refund",
        channel_id=shop_open.channel_id,
        order_id=order_id,
        refund_id="r-1",
        lines=[order_pb2.RefundLine(line_id=order.document.lines[0].line_id, quantity="1")],
        amount=money(Decimal(20), order.document.total.currency_code),
    )
    await owners.call(owners.orders.RefundOrder, refund)

    async def came_back() -> None:
        sales = {sale["id"]: sale for sale in await shop_open.pos_sales()}
        assert len(sales) == 2
        back = next(sale for sale in sales.values() if sale["id"] != original["id"])
        assert (back["return_for"], worth(back)) == (original["id"], -20.0)
        assert [line["quantity"] for line in back["line_items"]] == [-1]
        assert [payment["amount"] for payment in back["payments"]] == [-20]
        assert await at_main(shop_open) == 11

    await told(came_back)
    await shows(shop_open, 16)
    report = await owners.call(owners.orders.GetPaymentReport, order_pb2.GetPaymentReportRequest())
    assert [(s.method, s.amount.units, s.refunded.units) for s in report.sums] == [
        ("Stripe", 25, 20)
    ]


class Till:
    """A point of sale that takes everything."""

    def __init__(self) -> None:
        self.posted: list[str] = []

    async def post_sale(self, posting: SaleToPost) -> int:
        self.posted.append(posting.sale.sale_id)
        return 7


class Books:
    """The services, of which one knows these sales."""

    def __init__(self, *sales: order_pb2.Sale) -> None:
        self._sales = {sale.sale_id: sale for sale in sales}

    def __getattr__(self, _name: str) -> "Books":
        return self

    async def call(self, _method: Any, request: Any) -> Any:
        match request:
            case channels_pb2.GetChannelRequest():
                policies = channels_pb2.ChannelPolicies(external_pos=True)
                channel = channels_pb2.Channel(policies=policies)
                return channels_pb2.GetChannelResponse(channel=channel)
            case order_pb2.GetSaleRequest():
                return order_pb2.GetSaleResponse(sale=self._sales[request.sale_id])
            case order_pb2.GetOrderRequest():
                return order_pb2.GetOrderResponse()
            case order_pb2.ReportSalePostedRequest():
                self._sales[request.sale_id].posted_revision = request.revision
        return None


async def test_what_is_returned_is_written_before_its_return() -> None:
    def ours(sale_id: str, **more: Any) -> order_pb2.Sale:
        origin = order_pb2.SALE_ORIGIN_ONLINE
        return order_pb2.Sale(sale_id=sale_id, origin=origin, channel_id="ch", revision=1, **more)

    till = Till()
    books: Any = Books(ours("sold"), ours("back", return_for="sold"))
    posting = SalePosting("ch", books, till)  # type: ignore[arg-type]  # as much as is asked of it
    assert await posting.do(["back", "sold"]) == {}
    assert till.posted == ["sold", "back"]
