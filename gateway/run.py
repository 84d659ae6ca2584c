"""Putting the gateway together, and running it until it is told to stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import grpc
import structlog
import uvicorn
from starlette.applications import Starlette

from gateway import webhooks
from gateway.app import create_app
from gateway.connections import Connections, Platforms
from gateway.owners import Owners
from gateway.pull import Pull
from gateway.push import Workers
from gateway.settings import GatewaySettings
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.settings import CONTEXTS

STOP_S_MAX = 8

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is ready: its HTTP application, and what has to run beside it."""

    app: Starlette
    workers: Workers
    background: Sequence[Awaitable[None]]


@asynccontextmanager
async def assembled(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """Builds a gateway on channels to the four services; closes them afterwards."""
    async with AsyncExitStack() as stack:
        channels: dict[str, grpc.aio.Channel] = {
            context: connect(settings.address(context)) for context in CONTEXTS
        }
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        identity = Identity(Tokens(settings.signing_key), "gateway")
        platforms = Platforms(settings.ecwid_calls_per_minute)
        stack.push_async_callback(platforms.close)
        connections = Connections(Owners.reached_by(channels, identity), platforms)
        pull = Pull(settings.poll_s, settings.webhook_base)
        workers = Workers(connections, pull.run)
        app = create_app(channels, routes=webhooks.routes(connections))
        yield Gateway(app, workers, [workers.run()])


class _QuietServer(uvicorn.Server):
    """A server that leaves signals to us: its own handling would end the process before leases
    are given back.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no handlers."""
        yield


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT: requests in flight are answered, leases given back."""
    async with assembled(settings) as gateway:
        server = _QuietServer(
            uvicorn.Config(
                gateway.app,
                host=settings.host,
                port=settings.http_port,
                loop="uvloop",
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_S_MAX,
            )
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        tasks = [asyncio.ensure_future(task) for task in gateway.background]
        for task in tasks:  # a task that ends takes the process with it: whoever watches restarts
            task.add_done_callback(lambda _: setattr(server, "should_exit", True))
        log.info("serving", address=f"{settings.host}:{settings.http_port}")
        await server.serve()
        failed = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopped")
    for error in filter(None, failed):
        raise error
