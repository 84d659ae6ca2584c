"""What the platforms really send, through the real webhook routes into the real services."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest

from gateway.sandbox import shop
from gateway.sandbox.ecwid.events import signature as store_signature
from gateway.sandbox.lightspeed_x.subscriptions import signature as pos_signature
from services.chassis.errors import DomainError
from tests.gateway.installation import (
    HARBOUR,
    MAIN,
    MUG,
    POS_SECRET,
    STORE_SECRET,
    Installation,
    gateway,
    installation,
)
from tests.gateway.served import error_of
from tests.harness import eventually
from tillbridge.errors.v1 import errors_pb2
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.order.v1 import order_pb2

EXAMPLE = Path(__file__).parents[3] / "shared/data/ecwid/orders__get-order.json"
"""The example order in Ecwid's API reference."""

WITHIN_S = 15.0
LATE = 9 * 10**17
"""A version behind all that the simulated till has given."""


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installation]:
    """A channel whose mugs are known: 12 at Main, 5 at Harbour."""
    async with installation(tmp_path) as running, gateway(running):
        await running.connect()

        async def knows_mugs() -> None:
            assert await levels(running) == {MAIN: "12", HARBOUR: "5"}

        await eventually(knows_mugs, WITHIN_S)
        yield running


async def levels(installed: Installation, item_id: str = MUG) -> Mapping[str, str]:
    request = inventory_pb2.ListStockLevelsRequest(item_id=item_id)
    answer = await installed.owners.call(installed.owners.inventory.ListStockLevels, request)
    return {level.outlet_id: level.on_hand for level in answer.levels if level.on_hand}


async def order_of(installed: Installation, order_id: str) -> order_pb2.Order:
    request = order_pb2.GetOrderRequest(channel_id=installed.channel_id, order_id=order_id)
    try:
        answer = await installed.owners.call(installed.owners.orders.GetOrder, request)
    except DomainError as error:
        raise AssertionError(error.message) from error
    return answer.order


async def from_pos(
    installed: Installation,
    payload: Any,
    kind: str = "inventory.update",
    *,
    secret: str = POS_SECRET,
    channel_id: str = "",
) -> httpx.Response:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    extra = {"domain_prefix": shop.DOMAIN_PREFIX, "environment": "prod", "type": kind}
    body = urlencode({"payload": text, **extra}).encode()
    return await post(
        installed,
        f"/webhooks/lightspeed-x/{channel_id or installed.channel_id}",
        body,
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Signature": pos_signature(secret, body),
        },
    )


async def from_store(
    installed: Installation, *, secret: str = STORE_SECRET, channel_id: str = "", **changes: Any
) -> httpx.Response:
    event = {
        "eventId": str(uuid4()),
        "eventCreated": int(time.time()),
        "storeId": 1003,
        "entityId": 516483487,
        "eventType": "order.created",
        "data": {"orderId": "K8XTQ", "newPaymentStatus": "PAID"},
        **changes,
    }
    header = store_signature(secret, event["eventCreated"], event["eventId"])
    path = f"/webhooks/ecwid/{channel_id or installed.channel_id}"
    return await post(
        installed, path, json.dumps(event).encode(), {"X-Ecwid-Webhook-Signature": header}
    )


async def post(
    installed: Installation, path: str, body: bytes, headers: Mapping[str, str]
) -> httpx.Response:
    async with httpx.AsyncClient(base_url=installed.gateway_url, trust_env=False) as http:
        return await http.post(path, content=body, headers=headers)


