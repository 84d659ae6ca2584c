"""An event that its follower cannot handle holds up no others, and is never lost."""

import asyncio
import os
import random
import time
from collections import Counter as Tally
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.message import DecodeError

from services.chassis import dead_letters, metrics
from services.chassis.auth import Tokens
from services.chassis.client import Identity
from services.chassis.dead_letters import DELIVERIES_MAX
from services.chassis.errors import DomainError
from services.chassis.feed import EventFeed
from services.chassis.follow import follow
from tests.chassis.counter import PLUMBING, Served, message, put, served
from tests.harness import KEY, MERCHANT, eventually, metadata, refused, service_metadata, settings
from tillbridge.events.v1 import events_pb2 as pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

if TYPE_CHECKING:
    from services.chassis.database import Transaction
    from tillbridge.events.v1.events_pb2_grpc import EventFeedAsyncStub

Logged = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAUSES_S", (0.02, 0.03, 0.04, 0.05))
    monkeypatch.setattr("services.chassis.feed.POLL_S", 0.02)


@pytest.fixture
async def counting(url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A counter with its feed, on each kind of database."""
    async with served(url, settings(tmp_path)) as found:
        yield found


@pytest.fixture
def feed(counting: Served) -> "EventFeedAsyncStub":
    return EventFeedStub(counting.channel)


async def tell(
    service: Served, *numbers: int, merchant: str = MERCHANT, broken: Sequence[int] = ()
) -> None:
    """Commits an event for each number, some of them with bytes that are no message."""

    def change(transaction: "Transaction") -> None:
        for number in numbers:
            transaction.emit(merchant, f"counter/{number % 100}", message("Total", total=number))
            if number in broken:
                transaction.events[-1] = (*transaction.events[-1][:-1], b"\xff\xff")

    await service.database.apply("tell", change)


@dataclass(slots=True)
class Follower:
    """Keeps what it was given, and cannot handle some of it while it is `clumsy`."""

    poison: frozenset[int] = frozenset()
    clumsy: bool = True
    error: Exception = field(default_factory=lambda: ValueError("poison\n\x00 of ana@example.com"))
    handled: list[int] = field(default_factory=list)
    attempts: Tally[int] = field(default_factory=Tally)
    lags_s: list[float] = field(default_factory=list)

    async def handle(self, events: Sequence[pb.Event]) -> None:
        """All of them, or none."""
        numbers = []
        for event in events:
            total = message("Total")
            try:
                event.data.Unpack(total)
            except DecodeError:
                self.attempts[-event.cursor] += len(events) == 1
                if self.clumsy:
                    raise
                total.total = -event.cursor
            if total.total in self.poison:
                self.attempts[total.total] += len(events) == 1
                if self.clumsy:
                    raise self.error
            numbers.append(total.total)
        self.handled += numbers
        now_s = time.time()
        self.lags_s += [now_s - _committed_s(event) for event in events]


def _committed_s(event: pb.Event) -> float:
    return event.time.ToDatetime(UTC).timestamp()


@asynccontextmanager
async def following(
    service: Served, follower: Follower, consumer: str = "follower", max_events: int = 100
) -> AsyncIterator[None]:
    request = pb.ReadEventsRequest(feed="counter", consumer=consumer, max_events=max_events)
    identity = Identity(Tokens(KEY), "test")
    task = asyncio.ensure_future(follow(service.channel, identity, request, follower.handle))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def letters(
    feed: "EventFeedAsyncStub", /, merchant: str = MERCHANT, **asked: Any
) -> list[pb.DeadLetter]:
    """Those that are delivered no more, on all pages."""
    found: list[pb.DeadLetter] = []
    request = pb.ListDeadLettersRequest(**asked)
    while True:
        page = await feed.ListDeadLetters(request, metadata=metadata(merchant), timeout=10)
        found += [one for one in page.dead_letters if not one.HasField("due_time")]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def requeue(
    feed: "EventFeedAsyncStub", request_id: str, /, merchant: str = MERCHANT, **asked: Any
) -> int:
    request = pb.RequeueDeadLettersRequest(request_id=request_id, **asked)
    answer = await feed.RequeueDeadLetters(request, metadata=metadata(merchant), timeout=10)
    return answer.requeued_count


async def test_an_event_that_cannot_be_handled_becomes_a_dead_letter(
    counting: Served, feed: "EventFeedAsyncStub", logged: Logged
) -> None:
    follower = Follower(poison=frozenset({3}))

    async def dead() -> bool:
        return len(await letters(feed)) == 1

    async with following(counting, follower):
        await tell(counting, 1, 2, 3, 4, 103, 5)
        await eventually(dead)
        await tell(counting, 6)
        await eventually(lambda: _holds(6 in follower.handled))
    assert follower.handled == [1, 2, 4, 103, 5, 6]  # a younger event of its subject goes on
    assert follower.attempts[3] == DELIVERIES_MAX
    (letter,) = await letters(feed)
    assert (letter.consumer, letter.deliveries) == ("follower", DELIVERIES_MAX)
    assert letter.reason == "ValueError: poison   of ana@example.com"
    assert (letter.event.subject, letter.event.merchant_id) == ("counter/3", MERCHANT)
    total = message("Total")
    assert letter.event.data.Unpack(total)
    assert total.total == 3
    (entry,) = [one for one in logged if one["event"] == "dead letter"]
    assert (entry["log_level"], entry["event_id"]) == ("error", letter.event.id)


async def _holds(condition: bool) -> bool:
    return condition


async def test_an_event_whose_row_can_never_be_inserted_becomes_a_dead_letter(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    """On PostgreSQL a row that is taken may be a lost race, and for a while it is taken for one."""

    def insert_total(transaction: "Transaction", total: int) -> None:
        for _ in range(1 + (total == 3)):
            put(transaction, MERCHANT, f"of-{total}", total, known=False)

    @dataclass(slots=True)
    class Inserting(Follower):
        async def handle(self, events: Sequence[pb.Event]) -> None:
            await Follower.handle(self, events)
            for total in self.handled[-len(events) :]:
                self.attempts[total] += 1
                await counting.database.apply("insert", partial(insert_total, total=total))

    follower = Inserting()

    async def dead() -> bool:
        return len(await letters(feed)) == 1

    async with following(counting, follower, max_events=1):
        await tell(counting, 1, 2, 3, 4)
        await eventually(dead, 20.0)
    assert follower.attempts == {1: 1, 2: 1, 3: DELIVERIES_MAX, 4: 1}
    (letter,) = await letters(feed)
    assert letter.reason.startswith("IntegrityError: ")


async def test_a_dead_letter_is_requeued_and_handled(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    follower = Follower(poison=frozenset({2, 4}))

    async def dead() -> bool:
        return len(await letters(feed)) == 2

    async with following(counting, follower):
        await tell(counting, 1, 2, 3, 4)
        await eventually(dead)
        assert await requeue(feed, "still clumsy") == 2
        await eventually(lambda: _holds(follower.attempts[2] == 2 * DELIVERIES_MAX))
        await eventually(dead)
        follower.clumsy = False
        first, _ = await letters(feed)
        assert await requeue(feed, "one", event_ids=[first.event.id]) == 1
        await eventually(lambda: _holds(2 in follower.handled))
        assert await requeue(feed, "one", event_ids=[first.event.id]) == 1  # a repeat
        assert await requeue(feed, "another", consumer="another") == 0
        assert await requeue(feed, "rest", consumer="follower") == 1

        async def empty() -> bool:
            page = await feed.ListDeadLetters(pb.ListDeadLettersRequest(), metadata=metadata())
            return not page.dead_letters

        await eventually(empty)
        assert await requeue(feed, "none left") == 0
    assert follower.handled == [1, 3, 2, 4]


async def test_dead_letters_are_the_merchants_own(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    follower = Follower(poison=frozenset({1, 2}))
    async with following(counting, follower):
        await tell(counting, 1, merchant="a")
        await tell(counting, 2, merchant="b")

        async def dead() -> bool:
            return [len(await letters(feed, merchant)) for merchant in ("a", "b", "c")] == [1, 1, 0]

        await eventually(dead)
        everything = await feed.ListDeadLetters(
            pb.ListDeadLettersRequest(page_size=1), metadata=service_metadata("")
        )
        assert [one.event.merchant_id for one in everything.dead_letters] == ["a"]
        assert await requeue(feed, "r", merchant="c") == 0
        follower.clumsy = False
        assert await requeue(feed, "r", merchant="b") == 1
        await eventually(lambda: _holds(follower.handled == [2]))
    assert len(await letters(feed, "a")) == 1
    async with refused("ROLE_NOT_ALLOWED"):
        await feed.ListDeadLetters(pb.ListDeadLettersRequest(), metadata=metadata(roles=["pos"]))
    async with refused("INVALID_PAGE_TOKEN"):
        await letters(feed, "b", page_token=_token_of(everything))


def _token_of(page: pb.ListDeadLettersResponse) -> str:
    return page.next_page_token + "x"


async def test_dead_letters_of_another_service_are_not_here(feed: "EventFeedAsyncStub") -> None:
    async with refused("FEED_NOT_FOUND"):
        await letters(feed, feed="catalog")
    async with refused("FEED_NOT_FOUND"):
        await requeue(feed, "r", feed="catalog")


async def ack(feed: "EventFeedAsyncStub", cursor: int, *failed: int) -> None:
    reports = [pb.FailedEvent(cursor=one, reason="no") for one in failed]
    request = pb.AckEventsRequest(consumer="c", cursor=cursor, failed=reports)
    await feed.AckEvents(request, metadata=service_metadata(""), timeout=10)


async def test_only_events_that_were_read_can_fail(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await tell(counting, 1, 2)
    async with refused("INVALID_FIELD") as facts:
        await ack(feed, 1, 2)
    assert facts["failed[0].cursor"] == "must be at most 1, `cursor`"
    await counting.database.apply(
        "forget", lambda change: change.connection.execute(PLUMBING.outbox.delete())
    )
    await tell(counting, 3)
    async with refused("INVALID_FIELD") as facts:
        await ack(feed, 3, 1)
    assert facts["failed"] == "each cursor must be that of an event of this feed"


async def test_processes_that_fail_together_count_one_delivery(
    counting: Served, feed: "EventFeedAsyncStub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "PAUSES_S", (600.0,))
    await tell(counting, 1)
    for _ in range(2 * DELIVERIES_MAX):
        await ack(feed, 1, 1)
    page = await feed.ListDeadLetters(pb.ListDeadLettersRequest(), metadata=metadata())
    assert [one.deliveries for one in page.dead_letters] == [1]
    assert page.dead_letters[0].HasField("due_time")
    request = pb.ReadEventsRequest(consumer="c")
    found = await feed.ReadEvents(request, metadata=service_metadata(""))
    assert (list(found.events), list(found.again)) == ([], [])  # not before it is due


@pytest.mark.parametrize(
    "error",
    [
        DomainError("SERVICE_UNAVAILABLE", "down"),
        DomainError("DEADLINE_PASSED", "slow"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_what_passes_by_itself_is_never_a_dead_letter(
    service: Served, error: Exception
) -> None:
    follower = Follower(poison=frozenset({2}), error=error)
    async with following(service, follower, max_events=1):
        await tell(service, 1, 2, 3)
        await eventually(lambda: _holds(follower.attempts[2] > DELIVERIES_MAX))
        page = await EventFeedStub(service.channel).ListDeadLetters(
            pb.ListDeadLettersRequest(), metadata=metadata()
        )
        assert (follower.handled, list(page.dead_letters)) == ([1], [])
        follower.clumsy = False
        await eventually(lambda: _holds(follower.handled == [1, 2, 3]))


async def test_dead_letters_are_counted(counting: Served, feed: "EventFeedAsyncStub") -> None:
    watched = EventFeed("counter", counting.database)
    follower = Follower(poison=frozenset({1, 2}))

    async def dead() -> bool:
        return len(await letters(feed)) == 2

    async with following(counting, follower):
        await tell(counting, 1, 2, 3)
        await eventually(dead)
        counted = asyncio.ensure_future(watched.count_dead_letters())
        shown = metrics.DEAD_LETTERS.labels("counter", "follower")
        await eventually(lambda: _holds(shown._value.get() == 2))  # noqa: SLF001  (no other way)
        counted.cancel()
        await asyncio.gather(counted, return_exceptions=True)


EVENTS = 10_000
POISON_EVERY = 200
PARTS = 100
LAG_S_MAX = 1.0


@pytest.mark.long
async def test_poison_holds_up_nobody(counting: Served, feed: "EventFeedAsyncStub") -> None:
    """P18. A twin that stumbles over nothing sets the pace, and tells how busy the machine is: who
    stumbles acknowledges some times as often.
    """
    seed = int(os.environ.get("TILLBRIDGE_TEST_SEED", time.time_ns() % 10**6))
    chance = random.Random(seed)
    poison = frozenset(chance.sample(range(EVENTS), EVENTS // POISON_EVERY))
    broken = [number for number in poison if number % 2]
    clumsy, twin = Follower(poison=poison), Follower()
    twin.clumsy = False
    begin = datetime.now(UTC)
    async with following(counting, clumsy), following(counting, twin, consumer="twin"):
        for part in range(PARTS):
            size = EVENTS // PARTS
            numbers = range(part * size, (part + 1) * size)
            await tell(counting, *numbers, broken=broken)
            await eventually(lambda end=numbers.stop: _holds(len(twin.handled) >= end), 30)
        good = set(range(EVENTS)) - poison
        await eventually(lambda: _holds(len(clumsy.handled) >= len(good)), 30)
        lag_s, lag_of_twin_s = max(clumsy.lags_s), max(twin.lags_s)

        async def dead() -> bool:
            return len(await letters(feed)) == len(poison)

        await eventually(dead, 30)
        took_s = (datetime.now(UTC) - begin).total_seconds()
        attempts, handled = Tally(clumsy.attempts), list(clumsy.handled)
        found = await letters(feed, page_size=7)
        clumsy.clumsy = False
        requeued = await requeue(feed, "all")
        await eventually(lambda: _holds(len(clumsy.handled) == EVENTS), 30)
    print(
        f"seed {seed}: {len(handled)} handled in {took_s:.1f} s, lag {lag_s:.2f} s"
        f" (twin {lag_of_twin_s:.2f} s), {len(found)} dead letters, {requeued} requeued"
    )
    assert lag_s <= LAG_S_MAX + 3 * lag_of_twin_s
    assert handled == sorted(good)
    assert set(attempts.values()) == {DELIVERIES_MAX}
    assert all(letter.reason and letter.deliveries == DELIVERIES_MAX for letter in found)
    assert len({letter.event.id for letter in found}) == requeued == len(poison)
    assert len(set(clumsy.handled)) == EVENTS
