"""Ecwid's statuses of orders and the contract's: one table for each, read both ways.

Stores may have statuses of their own (`CUSTOM_PAYMENT_STATUS_1`, `CUSTOM_FULFILLMENT_STATUS_2`),
and the platform may add some. What one of those means is not told: it is OTHER, and the order keeps
the store's word for it.
"""

from collections.abc import Mapping

from tillbridge.order.v1 import order_pb2 as pb

UNFINISHED = "INCOMPLETE"
"""Payment status of a cart that was left behind: never an order."""

PAYMENT_STATUSES: Mapping[str, pb.PaymentStatus.ValueType] = {
    "AWAITING_PAYMENT": pb.PAYMENT_STATUS_AWAITING,
    "PAID": pb.PAYMENT_STATUS_PAID,
    "CANCELLED": pb.PAYMENT_STATUS_CANCELED,
    "REFUNDED": pb.PAYMENT_STATUS_REFUNDED,
    "PARTIALLY_REFUNDED": pb.PAYMENT_STATUS_PARTIALLY_REFUNDED,
}
FULFILLMENT_STATUSES: Mapping[str, pb.FulfillmentStatus.ValueType] = {
    "AWAITING_PROCESSING": pb.FULFILLMENT_STATUS_AWAITING_PROCESSING,
    "PROCESSING": pb.FULFILLMENT_STATUS_PROCESSING,
    "READY_FOR_PICKUP": pb.FULFILLMENT_STATUS_READY_FOR_PICKUP,
    "OUT_FOR_DELIVERY": pb.FULFILLMENT_STATUS_OUT_FOR_DELIVERY,
    "SHIPPED": pb.FULFILLMENT_STATUS_SHIPPED,
    "DELIVERED": pb.FULFILLMENT_STATUS_DELIVERED,
    "WILL_NOT_DELIVER": pb.FULFILLMENT_STATUS_WILL_NOT_DELIVER,
    "RETURNED": pb.FULFILLMENT_STATUS_RETURNED,
}

_PAYMENT_WORDS = {status: word for word, status in PAYMENT_STATUSES.items()}
_FULFILLMENT_WORDS = {status: word for word, status in FULFILLMENT_STATUSES.items()}


def payment_status(word: str) -> pb.PaymentStatus.ValueType:
    """What a payment status of the store means here."""
    return PAYMENT_STATUSES.get(word, pb.PAYMENT_STATUS_OTHER)


def fulfillment_status(word: str) -> pb.FulfillmentStatus.ValueType:
    """What a fulfillment status of the store means here; none where it tells none."""
    if not word:
        return pb.FULFILLMENT_STATUS_UNSPECIFIED
    return FULFILLMENT_STATUSES.get(word, pb.FULFILLMENT_STATUS_OTHER)


def payment_word(status: pb.PaymentStatus.ValueType) -> str:
    """The store's word for a payment status; empty where it has none."""
    return _PAYMENT_WORDS.get(status, "")


def fulfillment_word(status: pb.FulfillmentStatus.ValueType) -> str:
    """The store's word for a fulfillment status; empty where it has none."""
    return _FULFILLMENT_WORDS.get(status, "")
