"""Straight to the driver: statements as text, rows as plain tuples.

Handing many rows to SQLAlchemy costs about as much as writing them; only the columns that the
database keeps in another form have to be looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, LargeBinary
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

_NOT_ALL = "22012"
"""PostgreSQL's code of a division by zero: a replacement that was to be of all rows or none."""


class StaleError(Exception):
    """A row is not what was decided on: somebody else has written it. Decide anew."""


@contextmanager
def together(connection: Connection) -> Iterator[None]:
    """Lets PostgreSQL begin with each of the statements of this module that are in the block before
    those in front of it are answered; at its end all are. Of blocks in each other, the outermost
    is what waits. Statements of SQLAlchemy's must not be in it.
    """
    if connection.dialect.name != "postgresql" or is_pipeline(connection):
        yield
        return
    try:
        with driver(connection).pipeline():
            yield
    except errors(connection) as error:
        raise failed(connection, "together", error) from error


def commit(connection: Connection) -> None:
    """Commits, as the last of what is `together`, on PostgreSQL; SQLAlchemy has nothing left to
    commit then. Elsewhere that is what commits.
    """
    if connection.dialect.name == "postgresql":
        driver(connection).execute("COMMIT", prepare=False)


def driver(connection: Connection) -> Any:
    """The driver's own connection, in a transaction."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.driver_connection


def is_pipeline(connection: Connection) -> bool:
    """Whether `together` is open, on PostgreSQL."""
    return bool(driver(connection).pgconn.pipeline_status)


def errors(connection: Connection) -> type[Exception]:
    """What the driver raises."""
    found: Any = connection.dialect.dbapi
    return found.Error  # type: ignore[no-any-return]


def failed(connection: Connection, text: str, error: Exception) -> Exception:
    """What went wrong in the driver, as SQLAlchemy would have it, and without the values; a
    StaleError where not all was replaced that was to be.
    """
    if getattr(error, "sqlstate", None) == _NOT_ALL:
        return StaleError("not what was decided on")
    made: Any = DBAPIError.instance
    found: Exception = made(
        text, None, error, errors(connection), hide_parameters=True, dialect=connection.dialect
    )
    return found


def execute(connection: Connection, method: str, text: str, values: Any) -> Any:
    """The cursor, after `execute` or `executemany`."""
    cursor = driver(connection).cursor()
    try:
        getattr(cursor, method)(text, values)
    except errors(connection) as error:
        raise failed(connection, text, error) from error
    return cursor


def converting(
    converts: Sequence[tuple[int, Callable[[Any], Any]]], rows: Sequence[Any]
) -> Iterable[Any]:
    """The rows with these columns converted."""
    if not rows or not converts:
        return rows
    return zip(*converted(converts, rows), strict=True)


def converted(
    converts: Sequence[tuple[int, Callable[[Any], Any]]], rows: Sequence[Any]
) -> list[Sequence[Any]]:
    """The columns of the rows, these converted."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for index, convert in converts:
        columns[index] = map_column(columns[index], convert)
    return columns


def map_column(column: Sequence[Any], convert: Callable[[Any], Any]) -> Sequence[Any]:
    """A column converted; the rows of a group often have the same in it, such as its time."""
    first = column[0]
    if column.count(first) == len(column):
        return [convert(first)] * len(column)
    return list(map(convert, column))


def written_for(dialect: Dialect) -> Dialect:
    """The dialect that statements are written in: SQLite's with parameters by their position, since
    names have to be looked up for every row.
    """
    return dialect if dialect.name == "postgresql" else sqlite.dialect(paramstyle="qmark")


def bound(
    dialect: Dialect, types: Mapping[str, TypeEngine[Any]]
) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """What the database takes in another form, and how each gets there."""
    for name, kind in types.items():
        convert = kind.dialect_impl(dialect).bind_processor(dialect)
        if convert and not isinstance(kind, LargeBinary):
            yield name, convert
