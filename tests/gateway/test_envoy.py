"""Envoy's transcoder reads the same annotations: it must take what we take, and as we do."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import contracts
from tests.gateway.served import Backend, Served, backend, served
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVOY = Path(sys.executable).with_name("envoy")

ANSWERS = {
    "GetChannel": channels_pb2.GetChannelResponse(
        channel=channels_pb2.Channel(
            channel_id="c",
            profile=channels_pb2.PROFILE_RETAIL_X_ECOM,
            connected_outlet_ids=["a"],
            policies=channels_pb2.ChannelPolicies(external_pos=True),
        )
    ),
    "GetStockLevel": inventory_pb2.GetStockLevelResponse(
        level=inventory_pb2.StockLevel(item_id="mug", version=2**60)
    ),
    "DeleteProduct": catalog_pb2.DeleteProductResponse(deleted=True),
}

# Requests that mean the same to both: the same RPC with the same request, the same JSON back; or
# that both refuse.
SAME: list[tuple[str, str, str | None]] = [
    ("GET", "/v1/channels/c", None),
    ("GET", "/v1/outlets/main/stock/mug", None),
    ("DELETE", "/v1/products/p?version=7", None),
    ("GET", "/v1/products/a%2Fb%20c", None),
    ("GET", "/v1/products/%C3%A9%F0%9F%8D%B5", None),
    ("GET", "/v1/products/a+b", None),
    ("GET", "/v1/products/gid:77", None),
    ("GET", "/v1/products", None),
    ("GET", "/v1/products?pageSize=5&page_token=a%2Bb", None),
    ("GET", "/v1/orders?waiting=true&state=ORDER_STATE_HELD", None),
    ("GET", "/v1/orders?state=5", None),
    ("GET", "/v1/channels/c/listings?sellOnline=false", None),
    ("GET", "/v1/channels/c/onlineStock?itemIds=a&itemIds=b", None),
    ("GET", "/v1/paymentReport?startDate.year=2026&start_date.month=11", None),
    ("GET", "/v1/feeds/inventory/events?consumer=c&after=0&types=a&types=b", None),
    ("POST", "/v1/stock:adjust", '{"kind":"MOVEMENT_KIND_RECEIPT","lines":[{"itemId":"a"}]}'),
    ("POST", "/v1/stock:adjust", '{"kind":3,"lines":[{"item_id":"a","quantity":"1.5"}]}'),
    ("POST", "/v1/stock:adjust", '{"observeTime":"2026-11-21T09:30:00.5+02:00"}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":"9007199254740993"},{"version":7}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":7.0}],"cause":null}'),
    ("POST", "/v1/channels/c1:setRegister", '{"registerId":"r1"}'),
    ("POST", "/v1/channels/c%3A1/orders/a:retry", '{"requestId":"r"}'),
    ("POST", "/v1/channels/c1/orders:ingest", '{"document":{"orderId":"1","version":"3"}}'),
    ("POST", "/v1/stock:adjust", "{}"),
    ("POST", "/v1/stock:adjust", ""),
    ("PATCH", "/v1/channels/c1?updateMask=displayName&requestId=r", '{"displayName":"Shop"}'),
    ("PATCH", "/v1/channels/c1?update_mask=display_name", '{"displayName":"Shop"}'),
    # refused by both
    ("GET", "/v1/nothing", None),
    ("POST", "/v1/products/p", "{}"),
    ("GET", "/v1/stock:adjust", None),
    ("GET", "/v1/products?nope=1", None),
    ("GET", "/v1/products?pageSize=ten", None),
    ("GET", "/v1/products?pageSize=3000000000", None),
    ("GET", "/v1/products?pageSize=", None),
    ("GET", "/v1/products?pageSize=1_0", None),
    ("GET", "/v1/paymentReport?startDate=2026", None),
    ("GET", "/v1/orders?state=HELD", None),
    ("GET", "//v1/products", None),
    ("POST", "/v1/stock:adjust", "{"),
    ("POST", "/v1/stock:adjust", "[]"),
    ("POST", "/v1/stock:adjust", "null"),
    ("POST", "/v1/stock:adjust", "{} {}"),
    ("POST", "/v1/stock:adjust", '{"cause":7}'),
    ("POST", "/v1/stock:adjust", r'{"cause":"\ud83c"}'),
    ("POST", "/v1/stock:adjust", '{"kind":"NOPE"}'),
    ("POST", "/v1/stock:adjust", '{"lines":[7]}'),
    ("POST", "/v1/stock:adjust", '{"observeTime":"yesterday"}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":"x"}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":"1e3"}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":1e400}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":true}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":1.5}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":9223372036854775808}]}'),
    ("POST", "/v1/stock:recordCounts", '{"counts":[{"version":NaN}]}'),
]

# Requests on which we differ, each on purpose: why, then Envoy's status and ours.
DIFFERENT: list[tuple[str, str, str | None, str, int, int]] = [
    ("POST", "/v1/stock:adjust", '{"nope":1}', "a typo must not pass in silence", 200, 400),
    ("POST", "/v1/stock:adjust", '{"cause":"a","cause":"b"}', "only one can be meant", 200, 400),
    ("POST", "/v1/stock:adjust", '{"requestId":"a","request_id":"b"}', "the same", 200, 400),
    ("POST", "/v1/stock:adjust", '{"lines":{}}', "an object is no list", 200, 400),
    ("POST", "/v1/stock:recordCounts", '{"counts":[null]}', "null is no count", 200, 400),
    ("POST", "/v1/stock:adjust", "{'cause':'x'}", "JSON has double quotes", 200, 400),
    ("POST", "/v1/stock:adjust", '{"cause":"x",}', "JSON has no trailing comma", 200, 400),
    ("POST", "/v1/stock:adjust?cause=x", "{}", "`body: *` leaves nothing to the query", 200, 400),
    ("POST", "/v1/channels/c1:setRegister", '{"channelId":"c2"}', "which channel?", 200, 400),
    ("GET", "/v1/products/p?productId=q", None, "which product?", 200, 400),
    ("GET", "/v1/products?pageSize=1&pageSize=2", None, "which size?", 200, 400),
    ("GET", "/v1/orders?waiting=yes", None, "JSON knows true and false", 200, 400),
    ("DELETE", "/v1/products/p", "{}", "a body that nobody would read", 200, 400),
    ("GET", "/v1/products/%zz", None, "broken percent-encoding", 200, 400),
    ("GET", "/v1/products/%ff", None, "not UTF-8: the caller's fault, not ours", 500, 400),
    ("GET", "/v1/products?pageToken=%ff", None, "the same", 500, 400),
    ("GET", "/v1/products/", None, "an empty id is no list", 200, 404),
    ("GET", "/v1/feeds/nope/events", None, "the feed chooses the backend", 200, 404),
    ("GET", "/v1/products/x:retry", None, "an id may end like another route's verb", 404, 200),
    ("GET", "/v1/orders?state=77", None, "enums are open; the service decides", 400, 200),
    ("HEAD", "/v1/products", None, "HTTP wants HEAD wherever there is GET", 404, 200),
    ("OPTIONS", "/v1/products", None, "lists the methods", 404, 204),
]


@dataclass
class Oracle:
    """Envoy, and the backend behind it."""

    http: httpx.AsyncClient
    backend: Backend


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, Oracle]]:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(served())
        behind = await stack.enter_async_context(backend("inventory"))
        folder = tmp_path_factory.mktemp("envoy")
        address = await stack.enter_async_context(envoy(behind, folder))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=10))
        yield ours, Oracle(http, behind)


@pytest.mark.parametrize("case", SAME, ids=lambda case: f"{case[0]} {case[1]} {case[2]}"[:80])
async def test_envoy_and_we_agree(
    both: tuple[Served, Oracle], case: tuple[str, str, str | None]
) -> None:
    ours, theirs = await _ask_both(both, *case)
    assert ours == theirs


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: f"{case[0]} {case[1]} {case[2]}"[:80])
async def test_where_we_differ_we_mean_to(
    both: tuple[Served, Oracle], case: tuple[str, str, str | None, str, int, int]
) -> None:
    method, path, body, _why, envoy_status, our_status = case
    gateway, oracle = both
    ours = await _ask(gateway.http, method, path, body)
    theirs = await _ask(oracle.http, method, path, body)
    assert (theirs.status_code, ours.status_code) == (envoy_status, our_status)


async def test_a_patch_without_a_mask_changes_what_it_names(both: tuple[Served, Oracle]) -> None:
    """Envoy leaves the mask to the service; we read it from the body (AIP-134)."""
    request = ("PATCH", "/v1/channels/c1", '{"displayName":"","policies":{"outlets":1}}')
    ours, theirs = await _ask_both(both, *request)
    [(_, ours_sent)], [(_, theirs_sent)] = ours["calls"], theirs["calls"]
    assert list(ours_sent.update_mask.paths) == ["display_name", "policies.outlets"]
    ours_sent.ClearField("update_mask")
    assert ours_sent == theirs_sent


async def _ask_both(
    both: tuple[Served, Oracle], method: str, path: str, body: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    gateway, oracle = both
    gateway.reset()
    oracle.backend.calls.clear()
    for name, answer in ANSWERS.items():
        gateway.answer(name, answer)
        oracle.backend.answers[name] = answer
    ours = await _ask(gateway.http, method, path, body)
    theirs = await _ask(oracle.http, method, path, body)
    return (
        _seen(ours, gateway.calls),
        _seen(theirs, oracle.backend.calls),
    )


async def _ask(http: httpx.AsyncClient, method: str, path: str, body: str | None) -> httpx.Response:
    headers = {} if body is None else {"content-type": "application/json"}
    return await http.request(method, path, content=body, headers=headers)


def _seen(answer: httpx.Response, calls: list[Any]) -> dict[str, Any]:
    """What a request led to. Of a refusal only its class counts: the words are each one's own."""
    if answer.status_code != 200:
        return {"status": answer.status_code // 100 * 100, "calls": []}
    return {
        "status": 200,
        "json": answer.json(),
        "calls": [(call.method, call.request) for call in calls],
    }


@asynccontextmanager
async def envoy(behind: Backend, folder: Path) -> AsyncIterator[str]:
    """Runs Envoy before a backend until the block ends; gives its address."""
    config = folder / "envoy.json"
    config.write_text(json.dumps(_bootstrap(behind)))
    ports = folder / "admin.txt"
    process = await asyncio.create_subprocess_exec(
        str(ENVOY),
        *("--config-path", str(config), "--admin-address-path", str(ports)),
        *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"),
    )
    try:
        yield await asyncio.wait_for(_address(ports), 10)
    finally:
        process.terminate()
        await process.wait()


async def _address(ports: Path) -> str:
    """Where Envoy listens, once its listener is up: it chose the port itself."""
    async with httpx.AsyncClient() as http:
        while True:
            await asyncio.sleep(0.05)
            if admin := _read(ports):
                found = await http.get(f"http://{admin}/listeners")
                port = re.search(r"127\.0\.0\.1:(\d+)", found.text)
                if port:
                    return f"http://127.0.0.1:{port[1]}"


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _bootstrap(behind: Backend) -> dict[str, Any]:
    host, _, port = behind.address.partition(":")
    types = "type.googleapis.com/envoy.extensions"
    transcoder = {
        "@type": f"{types}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor_bin": base64.b64encode(_descriptors()).decode(),
        "services": [service.full_name for service in contracts.load().services],
        "print_options": {"always_print_primitive_fields": True},
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
        },
    }
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "oracle",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "transcoder", "typed_config": transcoder},
            {
                "name": "router",
                "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"},
            },
        ],
    }
    cluster = {
        "name": "backend",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{types}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(host, int(port))}}]}],
        },
    }
    listener = {
        "name": "http",
        "address": _socket("127.0.0.1", 0),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {
        "admin": {"address": _socket("127.0.0.1", 0)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }


def _socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _descriptors() -> bytes:
    """All our files and what they import, imports first."""
    found: dict[str, bytes] = {}

    def add(file: FileDescriptor) -> None:
        for imported in file.dependencies:
            add(imported)
        found.setdefault(file.name, file.serialized_pb)

    for file in contracts.load().files:
        add(file)
    return b"".join(_entries(found.values()))


def _entries(files: Any) -> Iterator[bytes]:
    for file in files:
        one = FileDescriptorSet()
        one.file.add().MergeFromString(file)
        yield one.SerializeToString()
