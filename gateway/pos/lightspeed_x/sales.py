"""Sales of X-Series: read into the sales history, and written for online orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pos import MirroredSale, SaleToPost
from gateway.records import (
    BadRecordError,
    Record,
    amount,
    decimal,
    listed,
    money,
    needed,
    needed_decimal,
    nested,
    number,
    quantity_text,
    text,
    whole,
)
from tillbridge.order.v1 import order_pb2

SOURCE = "ECOMMERCE"
NOTE_LENGTH_MAX = 500

_DONE = frozenset(
    {
        *("CLOSED", "ONACCOUNT_CLOSED", "LAYBY_CLOSED", "DISPATCHED_CLOSED"),
        *("PICKED_UP_CLOSED", "SERVICE_CLOSED"),
    }
)
_NO_SALE = {"SAVED": "parked", "VOIDED": "voided"}
_WAITING = {
    order_pb2.FULFILLMENT_KIND_PICKUP: "AWAITING_PICKUP",
    order_pb2.FULFILLMENT_KIND_DELIVERY: "AWAITING_DISPATCH",
    order_pb2.FULFILLMENT_KIND_SHIPPING: "AWAITING_DISPATCH",
    order_pb2.FULFILLMENT_KIND_UNSPECIFIED: "AWAITING_DISPATCH",
}
_CENT = Decimal("0.01")
_PER_UNIT = Decimal("0.00001")


@dataclass(frozen=True, slots=True)
class Places:
    """What a sale's row leaves to be looked up: its register's outlet, and the currency."""

    outlet_of: Mapping[str, str]
    currency: str


@dataclass(frozen=True, slots=True)
class PaymentType:
    """A way to pay that the account knows; `type_id` is the platform's number for its kind."""

    payment_type_id: str
    name: str
    type_id: str


def sale_of(row: Record, places: Places) -> MirroredSale | None:
    """A sale, in its 2.0 or 0.9 shape; None for what is no sale (yet, or any more): a parked or
    voided one, or one without lines.

    Raises:
        BadRecordError: a field that a sale cannot do without is missing.
    """
    status = text(row, "status")
    state = text(row, "state") or _NO_SALE.get(status, "")
    register_id = text(row, "register_id")
    lines = listed(row, "line_items") or listed(row, "register_sale_products")
    sold = [line for line in (_line(line, places) for line in lines) if line is not None]
    if state in _NO_SALE.values() or not sold:
        return None
    total, tax = _sums(row)
    sale = order_pb2.Sale(
        sale_id=needed(row, "id"),
        outlet_id=text(row, "outlet_id") or places.outlet_of.get(register_id, ""),
        register_id=register_id,
        customer_id="",  # the customer's id there is no customer id here
        state=_state(status, state),
        lines=sold,
        payments=_payments(row, places),
        total=money(total + tax, places.currency),
        tax=money(tax, places.currency),
        note=text(row, "note")[:NOTE_LENGTH_MAX],
        sale_time=_time(text(row, "sale_date")),
    )
    return MirroredSale(sale, whole(row.get("version")))


def _state(status: str, state: str) -> order_pb2.SaleState.ValueType:
    done = state == "closed" or (not state and status in _DONE)
    return order_pb2.SALE_STATE_COMPLETED if done else order_pb2.SALE_STATE_OPEN


def _sums(row: Record) -> tuple[Decimal, Decimal]:
    """Total without tax, and tax. The 0.9 shape of old has them in `totals`, as text."""
    totals = nested(row, "totals")
    merged = {**totals, **{k: v for k, v in row.items() if k in ("total_price", "total_tax")}}
    return needed_decimal(merged, "total_price"), needed_decimal(merged, "total_tax")


def _line(line: Record, places: Places) -> order_pb2.SaleLine | None:
    quantity = needed_decimal(line, "quantity")
    if text(line, "status") == "VOIDED" or quantity_text(quantity) == "0":
        return None
    price = needed_decimal(line, "unit_price", "price")
    tax = decimal(line.get("tax_total"))
    if tax is None:
        tax = (decimal(line.get("tax")) or Decimal(0)) * quantity
    return order_pb2.SaleLine(
        item_id=needed(line, "product_id"),
        quantity=quantity_text(quantity),
        unit_price=money(price, places.currency),
        tax=money(tax, places.currency),
        name=text(line, "name"),
    )


def _payments(row: Record, places: Places) -> list[order_pb2.SalePayment]:
    payments = listed(row, "payments") or listed(row, "register_sale_payments")
    return [
        order_pb2.SalePayment(
            method=text(payment, "name") or text(payment, "payment_type_id") or "unnamed",
            amount=money(needed_decimal(payment, "amount"), places.currency),
            pay_time=_time(text(payment, "payment_date")),
        )
        for payment in payments
    ]


