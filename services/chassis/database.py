"""How a command runs: load many, decide, save many, in one transaction that calls share.

All writing of a process goes through one thread. While it commits one group of calls, the next
ones gather; it then takes them all into the next transaction, each kind of call to its handler at
once. So the cost of a durable commit is shared by as many calls as wait for it, and a call that
comes alone waits for nobody. Reading goes through a few threads of its own and never sees half a
transaction.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from random import Random
from secrets import randbits
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import structlog
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from services.chassis import failpoints, metrics
from services.chassis.auth import Caller
from services.chassis.checks import parse
from services.chassis.clocks import ServerClock
from services.chassis.driver import StaleError, commit, together
from services.chassis.engines import Writing, open_engine
from services.chassis.errors import DomainError
from services.chassis.failures import is_taken, out_of_order, unavailable, worth_retrying
from services.chassis.plumbing import Plumbing
from services.chassis.queue import Job, Queue
from services.chassis.replays import RepeatedError, Replays, begun, repeat
from services.chassis.statements import Lookup, keys

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)
T = TypeVar("T")

_ids = Random(randbits(256))  # noqa: S311  (they have to differ, and are no secret)
"""Asking the system for each takes ten times as long."""
os.register_at_fork(after_in_child=_ids.seed)  # else two processes would give the same ids

_NOBODY = Caller("", "", frozenset())

READERS = 4
TRIES = 5
FORGET_MAX = 2_000
"""Remembered answers that one transaction forgets at most."""

log = structlog.get_logger()


def new_id() -> str:
    """32 hexadecimal digits that nothing else has."""
    return _ids.getrandbits(128).to_bytes(16, "big").hex()


_full_name: Callable[[Any], str] = cache(lambda kind: str(kind.DESCRIPTOR.full_name))
"""What a kind of message is called: protobuf makes the name anew each time."""


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Unread:
    """A request as it came. Those of a group are read one after the other by whoever decides on
    them, which takes a third of the time of reading each as it arrives, between all else.
    """

    kind: type[Message]
    body: bytes


@dataclass(slots=True, eq=False)
class Call(Generic[Request, Answer]):
    """One call of a command, and what becomes of it.

    `with call:` is where a handler decides it: a DomainError raised inside is this call's answer
    and does not concern its neighbors.
    """

    caller: Caller
    request: Request
    """`Unread` until `read`, if it came so."""
    deadline_s: float = float("inf")
    """When the caller stops waiting, by `time.monotonic()`."""
    answer: bytes | None = None
    error: Exception | None = None

    @property
    def merchant(self) -> str:
        """The merchant that the call is made for."""
        return self.caller.merchant

    @property
    def request_id(self) -> str:
        """The caller's id of the change; empty where the contract has none."""
        return str(getattr(self.request, "request_id", ""))

    def read(self) -> bool:
        """Reads a request that came unread; returns whether it is valid, else that is its error."""
        came: object = self.request
        if isinstance(came, Unread):
            try:
                self.request = cast("Request", parse(came.kind, came.body))
            except Exception as error:
                self.error = error
                return False
        return True

    def reply(self, answer: Answer) -> None:
        """Answers the call."""
        self.answer = answer.SerializeToString(deterministic=True)

    def __enter__(self) -> "Call[Request, Answer]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, DomainError):
            self.answer, self.error = None, error
            return True
        return False


Calls = Sequence[Call[Request, Answer]]
Handler = Callable[["Transaction", Sequence[Call[Any, Any]]], None]


def _locking(function: Any) -> Lookup:
    name = func.unnest(keys("names")).table_valued("name").render_derived().c.name
    return Lookup(select(function(func.hashtextextended(name, 0))))


_LOCK = _locking(func.pg_advisory_xact_lock)
_LOCK_SHARED = _locking(func.pg_advisory_xact_lock_shared)


