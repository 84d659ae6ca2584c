"""How commands share transactions, and what becomes of each of them."""

import asyncio
import time
from collections.abc import Awaitable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from services.chassis import engines
from services.chassis.auth import Caller
from services.chassis.database import Call, Calls, Database, Handler, Transaction, Unread
from services.chassis.engines import open_engine
from services.chassis.errors import DomainError
from services.chassis.run import _forget
from tests.chassis.counter import (
    COUNTERS,
    JOURNAL,
    PLUMBING,
    SECRET,
    Counter,
    Ticks,
    message,
    one_group,
    opened,
)
from tests.conftest import new_database
from tests.harness import settings

SHOP = Caller("till", "mug-shop", frozenset())


def adding(
    request_id: str, name: str = "n", amount: int = 1, caller: Caller = SHOP, **call: Any
) -> Call[Any, Any]:
    request = message("AddRequest", request_id=request_id, name=name, amount=amount)
    return Call(caller, request, **call)


async def add(database: Database, counter: Counter, call: Call[Any, Any]) -> int:
    answer = message("Total")
    answer.ParseFromString(await database.write("Add", counter.add, call))
    return int(answer.total)


def totals(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(COUNTERS.c.name, COUNTERS.c.total))
    return {row.name: row.total for row in rows}


def effects(connection: Connection) -> list[str]:
    return list(connection.execute(select(JOURNAL.c.request_id).order_by("number")).scalars())


async def outcome(call: Awaitable[Any]) -> Any:
    """What a call answers, or the reason of its refusal, or the name of its failure."""
    try:
        return await call
    except DomainError as refusal:
        return refusal.reason
    except Exception as error:
        return type(error).__name__


async def test_calls_that_wait_share_a_transaction(url: str) -> None:
    ticks, counter = Ticks(), Counter()
    async with opened(url, ticks) as database:
        async with one_group(database):
            calls = [
                asyncio.ensure_future(add(database, counter, adding(f"r-{number}")))
                for number in range(100)
            ]
        answers = await asyncio.gather(*calls)
        assert (counter.groups, ticks.count) == ([100], 2)
        assert answers == list(range(1, 101))
        assert await database.read(totals) == {"n": 100}


async def test_a_single_call_waits_for_nobody(url: str) -> None:
    ticks, counter = Ticks(), Counter()
    async with opened(url, ticks) as database:
        for number in range(3):
            await add(database, counter, adding(f"r-{number}"))
        assert (counter.groups, ticks.count) == ([1, 1, 1], 3)


async def test_a_refused_call_does_not_spoil_its_neighbors(database: Database) -> None:
    counter = Counter()
    async with one_group(database):
        calls = [
            asyncio.ensure_future(
                outcome(add(database, counter, adding(f"r-{number}", amount=amount)))
            )
            for number, amount in enumerate([1, -5, 2])
        ]
    assert [await call for call in calls] == [1, "QUANTITY_OUT_OF_RANGE", 3]
    assert counter.groups == [3]
    assert await database.read(effects) == ["r-0", "r-2"]


@pytest.mark.parametrize("bad", [b"no message", b"\x0a\x03a\x00b", b"\x12\x00"])
async def test_requests_are_read_by_the_group_and_a_bad_one_is_refused_alone(
    database: Database, bad: bytes
) -> None:
    counter = Counter()
    kind = type(message("AddRequest"))
    first, last = (adding(name).request.SerializeToString() for name in ("r-0", "r-2"))
    bodies = [first, bad, last]
    calls: list[Call[Any, Any]] = [Call(SHOP, cast("Any", Unread(kind, body))) for body in bodies]
    async with one_group(database):
        answers = [asyncio.ensure_future(outcome(add(database, counter, call))) for call in calls]
    assert [await answer for answer in answers] == [1, "INVALID_FIELD", 2]
    assert counter.groups == [2]
    assert await database.read(effects) == ["r-0", "r-2"]
    again: Call[Any, Any] = Call(SHOP, cast("Any", Unread(kind, bodies[0])))
    assert await add(database, counter, again) == 1, "known by its request id, as if read before"
    assert await outcome(add(database, counter, calls[1])) == "INVALID_FIELD", "and nobody else"


