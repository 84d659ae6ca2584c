"""Webhooks of the simulated store: envelope, signature, echoes, retries."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from gateway.sandbox.ecwid import Ecwid
from gateway.sandbox.server import SandboxServer
from tests.gateway.sandbox.conftest import STORE_SECRET
from tests.gateway.sandbox.receiver import Receiver, eventually


@pytest.fixture(autouse=True)
async def listening(store_server: SandboxServer, receiver: Receiver) -> None:
    async with httpx.AsyncClient() as client:
        url = f"{store_server.url}/sandbox/webhook"
        await client.put(url, json={"url": f"{receiver.url}?shop=salt"})
        assert (await client.put(url, json={"url": "here"})).status_code == 400
        assert (await client.get(url)).json() == {"url": f"{receiver.url}?shop=salt"}


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in receiver.calls]


def of_type(receiver: Receiver, event_type: str) -> dict[str, Any]:
    (event,) = [event for event in events(receiver) if event["eventType"] == event_type]
    return event


async def test_an_event_is_signed_over_its_head(
    store_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = (await store_api.post("products", json={"name": "Mug"})).json()["id"]
    (call,) = await receiver.until(lambda calls: len(calls) == 1)
    event = json.loads(call.body)
    signed = f"{event['eventCreated']}.{event['eventId']}".encode()
    digest = hmac.new(STORE_SECRET.encode(), signed, hashlib.sha256).digest()
    assert call.headers["x-ecwid-webhook-signature"] == base64.b64encode(digest).decode()
    assert call.query == {"shop": "salt", "eventtype": "product.created"}
    assert {k: event[k] for k in ("storeId", "entityId", "eventType")} == {
        "storeId": 1003,
        "entityId": made,
        "eventType": "product.created",
    }
    assert "data" not in event


async def test_an_order_tells_of_itself_its_customer_and_the_stock(
    store_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    mug = (await store_api.post("products", json={"name": "Mug", "quantity": 3})).json()["id"]
    body = {"subtotal": 1, "total": 1, "email": "a@b.nz", "items": [{"productId": mug}]}
    made = (await store_api.post("orders", json=body)).json()
    await receiver.until(lambda calls: len(calls) == 4)
    created = of_type(receiver, "order.created")
    assert created["entityId"] == made["id"]
    assert created["data"] == {
        "orderId": made["orderid"],
        "newPaymentStatus": "AWAITING_PAYMENT",
        "newFulfillmentStatus": "AWAITING_PROCESSING",
    }
    assert of_type(receiver, "product.updated")["entityId"] == mug
    assert of_type(receiver, "customer.created")["data"] == {"customerEmail": "a@b.nz"}


async def test_writes_over_the_api_echo_with_old_and_new_status(
    store_api: httpx.AsyncClient, receiver: Receiver
) -> None:
    body = {"subtotal": 1, "total": 1, "email": "a@b.nz", "paymentStatus": "INCOMPLETE"}
    order_id = (await store_api.post("orders", json=body)).json()["orderid"]
    for change in ({"paymentStatus": "PAID"}, {"fulfillmentStatus": "SHIPPED"}):
        await store_api.put(f"orders/{order_id}", json=change)
    await store_api.delete(f"orders/{order_id}")
    await receiver.until(lambda calls: len(calls) == 4)
    assert {event["eventType"] for event in events(receiver)} == {
        "unfinished_order.created",
        "order.created",
        "order.updated",
        "order.deleted",
    }
    assert of_type(receiver, "order.updated")["data"] == {
        "orderId": order_id,
        "oldPaymentStatus": "PAID",
        "newPaymentStatus": "PAID",
        "oldFulfillmentStatus": "AWAITING_PROCESSING",
        "newFulfillmentStatus": "SHIPPED",
    }


@pytest.mark.parametrize(
    ("status", "accepted"),
    [(200, True), (202, True), (209, True), (203, False), (208, False), (301, False)],
)
async def test_only_some_statuses_count_as_received(
    store: Ecwid,
    store_api: httpx.AsyncClient,
    receiver: Receiver,
    status: int,
    accepted: bool,
) -> None:
    receiver.answers.append(status)
    await store_api.post("categories", json={"name": "Kitchen"})
    await eventually(lambda: store.courier.rows()[0]["outcome"] == "delivered")
    assert len(receiver.calls) == (1 if accepted else 2)
    assert len({call.headers["x-ecwid-webhook-signature"] for call in receiver.calls}) == 1
