"""Statements on any table, in bulk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, Table

from services.chassis.plumbing import EPOCH, UtcTime
from services.chassis.statements import Lookup, among, keys
from services.order.rules.order import PUT_OFF_MAX

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list: at most `count`, behind the row with the key `after`."""

    count: int
    after: tuple[Any, ...] | None


def number(column: ColumnElement[Any]) -> ColumnElement[int]:
    """A time as the number it is stored as."""
    return sa.type_coerce(column, BigInteger)


def microseconds(time: datetime) -> int:
    """A time as the number it is stored as."""
    return (time - EPOCH) // timedelta(microseconds=1)


def paged(query: Select[Any], columns: Sequence[ColumnElement[Any]], page: Page) -> Select[Any]:
    """A page of a query's rows in falling order of these columns, which together are unique."""
    if page.after:
        after = [
            sa.literal(value, column.type)
            for value, column in zip(page.after, columns, strict=True)
        ]
        query = query.where(sa.tuple_(*columns) < sa.tuple_(*after))
    return query.order_by(*(column.desc() for column in columns)).limit(page.count)


def due(table: Table, now: datetime) -> Select[Any]:
    """The rows of orders or sales that are due and that nobody has taken."""
    return sa.select(table).where(_is_due(table, now, now + PUT_OFF_MAX))


def _is_due(table: Table, now: Any, far: Any) -> ColumnElement[bool]:
    due_time, lease_time = table.c.due_time, table.c.lease_time
    free = sa.or_(lease_time.is_(None), lease_time <= now, lease_time > far)
    return sa.and_(sa.or_(due_time <= now, due_time > far), free)


def is_due(connection: Connection, table: Table, now: datetime) -> bool:
    """Whether there is a row that `claim` would take."""
    return bool(_any_due(table).rows(connection, now=now, far=now + PUT_OFF_MAX))


@cache
def _any_due(table: Table) -> Lookup:
    """Whether anything is due: a process runs the orders of every merchant."""
    now, far = (sa.bindparam(name, type_=UtcTime) for name in ("now", "far"))
    return Lookup(sa.select(sa.literal_column("1")).where(_is_due(table, now, far)).limit(1))


def claim(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    *,
    now: datetime,
    lease_time: datetime,
    count: int,
) -> Sequence[Row[Any]]:
    """Takes up to `count` due rows until `lease_time`, past those that another process is taking;
    the longest due first. `names` is the table's key.
    """
    query = due(table, now).order_by(table.c.due_time).limit(count)
    rows = connection.execute(query.with_for_update(skip_locked=True)).all()
    if rows:
        found = [tuple(getattr(row, name) for name in names) for row in rows]
        taken = sa.update(table).where(among(keys(), *(table.c[name] for name in names)))
        connection.execute(taken.values(lease_time=lease_time), {"keys": found})
    return rows


def save(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    known: Collection[Key],
) -> None:
    """Inserts rows, and updates those whose key is `known`. All rows have the same columns."""
    new = [row for row in rows if tuple(row[name] for name in names) not in known]
    old = [row for row in rows if tuple(row[name] for name in names) in known]
    if new:
        connection.execute(sa.insert(table), new)
    if old:
        key = [table.c[name] == sa.bindparam(f"of_{name}") for name in names]
        columns = [name for name in old[0] if name not in names]
        update = sa.update(table).where(*key).values({n: sa.bindparam(n) for n in columns})
        connection.execute(
            update,
            [
                {f"of_{name}": row[name] for name in names} | {n: row[n] for n in columns}
                for row in old
            ],
        )


def delete(
    connection: Connection, table: Table, names: Sequence[str], unwanted: Sequence[Key]
) -> None:
    """Deletes the rows with these keys."""
    if unwanted:
        statement = sa.delete(table).where(among(keys(), *(table.c[name] for name in names)))
        connection.execute(statement, {"keys": unwanted})
