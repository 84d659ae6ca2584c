"""Webhooks over real HTTP: what is taken, what is refused, and what the owner was asked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gateway import webhooks
from gateway.app import create_app
from gateway.connections import Connections, Platforms
from gateway.edge import BODY_BYTES_MAX
from gateway.owners import Owners
from gateway.sandbox import lightspeed_x as sandbox
from gateway.sandbox import shop
from gateway.sandbox.ecwid.events import signature as store_signature
from gateway.sandbox.lightspeed_x.subscriptions import signature as pos_signature
from gateway.sandbox.server import SandboxServer
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.errors import DomainError
from tests.gateway.served import CONTEXTS, Call, Served, backend, error_of, listening
from tests.harness import KEY
from tillbridge.inventory.v1 import channels_pb2

POS_SECRET, STORE_SECRET = "sandbox-pos-secret", "sandbox-store-secret"
MUG = shop.product_id("MUG")
POS_PATH, STORE_PATH = "/webhooks/lightspeed-x/ch", "/webhooks/ecwid/ch"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A gateway whose one channel is connected to a simulated till and to some store."""
    async with AsyncExitStack() as stack:
        pos = await stack.enter_async_context(SandboxServer(sandbox.LightspeedX()))
        backends = {name: await stack.enter_async_context(backend(name)) for name in CONTEXTS}
        channels = {name: connect(one.address) for name, one in backends.items()}
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        platforms = Platforms(600)
        stack.push_async_callback(platforms.close)
        owners = Owners.reached_by(channels, Identity(Tokens(KEY), "gateway"))
        app = create_app(channels, routes=webhooks.routes(Connections(owners, platforms)))
        address = await stack.enter_async_context(listening(app))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=10))
        found = Served(http, backends)
        found.answer("ListConnections", connections(pos.url))
        yield found


def connections(pos_url: str) -> channels_pb2.ListConnectionsResponse:
    pos = channels_pb2.Connection(
        merchant_id="mug-shop",
        channel_id="ch",
        side=channels_pb2.CONNECTION_SIDE_POS,
        platform="lightspeed-x",
        base_url=pos_url,
        account="saltmarsh",
        access_token="sandbox-pos-token",
        webhook_secret=POS_SECRET,
    )
    store = channels_pb2.Connection(
        merchant_id="mug-shop",
        channel_id="ch",
        side=channels_pb2.CONNECTION_SIDE_STORE,
        platform="ecwid",
        base_url="http://127.0.0.1:1",
        account="1003",
        access_token="secret_x",
        webhook_secret=STORE_SECRET,
    )
    return channels_pb2.ListConnectionsResponse(connections=[pos, store])


async def post_pos(
    served: Served, payload: Any, kind: str = "inventory.update", **headers: str
) -> httpx.Response:
    body = urlencode({"payload": json.dumps(payload), "type": kind}).encode()
    signed = {"X-Signature": pos_signature(POS_SECRET, body)}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return await served.http.post(POS_PATH, content=body, headers={**form, **signed, **headers})


async def post_store(served: Served, **changes: Any) -> httpx.Response:
    event = {
        "eventId": "e-1",
        "eventCreated": int(time.time()),
        "storeId": 1003,
        "entityId": 1,
        "eventType": "order.created",
        "data": {"orderId": "XJ12H"},
        **changes,
    }
    header = store_signature(STORE_SECRET, event["eventCreated"], event["eventId"])
    return await served.http.post(
        STORE_PATH, json=event, headers={"X-Ecwid-Webhook-Signature": header}
    )


def level(**changes: Any) -> Mapping[str, Any]:
    return {"product_id": MUG, "outlet_id": "main", "count": "3.00000", "version": 8, **changes}


def asked(served: Served, method: str) -> list[Call]:
    return [call for call in served.calls if call.method == method]


async def test_a_level_goes_to_its_owner_before_it_is_acknowledged(served: Served) -> None:
    answer = await post_pos(served, level())

    assert answer.status_code == 200
    [call] = asked(served, "RecordCounts")
    [count] = call.request.counts
    assert (
        count.item_id,
        count.outlet_id,
        count.quantity,
        count.version,
    ) == (MUG, "main", "3", 8)
    assert call.request.request_id.startswith(f"lightspeed-x/inventory/{MUG}/main/8/")
    assert call.values("tillbridge-merchant") == ["mug-shop"]


async def test_copies_of_an_event_carry_one_request_id(served: Served) -> None:
    await asyncio.gather(*(post_pos(served, level()) for _ in range(5)))

    ids = [call.request.request_id for call in asked(served, "RecordCounts")]
    assert (len(ids), len(set(ids))) == (5, 1)


@pytest.mark.parametrize("changes", [{"count": None}, {"count": "many"}, {"version": None}])
async def test_a_level_that_is_not_said_is_read_and_never_zero(
    served: Served, changes: Mapping[str, Any]
) -> None:
    assert (await post_pos(served, level(**changes))).status_code == 200

    quantities = [c.quantity for call in asked(served, "RecordCounts") for c in call.request.counts]
    assert quantities == ["12", "5"]