async def test_a_bug_in_a_bulk_handler_does_not_spoil_its_neighbors(database: Database) -> None:
    counter = Counter()
    async with one_group(database):
        calls = [
            asyncio.ensure_future(outcome(add(database, counter, adding(f"r-{number}", name))))
            for number, name in enumerate(["n", "boom", "n"])
        ]
    assert [await call for call in calls] == [1, "RuntimeError", 2]
    assert counter.groups == [3, 1, 1, 1]
    assert await database.read(effects) == ["r-0", "r-2"]


async def test_a_row_that_can_never_be_inserted_does_not_spoil_its_neighbors(
    database: Database,
) -> None:
    """A unique violation may be a lost race, so the group is tried again; in the end only the call
    that cannot pass is refused.
    """
    counter = Counter()

    def clash(transaction: Transaction, calls: Calls[Any, Any]) -> None:
        for _ in calls:
            rows = [{"merchant_id": "m", "name": "twice", "total": 1}] * 2
            transaction.connection.execute(insert(COUNTERS), rows)

    async with one_group(database):
        bad = asyncio.ensure_future(outcome(database.write("Clash", clash, adding("bad"))))
        good = asyncio.ensure_future(outcome(add(database, counter, adding("good"))))
    assert (await bad, await good) == ("IntegrityError", 1)
    assert await database.read(totals) == {"n": 1}


async def test_a_call_without_an_answer_is_a_bug_and_leaves_nothing(database: Database) -> None:
    def forget_to_answer(transaction: Transaction, calls: Calls[Any, Any]) -> None:
        row = {"merchant_id": "m", "name": calls[0].request.name, "total": 1}
        transaction.connection.execute(insert(COUNTERS).values(**row))

    with pytest.raises(RuntimeError, match="without an answer"):
        await database.write("Forget", forget_to_answer, adding("r-1"))
    assert await database.read(totals) == {}


async def test_the_same_request_gets_the_same_bytes_and_is_done_once(database: Database) -> None:
    counter = Counter()
    first = await database.write("Add", counter.add, adding("r-1"))
    await add(database, counter, adding("r-2"))
    assert first == await database.write("Add", counter.add, adding("r-1"))
    assert await database.read(totals) == {"n": 2}


async def test_the_same_request_in_one_group_is_done_once(database: Database) -> None:
    counter = Counter()
    async with one_group(database):
        calls = [
            asyncio.ensure_future(database.write("Add", counter.add, adding("r-1")))
            for _ in range(64)
        ]
    assert len({await call for call in calls}) == 1
    assert await database.read(effects) == ["r-1"]


async def test_an_answer_is_remembered_across_restarts(url: str) -> None:
    async with opened(url) as database:
        first = await database.write("Add", Counter().add, adding("r-1"))
    async with opened(url) as database:
        assert first == await database.write("Add", Counter().add, adding("r-1"))
        assert await database.read(effects) == ["r-1"]


async def test_a_request_id_is_the_merchants_and_the_methods_own(database: Database) -> None:
    counter, other = Counter(), Caller("till", "other-shop", frozenset())
    await add(database, counter, adding("r-1"))
    await add(database, counter, adding("r-1", caller=other))
    await database.write("Add more", counter.add, adding("r-1"))
    assert await database.read(effects) == ["r-1", "r-1", "r-1"]


async def test_a_request_id_with_another_body_is_refused(database: Database) -> None:
    counter = Counter()
    await add(database, counter, adding("r-1", amount=1))
    with pytest.raises(DomainError) as found:
        await add(database, counter, adding("r-1", amount=2))
    assert (found.value.reason, found.value.facts["request_id"]) == ("REQUEST_ID_REUSED", "r-1")
    assert await database.read(totals) == {"n": 1}


async def test_a_request_id_with_another_body_in_one_group_is_refused(database: Database) -> None:
    counter = Counter()
    async with one_group(database):
        calls = [
            asyncio.ensure_future(outcome(add(database, counter, adding("r-1", amount=amount))))
            for amount in (1, 2, 1)
        ]
    assert [await call for call in calls] == [1, "REQUEST_ID_REUSED", 1]
    assert await database.read(totals) == {"n": 1}


async def test_a_reused_id_does_not_spoil_an_honest_repeat_in_its_group(database: Database) -> None:
    counter = Counter()
    await add(database, counter, adding("r-1", amount=1))
    async with one_group(database):
        calls = [
            asyncio.ensure_future(outcome(add(database, counter, adding("r-1", amount=amount))))
            for amount in (2, 1)
        ]
    assert [await call for call in calls] == ["REQUEST_ID_REUSED", 1]


