"""The event feed that every service serves: its outbox, read by consumers with cursors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import psycopg
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, Select, func, insert, select, update

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import any_merchant, command_each
from tillbridge.events.v1 import events_pb2 as pb

BATCH_DEFAULT = 100
HEARTBEAT_S = 10.0
POLL_S = 1.0
"""How long a reader sleeps at most while another process may have appended."""

log = structlog.get_logger()


class EventFeed:
    """Serves `tillbridge.events.v1.EventFeed` from a service's outbox.

    Readers wake when this process commits events. Events that another process committed (several
    replicas on PostgreSQL) wake them through `listen`, or are found within a second.
    """

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database
        self._outbox = database.plumbing.outbox
        self._consumers = database.plumbing.consumers
        self._committed = asyncio.Event()
        database.on_commit.append(self.wake)

    def wake(self) -> None:
        """Lets all waiting readers look again."""
        self._committed.set()
        self._committed = asyncio.Event()

    @any_merchant
    async def read_events(
        self, caller: Caller, request: pb.ReadEventsRequest
    ) -> pb.ReadEventsResponse:
        """Reads the next events, waiting for a first one as long as the request says."""
        self._check(request.feed)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + request.wait_ms_max / 1000
        while True:
            committed = self._committed
            found = await self._database.read(lambda c: self._read(c, caller, request))
            left_s = until_s - loop.time()
            if found.events or left_s <= 0:
                return found
            await _wait(committed, min(left_s, POLL_S))

    @any_merchant
    @command_each
    def ack_events(
        self, transaction: Transaction, call: Call[pb.AckEventsRequest, pb.AckEventsResponse]
    ) -> pb.AckEventsResponse:
        """Moves a consumer's cursor forward."""
        request = call.request
        self._check(request.feed)
        connection = transaction.connection
        self._check_cursor(connection, request.cursor)
        known = self._cursor(connection, call.merchant, request.consumer)
        if known is not None and known >= request.cursor:
            return pb.AckEventsResponse(cursor=known)
        table = self._consumers
        values = {"cursor": request.cursor, "update_time": transaction.now}
        if known is None:
            key = {"merchant_id": call.merchant, "consumer": request.consumer}
            connection.execute(insert(table).values(**key, **values))
        else:
            connection.execute(
                update(table)
                .where(
                    table.c.merchant_id == call.merchant,
                    table.c.consumer == request.consumer,
                    table.c.cursor < request.cursor,
                )
                .values(**values)
            )
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
        while True:
            found = await self.read_events(caller, step)
            yield pb.WatchEventsResponse(events=found.events, next_cursor=found.next_cursor)
            step.after = found.next_cursor

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

    def _check_cursor(self, connection: Connection, cursor: int) -> None:
        end = connection.execute(select(func.max(self._outbox.c.cursor))).scalar() or 0
        if cursor > end:
            raise DomainError(
                "CURSOR_AHEAD", f"the feed ends at {end}", field="cursor", cursor=cursor
            )

    def _cursor(self, connection: Connection, merchant: str, consumer: str) -> int | None:
        table = self._consumers
        return connection.execute(
            select(table.c.cursor).where(
                table.c.merchant_id == merchant, table.c.consumer == consumer
            )
        ).scalar()

    def _read(
        self, connection: Connection, caller: Caller, request: pb.ReadEventsRequest
    ) -> pb.ReadEventsResponse:
        outbox = self._outbox
        if request.HasField("after"):
            after = request.after
            self._check_cursor(connection, after)
        else:
            after = self._cursor(connection, caller.merchant, request.consumer) or 0
        count = request.max_events or BATCH_DEFAULT
        found: Select[Any] = select(outbox).where(outbox.c.cursor > after)
        if caller.merchant:
            found = found.where(outbox.c.merchant_id == caller.merchant)
        if request.channel_id:
            found = found.where(outbox.c.channel_id == request.channel_id)
        if request.types:
            found = found.where(outbox.c.type.in_(list(request.types)))
        rows = connection.execute(found.order_by(outbox.c.cursor).limit(count)).all()
        end = connection.execute(select(func.max(outbox.c.cursor))).scalar() or 0
        # With less than was asked for, all up to the end was looked at.
        next_cursor = rows[-1].cursor if len(rows) == count else max(end, after)
        behind = select(func.count()).select_from(outbox).where(outbox.c.cursor > next_cursor)
        return pb.ReadEventsResponse(
            events=[self._event(row) for row in rows],
            next_cursor=next_cursor,
            lag=(connection.execute(behind).scalar() or 0) if next_cursor < end else 0,
        )

    def _event(self, row: Any) -> pb.Event:
        time = Timestamp()
        time.FromDatetime(row.time)
        return pb.Event(
            id=row.event_id,
            source=f"tillbridge/{self._name}",
            type=row.type,
            subject=row.subject,
            time=time,
            merchant_id=row.merchant_id,
            channel_id=row.channel_id,
            cursor=row.cursor,
            data=AnyMessage(type_url=f"type.googleapis.com/{row.type}", value=row.data),
        )


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # wait_for of 3.11 can swallow a cancellation
            await event.wait()
