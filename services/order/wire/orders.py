"""Orders and their documents as messages."""

from services.chassis.errors import invalid
from services.order.rules.document import Document, FulfillmentKind, Line, PaymentStatus
from services.order.rules.order import Order, OrderKey
from services.order.wire.scalars import (
    money,
    money_message,
    optional_money,
    quantity,
    quantity_text,
    time,
    time_message,
)
from tillbridge.errors.v1 import errors_pb2
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import order_pb2 as pb


def order_key(
    merchant_id: str,
    request: pb.ReportOrderChangeRequest | pb.GetOrderRequest | pb.RetryOrderRequest,
) -> OrderKey:
    """Which order a request is about."""
    return OrderKey(merchant_id, request.channel_id, request.order_id)


def document(message: pb.OrderDocument) -> Document:
    """A store's document.

    Raises:
        DomainError: INVALID_FIELD.
    """
    lines = tuple(
        _line(line, f"document.lines[{index}]") for index, line in enumerate(message.lines)
    )
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.line_id in seen:
            raise invalid(f"document.lines[{index}].line_id", "must be unique in the order")
        seen.add(line.line_id)

    found = Document(
        order_id=message.order_id,
        version=message.version,
        payment_status=PaymentStatus(message.payment_status),
        lines=lines,
        total=money(message.total, "document.total"),
        place_time=time(message.place_time, "document.place_time")
        if message.HasField("place_time")
        else None,
        email=message.email,
        buyer_name=message.buyer_name,
        phone=message.phone,
        payment_method=message.payment_method,
        payment_processor=message.payment_processor,
        fulfillment_kind=FulfillmentKind(message.fulfillment_kind),
        shipping_method=message.shipping_method,
        outlet_id=message.outlet_id,
        shipping_price=optional_money(message, "shipping_price", "document.shipping_price"),
        discount=optional_money(message, "discount", "document.discount"),
        tax=optional_money(message, "tax", "document.tax"),
        prices_include_tax=message.prices_include_tax,
    )
    _check_one_currency(found)
    return found


def _line(message: pb.OrderLine, field: str) -> Line:
    return Line(
        line_id=message.line_id,
        item_id=message.item_id,
        sku=message.sku,
        name=message.name,
        quantity=quantity(message.quantity, f"{field}.quantity"),
        unit_price=optional_money(message, "unit_price", f"{field}.unit_price"),
        tax=optional_money(message, "tax", f"{field}.tax"),
    )


def _check_one_currency(found: Document) -> None:
    amounts = [found.shipping_price, found.discount, found.tax]
    for line in found.lines:
        amounts += [line.unit_price, line.tax]
    currency = found.total.currency_code
    other = {amount.currency_code for amount in amounts if amount} - {currency}
    if other:
        raise invalid(
            "document.total", f"is in {currency}, other amounts in {', '.join(sorted(other))}"
        )


def document_message(found: Document, source_document: str = "") -> pb.OrderDocument:
    """A store's document as a message."""
    return pb.OrderDocument(
        order_id=found.order_id,
        version=found.version,
        place_time=time_message(found.place_time),
        email=found.email,
        buyer_name=found.buyer_name,
        phone=found.phone,
        payment_status=pb.PaymentStatus.ValueType(found.payment_status),
        payment_method=found.payment_method,
        payment_processor=found.payment_processor,
        lines=[
            pb.OrderLine(
                line_id=line.line_id,
                item_id=line.item_id,
                sku=line.sku,
                name=line.name,
                quantity=quantity_text(line.quantity),
                unit_price=money_message(line.unit_price),
                tax=money_message(line.tax),
            )
            for line in found.lines
        ],
        fulfillment_kind=pb.FulfillmentKind.ValueType(found.fulfillment_kind),
        shipping_method=found.shipping_method,
        outlet_id=found.outlet_id,
        shipping_price=money_message(found.shipping_price),
        discount=money_message(found.discount),
        tax=money_message(found.tax),
        prices_include_tax=found.prices_include_tax,
        total=money_message(found.total),
        source_document=source_document,
    )


def order_message(order: Order, source_document: str = "") -> pb.Order:
    """An order as a message."""
    waiting, reservation = order.waiting, order.reservation
    if order.document:
        ordered = document_message(order.document, source_document)
    else:
        ordered = pb.OrderDocument(order_id=order.key.order_id)
    return pb.Order(
        channel_id=order.key.channel_id,
        document=ordered,
        state=pb.OrderState.ValueType(order.state),
        waiting_reason=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{waiting.reason}")
        if waiting
        else errors_pb2.ERROR_REASON_UNSPECIFIED,
        waiting_message=waiting.message if waiting else "",
        attempts=waiting.attempts if waiting else 0,
        next_try_time=time_message(waiting.next_try_time if waiting else None),
        customer_id=order.buyer.customer_id if order.buyer else "",
        reservation_id=reservation.reservation_id if reservation else "",
        sale_id=order.sale_id,
        create_time=time_message(order.create_time),
        update_time=time_message(order.update_time),
        sync_time=time_message(order.sync_time),
    )


def order_changed(order: Order) -> events_pb2.OrderChanged:
    """What the feed tells of an order."""
    return events_pb2.OrderChanged(
        channel_id=order.key.channel_id,
        order_id=order.key.order_id,
        state=pb.OrderState.ValueType(order.state),
    )


def order_change_reported(key: OrderKey) -> events_pb2.OrderChangeReported:
    """What the feed tells of an order whose document has to be fetched."""
    return events_pb2.OrderChangeReported(channel_id=key.channel_id, order_id=key.order_id)


def order_subject(key: OrderKey) -> str:
    """The subject of an order's events."""
    return f"order/{key.channel_id}/{key.order_id}"
