"""The event feed that every service serves: its outbox, read by consumers with cursors."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

import psycopg
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.dead_letters import DeadLetters
from services.chassis.errors import DomainError, invalid
from services.chassis.pages import key_before, page_size, token_after
from services.chassis.plumbing import EPOCH, Plumbing
from services.chassis.rpc import View, any_merchant, command_each, query
from services.chassis.statements import Lookup, among, keys, upsert
from tillbridge.events.v1 import events_pb2 as pb

BATCH_DEFAULT = 100
BATCH_BYTES = 1024 * 1024
"""A batch ends with the event that exceeds this, so that it fits what a client takes (4 MiB): a
follower whose next batch cannot be delivered would stand still for good.
"""
HEARTBEAT_S = 10.0
POLL_S = 1.0
"""How long a reader sleeps at most while another process may have appended."""
COUNT_EVERY_S = 10.0
"""How old the metric of dead letters may be."""

_SECOND = timedelta(seconds=1)

log = structlog.get_logger()


class OutboxRow(NamedTuple):
    """An event as it lies in the outbox."""

    cursor: int
    event_id: str
    merchant_id: str
    channel_id: str
    type: str
    subject: str
    time: datetime
    data: bytes


class _Questions:
    """The statements on a service's outbox and cursors: built once, since many readers ask."""

    def __init__(self, plumbing: Plumbing) -> None:
        self._events = plumbing.events.c
        self.consumers = consumed = plumbing.consumers
        outbox, last, consumers = plumbing.outbox.c, plumbing.last_events.c, consumed.c
        known = select(consumers.cursor).where(
            consumers.merchant_id == bindparam("merchant_id"),
            consumers.consumer == bindparam("consumer"),
        )
        place = (
            known.scalar_subquery(),
            func.coalesce(  # the outbox is empty when all of it is old
                select(func.max(outbox.cursor)).scalar_subquery(),
                select(func.max(last.cursor)).scalar_subquery(),
            ),
        )
        self.place = Lookup(select(*place))
        """Where a consumer is, and where the feed ends."""
        self.stand = Lookup(select(*place, DeadLetters("", plumbing).any_due.scalar_subquery()))
        """The same, and whether something comes again."""
        self.count_after = Lookup(select(_count_after(last.cursor) + _count_after(outbox.cursor)))
        self._afters: dict[tuple[str, ...], Lookup] = {}

    def is_behind(self, new: Any) -> ColumnElement[bool]:
        """Whether a consumer is not as far yet as its new row says."""
        return self.consumers.c.cursor < new.cursor  # type: ignore[no-any-return]

    def after(self, given: tuple[str, ...]) -> Lookup:
        """Asks for the events behind a cursor, of a merchant, channel or types as `given`."""
        if given not in self._afters:
            events = self._events
            conditions: dict[str, ColumnElement[bool]] = {
                "merchant": events.merchant_id == bindparam("merchant"),
                "channel": events.channel_id == bindparam("channel"),
                "types": among(keys("types"), events.type),
            }
            columns = (events[name] for name in OutboxRow._fields)
            self._afters[given] = Lookup(
                select(*columns)
                .where(events.cursor > bindparam("after"), *map(conditions.__getitem__, given))
                .order_by(events.cursor)
                .limit(bindparam("count"))
            )
        return self._afters[given]


def _count_after(cursor: ColumnElement[int]) -> ColumnElement[int]:
    return select(func.count()).where(cursor > bindparam("after")).scalar_subquery()


_questions = cache(_Questions)


