"""Sales and the payment report as messages."""

from datetime import UTC, date, datetime, timedelta

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money as MoneyMessage

from services.chassis.errors import invalid
from services.order.rules.document import NANOS, Money
from services.order.rules.recorded import UNTOLD
from services.order.rules.refused import RefusedSale
from services.order.rules.sale import (
    Payment,
    PaymentSum,
    Sale,
    SaleKey,
    SaleLine,
    SaleOrigin,
    SaleState,
)
from services.order.wire.money import charge_messages, charges, discount_messages, discounts
from services.order.wire.scalars import (
    money,
    money_message,
    optional_money,
    optional_time,
    quantity,
    quantity_text,
    time_message,
)
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import order_pb2 as pb


def sale(request: pb.RecordSaleRequest, merchant_id: str) -> Sale:
    """A sale as its caller tells it; times that were left out are UNTOLD.

    Raises:
        DomainError: INVALID_FIELD.
    """
    message = request.sale
    return Sale(
        key=SaleKey(merchant_id, message.sale_id),
        origin=SaleOrigin.TILL,
        state=SaleState(message.state) if message.state else SaleState.COMPLETED,
        lines=tuple(
            _sale_line(line, f"sale.lines[{index}]") for index, line in enumerate(message.lines)
        ),
        payments=tuple(
            _payment(payment, f"sale.payments[{index}]")
            for index, payment in enumerate(message.payments)
        ),
        total=money(message.total, "sale.total"),
        sale_time=optional_time(message, "sale_time", "sale.sale_time") or UNTOLD,
        outlet_id=message.outlet_id,
        register_id=message.register_id,
        customer_id=message.customer_id,
        shipping_price=optional_money(message, "shipping_price", "sale.shipping_price"),
        discount=optional_money(message, "discount", "sale.discount"),
        tax=optional_money(message, "tax", "sale.tax"),
        prices_include_tax=message.prices_include_tax,
        note=message.note,
        mirrored=request.mirrored,
        version=request.version,
        discounts=discounts(message.discounts, "sale.discounts"),
        charges=charges(message.charges, "sale.charges"),
        shipping_tax=optional_money(message, "shipping_tax", "sale.shipping_tax"),
        return_for=message.return_for,
    )


def _payment(message: pb.SalePayment, field: str) -> Payment:
    return Payment(
        message.method,
        money(message.amount, f"{field}.amount"),
        optional_time(message, "pay_time", f"{field}.pay_time") or UNTOLD,
    )


def _sale_line(message: pb.SaleLine, field: str) -> SaleLine:
    return SaleLine(
        message.item_id,
        quantity(message.quantity, f"{field}.quantity"),
        optional_money(message, "unit_price", f"{field}.unit_price"),
        optional_money(message, "tax", f"{field}.tax"),
        message.name,
        optional_money(message, "discount", f"{field}.discount"),
        outlet_id=message.outlet_id,
        not_restocked=message.not_restocked,
    )


def sale_message(found: Sale) -> pb.Sale:
    """A sale as a message."""
    return pb.Sale(
        sale_id=found.key.sale_id,
        origin=pb.SaleOrigin.ValueType(found.origin),
        channel_id=found.channel_id,
        order_id=found.order_id,
        outlet_id=found.outlet_id,
        register_id=found.register_id,
        customer_id=found.customer_id,
        state=pb.SaleState.ValueType(found.state),
        lines=[_line_message(line) for line in found.lines],
        payments=[
            pb.SalePayment(
                method=payment.method,
                amount=money_message(payment.amount),
                pay_time=time_message(payment.pay_time),
            )
            for payment in found.payments
        ],
        total=money_message(found.total),
        paid=found.paid,
        sale_time=time_message(found.sale_time),
        revision=found.revision,
        posted_revision=found.posting.revision,
        post_error=found.posting.error,
        shipping_price=money_message(found.shipping_price),
        discount=money_message(found.discount),
        tax=money_message(found.tax),
        prices_include_tax=found.prices_include_tax,
        note=found.note,
        stock_pending=found.stock.pending,
        stock_error=found.stock.error,
        return_for=found.return_for,
        discounts=discount_messages(found.discounts),
        charges=charge_messages(found.charges),
        shipping_tax=money_message(found.shipping_tax),
        difference=money_message(found.difference),
        refund_id=found.refund_id,
    )


def _line_message(line: SaleLine) -> pb.SaleLine:
    return pb.SaleLine(
        item_id=line.item_id,
        quantity=quantity_text(line.quantity),
        unit_price=money_message(line.unit_price),
        tax=money_message(line.tax),
        name=line.name,
        discount=money_message(line.discount),
        line_id=line.line_id,
        outlet_id=line.outlet_id,
        not_restocked=line.not_restocked,
    )


def refused_sale(request: pb.ReportSaleRefusedRequest, key: SaleKey, now: datetime) -> RefusedSale:
    """A sale that could not be copied."""
    return RefusedSale(key, request.version, request.reason, request.message, now)


def sale_changed(found: Sale) -> events_pb2.SaleChanged:
    """What the feed tells of a sale."""
    return events_pb2.SaleChanged(
        sale_id=found.key.sale_id, order_id=found.order_id, revision=found.revision
    )


def days(request: pb.GetPaymentReportRequest) -> tuple[datetime | None, datetime | None]:
    """Where the report begins, and where it ends: the last day is included.

    Raises:
        DomainError: INVALID_FIELD.
    """
    begin = end = None
    if request.HasField("start_date"):
        begin = _midnight(request.start_date, "start_date")
    if request.HasField("end_date"):
        end = _midnight(request.end_date, "end_date")
        end = end + timedelta(days=1) if end.year < 9999 else None
    return begin, end


def _midnight(message: Date, field: str) -> datetime:
    try:
        return datetime(message.year, message.month, message.day, tzinfo=UTC)
    except ValueError as error:
        raise invalid(field, "must be a whole date in the years 1 to 9999") from error


def payment_sum_message(found: PaymentSum) -> pb.PaymentSum:
    """A line of the payment report."""
    return pb.PaymentSum(
        date=_date_message(found.day),
        method=found.method,
        outlet_id=found.outlet_id,
        amount=_sum_message(found.currency_code, found.units, found.nanos),
        count=found.count,
        refunded=_sum_message(found.currency_code, found.refunded_units, found.refunded_nanos)
        if found.refunded_units or found.refunded_nanos
        else None,
    )


def _date_message(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def _sum_message(currency_code: str, units: int, nanos: int) -> MoneyMessage:
    total = units * NANOS + nanos
    message = money_message(Money(currency_code, total))
    assert message
    return message
