"""The feed of events: each consumer sees every event, in order, at least once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from services.chassis import follow as following
from services.chassis.auth import Tokens
from services.chassis.client import Identity
from services.chassis.database import Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.feed import POLL_S, EventFeed
from services.chassis.follow import follow
from tests.chassis.counter import Served, message, opened, served
from tests.chassis.test_database import SHOP
from tests.harness import KEY, MERCHANT, eventually, metadata, refused, service_metadata, settings
from tillbridge.events.v1 import events_pb2 as pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

if TYPE_CHECKING:
    from tillbridge.events.v1.events_pb2_grpc import EventFeedAsyncStub

PROMPT_S = 0.2
"""A wake-up at commit takes a few milliseconds; polling would take up to a second."""


@pytest.fixture
async def counting(url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A counter with its feed, on each kind of database."""
    async with served(url, settings(tmp_path)) as found:
        yield found


@pytest.fixture
def feed(counting: Served) -> "EventFeedAsyncStub":
    return EventFeedStub(counting.channel)


async def count(
    service: Served, *names: str, merchant: str = MERCHANT, channel: str = "", start: int = 0
) -> None:
    """Adds one to each counter, one call after the other."""
    for number, name in enumerate(names, start):
        parts = [message("Part", label=channel)] if channel else []
        request = message(
            "AddRequest", request_id=f"{name}-{number}", name=name, amount=1, parts=parts
        )
        await service.call("Add", request, metadata=metadata(merchant))


async def read(feed: "EventFeedAsyncStub", /, **asked: Any) -> pb.ReadEventsResponse:
    """Reads as the operator of the merchant."""
    request = pb.ReadEventsRequest(**{"consumer": "test"} | asked)
    return await feed.ReadEvents(request, metadata=metadata(), timeout=10)


async def ack(feed: "EventFeedAsyncStub", cursor: int, consumer: str = "test") -> int:
    request = pb.AckEventsRequest(consumer=consumer, cursor=cursor)
    return (await feed.AckEvents(request, metadata=metadata(), timeout=10)).cursor


def subjects(found: pb.ReadEventsResponse | pb.WatchEventsResponse) -> list[str]:
    return [event.subject.removeprefix("counter/") for event in found.events]


