"""What handlers leave to be saved at the end of a transaction, together with all else."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection

from services.chassis.database import Call, Calls, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import command_each, rpcs
from services.chassis.statements import append, save_decided
from tests.chassis.counter import COUNTERS, SERVICE, Counter, message, one_group
from tests.chassis.test_database import SHOP, adding, totals

COLUMNS = ("merchant_id", "name", "total")


def rows(calls: Calls[Any, Any]) -> list[tuple[str, str, int]]:
    return [(call.merchant, call.request.name, 1) for call in calls]


def leave(transaction: Transaction, calls: Calls[Any, Any]) -> None:
    """Leaves a row for each call."""
    made = rows(calls)
    transaction.save_at_end(lambda: append(transaction.connection, COUNTERS, made, COLUMNS))
    for call in calls:
        call.reply(message("Total", name=call.request.name, total=1))


def twice(transaction: Transaction, made: list[tuple[str, str, int]]) -> None:
    append(transaction.connection, COUNTERS, made * 2, COLUMNS)


def too_large(transaction: Transaction, made: list[tuple[str, str, int]]) -> None:
    append(transaction.connection, COUNTERS, [(*made[0][:2], 1 << 70)], COLUMNS)


def nothing(transaction: Transaction, made: list[tuple[str, str, int]]) -> None:
    append(transaction.connection, COUNTERS, [(*made[0][:2], None)], COLUMNS)


def bug(_transaction: Transaction, _made: list[tuple[str, str, int]]) -> None:
    raise RuntimeError("a bug")


async def test_it_is_saved(database: Database) -> None:
    await database.write("Leave", leave, adding("r-1", "n"))
    assert await database.read(totals) == {"n": 1}


async def test_who_reads_in_the_same_transaction_sees_it(database: Database) -> None:
    seen: list[Mapping[str, int]] = []

    def look(transaction: Transaction, calls: Calls[Any, Any]) -> None:
        seen.append(totals(transaction.connection))
        calls[0].answer = b""

    async with one_group(database):
        left = asyncio.ensure_future(database.write("Leave", leave, adding("r-1", "n")))
        looked = asyncio.ensure_future(database.write("Look", look, adding("look")))
    await asyncio.gather(left, looked)
    assert seen == [{"n": 1}]


async def test_nothing_is_left_of_a_call_that_is_refused_after_it_left_something(
    database: Database,
) -> None:
    class Refusing(Counter):
        @command_each
        def replace(self, transaction: Transaction, call: Call[Any, Any]) -> Any:
            leave(transaction, [call])
            if call.request.name == "bad":
                transaction.save_at_end(lambda: nothing(transaction, rows([call])))
                raise DomainError("QUANTITY_OUT_OF_RANGE", "found out too late")
            return message("Total", total=1)

    (run,) = (
        one.run for one in rpcs(SERVICE, Refusing(), database) if one.path.endswith("Replace")
    )
    assert run
    async with one_group(database):
        answers = [
            asyncio.ensure_future(run(SHOP, adding(name, name).request.SerializeToString(), 1e9))
            for name in ("first", "bad", "last")
        ]
    found = await asyncio.gather(*answers, return_exceptions=True)
    assert [isinstance(one, DomainError) for one in found] == [False, True, False]
    assert await database.read(totals) == {"first": 1, "last": 1}


@pytest.mark.parametrize("save", [twice, too_large, nothing, bug])
async def test_what_can_not_be_saved_does_not_spoil_its_neighbors(
    database: Database, save: Callable[[Transaction, list[tuple[str, str, int]]], None]
) -> None:
    def spoil(transaction: Transaction, calls: Calls[Any, Any]) -> None:
        transaction.save_at_end(lambda: save(transaction, rows(calls)))
        transaction.emit("mug-shop", "counter/bad", message("Total"))
        for call in calls:
            call.answer = b""

    async with one_group(database):
        calls = [
            asyncio.ensure_future(database.write(name, handler, adding(name, name)))
            for name, handler in (("first", leave), ("bad", spoil), ("last", leave))
        ]
    first, bad, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, bytes)
    assert isinstance(last, bytes)
    assert isinstance(bad, Exception)
    assert await database.read(totals) == {"first": 1, "last": 1}
    assert await database.read(_told) == 0, "nor is it told"
    assert await database.write("first", leave, adding("first", "first")) == first, (
        "and is remembered"
    )


def _told(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar_one())


async def test_what_was_decided_on_something_stale_is_decided_anew(database: Database) -> None:
    """On PostgreSQL this turns out when the commit is on its way already."""
    await database.write("Leave", leave, adding("r-1", "n"))
    decided_on = [7, 1]

    def decide(transaction: Transaction, calls: Calls[Any, Any]) -> None:
        known = decided_on.pop(0)
        row = (SHOP.merchant, "n", known + 1, known)
        transaction.save_at_end(
            lambda: save_decided(transaction.connection, COUNTERS, [row], COLUMNS, ["total"])
        )
        calls[0].reply(message("Total", total=known + 1))

    answer = await database.write("Decide", decide, adding("r-2", "n"))
    assert decided_on == []
    assert message("Total").FromString(answer).total == 2
    assert await database.read(totals) == {"n": 2}
