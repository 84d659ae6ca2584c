"""Events that a consumer failed to handle: they come again, and hold up no others.

The owner of a feed keeps them beside its cursors, for each consumer, so that a follower that keeps
nothing itself (the gateway) is served like all others. What failed is delivered again with growing
pauses; after `DELIVERIES_MAX` deliveries it is a dead letter, which an operator sees and requeues.

Meanwhile the younger events of the same subject go on. That is sound because of what every handler
does, having to take events twice anyway: it takes an event for a hint and reads what is now, or it
compares revisions. Held up behind it, one bad event would stop the stock of its item for good.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from services.chassis import metrics
from services.chassis.errors import invalid
from services.chassis.plumbing import Plumbing

DELIVERIES_MAX = 5
PAUSES_S: Sequence[float] = (0.5, 2.0, 8.0, 32.0)
"""How long an event rests before its second, third, ... delivery."""

log = structlog.get_logger()

Key = tuple[str, str, str, int]
"""Merchant of the event, consumer, merchant that the consumer reads for, cursor."""


class DeadLetters:
    """The statements on a service's `dead_letters`.

    A consumer is named by its name and by whom it reads for: `reader`, empty for a service that
    reads the events of all merchants.
    """

    def __init__(self, feed: str, plumbing: Plumbing) -> None:
        self._feed = feed
        self._events = plumbing.events
        self._table = table = plumbing.dead_letters
        self._counted: set[str] = set()
        self._key = (table.c.merchant_id, table.c.consumer, table.c.reader, table.c.cursor)
        self._is_due = (
            table.c.reader == bindparam("reader"),
            table.c.consumer == bindparam("consumer"),
            table.c.due_time <= bindparam("now", type_=table.c.due_time.type),
        )
        self.any_due = select(select(table.c.cursor).where(*self._is_due).exists())
        """Whether something comes again now to `consumer` of `reader`."""
        self._due = (
            select(table).where(*self._is_due).order_by(table.c.cursor).limit(bindparam("most"))
        )

    def due(
        self, connection: Connection, reader: str, consumer: str, now: datetime, most: int
    ) -> Sequence[Any]:
        """The events that come again now, oldest first, with the columns of the outbox."""
        asked = {"reader": reader, "consumer": consumer, "now": now, "most": most}
        return connection.execute(self._due, asked).all()

    def settle(self, connection: Connection, reader: str, consumer: str, done: list[int]) -> None:
        """Forgets events that are handled now."""
        table = self._table.c
        connection.execute(
            delete(self._table).where(
                table.reader == reader, table.consumer == consumer, table.cursor.in_(done)
            )
        )

    def fail(
        self,
        connection: Connection,
        reader: str,
        consumer: str,
        failed: Mapping[int, str],
        now: datetime,
    ) -> None:
        """Keeps events that failed, by cursor with the reason, and counts their deliveries.

        Several processes may follow as one consumer, and fail at the same event together: that
        counts as one delivery, so what is not due counts no more.

        Raises:
            DomainError: INVALID_FIELD, one is not in the feed.
        """
        table = self._table.c
        found = (
            select(self._table)
            .where(
                table.reader == reader, table.consumer == consumer, table.cursor.in_(list(failed))
            )
            .order_by(*self._key)
            .with_for_update()
        )
        rows = connection.execute(found).mappings().all()
        for row in rows:
            if row["due_time"] is None or row["due_time"] > now:
                continue
            changed = self._failed(row, row["deliveries"] + 1, failed[row["cursor"]], now)
            connection.execute(update(self._table).where(self._is(row)).values(**changed))
        known = {row["cursor"] for row in rows}
        new = [cursor for cursor in failed if cursor not in known]
        if new:
            self._add(connection, reader, consumer, {one: failed[one] for one in new}, now)

    def _add(
        self,
        connection: Connection,
        reader: str,
        consumer: str,
        failed: Mapping[int, str],
        now: datetime,
    ) -> None:
        told = self._events.c
        found = select(self._events).where(told.cursor.in_(list(failed)))
        if reader:
            found = found.where(told.merchant_id == reader)
        events = connection.execute(found).mappings().all()
        if len(events) < len(failed):
            raise invalid("failed", "each cursor must be that of an event of this feed")
        rows = [{**event, "consumer": consumer, "reader": reader} for event in events]
        for row in rows:
            row.update(self._failed(row, 1, failed[row["cursor"]], now))
        connection.execute(insert(self._table), rows)

    def _failed(
        self, row: Mapping[Any, Any], deliveries: int, reason: str, now: datetime
    ) -> dict[str, Any]:
        """What becomes of a row by a delivery that failed."""
        dead = deliveries >= DELIVERIES_MAX
        pause_s = PAUSES_S[min(deliveries, len(PAUSES_S)) - 1]
        tell = log.error if dead else log.warning
        tell(
            "dead letter" if dead else "event failed; it comes again",
            feed=self._feed,
            consumer=row["consumer"],
            merchant=row["merchant_id"],
            event_id=row["event_id"],
            type=row["type"],
            subject=row["subject"],
            deliveries=deliveries,
            reason=reason,
        )
        due_time = None if dead else now + timedelta(seconds=pause_s)
        values = {"reason": reason, "deliveries": deliveries, "fail_time": now}
        return values | {"due_time": due_time}

    def _is(self, row: Mapping[Any, Any]) -> ColumnElement[bool]:
        return and_(*(column == row[column.name] for column in self._key))

    def requeue(
        self,
        connection: Connection,
        merchant: str,
        consumer: str,
        event_ids: Sequence[str],
        now: datetime,
    ) -> int:
        """Has dead letters delivered again, as if they were new; returns how many."""
        table = self._table.c
        dead = update(self._table).where(table.due_time.is_(None))
        if merchant:
            dead = dead.where(table.merchant_id == merchant)
        if consumer:
            dead = dead.where(table.consumer == consumer)
        if event_ids:
            dead = dead.where(table.event_id.in_(list(event_ids)))
        return connection.execute(dead.values(due_time=now, deliveries=0)).rowcount

    def page(
        self, connection: Connection, merchant: str, consumer: str, after: Key | None, size: int
    ) -> Sequence[Any]:
        """Rows behind a key, in the order of keys."""
        table = self._table.c
        found = select(self._table)
        if merchant:
            found = found.where(table.merchant_id == merchant)
        if consumer:
            found = found.where(table.consumer == consumer)
        if after:
            found = found.where(tuple_(*self._key) > tuple_(*after))
        return connection.execute(found.order_by(*self._key).limit(size)).all()

    def count(self, connection: Connection) -> None:
        """Shows how many dead letters there are, for each consumer, as a metric."""
        table = self._table.c
        rows = connection.execute(
            select(table.consumer, func.count())
            .where(table.due_time.is_(None))
            .group_by(table.consumer)
        )
        counts = dict.fromkeys(self._counted, 0) | {row[0]: row[1] for row in rows}
        self._counted.update(counts)
        for consumer, number in counts.items():
            metrics.DEAD_LETTERS.labels(self._feed, consumer).set(number)