async def test_events_come_in_order_with_what_they_tell(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a", "b", "a")
    found = await read(feed)
    assert subjects(found) == ["a", "b", "a"]
    cursors = [event.cursor for event in found.events]
    assert cursors == sorted(set(cursors))
    assert (found.next_cursor, found.lag) == (cursors[-1], 0)
    first, last = found.events[0], found.events[-1]
    total = message("Total")
    assert last.data.Unpack(total)
    assert total.total == 2
    assert (first.source, first.type) == ("tillbridge/counter", "tests.chassis.Total")
    assert (first.merchant_id, first.channel_id) == (MERCHANT, "")
    assert len({event.id for event in found.events}) == 3
    assert first.time.seconds > 0


async def test_each_consumer_has_a_cursor_of_its_own(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a", "b", "c")
    first = await read(feed, max_events=2)
    assert (subjects(first), first.lag) == (["a", "b"], 1)
    assert subjects(await read(feed)) == ["a", "b", "c"]  # reading moves nothing
    await ack(feed, first.next_cursor)
    assert subjects(await read(feed)) == ["c"]
    assert subjects(await read(feed, consumer="other")) == ["a", "b", "c"]
    assert subjects(await read(feed, after=first.events[0].cursor)) == ["b", "c"]


async def test_an_acknowledgment_never_moves_back(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a", "b")
    end = (await read(feed)).next_cursor
    assert await ack(feed, end) == end
    assert await ack(feed, 0) == end
    assert await ack(feed, end - 1) == end
    assert subjects(await read(feed)) == []


async def test_a_cursor_ahead_of_the_feed_was_never_given_out(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a")
    async with refused("CURSOR_AHEAD"):
        await ack(feed, 1_000)
    async with refused("CURSOR_AHEAD") as facts:
        await read(feed, after=1_000)
    assert facts["message"] == "the feed ends at 1"
    async with refused("CURSOR_AHEAD"):
        await anext(aiter(watch(feed, after=1_000)))


async def test_a_feed_of_another_service_is_not_here(feed: "EventFeedAsyncStub") -> None:
    async with refused("FEED_NOT_FOUND") as facts:
        await read(feed, feed="catalog")
    assert facts["feed"] == "catalog"
    async with refused("FEED_NOT_FOUND"):
        request = pb.AckEventsRequest(feed="catalog", consumer="test", cursor=0)
        await feed.AckEvents(request, metadata=metadata())
    assert subjects(await read(feed, feed="counter")) == []


async def test_a_filter_moves_on_behind_what_it_left_out(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a", "b", channel="x")
    await count(counting, "c", channel="y")
    assert subjects(await read(feed, channel_id="ch-x")) == ["a", "b"]
    assert subjects(await read(feed, channel_id="ch-y")) == ["c"]
    assert subjects(await read(feed, types=["tests.chassis.Total"])) == ["a", "b", "c"]
    other = await read(feed, types=["tests.chassis.Other"])
    assert (subjects(other), other.lag) == ([], 0)
    assert other.next_cursor == (await read(feed)).next_cursor


async def test_a_merchant_sees_its_own_events_and_a_service_all(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a")
    await count(counting, "b", merchant="other-shop")
    assert subjects(await read(feed)) == ["a"]

    def by_service(merchant: str) -> Any:
        request = pb.ReadEventsRequest(consumer="test")
        return feed.ReadEvents(request, metadata=service_metadata(merchant))

    assert subjects(await by_service("")) == ["a", "b"]
    assert subjects(await by_service("other-shop")) == ["b"]
    # The consumer `test` of a merchant is not the consumer `test` of all.
    await ack(feed, (await read(feed)).next_cursor)
    assert subjects(await by_service("")) == ["a", "b"]


async def test_a_till_does_not_read_the_feed(feed: "EventFeedAsyncStub") -> None:
    async with refused("ROLE_NOT_ALLOWED") as facts:
        await feed.ReadEvents(
            pb.ReadEventsRequest(consumer="test"), metadata=metadata(roles=["pos", "ecom"])
        )
    assert facts["roles"] == "operator, service"


async def test_a_waiting_reader_wakes_at_the_commit(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    """Within some milliseconds, and not by polling: it reads once before and once after."""
    loop = asyncio.get_running_loop()
    took_s = []
    for number in range(5):
        end = (await read(feed)).next_cursor
        waiting = asyncio.ensure_future(read(feed, after=end, wait_ms_max=5_000))
        await asyncio.sleep(0.1)
        await count(counting, "a", start=number)
        begin = loop.time()
        assert subjects(await waiting) == ["a"]
        took_s.append(loop.time() - begin)
    print("woken after", [f"{one * 1000:.1f} ms" for one in took_s])
    assert sorted(took_s)[2] < 0.05


async def test_a_reader_that_waits_for_nothing_is_answered_in_time(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a")
    end = (await read(feed)).next_cursor
    loop = asyncio.get_running_loop()
    begin = loop.time()
    found = await read(feed, after=end, wait_ms_max=300)
    assert (subjects(found), found.next_cursor) == ([], end)
    assert 0.25 < loop.time() - begin < 2


def watch(feed: "EventFeedAsyncStub", /, **asked: Any) -> Any:
    request = pb.WatchEventsRequest(**{"consumer": "test"} | asked)
    return feed.WatchEvents(request, metadata=metadata(), timeout=20)


async def test_events_are_streamed_as_they_are_committed(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    await count(counting, "a", "b")
    stream = watch(feed)
    seen: list[str] = []

    async def see(number: int) -> None:
        while len(seen) < number:
            seen.extend(subjects(await stream.read()))

    await asyncio.wait_for(see(2), 5)
    await count(counting, "c", "d")
    await asyncio.wait_for(see(4), 5)
    assert seen == ["a", "b", "c", "d"]
    stream.cancel()
    assert subjects(await read(feed)) == ["a", "b", "c", "d"]  # it moved no cursor


@asynccontextmanager
async def running_feed(database: Database) -> AsyncIterator[EventFeed]:
    """A feed that listens to other processes."""
    feed = EventFeed("counter", database)
    task = asyncio.ensure_future(feed.listen())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_another_process_wakes_the_readers_of_this_one(shared: str) -> None:
    loop = asyncio.get_running_loop()
    async with opened(shared) as one, opened(shared) as other, running_feed(one) as feed:
        await asyncio.sleep(0.3)  # it listens
        took_s = []
        for number in range(5):
            request = pb.ReadEventsRequest(consumer="test", wait_ms_max=5_000, after=number)
            waiting = asyncio.ensure_future(feed.read_events(SHOP, request))
            await asyncio.sleep(0.02)
            await other.apply("tell", tell(number))
            begin = loop.time()
            assert subjects(await waiting) == [str(number)]
            took_s.append(loop.time() - begin)
        print("woken after", [f"{one * 1000:.1f} ms" for one in took_s])
        assert sorted(took_s)[2] < PROMPT_S < POLL_S


def tell(number: int, pause_s: float = 0) -> Any:
    def change(transaction: Transaction) -> None:
        if pause_s:
            transaction.connection.exec_driver_sql(f"SELECT pg_sleep({pause_s:.4f})")
        transaction.emit(MERCHANT, f"counter/{number}", message("Total", total=number))

    return change


async def test_a_reader_misses_nothing_of_several_processes(shared: str) -> None:
    """Each of 20 processes tells 5 times, pausing before it commits; a reader acknowledges as it
    goes.
    """
    chance = random.Random(7)
    async with opened(shared) as reading, running_feed(reading) as feed:

        async def write(writer: int) -> None:
            async with opened(shared) as database:
                for number in range(5):
                    pause_s = chance.uniform(0, 0.02)
                    await database.apply("tell", tell(writer * 5 + number, pause_s))

        writing = asyncio.gather(*(write(writer) for writer in range(20)))
        seen: list[int] = []
        cursor = 0
        while len(seen) < 100:
            request = pb.ReadEventsRequest(
                consumer="test", after=cursor, max_events=7, wait_ms_max=5_000
            )
            found = await feed.read_events(SHOP, request)
            assert found.events, f"nothing more after {len(seen)}"
            seen += map(int, subjects(found))
            cursor = found.next_cursor
        await writing
    assert sorted(seen) == list(range(100))
    for writer in range(20):
        own = [number for number in seen if number // 5 == writer]
        assert own == sorted(own)


async def test_a_follower_waits_for_what_is_not_to_be_had_now(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    """It cannot handle its third event twice; the batch comes again, as often as it takes, and
    nothing is skipped or overtaken.
    """
    seen: list[str] = []
    stumbles = iter([True] * 2)

    async def handle(events: Any) -> None:
        for event in events:
            if event.subject == "counter/c" and next(stumbles, False):
                raise DomainError("SERVICE_UNAVAILABLE", "down")
            seen.append(event.subject.removeprefix("counter/"))

    request = pb.ReadEventsRequest(feed="counter", consumer="follower", max_events=2)
    following = asyncio.ensure_future(
        follow(counting.channel, Identity(Tokens(KEY), "test"), request, handle)
    )
    await count(counting, "a", "b", "c", "d", "e")

    async def all_seen() -> bool:
        return "e" in seen

    await eventually(all_seen)
    following.cancel()
    assert list(dict.fromkeys(seen)) == ["a", "b", "c", "d", "e"]


async def test_a_follower_passes_what_it_did_not_ask_for(
    counting: Served, feed: "EventFeedAsyncStub", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cursor moves on, but it does not write for each event of others, nor when there is none:
    an acknowledgment is no event.
    """
    monkeypatch.setattr(following, "WAIT_MS", 50)
    monkeypatch.setattr(following, "PASSED_EVERY_S", 0.3)
    acknowledged: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()
    real = counting.database.write

    async def write(name: str, handler: Any, call: Any) -> bytes:
        if call.read() and isinstance(call.request, pb.AckEventsRequest):
            acknowledged.append((loop.time(), call.request.cursor))
        return await real(name, handler, call)

    monkeypatch.setattr(counting.database, "write", write)

    async def handle(_events: Any) -> None:
        raise AssertionError("there is none of these")

    request = pb.ReadEventsRequest(feed="counter", consumer="other", types=["of.Others"])
    task = asyncio.ensure_future(
        follow(counting.channel, Identity(Tokens(KEY), "test"), request, handle)
    )
    for number in range(40):
        await count(counting, "a", start=number)
        await asyncio.sleep(0.02)
    end = (await read(feed)).next_cursor

    async def passed() -> bool:
        return bool(acknowledged) and acknowledged[-1][1] == end

    await eventually(passed)
    often = len(acknowledged)
    await asyncio.sleep(0.5)
    task.cancel()
    assert len(acknowledged) == often, "it goes on although there is nothing"
    times_s = [time_s for time_s, _ in acknowledged]
    assert all(two - one > 0.2 for one, two in pairwise(times_s))
    assert [cursor for _, cursor in acknowledged] == sorted({cursor for _, cursor in acknowledged})


async def test_a_batch_of_large_events_is_delivered_in_parts(
    counting: Served, feed: "EventFeedAsyncStub"
) -> None:
    sizes = [300_000] * 20 + [6_000_000, 1]  # bytes

    def tell(transaction: Transaction) -> None:
        for number, size in enumerate(sizes):
            total = message("Total", name="x" * size, total=number)
            transaction.emit(MERCHANT, f"counter/{number}", total)

    await counting.database.apply("tell", tell)
    seen: list[str] = []
    parts: list[int] = []
    found = pb.ReadEventsResponse(lag=1)
    while found.lag:
        found = await read(feed, max_events=1000, after=found.next_cursor)
        seen += subjects(found)
        parts.append(len(found.events))
    assert seen == [str(number) for number in range(len(sizes))]
    assert parts == [4, 4, 4, 4, 4, 1, 1]
