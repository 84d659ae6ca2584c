"""A gateway over real HTTP before real gRPC servers that answer as a test tells them to."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import httpx
import uvicorn
from google.protobuf import message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from starlette.types import ASGIApp

from gateway import contracts
from gateway.app import create_app
from gateway.protocol import Protocol
from services.chassis import status
from services.chassis.errors import DomainError
from tests.harness import connected

CONTEXTS = ("catalog", "inventory", "order", "customer")

Context = Any
Answer = Message | Exception | Sequence[Message | Exception | float]
"""What an RPC answers: a message, a failure, or for streams a list of them and of pauses (s)."""


@dataclass(frozen=True)
class Call:
    """A call that a backend got."""

    backend: str
    method: str
    request: Any
    metadata: Sequence[tuple[str, str | bytes]]
    time_remaining_s: float

    def values(self, key: str) -> list[str | bytes]:
        return [value for name, value in self.metadata if name == key]


@dataclass
class Backend(grpc.GenericRpcHandler):
    """Answers every RPC of the contracts: with its empty response, unless told otherwise."""

    name: str
    calls: list[Call] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    state: HealthServicer = field(default_factory=HealthServicer)
    address: str = ""
    streams_open: int = 0

    def service(self, details: Any) -> Any:
        method = _METHODS.get(details.method)
        if method is None:
            return None
        request = message_factory.GetMessageClass(method.input_type)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method), request.FromString, _serialize
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method), request.FromString, _serialize
        )

    def _unary(self, method: Any) -> Callable[..., Awaitable[Message]]:
        async def answer(request: Message, context: Context) -> Message:
            self._note(method, request, context)
            empty = message_factory.GetMessageClass(method.output_type)()
            scripted = self.answers.get(method.name, empty)
            if isinstance(scripted, Sequence):
                scripted = await _after_pauses(scripted)
            if isinstance(scripted, Exception):
                await _fail(context, scripted)
            return scripted

        return answer

    def _stream(self, method: Any) -> Callable[..., AsyncIterator[Message]]:
        async def answer(request: Message, context: Context) -> AsyncIterator[Message]:
            self._note(method, request, context)
            scripted = self.answers.get(method.name, [])
            assert isinstance(scripted, Sequence)
            self.streams_open += 1
            try:
                for item in scripted:
                    if isinstance(item, Exception):
                        await _fail(context, item)
                    elif isinstance(item, float):
                        await asyncio.sleep(item)
                    else:
                        yield item
            finally:
                self.streams_open -= 1

        return answer

    def _note(self, method: Any, request: Message, context: Context) -> None:
        sent = [(str(name), value) for name, value in context.invocation_metadata()]
        self.calls.append(Call(self.name, method.name, request, sent, context.time_remaining()))


@dataclass
class Served:
    """A gateway and the backends behind it."""

    http: httpx.AsyncClient
    backends: Mapping[str, Backend]

    @property
    def port(self) -> int:
        assert self.http.base_url.port
        return self.http.base_url.port

    @property
    def call(self) -> Call:
        """The one call that was made since `reset`."""
        [call] = self.calls
        return call

    @property
    def calls(self) -> list[Call]:
        return [call for backend in self.backends.values() for call in backend.calls]

    def answer(self, method: str, answer: Answer) -> None:
        """Lets every backend answer this method so."""
        for backend in self.backends.values():
            backend.answers[method] = answer

    def reset(self) -> None:
        for backend in self.backends.values():
            backend.calls.clear()
            backend.answers.clear()


@asynccontextmanager
async def served(**app_options: Any) -> AsyncIterator[Served]:
    """Runs a gateway and four backends until the block ends; `app_options` are `create_app`'s."""
    async with AsyncExitStack() as stack:
        backends = {name: await stack.enter_async_context(backend(name)) for name in CONTEXTS}
        channels = {name: await connected(one.address) for name, one in backends.items()}
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        address = await stack.enter_async_context(listening(create_app(channels, **app_options)))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=10))
        yield Served(http, backends)


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[Backend]:
    """Runs one backend."""
    made = Backend(name)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((made,))
    health_pb2_grpc.add_HealthServicer_to_server(made.state, server)
    await made.state.set("", health_pb2.HealthCheckResponse.SERVING)
    made.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield made
    await server.stop(0)


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """Serves an application over HTTP; gives its address."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=Protocol, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  (uvicorn offers nothing else to wait for)
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """What an error body says, once it has the shape that every error has."""
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == answer.status_code
    [info] = [d for d in error["details"] if d["@type"].endswith("google.rpc.ErrorInfo")]
    assert info["domain"] == "tillbridge"
    return {
        "status": error["status"],
        "message": error["message"],
        "reason": info["reason"],
        "metadata": info.get("metadata", {}),
        "fields": {
            violation["field"]
            for detail in error["details"]
            for violation in detail.get("fieldViolations", [])
        },
    }


async def _after_pauses(scripted: Sequence[Message | Exception | float]) -> Message | Exception:
    *pauses, last = scripted
    for pause in pauses:
        assert isinstance(pause, float)
        await asyncio.sleep(pause)
    assert not isinstance(last, float)
    return last


async def _fail(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, DomainError):
        details = status.to_status(error).SerializeToString()
        trailing = ((status.DETAILS_KEY, details),)
        await context.abort(status.grpc_code(error), error.message, trailing)
    raise error


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


_METHODS = {
    f"/{service.full_name}/{method.name}": method
    for service in contracts.load().services
    for method in service.methods
}
