"""Webhooks of the simulated POS: subscriptions, shapes, signature, retries."""

import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x import LightspeedX
from tests.gateway.sandbox.conftest import POS_SECRET
from tests.gateway.sandbox.receiver import Receiver, eventually

MUG = shop.product_id("MUG")
TYPES = ("sale.update", "product.update", "customer.update", "inventory.update")


async def subscribe(api: httpx.AsyncClient, receiver: Receiver, *types: str) -> list[str]:
    ids = []
    for event_type in types:
        body = {"active": True, "type": event_type, "url": receiver.url}
        created = await api.post("/api/2.0/webhooks", json=body)
        assert created.status_code == 201
        ids.append(created.json()["data"]["id"])
    return ids


async def count_mugs(api: httpx.AsyncClient, amount: float) -> None:
    levels = [{"outlet_id": shop.OUTLET_MAIN_ID, "current_amount": amount}]
    await api.put(f"/api/2.1/products/{MUG}", json={"details": {"inventory": levels}})


def payloads(receiver: Receiver, event_type: str) -> list[dict[str, Any]]:
    forms = [call.form() for call in receiver.calls]
    return [json.loads(form["payload"]) for form in forms if form["type"] == event_type]


async def test_webhooks_are_managed_and_not_doubled(
    pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    first, second = await subscribe(pos_api, receiver, "sale.update", "product.update")
    body = {"active": True, "type": "sale.update", "url": receiver.url}
    refused = await pos_api.post("/api/2.0/webhooks", json=body)
    assert (refused.status_code, list(refused.json())) == (409, ["error"])
    path = f"/api/2.0/webhooks/{second}"
    assert (await pos_api.put(path, json={"type": "sale.update"})).status_code == 409
    changed = (await pos_api.put(path, json={"active": False})).json()["data"]
    assert changed["active"] is False
    assert changed == (await pos_api.get(path)).json()["data"]
    assert (await pos_api.delete(path)).status_code == 204
    assert (await pos_api.get(path)).status_code == 404
    rows = (await pos_api.get("/api/2.0/webhooks")).json()["data"]
    assert [first] == [row["id"] for row in rows]
    for wrong in ({"type": "sale.update"}, {"type": "rain", "url": receiver.url}, {"url": "ftp:/"}):
        assert (await pos_api.post("/api/2.0/webhooks", json=wrong)).status_code == 422


async def test_a_count_is_told_as_a_signed_form(
    pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await subscribe(pos_api, receiver, "inventory.update")
    await count_mugs(pos_api, 3)
    (call,) = await receiver.until(lambda calls: len(calls) == 1)
    digest = hmac.new(POS_SECRET.encode(), call.body, hashlib.sha256).hexdigest()
    assert call.headers["x-signature"] == f"signature={digest},algorithm=HMAC-SHA256"
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    form = call.form()
    assert form["domain_prefix"] == shop.DOMAIN_PREFIX
    payload = json.loads(form["payload"])
    rows = (await pos_api.get(f"/api/2.0/products/{MUG}/inventory")).json()["data"]
    row = next(r for r in rows if r["outlet_id"] == shop.OUTLET_MAIN_ID)
    assert payload["count"] == "3.00000"
    assert [payload[k] for k in ("id", "product_id", "outlet_id", "version")] == [
        row[k] for k in ("id", "product_id", "outlet_id", "version")
    ]


async def test_a_sale_tells_of_itself_and_of_the_levels_it_moved(
    pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await subscribe(pos_api, receiver, *TYPES)
    line = {"product_id": MUG, "quantity": 2, "price": 20, "tax": 3}
    wrap = {"product_id": shop.product_id("WRAP"), "quantity": 1, "price": 4, "tax": 0.6}
    body = {
        "register_id": shop.REGISTER_MAIN_ID,
        "status": "CLOSED",
        "customer_id": shop.CUSTOMER_MERE_ID,
        "register_sale_products": [line, wrap],
    }
    await pos_api.post("/api/register_sales", json=body)
    await receiver.until(lambda calls: len(calls) == 2)
    (sale,) = payloads(receiver, "sale.update")
    # What is not tracked has no level to tell of.
    (level,) = payloads(receiver, "inventory.update")
    assert (sale["status"], sale["customer"]["first_name"]) == ("CLOSED", "Mere")
    assert sale["totals"]["total_to_pay"] == "50.60"
    assert (level["count"], level["product"]["sku"]) == ("10.00000", "MUG")
    assert level["version"] > sale["version"]


async def test_products_and_customers_are_told_in_the_old_shape(
    pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await subscribe(pos_api, receiver, *TYPES)
    await pos_api.put(f"/api/2.1/products/{MUG}", json={"common": {"name": "Big mug"}})
    await pos_api.put(f"/api/2.0/customers/{shop.CUSTOMER_TOM_ID}", json={"note": "regular"})
    await receiver.until(lambda calls: len(calls) == 2)
    (product,) = payloads(receiver, "product.update")
    (customer,) = payloads(receiver, "customer.update")
    assert (product["name"], product["tags"]) == ("Big mug", "gift, stoneware")
    assert {row["outlet_name"]: row["count"] for row in product["inventory"]} == {
        "Main": "12.00000",
        "Harbour": "5.00000",
    }
    assert (customer["note"], customer["contact"]["last_name"]) == ("regular", "Okafor")


async def test_a_refused_webhook_is_tried_again_unchanged(
    pos: LightspeedX, pos_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await subscribe(pos_api, receiver, "inventory.update")
    receiver.answers.extend([500, 302])
    await count_mugs(pos_api, 1)
    calls = await receiver.until(lambda calls: len(calls) == 3)
    assert len({call.body for call in calls}) == 1
    await eventually(lambda: pos.courier.rows()[0]["outcome"] == "delivered")
    seen = (await pos_api.get("/sandbox/deliveries")).json()["deliveries"]
    assert [attempt["status"] for attempt in seen[0]["attempts"]] == [500, 302, 200]


async def test_a_webhook_nobody_takes_is_given_up(
    pos: LightspeedX, pos_api: httpx.AsyncClient
) -> None:
    body = {"type": "inventory.update", "url": "http://127.0.0.1:9/hook"}
    await pos_api.post("/api/2.0/webhooks", json=body)
    await count_mugs(pos_api, 1)
    await eventually(lambda: pos.courier.rows()[0]["outcome"] == "given_up")
    assert {a["error"] for a in pos.courier.rows()[0]["attempts"]} == {"ConnectError"}


@pytest.mark.parametrize("active", [True, False])
async def test_only_active_webhooks_fire(
    pos: LightspeedX, pos_api: httpx.AsyncClient, receiver: Receiver, active: bool
) -> None:
    body = {"active": active, "type": "inventory.update", "url": receiver.url}
    await pos_api.post("/api/2.0/webhooks", json=body)
    await count_mugs(pos_api, 1)
    assert len(pos.courier.rows()) == int(active)
