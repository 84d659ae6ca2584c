"""What is told on the feed."""

from services.chassis.database import Transaction
from services.order.rules.fulfillment import Fulfillment
from services.order.rules.order import Order, OrderKey
from services.order.rules.sale import Sale
from services.order.rules.shipping import Method
from services.order.wire import fulfillments as fulfillment_wire
from services.order.wire import orders as order_wire
from services.order.wire import sales as sale_wire
from services.order.wire import shipping as shipping_wire


def tell_order(transaction: Transaction, order: Order) -> None:
    """Tells that an order got further, or waits."""
    key = order.key
    subject = order_wire.order_subject(key)
    transaction.emit(
        key.merchant_id, subject, order_wire.order_changed(order), channel_id=key.channel_id
    )


def ask_for_document(transaction: Transaction, key: OrderKey) -> None:
    """Has the gateway fetch an order from its store."""
    subject = order_wire.order_subject(key)
    message = order_wire.order_change_reported(key)
    transaction.emit(key.merchant_id, subject, message, channel_id=key.channel_id)


def tell_sale(transaction: Transaction, sale: Sale) -> None:
    """Tells that a sale is new or different; of a till's sale no channel is told (ORD-05)."""
    subject = f"sale/{sale.key.sale_id}"
    message = sale_wire.sale_changed(sale)
    transaction.emit(sale.key.merchant_id, subject, message, channel_id=sale.channel_id)


def tell_fulfillment(transaction: Transaction, fulfillment: Fulfillment) -> None:
    """Tells that a fulfillment is new or different."""
    transaction.emit(
        fulfillment.merchant_id,
        f"fulfillment/{fulfillment.fulfillment_id}",
        fulfillment_wire.fulfillment_changed(fulfillment),
        channel_id=fulfillment.channel_id,
    )


def tell_method(transaction: Transaction, method: Method, *, deleted: bool = False) -> None:
    """Tells that a shipping method is new, different or gone."""
    key = method.key
    subject = f"shipping/{key.channel_id}/{key.method_id}"
    message = shipping_wire.method_changed(method, deleted=deleted)
    transaction.emit(key.merchant_id, subject, message, channel_id=key.channel_id)
