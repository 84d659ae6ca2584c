"""Orders of Ecwid as documents of the contract."""

from collections.abc import Mapping
from decimal import Decimal

from gateway.ecom import OrderSeen
from gateway.records import (
    BadRecordError,
    Record,
    decimal,
    escaped,
    listed,
    money,
    needed,
    needed_decimal,
    nested,
    printable,
    quantity_text,
    text,
    timestamp,
    whole,
)
from tillbridge.order.v1 import order_pb2

UNFINISHED = "INCOMPLETE"
"""Payment status of a cart that was left behind: never an order."""

_PAYMENT_STATUSES: Mapping[str, order_pb2.PaymentStatus.ValueType] = {
    "AWAITING_PAYMENT": order_pb2.PAYMENT_STATUS_AWAITING,
    "PAID": order_pb2.PAYMENT_STATUS_PAID,
    "CANCELLED": order_pb2.PAYMENT_STATUS_CANCELED,
    "REFUNDED": order_pb2.PAYMENT_STATUS_REFUNDED,
    "PARTIALLY_REFUNDED": order_pb2.PAYMENT_STATUS_REFUNDED,
}
_KINDS = {
    "SHIPPING": order_pb2.FULFILLMENT_KIND_SHIPPING,
    "DELIVERY": order_pb2.FULFILLMENT_KIND_DELIVERY,
    "PICKUP": order_pb2.FULFILLMENT_KIND_PICKUP,
}
_METHOD_LENGTH_MAX = 200
_NAME_LENGTH_MAX = 1000
_PHONE_LENGTH_MAX = 100


def document_of(order: Record, source: str, currency: str) -> order_pb2.OrderDocument | None:
    """An order; None for what is none.

    Characters that no service stores (control characters, changes of direction) are taken out of
    names, since an order may wait but must not be lost; the source document keeps them, escaped.
    A status of the merchant's own (`CUSTOM_PAYMENT_STATUS_1`) counts as awaiting payment: what it
    means is not told, and an order that is not known to be paid is not paid. The source document
    keeps it.

    Args:
        order: the parsed document.
        source: its text.
        currency: of the store; the order itself names none.

    Raises:
        BadRecordError: what an order cannot do without is missing.
    """
    status = needed(order, "paymentStatus")
    if status == UNFINISHED:
        return None
    shipping = nested(order, "shippingOption")
    lines = [_line(item, currency) for item in listed(order, "items")]
    if not lines:
        raise BadRecordError("items: an order has at least one")
    document = order_pb2.OrderDocument(
        order_id=needed(order, "id"),
        version=whole(order.get("updateTimestamp")) or whole(order.get("createTimestamp")),
        email=printable(text(order, "email")).strip(),
        buyer_name=printable(_buyer(order))[:_NAME_LENGTH_MAX],
        phone=printable(_person(order, "phone"))[:_PHONE_LENGTH_MAX],
        payment_status=_payment_status(status),
        payment_method=printable(text(order, "paymentMethod"))[:_METHOD_LENGTH_MAX],
        payment_processor=printable(_processor(order))[:_METHOD_LENGTH_MAX],
        lines=lines,
        fulfillment_kind=_kind(shipping),
        shipping_method=printable(text(shipping, "shippingMethodName"))[:_METHOD_LENGTH_MAX],
        outlet_id=text(shipping, "locationId"),
        prices_include_tax=order.get("pricesIncludeTax") is True,
        total=money(needed_decimal(order, "total"), currency),
        source_document=escaped(source),
    )
    placed = whole(order.get("createTimestamp"))
    if placed:
        document.place_time.CopyFrom(timestamp(placed))
    _add_amounts(document, order, currency)
    return document


def _add_amounts(document: order_pb2.OrderDocument, order: Record, currency: str) -> None:
    """What is charged or taken off beside the lines; what is nothing stays absent."""
    shipping = nested(order, "shippingOption")
    for value, target in (
        (decimal(shipping.get("shippingRate")), document.shipping_price),
        (_discount(order), document.discount),
        (decimal(order.get("tax")), document.tax),
    ):
        if value:
            target.CopyFrom(money(value, currency))


def _processor(order: Record) -> str:
    """The integrated processor (ORD-06). The platform names a module for its own integrations
    only, so that a method without one is unintegrated (ORD-07).
    """
    return text(order, "paymentModule")


def _discount(order: Record) -> Decimal:
    """All that is taken off the whole order; `discount` leaves the coupon out."""
    return (decimal(order.get("discount")) or Decimal(0)) + (
        decimal(order.get("couponDiscount")) or Decimal(0)
    )


def _line(item: Record, currency: str) -> order_pb2.OrderLine:
    line = order_pb2.OrderLine(
        line_id=needed(item, "id"),
        item_id=text(item, "externalReferenceId"),
        sku=text(item, "sku"),
        name=printable(text(item, "name"))[:_NAME_LENGTH_MAX],
        quantity=quantity_text(needed_decimal(item, "quantity")),
        unit_price=money(needed_decimal(item, "price"), currency),
    )
    tax = decimal(item.get("tax"))
    if tax:
        line.tax.CopyFrom(money(tax, currency))
    return line


def seen_of(order: Record) -> OrderSeen | None:
    """What a list says of an order; None for a cart that was left behind.

    Raises:
        BadRecordError: it has no id or status.
    """
    status = needed(order, "paymentStatus")
    if status == UNFINISHED:
        return None
    version = whole(order.get("updateTimestamp"))
    return OrderSeen(needed(order, "id"), version, _payment_status(status))


def _payment_status(status: str) -> order_pb2.PaymentStatus.ValueType:
    return _PAYMENT_STATUSES.get(status, order_pb2.PAYMENT_STATUS_AWAITING)


def _kind(shipping: Record) -> order_pb2.FulfillmentKind.ValueType:
    if shipping.get("isPickup") is True:
        return order_pb2.FULFILLMENT_KIND_PICKUP
    kind = text(shipping, "fulfillmentType").upper()
    return _KINDS.get(kind, order_pb2.FULFILLMENT_KIND_UNSPECIFIED)


def _buyer(order: Record) -> str:
    for name in ("billingPerson", "shippingPerson"):
        person = nested(order, name)
        parts = [text(person, "firstName"), text(person, "lastName")]
        found = text(person, "name") or " ".join(filter(None, parts))
        if found.strip():
            return found.strip()
    return ""


def _person(order: Record, field: str) -> str:
    return text(nested(order, "billingPerson"), field) or text(
        nested(order, "shippingPerson"), field
    )