def _time(value: str) -> Timestamp | None:
    """A time as 2.0 or 0.9 writes it, always UTC; None where it says none."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    found = Timestamp()
    found.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return found


def status_of(posting: SaleToPost, known: Record | None) -> str:
    """The status to write. What the till has closed since is not opened again by a payment.

    Raises:
        BadRecordError: the till has voided the sale, which is final.
    """
    known_status = text(known or {}, "status")
    if known_status == "VOIDED":
        raise BadRecordError("the sale was voided in the point of sale, which is final")
    if posting.sale.state == order_pb2.SALE_STATE_COMPLETED:
        return known_status if known_status in _DONE else "CLOSED"
    return known_status if known_status in _DONE else _WAITING[posting.kind]


def register_sale(
    posting: SaleToPost,
    *,
    status: str,
    register_id: str,
    customer_id: str,
    payment_types: Sequence[PaymentType],
) -> Record:
    """The 0.9 body that writes a sale whole. Ids of lines and payments follow from the sale's, so
    that writing it again changes nothing.

    Raises:
        BadRecordError: there are payments and the account has no payment type.
    """
    sale = posting.sale
    lines = [_posted_line(sale, index) for index in range(len(sale.lines))]
    body: Record = {
        "id": sale.sale_id,
        "register_id": register_id,
        "status": status,
        "sale_date": _iso(sale.sale_time),
        "source": SOURCE,
        "source_id": posting.order_id,
        "note": note_of(posting),
        "ecom_custom_charges": charges_of(posting, lines),
        "register_sale_products": lines,
        "register_sale_payments": [
            {
                "id": _id(sale.sale_id, f"payment/{index}"),
                "retailer_payment_type_id": payment_type_of(payment.method, payment_types),
                "amount": number(amount(payment.amount)),
                "payment_date": _iso(
                    payment.pay_time if payment.HasField("pay_time") else sale.sale_time
                ),
            }
            for index, payment in enumerate(sale.payments)
        ],
    }
    if customer_id:
        body["customer_id"] = customer_id
    return body


def _posted_line(sale: order_pb2.Sale, index: int) -> Record:
    """A line with its price without tax and its tax, both per unit, as the platform has it."""
    line = sale.lines[index]
    quantity = Decimal(line.quantity)
    tax = (amount(line.tax) / quantity).quantize(_PER_UNIT)
    price = amount(line.unit_price) - (tax if sale.prices_include_tax else 0)
    return {
        "id": _id(sale.sale_id, f"line/{index}"),
        "product_id": line.item_id,
        "quantity": number(quantity),
        "price": number(price),
        "tax": number(tax),
        "price_set": True,
        "sequence": index,
        "status": "CONFIRMED",
    }


def charges_of(posting: SaleToPost, lines: Sequence[Record]) -> list[Record]:
    """What the sale is worth beside its lines: shipping, and one row for the rest."""
    sale = posting.sale
    goods_tax = sum((amount(line.tax) for line in sale.lines), Decimal(0))
    shipping = amount(sale.shipping_price)
    shipping_tax = max(Decimal(0), amount(sale.tax) - goods_tax) if shipping else Decimal(0)
    if sale.prices_include_tax:
        shipping -= shipping_tax
    worth = sum((_worth(line) for line in lines), Decimal(0))
    rest = (amount(sale.total) - worth - shipping - shipping_tax).quantize(_CENT)
    charges: list[Record] = []
    if shipping:
        charges.append(_charge("Shipping", "shipping", shipping, shipping_tax))
    if rest:
        name = "Discount" if rest < 0 else "Surcharge"
        charges.append(_charge(name, name.lower(), rest, Decimal(0)))
    return charges


def _worth(line: Record) -> Decimal:
    per_unit = Decimal(str(line["price"])) + Decimal(str(line["tax"]))
    return per_unit * Decimal(str(line["quantity"]))


def _charge(name: str, source_id: str, total: Decimal, tax: Decimal) -> Record:
    return {
        "name": name,
        "source_id": source_id,
        "total": number(total),
        "total_tax": number(tax),
        "total_incl": number(total + tax),
        "tax_components": [],
    }


def note_of(posting: SaleToPost) -> str:
    """What the sales history says of the sale: its order, and who took the money (ORD-06)."""
    methods = list(dict.fromkeys(payment.method for payment in posting.sale.payments))
    parts = [posting.sale.note or f"Online order {posting.order_id}"]
    if methods:
        parts.append(f"paid by {', '.join(methods)}")
    return "; ".join(parts)[:NOTE_LENGTH_MAX]


def payment_type_of(method: str, types: Sequence[PaymentType]) -> str:
    """The payment type of that name; else the first that is for online sales; else the last one,
    which is never the cash drawer as long as there is another.

    Raises:
        BadRecordError: the account has no payment type at all.
    """
    wanted = method.strip().casefold()
    for candidate in types:
        if candidate.name.strip().casefold() == wanted:
            return candidate.payment_type_id
    for candidate in types:
        if any(word in candidate.name.casefold() for word in ("ecom", "ecwid", "online", "web")):
            return candidate.payment_type_id
    if not types:
        raise BadRecordError("the account has no payment type to book an online payment under")
    return types[-1].payment_type_id


def register_for(posting: SaleToPost, outlet_of: Mapping[str, str]) -> str:
    """The register to post to: at the outlet that fills the order, since that is where the
    platform takes the stock.
    """
    register_id, outlet_id = posting.register_id, posting.sale.outlet_id
    if not outlet_id or outlet_of.get(register_id) == outlet_id:
        return register_id
    there = sorted(register for register, outlet in outlet_of.items() if outlet == outlet_id)
    return there[0] if there else register_id


def _iso(moment: Timestamp) -> str:
    return datetime.fromtimestamp(moment.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _id(sale_id: str, part: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"tillbridge:sale/{sale_id}/{part}"))
