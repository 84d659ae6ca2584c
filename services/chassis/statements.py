"""Statements that are built once and run often.

Building a statement costs more than running it, so the statements of hot paths are constants, and
go straight to the driver with rows as plain tuples. Two things would be in the way, and are solved
here: keys whose number differs from run to run, and upserts, which every database spells for
itself.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    String,
    Table,
    TypeDecorator,
    bindparam,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from services.chassis.bulk import Conflict, replacing, texts, updating, writing
from services.chassis.driver import (
    StaleError,
    bound,
    converting,
    errors,
    execute,
    failed,
    written_for,
)

Rows = Sequence[Mapping[str, Any]]
T = TypeVar("T")

LISTED_MAX = 256
"""So many keys at most are parameters of their own on SQLite, which finds its way in JSON for more:
a key costs it a third less then, unless keys differ in their last column alone.
"""
_SAME = "same_"
"""Parameters of PostgreSQL's statements for keys that differ in their last column only."""
_AMONG = re.compile(r"\(([\w., ]+)\) IN \(SELECT (?:(?:, )?value ->> \d+)+ FROM json_each\(\?\)\)")
"""What `among` writes for SQLite, with its columns."""


class _Keys(TypeDecorator[Sequence[Sequence[str]]]):
    """Keys as one parameter, however many: JSON; for PostgreSQL, an array that has all first texts,
    then all second ones and so on, of which it can tell how many keys there are.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """What it is in the database."""
        postgres = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.ARRAY(String) if postgres else String())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        """To the database."""
        return _key_array if dialect.name == "postgresql" else _key_json


class Keys(list[Any]):
    """Keys that several statements take: they are written for the database once."""

    def __init__(self, found: Iterable[Any] = ()) -> None:
        super().__init__(found)
        self.written: dict[Callable[[Any], Any], Any] = {}
        """By what has written them."""


def _key_array(found: Sequence[Sequence[str]]) -> str:
    return _written(found, _columns_in_a_row)


def _key_json(found: Sequence[Sequence[str]]) -> str:
    return _written(found, json.dumps)


def _written(found: Sequence[Sequence[str]], write: Callable[[Sequence[Sequence[str]]], T]) -> T:
    if not isinstance(found, Keys):
        return write(found)
    if write not in found.written:
        found.written[write] = write(found)
    written: T = found.written[write]
    return written


def _columns_in_a_row(found: Sequence[Sequence[str]]) -> str:
    return texts([text for column in zip(*found, strict=True) for text in column])


def _last_json(found: Sequence[Sequence[str]]) -> str:
    return json.dumps([key[-1] for key in found])


def _last_column(found: Sequence[Sequence[str]]) -> str:
    return texts([key[-1] for key in found])


def _same(found: Sequence[Sequence[str]]) -> int:
    """How many of the first columns, but for the last one, are the same in all keys."""
    first, last = found[0], len(found[0]) - 1
    for index in range(last):
        column = [key[index] for key in found]
        if column.count(first[index]) < len(column):
            return index
    return last


def _parameters(found: Sequence[Sequence[str]]) -> tuple[int, int, Sequence[str]]:
    """For SQLite: how many of the first columns are the same in all keys, and how many keys are
    parameters of their own; none are where all are JSON. Then the parameters.
    """
    same = _written(found, _same)
    listed = list(found[0][:same])
    if len(found) > LISTED_MAX:
        one = same == len(found[0]) - 1
        return same, 0, [*listed, _written(found, _last_json if one else json.dumps)]
    count = _round(len(found))
    own = [key[same:] for key in found] if same else found
    spare = repeat(own[-1], count - len(found))
    return same, count, [*listed, *chain.from_iterable(chain(own, spare))]


def keys(name: str = "keys") -> BindParameter[Sequence[Sequence[str]]]:
    """The parameter of a statement that takes a list of keys, each a sequence of texts."""
    return bindparam(name, type_=_Keys)


class among(FunctionElement[bool]):  # noqa: N801  (reads as SQL, like sqlalchemy's own)
    """`among(keys(), a, b)`: whether the columns (a, b), all of them text, are one of the keys.

    It has no type, since SQLAlchemy writes `... = 1` behind a boolean one for SQLite, which then
    uses no index.
    """

    inherit_cache = True


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **options: Any) -> str:
    given, *columns = (compiler.process(clause, **options) for clause in element.clauses)
    parts = ", ".join(f"value ->> {index}" for index in range(len(columns)))
    listed = f"SELECT {parts} FROM json_each({given})"  # noqa: S608  (names, and a placeholder)
    return f"({', '.join(columns)}) IN ({listed})"


@compiles(among, "postgresql")
def _among_postgresql(
    element: among, compiler: SQLCompiler, *, same: bool = False, **options: Any
) -> str:
    """With `same`, for keys that differ in their last column only: PostgreSQL plans that faster,
    and finds them faster.
    """
    given, *columns = (compiler.process(clause, **options) for clause in element.clauses)
    if same or len(columns) == 1:
        *shared, last = columns
        one = [f"{name} = %({_SAME}{at})s::VARCHAR" for at, name in enumerate(shared)]
        return f"({' AND '.join([*one, f'{last} = ANY ({given})'])})"
    count = f"cardinality({given}) / {len(columns)}"
    parts = ", ".join(
        f"({given})[{count} * {index} + 1 : {count} * {index + 1}]" for index in range(len(columns))
    )
    return f"({', '.join(columns)}) IN (SELECT * FROM unnest({parts}))"  # noqa: S608  (as above)


class Lookup:
    """A question that is asked often, or that many rows answer. These are plain tuples, each value
    as SQLAlchemy would give it.

    `_LEVELS = Lookup(select(...).where(among(keys(), ...)))`, then
    `_LEVELS.rows(connection, keys=found)`.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self._asks: dict[str, _Ask] = {}

    def rows(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """All rows; `values` are those of the statement's parameters."""
        return list(self.ask(connection, **values))

    def ask(self, connection: Connection, **values: Any) -> Iterator[tuple[Any, ...]]:
        """All rows. It asks at once, and waits for them when the first is taken: see `together`."""
        dialect = connection.dialect
        ask = self._asks.get(dialect.name)
        if ask is None:
            ask = self._asks[dialect.name] = _ask(self.statement, dialect)
        cursor = execute(connection, "execute", *ask.filled(values))
        return ask.read(connection, cursor)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A question as the driver takes it."""

    text: str
    given: Mapping[str, Any]
    """Values that are part of the statement."""
    converted: Mapping[str, Callable[[Any], Any]]
    """The parameters that the database takes in another form."""
    positions: Sequence[str]
    """The parameters in their order, for SQLite."""
    results: Sequence[tuple[int, Callable[[Any], Any]]]
    """The columns that it gives in another form, and what makes them what they are."""
    listed: str
    """The parameter that is the keys, if they may be written as suits them; else empty."""
    last: str
    """For PostgreSQL: the statement for keys that differ in their last column alone."""

    def filled(self, values: dict[str, Any]) -> tuple[str, Any]:
        """The statement, and the values as the driver takes them."""
        found = values[self.listed] if self.listed else ()
        if not found:
            return self._as_it_is(values)
        if self.positions:
            return self._listed(found, values)
        one = _written(found, _same) == len(found[0]) - 1
        return self._last(found, values) if one else self._as_it_is(values)

    def _as_it_is(self, values: dict[str, Any]) -> tuple[str, Any]:
        whole = self._whole(values)
        return self.text, [whole[name] for name in self.positions] if self.positions else whole

    def _listed(self, found: Any, values: dict[str, Any]) -> tuple[str, Any]:
        """For SQLite: with each key as parameters, or all as JSON."""
        same, count, listed = _written(found, _parameters)
        del values[self.listed]
        whole = self._whole(values)
        parameters: list[Any] = []
        for name in self.positions:
            parameters += listed if name == self.listed else (whole[name],)
        return _listing(self.text, same, count), parameters

    def _last(self, found: Any, values: dict[str, Any]) -> tuple[str, Any]:
        """For PostgreSQL: with the last column of the keys, and what the others have in common."""
        del values[self.listed]
        shared = {f"{_SAME}{at}": text for at, text in enumerate(found[0][:-1])}
        column = {self.listed: _written(found, _last_column)}
        return self.last, {**self._whole(values), **column, **shared}

    def _whole(self, values: dict[str, Any]) -> Mapping[str, Any]:
        """All values, converted."""
        for name, convert in self.converted.items():
            if name in values:
                values[name] = convert(values[name])
        return {**self.given, **values} if self.given else values

    def read(self, connection: Connection, cursor: Any) -> Iterator[tuple[Any, ...]]:
        """The rows, once the first is taken."""
        return chain.from_iterable(self._rows(connection, cursor))

    def _rows(self, connection: Connection, cursor: Any) -> Iterator[Iterable[tuple[Any, ...]]]:
        """All of them at once: as a generator each would cost more than it does to read it."""
        try:
            rows = cursor.fetchall()
        except errors(connection) as error:
            raise failed(connection, self.text, error) from error
        yield converting(self.results, rows)


_WHOLE = {"render_postcompile": True}


def _ask(statement: Select[Any], dialect: Dialect) -> _Ask:
    on = written_for(dialect)
    compiled: Any = statement.compile(dialect=on, compile_kwargs=_WHOLE)
    binds = {name: bind.type for name, bind in compiled.binds.items()}
    converted = dict(bound(on, binds))
    given = {
        name: converted[name](value) if name in converted else value
        for name, value in compiled.params.items()
        if value is not None
    }
    text, positions = str(compiled), compiled.positiontup or ()
    keyed = [name for name, kind in binds.items() if isinstance(kind, _Keys)]
    last = ""
    if on.name == "postgresql":
        among_one = len(keyed) == 1
        last = str(statement.compile(dialect=on, compile_kwargs={**_WHOLE, "same": True}))
    else:
        among_one = len(_AMONG.findall(text)) == len(keyed) == 1
    kinds = enumerate(column.type for column in statement.selected_columns)
    results = ((index, kind.dialect_impl(on).result_processor(on, None)) for index, kind in kinds)
    return _Ask(
        text,
        given,
        converted,
        positions,
        [(index, convert) for index, convert in results if convert],
        keyed[0] if among_one else "",
        last if among_one else "",
    )


def _round(count: int) -> int:
    """So many keys or a few more, for which the last one is repeated: so there are not too many
    statements.
    """
    return 1 << (count - 1).bit_length() if count < 16 else -(-count // 16) * 16


@lru_cache(maxsize=1000)
def _listing(text: str, same: int, count: int) -> str:
    """A statement for SQLite with so many keys, each column of each a parameter; with none, they
    are JSON. The first columns, so many as are the `same` in all keys, are compared by themselves,
    since SQLite knows then which index to use.
    """

    def written(found: re.Match[str]) -> str:
        columns = found[1].split(", ")
        own = columns[same:]
        if not count and len(own) == 1:
            keys = "SELECT value FROM json_each(?)"
        elif not count:
            parts = ", ".join(f"value ->> {index}" for index in range(same, len(columns)))
            keys = f"SELECT {parts} FROM json_each(?)"  # noqa: S608  (numbers)
        elif len(own) == 1:
            keys = ", ".join("?" * count)
        else:
            keys = "VALUES " + ", ".join([f"({', '.join('?' * len(own))})"] * count)
        shared = "".join(f"{column} = ? AND " for column in columns[:same])
        return f"({shared}({', '.join(own)}) IN ({keys}))"

    return _AMONG.sub(written, text)


def append(
    connection: Connection,
    table: Table,
    rows: Rows | Sequence[Sequence[Any]],
    columns: Sequence[str] = (),
) -> None:
    """Inserts new rows, all of them with the same columns: mappings, or where `columns` are named,
    tuples of these.
    """
    if rows:
        names = tuple(columns or rows[0])
        writing(connection.dialect, table, names, None).run(
            connection, _tuples(rows, names, columns)
        )


def upsert(
    connection: Connection,
    table: Table,
    rows: Rows | Sequence[Sequence[Any]],
    columns: Sequence[str] = (),
    *,
    keep: Iterable[str] = (),
    where: Callable[[Any], ColumnElement[bool]] | None = None,
    distinct: bool = False,
) -> None:
    """Inserts rows, all of them with the same columns, or replaces those with the same key.

    Args:
        connection: where to.
        table: the table.
        rows: the rows: mappings, or where `columns` are named, tuples of these.
        columns: see `rows`.
        keep: columns that are not replaced.
        where: gives, from the columns of the new row, what must hold for a row to be replaced; a
            function of a module, since the statement is kept for it.
        distinct: whether no two rows have the same key, which is faster for many.
    """
    if rows:
        names = tuple(columns or rows[0])
        bulk = writing(connection.dialect, table, names, Conflict(frozenset(keep), where))
        bulk.run(connection, _tuples(rows, names, columns), distinct=distinct or len(rows) == 1)


def update(connection: Connection, table: Table, rows: Rows) -> None:
    """Updates rows by their keys. All of them have the same columns, no two the same key."""
    if rows:
        names = tuple(rows[0])
        updating(connection.dialect, table, names).run(connection, _tuples(rows, names, ()))


def _tuples(rows: Any, names: Sequence[str], columns: Sequence[str]) -> Sequence[Sequence[Any]]:
    if columns:
        return rows  # type: ignore[no-any-return]
    if len(names) == 1:
        return [(row[names[0]],) for row in rows]
    return list(map(itemgetter(*names), rows))


def save_decided(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[Any, ...]],
    columns: Sequence[str],
    decided_on: Sequence[str],
    *,
    keep: Iterable[str] = (),
) -> None:
    """Inserts rows, or replaces those with the same key, each only if it still is what was decided
    on. So no decision is saved that was made from something stale, with or without a lock in front.

    Args:
        connection: where to.
        table: the table.
        rows: the rows, tuples of `columns`; behind these they have what each column of
            `decided_on` was when they were loaded; None in those that were not there.
        columns: see `rows`.
        decided_on: columns that must still be as they were; one of them at least is never NULL.
        keep: columns that are not replaced.

    Raises:
        StaleError: one of them is not; whoever runs the transaction undoes it, and runs it again.
            Where this is `together` with more, it is raised at the end of that.
    """
    if not rows:
        return
    names, conflict = tuple(columns), Conflict(frozenset(keep), None, tuple(decided_on))
    if connection.dialect.name == "postgresql":
        _save_at_once(connection, table, rows, names, conflict)
    elif writing(connection.dialect, table, names, conflict).run(connection, rows) < len(rows):
        raise StaleError(f"{table.name}: not what was decided on")


def _save_at_once(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[Any, ...]],
    columns: tuple[str, ...],
    conflict: Conflict,
) -> None:
    """Saves what was decided by two statements: of new rows, and of those that were there."""
    width, nothing = len(columns), (None,) * len(conflict.decided_on)
    new = [row[:width] for row in rows if row[width:] == nothing]
    append(connection, table, new, columns)
    known = rows if not new else [row for row in rows if row[width:] != nothing]
    if known:
        replace = replacing(connection.dialect, table, columns, conflict.decided_on, conflict.keep)
        replace.run(connection, known)
