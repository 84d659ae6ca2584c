"""Running one service as a process: settings, migrations, database, server, until told to stop."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import grpc
import structlog
import uvloop
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis import logs, metrics, migrate
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.database import Database
from services.chassis.errors import DomainError
from services.chassis.feed import EventFeed
from services.chassis.plumbing import Plumbing
from services.chassis.pruning import Pruning
from services.chassis.server import Server, serve_until_stopped
from services.chassis.settings import Context, Settings
from services.chassis.young import look_at_young_tables
from tillbridge.events.v1 import events_pb2

FORGET_EVERY_S = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is built from."""

    settings: Settings
    database: Database
    identity: Identity
    connect: Callable[[Context], grpc.aio.Channel]
    """A channel to another service; one per service and process."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """A built service: who implements which contract, and what runs in the background."""

    contracts: Mapping[ServiceDescriptor, object]
    background: Sequence[Callable[[], Awaitable[None]]] = field(default=())


Build = Callable[[Parts], Wiring]


def main(name: Context, plumbing: Plumbing, build: Build) -> None:
    """Runs the service until SIGTERM or SIGINT."""
    settings = Settings()
    if settings.exposure:
        sys.exit(settings.exposure)
    logs.configure(name, settings.log_level)
    migrate.upgrade(name, settings.database(name))
    if settings.metrics_port:
        metrics.serve(settings.host, settings.metrics_port)
    uvloop.run(_serve(name, settings, plumbing, build))


async def assemble(
    name: Context, settings: Settings, plumbing: Plumbing, build: Build
) -> tuple[Server, Database, Wiring]:
    """A server that is ready to start, its database, and what has to run beside it."""
    tokens = Tokens(settings.signing_key)
    database = Database(settings.database(name), plumbing)
    channels = cache(lambda context: connect(settings.address(context)))
    parts = Parts(settings, database, Identity(tokens, name), channels)
    wiring = build(parts)
    feed = EventFeed(name, database)
    server = Server(settings, tokens)
    server.on_stop.append(feed.stop)
    for contract, service in wiring.contracts.items():
        server.add(contract, service, database)
    server.add(events_pb2.DESCRIPTOR.services_by_name["EventFeed"], feed, database)
    background = [
        *wiring.background,
        feed.listen,
        feed.count_dead_letters,
        lambda: _forget(database, settings),
        Pruning(name, database, settings.event_retention_days).run,
        lambda: look_at_young_tables(database),
    ]
    return server, database, Wiring(wiring.contracts, background)


async def _serve(name: Context, settings: Settings, plumbing: Plumbing, build: Build) -> None:
    server, database, wiring = await assemble(name, settings, plumbing, build)
    try:
        address = f"{settings.host}:{settings.port(name)}"
        await serve_until_stopped(server, address, wiring.background)
    finally:
        await database.close()
        log.info("stopped")


async def _forget(database: Database, settings: Settings) -> None:
    """Forgets remembered answers when nobody can repeat their request any more."""
    while True:
        try:
            await database.forget(settings.request_retention_days)
        except DomainError as error:  # the next time will do; it is no reason to stop serving
            log.warning("remembered answers not forgotten", reason=error.reason)
        await asyncio.sleep(FORGET_EVERY_S)
