"""The gateway's HTTP application: the transcoder and the pages around it, put together."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Lifespan

from gateway.edge import (
    BODY_BYTES_MAX,
    BODY_WAIT_MS_MAX,
    Edge,
    Limits,
    as_domain_error,
    template_finder,
)
from gateway.errors import error_response
from gateway.openapi import docs
from gateway.transcode import Transcoder
from services.chassis.errors import DomainError

READY_WAIT_S = 2.0


def create_app(
    backends: Mapping[str, grpc.aio.Channel],
    *,
    routes: Sequence[BaseRoute] = (),
    lifespan: Lifespan[Starlette] | None = None,
    body_bytes_max: int = BODY_BYTES_MAX,
    body_wait_ms_max: int = BODY_WAIT_MS_MAX,
) -> Starlette:
    """Builds the application.

    Args:
        backends: a channel per context: `catalog`, `inventory`, `order`, `customer`. The caller
            closes them.
        routes: further routes, such as webhooks and the console. They may raise `DomainError`,
            and find the request's id with `gateway.transcode.call_id_of(request.scope)`.
        lifespan: what runs beside the application.
        body_bytes_max: the largest body that any route takes.
        body_wait_ms_max: how long a body may take to arrive.
    """
    all_routes = [*docs.routes(), *_process_routes(backends), *routes]
    template_of = template_finder(dict(_templates(all_routes)))
    app = Starlette(
        routes=all_routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Edge, template_of=template_of),
            Middleware(Limits, body_bytes_max=body_bytes_max, body_wait_ms_max=body_wait_ms_max),
        ],
        exception_handlers={DomainError: _on_domain_error, HTTPException: _on_http_exception},
    )
    app.router.redirect_slashes = False
    app.router.default = Transcoder(backends)
    return app


def _process_routes(backends: Mapping[str, grpc.aio.Channel]) -> list[Route]:
    """How the process itself is doing."""
    stubs = {name: health_pb2_grpc.HealthStub(channel) for name, channel in backends.items()}

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(_request: Request) -> Response:
        states = await asyncio.gather(*(_state(stub) for stub in stubs.values()))
        ready = all(state == "SERVING" for state in states)
        body = {
            "status": "ready" if ready else "not ready",
            "backends": dict(zip(stubs, states, strict=True)),
        }
        return JSONResponse(body, 200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]


async def _state(stub: health_pb2_grpc.HealthStub) -> str:
    """The state that a service gives itself, or `UNREACHABLE`."""
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=READY_WAIT_S)
    except grpc.aio.AioRpcError:
        return "UNREACHABLE"
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name


def _templates(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[int, str]]:
    """Each endpoint (its `id`, since not all can be hashed) with the template of its route."""
    for route in routes:
        if isinstance(route, Mount):
            yield id(route.app), f"{prefix}{route.path}/*"
            yield from _templates(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield id(route.endpoint), prefix + route.path


async def _on_domain_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return error_response(error)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(as_domain_error(error.status_code, error.detail, error.headers))