class Transaction:
    """A transaction of the writer: a connection, its time, and the events that leave with it."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._rest: list[Callable[[], None]] = []
        self.now = now
        self.events: list[tuple[Any, ...]] = []
        """Rows of the outbox: events are many at times, and rows are small."""

    @property
    def connection(self) -> Connection:
        """To read and write by, not to be kept: what was left for the end is saved before."""
        if self._rest:
            self.save_rest()
        return self._connection

    def save_at_end(self, save: Callable[[], None]) -> None:
        """Leaves what was decided to be saved at the end of the transaction, so that PostgreSQL is
        at it while the rest is made ready, and is waited for once. It waits for nothing itself.
        """
        self._rest.append(save)

    def save_rest(self) -> None:
        """Saves what was left for the end."""
        rest, self._rest = self._rest, []
        with together(self._connection):
            for save in rest:
                save()

    def undo(self, told: int) -> None:
        """Drops what was left for the end, and all events but for the first so many."""
        self._rest.clear()
        del self.events[told:]

    def emit(self, merchant_id: str, subject: str, message: Message, channel_id: str = "") -> None:
        """Tells others what happened, once this transaction is committed.

        `subject` is what it is about (`item/<id>`) and the unit of ordering; `channel_id` is the
        channel that it concerns, if it concerns one.
        """
        self.emit_all(merchant_id, [(subject, message)], channel_id)

    def emit_all(
        self, merchant_id: str, told: Iterable[tuple[str, Message]], channel_id: str = ""
    ) -> None:
        """The same for many messages, each with its subject; they may be one, filled in anew."""
        now, name = self.now, _full_name
        self.events += [
            (new_id(), merchant_id, channel_id, name(type(m)), subject, now, m.SerializeToString())
            for subject, m in told
        ]

    def lock(self, names: Iterable[str], *, shared: bool = False) -> None:
        """Holds these names until the end of the transaction, against other processes.

        SQLite has one writer at a time anyway.
        """
        wanted = [(name,) for name in sorted(set(names))]
        if wanted and self.connection.dialect.name == "postgresql":
            (_LOCK_SHARED if shared else _LOCK).ask(self.connection, names=wanted)


class Database:
    """One service's database. Opened on the event loop that uses it."""

    def __init__(
        self, url: str, plumbing: Plumbing, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.url = url
        self.plumbing = plumbing
        self._replays = Replays(plumbing)
        self.clock = clock or utc_now
        """What time it is. Where processes share a database server, it is the server's time."""
        self.on_commit: list[Callable[[], None]] = []
        """Called on the event loop after a commit that appended events."""
        self._loop = asyncio.get_running_loop()
        self._queue = Queue()
        self._begin()
        if clock is None and url.startswith("postgres"):
            self._go_by_server()

    def _begin(self) -> None:
        """Opens the database, and begins to work in threads. Who works otherwise (a simulation, all
        in one thread) replaces this, `_queue`, `read` and `close`, and runs groups by `_write`.
        """
        self._writing = Writing(self.url)
        self._reading: Engine = open_engine(self.url, writing=False)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._writer = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._writer.start()

    def _go_by_server(self) -> None:
        self.clock = shared = ServerClock(utc_now)
        for engine in (self._writing.engine, self._reading):
            event.listen(engine, "begin", shared.look)

    async def write(self, name: str, handler: Handler, call: Call[Any, Any]) -> bytes:
        """Runs a call of the command `name`, together with others that wait; returns its answer.

        A call with a `request_id` that was answered before gets the same bytes again and does
        nothing. One with `validate_only` does nothing anyway, so its answer is not remembered.

        Raises:
            DomainError: what the handler refused; INVALID_FIELD where the request came unread;
                REQUEST_ID_REUSED; SERVICE_UNAVAILABLE when the database did not take it, and then
                nothing of it has happened.
        """
        job = Job(name, handler, call, self._loop.create_future())
        self._queue.put(job)
        return await job.done

    async def apply(self, name: str, change: Callable[[Transaction], T]) -> T:
        """Runs a change that no call asked for, such as an event that was followed.

        It shares transactions with calls, and behind a savepoint like them. Returns what `change`
        returns, once that is durable.
        """
        results: list[T] = []

        def handler(transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
            results[:] = [change(transaction)]
            calls[0].answer = b""

        await self.write(name, handler, Call(_NOBODY, Empty()))
        return results[0]

    async def forget(self, days: int) -> None:
        """Forgets the answers that were remembered more than `days` ago, some at a time, so that
        calls need not wait for all of it.

        Raises:
            DomainError: SERVICE_UNAVAILABLE; what was forgotten so far stays forgotten.
        """
        before = self.clock() - timedelta(days=days)
        while await self.apply(
            "forget",
            lambda transaction: self.plumbing.forget(transaction.connection, before, FORGET_MAX),
        ):
            failpoints.at("forget.some")

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Runs `query` on a snapshot, in a reader's thread, and returns what it returns."""
        return await self._loop.run_in_executor(self._readers, self._read, query)

    async def close(self) -> None:
        """Finishes what waits, then lets go of the database."""
        self._queue.close()
        await self._loop.run_in_executor(None, self._writer.join)
        self._readers.shutdown(wait=True)
        self._writing.dispose()
        self._reading.dispose()

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._reading.begin() as connection:
                return query(connection)
        except DataError:  # it will never take this value: no reason to ask again
            raise
        except DBAPIError as error:
            raise unavailable(error) from error

    def _write_all(self) -> None:
        while jobs := self._queue.take():
            appended = self._write(jobs)
            with suppress(RuntimeError):  # the loop is closed: nobody waits for the answers
                self._loop.call_soon_threadsafe(self._deliver, jobs, appended)

    def _write(self, jobs: list[Job]) -> bool:
        """Decides a group for good, answers or errors; tells whether it appended events."""
        metrics.GROUP.observe(len(jobs))
        jobs = [job for job in jobs if job.read()]
        if not jobs:
            return False
        for attempt in range(TRIES):
            try:
                return self._commit(jobs, attempt)
            except (DBAPIError, StaleError) as error:
                if not worth_retrying(error) or attempt == TRIES - 1:
                    log.exception("commit failed", calls=len(jobs))
                    _fail(jobs, unavailable(error))
                    break
                time.sleep(0.005 * 2**attempt)
            except Exception as error:
                log.exception("commit failed", calls=len(jobs))
                _fail(jobs, error)
                break
        return False

    def _deliver(self, jobs: list[Job], appended: bool) -> None:
        for job in jobs:
            if job.done.done():
                continue  # the caller went away
            if job.call.error:
                job.done.set_exception(job.call.error)
            else:
                job.done.set_result(cast("bytes", job.call.answer))
        if appended:
            for wake in self.on_commit:
                wake()

    def _commit(self, jobs: list[Job], attempt: int) -> bool:
        """Runs a group in one transaction; tells whether it appended events.

        Hardly ever does anything but a refusal go wrong, so a group runs bare at first, and nobody
        looks whether its requests were answered before: who remembers an answer notices. When
        something goes wrong, all of it is undone, and runs again with each call behind a savepoint,
        so that one bad call never spoils its neighbors. So does the last try of a group that keeps
        losing a race: what looks like one may be a row that can never be inserted.
        """
        if attempt == TRIES - 1:
            return self._run(jobs, partial(_run_guarded, retry=False))
        try:
            if not attempt and not self._replays.expected():
                with suppress(RepeatedError):
                    return self._run(jobs, _run_bare, look_first=False)
            return self._run(jobs, _run_bare)
        except (_SpoiledError, IntegrityError, DataError) as error:
            # The latter of what is saved at the end: PostgreSQL tells when all of it is sent.
            if worth_retrying(error):
                raise
            log.warning("a group failed; each of its calls runs by itself", exc_info=error)
            return self._run(jobs, _run_guarded)

    def _run(
        self,
        jobs: list[Job],
        run_kind: Callable[[Transaction, list[Job]], None],
        *,
        look_first: bool = True,
    ) -> bool:
        """Runs a group; `look_first` says whether calls that were answered before are looked for.

        Raises:
            RepeatedError: nobody has looked first, and one of the requests was answered before.
        """
        replays = self._replays
        jobs, repeats = begun(jobs)
        with self._writing.begin() as connection:
            failpoints.at("commit.begin")
            transaction = Transaction(connection, self.clock())
            known = replays.answer(connection, jobs, repeats) if look_first else set()
            kinds: dict[Handler, list[Job]] = {}
            for job in jobs:
                if job not in known:
                    kinds.setdefault(job.handler, []).append(job)
            for kind in kinds.values():
                run_kind(transaction, kind)
            done = [job for kind in kinds.values() for job in kind]
            if not look_first or connection.dialect.name == "postgresql":
                # Those that were refused since what they ask for is done: before, or just now by
                # another process, whose locks they have waited for.
                refused = [job for job in done if job.call.error]
                known |= replays.answer(connection, refused, repeats)
            for job, first in repeats.items():
                repeat(job, first)
            try:
                with together(connection):
                    with _spoiling():
                        transaction.save_rest()
                    failpoints.at("commit.handled")
                    new = [job for job in done if job not in known]
                    replays.remember(connection, new, transaction.now)
                    failpoints.at("commit.remembered")
                    if transaction.events:
                        self.plumbing.append(connection, transaction.events)
                    failpoints.at("commit.ready")
                    commit(connection)
            except IntegrityError as error:
                if look_first:
                    raise
                raise RepeatedError from error
        failpoints.at("commit.done")
        return bool(transaction.events)


class _SpoiledError(Exception):
    """A call failed, so that nothing of the group may stay."""


@contextmanager
def _spoiling() -> Iterator[None]:
    """What fails in here spoils its group, unless another process was in the way."""
    try:
        yield
    except Exception as error:
        if worth_retrying(error):
            raise
        raise _SpoiledError from error


def _run_bare(transaction: Transaction, jobs: list[Job]) -> None:
    """Runs all calls of one kind at once."""
    with _spoiling():
        _handle(transaction, jobs)


def _run_guarded(transaction: Transaction, jobs: list[Job], *, retry: bool = True) -> None:
    """Runs each call behind a savepoint; what fails leaves no trace and is that call's error.

    With `retry`, a lost race is raised, so that the whole group runs again. Without, a row that is
    there already is looked at once more, since who was faster has committed it: what still cannot
    be inserted then never can.
    """
    for job in jobs:
        error = _behind_savepoint(transaction, job)
        if error and retry and worth_retrying(error):
            raise error
        if error and is_taken(error):
            error = _behind_savepoint(transaction, job)
        if error:
            log.error("call failed", method=job.name, exc_info=error)
            passes = not is_taken(error) and worth_retrying(error)
            _fail([job], unavailable(error) if passes or out_of_order(error) else error)


def _behind_savepoint(transaction: Transaction, job: Job) -> Exception | None:
    """Runs a call; returns why it failed, and then nothing is left of it."""
    savepoint = transaction.connection.begin_nested()
    told = len(transaction.events)
    try:
        _handle(transaction, [job])
        transaction.save_rest()
        savepoint.commit()
    except Exception as error:
        savepoint.rollback()
        transaction.undo(told)
        return error
    return None


def _handle(transaction: Transaction, jobs: list[Job]) -> None:
    jobs[0].handler(transaction, [job.call for job in jobs])
    for job in jobs:
        if job.call.answer is None and job.call.error is None:
            raise RuntimeError(f"{job.name} left a call without an answer")


def _fail(jobs: list[Job], error: Exception) -> None:
    for job in jobs:
        job.call.answer, job.call.error = None, error
