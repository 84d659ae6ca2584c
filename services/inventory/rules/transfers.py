"""Stock on its way from one outlet to another: promised to nobody until it has arrived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from services.chassis.errors import DomainError, invalid
from services.inventory.rules.stock import Draft, Kind

LATE_AFTER = timedelta(days=7)
"""A transfer that is under way for longer waits for an operator (BEY-09)."""


class State(IntEnum):
    """Where a transfer stands; the numbers are the contract's (`TransferState`)."""

    SENT = 1
    CLOSED = 2


@dataclass(frozen=True, slots=True)
class Line:
    """An item of a transfer. What was sent is received, returned, lost, or on its way."""

    item_id: str
    sent: int
    received: int = 0
    returned: int = 0
    lost: int = 0

    @property
    def in_transit(self) -> int:
        """What is on its way; nothing when more was received than sent."""
        return max(0, self.sent - self.received - self.returned - self.lost)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Stock on its way."""

    transfer_id: str
    from_outlet_id: str
    to_outlet_id: str
    state: State
    lines: tuple[Line, ...]
    cause: str
    create_time: datetime
    update_time: datetime


def send(draft: Draft, transfer: Transfer, now: datetime) -> None:
    """Takes what is sent from the one outlet; for the other it is in transit (INV-02).

    Raises:
        DomainError: INVALID_FIELD, ITEM_NOT_FOUND, OUTLET_NOT_FOUND, QUANTITY_OUT_OF_RANGE.
    """
    if transfer.from_outlet_id == transfer.to_outlet_id:
        raise invalid("to_outlet_id", "must be another outlet than from_outlet_id")
    _check_once([line.item_id for line in transfer.lines])
    for line in transfer.lines:
        sent = draft.level(line.item_id, transfer.from_outlet_id)
        draft.move(sent, Kind.TRANSFER_OUT, -line.sent, now)
        to = draft.level(line.item_id, transfer.to_outlet_id)
        draft.put(replace(to, in_transit=to.in_transit + line.sent))


def receive(
    draft: Draft, transfer: Transfer, arrived: Sequence[tuple[str, int]], now: datetime
) -> Transfer:
    """Adds what has arrived, as (item, quantity), to the outlet that it was sent to: all, a part,
    or more than was sent. The transfer is over when nothing is on its way any more.

    Raises:
        DomainError: TRANSFER_ENDED; INVALID_FIELD when an item was not sent or is named twice;
            QUANTITY_OUT_OF_RANGE.
    """
    if transfer.state is State.CLOSED:
        raise DomainError(
            "TRANSFER_ENDED",
            f"transfer {transfer.transfer_id!r} is closed; adjust the level instead",
            transfer_id=transfer.transfer_id,
        )
    _check_once([item_id for item_id, _ in arrived])
    lines = {line.item_id: line for line in transfer.lines}
    for item_id, quantity in arrived:
        line = lines.get(item_id)
        if line is None:
            raise invalid("lines", f"item {item_id!r} was not sent by this transfer")
        after = replace(line, received=line.received + quantity)
        _arrive(draft, transfer.to_outlet_id, line, after)
        level = draft.kept(item_id, transfer.to_outlet_id)
        draft.move(level, Kind.TRANSFER_IN, quantity, now)
        lines[item_id] = after
    return _changed(transfer, lines, now)


def close(draft: Draft, transfer: Transfer, now: datetime, *, return_rest: bool) -> Transfer:
    """Ends a transfer: what is on its way still is lost, or goes back to where it was sent from.
    Ending it again changes nothing.
    """
    if transfer.state is State.CLOSED:
        return transfer
    lines = {}
    for line in transfer.lines:
        rest = line.in_transit
        after = replace(line, returned=rest) if return_rest else replace(line, lost=rest)
        _arrive(draft, transfer.to_outlet_id, line, after)
        if return_rest and rest:
            level = draft.kept(line.item_id, transfer.from_outlet_id)
            draft.move(level, Kind.TRANSFER_IN, rest, now)
        lines[line.item_id] = after
    return _changed(transfer, lines, now)


def _arrive(draft: Draft, outlet_id: str, before: Line, after: Line) -> None:
    """Takes off what is no longer on its way to an outlet."""
    arrived = before.in_transit - after.in_transit
    if arrived:
        level = draft.kept(before.item_id, outlet_id)
        draft.put(replace(level, in_transit=level.in_transit - arrived))


def _changed(transfer: Transfer, lines: Mapping[str, Line], now: datetime) -> Transfer:
    under_way = any(line.in_transit for line in lines.values())
    return replace(
        transfer,
        lines=tuple(lines.values()),
        state=State.SENT if under_way else State.CLOSED,
        update_time=now,
    )


def _check_once(item_ids: Sequence[str]) -> None:
    if len(set(item_ids)) < len(item_ids):
        raise invalid("lines", "must name each item once")
