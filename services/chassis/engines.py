"""Engines, set up so that what is acknowledged is on disk."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pysqlite3.dbapi2
import stamina
import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

_SAFE_SQLITE = (3, 51, 3)
"""Older versions can corrupt a WAL."""

CHECKPOINT_PAGES = 4096
"""SQLite copies its log into the database when it has so many pages: the more there are, the more
often a page is in the log again and has to be copied once only.
"""

WRITER_CACHE_KIB = 16_000
"""What the writer keeps of an SQLite file: with a million items, the inner pages of all indexes. A
batch of counts then takes 7 % less time than with the 2,000 that SQLite keeps by itself.
"""

_POSTGRES_SETTINGS = (
    "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
    " -c synchronous_commit=on -c timezone=UTC -c random_page_cost=1.1 -c enable_seqscan=off"
)
"""A page costs the same wherever it lies, or small tables would be read whole for a few rows.

Plans are kept: to plan anew each time costs PostgreSQL about as much as what is planned. One that
was made when a table was empty would read all of it when it is not; so none reads all of a table
where an index can be used. Which index is best it may not know either, until the table is analyzed
(see `young`): then it is planned anew.
"""

_POSTGRES_WRITING = " -c plan_cache_mode=force_generic_plan"
"""What is written is found by its key, whatever the key. What is read may be asked for in many
ways, so PostgreSQL decides which plans are worth keeping.
"""

_POSTGRES_READING = " -c default_transaction_read_only=on"

LOCKED_S_MAX = 10.0
"""How long processes that open a new SQLite file at once try to: of two that would have it keep a
log SQLite refuses one at once, though told to wait.
"""

pysqlite3.dbapi2.register_adapter(type(None), {}.get)
pysqlite3.dbapi2.register_adapter(bool, int)
"""NULL and truth values as they are. Where it is not told so, the driver first asks each of them
whether it can adapt itself, which takes longer than writing a column.
"""

IDLE_S = 1.0
"""A connection that was used a shorter time ago is not asked whether it is still there."""

log = structlog.get_logger()


class Writing:
    """The database as its one writer has it: a single connection, which is kept. To take it out of
    the pool for each transaction, and to put it back, costs as much as a few statements.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url, writing=True)
        self._kept: Connection | None = None
        self._used_s = 0.0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, undone when something fails."""
        connection = self._take()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._kept, self._used_s = connection, time.monotonic()

    def dispose(self) -> None:
        """Lets go of the database."""
        self._let_go()
        self.engine.dispose()

    def _take(self) -> Connection:
        if time.monotonic() - self._used_s > IDLE_S:
            self._let_go()  # the pool looks whether it is still there
        connection, self._kept = self._kept, None
        return connection or self.engine.connect()

    def _let_go(self) -> None:
        if self._kept:
            self._kept.close()
            self._kept = None


def open_engine(url: str, *, writing: bool) -> Engine:
    """An engine for the one writer, or for readers, who get snapshots and cannot write.

    Its errors, which are logged, tell the statement but not the values: these may be personal.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return _open_sqlite(url, writing=writing)
    engine = create_engine(
        _with_driver(url),
        pool_size=1 if writing else 4,
        max_overflow=0,
        hide_parameters=True,
        connect_args={
            "options": _POSTGRES_SETTINGS + (_POSTGRES_WRITING if writing else _POSTGRES_READING),
            "connect_timeout": 5,
        },
        isolation_level="READ COMMITTED" if writing else "REPEATABLE READ",
    )
    _ask_idle_ones(engine)
    return engine


def _ask_idle_ones(engine: Engine) -> None:
    """Has the pool ask connections that were idle whether they are still there (SQLAlchemy's
    `pool_pre_ping` asks all: a fifth of what a short read takes).
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used_s"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: object) -> None:
        used_s = record.info.get("used_s")
        if used_s is None or time.monotonic() - used_s <= IDLE_S:
            return  # new, or just used
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool opens another one


def _with_driver(url: str) -> str:
    """`postgres://` and `postgresql://`, as hosting services give them, mean psycopg 3 here."""
    parsed = make_url(url)
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def _is_locked(error: Exception) -> bool:
    return isinstance(error, pysqlite3.dbapi2.OperationalError) and "locked" in str(error)


def _open_sqlite(url: str, *, writing: bool) -> Engine:
    if pysqlite3.dbapi2.sqlite_version_info < _SAFE_SQLITE:
        log.warning("this SQLite can corrupt its log", version=pysqlite3.dbapi2.sqlite_version)
    engine = create_engine(
        url,
        module=pysqlite3.dbapi2,
        poolclass=QueuePool,
        pool_size=1 if writing else 4,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": 10, "cached_statements": 500},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing: we do, below
        cursor = connection.cursor()
        for attempt in stamina.retry_context(
            on=_is_locked, attempts=None, timeout=LOCKED_S_MAX, wait_initial=0.01, wait_max=0.1
        ):
            with attempt:
                cursor.execute("PRAGMA journal_mode=WAL")
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=10000",
            f"cache_size={-WRITER_CACHE_KIB if writing else -2000}",
            "journal_size_limit=67108864",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"query_only={'OFF' if writing else 'ON'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
