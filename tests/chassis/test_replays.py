"""Calls that come again: answered as before, though nobody looks for them at first."""

import asyncio
from typing import Any

import pytest

from services.chassis import replays
from services.chassis.database import Database
from tests.chassis.counter import PLUMBING, Counter, one_group
from tests.chassis.test_database import add, adding, effects, totals


@pytest.fixture
def looks(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For how many calls each look was."""
    counts: list[int] = []
    answers = PLUMBING.answers

    def counted(connection: Any, keys: Any) -> Any:
        counts.append(len(keys))
        return answers(connection, keys)

    monkeypatch.setattr(database.plumbing, "answers", counted)
    return counts


async def test_a_repeat_is_undone_with_its_group_which_then_runs_without_it(
    database: Database, looks: list[int]
) -> None:
    counter = Counter()
    assert await add(database, counter, adding("r-1")) == 1
    assert looks == []
    async with one_group(database):
        calls = [
            asyncio.ensure_future(add(database, counter, adding(request_id)))
            for request_id in ("r-2", "r-1", "r-3")
        ]
    assert [await call for call in calls] == [2, 1, 3]
    assert looks == [3]
    assert await database.read(effects) == ["r-1", "r-2", "r-3"]
    assert await database.read(totals) == {"n": 3}


async def test_what_is_refused_since_it_is_done_is_answered_as_it_was(
    database: Database, looks: list[int]
) -> None:
    counter = Counter()
    await add(database, counter, adding("r-1", amount=5))
    assert await add(database, counter, adding("r-2", amount=-5)) == 0
    assert await add(database, counter, adding("r-2", amount=-5)) == 0
    assert looks == [1]
    assert await database.read(effects) == ["r-1", "r-2"]


async def test_where_calls_come_again_they_are_looked_for_before_anything_is_decided(
    database: Database, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "EXPECTED_GROUPS", 2)
    counter = Counter()
    await add(database, counter, adding("r-1"))
    await add(database, counter, adding("r-1"))
    decided = len(counter.groups)
    assert await add(database, counter, adding("r-1")) == 1
    assert len(counter.groups) == decided
    del looks[:]
    for request_id in ("r-2", "r-3", "r-4"):
        await add(database, counter, adding(request_id))
    assert looks == [1, 1]
