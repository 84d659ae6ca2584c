"""Sales of X-Series, on their way in and out."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.pos import SaleToPost
from gateway.pos.lightspeed_x.sales import Places
from gateway.records import money
from gateway.sandbox import shop
from tillbridge.order.v1 import order_pb2

MUG = shop.product_id("MUG")
SALE_ID = "5a17ab1e-0009-4000-8000-000000000001"
PLACES = Places({"reg-main": "main", "reg-harbour": "harbour"}, "NZD")

OLD_SALE: Mapping[str, Any] = {
    "id": "s",
    "sale_date": "2015-08-18 23:28:00",
    "status": "CLOSED",
    "register_id": "reg-harbour",
    "totals": {"total_price": "20.00", "total_tax": "3.00", "total_payment": "23.00"},
    "register_sale_products": [
        {"product_id": "mug", "quantity": 2, "price": 10, "tax": Decimal("1.5")}
    ],
    "register_sale_payments": [{"name": "Cash", "amount": 23}],
    "version": 12,
}


def posting(**changes: Any) -> SaleToPost:
    sale = order_pb2.Sale(
        sale_id=SALE_ID,
        outlet_id="main",
        state=order_pb2.SALE_STATE_OPEN,
        lines=[
            order_pb2.SaleLine(
                item_id=MUG,
                quantity="2",
                unit_price=money(Decimal(23), "NZD"),
                tax=money(Decimal(6), "NZD"),
            )
        ],
        total=money(Decimal("52.5"), "NZD"),
        tax=money(Decimal("6.98"), "NZD"),
        shipping_price=money(Decimal("7.5"), "NZD"),
        prices_include_tax=True,
        revision=1,
    )
    values: dict[str, Any] = {
        "sale": sale,
        "order_id": "XJ12H",
        "kind": order_pb2.FULFILLMENT_KIND_PICKUP,
        "register_id": "reg-main",
        "pos_customer_id": "",
        "email": "jo@example.com",
        "buyer_name": "Jo Ann Doe",
        "phone": "",
        "posted_before": False,
    }
    return SaleToPost(**{**values, **changes})
