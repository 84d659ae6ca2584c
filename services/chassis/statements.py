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

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    String,
    Table,
    TypeDecorator,
    bindparam,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Rows = Sequence[Mapping[str, Any]]


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
) -> None:
    """Inserts rows, all of them with the same columns, or replaces those with the same key.

    Args:
        connection: where to.
        table: the table.
        rows: the rows.
        keep: columns that are not replaced.
        where: gives, from the columns of the new row, what must hold for a row to be replaced; a
            function of a module, since the statement is kept for it.
    """
    if rows:
        conflict = _Conflict(frozenset(keep), where)
        _bulk(connection.dialect, table, tuple(rows[0]), conflict).run(connection, rows)


@dataclass(frozen=True, slots=True)
class _Conflict:
    """What happens to a row that is there already."""

    keep: frozenset[str]
    where: Callable[[Any], ColumnElement[bool]] | None


@dataclass(frozen=True, slots=True)
class _Bulk:
    """A statement as the driver takes it, with rows as they are.

    Handing many rows to SQLAlchemy costs about as much as writing them; only the columns that the
    database keeps in another form have to be looked at.
    """

    text: str
    converted: Sequence[tuple[str, Callable[[Any], Any]]]

    def run(self, connection: Connection, rows: Rows) -> None:
        """Writes the rows."""
        values = [dict(row) for row in rows]
        for name, convert in self.converted:
            for row in values:
                row[name] = convert(row[name])
        connection.exec_driver_sql(self.text, values)


@cache
def _bulk(
    dialect: Dialect, table: Table, columns: tuple[str, ...], conflict: _Conflict | None
) -> _Bulk:
    statement: Any
    if dialect.name == "postgresql":
        named, statement = dialect, postgresql.insert(table)
    else:
        named, statement = sqlite.dialect(paramstyle="named"), sqlite.insert(table)
    if conflict:
        new = statement.excluded
        key = {column.name for column in table.primary_key}
        statement = statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: new[name] for name in columns if name not in key | conflict.keep},
            where=None if conflict.where is None else conflict.where(new),
        )
    text = str(statement.compile(dialect=named, column_keys=columns))
    types = [(name, table.c[name].type.dialect_impl(named)) for name in columns]
    processors = [(name, found.bind_processor(named)) for name, found in types]
    return _Bulk(text, [(name, convert) for name, convert in processors if convert])
