"""P1 and P2: whoever is killed, nothing that was acknowledged is lost or doubled."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from services import history
from tests.chaos.conftest import KILLED
from tests.chaos.run import run

pytestmark = pytest.mark.long

READY_AGAIN_S_MAX = 60.0
"""The promise is 3 s, on a machine that has nothing else to do: see the line that is printed."""


def test_who_is_killed_loses_and_doubles_nothing_on_sqlite(tmp_path: Path) -> None:
    _check(asyncio.run(run(replace(KILLED, promise="P1"), tmp_path)))


def test_who_is_killed_loses_and_doubles_nothing_on_postgresql(killed: Path) -> None:
    _check(killed)


def _check(path: Path) -> None:
    found = history.read(path)
    print(history.summary(found))
    assert history.check(found) == []
    took_s = [line["took_s"] for line in found.lines["ready"]]
    assert len(took_s) == KILLED.kills
    assert max(took_s) < READY_AGAIN_S_MAX
