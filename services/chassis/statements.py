"""Statements that are built once and run often.

Building a statement costs more than running it, so the statements of hot paths are constants. Two
things would be in the way, and are solved here: keys whose number differs from run to run, and
upserts, which every database spells for itself.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    String,
    Table,
    TypeDecorator,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Rows = Sequence[Mapping[str, Any]]

AT_ONCE_MIN = 20
ARRAYS_MAX = 10_000
"""From so many rows on, a column at a time is faster than a row at a time."""


class _Json(TypeDecorator[Sequence[Sequence[str]]]):
    """Keys as one parameter, however many."""

    impl = String
    cache_ok = True

    def process_bind_param(
        self, value: Sequence[Sequence[str]] | None, dialect: Dialect
    ) -> str | None:
        """To the database."""
        return json.dumps(value)


def keys(name: str = "keys") -> BindParameter[Sequence[Sequence[str]]]:
    """The parameter of a statement that takes a list of keys, each a sequence of texts."""
    return bindparam(name, type_=_Json)


class among(FunctionElement[bool]):  # noqa: N801  (reads as SQL, like sqlalchemy's own)
    """`among(keys(), a, b)`: whether the columns (a, b), all of them text, are one of the keys.

    It has no type, since SQLAlchemy writes `... = 1` behind a boolean one for SQLite, which then
    uses no index.
    """

    inherit_cache = True


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **options: Any) -> str:
    return _among(element, compiler, "json_each({})", options)


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **options: Any) -> str:
    return _among(element, compiler, "json_array_elements(CAST({} AS json))", options)


def _among(element: among, compiler: SQLCompiler, rows: str, options: Mapping[str, Any]) -> str:
    given, *columns = (compiler.process(clause, **options) for clause in element.clauses)
    parts = ", ".join(f"value ->> {index}" for index in range(len(columns)))
    listed = f"SELECT {parts} FROM {rows.format(given)}"  # noqa: S608  (names, and a placeholder)
    return f"({', '.join(columns)}) IN ({listed})"


def append(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts new rows, all of them with the same columns."""
    if rows:
        _bulk(connection.dialect, table, tuple(rows[0]), None).run(connection, rows)


def upsert(
    connection: Connection,
    table: Table,
    rows: Rows,
    *,
    keep: Iterable[str] = (),
    where: Callable[[Any], ColumnElement[bool]] | None = None,
    distinct: bool = False,
) -> None:
    """Inserts rows, all of them with the same columns, or replaces those with the same key.

    Args:
        connection: where to.
        table: the table.
        rows: the rows.
        keep: columns that are not replaced.
        where: gives, from the columns of the new row, what must hold for a row to be replaced; a
            function of a module, since the statement is kept for it.
        distinct: whether no two rows have the same key, which is faster for many.
    """
    if rows:
        conflict = _Conflict(frozenset(keep), where)
        bulk = _bulk(connection.dialect, table, tuple(rows[0]), conflict)
        bulk.run(connection, rows, distinct=distinct)


class StaleError(Exception):
    """A row is not what was decided on: somebody else has written it. Decide anew."""


def save_decided(
    connection: Connection,
    table: Table,
    rows: Rows,
    decided_on: Sequence[str],
    *,
    keep: Iterable[str] = (),
) -> None:
    """Inserts rows, or replaces those with the same key, each only if it still is what was decided
    on. So no decision is saved that was made from something stale, with or without a lock in front.

    Args:
        connection: where to.
        table: the table.
        rows: the rows; beside their columns they have, as `was_NAME`, what each column of
            `decided_on` was when they were loaded; None in those that were not there.
        decided_on: columns that must still be as they were; one of them at least is never NULL.
        keep: columns that are not replaced.

    Raises:
        StaleError: one of them is not; whoever runs the transaction undoes it, and runs it again.
    """
    if rows and connection.dialect.name == "postgresql":
        _save_at_once(connection, table, rows, decided_on, frozenset(keep))
    elif rows:
        columns = tuple(name for name in rows[0] if not name.startswith("was_"))
        conflict = _Conflict(frozenset(keep), None, tuple(decided_on))
        if _bulk(connection.dialect, table, columns, conflict).run(connection, rows) < len(rows):
            raise StaleError(f"{table.name}: not what was decided on")


def _save_at_once(
    connection: Connection,
    table: Table,
    rows: Rows,
    decided_on: Sequence[str],
    keep: frozenset[str],
) -> None:
    """Saves what was decided by two statements: of new rows, and of those that were there."""
    columns = tuple(name for name in rows[0] if not name.startswith("was_"))
    was = [f"was_{name}" for name in decided_on]
    new = [row for row in rows if all(row[name] is None for name in was)]
    known = [row for row in rows if any(row[name] is not None for name in was)]
    append(connection, table, [{name: row[name] for name in columns} for row in new])
    if known:
        replace = _replacing(connection.dialect, table, columns, tuple(decided_on), keep)
        if replace.run_arrays(connection, known) < len(known):
            raise StaleError(f"{table.name}: not what was decided on")


