"""Statements on any table, in bulk."""

from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table

from services.chassis.driver import together
from services.chassis.plumbing import EPOCH, UtcTime
from services.chassis.statements import Lookup, among, append, keys, update
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


class Shape:
    """What rows of a table are read as: by the names of its columns, but for those left out."""

    def __init__(self, table: Table, *left_out: str) -> None:
        self.columns = [column for column in table.c if column.name not in left_out]
        names = [column.name for column in self.columns]
        self.row: Callable[[Iterable[Any]], Any] = namedtuple(table.name, names)._make  # type: ignore[attr-defined]


class Claims:
    """Finds rows of orders or of sales that are due, and takes them; `names` is the table's key."""

    def __init__(self, table: Table, names: Sequence[str], shape: Shape) -> None:
        now, far = (sa.bindparam(name, type_=UtcTime) for name in ("now", "far"))
        due_time, lease_time = table.c.due_time, table.c.lease_time
        free = sa.or_(lease_time.is_(None), lease_time <= now, lease_time > far)
        due = sa.and_(due_time.is_not(None), sa.or_(due_time <= now, due_time > far), free)
        self._names = names
        self._shape = shape
        self._any = Lookup(sa.select(sa.literal_column("1")).where(due).limit(1))
        self._longest = Lookup(
            sa.select(*shape.columns)
            .where(due)
            .order_by(due_time)
            .limit(sa.bindparam("count"))
            .with_for_update(skip_locked=True)
        )
        self._take = (
            sa.update(table)
            .where(among(keys(), *(table.c[name] for name in names)))
            .values(lease_time=sa.bindparam("until"))
        )

    def is_due(self, connection: Connection, now: datetime) -> bool:
        """Whether there is a row that `claim` would take: of any merchant."""
        with together(connection):  # with what begins the transaction
            found = self._any.ask(connection, now=now, far=now + PUT_OFF_MAX)
        return next(found, None) is not None

    def claim(
        self, connection: Connection, *, now: datetime, lease_time: datetime, count: int
    ) -> Sequence[Any]:
        """Takes up to `count` due rows until `lease_time`, past those that another process is
        taking; the longest due first.
        """
        found = self._longest.rows(connection, now=now, far=now + PUT_OFF_MAX, count=count)
        rows = list(map(self._shape.row, found))
        if rows:
            taken = [tuple(getattr(row, name) for name in self._names) for row in rows]
            connection.execute(self._take, {"keys": taken, "until": lease_time})
        return rows


def save(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    known: Collection[Key],
) -> None:
    """Inserts rows, and updates those whose key is `known`. New rows all have the same columns."""
    new: list[Mapping[str, Any]] = []
    old: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if tuple(row[name] for name in names) not in known:
            new.append(row)
        elif len(row) > len(names):
            old.setdefault(tuple(row), []).append(row)
    append(connection, table, new)
    for same in old.values():
        update(connection, table, same)


def delete(
    connection: Connection, table: Table, names: Sequence[str], unwanted: Sequence[Key]
) -> None:
    """Deletes the rows with these keys."""
    if unwanted:
        statement = sa.delete(table).where(among(keys(), *(table.c[name] for name in names)))
        connection.execute(statement, {"keys": unwanted})
