"""Databases in memory, worked on in the one thread there is."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from services.catalog.store import PLUMBING as CATALOG
from services.chassis import migrate
from services.chassis.database import Database
from services.chassis.engines import Writing
from services.chassis.plumbing import Plumbing
from services.chassis.queue import GROUP_MAX, Job, Queue
from services.chassis.settings import CONTEXTS, Context
from services.customer.store import PLUMBING as CUSTOMER
from services.inventory.store import PLUMBING as INVENTORY
from services.order.store import PLUMBING as ORDER
from tests.simulation.faults import Faults

T = TypeVar("T")

PLUMBING: Mapping[Context, Plumbing] = {
    "catalog": CATALOG,
    "inventory": INVENTORY,
    "order": ORDER,
    "customer": CUSTOMER,
}
COMMIT_S_MAX = 0.004
"""How long a group gathers at most before it is committed."""


def _migrate(context: Context, target: Any) -> None:
    """Makes an empty database what the migrations make of it."""
    with tempfile.TemporaryDirectory(prefix="tillbridge-simulation-") as folder:
        path = Path(folder) / "template.sqlite3"
        migrate.upgrade(context, f"sqlite:///{path}")
        source = sqlite.connect(str(path))
        source.backup(target)
        source.close()


class Storage:
    """What stays of a service when its processes die: one database, kept in memory."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.raw = sqlite.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=1000
        )
        engine = create_engine(
            "sqlite://", module=sqlite, creator=lambda: self.raw, poolclass=StaticPool
        )
        self.connection = engine.connect()
        """The one there is: to make one for each look takes longer than many a look."""
        _migrate(context, self.raw)
        tables = self.raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        self._emptied = [
            name for (name,) in tables if not self.raw.execute(f"SELECT 1 FROM {name}").fetchall()
        ]
        """Tables that the migrations have put nothing into."""

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, undone when something fails."""
        self.raw.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.rollback()
            raise
        self.raw.execute("COMMIT")

    def empty(self) -> None:
        """Makes it as good as new, by deleting rows: with another schema SQLite would have to
        prepare all statements again.
        """
        self.raw.execute("PRAGMA foreign_keys=OFF")
        for name in self._emptied:
            self.raw.execute(f"DELETE FROM {name}")
        self.raw.execute("PRAGMA foreign_keys=ON")


@cache
def storages() -> Mapping[Context, Storage]:
    """The databases of the four services. They are made once: what SQLAlchemy has learned of its
    statements is worth keeping from seed to seed.
    """
    return {context: Storage(context) for context in CONTEXTS}


class Gathering(Queue):
    """The calls that wait for the writer: committed together a moment after the first of them."""

    def __init__(self, write_soon: Callable[[], None]) -> None:
        super().__init__()
        self._write_soon = write_soon

    def put(self, job: Job) -> None:
        """Takes a call; the first one sets the moment."""
        super().put(job)
        if len(self.jobs) == 1:
            self._write_soon()

    def take_all(self) -> list[Job]:
        """The next group."""
        return [self.jobs.popleft() for _ in range(min(GROUP_MAX, len(self.jobs)))]


class InlineDatabase(Database):
    """A service's database as one process sees it, its writer being the event loop itself.

    A group is committed in one go, so what happens between two processes happens between commits.
    `committed` is called after each commit, before anybody is answered, with whether it has
    appended events.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], Any],
        faults: Faults,
        committed: Callable[[bool], None],
        owner: str,
    ) -> None:
        self._storage = storage
        self._faults = faults
        self._committed = committed
        self._owner = owner
        super().__init__("sqlite://", PLUMBING[storage.context], clock=clock)

    def _begin(self) -> None:
        self._writing = cast("Writing", self._storage)
        self._queue = Gathering(self._write_soon)

    def _write_soon(self) -> None:
        self._loop.call_later(self._faults.moment(COMMIT_S_MAX), self._write_gathered)

    def _write_gathered(self) -> None:
        if self._queue.closed:
            return  # the process is dead
        jobs = cast("Gathering", self._queue).take_all()
        if self._queue.jobs:
            self._write_soon()
        self._faults.shuffle(jobs)
        names = ",".join(sorted({job.name.rsplit(".", 1)[-1] for job in jobs}))
        if self._faults.crash(self._owner, f"before commit of {names}"):
            return
        appended = self._write(jobs)
        self._faults.note(f"{self._owner} commits {len(jobs)} {names}")
        self._committed(appended)
        if self._faults.crash(self._owner, f"after commit of {names}"):
            return
        self._deliver(jobs, appended=False)  # `committed` wakes whoever waits for a commit

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Runs `query` here and now, between two commits."""
        return query(self._storage.connection)

    def die(self) -> None:
        """Whatever waits is never committed and never answered."""
        self._queue.closed = True
        self._queue.jobs.clear()

    async def close(self) -> None:
        """As `die`: the database itself stays."""
        self.die()
