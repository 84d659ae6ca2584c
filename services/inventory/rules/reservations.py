"""Holding stock for orders, or taking it at once, and how a hold ends."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import DomainError, invalid
from services.chassis.values import value
from services.inventory.rules.allocation import (
    STRATEGIES,
    Allocation,
    Free,
    Line,
    allocate,
    candidates,
    check_total,
    priority,
)
from services.inventory.rules.channels import Channel
from services.inventory.rules.stock import Draft, Hold, Kind, Level, end_included_holds


class State(IntEnum):
    """How far a reservation has got; the numbers are the contract's (`ReservationState`)."""

    HELD = 1
    POSTED = 2
    COMMITTED = 3
    RELEASED = 4
    EXPIRED = 5
    TAKEN = 6


@value(frozen=True, slots=True)
class Reservation:
    """Stock held for an order."""

    reservation_id: str
    channel_id: str
    cause: str
    state: State
    allocations: tuple[Allocation, ...]
    expire_time: datetime | None = None
    """When it ends by itself; None when it does not, or has ended."""
    explanation: str = ""
    """Why these outlets (BEY-02)."""


Promised = Callable[[Level], int]
"""What an online order may take at a level."""


def _available(level: Level) -> int:
    return level.available


def reserve(
    draft: Draft,
    channel: Channel,
    lines: Sequence[Line],
    tied_outlet_id: str,
    promised: Promised = _available,
) -> list[Allocation]:
    """Holds stock for an order (INV-14): of what an outlet has, no more is ever promised (BEY-04).

    Items whose stock is not tracked are sold without limit and get no allocation.

    Args:
        draft: of the call.
        channel: that promises.
        lines: what is to be held.
        tied_outlet_id: the outlet that the order's method is tied to; empty when there is none.
        promised: what of a level may be promised; at most what is available.

    Raises:
        DomainError: ITEM_NOT_FOUND, OUTLET_NOT_FOUND, REGISTER_MISSING, INSUFFICIENT_STOCK.
    """
    outlets = candidates(channel, tied_outlet_id)
    if tied_outlet_id:
        for line in lines:
            draft.level(line.item_id, tied_outlet_id)
    tracked = [line for line in lines if draft.stock.item(line.item_id).tracked]
    free: Free = {}
    for line in tracked:
        for outlet_id in outlets:
            level = draft.level(line.item_id, outlet_id)
            free[line.item_id, outlet_id] = min(promised(level), level.available)
    divide = priority if tied_outlet_id else STRATEGIES[channel.allocation].divide
    allocations = allocate(tracked, outlets, free, divide)
    for given in allocations:
        level = draft.level(given.item_id, given.outlet_id)
        draft.put(replace(level, reserved=level.reserved + given.quantity))
    return allocations


def take(draft: Draft, channel: Channel, reservation: Reservation, now: datetime) -> Reservation:
    """Takes what was just reserved, since its sale is posted here at once (INV-03).

    Raises:
        DomainError: INVALID_FIELD where levels of an outside point of sale carry the sale.
    """
    if channel.external_pos:
        raise invalid(
            "channel_id",
            "must be a channel without an outside point of sale, which takes the stock itself;"
            " hold it with ReserveStock",
        )
    for given in reservation.allocations:
        level = draft.level(given.item_id, given.outlet_id)
        level = draft.move(level, Kind.ONLINE_SALE, -given.quantity, now)
        draft.put(replace(level, reserved=level.reserved - given.quantity))
    return replace(reservation, state=State.TAKEN)


def put_back(draft: Draft, reservation: Reservation, now: datetime) -> Reservation:
    """Puts back what was taken at once, since its sale was never posted; a second time changes
    nothing.

    Raises:
        DomainError: RESERVATION_ENDED when it was not taken at once.
    """
    if reservation.state is State.RELEASED:
        return reservation
    if reservation.state is not State.TAKEN:
        raise _ended(reservation)
    for given in reservation.allocations:
        level = draft.kept(given.item_id, given.outlet_id)
        draft.move(level, Kind.RESTOCK, given.quantity, now)
    return replace(reservation, state=State.RELEASED)


def commit(
    draft: Draft,
    reservation: Reservation,
    holds: Sequence[Hold],
    pos_version: int | None,
    now: datetime,
) -> Reservation:
    """Ends a hold because its sale is posted (INV-03).

    Without an outside point of sale the stock is taken here and now. With one, its levels carry the
    sale: each hold stays until there is evidence, a level with a newer version than the sale's.
    Never counted twice, never freed early. A second commit changes nothing.

    Raises:
        DomainError: RESERVATION_ENDED when it was released or has expired.
    """
    if reservation.state in {State.RELEASED, State.EXPIRED}:
        raise _ended(reservation)
    if reservation.state is not State.HELD:
        return reservation
    if pos_version is None:
        for hold in holds:
            level = draft.held(hold)
            level = draft.move(level, Kind.ONLINE_SALE, -hold.quantity, now)
            draft.put(replace(level, reserved=level.reserved - hold.quantity))
            draft.ended.append(hold)
        return replace(reservation, state=State.COMMITTED, expire_time=None)
    for hold in holds:
        place = (hold.item_id, hold.outlet_id)
        posted = replace(hold, pos_version=pos_version)
        draft.posted[place] = (*draft.waiting(place), posted)
        end_included_holds(draft, draft.held(hold))
    waits = len(draft.ended) < len(holds)
    return replace(reservation, state=State.POSTED if waits else State.COMMITTED, expire_time=None)


