"""What is refused for good: sales of the outside point of sale that cannot be copied here, and what
a store refuses to show of an order.
"""

from dataclasses import dataclass
from datetime import datetime

from services.order.rules.accounting import StoreUpdate
from services.order.rules.order import Order, OrderKey
from services.order.rules.sale import Sale, SaleKey


@dataclass(frozen=True, slots=True)
class RefusedSale:
    """A sale that could not be copied, and why."""

    key: SaleKey
    version: int
    """Its version in the outside point of sale; 0 when that is not known."""
    reason: str
    message: str
    refuse_time: datetime


def refuse(told: RefusedSale, known: RefusedSale | None, sale: Sale | None) -> RefusedSale | None:
    """What is kept of a refusal; None when it is older than what is known of the sale."""
    copied = sale.version if sale and sale.mirrored else 0
    if told.version < max(copied, known.version if known else 0):
        return None
    return told


def ends(refused: RefusedSale, copied: Sale) -> bool:
    """Whether a sale that is copied now is the one that was refused, or a newer one."""
    return copied.mirrored and (not copied.version or copied.version >= refused.version)


@dataclass(frozen=True, slots=True)
class RefusedUpdate:
    """What a store refuses to show of an order, and why. It counts only while it should show just
    that.
    """

    key: OrderKey
    update: StoreUpdate
    message: str
    refuse_time: datetime


def refuse_update(told: RefusedUpdate, order: Order) -> RefusedUpdate | None:
    """What is kept of a refusal; None when the store should show something else by now, or no more
    than it does.
    """
    return told if told.update == order.store_update else None
