"""Sales of R-Series, read into the sales history (ORD-05)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pos import MirroredSale
from gateway.records import (
    Record,
    decimal,
    money,
    needed,
    needed_decimal,
    nested,
    printable,
    quantity_text,
    text,
)
from tillbridge.order.v1 import order_pb2

NAME_LENGTH_MAX = 200
_LINE_NAME_LENGTH_MAX = 1000
_NOTE_LENGTH_MAX = 500
_ZERO = Decimal(0)


def sales_in(answer: Any) -> list[Record]:
    """The sales of an answer, whether it holds none, one or many."""
    return _members(answer, "Sale") if isinstance(answer, dict) else []


def sale_of(row: Record, currency: str) -> MirroredSale | None:
    """A sale; None for one without goods, such as one that was just begun.

    Its version is the time of its last change, in unix seconds: of two changes in one second the
    last to come holds.

    Args:
        row: the sale, with its lines and payments loaded.
        currency: of the account; a sale names none.

    Raises:
        BadRecordError: a field that a sale cannot do without is missing.
    """
    lines = _members(nested(row, "SaleLines"), "SaleLine")
    sold = [_line(line, row, currency) for line in lines if _is_goods(line)]
    if not sold:
        return None
    tax = decimal(row.get("taxTotal"))
    if tax is None:
        tax = _sum(row, "calcTax1", "calcTax2")
    sale = order_pb2.Sale(
        sale_id=needed(row, "saleID"),
        outlet_id=_reference(row, "shopID"),
        register_id=_reference(row, "registerID"),
        customer_id="",  # the customer's id there is no customer id here
        state=_state(row, lines),
        lines=sold,
        payments=_payments(row, currency),
        total=money(needed_decimal(row, "calcTotal", "total"), currency),
        tax=money(tax, currency),
        prices_include_tax=_is(row, "isTaxInclusive"),
        note=_note(row),
        sale_time=_first_time(row, "completeTime", "createTime", "timeStamp"),
        charges=_charges(lines, currency),
        discounts=_credits(lines, currency),
    )
    off = sum((-_worth(line) for line in lines if _is_credit(line)), _ZERO)
    if off:
        sale.discount.CopyFrom(money(off, currency))
    changed = _first_time(row, "timeStamp")
    return MirroredSale(sale, max(0, changed.seconds) if changed else 0)


def _state(row: Record, lines: list[Record]) -> order_pb2.SaleState.ValueType:
    """A sale is done when it is completed, and takes stock then. Until then it is put by for the
    buyer, waits for what was ordered, or is only put aside; archived like that, it never was one.
    """
    if _is(row, "voided"):
        return order_pb2.SALE_STATE_VOIDED
    if _is(row, "completed"):
        return order_pb2.SALE_STATE_COMPLETED
    if _is(row, "archived"):
        return order_pb2.SALE_STATE_VOIDED
    if any(_is(line, "isLayaway") for line in lines):
        return order_pb2.SALE_STATE_LAYBY
    if any(_is(line, "isSpecialOrder") or _is(line, "isWorkorder") for line in lines):
        return order_pb2.SALE_STATE_OPEN
    return order_pb2.SALE_STATE_PARKED


def _line(line: Record, row: Record, currency: str) -> order_pb2.SaleLine:
    """A line of goods, with its share of what is off the whole sale."""
    found = order_pb2.SaleLine(
        item_id=needed(line, "itemID"),
        quantity=quantity_text(_quantity(line)),
        unit_price=money(needed_decimal(line, "unitPrice"), currency),
        tax=money(_sum(line, "calcTax1", "calcTax2"), currency),
        name=printable(text(nested(line, "Item"), "description"))[:_LINE_NAME_LENGTH_MAX],
    )
    off = _sum(line, "calcLineDiscount", "calcTransactionDiscount")
    if off:
        found.discount.CopyFrom(money(off, currency))
    shop_id = _reference(line, "shopID")
    if shop_id != _reference(row, "shopID"):
        found.outlet_id = shop_id
    return found


def _quantity(line: Record) -> Decimal:
    return needed_decimal(line, "unitQuantity")


def _is_goods(line: Record) -> bool:
    """Whether a line is about an item; some are only about an amount."""
    return bool(_reference(line, "itemID")) and quantity_text(_quantity(line)) != "0"


def _is_credit(line: Record) -> bool:
    return not _is_goods(line) and _worth(line) < 0


def _worth(line: Record) -> Decimal:
    return decimal(line.get("calcTotal")) or _ZERO


def _charges(lines: list[Record], currency: str) -> Iterator[order_pb2.Charge]:
    """Lines that are about an amount alone."""
    for line in lines:
        if not _is_goods(line) and _worth(line) > 0:
            charge = order_pb2.Charge(
                kind=order_pb2.CHARGE_KIND_FEE,
                name=_name(line),
                amount=money(_worth(line), currency),
            )
            if tax := _sum(line, "calcTax1", "calcTax2"):
                charge.tax.CopyFrom(money(tax, currency))
            yield charge


def _credits(lines: list[Record], currency: str) -> Iterator[order_pb2.Discount]:
    for line in lines:
        if _is_credit(line):
            yield order_pb2.Discount(
                kind=order_pb2.DISCOUNT_KIND_ORDER,
                name=_name(line),
                amount=money(-_worth(line), currency),
            )


def _name(line: Record) -> str:
    shown = text(nested(line, "Note"), "note") or text(nested(line, "Item"), "description")
    return printable(shown)[:NAME_LENGTH_MAX]


def _payments(row: Record, currency: str) -> Iterator[order_pb2.SalePayment]:
    for payment in _members(nested(row, "SalePayments"), "SalePayment"):
        worth = needed_decimal(payment, "amount")
        if _is(payment, "archived") or not worth:
            continue
        name = text(nested(payment, "PaymentType"), "name")
        name = name or f"Payment type {text(payment, 'paymentTypeID', '0')}"
        yield order_pb2.SalePayment(
            method=printable(name).strip()[:NAME_LENGTH_MAX] or "unnamed",
            amount=money(worth, currency),
            pay_time=_first_time(payment, "createTime"),
        )


def _note(row: Record) -> str:
    """What people at the till find the sale by: its ticket, and what it refers to."""
    ticket, reference = text(row, "ticketNumber"), text(row, "referenceNumber")
    source = text(row, "referenceNumberSource")
    parts = [f"Ticket {ticket}" if ticket else "", f"{source} {reference}".strip()]
    return printable(", ".join(filter(None, parts)))[:_NOTE_LENGTH_MAX]


def _first_time(row: Record, *names: str) -> Timestamp | None:
    """The first of these times that is told, always with its zone; None where none is."""
    for name in names:
        try:
            moment = datetime.fromisoformat(text(row, name))
        except ValueError:
            continue
        found = Timestamp()
        found.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        return found
    return None


def _members(relation: Any, name: str) -> list[Record]:
    """The members of a relation: `""`, one object, or a list of them."""
    value = relation.get(name) if isinstance(relation, dict) else None
    if isinstance(value, dict):
        return [value]
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _sum(row: Record, *names: str) -> Decimal:
    return sum((decimal(row.get(name)) or _ZERO for name in names), _ZERO)


def _is(row: Record, name: str) -> bool:
    return text(row, name).lower() == "true"


def _reference(row: Record, name: str) -> str:
    """An id; `"0"` stands for none."""
    value = text(row, name)
    return "" if value == "0" else value
