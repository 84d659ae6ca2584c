"""What holds for every HTTP request, whichever route answers it.

`Edge` gives it an id, a log line, metrics and security headers, and turns a crash into an error
body. `Limits` refuses what is too large or too slow before anybody reads it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import HttpError, error_response, internal_error
from gateway.transcode import ROUTE_KEY, call_id_of
from gateway.transcode.metadata import CALL_ID_HEADER
from services.chassis.errors import DomainError

REQUESTS = Counter(
    "tillbridge_http_requests_total", "HTTP requests answered", ["method", "route", "status"]
)
SECONDS = Histogram(
    "tillbridge_http_request_seconds",
    "Time from a request's arrival to the end of its answer",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IN_FLIGHT = Gauge("tillbridge_http_requests_in_flight", "HTTP requests being answered now")

SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Put on every answer that does not set them itself."""

BODY_BYTES_MAX = 1024 * 1024
BODY_WAIT_MS_MAX = 20_000
HEADER_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GONE = 499
"""Logged when the client left before it was answered; nobody receives it."""

_log = structlog.get_logger("gateway")


class Edge:
    """The outermost layer of the application.

    Args:
        app: what answers.
        template_of: the route's template of a scope that was answered, such as
            `/v1/channels/{channel_id}`: logs and metrics never name the path itself.
    """

    def __init__(self, app: ASGIApp, template_of: Callable[[Scope], str]) -> None:
        self._app = app
        self._template_of = template_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, and tells how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        call_id = call_id_of(scope)
        status = _GONE
        response_started = False

        async def send_dressed(message: Message) -> None:
            nonlocal status, response_started
            if message["type"] == "http.response.start":
                status, response_started = message["status"], True
                _dress(MutableHeaders(raw=message["headers"]), call_id)
            await send(message)

        with IN_FLIGHT.track_inprogress():
            try:
                await self._app(scope, receive, send_dressed)
            except ClientDisconnect:
                pass
            except Exception:
                _log.exception("crash", call_id=call_id, route=self._template_of(scope))
                if not response_started:
                    answer = error_response(internal_error(call_id))
                    await answer(scope, receive, send_dressed)
            finally:
                self._tell(scope, call_id, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, call_id: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = self._template_of(scope)
        REQUESTS.labels(method, route, status).inc()
        SECONDS.labels(method, route).observe(seconds)
        _log.info(
            "request",
            call_id=call_id,
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 2),
        )


def _dress(headers: MutableHeaders, call_id: str) -> None:
    headers.setdefault(CALL_ID_HEADER, call_id)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


class Limits:
    """Refuses requests whose headers or body are too large, or whose body takes too long.

    The body is counted while it is read, so a chunked one is limited as well.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_bytes_max: int = BODY_BYTES_MAX,
        body_wait_ms_max: int = BODY_WAIT_MS_MAX,
    ) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._body_wait_ms_max = body_wait_ms_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through to the application, its body under watch."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, self._watched(receive), send)

    def _refusal(self, scope: Scope) -> HttpError | None:
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        if len(raw) > HEADERS_MAX or sum(len(n) + len(v) for n, v in raw) > HEADER_BYTES_MAX:
            message = f"send at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes in all"
            return HttpError(431, "INVALID_FIELD", message, field="headers", headers=_CLOSE)
        length = Headers(raw=raw).get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._body_bytes_max:
            return self._too_large()
        return None

    def _watched(self, receive: Receive) -> Receive:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._body_wait_ms_max / 1000
        seen_bytes = 0
        complete = False

        async def watched() -> Message:
            nonlocal seen_bytes, complete
            if complete:
                return await receive()  # waits for the client to leave, however long that takes
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise self._too_slow() from None
            seen_bytes += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if seen_bytes > self._body_bytes_max:
                raise self._too_large()
            return message

        return watched

    def _too_large(self) -> HttpError:
        limit = self._body_bytes_max
        message = f"the body is larger than {limit} bytes; send less at a time"
        return HttpError(413, "BODY_TOO_LARGE", message, headers=_CLOSE, limit_bytes=limit)

    def _too_slow(self) -> HttpError:
        message = f"the body did not arrive within {self._body_wait_ms_max} ms"
        return HttpError(408, "DEADLINE_PASSED", message, headers=_CLOSE)


_CLOSE = {"Connection": "close"}
"""What is left of the request is not read."""


def template_finder(templates: Mapping[int, str]) -> Callable[[Scope], str]:
    """Names the route of a scope: the transcoder's own, or that of the endpoint it went to.

    Args:
        templates: a template for the `id` of each endpoint.
    """

    def find(scope: Scope) -> str:
        known: str | None = scope.get(ROUTE_KEY)
        return known or templates.get(id(scope.get("endpoint")), "unmatched")

    return find


def as_domain_error(status: int, detail: str, headers: Mapping[str, str] | None) -> DomainError:
    """An error of the web framework as one of ours, with the status that it has."""
    if status in (404, 405):
        return HttpError(status, "METHOD_NOT_FOUND", detail, headers=headers)
    if status == 413:
        return HttpError(status, "BODY_TOO_LARGE", detail, headers=headers)
    reason = "INVALID_FIELD" if status < 500 else "SERVICE_UNAVAILABLE"
    return HttpError(status, reason, detail, headers=headers)
