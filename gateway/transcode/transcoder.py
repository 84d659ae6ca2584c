"""HTTP/JSON to gRPC and back, for every annotated RPC of the contracts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import contracts
from gateway.errors import HttpError, error_response, rpc_error_response
from gateway.transcode import metadata
from gateway.transcode.backends import Backends
from gateway.transcode.bindings import Binding, bindings_of
from gateway.transcode.request import read_request
from gateway.transcode.stream import event_stream
from gateway.transcode.template import Match, MethodUnknownError, PathUnknownError, RouteTable
from services.chassis import failpoints
from services.chassis.errors import DomainError, invalid

ROUTE_KEY = "tillbridge.route"
"""Where the scope keeps the template that the path fitted: what logs and metrics may name."""

STREAM_MAX_MS = 600_000
"""After this a stream ends and its reader connects again, so that no stream outlives its token."""

WAIT_FIELD = "wait_ms_max"


class Transcoder:
    """An ASGI application that answers HTTP requests by calling RPCs; every other path gets 404.

    It decides nothing: what a path, query, body and headers say becomes the RPC's request, what
    the RPC says becomes the answer.

    Args:
        backends: a channel per context: `catalog`, `inventory`, `order`, `customer`.
        services: whose RPCs are served; all of the contracts when left out.
        timeout_ms: deadline of calls whose HTTP request names none.

    Raises:
        ValueError: two annotations mean the same route, or an RPC has no backend.
    """

    def __init__(
        self,
        backends: Mapping[str, grpc.aio.Channel],
        *,
        services: Iterable[ServiceDescriptor] | None = None,
        timeout_ms: int = metadata.TIMEOUT_DEFAULT_MS,
    ) -> None:
        chosen = contracts.load().services if services is None else services
        self.bindings: Sequence[Binding] = tuple(bindings_of(chosen))
        self._backends = Backends(backends, self.bindings)
        self._timeout_ms = timeout_ms
        self._table: RouteTable[Binding] = RouteTable()
        for binding in self.bindings:
            self._table.add(binding.http_method, binding.template, binding)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        request = Request(scope, receive)
        call_id = metadata.call_id_of(scope)
        try:
            response = await self._answer(request, call_id)
        except DomainError as error:
            response = error_response(error)
        except grpc.aio.AioRpcError as error:
            response = rpc_error_response(error, call_id)
        response.headers[metadata.CALL_ID_HEADER] = call_id
        await response(scope, receive, send)

    async def _answer(self, request: Request, call_id: str) -> Response:
        if request.method == "OPTIONS":
            return self._options(request)
        binding, variables = self._match(request)
        request.scope[ROUTE_KEY] = binding.template.text
        sent_metadata = metadata.metadata_of(request)
        streams = binding.method.server_streaming
        timeout_ms = metadata.timeout_ms_of(request, STREAM_MAX_MS if streams else self._timeout_ms)
        message = await read_request(binding, variables, request)
        call = self._backends.call(binding, message)
        if streams:
            running = call(message, timeout=timeout_ms / 1000, metadata=sent_metadata)
            return await event_stream(running, lambda reply: _json(reply, binding), call_id)
        timeout_ms += getattr(message, WAIT_FIELD, 0)  # the server was asked to wait that long
        reply = await call(message, timeout=timeout_ms / 1000, metadata=sent_metadata)
        failpoints.at("bridge.answered")
        return Response(_json(reply, binding), media_type="application/json")

    def _match(self, request: Request) -> Match[Binding]:
        """The binding that the request means; HEAD means what GET means, without the body."""
        path = _raw_path(request)
        try:
            match = self._table.match("GET" if request.method == "HEAD" else request.method, path)
        except PathUnknownError:
            message = "there is nothing at this path; /docs lists the paths"
            raise HttpError(404, "METHOD_NOT_FOUND", message) from None
        except MethodUnknownError as error:
            raise _method_not_allowed(request.method, error.allowed) from None
        except ValueError as error:
            raise invalid("path", str(error)) from None
        if request.method == "HEAD" and match.target.method.server_streaming:
            raise _method_not_allowed("HEAD", ["GET"])
        return match

    def _options(self, request: Request) -> Response:
        try:
            self._table.match("OPTIONS", _raw_path(request))
        except MethodUnknownError as error:
            return Response(status_code=204, headers={"Allow": _allow(error.allowed)})
        except (PathUnknownError, ValueError):
            pass
        raise HttpError(404, "METHOD_NOT_FOUND", "there is nothing at this path")


def _method_not_allowed(method: str, allowed: list[str]) -> HttpError:
    allow = _allow(allowed)
    message = f"this path does not take {method[:32]}; it takes {allow}"
    return HttpError(405, "METHOD_NOT_FOUND", message, headers={"Allow": allow})


def _allow(methods: list[str]) -> str:
    extra = ["HEAD", "OPTIONS"] if "GET" in methods else ["OPTIONS"]
    return ", ".join([*methods, *extra])


def _raw_path(request: Request) -> str:
    """The path as it came, percent-encoded; what is not ASCII fits nothing that we serve."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("latin-1")


def _json(reply: Message, binding: Binding) -> bytes:
    value: Any = json_format.MessageToDict(reply, always_print_fields_with_no_presence=True)
    if binding.response_body:
        field = reply.DESCRIPTOR.fields_by_name[binding.response_body]
        value = value.get(field.json_name)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
