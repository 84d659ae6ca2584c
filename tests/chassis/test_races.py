"""Several processes on one PostgreSQL, and one process on SQLite that is killed."""

import asyncio
import os
import random
import sqlite3
import sys
import threading
import time
from collections import Counter as Tally
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from services.chassis.database import Transaction
from tests.chassis import acknowledging
from tests.chassis.counter import COUNTERS, JOURNAL, Counter, create_tables, opened
from tests.chassis.test_database import add, adding, effects, outcome, totals

ROOT = Path(__file__).resolve().parents[2]


async def test_two_processes_that_race_for_a_new_row_both_get_in(shared: str) -> None:
    async with opened(shared) as one, opened(shared) as other:
        for number in range(20):
            answers = await asyncio.gather(
                add(one, Counter(), adding(f"one-{number}", f"n-{number}")),
                add(other, Counter(), adding(f"other-{number}", f"n-{number}")),
            )
            assert sorted(answers) == [1, 2]
        assert set((await one.read(totals)).values()) == {2}


async def test_two_processes_that_get_the_same_request_do_it_once(shared: str) -> None:
    async with opened(shared) as one, opened(shared) as other:
        for number in range(20):
            call = adding(f"r-{number}")
            first, second = await asyncio.gather(
                one.write("Add", Counter().add, call),
                other.write("Add", Counter().add, adding(f"r-{number}")),
            )
            assert first == second
        assert await one.read(totals) == {"n": 20}
        assert len(await one.read(effects)) == 20


async def test_no_update_is_lost_between_processes(shared: str) -> None:
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(opened(shared)) for _ in range(4)]
        await asyncio.gather(
            *(
                add(process, Counter(), adding(f"{index}-{number}", f"n-{number % 3}"))
                for index, process in enumerate(processes)
                for number in range(60)
            )
        )
        assert await processes[0].read(totals) == {"n-0": 80, "n-1": 80, "n-2": 80}


async def test_a_named_lock_keeps_others_out_until_the_end(shared: str) -> None:
    async with opened(shared) as one, opened(shared) as other:
        order: list[str] = []
        begun = threading.Event()

        def slow(transaction: Transaction) -> None:
            transaction.lock(["a", "b"])
            begun.set()
            time.sleep(0.2)
            order.append("slow")

        def quick(transaction: Transaction) -> None:
            transaction.lock(["b"])
            order.append("quick")

        first = asyncio.ensure_future(one.apply("slow", slow))
        await asyncio.to_thread(begun.wait, 5)
        await asyncio.gather(first, other.apply("quick", quick))
        assert order == ["slow", "quick"]


async def test_a_lock_that_is_never_freed_is_a_clear_refusal(shared: str) -> None:
    """Five tries of two seconds would be too long for a test: the wait is shortened here."""
    async with opened(shared) as one, opened(shared) as other:
        begun, go_on = threading.Event(), threading.Event()

        def keep(transaction: Transaction) -> None:
            transaction.lock(["a"])
            begun.set()
            go_on.wait(10)

        def want(transaction: Transaction) -> None:
            transaction.connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
            transaction.lock(["a"])

        keeping = asyncio.ensure_future(one.apply("keep", keep))
        await asyncio.to_thread(begun.wait, 5)
        assert await outcome(other.apply("want", want)) == "SERVICE_UNAVAILABLE"
        go_on.set()
        await keeping
        await other.apply("want", want)


async def acknowledged_until_killed(url: str, first: int, after: int) -> list[int]:
    """Runs the process of `acknowledging`; kills it when it has acknowledged some, a bit later."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        acknowledging.__name__,
        url,
        str(first),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    seen = [int(await process.stdout.readline()) for _ in range(after)]
    process.kill()  # SIGKILL, at whatever line it is
    rest = await process.stdout.read()
    await process.wait()
    return seen + [int(line) for line in rest.split(b"\n")[:-1] if line]


@pytest.mark.long
async def test_what_is_acknowledged_survives_a_kill_and_is_not_doubled(url: str) -> None:
    """P1, small: each process begins behind what was acknowledged, so it repeats what the killed
    one may have committed without saying so.
    """
    seed = int(os.environ.get("TILLBRIDGE_TEST_SEED", time.time_ns() % 10**6))
    kills = 8 if url.startswith("sqlite") else 3
    print(f"seed {seed}, {kills} kills")
    chance = random.Random(seed)
    create_tables(url)
    acknowledged: set[int] = set()
    for _ in range(kills):
        done = next(number for number in range(10**9) if number not in acknowledged)
        acknowledged.update(await acknowledged_until_killed(url, done, chance.randint(1, 150)))
    async with opened(url) as database:
        found = await database.read(_journal)
        total = await database.read(_total)
    print(f"{len(acknowledged)} acknowledged, {len(found)} committed")
    assert acknowledged <= found.keys()
    assert set(found.values()) == {1}
    assert total == len(found)
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _journal(connection: Connection) -> dict[int, int]:
    return Tally(map(int, connection.execute(select(JOURNAL.c.request_id)).scalars()))


def _total(connection: Connection) -> int:
    return connection.execute(select(func.sum(COUNTERS.c.total))).scalar() or 0
