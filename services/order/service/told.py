"""What is told on the feed."""

from services.chassis.database import Transaction
from services.order.rules.order import Order
from services.order.rules.sale import Sale
from services.order.wire import orders as order_wire
from services.order.wire import sales as sale_wire


def tell_order(transaction: Transaction, order: Order) -> None:
    """Tells that an order got further, or waits."""
    key = order.key
    subject = order_wire.order_subject(key)
    transaction.emit(
        key.merchant_id, subject, order_wire.order_changed(order), channel_id=key.channel_id
    )


def tell_sale(transaction: Transaction, sale: Sale) -> None:
    """Tells that a sale is new or different; of a till's sale no channel is told (ORD-05)."""
    subject = f"sale/{sale.key.sale_id}"
    message = sale_wire.sale_changed(sale)
    transaction.emit(sale.key.merchant_id, subject, message, channel_id=sale.channel_id)
