"""Holding stock for orders: which outlet gives what, and how a hold ends."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import DomainError
from services.inventory.rules.channels import AllocationPolicy, Channel
from services.inventory.rules.stock import (
    Draft,
    Hold,
    Kind,
    end_included_holds,
    text,
)


class State(IntEnum):
    """How far a reservation has got; the numbers are the contract's (`ReservationState`)."""

    HELD = 1
    POSTED = 2
    COMMITTED = 3
    RELEASED = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line of what is to be held."""

    line_id: str
    item_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Which part of a line an outlet gives."""

    line_id: str
    item_id: str
    outlet_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Stock held for an order."""

    reservation_id: str
    channel_id: str
    cause: str
    state: State
    allocations: tuple[Allocation, ...]


Free = dict[tuple[str, str], int]
"""What is available, by (item, outlet)."""


def candidates(channel: Channel, tied_outlet_id: str) -> tuple[str, ...]:
    """The outlets that may give stock to an order, the preferred one first (ORD-10).

    An outlet that the order's method is tied to is the only one; pickup is always such a case.

    Raises:
        DomainError: REGISTER_MISSING where the register's outlet decides and there is none.
    """
    if tied_outlet_id:
        return (tied_outlet_id,)
    if channel.allocation is AllocationPolicy.PRIMARY:
        return (channel.primary_outlet_id,)
    if channel.allocation is AllocationPolicy.REGISTER:
        if not channel.register_outlet_id:
            raise DomainError(
                "REGISTER_MISSING",
                "the channel has no register; set one by SetRegister",
                channel_id=channel.channel_id,
            )
        return (channel.register_outlet_id,)
    connected = channel.connected_outlet_ids
    first = [channel.register_outlet_id] if channel.register_outlet_id in connected else []
    return (*first, *(outlet for outlet in connected if outlet not in first))


def allocate(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> list[Allocation]:
    """Divides an order's lines over outlets: all of it, or nothing (ORD-10).

    One outlet that fills the whole order is best, the first such one; else whole lines are split
    over outlets; else a line is divided. Two lines of one item draw on the same stock. The sum of
    the allocations is exactly what was asked.

    Raises:
        DomainError: INSUFFICIENT_STOCK, with the first short item.
    """
    _check_total(lines, outlets, free)
    for outlet_id in outlets:
        left = dict(free)
        whole = [_take_whole(line, [outlet_id], left) for line in lines]
        if all(whole):
            return [allocation for allocation in whole if allocation]
    left = dict(free)
    given: dict[str, list[Allocation]] = {}
    # The largest lines first: they are the hardest to keep in one piece.
    for line in sorted(lines, key=lambda line: -line.quantity):
        whole_line = _take_whole(line, outlets, left)
        given[line.line_id] = [whole_line] if whole_line else []
    for line in lines:
        given[line.line_id] = given[line.line_id] or _take_divided(line, outlets, left)
    return [allocation for line in lines for allocation in given[line.line_id]]


def _check_total(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> None:
    asked: dict[str, int] = defaultdict(int)
    for line in lines:
        asked[line.item_id] += line.quantity
    for item_id, quantity in asked.items():
        available = sum(free.get((item_id, outlet_id), 0) for outlet_id in outlets)
        if quantity > available:
            raise DomainError(
                "INSUFFICIENT_STOCK",
                f"item {item_id!r}: {text(quantity)} asked, {text(available)} available at"
                f" {', '.join(outlets) or 'no outlet'}; it goes on when stock arrives",
                item_id=item_id,
                asked=text(quantity),
                available=text(available),
            )


def _take_whole(line: Line, outlets: Iterable[str], left: Free) -> Allocation | None:
    for outlet_id in outlets:
        if left.get((line.item_id, outlet_id), 0) >= line.quantity:
            left[line.item_id, outlet_id] -= line.quantity
            return Allocation(line.line_id, line.item_id, outlet_id, line.quantity)
    return None


def _take_divided(line: Line, outlets: Iterable[str], left: Free) -> list[Allocation]:
    missing = line.quantity
    parts = []
    for outlet_id in outlets:
        part = min(missing, left.get((line.item_id, outlet_id), 0))
        if part:
            left[line.item_id, outlet_id] -= part
            missing -= part
            parts.append(Allocation(line.line_id, line.item_id, outlet_id, part))
    return parts


def reserve(
    draft: Draft, channel: Channel, lines: Sequence[Line], tied_outlet_id: str
) -> list[Allocation]:
    """Holds stock for an order (INV-14): of what an outlet has, no more is ever promised.

    Items whose stock is not tracked are sold without limit and get no allocation.

    Raises:
        DomainError: ITEM_NOT_FOUND, OUTLET_NOT_FOUND, REGISTER_MISSING, INSUFFICIENT_STOCK.
    """
    outlets = candidates(channel, tied_outlet_id)
    levels = [draft.level(line.item_id, outlet_id) for line in lines for outlet_id in outlets]
    free = {(level.item_id, level.outlet_id): level.available for level in levels}
    tracked = [line for line in lines if draft.stock.items[line.item_id].tracked]
    allocations = allocate(tracked, outlets, free)
    for given in allocations:
        level = draft.level(given.item_id, given.outlet_id)
        draft.put(replace(level, reserved=level.reserved + given.quantity))
    return allocations


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
        DomainError: RESERVATION_ENDED when it was released.
    """
    if reservation.state is State.RELEASED:
        raise _ended(reservation)
    if reservation.state is not State.HELD:
        return reservation
    if pos_version is None:
        for hold in holds:
            level = draft.held(hold)
            level = draft.move(level, Kind.ONLINE_SALE, -hold.quantity, now)
            draft.put(replace(level, reserved=level.reserved - hold.quantity))
            draft.ended.append(hold)
        return replace(reservation, state=State.COMMITTED)
    for hold in holds:
        place = (hold.item_id, hold.outlet_id)
        posted = replace(hold, pos_version=pos_version)
        draft.posted[place] = (*draft.waiting(place), posted)
        end_included_holds(draft, draft.held(hold))
    waits = len(draft.ended) < len(holds)
    return replace(reservation, state=State.POSTED if waits else State.COMMITTED)


def release(draft: Draft, reservation: Reservation, holds: Sequence[Hold]) -> Reservation:
    """Ends a hold because its order was canceled; a second release changes nothing.

    Raises:
        DomainError: RESERVATION_ENDED when its sale was posted.
    """
    if reservation.state is State.RELEASED:
        return reservation
    if reservation.state is not State.HELD:
        raise _ended(reservation)
    for hold in holds:
        level = draft.held(hold)
        draft.put(replace(level, reserved=level.reserved - hold.quantity))
        draft.ended.append(hold)
    return replace(reservation, state=State.RELEASED)


def _ended(reservation: Reservation) -> DomainError:
    return DomainError(
        "RESERVATION_ENDED",
        f"reservation {reservation.reservation_id!r} is {reservation.state.name.lower()} already",
        state=reservation.state.name,
    )
