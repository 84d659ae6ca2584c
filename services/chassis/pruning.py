"""What becomes of old events: the newest about each subject stays, the others are forgotten.

An event is old when it is past its retention and every consumer has read it. It then leaves the
outbox for `last_events`, where it takes the place of the one before it that is about the same: of
the same merchant, channel, subject and type. So the outbox stays as short as its retention, and
`last_events` has as many rows as there is to tell about. Readers are given both as one feed: who
begins at its beginning, or comes back to it after years, learns the last word on everything.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, bindparam, delete, func, select

from services.chassis import failpoints
from services.chassis.database import Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.feed import OutboxRow
from services.chassis.plumbing import Plumbing
from services.chassis.statements import Lookup, upsert

PRUNE_EVERY_S = 3600.0
PRUNE_MAX = 200
"""Events that one transaction forgets at most, so that calls need not wait for all of it."""
GONE_AFTER = 3
"""After so many retentions a consumer that read nothing, although there was something, is gone."""

_CURSOR_MAX = 2**63 - 1

log = structlog.get_logger()


class _Consumer(NamedTuple):
    """Where a consumer is."""

    merchant_id: str
    consumer: str
    cursor: int
    read_time: datetime
    """When it came there."""
    next_time: datetime | None
    """How old the next event of the outbox is; None: there is none."""

    def waits_since(self, time: datetime) -> bool:
        """Whether it has not read an event that is older than that."""
        return self.next_time is not None and self.next_time < time


class Pruning:
    """Keeps the outbox of a service short.

    Args:
        feed: name of the service.
        database: where its outbox is.
        days: how long every event is kept.
    """

    def __init__(self, feed: str, database: Database, days: int) -> None:
        self._feed = feed
        self._database = database
        self._kept = timedelta(days=days)
        self._ask = _Questions(database.plumbing)
        self._outbox = database.plumbing.outbox
        self._last = database.plumbing.last_events
        self._gone: set[tuple[str, str]] = set()
        """Consumers that seemed to be gone the last time: all may have been off until just then."""

    async def run(self) -> None:
        """Prunes now and then, forever."""
        while True:
            try:
                await self.prune()
            except DomainError as error:  # the next time will do; it is no reason to stop serving
                log.warning("outbox not pruned", feed=self._feed, reason=error.reason)
            await asyncio.sleep(PRUNE_EVERY_S)

    async def prune(self) -> None:
        """Forgets what is old, some at a time; tells the log who holds back how much of it.

        Raises:
            DomainError: SERVICE_UNAVAILABLE; what was forgotten so far stays forgotten.
        """
        before = self._database.clock() - self._kept
        until = await self._database.read(partial(self._all_read, before))
        while await self._database.read(partial(self._is_any_old, before, until)):
            await self._database.apply("prune", partial(self._forget, before, until))
            failpoints.at("prune.some")

    def _all_read(self, before: datetime, connection: Connection) -> int:
        """The last cursor that all consumers have read, but for those that are gone, and were so
        the last time. They move on from there, never back: it is good for the whole run.
        """
        forgotten = self._ask.last.rows(connection)[0][0]
        gone_before = before - (GONE_AFTER - 1) * self._kept
        behind, gone = [], []
        consumers = [*map(_Consumer._make, self._ask.consumers.rows(connection))]
        for one in consumers:
            missed = one.cursor < forgotten or one.waits_since(gone_before)
            if missed and one.read_time < gone_before:
                gone.append(one)
            elif one.waits_since(before):
                behind.append(one)
        self._tell(connection, "consumer holds back old events", behind)
        news = [one for one in gone if one[:2] not in self._gone]
        self._tell(connection, "consumer is gone; soon it holds back nothing", news)
        known, self._gone = self._gone, {one[:2] for one in gone}
        held = [one.cursor for one in consumers if one[:2] not in known & self._gone]
        return min(held, default=_CURSOR_MAX)

    def _tell(self, connection: Connection, what: str, consumers: Sequence[_Consumer]) -> None:
        """Tells of the consumer that is behind the most, and of how many there are."""
        if not consumers:
            return
        last = min(consumers, key=lambda one: one.cursor)
        log.warning(
            what,
            feed=self._feed,
            consumer=last.consumer,
            merchant=last.merchant_id,
            cursor=last.cursor,
            events_behind=self._ask.count_after.rows(connection, after=last.cursor)[0][0],
            read_time=last.read_time.isoformat(),
            consumers=len(consumers),
        )

    def _is_any_old(self, before: datetime, until: int, connection: Connection) -> bool:
        """Whether there is anything to forget: mostly not, and then nobody has to wait for it."""
        return bool(self._old(connection, before, until, 1))

    def _forget(self, before: datetime, until: int, transaction: Transaction) -> None:
        """Forgets up to PRUNE_MAX events, up to a cursor and a time."""
        transaction.lock(["prune"])
        connection = transaction.connection
        old = self._old(connection, before, until, PRUNE_MAX)
        if not old:
            return  # another process has done it
        newest = {(one.merchant_id, one.channel_id, one.subject, one.type): one for one in old}
        upsert(connection, self._last, list(newest.values()), OutboxRow._fields, distinct=True)
        cursor = self._outbox.c.cursor
        first, last = old[0].cursor, old[-1].cursor
        connection.execute(delete(self._outbox).where(cursor.between(first, last)))

    def _old(
        self, connection: Connection, before: datetime, until: int, most: int
    ) -> list[OutboxRow]:
        """The oldest events, as far as they are old."""
        after = self._ask.last.rows(connection)[0][0]
        found = self._ask.oldest.rows(connection, after=after, until=until, most=most)
        events = map(OutboxRow._make, found)
        return list(takewhile(lambda event: event.time < before, events))


class _Questions:
    """The statements on what is old."""

    def __init__(self, plumbing: Plumbing) -> None:
        outbox, consumers = plumbing.outbox.c, plumbing.consumers.c
        last = plumbing.last_events.c.cursor
        self.last = Lookup(select(func.coalesce(func.max(last), 0)))
        """The last event that was forgotten: the next one, and only that, is the oldest. To look
        for it from the beginning would mean, on PostgreSQL, to walk over what was deleted there.
        """
        self.oldest = Lookup(
            select(*(outbox[name] for name in OutboxRow._fields))
            .where(outbox.cursor > bindparam("after"), outbox.cursor <= bindparam("until"))
            .order_by(outbox.cursor)
            .limit(bindparam("most"))
        )
        self.count_after = Lookup(select(func.count()).where(outbox.cursor > bindparam("after")))
        since = (
            select(outbox.time)
            .where(outbox.cursor > consumers.cursor)
            .order_by(outbox.cursor)
            .limit(1)
            .scalar_subquery()
        )
        self.consumers = Lookup(
            select(
                consumers.merchant_id,
                consumers.consumer,
                consumers.cursor,
                consumers.update_time,
                since,
            )
        )
