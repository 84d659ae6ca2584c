"""Old events are forgotten, but for the last word on each subject, and nobody misses any."""

import asyncio
import re
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import sqlite
from structlog.testing import capture_logs

from services.chassis import failpoints, pruning
from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.engines import open_engine
from services.chassis.errors import DomainError
from services.chassis.feed import EventFeed
from services.chassis.feed import _Questions as _feed_questions
from services.chassis.pruning import Pruning
from services.chassis.pruning import _Questions as _pruning_questions
from tests.chassis.counter import PLUMBING, create_tables, message, opened
from tests.chassis.test_database import SHOP
from tests.harness import MERCHANT, eventually
from tillbridge.events.v1 import events_pb2 as pb

DAYS = 30
DAY = timedelta(days=1)
_SLOW = "SCAN (outbox|last_events)|USE TEMP"
ANYBODY = Caller("test", "", frozenset())


@dataclass(slots=True)
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = field(default_factory=lambda: datetime(2026, 7, 4, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, days: float) -> None:
        """Moves on."""
        self.now += days * DAY


@dataclass(slots=True)
class Shop:
    """A feed whose time a test makes pass."""

    database: Database
    clock: Clock
    feed: EventFeed
    pruning: Pruning

    async def tell(self, *told: str, merchant: str = MERCHANT) -> None:
        """Tells of each subject; `a@web` is one that concerns the channel `web`."""

        def change(transaction: Transaction) -> None:
            for one in told:
                subject, _, channel_id = one.partition("@")
                transaction.emit(merchant, subject, message("Total", name=one), channel_id)

        await self.database.apply("tell", change)

    async def read(self, **asked: Any) -> pb.ReadEventsResponse:
        return await self.feed.read_events(
            ANYBODY, pb.ReadEventsRequest(**{"consumer": "test"} | asked)
        )

    async def ack(self, consumer: str, cursor: int, *failed: int) -> None:
        reports = [pb.FailedEvent(cursor=one, reason="no") for one in failed]
        request = pb.AckEventsRequest(consumer=consumer, cursor=cursor, failed=reports)
        call: Call[Any, Any] = Call(ANYBODY, request)
        await self.database.apply("ack", lambda one: self.feed.ack_events(one, call))

    async def outbox(self) -> list[int]:
        """The cursors that are left in the outbox."""
        cursor = PLUMBING.outbox.c.cursor
        return await self.database.read(
            lambda one: list(one.execute(select(cursor).order_by(cursor)).scalars())
        )


@pytest.fixture
async def shop(url: str) -> AsyncIterator[Shop]:
    clock = Clock()
    async with opened(url, clock) as database:
        feed = EventFeed("counter", database)
        yield Shop(database, clock, feed, Pruning("counter", database, DAYS))


def told(found: pb.ReadEventsResponse) -> list[tuple[str, int]]:
    return [(event.subject, event.cursor) for event in found.events]


async def test_what_is_old_is_forgotten_but_for_the_last_word(shop: Shop) -> None:
    await shop.tell("a", "b", "a", "c", "a")
    shop.clock.pass_by(DAYS)
    await shop.tell("b")
    await shop.pruning.prune()
    assert await shop.outbox() == [1, 2, 3, 4, 5, 6]  # no event is older than that
    shop.clock.pass_by(1)
    await shop.pruning.prune()
    assert await shop.outbox() == [6]
    found = await shop.read()
    assert told(found) == [("b", 2), ("c", 4), ("a", 5), ("b", 6)]
    total = message("Total")
    assert found.events[2].data.Unpack(total)
    assert (total.name, found.events[2].merchant_id, found.lag) == ("a", MERCHANT, 0)
    shop.clock.pass_by(DAYS)
    await shop.pruning.prune()
    assert told(await shop.read()) == [("c", 4), ("a", 5), ("b", 6)]


async def test_the_last_word_is_that_of_a_merchant_a_channel_and_a_type(shop: Shop) -> None:
    await shop.tell("a", "a@web", "a@pos", "a@web")
    await shop.tell("a", merchant="other-shop")
    part = message("Part", label="other type")
    await shop.database.apply("tell", lambda one: one.emit(MERCHANT, "a", part))
    shop.clock.pass_by(DAYS + 1)
    await shop.pruning.prune()
    assert await shop.outbox() == []
    assert [event.cursor for event in (await shop.read()).events] == [1, 3, 4, 5, 6]
    assert told(await shop.read(channel_id="web")) == [("a", 4)]
    assert told(await shop.read(types=["tests.chassis.Part"])) == [("a", 6)]
    own = await shop.feed.read_events(SHOP, pb.ReadEventsRequest(consumer="test"))
    assert [event.cursor for event in own.events] == [1, 3, 4, 6]


async def test_the_feed_goes_on_when_all_of_it_was_old(shop: Shop) -> None:
    await shop.tell("a", "a", "b", "a")
    await shop.ack("behind", 2)
    await shop.ack("there", 4)
    shop.clock.pass_by(DAYS * 5)
    for _ in range(2):
        await shop.pruning.prune()
    assert await shop.outbox() == []
    await shop.ack("there", 4)
    with pytest.raises(DomainError, match="the feed ends at 4"):
        await shop.ack("there", 5)
    assert (await shop.read(consumer="there")).next_cursor == 4
    await shop.tell("b")
    assert told(await shop.read(consumer="there")) == [("b", 5)]
    assert told(await shop.read(consumer="behind")) == [("b", 3), ("a", 4), ("b", 5)]


async def test_pages_go_over_what_is_kept_and_what_is_new(shop: Shop) -> None:
    await shop.tell("a", "b", "c", "d")
    shop.clock.pass_by(DAYS + 1)
    await shop.pruning.prune()
    await shop.tell("a", "b")
    first = await shop.read(max_events=3)
    assert (told(first), first.lag) == ([("a", 1), ("b", 2), ("c", 3)], 3)
    rest = await shop.read(max_events=3, after=first.next_cursor)
    assert (told(rest), rest.lag) == ([("d", 4), ("a", 5), ("b", 6)], 0)


async def test_a_consumer_that_is_behind_holds_back_what_it_has_not_read(
    shop: Shop, logged: list[MutableMapping[str, Any]]
) -> None:
    await shop.tell("a", "a", "a", "a")
    await shop.ack("quick", 4)
    await shop.ack("slow", 2)
    shop.clock.pass_by(DAYS + 1)
    await shop.pruning.prune()
    assert await shop.outbox() == [3, 4]
    (said,) = (entry for entry in logged if entry["event"] == "consumer holds back old events")
    assert (said["consumer"], said["events_behind"], said["consumers"]) == ("slow", 2, 1)
    assert said["read_time"] == "2026-07-04T12:00:00+00:00"
    assert told(await shop.read(consumer="slow")) == [("a", 3), ("a", 4)]
    await shop.ack("slow", 4)
    await shop.pruning.prune()
    assert await shop.outbox() == []


async def test_a_consumer_that_is_gone_holds_back_nothing(
    shop: Shop, logged: list[MutableMapping[str, Any]]
) -> None:
    """It read nothing for three retentions, although there was something. It misses no subject
    when it comes back.
    """
    await shop.tell("a", "b")
    await shop.ack("gone", 1)
    await shop.ack("idle", 2)  # it reads nothing, since there is nothing
    shop.clock.pass_by(DAYS * 2.9)
    await shop.pruning.prune()
    assert await shop.outbox() == [2]
    await shop.tell("b", "a")
    shop.clock.pass_by(DAYS * 0.2)
    await shop.pruning.prune()
    assert await shop.outbox() == [2, 3, 4], "all may have been off until now"
    await shop.pruning.prune()
    assert await shop.outbox() == [3, 4]
    (said,) = (
        entry
        for entry in logged
        if entry["event"] == "consumer is gone; soon it holds back nothing"
    )
    assert (said["consumer"], said["events_behind"]) == ("gone", 3)
    shop.clock.pass_by(DAYS)
    await shop.pruning.prune()
    assert await shop.outbox() == [3, 4], "the idle one was away for long, but not from these"
    assert told(await shop.read(consumer="gone")) == [("b", 2), ("b", 3), ("a", 4)]


async def test_pruning_that_breaks_off_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read in between is complete, too."""
    monkeypatch.setattr(pruning, "PRUNE_MAX", 3)
    await shop.tell(*"abcabcab")
    shop.clock.pass_by(DAYS + 1)

    def die(point: str) -> None:
        if point == "prune.some":
            raise KeyboardInterrupt(point)

    monkeypatch.setattr(failpoints, "at", die)
    for left in [4, 5, 6, 7, 8], [7, 8], []:
        with pytest.raises(KeyboardInterrupt):
            await shop.pruning.prune()
        assert await shop.outbox() == left
        latest = {event.subject: event.cursor for event in (await shop.read()).events}
        assert latest == {"a": 7, "b": 8, "c": 6}
    monkeypatch.undo()
    await shop.pruning.prune()
    assert told(await shop.read()) == [("c", 6), ("a", 7), ("b", 8)]


async def test_an_event_that_is_kept_can_become_a_dead_letter(shop: Shop) -> None:
    await shop.tell("a", "b")
    shop.clock.pass_by(DAYS + 1)
    await shop.pruning.prune()
    assert await shop.outbox() == []
    await shop.ack("new", 2, 1)
    shop.clock.pass_by(1)
    assert [event.subject for event in (await shop.read(consumer="new")).again] == ["a"]


async def test_processes_prune_at_the_same_time(shared: str) -> None:
    clock = Clock()
    async with opened(shared, clock) as one, opened(shared, clock) as other:
        shops = [
            Shop(database, clock, EventFeed("counter", database), Pruning("counter", database, 1))
            for database in (one, other)
        ]
        for _ in range(4):
            await shops[0].tell(*(f"it/{number % 7}" for number in range(pruning.PRUNE_MAX)))
        clock.pass_by(2)
        await asyncio.gather(*(shop.pruning.prune() for shop in shops))
        assert await shops[0].outbox() == []
        last = 4 * pruning.PRUNE_MAX
        cursors = [event.cursor for event in (await shops[1].read()).events]
        assert cursors == list(range(last - 6, last + 1))


async def test_pruning_that_fails_stops_no_service(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PRUNE_EVERY_S", 0)

    await shop.tell("a")
    shop.clock.pass_by(DAYS + 1)

    def fail(*_: object) -> None:
        raise DomainError("SERVICE_UNAVAILABLE", "the database did not take it; retry")

    monkeypatch.setattr(Pruning, "_forget", fail)
    with capture_logs() as entries:
        running = asyncio.ensure_future(shop.pruning.run())

        async def tried_again() -> bool:
            return [entry["event"] for entry in entries].count("outbox not pruned") > 1

        await eventually(tried_again)
        assert not running.done()
        running.cancel()


def test_sqlite_reads_no_table_whole(tmp_path: Path) -> None:
    feed, pruned = _feed_questions(PLUMBING), _pruning_questions(PLUMBING)
    asked = [
        *(feed.after(given) for given in [(), ("types",), ("channel",), ("merchant", "types")]),
        *(feed.count_after, feed.place, feed.stand),
        *(pruned.last, pruned.oldest, pruned.count_after),
    ]
    url = f"sqlite:///{tmp_path}/plans.sqlite3"
    create_tables(url)
    engine = open_engine(url, writing=False)
    with engine.begin() as connection:
        for one in asked:
            text = str(one.statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {text}", (None,) * text.count("?")
            )
            steps = [row.detail for row in plan]
            assert not [step for step in steps if re.match(_SLOW, step)], steps
    engine.dispose()
