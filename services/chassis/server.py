"""A gRPC server: every call passes the same gate, from its token to its log line."""

import asyncio
import gc
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, cast
from uuid import uuid4

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.chassis import failpoints, metrics, status
from services.chassis.auth import MERCHANT_KEY, SERVICE, Caller, Tokens
from services.chassis.checks import parse
from services.chassis.database import Database
from services.chassis.errors import DomainError
from services.chassis.rpc import Rpc, Run, rpcs
from services.chassis.settings import Settings
from services.chassis.together import PATH, answer_together
from tillbridge.options.v1 import options_pb2

CALL_ID_KEY = "tillbridge-call-id"
DEADLINE_DEFAULT_S = 30.0
GRACE_S = 8.0
PINGS_APART_MS_MIN = 20_000
"""How often who calls nothing may ask whether the server is still there; see `client.connect`."""
GARBAGE_MIN = 20_000
"""So many more objects are there than were before it is looked for cycles among them: most of what
a group of calls is made of is gone by then.
"""

log = structlog.get_logger()

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Answer: TypeAlias = Callable[[Metadata, bytes, float | None], Awaitable[bytes]]
"""Metadata, request and time left to response; raises DomainError."""


class Server:
    """The server of one process: its services, health and reflection.

    `port` is the port that it listens on, also where 0 was asked for.
    """

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._in_flight = 0
        metrics.IN_FLIGHT.set_function(lambda: self._in_flight)
        self.on_stop: list[Callable[[], None]] = []
        """Called when the server begins to stop: whoever lets a call wait lets it go."""
        self._health = health.aio.HealthServicer()
        self._names = [reflection.SERVICE_NAME, health.SERVICE_NAME]
        self._server = grpc.aio.server(options=_options(settings))
        self._answers: dict[str, Answer] = {}
        """What answers each unary RPC, by its path."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        carrier, carried = PATH.strip("/").split("/")
        together: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            self._together
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(carrier, {carried: together}),)
        )
        self.port = 0

    def add(self, contract: ServiceDescriptor, service: object, database: Database) -> None:
        """Serves `service` as `contract` says."""
        handlers = {
            rpc.path.rsplit("/", 1)[1]: self._handler(rpc)
            for rpc in rpcs(contract, service, database)
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(contract.full_name, handlers),)
        )
        self._names.append(contract.full_name)

    async def start(self, address: str) -> None:
        """Listens on `host:port` and says that it serves."""
        reflection.enable_server_reflection(self._names, self._server)
        self.port = self._server.add_insecure_port(address)
        await self._server.start()
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Says that it stops, finishes the calls in flight, and stops."""
        await self._health.enter_graceful_shutdown()
        for let_go in self.on_stop:
            let_go()
        await self._server.stop(grace_s)

    def _handler(self, rpc: Rpc) -> "grpc.RpcMethodHandler[Any, Any]":
        if rpc.run:
            return grpc.unary_unary_rpc_method_handler(self._unary(rpc, rpc.run))
        return grpc.unary_stream_rpc_method_handler(self._streaming(rpc))

    def _unary(self, rpc: Rpc, run: Run) -> Callable[[bytes, Context], Awaitable[bytes]]:
        answer_one = self._answers[rpc.path] = self._gate(rpc, run)

        async def answer(body: bytes, context: Context) -> bytes:
            try:
                return await answer_one(_metadata(context), body, context.time_remaining())
            except DomainError as refusal:
                await _abort(context, refusal)
                raise

        return answer

    def _gate(self, rpc: Rpc, run: Run) -> Answer:
        """What answers a unary call, however it came: from its token to its log line."""
        seconds = metrics.SECONDS.labels(rpc.path)

        async def answer(metadata: Metadata, body: bytes, left_s: float | None) -> bytes:
            begin = time.monotonic()
            call_id = _call_id(metadata)
            code, merchant = "OK", ""
            try:
                caller = self._admit(rpc, metadata)
                merchant = caller.merchant
                deadline_s = begin + (DEADLINE_DEFAULT_S if left_s is None else left_s)
                answered = await run(caller, body, deadline_s)
                failpoints.at("answer.ready")
                return answered
            except asyncio.CancelledError:  # the caller went away, or its deadline has passed
                code = "CANCELLED"
                raise
            except Exception as error:
                refusal = _refusal(error, call_id)
                code = refusal.reason
                raise refusal from error
            finally:
                self._in_flight -= 1
                took_s = time.monotonic() - begin
                seconds.observe(took_s)
                _report(rpc.path, call_id, merchant, code, took_s)

        return answer

    async def _together(self, body: bytes, context: Context) -> bytes:
        """Answers calls that came together, each with the token that they came with."""
        token = [pair for pair in _metadata(context) if pair[0] == "authorization"]
        left_s = context.time_remaining()

        async def answer_one(path: str, merchant: str, request: bytes) -> bytes:
            answer = self._answers.get(path)
            if answer is None:
                raise DomainError("METHOD_NOT_FOUND", f"there is no RPC {path!r}")
            named = [(MERCHANT_KEY, merchant)] if merchant else []
            return await answer([*token, *named], request, left_s)

        try:
            return await answer_together(body, answer_one)
        except DomainError as refusal:
            await _abort(context, refusal)
            raise

    def _streaming(self, rpc: Rpc) -> Callable[[bytes, Context], AsyncIterator[bytes]]:
        assert rpc.stream is not None
        stream = rpc.stream

        async def answer(body: bytes, context: Context) -> AsyncIterator[bytes]:
            begin = time.monotonic()
            metadata = _metadata(context)
            call_id = _call_id(metadata)
            code, merchant = "OK", ""
            try:
                caller = self._admit(rpc, metadata)
                merchant = caller.merchant
                async for message in stream(caller, parse(rpc.request, body)):
                    yield message.SerializeToString()
            except asyncio.CancelledError:  # the caller went away, or its deadline has passed
                code = "CANCELLED"
                raise
            except Exception as error:
                refusal = _refusal(error, call_id)
                code = refusal.reason
                await _abort(context, refusal)
                raise
            finally:
                self._in_flight -= 1
                _report(rpc.path, call_id, merchant, code, time.monotonic() - begin)

        return answer

    def _admit(self, rpc: Rpc, metadata: Metadata) -> Caller:
        """Who calls, if they may call this and there is room. Always counts the call as in flight;
        the caller of this method takes it off.
        """
        self._in_flight += 1
        if self._in_flight > self._settings.calls_in_flight_max:
            raise DomainError("OVERLOADED", "too many calls in flight; retry", retry_after_ms=200)
        caller = self._tokens.check(metadata)
        if not caller.roles & rpc.roles:
            allowed = ", ".join(sorted(_role(number) for number in rpc.roles))
            raise DomainError(
                "ROLE_NOT_ALLOWED", f"this takes a token with one of: {allowed}", roles=allowed
            )
        if not caller.merchant and not rpc.any_merchant:
            assert SERVICE in caller.roles
            raise DomainError(
                "TOKEN_INVALID", "name the merchant in the metadata `tillbridge-merchant`"
            )
        return caller


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", PINGS_APART_MS_MIN),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.so_reuseport", 0),
    ]


