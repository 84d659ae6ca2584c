"""Running a real service in a test: its own database, its own port, its own token."""

import asyncio
import atexit
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import grpc
import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import URL, make_url

from services.chassis import client, migrate
from services.chassis.auth import MERCHANT_KEY, Tokens
from services.chassis.database import Database
from services.chassis.plumbing import Plumbing
from services.chassis.run import Build, assemble
from services.chassis.server import Server
from services.chassis.settings import CONTEXTS, Context, Settings
from services.chassis.status import from_rpc_error

KEY = "a key that only tests sign with, 32 bytes"
MERCHANT = "mug-shop"
CONNECTED_S = 10.0
ROLES: Sequence[str] = ("pos", "ecom", "operator")

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Running:
    """A service that runs in this process and is called over the network."""

    server: Server
    database: Database
    channel: grpc.aio.Channel
    settings: Settings

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server.port}"


def metadata(
    merchant: str = MERCHANT, roles: Sequence[str] = ROLES, *, acts_for: str = ""
) -> client.Metadata:
    """Metadata of a call with a token for `merchant` and `roles`."""
    token = Tokens(KEY).issue("test", merchant, roles, timedelta(hours=1))
    base = (("authorization", f"Bearer {token}"),)
    return (*base, (MERCHANT_KEY, acts_for)) if acts_for else base


def service_metadata(merchant: str = MERCHANT) -> client.Metadata:
    """Metadata of a call by a service that acts for `merchant`; for none when it is empty."""
    return metadata("", ["service"], acts_for=merchant)


def settings(data_dir: Path, database_url: str = "", **addresses: str) -> Settings:
    """Settings of a test: addresses of services that do not run lead nowhere, at once."""
    nowhere = {f"{context}_address": "127.0.0.1:1" for context in CONTEXTS}
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        token_key=KEY,
        **nowhere | addresses,  # type: ignore[arg-type]  # all of them are addresses
    )


async def connected(address: str, within_s: float = CONNECTED_S) -> grpc.aio.Channel:
    """A channel that is connected: a server that has just been started may still refuse for a
    moment, and a test's first call should not be about that.
    """
    channel = client.connect(address)
    await asyncio.wait_for(channel.channel_ready(), within_s)
    return channel


def migrated(name: Context, url: str) -> None:
    """Brings a test's database to what the service needs. A new one becomes a copy of one that
    was migrated before: most tests need one, and only the tests of migrations are about making it.
    """
    address = make_url(url)
    copy = _copy_file if address.get_backend_name() == "sqlite" else _copy_database
    with _one_at_a_time:
        if not copy(name, address):
            migrate.upgrade(name, url)


def _copy_file(name: Context, address: URL) -> bool:
    """Makes a file that is not there yet; whether it did."""
    assert address.database
    path = Path(address.database)
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_template_file(name), path)
    return True


@cache
def _template_file(name: Context) -> Path:
    """A migrated SQLite file of a service."""
    folder = tempfile.mkdtemp(prefix="tillbridge-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / f"{name}.db"
    migrate.upgrade(name, f"sqlite:///{path}")
    return path


def _copy_database(name: Context, address: URL) -> bool:
    """Makes a database anew that holds nothing yet; whether it did."""
    assert address.database
    with _session(address) as session:
        if session.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchone():
            return False
    template = _template_database(name, address.set(database="postgres"))
    with _session(address.set(database="postgres")) as session:
        session.execute(SQL("DROP DATABASE {}").format(Identifier(address.database)))
        session.execute(
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                Identifier(address.database), Identifier(template)
            )
        )
    return True


@cache
def _template_database(name: Context, server: URL) -> str:
    """A migrated database of a service on this server."""
    template = f"template_{name}"
    with _session(server) as session:
        session.execute(SQL("CREATE DATABASE {}").format(Identifier(template)))
    migrate.upgrade(name, server.set(database=template).render_as_string(hide_password=False))
    return template


def _session(address: URL) -> psycopg.Connection[tuple[object, ...]]:
    libpq = address.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(libpq, autocommit=True)


@asynccontextmanager
async def running(
    name: Context, plumbing: Plumbing, build: Build, configured: Settings
) -> AsyncIterator[Running]:
    """Runs a service, with its background tasks, until the block ends."""
    await asyncio.to_thread(migrated, name, configured.database(name))
    server, database, wiring = await assemble(name, configured, plumbing, build)
    await server.start("127.0.0.1:0")
    tasks = [asyncio.ensure_future(task()) for task in wiring.background]
    channel = await connected(f"127.0.0.1:{server.port}")
    try:
        yield Running(server, database, channel, configured)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await channel.close()
        await server.stop(0)
        await database.close()


@asynccontextmanager
async def refused(reason: str) -> AsyncIterator[dict[str, str]]:
    """Expects the one call in the block to be refused with this reason; gives its facts and fields.

    The result holds the ErrorInfo's metadata, `message`, and one entry per bad field's path.
    """
    facts: dict[str, str] = {}
    try:
        yield facts
    except grpc.aio.AioRpcError as error:
        found = from_rpc_error(error)
        assert reason == found.reason, f"{found.reason}: {found.message}"
        facts |= found.facts | dict(found.violations) | {"message": found.message}
    else:
        raise AssertionError(f"expected {reason}, but the call passed")


async def eventually(condition: object, within_s: float = 5.0) -> None:
    """Waits until an async condition (a callable) does not say False, fail or be refused.

    Raises:
        AssertionError: it never became true; or what it last failed or was refused with.
    """
    assert callable(condition)
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        try:
            if await condition() is not False:
                return
            last: Exception = AssertionError(f"not true within {within_s} s")
        except (AssertionError, grpc.aio.AioRpcError) as error:
            last = error
        if asyncio.get_running_loop().time() > deadline:
            raise last
        await asyncio.sleep(0.01)
