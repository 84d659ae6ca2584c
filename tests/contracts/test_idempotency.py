"""P11: every RPC that changes something does it once per request id, and says the same each time.

What one effect is, another merchant shows: both do the same things in the same order, the one by a
single call each, the other by 64 at once and later again. Then the rows that they have in the
databases are as many, and add up to the same.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy import BigInteger, Boolean, Connection, Integer, Table, cast, func, select

from gateway.contracts import load
from services.chassis import migrate
from services.chassis.database import utc_now
from services.chassis.plumbing import UtcTime
from services.chassis.run import assemble
from services.chassis.settings import CONTEXTS, Context
from services.chassis.status import from_rpc_error
from tests.conftest import new_database
from tests.contracts import samples
from tests.contracts.bodies import with_another_body
from tests.contracts.samples import Fields
from tests.gateway.installation import SERVICES
from tests.harness import (
    Running,
    connected,
    eventually,
    metadata,
    service_metadata,
    settings,
)
from tests.ports import free_port
from tillbridge.options.v1 import options_pb2
from tillbridge.order.v1.events_pb2 import OrderChanged

PARALLEL = 64
LATER = timedelta(days=6)
REPLICAS = {"sqlite": 1, "postgresql": 2}
NOT_SUMMED = {"cursor", "movement_id", "edit_id", "attempts"}
"""Columns that the database gives a number to, whoever the row is of; and how often a service has
tried again by itself.
"""

METHODS = samples.methods()
ALL = {
    f"{service.name}.{method.name}": method
    for service in load().services
    for method in service.methods
}


HINT = OrderChanged.DESCRIPTOR.full_name
"""Not counted: a run tells it whenever it is woken and waits again, which is a matter of timing."""


@dataclass(slots=True)
class Installation:
    """The four services, each served once or several times on its database."""

    services: dict[Context, list[Running]] = field(default_factory=dict)

    def context(self, method: MethodDescriptor) -> Context:
        """Whose a method is; one that every service has is tried at the inventory."""
        name = method.containing_service.full_name.split(".")[1]
        return next((one for one in CONTEXTS if one == name), "inventory")

    def databases(self) -> list[Any]:
        """Of every process."""
        return [one.database for served in self.services.values() for one in served]

    async def rows(self, context: Context, merchant: str) -> dict[str, Any]:
        """How many rows a merchant has in a service's tables, and the sums of their columns."""
        (served, *_) = self.services[context]
        tables = served.database.plumbing.requests.metadata.sorted_tables
        return await served.database.read(
            lambda connection: {
                table.name: _sums(connection, table, merchant)
                for table in tables
                if "merchant_id" in table.c
            }
        )


def _sums(connection: Connection, table: Table, merchant: str) -> tuple[int, ...]:
    numbers = [
        column
        for column in table.c
        if isinstance(column.type, (BigInteger, Integer, Boolean))
        and not isinstance(column.type, UtcTime)
        and column.name not in NOT_SUMMED
    ]
    sums = [
        func.sum(cast(column, Integer) if isinstance(column.type, Boolean) else column)
        for column in numbers
    ]
    found = select(func.count(), *sums).where(table.c.merchant_id == merchant)
    if table.name == "outbox":
        found = found.where(table.c.type != HINT)
    return tuple(int(number or 0) for number in connection.execute(found).one())


