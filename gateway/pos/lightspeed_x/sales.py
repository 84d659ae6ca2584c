"""Sales of X-Series, read into the sales history."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pos import MirroredSale
from gateway.records import (
    Record,
    decimal,
    listed,
    money,
    needed,
    needed_decimal,
    nested,
    printable,
    quantity_text,
    text,
    whole,
)
from tillbridge.order.v1 import order_pb2

NOTE_LENGTH_MAX = 500
NAME_LENGTH_MAX = 200
_LINE_NAME_LENGTH_MAX = 1000

OPEN, COMPLETED = order_pb2.SALE_STATE_OPEN, order_pb2.SALE_STATE_COMPLETED
PARKED, VOIDED = order_pb2.SALE_STATE_PARKED, order_pb2.SALE_STATE_VOIDED
LAYBY, ON_ACCOUNT = order_pb2.SALE_STATE_LAYBY, order_pb2.SALE_STATE_ON_ACCOUNT

STATUSES: Mapping[str, order_pb2.SaleState.ValueType] = {
    "SAVED": PARKED,
    "CLOSED": COMPLETED,
    "ONACCOUNT": ON_ACCOUNT,
    "ONACCOUNT_CLOSED": COMPLETED,
    "LAYBY": LAYBY,
    "LAYBY_CLOSED": COMPLETED,
    "AWAITING_DISPATCH": OPEN,
    "DISPATCHED_CLOSED": COMPLETED,
    "AWAITING_PICKUP": OPEN,
    "PICKED_UP_CLOSED": COMPLETED,
    "SERVICE": OPEN,
    "SERVICE_CLOSED": COMPLETED,
    "VOIDED": VOIDED,
}
"""The platform's statuses of old, and what they mean here."""

_STATES = {"parked": PARKED, "closed": COMPLETED, "voided": VOIDED}
_PENDING = {"layby": LAYBY, "onaccount": ON_ACCOUNT}
"""Attributes that tell one pending sale from another; all others are open."""

_CHARGES = {
    "TIP": order_pb2.CHARGE_KIND_TIP,
    "SURCHARGE": order_pb2.CHARGE_KIND_SURCHARGE,
    "NON_CASH_FEE": order_pb2.CHARGE_KIND_FEE,
}


@dataclass(frozen=True, slots=True)
class Places:
    """What a sale's row leaves to be looked up: its register's outlet, and the currency."""

    outlet_of: Mapping[str, str]
    currency: str


def sale_of(row: Record, places: Places) -> MirroredSale | None:
    """A sale, in its 2.0 or 0.9 shape; None for one without lines, such as one that was just begun.

    Raises:
        BadRecordError: a field that a sale cannot do without is missing.
    """
    state = state_of(row)
    register_id = text(row, "register_id")
    lines = listed(row, "line_items") or listed(row, "register_sale_products")
    made = [_line(line, places, of_voided=state == VOIDED) for line in lines]
    sold = [line for line in made if line is not None]
    if not sold:
        return None
    total, tax = _sums(row)
    sale = order_pb2.Sale(
        sale_id=needed(row, "id"),
        outlet_id=text(row, "outlet_id") or places.outlet_of.get(register_id, ""),
        register_id=register_id,
        customer_id="",  # the customer's id there is no customer id here
        state=state,
        lines=sold,
        payments=_payments(row, places),
        total=money(total + tax, places.currency),
        tax=money(tax, places.currency),
        note=printable(text(row, "note"))[:NOTE_LENGTH_MAX],
        sale_time=_time(text(row, "sale_date")),
        return_for=text(row, "return_for"),
        charges=_charges(row, places),
    )
    return MirroredSale(sale, whole(row.get("version")))


def state_of(row: Record) -> order_pb2.SaleState.ValueType:
    """How far a sale has got, in the platform's new words (state and attributes) or the old ones
    (status). A status that is not known is open until it says that it is closed.
    """
    state = text(row, "state")
    if not state:
        status = text(row, "status")
        closed = COMPLETED if status.endswith("_CLOSED") else OPEN
        return STATUSES.get(status, closed)
    told = row.get("attributes") or row.get("register_sale_attributes")
    attributes = told if isinstance(told, list) else []
    pending = next((_PENDING[str(one)] for one in attributes if str(one) in _PENDING), OPEN)
    return _STATES.get(state, pending)


def _sums(row: Record) -> tuple[Decimal, Decimal]:
    """Total without tax, and tax. The 0.9 shape of old has them in `totals`, as text."""
    totals = nested(row, "totals")
    merged = {**totals, **{k: v for k, v in row.items() if k in ("total_price", "total_tax")}}
    return needed_decimal(merged, "total_price"), needed_decimal(merged, "total_tax")


def _line(line: Record, places: Places, *, of_voided: bool) -> order_pb2.SaleLine | None:
    """A line; None for one that was taken out of its sale. The platform's price has the discount
    off already.
    """
    quantity = needed_decimal(line, "quantity")
    taken_out = text(line, "status") == "VOIDED" and not of_voided
    if taken_out or quantity_text(quantity) == "0":
        return None
    price = needed_decimal(line, "unit_price", "price")
    off = decimal(line.get("unit_discount", line.get("discount"))) or Decimal(0)
    tax = decimal(line.get("tax_total"))
    if tax is None:
        tax = (decimal(line.get("tax")) or Decimal(0)) * quantity
    found = order_pb2.SaleLine(
        item_id=needed(line, "product_id"),
        quantity=quantity_text(quantity),
        unit_price=money(price + off, places.currency),
        tax=money(tax, places.currency),
        name=printable(text(line, "name"))[:_LINE_NAME_LENGTH_MAX],
    )
    if off:
        found.discount.CopyFrom(money(off * quantity, places.currency))
    return found


def _charges(row: Record, places: Places) -> Iterator[order_pb2.Charge]:
    """Tips, surcharges and fees."""
    for adjustment in listed(row, "adjustments"):
        kind = _CHARGES.get(text(adjustment, "type"))
        value = decimal(adjustment.get("value")) or Decimal(0)
        if kind is not None and value > 0:
            name = printable(text(adjustment, "name"))[:NAME_LENGTH_MAX]
            yield order_pb2.Charge(kind=kind, name=name, amount=money(value, places.currency))


def _payments(row: Record, places: Places) -> list[order_pb2.SalePayment]:
    payments = listed(row, "payments") or listed(row, "register_sale_payments")
    return [
        order_pb2.SalePayment(
            method=_method(payment),
            amount=money(needed_decimal(payment, "amount"), places.currency),
            pay_time=_time(text(payment, "payment_date")),
        )
        for payment in payments
    ]


def _method(payment: Record) -> str:
    name = printable(text(payment, "name") or text(payment, "payment_type_id")).strip()
    return name[:NAME_LENGTH_MAX] or "unnamed"


def _time(value: str) -> Timestamp | None:
    """A time as 2.0 or 0.9 writes it, always UTC; None where it says none."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    found = Timestamp()
    found.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return found