async def test_a_refusal_is_not_remembered(database: Database) -> None:
    counter = Counter()
    assert (
        await outcome(add(database, counter, adding("r-1", amount=-1))) == "QUANTITY_OUT_OF_RANGE"
    )
    await add(database, counter, adding("r-0", amount=5))
    assert await add(database, counter, adding("r-1", amount=-1)) == 4


async def test_remembered_answers_are_forgotten_in_time(database: Database) -> None:
    counter = Counter()
    await add(database, counter, adding("r-1"))
    await database.forget(1)
    await add(database, counter, adding("r-1"))
    assert await database.read(effects) == ["r-1"]
    await database.forget(-1)
    await add(database, counter, adding("r-1"))
    assert await database.read(effects) == ["r-1", "r-1"]


async def test_remembered_answers_are_forgotten_some_at_a_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.database.FORGET_MAX", 2)
    ticks, counter = Ticks(), Counter()
    names = [f"r-{number}" for number in range(5)]
    async with opened(url, ticks) as database:
        for name in names:
            await add(database, counter, adding(name))
        before = ticks.count
        await database.forget(-1)
        assert ticks.count - before == 1 + 4  # now; then two, two, one and none
        for name in names:
            await add(database, counter, adding(name))
        assert await database.read(effects) == names * 2


async def test_forgetting_that_fails_stops_no_service(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.run.FORGET_EVERY_S", 0)
    tried = 0

    async def fail(_days: int) -> None:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0)
        raise DomainError("SERVICE_UNAVAILABLE", "the database did not take it; retry")

    monkeypatch.setattr(database, "forget", fail)
    forgetting = asyncio.ensure_future(_forget(database, settings(tmp_path)))
    await asyncio.sleep(0.05)
    assert (tried > 1, forgetting.done()) == (True, False)
    forgetting.cancel()


async def test_a_failing_statement_is_logged_without_its_values(
    database: Database, logged: list[MutableMapping[str, Any]]
) -> None:
    def fail(transaction: Transaction) -> None:
        transaction.connection.execute(text("INSERT INTO nowhere VALUES (:it)"), {"it": SECRET})

    with pytest.raises(DBAPIError) as found:
        await database.apply("fail", fail)
    assert "INSERT INTO nowhere" in str(found.value)
    assert SECRET not in str(found.value)
    alone = "a group failed; each of its calls runs by itself"
    assert [entry["event"] for entry in logged] == [alone, "call failed"]


async def test_a_call_is_not_begun_after_its_deadline(database: Database) -> None:
    counter = Counter()
    now = time.monotonic()
    async with one_group(database):
        late = asyncio.ensure_future(
            outcome(add(database, counter, adding("r-1", deadline_s=now - 0.001)))
        )
        early = asyncio.ensure_future(
            outcome(add(database, counter, adding("r-2", deadline_s=now + 60)))
        )
    assert (await late, await early) == ("DEADLINE_PASSED", 1)
    assert await database.read(effects) == ["r-2"]


async def test_a_caller_that_goes_away_harms_nobody(database: Database) -> None:
    counter = Counter()
    async with one_group(database):
        gone = asyncio.ensure_future(add(database, counter, adding("r-1")))
        stays = asyncio.ensure_future(add(database, counter, adding("r-2")))
        await asyncio.sleep(0)
        gone.cancel()
    assert await stays == 2
    assert await add(database, counter, adding("r-1")) == 1  # its repeat finds what was done
    assert await database.read(effects) == ["r-1", "r-2"]


async def test_a_change_that_no_call_asked_for_returns_what_it_found(database: Database) -> None:
    def change(transaction: Transaction) -> int:
        row = {"merchant_id": "m", "name": "n", "total": 7}
        transaction.connection.execute(insert(COUNTERS).values(**row))
        return 7

    assert await database.apply("change", change) == 7
    assert await database.read(totals) == {"n": 7}


async def test_a_change_that_fails_leaves_nothing(database: Database) -> None:
    def change(transaction: Transaction) -> None:
        row = {"merchant_id": "m", "name": "n", "total": 7}
        transaction.connection.execute(insert(COUNTERS).values(**row))
        transaction.emit("m", "counter/n", message("Total"))
        raise ValueError(SECRET)

    with pytest.raises(ValueError, match="password"):
        await database.apply("change", change)
    assert await database.read(totals) == {}
    assert await database.read(told) == 0


def told(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(PLUMBING.outbox)).scalar() or 0


