"""Documents of orders as messages."""

from google.protobuf.message import Message

from services.chassis.errors import invalid
from services.order.rules.document import (
    Address,
    Charge,
    Discount,
    Document,
    FulfillmentKind,
    FulfillmentStatus,
    Line,
    Money,
    OrderPayment,
    OrderRefund,
    PaymentStatus,
)
from services.order.wire.money import (
    above_zero,
    charge_messages,
    charges,
    check_one_currency,
    discount_messages,
    discounts,
)
from services.order.wire.scalars import (
    money,
    money_message,
    optional_money,
    optional_time,
    quantity,
    quantity_text,
    time_message,
)
from tillbridge.order.v1 import order_pb2 as pb


def document(message: pb.OrderDocument) -> Document:
    """A store's document.

    Raises:
        DomainError: INVALID_FIELD.
    """
    found = Document(
        order_id=message.order_id,
        version=message.version,
        payment_status=PaymentStatus(message.payment_status),
        lines=_lines(message),
        total=money(message.total, "document.total"),
        place_time=optional_time(message, "place_time", "document.place_time"),
        email=message.email,
        buyer_name=message.buyer_name,
        phone=message.phone,
        payment_method=message.payment_method,
        payment_processor=message.payment_processor,
        fulfillment_kind=FulfillmentKind(message.fulfillment_kind),
        shipping_method=message.shipping_method,
        outlet_id=message.outlet_id,
        shipping_price=_amount(message, "shipping_price"),
        discount=_amount(message, "discount"),
        tax=_amount(message, "tax"),
        prices_include_tax=message.prices_include_tax,
        discounts=discounts(message.discounts, "document.discounts"),
        charges=charges(message.charges, "document.charges"),
        shipping_tax=_amount(message, "shipping_tax"),
        payments=_payments(message),
        refunds=_refunds(message),
        store_payment_status=message.store_payment_status,
        fulfillment_status=FulfillmentStatus(message.fulfillment_status),
        store_fulfillment_status=message.store_fulfillment_status,
        tracking_number=message.tracking_number,
        ship_to=address(message.ship_to) if message.HasField("ship_to") else None,
        pickup_time=optional_time(message, "pickup_time", "document.pickup_time"),
        buyer_comment=message.buyer_comment,
    )
    _check_one_currency(found)
    return found


def _amount(message: Message, name: str) -> Money | None:
    return optional_money(message, name, f"document.{name}")


def _lines(message: pb.OrderDocument) -> tuple[Line, ...]:
    seen: set[str] = set()
    for index, line in enumerate(message.lines):
        if line.line_id in seen:
            raise invalid(f"document.lines[{index}].line_id", "must be unique in the order")
        seen.add(line.line_id)
    return tuple(
        _line(line, f"document.lines[{index}]") for index, line in enumerate(message.lines)
    )


def _line(message: pb.OrderLine, field: str) -> Line:
    return Line(
        line_id=message.line_id,
        item_id=message.item_id,
        sku=message.sku,
        name=message.name,
        quantity=quantity(message.quantity, f"{field}.quantity"),
        unit_price=optional_money(message, "unit_price", f"{field}.unit_price"),
        tax=optional_money(message, "tax", f"{field}.tax"),
        discount=optional_money(message, "discount", f"{field}.discount"),
    )


def _payments(message: pb.OrderDocument) -> tuple[OrderPayment, ...]:
    return tuple(
        OrderPayment(
            above_zero(payment.amount, f"document.payments[{index}].amount"),
            payment.method,
            payment.processor,
            optional_time(payment, "pay_time", f"document.payments[{index}].pay_time"),
        )
        for index, payment in enumerate(message.payments)
    )


def _refunds(message: pb.OrderDocument) -> tuple[OrderRefund, ...]:
    found: dict[str, OrderRefund] = {}
    for index, refund in enumerate(message.refunds):
        field = f"document.refunds[{index}]"
        if refund.refund_id in found:
            raise invalid(f"{field}.refund_id", "must be unique in the order")
        found[refund.refund_id] = OrderRefund(
            refund.refund_id,
            above_zero(refund.amount, f"{field}.amount"),
            optional_time(refund, "refund_time", f"{field}.refund_time"),
            refund.reason,
        )
    return tuple(found.values())


def address(message: pb.Address) -> Address:
    """Where somebody is."""
    return Address(
        name=message.name,
        street=message.street,
        city=message.city,
        postal_code=message.postal_code,
        region_code=message.region_code,
        country_code=message.country_code,
        phone=message.phone,
    )


def address_message(found: Address | None) -> pb.Address | None:
    """Where somebody is, as a message; None stays None."""
    if found is None:
        return None
    return pb.Address(
        name=found.name,
        street=found.street,
        city=found.city,
        postal_code=found.postal_code,
        region_code=found.region_code,
        country_code=found.country_code,
        phone=found.phone,
    )


def _check_one_currency(found: Document) -> None:
    amounts = [found.shipping_price, found.discount, found.tax, found.shipping_tax]
    for line in found.lines:
        amounts += [line.unit_price, line.tax, line.discount]
    amounts += [payment.amount for payment in found.payments]
    amounts += [refund.amount for refund in found.refunds]
    told: list[Discount | Charge] = [*found.discounts, *found.charges]
    check_one_currency(found.total, amounts, told, "document.total")


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
        lines=[_line_message(line) for line in found.lines],
        fulfillment_kind=pb.FulfillmentKind.ValueType(found.fulfillment_kind),
        shipping_method=found.shipping_method,
        outlet_id=found.outlet_id,
        shipping_price=money_message(found.shipping_price),
        discount=money_message(found.discount),
        tax=money_message(found.tax),
        prices_include_tax=found.prices_include_tax,
        total=money_message(found.total),
        source_document=source_document,
        discounts=discount_messages(found.discounts),
        charges=charge_messages(found.charges),
        shipping_tax=money_message(found.shipping_tax),
        payments=[_payment_message(payment) for payment in found.payments],
        refunds=[_refund_message(refund) for refund in found.refunds],
        store_payment_status=found.store_payment_status,
        fulfillment_status=pb.FulfillmentStatus.ValueType(found.fulfillment_status),
        store_fulfillment_status=found.store_fulfillment_status,
        tracking_number=found.tracking_number,
        ship_to=address_message(found.ship_to),
        pickup_time=time_message(found.pickup_time),
        buyer_comment=found.buyer_comment,
    )


def _line_message(line: Line) -> pb.OrderLine:
    return pb.OrderLine(
        line_id=line.line_id,
        item_id=line.item_id,
        sku=line.sku,
        name=line.name,
        quantity=quantity_text(line.quantity),
        unit_price=money_message(line.unit_price),
        tax=money_message(line.tax),
        discount=money_message(line.discount),
    )


def _payment_message(payment: OrderPayment) -> pb.OrderPayment:
    return pb.OrderPayment(
        method=payment.method,
        processor=payment.processor,
        amount=money_message(payment.amount),
        pay_time=time_message(payment.pay_time),
    )


def _refund_message(refund: OrderRefund) -> pb.OrderRefund:
    return pb.OrderRefund(
        refund_id=refund.refund_id,
        amount=money_message(refund.amount),
        refund_time=time_message(refund.refund_time),
        reason=refund.reason,
    )
