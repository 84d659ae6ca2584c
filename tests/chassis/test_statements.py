"""Writing many rows at once: each value in its column, whatever the order, on each database."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    select,
)

from services.chassis.driver import StaleError
from services.chassis.engines import open_engine
from services.chassis.plumbing import UtcTime
from services.chassis.statements import (
    Lookup,
    among,
    append,
    keys,
    save_decided,
    upsert,
)

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
COUNTS = [1, 49, 50, 51, 120, 199, 200, 201]
"""Below and above what goes in one statement, on either database."""

THINGS = Table(
    "things",
    MetaData(),
    Column("owner", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("first", BigInteger),
    Column("second", BigInteger),
    Column("note", String),
    Column("body", LargeBinary),
    Column("good", Boolean, nullable=False),
    Column("time", UtcTime),
)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    found = open_engine(url, writing=True)
    with found.begin() as connection:
        THINGS.metadata.create_all(connection)
    yield found
    found.dispose()


def rows(count: int, **other: Any) -> list[dict[str, Any]]:
    """Rows whose columns stand in another order than the table's."""
    return [
        {
            "time": NOON + timedelta(seconds=number) if number % 3 else None,
            "second": number + 1_000_000,
            "good": number % 2 == 0,
            "name": f'thing {number} "{{,}}\\ ü',
            "first": number if number % 5 else None,
            "body": bytes([number % 256, 0, 255]) if number % 4 else None,
            "owner": "me",
            "note": None if number % 7 else "",
        }
        | other
        for number in range(count)
    ]


def stored(connection: Connection) -> list[dict[str, Any]]:
    found = connection.execute(select(THINGS)).mappings()
    return sorted(map(dict, found), key=lambda row: row["second"] % 1_000_000)


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_appended_is_there_as_it_was_given(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        append(connection, THINGS, rows(count))
        assert stored(connection) == rows(count)


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("count", COUNTS)
def test_what_is_upserted_replaces_what_was_there(
    engine: Engine, count: int, distinct: bool
) -> None:
    with engine.begin() as connection:
        append(connection, THINGS, rows(count // 2, note="old", first=-1))
        upsert(connection, THINGS, rows(count, note="new"), keep=["first"], distinct=distinct)
        kept = rows(count // 2, note="new", first=-1)
        assert stored(connection) == [*kept, *rows(count, note="new")[count // 2 :]]


def decided(before: Sequence[dict[str, Any] | None], **after: Any) -> list[tuple[Any, ...]]:
    """What was decided on these rows, with what they were; None where there was none."""
    return [
        (*(row | after).values(), known["second"] if known else None)
        for row, known in zip(rows(len(before)), before, strict=True)
    ]


COLUMNS = tuple(rows(1)[0])


@pytest.mark.parametrize("count", COUNTS)
def test_what_was_decided_is_saved_while_it_still_is_what_was_decided_on(
    engine: Engine, count: int
) -> None:
    known = rows(count // 2)
    before = [*known, *([None] * (count - count // 2))]
    with engine.begin() as connection:
        append(connection, THINGS, known)
        save_decided(connection, THINGS, decided(before, note="decided"), COLUMNS, ["second"])
        assert stored(connection) == rows(count, note="decided")


@pytest.mark.parametrize("count", COUNTS)
def test_it_does_not_matter_in_which_order_columns_are(engine: Engine, count: int) -> None:
    names = [column.name for column in THINGS.columns]
    saved = [tuple(row[name] for name in names) for row in rows(count, note="decided")]
    with engine.begin() as connection:
        append(connection, THINGS, rows(count))
        known = [(*row, row[names.index("second")]) for row in saved]
        save_decided(connection, THINGS, known, names, ["second"])
        assert stored(connection) == rows(count, note="decided")


@pytest.mark.parametrize("count", [2, 20, 500])
def test_what_was_decided_on_something_else_is_not_saved(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        append(connection, THINGS, rows(count))
        changed = rows(count)[-1] | {"second": 7}
        upsert(connection, THINGS, [changed])
        with pytest.raises(StaleError):
            save_decided(
                connection, THINGS, decided(rows(count), note="stale"), COLUMNS, ["second"]
            )


_FOUND = Lookup(
    select(THINGS.c.owner, THINGS.c.name)
    .where(THINGS.c.second >= bindparam("least"), among(keys(), THINGS.c.owner, THINGS.c.name))
    .limit(bindparam("most"))
)


@pytest.mark.parametrize("owners", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 17, 256, 257])
def test_rows_are_found_by_their_keys_however_many_and_whatever_these_share(
    engine: Engine, owners: int, count: int
) -> None:
    names = ["me", "you"][:owners]
    wanted = [(names[n % owners], f"thing {n}") for n in range(count)]
    others = [(owner, f"other {n}") for owner in ("me", "you") for n in range(3)]
    swapped = [("you" if owner == "me" else "me", name) for owner, name in wanted]
    with engine.begin() as connection:
        there = [*dict.fromkeys([*wanted, *others, *(swapped if owners == 1 else [])])]
        made = zip(rows(len(there)), there, strict=True)
        append(connection, THINGS, [row | {"owner": key[0], "name": key[1]} for row, key in made])
        asked = [*wanted, ("me", "nowhere")] if count else []
        found = _FOUND.rows(connection, keys=asked, least=0, most=1000)
        assert sorted(found) == sorted(wanted)
        assert len(_FOUND.rows(connection, keys=asked, least=0, most=1)) == min(count, 1)
