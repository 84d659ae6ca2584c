"""Statements that write many rows, as each database takes them fastest."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, count
from operator import itemgetter
from typing import Any

import psycopg
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    Table,
    TypeDecorator,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from services.chassis.driver import (
    bound,
    converted,
    converting,
    driver,
    execute,
    failed,
    is_pipeline,
    map_column,
    written_for,
)

COPY_MIN = 200
"""From so many new rows on, PostgreSQL's COPY is faster than one statement with a list a column."""
MANY = 50
"""Rows that one statement writes to SQLite, where there are so many."""
ARRAYS_MAX = 10_000
"""So many rows at most go to PostgreSQL in one statement."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What happens to a row that is there already."""

    keep: frozenset[str]
    where: Callable[[Any], ColumnElement[bool]] | None
    decided_on: tuple[str, ...] = ()

    def condition(self, table: Table, new: Any) -> ColumnElement[bool] | None:
        """What must hold for it to be replaced."""
        if self.decided_on:
            is_ = [
                table.c[name].is_not_distinct_from(
                    bindparam(f"was_{name}", type_=table.c[name].type)
                )
                for name in self.decided_on
            ]
            return and_(*is_)
        return None if self.where is None else self.where(new)


@dataclass(frozen=True, slots=True)
class Bulk:
    """A statement that writes rows, as the driver takes it.

    Handing many rows to SQLAlchemy costs about as much as writing them; only the columns that the
    database keeps in another form have to be looked at.
    """

    names: Sequence[str]
    """What the rows have, in this order."""
    text: str
    converted: Sequence[tuple[int, Callable[[Any], Any]]]
    order: Sequence[int] = ()
    """What SQLite has to get of a row, by position; empty: all of it, as it is."""
    many: bool = False
    """Whether SQLite may get `MANY` rows in one statement."""
    lists: Sequence[Callable[[Sequence[Any]], str]] = ()
    """For PostgreSQL: what makes one parameter of each column."""
    arrays: str = ""
    """The same statement for PostgreSQL, with a whole column as one parameter."""
    copy: str = ""
    """The same as PostgreSQL's COPY, which only adds rows and is the fastest there is for many."""

    def run(
        self, connection: Connection, rows: Sequence[Sequence[Any]], *, distinct: bool = True
    ) -> int:
        """Writes the rows; returns how many were written. What is `together` on PostgreSQL is not
        counted, nor a replacement of all or none.
        """
        if self.copy and len(rows) >= COPY_MIN and not is_pipeline(connection):
            return self._run_copy(connection, rows)
        if self.arrays and distinct:
            parts = range(0, len(rows), ARRAYS_MAX)
            return sum(self._run_arrays(connection, rows[at : at + ARRAYS_MAX]) for at in parts)
        if not self.arrays:
            return self._run_positions(connection, rows)
        values = converting(self.converted, rows)
        named = [dict(zip(self.names, row, strict=True)) for row in values]
        return int(execute(connection, "executemany", self.text, named).rowcount)

    def _run_positions(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Writes the rows to SQLite: many in one statement are a sixth less work, and what is the
        same in all of them is bound once.
        """
        width = len(self.names)
        values = list(chain.from_iterable(rows))
        for index, convert in self.converted:
            values[index::width] = map_column(values[index::width], convert)
        at = written = 0
        while self.many and len(rows) - at >= MANY:
            written += self._run_many(connection, values[at * width : (at + MANY) * width])
            at += MANY
        if at < len(rows):
            rest = zip(*[iter(values[at * width :])] * width, strict=True)
            given = list(map(itemgetter(*self.order), rest) if self.order else rest)
            written += execute(connection, "executemany", self.text, given).rowcount
        return written

    def _run_many(self, connection: Connection, values: list[Any]) -> int:
        width = len(self.names)
        columns = [values[index::width] for index in range(width)]
        shared = tuple(column.count(column[0]) == MANY for column in columns)
        own = [column for column, is_shared in zip(columns, shared, strict=True) if not is_shared]
        given = [column[0] for column, is_shared in zip(columns, shared, strict=True) if is_shared]
        given += chain.from_iterable(zip(*own, strict=True))
        text = _many_rows(self.text, shared)
        return int(execute(connection, "execute", text, given).rowcount)

    def _run_copy(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        values = converting(self.converted, rows)
        try:
            with driver(connection).cursor() as cursor, cursor.copy(self.copy) as copy:
                for row in values:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise failed(connection, self.copy, error) from error
        return len(rows)

    def _run_arrays(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        columns = converted(self.converted, rows)
        values = zip(self.names, self.lists, columns, strict=True)
        given = {name: listed(column) for name, listed, column in values}
        return int(execute(connection, "execute", self.arrays, given).rowcount)


_SPECIAL = re.compile(r'["\\]')


def texts(column: Sequence[str | None]) -> str:
    """Texts as an array, as PostgreSQL writes them; psycopg takes several times as long."""
    if not column:
        return "{}"
    if None in column or _SPECIAL.search("".join(column)):  # type: ignore[arg-type]
        return "{" + ",".join(map(_text, column)) + "}"
    return '{"' + '","'.join(column) + '"}'  # type: ignore[arg-type]


def _text(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'


def _numbers(column: Sequence[float | None]) -> str:
    """Numbers or truth values as an array."""
    listed = str(list(column)).replace("None", "NULL")
    return "{" + listed[1:-1] + "}"


def _blobs(column: Sequence[bytes | None]) -> str:
    """Bytes as an array."""
    return (
        "{"
        + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in column])
        + "}"
    )


def _lists(kind: TypeEngine[Any]) -> Callable[[Sequence[Any]], str]:
    """What makes one parameter of a column of this type."""
    plain = kind.impl if isinstance(kind, TypeDecorator) else kind
    if isinstance(plain, LargeBinary):
        return _blobs
    return _numbers if isinstance(plain, (Integer, Numeric, Boolean)) else texts


@cache
def replacing(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    decided_on: tuple[str, ...],
    keep: frozenset[str],
) -> Bulk:
    """The replacement of many rows, each only if it still is what was decided on."""
    types = {name: table.c[name].type for name in columns}
    types |= {f"was_{name}": table.c[name].type for name in decided_on}
    new = _unnested(types)
    key = {column.name for column in table.primary_key}
    statement = (
        update(table)
        .values({name: new.c[name] for name in columns if name not in keep | key})
        .where(*(table.c[name] == new.c[name] for name in sorted(key)))
        .where(*(table.c[name].is_not_distinct_from(new.c[f"was_{name}"]) for name in decided_on))
    )
    checked = _all_or_none(statement, columns[0], types) if decided_on else statement
    return _postgres(dialect, types, arrays=str(checked.compile(dialect=dialect)))


def _all_or_none(replace: Update, name: str, types: Mapping[str, TypeEngine[Any]]) -> Select[Any]:
    """Has PostgreSQL refuse a replacement of fewer rows than there are in this column, so that
    nobody has to wait for it to say how many they were. All that can fail in a statement by a
    condition is a division.
    """
    one: ColumnElement[int] = literal_column("1", Integer)
    done = replace.returning(one).cte("done")
    column = bindparam(name, type_=postgresql.ARRAY(types[name]))
    all_of_them = func.count() == func.cardinality(column)
    return select(one // case((all_of_them, one), else_=literal_column("0"))).select_from(done)


@cache
def updating(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> Bulk:
    """The update of many rows by their key, which is among these columns."""
    if dialect.name == "postgresql":
        return replacing(dialect, table, columns, (), frozenset())
    key: dict[str, Any] = {
        column.name: bindparam(f"of_{column.name}") for column in table.primary_key
    }
    statement = (
        update(table)
        .values({name: bindparam(name) for name in columns if name not in key})
        .where(*(table.c[name] == of for name, of in key.items()))
    )
    on = written_for(dialect)
    compiled: Any = statement.compile(dialect=on)
    order = [columns.index(name.removeprefix("of_")) for name in compiled.positiontup]
    types = {name: table.c[name].type for name in columns}
    return Bulk(columns, str(compiled), _indexed(on, types), order)


@cache
def writing(
    dialect: Dialect, table: Table, columns: tuple[str, ...], conflict: Conflict | None
) -> Bulk:
    """The insertion of many rows, or their replacement where they are there already."""
    types = {name: table.c[name].type for name in columns}
    if dialect.name != "postgresql":
        types |= {f"was_{name}": types[name] for name in (conflict.decided_on if conflict else ())}
        on = written_for(dialect)
        compiled: Any = _resolved(sqlite.insert(table), table, columns, conflict).compile(
            dialect=on, column_keys=columns
        )
        names = tuple(types)
        order = [names.index(name) for name in compiled.positiontup]
        plain = order == list(range(len(names)))
        many = plain and names == columns  # else there are parameters behind those of the row
        converted = _indexed(on, types)
        return Bulk(names, str(compiled), converted, () if plain else order, many)
    one = _resolved(postgresql.insert(table), table, columns, conflict)
    new = _unnested(types)
    whole = postgresql.insert(table).from_select(
        columns, select(*(new.c[name] for name in columns))
    )
    named = ", ".join(map(dialect.identifier_preparer.quote, columns))
    return _postgres(
        dialect,
        types,
        text=str(one.compile(dialect=dialect, column_keys=columns)),
        arrays=str(_resolved(whole, table, columns, conflict).compile(dialect=dialect)),
        copy="" if conflict else f"COPY {table.name} ({named}) FROM STDIN",
    )


@lru_cache(maxsize=1000)
def _many_rows(text: str, shared: tuple[bool, ...]) -> str:
    """An insertion of one row into SQLite as one of `MANY`. Its first parameters are what the rows
    share; then come the other columns, row by row.
    """
    one = f"({', '.join('?' * len(shared))})"
    numbers = count(1)
    first = [next(numbers) if is_shared else 0 for is_shared in shared]
    rows = [", ".join([f"?{number or next(numbers)}" for number in first]) for _ in range(MANY)]
    return text.replace(one, ", ".join([f"({row})" for row in rows]), 1)


def _postgres(
    dialect: Dialect,
    types: Mapping[str, TypeEngine[Any]],
    *,
    arrays: str,
    text: str = "",
    copy: str = "",
) -> Bulk:
    lists = [_lists(kind) for kind in types.values()]
    converted = _indexed(dialect, types)
    return Bulk(tuple(types), text, converted, lists=lists, arrays=arrays, copy=copy)


def _unnested(types: Mapping[str, TypeEngine[Any]]) -> Any:
    """A table made of lists, each a parameter."""
    lists = [bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in types.items()]
    return func.unnest(*lists).table_valued(*types, name="new").render_derived()


def _resolved(
    statement: Any, table: Table, columns: tuple[str, ...], conflict: Conflict | None
) -> Any:
    """The insertion, with what happens to rows that are there already."""
    if conflict is None:
        return statement
    new = statement.excluded
    key = {column.name for column in table.primary_key}
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: new[name] for name in columns if name not in key | conflict.keep},
        where=conflict.condition(table, new),
    )


def _indexed(
    dialect: Dialect, types: Mapping[str, TypeEngine[Any]]
) -> Sequence[tuple[int, Callable[[Any], Any]]]:
    """The same by position."""
    names = list(types)
    return [(names.index(name), convert) for name, convert in bound(dialect, types)]
