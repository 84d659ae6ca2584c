"""Which stock a sale moves by itself.

The stock of an online order's sale is held, and taken by the end of its hold; what comes back of it
is put back here. A till's sale takes its own. What an outside point of sale has is moved there, and
its levels say so.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from services.chassis.errors import DomainError
from services.order.rules.order import WAYS_OUT, pause_seconds
from services.order.rules.sale import Sale, SaleLine, SaleOrigin, SaleState, StockTake


class MovementKind(IntEnum):
    """Why stock moves; numbers as in inventory's contract."""

    POS_SALE = 6
    POS_RETURN = 7
    RESTOCK = 9


class Movement(NamedTuple):
    """What moves of one item at one outlet, in thousandths; negative takes away."""

    item_id: str
    outlet_id: str
    quantity: int


class StockChange(NamedTuple):
    """What a sale does to stock in one kind of movement; `name` tells it from its others."""

    name: str
    kind: MovementKind
    dated: bool
    """Whether it happened when the sale was made; else it happens now."""
    movements: Sequence[Movement]


def stock_changes(sale: Sale) -> list[StockChange]:
    """All that a sale moves in the state that it is in, in this order; each is done once.

    A till's sale takes what was sold and gives back what was returned; when it is voided after
    that, the contrary follows. Of an online order's, what comes back is put back: all that was
    given when it is void, and what is restocked of a return (ORD-13).
    """
    voided = sale.state is SaleState.VOIDED
    if sale.origin is SaleOrigin.ONLINE:
        changes = [
            _change("voided", MovementKind.RESTOCK, False, sale, _given, back=True)
            if voided
            else _change("restocked", MovementKind.RESTOCK, False, sale, _returned)
        ]
    else:
        changes = [
            _change("sold", MovementKind.POS_SALE, True, sale, _sold),
            _change("returned", MovementKind.POS_RETURN, True, sale, _returned),
        ]
        if voided:
            changes += [
                _change("unsold", MovementKind.POS_RETURN, False, sale, _sold, back=True),
                _change("unreturned", MovementKind.POS_SALE, False, sale, _returned, back=True),
            ]
    return [change for change in changes if change.movements]


def _change(
    name: str,
    kind: MovementKind,
    dated: bool,
    sale: Sale,
    moves: Callable[[SaleLine], bool],
    *,
    back: bool = False,
) -> StockChange:
    sign = 1 if back else -1
    movements = [
        Movement(line.item_id, line.outlet_id or sale.outlet_id, sign * line.quantity)
        for line in sale.lines
        if moves(line)
    ]
    return StockChange(name, kind, dated, movements)


def _sold(line: SaleLine) -> bool:
    return line.quantity > 0


def _given(line: SaleLine) -> bool:
    """Of what was sold, what has stock to go back to."""
    return _sold(line) and not line.not_restocked


def _returned(line: SaleLine) -> bool:
    return line.quantity < 0 and not line.not_restocked


def taken(sale: Sale, moved: Sale) -> Sale:
    """The sale when its stock has moved as `moved`, the sale as it was then, has it. One that went
    on to another state meanwhile has still to move what that state asks for.
    """
    return sale if sale.state is not moved.state else replace(sale, stock=StockTake())


def not_taken(sale: Sale, moved: Sale, error: DomainError, now: datetime) -> Sale:
    """The sale when its stock could not be moved: tried again by itself."""
    if sale.state is not moved.state:
        return sale
    attempts = sale.stock.attempts + 1
    pause = timedelta(seconds=pause_seconds(attempts, transient=error.transient))
    message = f"{error.reason}: {error.message}"
    if way_out := WAYS_OUT.get(error.reason):
        message = f"{message}; {way_out}"
    return replace(sale, stock=StockTake(True, message, attempts, now + pause))