# Orders.


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the reference data is not here")
@pytest.mark.rule("ORD-12")
async def test_the_documented_order_waits_for_its_sku_and_goes_on_by_itself(
    installed: Installation,
) -> None:
    example = json.loads(EXAMPLE.read_text())
    installed.store.store.tables["orders"]["K8XTQ"] = example

    assert (await from_store(installed)).status_code == 200

    async def waits() -> None:
        order = await order_of(installed, "K8XTQ")
        assert order.waiting_reason == errors_pb2.ERROR_REASON_ITEM_NOT_FOUND
        assert "123123" in order.waiting_message
        assert example == json.loads(order.document.source_document)

    await eventually(waits, WITHIN_S)
    assert await installed.pos_sales() == []

    toy = {
        "name": "Toys",
        "sku": "123123",
        "price_including_tax": 10,
        "inventory": [{"outlet_id": MAIN, "current_amount": 4}],
    }
    (await installed.pos_api.post("/api/2.0/products", json=toy)).raise_for_status()

    async def is_posted() -> None:
        order = await order_of(installed, "K8XTQ")
        assert order.state == order_pb2.ORDER_STATE_POSTED
        sales = await installed.pos_sales()
        assert [(sale["source_id"], sale["total_price"] + sale["total_tax"]) for sale in sales] == [
            ("K8XTQ", 10)
        ]

    await eventually(is_posted, WITHIN_S)


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the reference data is not here")
@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-06")
async def test_the_documented_order_with_a_coupon_and_shipping_is_posted_whole(
    installed: Installation,
) -> None:
    """The other example of the reference: 500 of goods, 10 off, 110 of shipping of which 10 is tax.
    It names no way to pay and no buyer.
    """
    [example] = json.loads((EXAMPLE.parent / "orders__search-orders.json").read_text())["items"]
    installed.store.store.tables["orders"]["EBJFT"] = example
    pizza = {
        "name": "Pizza",
        "sku": "000001",
        "price_including_tax": 500,
        "inventory": [{"outlet_id": MAIN, "current_amount": 4}],
    }
    (await installed.pos_api.post("/api/2.0/products", json=pizza)).raise_for_status()
    hint = {"orderId": "EBJFT", "newPaymentStatus": "PAID"}
    assert (await from_store(installed, data=hint)).status_code == 200

    async def is_posted() -> None:
        assert (await order_of(installed, "EBJFT")).state == order_pb2.ORDER_STATE_POSTED
        sales = await installed.pos_sales()
        assert len(sales) == 1
        sale = sales[0]
        rows = sale["ecom_custom_charges"]["charges"]
        assert {row["name"]: (row["total"], row["total_tax"]) for row in rows} == {
            "Shipping": (100, 10),
            "Coupon: Test Coupon": (-10, 0),
        }
        assert (sale["total_price"], sale["total_tax"]) == (590, 10)
        assert [payment["amount"] for payment in sale["payments"]] == [600]

    await eventually(is_posted, WITHIN_S)
    order = await order_of(installed, "EBJFT")
    request = order_pb2.GetSaleRequest(sale_id=order.sale_id)
    sale = (await installed.owners.call(installed.owners.orders.GetSale, request)).sale
    assert (sale.paid, sale.payments[0].method) == (True, "Online payment")
    assert not sale.HasField("difference")
    assert [discount.code for discount in sale.discounts] == ["DISC"]
    assert order.document.fulfillment_status == order_pb2.FULFILLMENT_STATUS_SHIPPED


# Levels, products, sales and customers, in the shapes that the platform is known to send.

LEVEL: Mapping[str, Any] = {
    "id": "7896f269-0001-4000-8000-000000000001",
    "product_id": MUG,
    "outlet_id": MAIN,
    "count": "3.00000",
    "attributed_cost": "0.00000",
    "reorder_point": "5.00000",
    "restock_level": "10.00000",
    "product": {"id": MUG},
    "outlet": {"id": MAIN},
    "version": LATE,
}


async def test_a_level_is_taken_once_however_often_it_comes(installed: Installation) -> None:
    """What is finer than a thousandth is rounded down: no more is promised than there is."""
    newer = {**LEVEL, "count": "4.50099", "version": LATE + 1}
    for payload in (LEVEL, newer, LEVEL, newer):
        assert (await from_pos(installed, payload)).status_code == 200

    assert await levels(installed) == {MAIN: "4.5", HARBOUR: "5"}


async def test_an_event_of_an_item_says_only_which_one_is_to_be_read(
    installed: Installation,
) -> None:
    hint = {name: LEVEL[name] for name in ("id", "product_id", "outlet_id")}
    assert (await from_pos(installed, hint)).status_code == 200

    assert await levels(installed) == {MAIN: "12", HARBOUR: "5"}


