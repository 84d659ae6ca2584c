"""Sales of the simulated POS, and what they do to its stock."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x import LightspeedX
from gateway.sandbox.lightspeed_x.sale_rules import STATUSES, DeductOn, takes_stock
from gateway.sandbox.server import SandboxServer
from tests.gateway.sandbox.receiver import api_client

MUG = shop.product_id("MUG")
TEA = shop.product_id("TEA")
MAIN, HARBOUR = shop.OUTLET_MAIN_ID, shop.OUTLET_HARBOUR_ID


def line(product_id: str = MUG, quantity: float = 2) -> dict[str, Any]:
    return {"product_id": product_id, "quantity": quantity, "price": 20, "tax": 3}


def sale(status: str, **changes: Any) -> dict[str, Any]:
    return {
        "register_id": shop.REGISTER_ONLINE_ID,
        "status": status,
        "source": "ECOMMERCE",
        "source_id": "XJ12H",
        "register_sale_products": [line()],
        **changes,
    }


async def post(api: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await api.post("/api/register_sales", json=body)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()["register_sale"]
    return reply


async def on_hand(api: httpx.AsyncClient, product_id: str = MUG, outlet: str = MAIN) -> float:
    rows = (await api.get(f"/api/2.0/products/{product_id}/inventory")).json()["data"]
    return float(next(row["inventory_level"] for row in rows if row["outlet_id"] == outlet))


@pytest.mark.parametrize(
    ("status", "state", "attributes", "on_order", "on_fulfil"),
    [
        ("SAVED", "parked", [], 12, 12),
        ("CLOSED", "closed", [], 10, 10),
        ("ONACCOUNT", "pending", ["onaccount"], 10, 10),
        ("ONACCOUNT_CLOSED", "closed", ["onaccount"], 10, 10),
        ("LAYBY", "pending", ["layby"], 10, 10),
        ("LAYBY_CLOSED", "closed", ["layby"], 10, 10),
        ("AWAITING_DISPATCH", "pending", ["delivery"], 10, 12),
        ("DISPATCHED_CLOSED", "closed", ["delivery"], 10, 10),
        ("AWAITING_PICKUP", "pending", ["pickup"], 10, 12),
        ("PICKED_UP_CLOSED", "closed", ["pickup"], 10, 10),
        ("SERVICE", "pending", ["service"], 12, 12),
        ("SERVICE_CLOSED", "closed", ["service"], 12, 12),
        ("VOIDED", "voided", [], 12, 12),
    ],
)
async def test_each_status_has_its_state_and_its_stock(
    status: str, state: str, attributes: list[str], on_order: float, on_fulfil: float
) -> None:
    assert set(STATUSES) >= {status}
    for deduct_on, expected in (("order", on_order), ("fulfil", on_fulfil)):
        assert (expected == 10) == takes_stock(status, DeductOn(deduct_on))
        pos = LightspeedX(deduct_on=deduct_on)
        async with SandboxServer(pos) as server, api_client(server.url, "sandbox-pos-token") as api:
            reply = await post(api, sale(status))
            shown = (await api.get(f"/api/2.0/sales/{reply['id']}")).json()["data"]
            assert (state, attributes) == (shown["state"], shown["attributes"])
            assert expected == await on_hand(api)


async def test_stock_leaves_the_outlet_of_the_register(pos_api: httpx.AsyncClient) -> None:
    await post(pos_api, sale("CLOSED", register_id=shop.REGISTER_HARBOUR_ID))
    assert (await on_hand(pos_api), await on_hand(pos_api, outlet=HARBOUR)) == (12, 3)


async def test_a_level_that_includes_a_sale_has_a_higher_version(
    pos_api: httpx.AsyncClient,
) -> None:
    before = (await pos_api.get(f"/api/2.0/products/{MUG}/inventory")).json()["data"]
    reply = await post(pos_api, sale("CLOSED"))
    after = (await pos_api.get(f"/api/2.0/products/{MUG}/inventory")).json()["data"]
    touched = next(row for row in after if row["outlet_id"] == MAIN)
    assert max(row["version"] for row in before) < reply["version"] < touched["version"]


async def test_a_repeat_with_the_clients_id_is_one_sale(pos_api: httpx.AsyncClient) -> None:
    payments = [{"retailer_payment_type_id": shop.PAYMENT_ECOMMERCE_ID, "amount": 46}]
    body = sale("AWAITING_PICKUP", id=str(uuid4()), register_sale_payments=payments)
    first, again = await post(pos_api, body), await post(pos_api, body)
    assert body["id"] == first["id"] == again["id"]
    assert first["invoice_number"] == again["invoice_number"] == "WEB-1000"
    assert first["register_sale_products"] == again["register_sale_products"]
    assert len(again["register_sale_payments"]) == 1
    assert await on_hand(pos_api) == 10
    rows = (await pos_api.get("/api/2.0/sales")).json()["data"]
    assert [row["source_id"] for row in rows] == ["XJ12H"]


async def test_a_repeat_without_id_is_a_second_sale(pos_api: httpx.AsyncClient) -> None:
    await post(pos_api, sale("CLOSED"))
    await post(pos_api, sale("CLOSED"))
    rows = (await pos_api.get("/api/2.0/sales")).json()["data"]
    assert [row["source_id"] for row in rows] == ["XJ12H", "XJ12H"]
    assert await on_hand(pos_api) == 8


async def test_a_sale_is_paid_later_by_posting_it_whole(pos_api: httpx.AsyncClient) -> None:
    body = sale("AWAITING_DISPATCH", id=str(uuid4()))
    unpaid = await post(pos_api, body)
    payment = {"retailer_payment_type_id": shop.PAYMENT_CARD_ID, "amount": "46.00"}
    paid = await post(pos_api, {**body, "register_sale_payments": [payment]})
    assert unpaid["totals"]["total_to_pay"] == "46.00"
    assert paid["totals"]["total_to_pay"] == "0.00"
    assert [p["name"] for p in paid["register_sale_payments"]] == ["Credit Card"]
    assert await on_hand(pos_api) == 10


async def test_an_edit_moves_only_the_difference(pos_api: httpx.AsyncClient) -> None:
    body = sale("CLOSED", id=str(uuid4()), register_sale_products=[line(MUG, 2), line(TEA, 1)])
    await post(pos_api, body)
    await post(pos_api, {**body, "register_sale_products": [line(MUG, 5)]})
    assert (await on_hand(pos_api), await on_hand(pos_api, TEA)) == (7, 15)
    await post(pos_api, {**body, "register_id": shop.REGISTER_HARBOUR_ID})
    assert (await on_hand(pos_api), await on_hand(pos_api, outlet=HARBOUR)) == (12, 3)
    assert await on_hand(pos_api, TEA, HARBOUR) == 7


async def test_voiding_returns_stock_and_payments_and_is_final(
    pos_api: httpx.AsyncClient,
) -> None:
    payments = [{"retailer_payment_type_id": shop.PAYMENT_CASH_ID, "amount": 46}]
    body = sale("CLOSED", id=str(uuid4()), register_sale_payments=payments)
    await post(pos_api, body)
    voided = await post(pos_api, {**body, "status": "VOIDED"})
    assert voided["register_sale_payments"] == []
    assert await on_hand(pos_api) == 12
    await post(pos_api, {**body, "status": "VOIDED"})
    assert (await pos_api.post("/api/register_sales", json=body)).status_code == 422
    assert await on_hand(pos_api) == 12


async def test_stock_may_go_below_zero_and_has_fractions(pos_api: httpx.AsyncClient) -> None:
    rope = shop.product_id("ROPE")
    await post(pos_api, sale("CLOSED", register_sale_products=[line(rope, 40.25)]))
    assert await on_hand(pos_api, rope) == -2.75


async def test_a_return_is_a_new_parked_sale_that_returns_stock_when_closed(
    pos_api: httpx.AsyncClient,
) -> None:
    original = await post(pos_api, sale("CLOSED"))
    reply = await pos_api.put(f"/api/2.0/sales/{original['id']}/actions/return")
    returned = reply.json()["data"]
    assert ("SAVED", original["id"]) == (returned["status"], returned["return_for"])
    assert [returned["line_items"][0][key] for key in ("quantity", "is_return")] == [-2, True]
    assert (returned["total_price"], returned["total_tax"]) == (-40, -6)
    assert await on_hand(pos_api) == 10
    lines = [{"id": returned["line_items"][0]["id"], **line(MUG, -2)}]
    done = sale("CLOSED", id=returned["id"], return_for=original["id"])
    await post(pos_api, {**done, "register_sale_products": lines})
    assert await on_hand(pos_api) == 12
    parked = await post(pos_api, sale("SAVED"))
    refused = await pos_api.put(f"/api/2.0/sales/{parked['id']}/actions/return")
    assert refused.status_code == 422


async def test_only_a_paid_sale_of_the_right_kind_is_fulfilled(
    pos_api: httpx.AsyncClient,
) -> None:
    body = sale("AWAITING_PICKUP", id=str(uuid4()))
    await post(pos_api, body)
    path = f"/api/2.0/sales/{body['id']}/fulfill"
    picked_up = {"fulfillment_type": "PICKED_UP"}
    assert (await pos_api.post(path, json=picked_up)).status_code == 422
    payment = {"retailer_payment_type_id": shop.PAYMENT_CASH_ID, "amount": 46}
    await post(pos_api, {**body, "register_sale_payments": [payment]})
    assert (await pos_api.post(path, json={"fulfillment_type": "SHIPPED"})).status_code == 422
    assert (await pos_api.post(path, json={})).status_code == 422
    done = (await pos_api.post(path, json=picked_up)).json()["data"]
    assert (done["status"], done["outlet_id"]) == ("PICKED_UP", MAIN)
    listed = (await pos_api.get(f"/api/2.0/sales/{body['id']}/fulfillments")).json()["data"]
    assert [done] == listed
    shown = (await pos_api.get(f"/api/2.0/sales/{body['id']}")).json()["data"]
    assert (shown["status"], shown["state"]) == ("PICKED_UP_CLOSED", "closed")
    assert await on_hand(pos_api) == 10


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"register_id": None}, "register_id"),
        ({"register_id": "nowhere"}, "register_id"),
        ({"status": "SORT_OF_DONE"}, "status"),
        ({"id": "seven"}, "id"),
        ({"sale_date": "yesterday"}, "sale_date"),
        ({"customer_id": str(uuid4())}, "customer_id"),
        ({"register_sale_products": [{"quantity": 1, "price": 1}]}, "register_sale_products"),
        ({"register_sale_products": [line(str(uuid4()))]}, "register_sale_products"),
        ({"register_sale_payments": [{"amount": 5}]}, "register_sale_payments"),
    ],
)
async def test_a_sale_that_is_not_acceptable_changes_nothing(
    pos_api: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    response = await pos_api.post("/api/register_sales", json={**sale("CLOSED"), **changes})
    assert (422, [field]) == (response.status_code, list(response.json()["errors"]))
    assert (await pos_api.get("/api/2.0/sales")).json()["data"] == []
    assert await on_hand(pos_api) == 12


async def test_an_old_sale_can_be_posted_after_its_product_is_gone(
    pos_api: httpx.AsyncClient,
) -> None:
    body = sale("AWAITING_PICKUP", id=str(uuid4()))
    await post(pos_api, body)
    await pos_api.delete(f"/api/2.0/products/{MUG}")
    assert (await post(pos_api, {**body, "status": "CLOSED"}))["status"] == "CLOSED"


def dated(**changes: Any) -> dict[str, Any]:
    """A sale in the shape of 2026-07: two mugs from Main, one from Harbour."""
    mug = {"product": {"id": MUG}, "pricing": {"price": 20}, "status": "CONFIRMED"}
    tax = {"id": shop.TAX_GST_ID, "amount": 3}
    return {
        "source": {
            "author_id": shop.USER_ID,
            "register_id": shop.REGISTER_ONLINE_ID,
            "id": "XJ12H",
            "type": "ECOMMERCE",
        },
        "state": "pending",
        "attributes": ["delivery"],
        "line_items": [
            {**mug, "tax": tax, "quantity": 2},
            {**mug, "tax": tax, "quantity": 1, "fulfilment_outlet_id": HARBOUR},
        ],
        "ecom_custom_charges": [{"name": "Shipping", "total": 5}],
        **changes,
    }


async def write(api: httpx.AsyncClient, method: str, path: str, body: Any) -> dict[str, Any]:
    response = await api.request(method, f"/api/2026-07/sales{path}", json=body)
    assert response.status_code == 200, response.text
    sale: dict[str, Any] = response.json()["data"]
    return sale


async def test_each_line_takes_the_stock_of_the_outlet_that_fulfills_it(
    pos_api: httpx.AsyncClient,
) -> None:
    sale_id = str(uuid4())
    made = await write(pos_api, "POST", "", dated(id=sale_id))
    assert (made["id"], made["source"]["outlet_id"]) == (sale_id, MAIN)
    assert (made["totals"]["price"], made["totals"]["price_incl_tax"]) == (65, 74)
    assert (await on_hand(pos_api), await on_hand(pos_api, outlet=HARBOUR)) == (10, 4)
    rows = (await pos_api.get(f"/api/2.0/products/{MUG}/inventory")).json()["data"]
    assert min(row["version"] for row in rows) > made["_metadata"]["version"]
    again = await pos_api.post("/api/2026-07/sales", json=dated(id=sale_id))
    assert again.status_code == 409
    paid = {"amount": 74, "type": {"config_id": shop.PAYMENT_CARD_ID}}
    await write(pos_api, "PUT", f"/{sale_id}", dated(payments=[paid]))
    assert (await on_hand(pos_api), await on_hand(pos_api, outlet=HARBOUR)) == (10, 4)
    shipped = {"fulfillment_type": "SHIPPED"}
    assert (await pos_api.post(f"/api/2.0/sales/{sale_id}/fulfill", json=shipped)).is_success
    parts = (await pos_api.get(f"/api/2.0/sales/{sale_id}/fulfillments")).json()["data"]
    assert [(part["outlet_id"], part["line_items"][0]["quantity"]) for part in parts] == [
        (MAIN, 2),
        (HARBOUR, 1),
    ]
    shown = (await pos_api.get(f"/api/2.0/sales/{sale_id}")).json()["data"]
    assert (shown["status"], shown["total_price"]) == ("DISPATCHED_CLOSED", 65)
    void = await write(pos_api, "PUT", f"/{sale_id}", dated(state="voided"))
    assert (void["state"], void["payments"]) == ("voided", [])
    assert (await on_hand(pos_api), await on_hand(pos_api, outlet=HARBOUR)) == (12, 5)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"source": None}, 422),
        ({"source": {"register_id": shop.REGISTER_ONLINE_ID}}, 422),
        ({"state": "sold"}, 422),
        ({"attributes": ["delivery", "pickup"]}, 422),
        ({"line_items": [{"product": {"id": MUG}, "quantity": 1}]}, 422),
        ({"fulfillment_outlet_id": "nowhere"}, 422),
    ],
)
async def test_a_dated_sale_that_is_not_acceptable_changes_nothing(
    pos_api: httpx.AsyncClient, changes: dict[str, Any], status: int
) -> None:
    reply = await pos_api.post("/api/2026-07/sales", json=dated(**changes))
    assert reply.status_code == status
    assert (await pos_api.put(f"/api/2026-07/sales/{uuid4()}", json=dated())).status_code == 404
    assert await on_hand(pos_api) == 12