@dataclass(slots=True)
class Shop:
    """A merchant."""

    name: str
    installation: Installation
    ids: dict[str, str] = field(default_factory=dict)
    _number: int = 0

    def next_number(self) -> int:
        """One that the merchant has not had yet."""
        self._number += 1
        return self._number

    async def call(self, name: str, fields: Fields) -> Message:
        """Calls a method once, and keeps the ids that it answers."""
        method = ALL[name]
        return self.keep(method, await self.send(method, samples.filled(method, fields, self.ids)))

    async def send(self, method: MethodDescriptor, request: Message, number: int = 0) -> bytes:
        """The bytes that a process answers."""
        served = self.installation.services[self.installation.context(method)]
        channel = served[number % len(served)].channel
        path = f"/{method.containing_service.full_name}/{method.name}"
        ask: Any = channel.unary_unary(path)
        roles = set(method.GetOptions().Extensions[options_pb2.roles])
        by_service = roles == {options_pb2.ROLE_SERVICE}
        who = service_metadata(self.name) if by_service else metadata(self.name)
        answer: bytes = await ask(request.SerializeToString(), metadata=who, timeout=60)
        return answer

    def keep(self, method: MethodDescriptor, answer: bytes) -> Message:
        """Keeps the ids in an answer."""
        message: Message = GetMessageClass(method.output_type).FromString(answer)
        self.ids.update(samples.ids_in(message))
        return message


@asynccontextmanager
async def installation(folder: Path, server: str, replicas: int) -> AsyncIterator[Installation]:
    """Runs all services; on SQLite where no server is given."""
    found = Installation()
    async with AsyncExitStack() as stack:
        ports = {context: [free_port() for _ in range(replicas)] for context in CONTEXTS}
        addresses = {f"{name}_address": f"127.0.0.1:{ports[name][0]}" for name in CONTEXTS}
        for name in CONTEXTS:
            url = stack.enter_context(new_database(server)) if server else ""
            configured = settings(folder, url, **addresses)
            migrate.upgrade(name, configured.database(name))
            found.services[name] = [
                await stack.enter_async_context(_served(name, configured, port))
                for port in ports[name]
            ]
        yield found


@asynccontextmanager
async def _served(name: Context, configured: Any, port: int) -> AsyncIterator[Running]:
    plumbing, build = SERVICES[name]
    server, database, wiring = await assemble(name, configured, plumbing, build)
    await server.start(f"127.0.0.1:{port}")
    tasks = [asyncio.ensure_future(task()) for task in wiring.background]
    channel = await connected(f"127.0.0.1:{port}")
    try:
        yield Running(server, database, channel, configured)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await channel.close()
        await server.stop(0)
        await database.close()


def test_every_rpc_that_changes_something_has_a_sample() -> None:
    assert sorted(METHODS) == sorted(samples.SAMPLES)


@pytest.mark.parametrize("kind", REPLICAS)
async def test_p11_one_request_id_is_one_effect_and_one_answer(
    postgres: str, tmp_path: Path, kind: str
) -> None:
    server = postgres if kind == "postgresql" else ""
    async with installation(tmp_path, server, REPLICAS[kind]) as found:
        once, often = Shop("once", found), Shop("often", found)
        answered: list[tuple[MethodDescriptor, Message, bytes]] = []
        for name in samples.SAMPLES:
            method = METHODS[name]
            asked = await samples.request(method, once)
            once.keep(method, await once.send(method, asked))
            asked = await samples.request(method, often)
            answers = await asyncio.gather(
                *(often.send(method, asked, number) for number in range(PARALLEL))
            )
            assert len(set(answers)) == 1, name
            answered.append((method, asked, answers[0]))
            often.keep(method, answers[0])
            other = with_another_body(asked)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await often.send(method, other)
            reason = from_rpc_error(refusal.value).reason
            code = refusal.value.code()
            assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"), name
            await same(found, [found.context(method)], name)

        for database in found.databases():
            database.clock = lambda: utc_now() + LATER
            await database.forget(14)
        for method, asked, answer in answered:
            assert await often.send(method, asked) == answer, method.full_name
        await same(found, CONTEXTS, "six days later")
    print(f"P11 methods={len(METHODS)} parallel={PARALLEL} @{kind}")


async def same(found: Installation, contexts: Sequence[Context], after: str) -> None:
    """Waits until both merchants have the same."""

    async def is_so() -> None:
        for context in contexts:
            expected, rows = [await found.rows(context, name) for name in ("once", "often")]
            assert expected == rows, f"after {after}: {context}"

    await eventually(is_so, 30.0)
