"""The tables that every service has beside its own: remembered answers, outbox and what is left of
it, cursors, dead letters.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    delete,
    func,
    select,
    tuple_,
    union_all,
)

from services.chassis import statements
from services.chassis.driver import together
from services.chassis.statements import Lookup, among

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives out; SQLite only does so for the type called INTEGER."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names of constraints, so that migrations can change them on every database."""


T = TypeVar("T")


def batches(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The rows in order, in runs of at most `size`."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, stored as microseconds since 1970: the same on every database."""

    impl = BigInteger
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], int | None]:
        """To the database."""
        return _microseconds

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[int | None], datetime | None]:
        """From the database."""
        return _moment


# The rows of a group share their times, so most conversions are the same as one just before.
@lru_cache(maxsize=4096)
def _microseconds(value: datetime | None) -> int | None:
    return None if value is None else (value - EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def _moment(value: int | None) -> datetime | None:
    return None if value is None else EPOCH + value * _MICROSECOND


_TAKE_TURN = Lookup(
    select(func.pg_advisory_xact_lock(7464), func.pg_notify("tillbridge_outbox", ""))
)


class Plumbing:
    """The plumbing tables in a service's own metadata, and the statements on them."""

    def __init__(self, metadata: MetaData) -> None:
        self.requests = Table(
            "requests",
            metadata,
            Column("merchant_id", String, primary_key=True),
            Column("method", String, primary_key=True),
            Column("request_id", String, primary_key=True),
            Column("digest", LargeBinary, nullable=False),
            Column("answer", LargeBinary, nullable=False),
            Column("record_time", UtcTime, nullable=False, index=True),
        )
        self.outbox = Table(
            "outbox",
            metadata,
            Column("cursor", Serial, primary_key=True, autoincrement=True),
            Column("event_id", String, nullable=False),
            Column("merchant_id", String, nullable=False),
            Column("channel_id", String, nullable=False),
            Column("type", String, nullable=False),
            Column("subject", String, nullable=False),
            Column("time", UtcTime, nullable=False),
            Column("data", LargeBinary, nullable=False),
            Index(None, "channel_id", "cursor"),
            sqlite_autoincrement=True,
        )
        self.last_events = _last_events(metadata)
        columns = self.outbox.c.keys()
        self.events = union_all(
            select(*(self.last_events.c[name] for name in columns)),
            select(*(self.outbox.c[name] for name in columns)),
        ).subquery("events")
        """All that a reader can still be told, with the columns of the outbox."""
        self.consumers = Table(
            "consumers",
            metadata,
            Column("merchant_id", String, primary_key=True),
            Column("consumer", String, primary_key=True),
            Column("cursor", BigInteger, nullable=False),
            Column("update_time", UtcTime, nullable=False),
        )
        self.dead_letters = _dead_letters(metadata)

        known = self.requests.c
        self._request_columns = known.keys()
        self._event_columns = columns[1:]
        key = (known.merchant_id, known.method, known.request_id)
        self._answers = Lookup(
            select(*key, known.digest, known.answer).where(among(statements.keys(), *key))
        )

    def answers(
        self, connection: Connection, keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], tuple[bytes, bytes]]:
        """Digest and answer of the requests known by these keys (merchant, method, request id)."""
        with together(connection):  # with what begins the transaction
            rows = self._answers.ask(connection, keys=keys)
        return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}

    def remember(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Remembers answers; a row has the columns of `requests`, in their order."""
        statements.append(connection, self.requests, rows, self._request_columns)

    def forget(self, connection: Connection, before: datetime, limit: int) -> int:
        """Forgets up to `limit` answers that were remembered before this time; returns how many."""
        known = self.requests.c
        key = (known.merchant_id, known.method, known.request_id)
        old = select(*key).where(known.record_time < before).limit(limit)
        return connection.execute(delete(self.requests).where(tuple_(*key).in_(old))).rowcount

    def append(self, connection: Connection, events: Sequence[tuple[Any, ...]]) -> None:
        """Appends rows to the outbox, in order; a row has its columns but for the cursor.

        On PostgreSQL several writers share the outbox. They take turns from here to their commit,
        so that cursors become visible in the order in which they are given out and no reader can
        skip one.
        """
        if connection.dialect.name == "postgresql":
            _TAKE_TURN.ask(connection)
        statements.append(connection, self.outbox, events, self._event_columns)


def _last_events(metadata: MetaData) -> Table:
    """The newest of the events that the outbox has no more, of each kind; see `pruning`."""
    return Table(
        "last_events",
        metadata,
        Column("merchant_id", String, primary_key=True),
        Column("channel_id", String, primary_key=True),
        Column("subject", String, primary_key=True),
        Column("type", String, primary_key=True),
        Column("cursor", BigInteger, nullable=False),
        Column("event_id", String, nullable=False),
        Column("time", UtcTime, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Index(None, "cursor", unique=True),
        Index(None, "merchant_id", "cursor"),
        Index(None, "channel_id", "cursor"),
    )


def _dead_letters(metadata: MetaData) -> Table:
    """Events that a consumer failed to handle; see `dead_letters`."""
    return Table(
        "dead_letters",
        metadata,
        Column("merchant_id", String, primary_key=True),
        Column("consumer", String, primary_key=True),
        Column("reader", String, primary_key=True),
        Column("cursor", BigInteger, primary_key=True, autoincrement=False),
        Column("event_id", String, nullable=False),
        Column("channel_id", String, nullable=False),
        Column("type", String, nullable=False),
        Column("subject", String, nullable=False),
        Column("time", UtcTime, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("reason", String, nullable=False),
        Column("deliveries", Integer, nullable=False),
        Column("fail_time", UtcTime, nullable=False),
        Column("due_time", UtcTime),
        Index(None, "reader", "consumer", "due_time"),
    )
