"""Which of the orders that wait for stock may go on when some is there."""

from collections.abc import Sequence

from services.order.rules.order import Order


def with_stock(waiting: Sequence[Order], item_id: str, quantity: int | None) -> list[Order]:
    """Those of a channel's orders that wait for an item's stock which may go on now that so much of
    it is there, in thousandths, the oldest first; None is no limit.
    """
    found: list[Order] = []
    for order in sorted(waiting, key=lambda one: (one.create_time, one.key)):
        wanted = order.resolved.quantity_of(item_id) if order.resolved else 0
        if order.waiting is None or order.waiting.reason != "INSUFFICIENT_STOCK":
            continue
        if quantity is not None:
            if wanted > quantity:
                continue
            quantity -= wanted
        found.append(order)
    return found