@dataclass(frozen=True, slots=True)
class _Conflict:
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
class _Bulk:
    """A statement as the driver takes it, with rows as they are.

    Handing many rows to SQLAlchemy costs about as much as writing them; only the columns that the
    database keeps in another form have to be looked at.
    """

    text: str
    converted: Sequence[tuple[str, Callable[[Any], Any]]]
    positions: Sequence[str] = ()
    """The parameters in their order, for SQLite: names have to be looked up for every row."""
    arrays: str = ""
    """The same for PostgreSQL with a whole column as one parameter."""
    copy: str = ""
    """The same as PostgreSQL's COPY, which only adds rows and is the fastest there is."""

    def run(self, connection: Connection, rows: Rows, *, distinct: bool = False) -> int:
        """Writes the rows; returns how many were written."""
        if self.copy and len(rows) >= AT_ONCE_MIN:
            return self._run_copy(connection, rows)
        if distinct and self.arrays and len(rows) >= AT_ONCE_MIN:
            return self.run_arrays(connection, rows)
        if self.positions:
            return self._run_positions(connection, rows)
        values = [dict(row) for row in rows]
        for name, convert in self.converted:
            for row in values:
                row[name] = convert(row[name])
        return connection.exec_driver_sql(self.text, values).rowcount

    def _run_positions(self, connection: Connection, rows: Rows) -> int:
        converts = dict(self.converted)
        columns: list[Iterable[Any]] = []
        for name in self.positions:
            column = [row[name] for row in rows]
            convert = converts.get(name)
            columns.append([convert(value) for value in column] if convert else column)
        values = list(zip(*columns, strict=True))
        return connection.exec_driver_sql(self.text, values).rowcount

    def _run_copy(self, connection: Connection, rows: Rows) -> int:
        converts = dict(self.converted)
        columns = ((converts.get(name), [row[name] for row in rows]) for name in rows[0])
        values = [map(convert, column) if convert else column for convert, column in columns]
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(self.copy) as copy:
                for row in zip(*values, strict=True):
                    copy.write_row(row)
        except psycopg.Error as error:  # as SQLAlchemy would have it, and without the values
            raise DBAPIError(self.copy, None, error, hide_parameters=True) from error
        return len(rows)

    def run_arrays(self, connection: Connection, rows: Rows) -> int:
        """Writes the rows, whole columns at once; returns how many were written."""
        written = 0
        for begin in range(0, len(rows), ARRAYS_MAX):
            some = rows[begin : begin + ARRAYS_MAX]
            columns = {name: [row[name] for row in some] for name in rows[0]}
            for name, convert in self.converted:
                columns[name] = [convert(value) for value in columns[name]]
            written += connection.exec_driver_sql(self.arrays, columns).rowcount
        return written


@cache
def _replacing(
    dialect: Dialect,
    table: Table,
    columns: tuple[str, ...],
    decided_on: tuple[str, ...],
    keep: frozenset[str],
) -> _Bulk:
    """The replacement of many rows, each only if it still is what was decided on."""
    types = {name: table.c[name].type for name in columns}
    types |= {f"was_{name}": table.c[name].type for name in decided_on}
    lists = [bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in types.items()]
    new = func.unnest(*lists).table_valued(*types, name="new").render_derived()
    key = {column.name for column in table.primary_key}
    statement = (
        update(table)
        .values({name: new.c[name] for name in columns if name not in keep | key})
        .where(*(table.c[name] == new.c[name] for name in sorted(key)))
        .where(*(table.c[name].is_not_distinct_from(new.c[f"was_{name}"]) for name in decided_on))
    )
    arrays = str(statement.compile(dialect=dialect))
    return _Bulk("", _converted(dialect, table, columns, decided_on), arrays=arrays)


@cache
def _bulk(
    dialect: Dialect, table: Table, columns: tuple[str, ...], conflict: _Conflict | None
) -> _Bulk:
    if dialect.name != "postgresql":
        qmark = sqlite.dialect(paramstyle="qmark")
        compiled = _resolved(sqlite.insert(table), table, columns, conflict).compile(
            dialect=qmark, column_keys=columns
        )
        decided_on = conflict.decided_on if conflict else ()
        return _Bulk(
            str(compiled), _converted(qmark, table, columns, decided_on), compiled.positiontup
        )
    one = _resolved(postgresql.insert(table), table, columns, conflict)
    text = str(one.compile(dialect=dialect, column_keys=columns))
    if conflict is None:
        names = ", ".join(map(dialect.identifier_preparer.quote, columns))
        copy = f"COPY {table.name} ({names}) FROM STDIN"
        return _Bulk(text, _converted(dialect, table, columns), copy=copy)
    lists = [bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in columns]
    new = func.unnest(*lists).table_valued(*columns, name="new").render_derived()
    whole = postgresql.insert(table).from_select(
        columns, select(*(new.c[name] for name in columns))
    )
    arrays = str(_resolved(whole, table, columns, conflict).compile(dialect=dialect))
    return _Bulk(text, _converted(dialect, table, columns), arrays=arrays)


def _resolved(
    statement: Any, table: Table, columns: tuple[str, ...], conflict: _Conflict | None
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


def _converted(
    dialect: Dialect, table: Table, columns: Sequence[str], decided_on: Sequence[str] = ()
) -> Sequence[tuple[str, Callable[[Any], Any]]]:
    """The columns that the database keeps in another form, and how each gets there."""
    kinds = {name: table.c[name].type for name in columns}
    kinds |= {f"was_{name}": table.c[name].type for name in decided_on}
    processors = (
        (name, kind.dialect_impl(dialect).bind_processor(dialect)) for name, kind in kinds.items()
    )
    return [(name, convert) for name, convert in processors if convert]
