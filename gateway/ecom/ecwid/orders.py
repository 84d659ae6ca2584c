"""Orders of Ecwid as documents of the contract."""

import re
from collections.abc import Iterator

from gateway.ecom import OrderSeen
from gateway.ecom.ecwid.order_money import add_money, time_of
from gateway.ecom.ecwid.statuses import UNFINISHED, fulfillment_status, payment_status
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

_KINDS = {
    "SHIPPING": order_pb2.FULFILLMENT_KIND_SHIPPING,
    "DELIVERY": order_pb2.FULFILLMENT_KIND_DELIVERY,
    "PICKUP": order_pb2.FULFILLMENT_KIND_PICKUP,
}
_METHOD_LENGTH_MAX = 200
_NAME_LENGTH_MAX = 1000
_PHONE_LENGTH_MAX = 100
_CITY_LENGTH_MAX = 200
_CODE_LENGTH_MAX = 40
_STATUS_LENGTH_MAX = 100
_COMMENT_LENGTH_MAX = 4000
_COUNTRY = re.compile("[A-Z]{2}", re.ASCII)


def document_of(order: Record, source: str, currency: str) -> order_pb2.OrderDocument | None:
    """An order; None for what is none.

    Characters that no service stores (control characters, changes of direction) are taken out of
    names, since an order may wait but must not be lost; the source document keeps them, escaped.

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
    lines = list(_lines(order, currency))
    if not lines:
        raise BadRecordError("items: an order has at least one")
    handed_over = text(order, "fulfillmentStatus")
    document = order_pb2.OrderDocument(
        order_id=needed(order, "id"),
        version=whole(order.get("updateTimestamp")) or whole(order.get("createTimestamp")),
        email=printable(text(order, "email")).strip(),
        buyer_name=printable(_buyer(order))[:_NAME_LENGTH_MAX],
        phone=printable(_person(order, "phone"))[:_PHONE_LENGTH_MAX],
        payment_status=payment_status(status),
        store_payment_status=printable(status)[:_STATUS_LENGTH_MAX],
        payment_method=printable(text(order, "paymentMethod"))[:_METHOD_LENGTH_MAX],
        payment_processor=printable(_processor(order))[:_METHOD_LENGTH_MAX],
        lines=lines,
        fulfillment_kind=_kind(shipping),
        fulfillment_status=fulfillment_status(handed_over),
        store_fulfillment_status=printable(handed_over)[:_STATUS_LENGTH_MAX],
        shipping_method=printable(text(shipping, "shippingMethodName"))[:_METHOD_LENGTH_MAX],
        outlet_id=text(shipping, "locationId"),
        tracking_number=printable(text(order, "trackingNumber"))[:_METHOD_LENGTH_MAX],
        buyer_comment=printable(text(order, "orderComments"))[:_COMMENT_LENGTH_MAX],
        ship_to=_ship_to(order, shipping),
        pickup_time=time_of(text(order, "pickupTime")),
        prices_include_tax=order.get("pricesIncludeTax") is True,
        source_document=escaped(source),
    )
    placed = whole(order.get("createTimestamp"))
    if placed:
        document.place_time.CopyFrom(timestamp(placed))
    add_money(document, order, currency)
    return document


def _processor(order: Record) -> str:
    """The integrated processor (ORD-06). The platform names a module for its own integrations
    only, so that a method without one is unintegrated (ORD-07).
    """
    return text(order, "paymentModule")


def _lines(order: Record, currency: str) -> Iterator[order_pb2.OrderLine]:
    """What was ordered. A line of nothing orders nothing, and ids that are missing or come twice
    are replaced by the line's number: no order is lost on account of them.
    """
    seen: set[str] = set()
    for index, item in enumerate(listed(order, "items")):
        quantity = quantity_text(needed_decimal(item, "quantity"))
        if quantity == "0":
            continue
        line_id = text(item, "id")
        if not line_id or line_id in seen:
            line_id = f"#{index + 1}"
        seen.add(line_id)
        line = order_pb2.OrderLine(
            line_id=line_id,
            item_id=text(item, "externalReferenceId"),
            sku=text(item, "sku"),
            name=printable(text(item, "name"))[:_NAME_LENGTH_MAX],
            quantity=quantity,
            unit_price=money(needed_decimal(item, "price"), currency),
        )
        tax = decimal(item.get("tax"))
        if tax:
            line.tax.CopyFrom(money(tax, currency))
        yield line


def _ship_to(order: Record, shipping: Record) -> order_pb2.Address | None:
    """Where it goes; None for a pickup, and where nobody said."""
    person = nested(order, "shippingPerson")
    if _kind(shipping) == order_pb2.FULFILLMENT_KIND_PICKUP or not person:
        return None
    country = text(person, "countryCode").strip().upper()
    region = text(person, "stateOrProvinceCode") or text(person, "stateOrProvinceName")
    found = order_pb2.Address(
        name=printable(_name_of(person))[:_NAME_LENGTH_MAX],
        street=printable(text(person, "street"))[:_NAME_LENGTH_MAX],
        city=printable(text(person, "city"))[:_CITY_LENGTH_MAX],
        postal_code=printable(text(person, "postalCode"))[:_CODE_LENGTH_MAX],
        region_code=printable(region)[:_CODE_LENGTH_MAX],
        country_code=country if _COUNTRY.fullmatch(country) else "",
        phone=printable(text(person, "phone"))[:_PHONE_LENGTH_MAX],
    )
    return found if found.ByteSize() else None


def seen_of(order: Record) -> OrderSeen | None:
    """What a list says of an order; None for a cart that was left behind.

    Raises:
        BadRecordError: it has no id or status.
    """
    status = needed(order, "paymentStatus")
    if status == UNFINISHED:
        return None
    return OrderSeen(
        needed(order, "id"),
        whole(order.get("updateTimestamp")),
        payment_status(status),
        fulfillment_status(text(order, "fulfillmentStatus")),
    )


def _kind(shipping: Record) -> order_pb2.FulfillmentKind.ValueType:
    if shipping.get("isPickup") is True:
        return order_pb2.FULFILLMENT_KIND_PICKUP
    kind = text(shipping, "fulfillmentType").upper()
    return _KINDS.get(kind, order_pb2.FULFILLMENT_KIND_UNSPECIFIED)


def _buyer(order: Record) -> str:
    for name in ("billingPerson", "shippingPerson"):
        if found := _name_of(nested(order, name)):
            return found
    return ""


def _name_of(person: Record) -> str:
    parts = [text(person, "firstName"), text(person, "lastName")]
    return (text(person, "name") or " ".join(filter(None, parts))).strip()


def _person(order: Record, field: str) -> str:
    return text(nested(order, "billingPerson"), field) or text(
        nested(order, "shippingPerson"), field
    )
