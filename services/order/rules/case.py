"""An order together with all that has become of it here."""

from services.chassis.values import value
from services.order.rules.accounting import Account, Accounts
from services.order.rules.fulfillment import Fulfillment
from services.order.rules.order import Order
from services.order.rules.sale import Sale


@value(frozen=True, slots=True)
class Case:
    """An order, its sale, what has to be handed over for it, and what came back."""

    order: Order
    sale: Sale | None = None
    """None before it is posted."""
    fulfillments: tuple[Fulfillment, ...] = ()
    """None where the store manages how it is handed over."""
    returns: tuple[Sale, ...] = ()
    """The return sales that may still change, and those that are new."""


def opened(order: Order, *, by_store: bool) -> Accounts:
    """The accounts of an order that is posted just now."""
    assert order.hold
    held = order.hold.resolved
    return Accounts(
        tuple(
            Account(
                line.line_id, item_id, line.quantity, fulfilled=line.quantity if by_store else 0
            )
            for line, item_id in zip(held.lines, held.item_ids, strict=True)
        ),
        by_store,
    )