async def test_a_read_sees_a_snapshot(url: str) -> None:
    """What is committed meanwhile is not seen, so that two queries of one read agree."""
    async with opened(url) as database:
        await add(database, Counter(), adding("r-1"))

        def twice(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
            before = totals(connection)
            engine = open_engine(url, writing=True)
            with engine.begin() as other:
                other.execute(COUNTERS.update().values(total=99))
            engine.dispose()
            return before, totals(connection)

        assert await database.read(twice) == ({"n": 1}, {"n": 1})
        assert await database.read(totals) == {"n": 99}


async def test_nobody_sees_half_a_transaction(database: Database) -> None:
    """Two counters that always grow together are never seen apart."""

    def grow(transaction: Transaction) -> None:
        for name in ("a", "b"):
            known = transaction.connection.execute(
                select(COUNTERS.c.total).where(COUNTERS.c.name == name)
            ).scalar()
            values = {"merchant_id": "m", "name": name, "total": (known or 0) + 1}
            transaction.connection.execute(
                insert(COUNTERS).values(**values)
                if known is None
                else COUNTERS.update().where(COUNTERS.c.name == name).values(**values)
            )

    async def watch() -> None:
        for _ in range(50):
            seen = await database.read(totals)
            assert seen.get("a") == seen.get("b")

    await asyncio.gather(watch(), watch(), *(database.apply("grow", grow) for _ in range(100)))
    assert await database.read(totals) == {"a": 100, "b": 100}


async def test_what_waits_is_finished_before_the_database_closes(url: str) -> None:
    counter = Counter()
    async with opened(url) as database:
        calls = [
            asyncio.ensure_future(add(database, counter, adding(f"r-{number}")))
            for number in range(50)
        ]
        await asyncio.sleep(0)
    assert await asyncio.gather(*calls) == list(range(1, 51))
    assert await outcome(add(database, counter, adding("late"))) == "SERVICE_UNAVAILABLE"


async def test_times_come_back_as_they_went_in(database: Database) -> None:
    moment = datetime(1731, 7, 4, 12, 0, 0, 123456, tzinfo=UTC)

    def remember(transaction: Transaction) -> None:
        row = dict.fromkeys(("merchant_id", "method", "request_id"), "x")
        values = row | {
            "digest": b"",
            "answer": b"",
            "record_time": moment,
        }
        transaction.connection.execute(insert(PLUMBING.requests).values(**values))

    await database.apply("remember", remember)
    stored = await database.read(
        lambda connection: connection.execute(select(PLUMBING.requests.c.record_time)).scalar_one()
    )
    assert moment == stored


async def test_sqlite_is_set_up_so_that_what_is_acknowledged_is_on_disk(tmp_path: Any) -> None:
    async with opened(f"sqlite:///{tmp_path}/counter.sqlite3") as database:

        def pragmas(connection: Connection) -> list[Any]:
            names = ("journal_mode", "synchronous", "foreign_keys", "query_only")
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

        writing = await database.apply("look", lambda change: pragmas(change.connection))
        reading = await database.read(pragmas)
        assert (writing, reading) == (["wal", 2, 1, 0], ["wal", 2, 1, 1])


async def test_readers_cannot_write(database: Database) -> None:
    handler: Handler = Counter().add
    await database.write("Add", handler, adding("r-1"))

    def write(connection: Connection) -> None:
        connection.execute(COUNTERS.update().values(total=9))

    with pytest.raises(DomainError):
        await database.read(write)
    assert await database.read(totals) == {"n": 1}


async def test_reads_and_writes_outlive_their_connections(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that were idle are asked whether they are still there; used ones are not."""
    with new_database(postgres) as url:
        async with opened(url) as database:
            await add(database, Counter(), adding("r-1"))
            assert await database.read(totals) == {"n": 1}
            await asyncio.to_thread(_cut_off, url)
            with pytest.raises(DomainError) as found:
                await database.read(totals)  # it was used a moment ago, so nobody asks
            assert found.value.reason == "SERVICE_UNAVAILABLE"
            await asyncio.to_thread(_cut_off, url)
            monkeypatch.setattr(engines, "IDLE_S", 0.0)
            for number in range(2, 5):
                await add(database, Counter(), adding(f"r-{number}"))
                assert await database.read(totals) == {"n": number}
                await asyncio.to_thread(_cut_off, url)


def _cut_off(url: str) -> None:
    """Ends all connections to a database, as its server does when it starts again."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
