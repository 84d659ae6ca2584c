"""What is shown of an order in a list, and to whoever tells it again: all but what became of its
lines.
"""

from datetime import datetime
from typing import NamedTuple

from services.order.rules.accounting import StoreUpdate
from services.order.rules.document import Document, Money
from services.order.rules.order import Order, OrderKey, OrderState


class Listed(NamedTuple):
    """An order as it is shown."""

    key: OrderKey
    state: OrderState
    document: Document | bytes | None
    """Bytes where it is kept as a message; None where only the order's id is known."""
    waiting_reason: str
    """Empty when it does not wait."""
    waiting_message: str
    attempts: int
    next_try_time: datetime | None
    customer_id: str
    reservation_id: str
    sale_id: str
    create_time: datetime
    update_time: datetime
    sync_time: datetime | None
    cancel_time: datetime | None
    cancel_reason: str
    gone: bool
    paid: Money | None
    refunded: Money | None
    store_update: StoreUpdate | None


def listed(order: Order) -> Listed:
    """What is shown of an order."""
    waiting, reservation = order.waiting, order.reservation
    return Listed(
        key=order.key,
        state=order.state,
        document=order.document,
        waiting_reason=waiting.reason if waiting else "",
        waiting_message=waiting.message if waiting else "",
        attempts=waiting.attempts if waiting else 0,
        next_try_time=waiting.next_try_time if waiting else None,
        customer_id=order.buyer.customer_id if order.buyer else "",
        reservation_id=reservation.reservation_id if reservation else "",
        sale_id=order.sale_id,
        create_time=order.create_time,
        update_time=order.update_time,
        sync_time=order.sync_time,
        cancel_time=order.cancel_time,
        cancel_reason=order.cancel_reason,
        gone=order.gone,
        paid=order.paid,
        refunded=order.refunded,
        store_update=order.store_update,
    )
