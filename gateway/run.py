"""Putting the gateway together, and running it until it is told to stop."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
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
from gateway.protocol import Protocol
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
        workers = Workers(connections, pull.run, f"{socket.gethostname()}:{settings.http_port}")
        app = create_app(channels, routes=webhooks.routes(connections, workers))
        yield Gateway(app, workers)


class _Server(uvicorn.Server):
    """A server that tells when its port is bound, and leaves signals to us: its own handling would
    end the process before leases are given back.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.bound = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Binds the port."""
        await super().startup(sockets)
        if self.started:
            self.bound.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no handlers."""
        yield


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT: requests in flight are answered, leases given back."""
    async with assembled(settings) as gateway:
        server = _Server(
            uvicorn.Config(
                gateway.app,
                host=settings.host,
                port=settings.http_port,
                loop="uvloop",
                http=Protocol,
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
        serving = asyncio.create_task(server.serve())
        working = asyncio.create_task(_work_once_bound(server, gateway))
        # Work that ends takes the process with it: whoever watches it starts it again.
        await asyncio.wait([serving, working], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        failure = working.exception() if working.done() else None
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await serving
    log.info("stopped")
    if failure is not None:
        raise failure


async def _work_once_bound(server: _Server, gateway: Gateway) -> None:
    """Does the work beside the server, but not before its port is ours: until then our predecessor
    may still be at it.
    """
    await server.bound.wait()
    await gateway.workers.run()
