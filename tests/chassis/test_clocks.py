"""What time it is, for one process and for several that share a database."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from services.chassis import database
from services.chassis.clocks import ServerClock
from services.chassis.database import Transaction
from tests.chassis.counter import opened
from tests.conftest import new_database

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
A_MINUTE, TEN_MINUTES = timedelta(minutes=1), timedelta(minutes=10)


class Server:
    """A connection to a server whose clock stands still; counts how often it is looked at."""

    looks = 0

    def exec_driver_sql(self, _statement: str) -> "Server":
        self.looks += 1
        return self

    def scalar_one(self) -> datetime:
        return NOON


def test_a_clock_that_was_never_looked_at_says_what_it_was_given() -> None:
    assert ServerClock(lambda: NOON)() == NOON


def test_a_clock_goes_on_by_itself_and_is_looked_at_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, server = 100.0, Server()
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    clock = ServerClock(lambda: NOON + TEN_MINUTES)
    connection: Connection = server  # type: ignore[assignment]  # it asks for nothing else
    for now_s, shown, looks in (  # noqa: B007  (the clock reads it)
        (100.0, NOON, 1),
        (100.5, NOON + timedelta(seconds=0.5), 1),
        (101.0, NOON, 2),
        (101.9, NOON + timedelta(seconds=0.9), 2),
    ):
        clock.look(connection)
        assert (clock(), server.looks) == (shown, looks)


@pytest.mark.parametrize(
    ("took_s", "off_s"),
    [
        ([0.004], 0.002),
        ([1.4, 0.004, 1.4], 0.002),  # stood still while the answer was on its way
        ([1.4, 0.9, 0.2, 0.5, 0.3, 0.004], 0.1),  # a server far away
    ],
)
def test_a_look_that_took_long_does_not_set_the_clock_back(
    monkeypatch: pytest.MonkeyPatch, took_s: list[float], off_s: float
) -> None:
    """The server reads its clock at once, and what takes time is the way back."""
    now_s, waits = 100.0, iter(took_s)

    class Slow(Server):
        def exec_driver_sql(self, _statement: str) -> "Slow":
            nonlocal now_s
            self.shown = NOON + timedelta(seconds=now_s - 100.0)
            now_s += next(waits)
            return self

        def scalar_one(self) -> datetime:
            return self.shown

    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    clock = ServerClock(lambda: NOON)
    connection: Connection = Slow()  # type: ignore[assignment]  # it asks for nothing else
    clock.look(connection)
    behind = NOON + timedelta(seconds=now_s - 100.0) - clock()
    assert abs(behind.total_seconds() - off_s) < 1e-5


@pytest.mark.parametrize("at", ["write", "read"])
async def test_processes_that_share_a_server_go_by_its_clock(
    postgres: str, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """However wrong their own is."""
    monkeypatch.setattr(database, "utc_now", lambda: datetime.now(UTC) + TEN_MINUTES)
    with new_database(postgres) as url:
        async with opened(url, clock=None) as one:
            if at == "write":
                now = await one.apply("look", _now)
            else:
                now = await one.read(lambda _: one.clock())
    assert abs(now - datetime.now(UTC)) < A_MINUTE


async def test_a_process_with_a_file_goes_by_the_clock_of_its_machine(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "utc_now", lambda: NOON)
    async with opened(f"sqlite:///{tmp_path}/file.sqlite3", clock=None) as one:
        assert await one.apply("look", _now) == NOON


def _now(transaction: Transaction) -> datetime:
    return transaction.now