class EventFeed:
    """Serves `tillbridge.events.v1.EventFeed` from a service's outbox.

    Readers wake when this process commits events. Events that another process committed (several
    replicas on PostgreSQL) wake them through `listen`, or are found within a second.
    """

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database
        self._letters = DeadLetters(name, database.plumbing)
        self._ask = _questions(database.plumbing)
        self._committed = asyncio.Event()
        self._stopping = False
        database.on_commit.append(self.wake)

    def wake(self) -> None:
        """Lets all waiting readers look again."""
        self._committed.set()
        self._committed = asyncio.Event()

    def stop(self) -> None:
        """Lets all readers go, with what there is; they come back to another process."""
        self._stopping = True
        self.wake()

    @any_merchant
    async def read_events(
        self, caller: Caller, request: pb.ReadEventsRequest
    ) -> pb.ReadEventsResponse:
        """Reads the next events, waiting for a first one as long as the request says."""
        self._check(request.feed)
        loop = asyncio.get_running_loop()
        until_s, seen = loop.time() + request.wait_ms_max / 1000, 0
        while True:
            committed = self._committed
            found = await self._database.read(partial(self._read, caller, request, seen))
            seen = found.next_cursor  # whoever waits has seen that there is nothing up to there
            left_s = until_s - loop.time()
            if found.events or found.again or left_s <= 0 or self._stopping:
                return found
            await _wait(committed, min(left_s, POLL_S))

    @any_merchant
    @command_each
    def ack_events(
        self, transaction: Transaction, call: Call[pb.AckEventsRequest, pb.AckEventsResponse]
    ) -> pb.AckEventsResponse:
        """Moves a consumer's cursor forward, and keeps what it failed to handle."""
        request = call.request
        self._check(request.feed)
        connection = transaction.connection
        key = {"merchant_id": call.merchant, "consumer": request.consumer}
        known, end = self._ask.place.rows(connection, **key)[0]
        _check_not_ahead(request.cursor, end or 0)
        who = (connection, call.merchant, request.consumer)
        if request.done:
            self._letters.settle(*who, list(request.done))
        if request.failed:
            self._letters.fail(*who, _failures(request), transaction.now)
        if known is not None and known >= request.cursor:
            return pb.AckEventsResponse(cursor=known)
        row = {**key, "cursor": request.cursor, "update_time": transaction.now}
        upsert(connection, self._ask.consumers, [row], where=self._ask.is_behind)
        return pb.AckEventsResponse(cursor=request.cursor)

    @any_merchant
    async def watch_events(
        self, caller: Caller, request: pb.WatchEventsRequest
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        """Streams events as they are committed."""
        self._check(request.feed)
        step = pb.ReadEventsRequest(
            consumer=request.consumer,
            types=request.types,
            channel_id=request.channel_id,
            wait_ms_max=int(HEARTBEAT_S * 1000),
        )
        if request.HasField("after"):
            step.after = request.after
        while not self._stopping:
            found = await self.read_events(caller, step)
            yield pb.WatchEventsResponse(events=found.events, next_cursor=found.next_cursor)
            step.after = found.next_cursor

    @any_merchant
    @query
    def list_dead_letters(
        self, view: View, request: pb.ListDeadLettersRequest
    ) -> pb.ListDeadLettersResponse:
        """What consumers failed to handle."""
        self._check(request.feed)
        after: Any = key_before(request, str, str, str, int)
        size = page_size(request)
        connection, merchant = view.connection, view.merchant
        rows = self._letters.page(connection, merchant, request.consumer, after, size + 1)
        token = ""
        if len(rows) > size:
            last = rows[size - 1]
            token = token_after(request, last.merchant_id, last.consumer, last.reader, last.cursor)
        shown = map(self._dead_letter, rows[:size])
        return pb.ListDeadLettersResponse(dead_letters=shown, next_page_token=token)

    @any_merchant
    @command_each
    def requeue_dead_letters(
        self,
        transaction: Transaction,
        call: Call[pb.RequeueDeadLettersRequest, pb.RequeueDeadLettersResponse],
    ) -> pb.RequeueDeadLettersResponse:
        """Has dead letters delivered again."""
        request = call.request
        self._check(request.feed)
        count = self._letters.requeue(
            transaction.connection,
            call.merchant,
            request.consumer,
            request.event_ids,
            transaction.now,
        )
        return pb.RequeueDeadLettersResponse(requeued_count=count)

    async def count_dead_letters(self) -> None:
        """Keeps the metric of dead letters, forever."""
        while True:
            try:
                await self._database.read(self._letters.count)
            except DomainError as error:  # the next time will do
                log.warning("dead letters not counted", reason=error.reason)
            await asyncio.sleep(COUNT_EVERY_S)

    async def listen(self) -> None:
        """Wakes readers when another process has appended; for PostgreSQL only."""
        if not self._database.url.startswith("postgres"):
            await asyncio.Event().wait()
        url = self._database.url.replace("+psycopg", "")
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as listening:
                    await listening.execute("LISTEN tillbridge_outbox")
                    async for _ in listening.notifies():
                        self.wake()
            except psycopg.OperationalError as error:
                log.warning("not listening to the outbox; polling", error=str(error))
                await asyncio.sleep(POLL_S)

    def _check(self, feed: str) -> None:
        if feed not in {"", self._name}:
            raise DomainError(
                "FEED_NOT_FOUND", f"this service owns the feed {self._name!r}", feed=feed
            )

    def _read(
        self, caller: Caller, request: pb.ReadEventsRequest, seen: int, connection: Connection
    ) -> pb.ReadEventsResponse:
        """The next events of a consumer, who has been past `seen` without finding any."""
        now, reader, consumer = self._database.clock(), caller.merchant, request.consumer
        who = {"merchant_id": reader, "reader": reader, "consumer": consumer, "now": now}
        known, end, any_due = self._ask.stand.rows(connection, **who)[0]
        after, end = known or 0, end or 0
        count = request.max_events or BATCH_DEFAULT
        again: Sequence[Any] = ()
        if request.HasField("after"):
            after = request.after
            _check_not_ahead(after, end)
        elif any_due:
            again, _ = _fitting(self._letters.due(connection, reader, consumer, now, count))
        after = max(after, seen)
        if after >= end:  # most readers wait at the end: one statement tells
            return pb.ReadEventsResponse(next_cursor=after, again=map(self._event, again))
        found = self._next(connection, caller, request, after, end)
        found.again.extend(map(self._event, again))
        return found

    def _next(
        self,
        connection: Connection,
        caller: Caller,
        request: pb.ReadEventsRequest,
        after: int,
        end: int,
    ) -> pb.ReadEventsResponse:
        """The events behind `after`."""
        count = request.max_events or BATCH_DEFAULT
        asked = {
            "merchant": caller.merchant,
            "channel": request.channel_id,
            "types": [(kind,) for kind in request.types],
        }
        given = tuple(name for name, value in asked.items() if value)
        values = {name: asked[name] for name in given}
        found = self._ask.after(given).rows(connection, after=after, count=count, **values)
        rows, whole = _fitting([OutboxRow(*row) for row in found])
        if whole and len(rows) < count:  # all up to the end was looked at
            return pb.ReadEventsResponse(events=map(self._event, rows), next_cursor=end)
        next_cursor = rows[-1].cursor
        lag = self._ask.count_after.rows(connection, after=next_cursor)[0][0]
        return pb.ReadEventsResponse(
            events=map(self._event, rows), next_cursor=next_cursor, lag=lag
        )

    def _event(self, row: Any) -> pb.Event:
        # By hand, since Timestamp.FromDatetime takes longer than all the rest of it.
        seconds, rest = divmod(row.time - EPOCH, _SECOND)
        return pb.Event(
            id=row.event_id,
            source=f"tillbridge/{self._name}",
            type=row.type,
            subject=row.subject,
            time=Timestamp(seconds=seconds, nanos=rest.microseconds * 1000),
            merchant_id=row.merchant_id,
            channel_id=row.channel_id,
            cursor=row.cursor,
            data=AnyMessage(type_url=f"type.googleapis.com/{row.type}", value=row.data),
        )

    def _dead_letter(self, row: Any) -> pb.DeadLetter:
        found = pb.DeadLetter(
            consumer=row.consumer,
            event=self._event(row),
            reason=row.reason,
            deliveries=row.deliveries,
        )
        found.fail_time.FromDatetime(row.fail_time)
        if row.due_time is not None:
            found.due_time.FromDatetime(row.due_time)
        return found


def _failures(request: pb.AckEventsRequest) -> dict[int, str]:
    """Why each event failed, by its cursor."""
    for index, one in enumerate(request.failed):
        if one.cursor > request.cursor:  # it would come twice: again, and with those not read yet
            raise invalid(f"failed[{index}].cursor", f"must be at most {request.cursor}, `cursor`")
    return {one.cursor: one.reason for one in request.failed}


def _fitting(rows: Sequence[Any]) -> tuple[Sequence[Any], bool]:
    """As many of the rows as go into a batch, at least one, and whether these are all."""
    size = 0
    for number, row in enumerate(rows, 1):
        size += len(row.data)
        if size > BATCH_BYTES:
            return rows[:number], number == len(rows)
    return rows, True


def _check_not_ahead(cursor: int, end: int) -> None:
    if cursor > end:
        raise DomainError("CURSOR_AHEAD", f"the feed ends at {end}", field="cursor", cursor=cursor)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # wait_for of 3.11 can swallow a cancellation
            await event.wait()
