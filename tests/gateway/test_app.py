"""What holds for every request: limits, headers, health, metrics, one log line, no traceback."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog
from grpc_health.v1 import health_pb2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from gateway.app import create_app
from gateway.protocol import Protocol
from gateway.transcode import call_id_of
from services.chassis.client import connect
from services.chassis.errors import DomainError
from tests.gateway.served import CONTEXTS, Served, listening, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 1000


async def webhook(request: Request) -> Response:
    body = await request.body()
    return PlainTextResponse(f"{len(body)} {call_id_of(request.scope)}")


async def refuse(_request: Request) -> Response:
    raise DomainError("SIGNATURE_INVALID", "the signature does not fit", field="X-Signature")


async def crash(_request: Request) -> Response:
    raise ZeroDivisionError("a secret")


async def teapot(_request: Request) -> Response:
    raise HTTPException(503, "busy")


ROUTES = [
    Route("/webhooks/{platform}/{channel_id}", webhook, methods=["POST"]),
    Mount("/console", routes=[Route("/crash", crash), Route("/refuse", refuse)]),
    Route("/busy", teapot),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[Served]:
    async with served(routes=ROUTES, body_bytes_max=LIMIT) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Served) -> Served:
    running.reset()
    return running


def reason_of(answer: Any) -> str:
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    reason: str = error["details"][0]["reason"]
    return reason


class TestLimits:
    @pytest.mark.parametrize("path", ["/v1/stock:adjust", "/webhooks/x/c"])
    async def test_a_body_over_the_limit_is_413(self, gateway: Served, path: str) -> None:
        answer = await gateway.http.post(path, content=b" " * (LIMIT + 1))
        assert (answer.status_code, reason_of(answer)) == (413, "BODY_TOO_LARGE")
        assert answer.json()["error"]["details"][0]["metadata"] == {"limit_bytes": str(LIMIT)}
        assert not gateway.calls

    @pytest.mark.parametrize("path", ["/v1/stock:adjust", "/webhooks/x/c"])
    async def test_so_is_one_that_does_not_say_its_length(self, gateway: Served, path: str) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(LIMIT // 100 + 1):
                yield b" " * 100

        answer = await gateway.http.post(path, content=chunks())
        assert (answer.status_code, reason_of(answer)) == (413, "BODY_TOO_LARGE")

    async def test_a_body_of_exactly_the_limit_passes(self, gateway: Served) -> None:
        body = b'{"cause":"' + b"x" * (LIMIT - 12) + b'"}'
        headers = {"content-type": "application/json"}
        answer = await gateway.http.post("/v1/stock:adjust", content=body, headers=headers)
        assert (len(body), answer.status_code) == (LIMIT, 200)

    async def test_too_many_headers_are_431(self, gateway: Served) -> None:
        many = [(f"x-{number}", "1") for number in range(120)]
        answer = await gateway.http.get("/v1/products", headers=many)
        assert (answer.status_code, reason_of(answer)) == (431, "INVALID_FIELD")

    async def test_large_headers_are_431(self, gateway: Served) -> None:
        answer = await gateway.http.get("/v1/products", headers={"x-large": "x" * 17_000})
        assert answer.status_code == 431

    async def test_a_body_that_does_not_come_is_408(self) -> None:
        async with served(body_wait_ms_max=100) as gateway:
            answer = await raw(
                gateway, b"POST /v1/stock:adjust HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
            )
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"DEADLINE_PASSED" in answer

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"NONSENSE\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
            (
                b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                b"400",
            ),
            (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 12_000, b"431"),
            (b"GET /" + b"x" * 70_000, b"431"),
            (b"GET / HTTP/1.1\r\nHost:", b"408"),
            (b"", b"408"),
        ],
    )
    async def test_a_head_that_is_no_head_is_refused(
        self, gateway: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes
    ) -> None:
        monkeypatch.setattr(Protocol, "head_wait_s", 0.2)
        head, _, body = (await raw(gateway, sent)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert json.loads(body)["error"]["code"] == int(status)

    async def test_a_connection_may_be_used_again(self, gateway: Served) -> None:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
        answer = await raw(gateway, request + b"\r\n" + request + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200") == 2


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "status", "reason"),
        [
            ("GET", "/console/crash", 500, "INTERNAL"),
            ("GET", "/console/refuse", 401, "SIGNATURE_INVALID"),
            ("GET", "/console/none", 404, "METHOD_NOT_FOUND"),
            ("GET", "/busy", 503, "SERVICE_UNAVAILABLE"),
            ("GET", "/webhooks/x/c", 405, "METHOD_NOT_FOUND"),
            ("POST", "/healthz", 405, "METHOD_NOT_FOUND"),
            ("GET", "/", 404, "METHOD_NOT_FOUND"),
            ("GET", "/docs/", 404, "METHOD_NOT_FOUND"),
        ],
    )
    async def test_of_every_route_have_the_same_shape(
        self, gateway: Served, method: str, path: str, status: int, reason: str
    ) -> None:
        answer = await gateway.http.request(method, path)
        assert (status, reason) == (answer.status_code, reason_of(answer))
        assert "secret" not in answer.text
        assert answer.headers["x-request-id"]

    async def test_a_crash_is_found_by_its_id(self, gateway: Served) -> None:
        answer = await gateway.http.get("/console/crash", headers={"X-Request-Id": "c-1"})
        assert answer.json()["error"]["details"][0]["metadata"] == {"call_id": "c-1"}

    async def test_a_backend_that_is_down_is_503(self) -> None:
        channels = {name: connect("127.0.0.1:1") for name in CONTEXTS}
        async with listening(create_app(channels)) as address, _client(address) as http:
            answer = await http.get("/v1/products")
            ready = await http.get("/readyz")
        for channel in channels.values():
            await channel.close()
        assert (answer.status_code, reason_of(answer)) == (503, "SERVICE_UNAVAILABLE")
        assert "127.0.0.1" not in answer.text
        assert answer.headers["retry-after"] == "1"
        assert ready.json()["backends"]["order"] == "UNREACHABLE"


class TestHealth:
    async def test_healthz_asks_nobody(self, gateway: Served) -> None:
        answer = await gateway.http.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "up"})

    async def test_readyz_names_every_backend(self, gateway: Served) -> None:
        answer = await gateway.http.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {"status": "ready", "backends": dict.fromkeys(CONTEXTS, "SERVING")}

    async def test_one_that_stops_is_enough(self, gateway: Served) -> None:
        state = gateway.backends["order"].state
        await state.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        answer = await gateway.http.get("/readyz")
        await state.set("", health_pb2.HealthCheckResponse.SERVING)
        assert answer.status_code == 503
        assert answer.json()["backends"] == dict.fromkeys(CONTEXTS, "SERVING") | {
            "order": "NOT_SERVING"
        }


class TestTelling:
    async def test_metrics_name_templates_not_paths(self, gateway: Served) -> None:
        await gateway.http.get("/v1/products/a-very-private-id?pageSize=1")
        await gateway.http.get("/console/refuse")
        await gateway.http.get("/an/unknown/path")
        text = (await gateway.http.get("/metrics")).text
        assert 'method="GET",route="/v1/products/{product_id}",status="400"' in text
        assert 'route="/console/refuse",status="401"' in text
        assert 'route="unmatched",status="404"' in text
        assert "a-very-private-id" not in text
        assert "unknown" not in text

    async def test_one_log_line_without_secrets(self, gateway: Served) -> None:
        with structlog.testing.capture_logs() as lines:
            await gateway.http.get(
                "/v1/customers?email=ada%40example.com",
                headers={"Authorization": "Bearer hush", "X-Request-Id": "c-2"},
            )
            await asyncio.sleep(0)
        [line] = [line for line in lines if line["event"] == "request"]
        assert line.pop("duration_ms") > 0
        assert line == {
            "event": "request",
            "log_level": "info",
            "call_id": "c-2",
            "method": "GET",
            "route": "/v1/customers",
            "status": 200,
        }

    async def test_routes_find_the_call_id(self, gateway: Served) -> None:
        answer = await gateway.http.post(
            "/webhooks/x/c", content=b"abc", headers={"X-Request-Id": "c-3"}
        )
        assert (answer.text, answer.headers["x-request-id"]) == ("3 c-3", "c-3")


class TestHeaders:
    async def test_every_answer_is_guarded(self, gateway: Served) -> None:
        for path in ("/v1/products", "/nothing", "/console/crash", "/metrics"):
            headers = (await gateway.http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers

    async def test_the_docs_may_use_their_style_sheet_alone(self, gateway: Served) -> None:
        page = await gateway.http.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"].startswith(
            "default-src 'none'; style-src 'self';"
        )
        style = await gateway.http.get("/docs/style.css")
        assert style.headers["content-type"].startswith("text/css")

    async def test_openapi_json_is_served(self, gateway: Served) -> None:
        answer = await gateway.http.get("/openapi.json")
        assert json.loads(answer.text)["openapi"] == "3.1.0"


async def raw(gateway: Served, sent: bytes) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


def _client(address: str) -> Any:
    return httpx.AsyncClient(base_url=address, timeout=10)