@pytest.mark.rule("ORD-05")
async def test_a_captured_sale_is_in_the_history(installed: Installation) -> None:
    sale = {
        "id": "5a17ab1e-0009-4000-8000-000000000001",
        "sale_date": "2015-08-18 23:28:00",
        "status": "CLOSED",
        "user_id": "u",
        "customer_id": None,
        "register_id": shop.REGISTER_HARBOUR_ID,
        "invoice_number": "7",
        "short_code": "abc",
        "note": "",
        "totals": {
            "total_price": "20.00",
            "total_tax": "3.00",
            "total_payment": "23.00",
            "total_to_pay": "0.00",
        },
        "customer": {},
        "user": {},
        "register_sale_products": [{"product_id": MUG, "quantity": 1, "price": 20, "tax": 3}],
        "register_sale_payments": [{"name": "Cash", "amount": 23}],
        "taxes": [],
        "version": LATE,
    }
    for _ in range(2):
        assert (await from_pos(installed, sale, "sale.update")).status_code == 200

    owners = installed.owners
    answer = await owners.call(owners.orders.ListSales, order_pb2.ListSalesRequest())
    assert [(s.sale_id, s.outlet_id, s.total.units) for s in answer.sales] == [
        (sale["id"], HARBOUR, 23)
    ]


# What is refused changes nothing.


BAD_EVENTS_OF_THE_TILL: Sequence[tuple[Any, Mapping[str, str], int, str]] = [
    (LEVEL, {"secret": "wrong"}, 401, "SIGNATURE_INVALID"),
    (LEVEL, {"channel_id": "ghost"}, 404, "CONNECTION_NOT_FOUND"),
    ("{", {}, 400, "INVALID_FIELD"),
    ("[]", {}, 400, "INVALID_FIELD"),
    ("NaN", {}, 400, "INVALID_FIELD"),
    ({"count": "3"}, {}, 400, "INVALID_FIELD"),
    ({**LEVEL, "outlet_id": "ghost"}, {}, 404, "OUTLET_NOT_FOUND"),
    ({**LEVEL, "product_id": "ghost"}, {}, 404, "ITEM_NOT_FOUND"),
    ({**LEVEL, "product_id": f"{MUG}\x00"}, {}, 400, "INVALID_FIELD"),
    ({**LEVEL, "count": "9" * 17}, {}, 400, "INVALID_FIELD"),
    ({**LEVEL, "note": "x" * 1024 * 1024}, {}, 413, "BODY_TOO_LARGE"),
]
BAD_EVENTS_OF_THE_STORE: Sequence[tuple[Mapping[str, Any], int, str]] = [
    ({"secret": "wrong"}, 401, "SIGNATURE_INVALID"),
    ({"channel_id": "ghost"}, 404, "CONNECTION_NOT_FOUND"),
    ({"storeId": 1004}, 401, "SIGNATURE_INVALID"),
    ({"eventCreated": 1_500_000_000}, 401, "WEBHOOK_STALE"),
    ({"data": {}}, 400, "INVALID_FIELD"),
    ({"data": {"orderId": "K8\x00"}}, 400, "INVALID_FIELD"),
]


async def test_a_bad_event_is_told_what_is_wrong_and_changes_nothing(
    installed: Installation,
) -> None:
    """One installation for all rows: each leaves it as it was."""
    for payload, more, status, reason in BAD_EVENTS_OF_THE_TILL:
        answer = await from_pos(installed, payload, **more)
        seen = answer.status_code, error_of(answer)["reason"]
        assert (status, reason) == seen, (payload, more, answer.text)
        assert await levels(installed) == {MAIN: "12", HARBOUR: "5"}

    for changes, status, reason in BAD_EVENTS_OF_THE_STORE:
        answer = await from_store(installed, **changes)
        seen = answer.status_code, error_of(answer)["reason"]
        assert (status, reason) == seen, (changes, answer.text)
    owners = installed.owners
    orders = await owners.call(owners.orders.ListOrders, order_pb2.ListOrdersRequest())
    assert list(orders.orders) == []


@pytest.mark.rule("BEY-16")
async def test_the_echo_of_our_own_write_changes_nothing(installed: Installation) -> None:
    await installed.sell_online(MUG)

    async def shows(quantity: int) -> None:
        assert quantity == await installed.shown()

    await eventually(lambda: shows(17), WITHIN_S)
    await installed.count(MUG, MAIN, 3)
    await eventually(lambda: shows(8), WITHIN_S)
    await asyncio.sleep(0.5)
    written = len(installed.store.ledger.rows("PUT"))

    product = await installed.in_store(MUG)
    assert product is not None
    for _ in range(3):
        echo = {"entityId": product["id"], "eventType": "product.updated", "data": None}
        assert (await from_store(installed, **echo)).status_code == 200

    await asyncio.sleep(0.5)
    assert await levels(installed) == {MAIN: "3", HARBOUR: "5"}
    assert written == len(installed.store.ledger.rows("PUT"))
