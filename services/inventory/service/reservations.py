"""The RPCs of reservations."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.chassis import failpoints
from services.chassis.auth import Caller
from services.chassis.database import Call, Calls, Database, Transaction, new_id
from services.chassis.errors import DomainError, invalid
from services.chassis.rpc import command
from services.chassis.values import replace
from services.inventory.rules import reservations
from services.inventory.rules.allocation import explain
from services.inventory.rules.reservations import Reservation
from services.inventory.rules.stock import Draft
from services.inventory.service.work import ReservationWork, Work, not_zero
from services.inventory.store import reservations as reservation_store
from services.inventory.wire import stock as wire
from tillbridge.inventory.v1 import inventory_pb2 as pb

EXPIRE_EVERY_S = 1.0
EXPIRE_MAX = 500
"""Holds that one transaction ends at most."""

log = structlog.get_logger()


class ReservationRpcs:
    """The RPCs of `InventoryService` that hold stock for orders."""

    @command
    def reserve_stock(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReserveStockRequest, pb.ReserveStockResponse],
    ) -> None:
        """Holds stock for an order, all of its lines or nothing."""
        work = _work(transaction, calls)
        for call in calls:
            with call:
                draft = work.draft(call)
                reservation = _reserved(work, draft, call.merchant, call.request)
                reservation = replace(reservation, expire_time=_end(call.request, transaction.now))
                work.accept(call, draft, reservation.cause)
                work.open(call.merchant, reservation)
                call.reply(pb.ReserveStockResponse(reservation=wire.reservation(reservation)))
        work.save()

    @command
    def take_stock(
        self,
        transaction: Transaction,
        calls: Calls[pb.TakeStockRequest, pb.TakeStockResponse],
    ) -> None:
        """Takes stock for an order that is sold at once, all of its lines or nothing."""
        work = _work(transaction, calls)
        for call in calls:
            with call:
                draft = work.draft(call)
                channel = work.feed(call.merchant, call.request.channel_id).channel
                reservation = _reserved(work, draft, call.merchant, call.request)
                reservation = reservations.take(draft, channel, reservation, transaction.now)
                work.accept(call, draft, reservation.cause)
                work.open(call.merchant, reservation)
                call.reply(pb.TakeStockResponse(reservation=wire.reservation(reservation)))
        work.save()

    @command
    def put_back_stock(
        self,
        transaction: Transaction,
        calls: Calls[pb.PutBackStockRequest, pb.PutBackStockResponse],
    ) -> None:
        """Puts back what was taken at once, since its sale was never posted."""
        work = ReservationWork(transaction, calls)
        for call in calls:
            with call:
                draft = work.draft(call)
                reservation, _ = work.find(call.merchant, call.request.reservation_id)
                after = reservations.put_back(draft, reservation, transaction.now)
                work.accept(call, draft, reservation.cause)
                if after is not reservation:
                    work.keep(call.merchant, after)
                call.reply(pb.PutBackStockResponse(reservation=wire.reservation(after)))
        work.save()

    @command
    def commit_reservation(
        self,
        transaction: Transaction,
        calls: Calls[pb.CommitReservationRequest, pb.CommitReservationResponse],
    ) -> None:
        """Ends holds because their sales are posted."""
        work = ReservationWork(transaction, calls)
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                reservation, holds = work.find(call.merchant, request.reservation_id)
                version = request.pos_version if request.HasField("pos_version") else None
                if request.allocations:
                    reservations.check_held(reservation, wire.allocations(request))
                after = reservations.commit(draft, reservation, holds, version, transaction.now)
                work.accept(call, draft, reservation.cause)
                if after is not reservation:
                    left = [hold for hold in holds if hold not in draft.ended]
                    work.keep(call.merchant, after, left)
                call.reply(pb.CommitReservationResponse(reservation=wire.reservation(after)))
        work.save()

    @command
    def release_reservation(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReleaseReservationRequest, pb.ReleaseReservationResponse],
    ) -> None:
        """Ends holds because their orders were canceled."""
        work = ReservationWork(transaction, calls)
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                reservation, holds = work.find(call.merchant, request.reservation_id)
                after = reservations.release(draft, reservation, holds)
                work.accept(call, draft, reservation.cause)
                if after is not reservation:
                    work.keep(call.merchant, after)
                call.reply(pb.ReleaseReservationResponse(reservation=wire.reservation(after)))
        work.save()

    @command
    def extend_reservation(
        self,
        transaction: Transaction,
        calls: Calls[pb.ExtendReservationRequest, pb.ExtendReservationResponse],
    ) -> None:
        """Takes holds on to another time."""
        work = ReservationWork(transaction, calls)
        for call in calls:
            with call:
                reservation, holds = work.find(call.merchant, call.request.reservation_id)
                after = reservations.extend(reservation, _end(call.request, transaction.now))
                work.keep(call.merchant, after, holds)
                call.reply(pb.ExtendReservationResponse(reservation=wire.reservation(after)))
        work.save()


def _work(transaction: Transaction, calls: Calls[Any, Any]) -> Work:
    return Work(transaction, calls, lambda request: (line.item_id for line in request.lines))


def _reserved(
    work: Work, draft: Draft, merchant: str, request: pb.ReserveStockRequest | pb.TakeStockRequest
) -> Reservation:
    """A new reservation of what is asked for, which the draft holds."""
    lines = wire.lines(request)
    if len({line.line_id for line in lines}) < len(lines):
        raise invalid("lines", "line_id must be unique in the call")
    for line in lines:
        not_zero(line.quantity, "0")
    feed = work.feed(merchant, request.channel_id)
    channel, tied = feed.channel, request.outlet_id
    given = reservations.reserve(draft, channel, lines, tied, feed.promised)
    return Reservation(
        f"rs-{new_id()}",
        channel.channel_id,
        request.cause,
        reservations.State.HELD,
        tuple(given),
        explanation=explain(channel, tied, given),
    )


def _end(
    request: pb.ReserveStockRequest | pb.ExtendReservationRequest, now: datetime
) -> datetime | None:
    if not request.time_to_live_s:
        return None
    return now + timedelta(seconds=request.time_to_live_s)


async def expire_forever(database: Database) -> None:
    """Ends holds whose time is up, as long as the service runs (INV-14)."""
    while True:
        try:
            ended = await expire_due(database)
        except DomainError as error:  # the next time will do; it is no reason to stop serving
            log.warning("holds not ended", reason=error.reason)
            ended = 0
        if ended < EXPIRE_MAX:
            await asyncio.sleep(EXPIRE_EVERY_S)


async def expire_due(database: Database) -> int:
    """Ends holds whose time is up, at most `EXPIRE_MAX` of them; returns how many were due.

    Several processes may do so at a time: each hold ends once.

    Raises:
        DomainError: SERVICE_UNAVAILABLE.
    """
    due = await database.read(
        lambda connection: reservation_store.load_due(connection, database.clock(), EXPIRE_MAX)
    )
    if due:
        failpoints.at("expiry.due")
        await database.apply("expire reservations", lambda transaction: _expire(transaction, due))
    return len(due)


def _expire(transaction: Transaction, due: Sequence[tuple[str, str]]) -> None:
    """Ends these holds, by (merchant, reservation), as a release does."""
    calls: list[Call[pb.ReleaseReservationRequest, pb.ReleaseReservationResponse]] = [
        Call(
            Caller("inventory", merchant, frozenset()),
            pb.ReleaseReservationRequest(reservation_id=reservation_id),
        )
        for merchant, reservation_id in due
    ]
    work = ReservationWork(transaction, calls)
    for call in calls:
        draft = work.draft(call)
        reservation, holds = work.find(call.merchant, call.request.reservation_id)
        after = reservations.expire(draft, reservation, holds, transaction.now)
        work.accept(call, draft, reservation.cause)
        if after is not reservation:
            work.keep(call.merchant, after)
    work.save()
