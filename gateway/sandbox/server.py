"""Running a simulator on a real port, inside the event loop of a test or of `__main__`."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType

import uvicorn

from gateway.sandbox.simulator import Simulator

START_S_MAX = 10.0
"""A server that is not up after so many seconds will never be."""

STOP_S_MAX = 5
"""Requests that are still running so many seconds after a stop are cut off."""


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket for an event loop's server."""
    listening = socket.create_server((host, port))
    # Event loops turn Nagle's algorithm off only for sockets that name their protocol, which
    # these do not; with it each answer waits 40 ms for an acknowledgment.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class QuietServer(uvicorn.Server):
    """A server that leaves signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no handlers: several servers share one process here."""
        yield


class SandboxServer:
    """A running simulator: `async with SandboxServer(LightspeedX()) as server: server.url`.

    Args:
        simulator: what is served.
        host: the address to bind; the sandbox is not meant to be reachable from elsewhere.
        port: 0 takes any free one.

    Attributes:
        url: where it listens, without a slash at the end.
    """

    def __init__(self, simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.simulator = simulator
        self._socket = listening_socket(host, port)
        bound_host, bound_port = self._socket.getsockname()[:2]
        self.url = f"http://{bound_host}:{bound_port}"
        self._server = QuietServer(
            uvicorn.Config(
                simulator,
                lifespan="off",
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=STOP_S_MAX,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SandboxServer":
        await self.simulator.start()
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        async with asyncio.timeout(START_S_MAX):
            while not self._server.started:
                if self._serving.done():
                    await self._serving
                    raise RuntimeError("the sandbox server ended before it was up")
                await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        await self.simulator.stop()
        self._socket.close()
