"""What becomes of an order when an operator moves what it holds to another outlet, or gives it
free, because a till has sold what was promised (BEY-04).

Who is told of it may have heard of younger changes before: the cursor says which is the last.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from services.order.rules import fulfillment as handed
from services.order.rules import returns
from services.order.rules.case import Case
from services.order.rules.fulfillment import Fulfillment, FulfillmentLine
from services.order.rules.order import Allocation, Order, Reservation, Waiting, waits
from services.order.rules.sale import derived, in_point_of_sale


@dataclass(frozen=True, slots=True)
class Told:
    """What inventory tells of a reservation."""

    reservation: Reservation
    held: bool
    """Whether it still holds something."""
    incident_id: str
    cursor: int
    """Where this stands among all that inventory has told."""


class Move(NamedTuple):
    """What another outlet gives now of a line, in thousandths."""

    line_id: str
    item_id: str
    from_outlet_id: str
    to_outlet_id: str
    quantity: int


def is_early(order: Order) -> bool:
    """Whether an order may not know yet what is held for it: it has asked for something, and has
    not taken the answer in.
    """
    return order.hold is not None and order.reservation is None


def follow(case: Case, told: Told, now: datetime) -> Case:
    """The case with what it holds as inventory tells; the same where it knows better.

    Fulfillments that nobody has begun go to the outlets that give the stock now, and so does the
    sale, unless the outside point of sale has it. What stays behind is said, and waits for an
    operator. Until then the hold stays too: the version that the point of sale gave is that of a
    sale at another outlet, and levels of the outlet that gives it now do not include it.
    """
    order, hold, known = case.order, case.order.hold, case.order.reservation
    if hold is None or known is None or told.cursor <= hold.followed:
        return case
    if known.reservation_id != told.reservation.reservation_id:
        return case
    hold = replace(hold, followed=told.cursor)
    case = replace(case, order=replace(order, hold=hold))
    return _moved(case, known, told, now) if told.held else _freed(case, told, now)


def _moved(case: Case, known: Reservation, told: Told, now: datetime) -> Case:
    order, hold = case.order, case.order.hold
    assert hold
    moves = list(_moves(known.allocations, told.reservation.allocations))
    if not moves:
        return case
    behind = []
    if sale := case.sale:
        case, begun = _handed_over_elsewhere(case, moves, now)
        behind += [f"the fulfillment at {outlet_id} was begun" for outlet_id in begun]
        if in_point_of_sale(order, sale):
            # Its version says nothing of the outlet that gives the stock now.
            hold = replace(hold, elsewhere=True)
            behind.append("the point of sale has its sale as it was")
    if behind:
        said = "; ".join(
            f"item {one.item_id} from {one.from_outlet_id} to {one.to_outlet_id}" for one in moves
        )
        message = (
            f"what it holds was moved on account of incident {told.incident_id} ({said}), but"
            f" {' and '.join(behind)}: see to that there, then retry the order"
        )
        hold = replace(hold, left=Waiting("MOVED_AFTER_POSTING", message))
    due_time = now if sale else order.due_time
    order = replace(
        order, reservation=told.reservation, hold=hold, due_time=due_time, update_time=now
    )
    case = replace(case, order=order)
    # At once: whatever the point of sale has taken by now, or takes meanwhile, is older than that.
    return returns.followed(case, now) if sale else case


def _moves(before: Sequence[Allocation], after: Sequence[Allocation]) -> Iterator[Move]:
    """What went from which outlet to which other one."""
    more = Counter[tuple[str, str, str]]()
    for part in after:
        more[part.line_id, part.item_id, part.outlet_id] += part.quantity
    for part in before:
        more[part.line_id, part.item_id, part.outlet_id] -= part.quantity
    come = {place: quantity for place, quantity in more.items() if quantity > 0}
    for (line_id, item_id, from_outlet_id), difference in more.items():
        gone = -difference
        for place, wanted in come.items():
            quantity = min(wanted, gone)
            if quantity > 0 and place[:2] == (line_id, item_id):
                come[place] = wanted - quantity
                gone -= quantity
                yield Move(line_id, item_id, from_outlet_id, place[2], quantity)


def _handed_over_elsewhere(
    case: Case, moves: Sequence[Move], now: datetime
) -> tuple[Case, list[str]]:
    """The case with its fulfillments at the outlets that give the stock now, and the outlets where
    they stay since somebody has begun them.
    """
    going = {one.outlet_id: one for one in case.fulfillments}
    begun: dict[str, None] = {}
    for move in moves:
        here = going.get(move.from_outlet_id)
        line = here and next((one for one in here.lines if one.line_id == move.line_id), None)
        quantity = min(move.quantity, line.left) if line else 0
        if here is None or not quantity:
            continue  # the store manages that, or it is not to be handed over any more
        if any(one.picked for one in here.lines):
            begun[move.from_outlet_id] = None
            continue
        going[move.from_outlet_id] = handed.cancel(here, {move.line_id: quantity}, now)
        taken = FulfillmentLine(move.line_id, move.item_id, quantity)
        there = going.get(move.to_outlet_id)
        going[move.to_outlet_id] = (
            _with_more(there, taken, now)
            if there
            else _opened(case.order, here, move.to_outlet_id, taken, now)
        )
    return replace(case, fulfillments=tuple(going.values())), list(begun)


def _with_more(fulfillment: Fulfillment, taken: FulfillmentLine, now: datetime) -> Fulfillment:
    """The fulfillment with something more to hand over."""
    lines = {line.line_id: line for line in fulfillment.lines}
    known = lines.get(taken.line_id)
    lines[taken.line_id] = (
        replace(known, quantity=known.quantity + taken.quantity) if known else taken
    )
    version = fulfillment.version + 1
    return replace(fulfillment, lines=tuple(lines.values()), version=version, update_time=now)


def _opened(
    order: Order, like: Fulfillment, outlet_id: str, taken: FulfillmentLine, now: datetime
) -> Fulfillment:
    """A fulfillment at another outlet, for what an order's fulfillment had to hand over."""
    return replace(
        like,
        fulfillment_id=derived(*order.key, outlet_id),
        outlet_id=outlet_id,
        lines=(taken,),
        create_time=now,
        version=1,
        tracking_number="",
        carrier="",
        update_time=now,
    )


def _freed(case: Case, told: Told, now: datetime) -> Case:
    """The case when an operator has given free what it holds: it is not held anew by itself, since
    that is what somebody has decided. An order that is canceled anyway has what it wanted.
    """
    order, hold = case.order, case.order.hold
    assert hold
    what = f"an operator gave free what it held, on account of incident {told.incident_id}"
    if case.sale:
        if order.committed:
            return case
        way_out = "cancel or refund the order, or retry it to have its sale stand as it is"
        left = Waiting("RESERVATION_ENDED", f"{what}: {way_out}")
        hold = replace(hold, freed=True, left=left)
        return replace(case, order=replace(order, hold=hold, due_time=now, update_time=now))
    free = replace(order, hold=None, reservation=None, holds_ended=order.holds_ended + 1)
    if order.canceled or hold.ending:
        return replace(case, order=replace(free, due_time=now, update_time=now))
    waiting = Waiting("RESERVATION_ENDED", f"{what}: cancel the order, or retry it to hold anew")
    free = replace(free, awaited=frozenset(), due_time=None, update_time=now)
    return replace(case, order=waits(free, waiting, now))