def _role(number: int) -> str:
    return options_pb2.Role.Name(options_pb2.Role.ValueType(number)).removeprefix("ROLE_").lower()


def _metadata(context: Context) -> Metadata:
    return cast("Metadata", context.invocation_metadata() or ())


def _call_id(metadata: Metadata) -> str:
    for name, value in metadata:
        if name == CALL_ID_KEY:
            return str(value)[:64]
    return uuid4().hex


def _refusal(error: Exception, call_id: str) -> DomainError:
    """A documented refusal as it is; anything else as a bland one, with the truth in the log."""
    if isinstance(error, DomainError):
        return error
    log.error("unexpected", call_id=call_id, exc_info=error)
    return DomainError("INTERNAL", f"a fault on our side; call {call_id}", call_id=call_id)


async def _abort(context: Context, error: DomainError) -> None:
    details = status.to_status(error).SerializeToString()
    with suppress(asyncio.InvalidStateError):  # the client is gone
        await context.abort(
            status.grpc_code(error), error.message, ((status.DETAILS_KEY, details),)
        )


def _report(path: str, call_id: str, merchant: str, code: str, took_s: float) -> None:
    metrics.CALLS.labels(path, code).inc()
    log.info(
        "call",
        method=path,
        call_id=call_id,
        merchant=merchant,
        code=code,
        took_ms=round(took_s * 1000, 2),
    )


async def serve_until_stopped(
    server: Server, address: str, background: Sequence[Callable[[], Awaitable[None]]] = ()
) -> None:
    """Serves until SIGTERM or SIGINT. `background` are the tasks that run meanwhile; when one of
    them fails, the process ends, so that whoever watches it starts it anew.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start(address)
    # What is loaded by now stays: the collector need not look at it again with every full run.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_MIN)
    log.info("serving", address=address)
    tasks = [asyncio.ensure_future(task()) for task in background]
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in [stopping, *tasks]:
        task.cancel()
    await server.stop()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done - {stopping}:
        await task
