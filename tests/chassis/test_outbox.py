"""P13: however long transactions take, and in whatever order they commit, no reader skips one."""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.feed import EventFeed
from services.chassis.plumbing import Plumbing
from tests.chassis.counter import COUNTERS, PLUMBING, create_tables, message
from tests.chassis.test_database import SHOP
from tests.harness import MERCHANT
from tillbridge.events.v1 import events_pb2 as pb

WRITERS = 50
EVENTS = 20_000
SUBJECTS = 25
PAUSE_S_MAX = 0.2


class SlowOutbox(Plumbing):
    """The counter's tables, with a writer that dawdles between appending and committing."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self.__dict__.update(PLUMBING.__dict__)
        self._pause = pause

    def append(self, connection: Connection, events: Sequence[tuple[Any, ...]]) -> None:
        """Appends, and dawdles."""
        super().append(connection, events)
        time.sleep(self._pause())


def telling(
    subject: str, size: int, pause_s: float, told: dict[str, tuple[str, int]]
) -> Callable[[Transaction], None]:
    """A change that tells so much of a subject, each time with its next version."""

    def change(transaction: Transaction) -> None:
        told.clear()  # it may run again, when it has lost a race
        connection = transaction.connection
        is_it = COUNTERS.c.name == subject
        version = connection.execute(
            select(COUNTERS.c.total).where(is_it).with_for_update()
        ).scalar_one()
        for number in range(version + 1, version + size + 1):
            transaction.emit(MERCHANT, subject, message("Total", total=number))
            told[transaction.events[-1][0]] = (subject, number)
        connection.execute(update(COUNTERS).where(is_it).values(total=version + size))
        time.sleep(pause_s)

    return change


async def passed(
    feed: EventFeed, size: int, enough: int, acknowledge: Callable[[int], Awaitable[None]] | None
) -> list[pb.Event]:
    """What a reader sees from the beginning on, until it has seen enough: by its own cursor that it
    moves, or by none.
    """
    seen: list[pb.Event] = []
    cursor = 0
    while len(seen) < enough:
        request = pb.ReadEventsRequest(consumer="test", max_events=size, wait_ms_max=20_000)
        if acknowledge is None:
            request.after = cursor
        found = await feed.read_events(SHOP, request)
        assert found.events, f"nothing more after {len(seen)}"
        seen += found.events
        cursor = found.next_cursor
        if acknowledge is not None:
            await acknowledge(cursor)
    return seen


@pytest.mark.long
async def test_the_outbox_skips_nothing(url: str) -> None:
    """On SQLite, with its one writer at a time, all writers are one process; on PostgreSQL, each is
    one of its own.
    """
    seed = int(os.environ.get("TILLBRIDGE_TEST_SEED", time.time_ns() % 10**6))
    chance = random.Random(seed)
    one_process = url.startswith("sqlite")
    rounds = 2 if one_process else 4
    size = EVENTS // WRITERS // rounds
    create_tables(url)
    told: dict[str, tuple[str, int]] = {}
    async with AsyncExitStack() as stack:

        def opened(pause: Callable[[], float]) -> Database:
            database = Database(url, SlowOutbox(pause))
            stack.push_async_callback(database.close)
            return database

        reading = opened(lambda: 0.0)
        await reading.apply("begin", _make_subjects)
        writing = [opened(lambda: 0.0)] * WRITERS

        def late() -> float:
            return chance.uniform(0, PAUSE_S_MAX)

        if not one_process:
            writing = [opened(late if number % 2 else lambda: 0.0) for number in range(WRITERS)]

        async def write(writer: int) -> None:
            early_s = 0.0 if writer % 2 and not one_process else PAUSE_S_MAX
            for _ in range(rounds):
                mine: dict[str, tuple[str, int]] = {}
                subject = f"subject/{chance.randrange(SUBJECTS)}"
                change = telling(subject, size, chance.uniform(0, early_s), mine)
                await insist(writing[writer], change)
                told.update(mine)

        feed = EventFeed("counter", reading)

        async def acknowledge(cursor: int) -> None:
            ack: Call[Any, Any] = Call(SHOP, pb.AckEventsRequest(consumer="test", cursor=cursor))
            await reading.apply("ack", lambda transaction: feed.ack_events(transaction, ack))

        live = asyncio.ensure_future(passed(feed, 1000, EVENTS, acknowledge))
        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
        passes = [await live, await passed(feed, 97, EVENTS, None)]
    print(f"seed {seed}: {len(told)} events of {WRITERS} writers, {rounds} transactions each")
    assert len(told) == EVENTS
    for seen in passes:
        check(seen, told)


async def insist(database: Database, change: Callable[[Transaction], None]) -> None:
    """As a caller does: what was in the way for now is asked for again."""
    while True:
        try:
            return await database.apply("tell", change)
        except DomainError as error:
            if not error.transient:
                raise


def _make_subjects(transaction: Transaction) -> None:
    rows = [
        {"merchant_id": MERCHANT, "name": f"subject/{number}", "total": 0}
        for number in range(SUBJECTS)
    ]
    transaction.connection.execute(insert(COUNTERS), rows)


def check(seen: Sequence[pb.Event], told: dict[str, tuple[str, int]]) -> None:
    """Every event once, and those of a subject in their order."""
    assert [event.cursor for event in seen] == sorted({event.cursor for event in seen})
    assert len(seen) == len({event.id for event in seen}) == len(told)
    versions: dict[str, list[int]] = defaultdict(list)
    for event in seen:
        subject, version = told[event.id]
        assert subject == event.subject
        versions[subject].append(version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
