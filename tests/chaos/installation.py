"""The five processes of an installation, and what can be done to them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.settings import Context
from services.supervisor import Process, Supervisor, until
from tests.chaos.plan import PROCESSES
from tests.flows.stack import KEY, last_words
from tests.ports import free_ports

READY_S_MAX = 90.0


@dataclass(slots=True)
class Installation:
    """Running processes, reached over the network and by signals."""

    supervisor: Supervisor
    ports: Mapping[str, int]
    folder: Path

    def address(self, process: str) -> str:
        """Where a process listens, as `host:port`."""
        return f"127.0.0.1:{self.ports[process]}"

    def kill(self, name: str) -> int:
        """Kills a process with SIGKILL; the supervisor starts it again. Gives its process id."""
        running = self._process(name).running
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        return running.pid

    def set_clock(self, name: str, off_s: int) -> None:
        """Puts the clock of a process right, or wrong by so much; it notices within a second."""
        path = _clock_path(self.folder, name)
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{off_s:+d}\n")
        fresh.replace(path)

    async def is_ready(self, name: str, other_than: int = 0) -> bool:
        """Whether a process serves; one with the id `other_than` does not count."""
        running = self._process(name).running
        if running is None or running.pid == other_than:
            return False
        if not await _listens(self.ports[name]):
            return False
        return await (_answers if name == "gateway" else _serves)(self.address(name))

    async def wait_until_ready(self, name: str, other_than: int = 0) -> None:
        """Waits until a process serves.

        Raises:
            TimeoutError: it does not; says what the logs say.
        """
        if not await until(lambda: self.is_ready(name, other_than), READY_S_MAX):
            raise TimeoutError(f"{name} is not ready: {last_words(self.supervisor)}")

    def _process(self, name: str) -> Process:
        return next(process for process in self.supervisor.processes if process.name == name)


@asynccontextmanager
async def installed(
    folder: Path, database_url: str = "", clocks: Collection[str] = ()
) -> AsyncIterator[Installation]:
    """Starts all processes, and stops them in the end.

    Args:
        folder: for logs and SQLite files.
        database_url: with `{service}` in it; empty means SQLite.
        clocks: processes whose clocks can be set.
    """
    ports = free_ports([*PROCESSES])
    services = [cast("Context", name) for name in PROCESSES if name != "gateway"]
    environment = {
        "TILLBRIDGE_DATA_DIR": str(folder),
        "TILLBRIDGE_DATABASE_URL": database_url,
        "TILLBRIDGE_TOKEN_KEY": KEY,
        "TILLBRIDGE_LOG_LEVEL": "warning",
        "TILLBRIDGE_HTTP_PORT": str(ports["gateway"]),
        **{f"TILLBRIDGE_{service.upper()}_PORT": str(ports[service]) for service in services},
    }
    processes = [
        Process(
            name,
            (sys.executable, "-m", "gateway" if name == "gateway" else f"services.{name}"),
            {**os.environ, **environment, **(_own_clock(folder, name) if name in clocks else {})},
        )
        for name in PROCESSES
    ]
    supervisor = Supervisor(environment, folder / "log", processes, lambda _process, _code: None)
    installation = Installation(supervisor, ports, folder)
    for name in clocks:
        installation.set_clock(name, 0)
    await supervisor.start()
    try:
        for name in PROCESSES:
            await installation.wait_until_ready(name)
        yield installation
    finally:
        await supervisor.stop()


def _own_clock(folder: Path, name: str) -> Mapping[str, str]:
    """The environment of a process that asks a file how wrong its clock is.

    Only what time of day it is can be wrong: a kernel's monotonic clock never is.
    """
    found = find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    assert library.exists()
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(_clock_path(folder, name)),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else whoever waits for the interpreter's lock spins
        "NO_FAKE_STAT": "1",
    }


def _clock_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.clock"


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _serves(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _answers(address: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            answer = await client.get(f"http://{address}/readyz", timeout=5.0)
        except httpx.HTTPError:
            return False
    return answer.status_code == httpx.codes.OK