async def test_a_product_is_read_whole(served: Served) -> None:
    variant = shop.product_id("TEE-L-SAND")
    assert (await post_pos(served, {"id": variant}, "product.update")).status_code == 200

    [call] = asked(served, "BatchUpsertProducts")
    [product] = call.request.products
    assert (shop.product_id("TEE-S-NAVY"), 6) == (product.product_id, len(product.variants))


async def test_events_of_no_concern_are_acknowledged(served: Served) -> None:
    answers = [
        await post_pos(served, {"id": "x"}, "register_closure.create"),
        await post_pos(served, {"id": "c", "deleted_at": "2026"}, "customer.update"),
        await post_store(served, eventType="category.updated", data=None),
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert {"ListConnections"} == {call.method for call in served.calls}


@pytest.mark.rule("ORD-11")
async def test_an_order_event_is_only_a_hint(served: Served) -> None:
    for _ in range(3):
        assert (await post_store(served)).status_code == 200
    altered = await post_store(served, data={"orderId": "OTHER"})

    assert altered.status_code == 200
    calls = asked(served, "ReportOrderChange")
    assert [(call.request.channel_id, call.request.order_id) for call in calls] == [
        ("ch", "XJ12H")
    ] * 3 + [("ch", "OTHER")]
    ids = [call.request.request_id for call in calls]
    assert (len(set(ids[:3])), len(set(ids))) == (1, 2)


async def test_a_wrong_signature_changes_nothing(served: Served) -> None:
    wrong = {"X-Signature": "signature=00,algorithm=HMAC-SHA256"}
    answers = [
        await post_pos(served, level(), **wrong),
        await served.http.post(STORE_PATH, json={"eventId": "e", "eventCreated": 1}),
        await post_store(served, storeId=1004),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert {"SIGNATURE_INVALID"} == {reason(answer) for answer in answers}
    assert {"ListConnections"} == {call.method for call in served.calls}


async def test_a_replay_of_long_ago_is_stale(served: Served) -> None:
    answer = await post_store(served, eventCreated=1_500_000_000)

    assert (answer.status_code, reason(answer)) == (401, "WEBHOOK_STALE")


@pytest.mark.parametrize(
    ("path", "body", "header", "field"),
    [
        (POS_PATH, b"type=x", "X-Signature", "payload"),
        (POS_PATH, b"payload=%7B", "X-Signature", "payload"),
        (STORE_PATH, b"{", "X-Ecwid-Webhook-Signature", "body"),
    ],
)
async def test_a_malformed_body_is_told_what_is_wrong(
    served: Served, path: str, body: bytes, header: str, field: str
) -> None:
    headers = {header: pos_signature(POS_SECRET, body)}
    answer = await served.http.post(path, content=body, headers=headers)

    assert answer.status_code == 400
    assert field in error_of(answer)["message"]


async def test_an_event_that_names_nothing_is_told_so(served: Served) -> None:
    answer = await post_pos(served, {"count": "3"})

    assert (answer.status_code, "product_id" in error_of(answer)["message"]) == (400, True)


@pytest.mark.parametrize("path", ["/webhooks/lightspeed-x/ghost", "/webhooks/ecwid/ghost"])
async def test_an_unknown_channel_is_not_found(served: Served, path: str) -> None:
    served.answer(
        "ListConnections", DomainError("CONNECTION_NOT_FOUND", "none", channel_id="ghost")
    )

    answer = await served.http.post(path, content=b"payload=1")

    assert (answer.status_code, reason(answer)) == (404, "CONNECTION_NOT_FOUND")


async def test_a_side_that_is_not_connected_is_not_found(served: Served) -> None:
    served.answer(
        "ListConnections",
        channels_pb2.ListConnectionsResponse(connections=[connections("").connections[1]]),
    )

    assert (await post_pos(served, level())).status_code == 404


@pytest.mark.parametrize(
    "down",
    [DomainError("SERVICE_UNAVAILABLE", "down"), DomainError("OVERLOADED", "busy"), ValueError()],
)
async def test_a_service_that_is_down_has_the_event_sent_again(
    served: Served, down: Exception
) -> None:
    served.answer("RecordCounts", down)
    served.answer("ReportOrderChange", down)

    answers = [await post_pos(served, level()), await post_store(served)]

    assert [answer.status_code for answer in answers] == [503] * 2
    assert all("Retry-After" in answer.headers for answer in answers)


async def test_what_the_owner_refuses_is_passed_on(served: Served) -> None:
    served.answer("RecordCounts", DomainError("QUANTITY_OUT_OF_RANGE", "too many"))

    answer = await post_pos(served, level(count="999999999999"))

    assert (answer.status_code, reason(answer)) == (400, "QUANTITY_OUT_OF_RANGE")


async def test_a_body_over_the_limit_is_refused(served: Served) -> None:
    answer = await served.http.post(POS_PATH, content=b"x" * (BODY_BYTES_MAX + 1))

    assert (answer.status_code, reason(answer)) == (413, "BODY_TOO_LARGE")


async def test_only_posts_are_taken(served: Served) -> None:
    assert (await served.http.get(POS_PATH)).status_code == 405


def reason(answer: httpx.Response) -> str:
    found: str = error_of(answer)["reason"]
    return found