def check_held(reservation: Reservation, known: Sequence[Allocation]) -> None:
    """Finds that what is held is what a commit's caller knows: a posted sale's version is evidence
    at the outlets that the sale names, not where an operator has moved a hold meanwhile (BEY-04).

    Raises:
        DomainError: VERSION_CONFLICT.
    """
    if reservation.state is State.HELD and Counter(known) != Counter(reservation.allocations):
        raise DomainError(
            "VERSION_CONFLICT",
            f"what reservation {reservation.reservation_id!r} holds was moved meanwhile; it is"
            " committed once that is known",
            reservation_id=reservation.reservation_id,
        )


def release(draft: Draft, reservation: Reservation, holds: Sequence[Hold]) -> Reservation:
    """Ends a hold because its order was canceled; a second release changes nothing.

    Raises:
        DomainError: RESERVATION_ENDED when its sale was posted, or it has expired.
    """
    if reservation.state is State.RELEASED:
        return reservation
    if reservation.state is not State.HELD:
        raise _ended(reservation)
    return _free(draft, reservation, holds, State.RELEASED)


def expire(
    draft: Draft, reservation: Reservation, holds: Sequence[Hold], now: datetime
) -> Reservation:
    """Ends a hold whose time is up (INV-14); one that has ended or was extended stays as it is."""
    due = reservation.expire_time is not None and reservation.expire_time <= now
    if reservation.state is not State.HELD or not due:
        return reservation
    return _free(draft, reservation, holds, State.EXPIRED)


def _free(
    draft: Draft, reservation: Reservation, holds: Sequence[Hold], state: State
) -> Reservation:
    for hold in holds:
        level = draft.held(hold)
        draft.put(replace(level, reserved=level.reserved - hold.quantity))
        draft.ended.append(hold)
    draft.gives_free = True
    return replace(reservation, state=state, expire_time=None)


def extend(reservation: Reservation, expire_time: datetime | None) -> Reservation:
    """Takes a hold on to another time; None: it never ends by itself.

    One whose time is over, but which has not been ended for that yet, goes on too: nobody else was
    promised its stock.

    Raises:
        DomainError: RESERVATION_ENDED.
    """
    if reservation.state is not State.HELD:
        raise _ended(reservation)
    return replace(reservation, expire_time=expire_time)


def move(
    draft: Draft,
    reservation: Reservation,
    holds: Sequence[Hold],
    place: tuple[str, str],
    to_outlet_id: str,
) -> tuple[Reservation, list[Hold]]:
    """Moves what an order holds of an item at an outlet to another outlet (BEY-04).

    Returns the reservation and all that it holds then.

    Raises:
        DomainError: RESERVATION_ENDED; RESERVATION_NOT_FOUND when it holds nothing there;
            OUTLET_NOT_FOUND, ITEM_NOT_FOUND, INSUFFICIENT_STOCK.
    """
    if reservation.state is not State.HELD:
        raise _ended(reservation)
    moved = [hold for hold in holds if (hold.item_id, hold.outlet_id) == place]
    if not moved:
        raise DomainError(
            "RESERVATION_NOT_FOUND",
            f"reservation {reservation.reservation_id!r} holds no {place[0]!r} at {place[1]!r}",
            reservation_id=reservation.reservation_id,
        )
    quantity = sum(hold.quantity for hold in moved)
    target = draft.level(place[0], to_outlet_id)
    free = {(place[0], to_outlet_id): target.available}
    check_total([Line("", place[0], quantity)], [to_outlet_id], free)
    left = draft.kept(*place)
    draft.put(replace(left, reserved=left.reserved - quantity))
    draft.put(replace(target, reserved=target.reserved + quantity))
    parts = Counter[tuple[str, str, str]]()
    for hold in holds:
        outlet_id = to_outlet_id if hold in moved else hold.outlet_id
        parts[hold.line_id, hold.item_id, outlet_id] += hold.quantity
    after = [
        Hold(reservation.reservation_id, line_id, item_id, outlet_id, part)
        for (line_id, item_id, outlet_id), part in parts.items()
    ]
    given = tuple(
        Allocation(hold.line_id, hold.item_id, hold.outlet_id, hold.quantity) for hold in after
    )
    told = f"{reservation.explanation} Item {place[0]} was moved from {place[1]} to {to_outlet_id}."
    return replace(reservation, allocations=given, explanation=told.strip()), after


def _ended(reservation: Reservation) -> DomainError:
    return DomainError(
        "RESERVATION_ENDED",
        f"reservation {reservation.reservation_id!r} is {reservation.state.name.lower()} already",
        state=reservation.state.name,
    )
