"""Online orders' sales as X-Series takes them, whole, in the 0.9 shape; `dated` writes those that
several outlets give, and `returns` what goes back to several.

What the platform makes of a sale: its lines at what is charged for them, and its charges; they are
written so that together they come to the sale's total, to the cent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pos import SaleToPost
from gateway.pos.lightspeed_x.sales import NOTE_LENGTH_MAX, STATUSES
from gateway.records import BadRecordError, Record, amount, number
from tillbridge.order.v1 import order_pb2

SOURCE = "ECOMMERCE"

_DONE = frozenset(
    status for status, state in STATUSES.items() if state == order_pb2.SALE_STATE_COMPLETED
)
_WAITING = {
    order_pb2.FULFILLMENT_KIND_PICKUP: "AWAITING_PICKUP",
    order_pb2.FULFILLMENT_KIND_DELIVERY: "AWAITING_DISPATCH",
    order_pb2.FULFILLMENT_KIND_SHIPPING: "AWAITING_DISPATCH",
    order_pb2.FULFILLMENT_KIND_UNSPECIFIED: "AWAITING_DISPATCH",
}
_WAITED = {"AWAITING_PICKUP": "PICKED_UP_CLOSED", "AWAITING_DISPATCH": "DISPATCHED_CLOSED"}
_CHARGE_NAMES = {
    order_pb2.CHARGE_KIND_TIP: "Tip",
    order_pb2.CHARGE_KIND_SURCHARGE: "Surcharge",
    order_pb2.CHARGE_KIND_FEE: "Fee",
    order_pb2.CHARGE_KIND_REFUND: "Refund",
}
_DISCOUNT_NAMES = {
    order_pb2.DISCOUNT_KIND_COUPON: "Coupon",
    order_pb2.DISCOUNT_KIND_VOLUME: "Volume discount",
    order_pb2.DISCOUNT_KIND_CUSTOMER_GROUP: "Customer discount",
}
_FINE = Decimal("0.001")
"""The smallest part of any currency that is paid; less than half of it is nothing."""

_PER_UNIT = Decimal("0.00001")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class PaymentType:
    """A way to pay that the account knows; `type_id` is the platform's number for its kind."""

    payment_type_id: str
    name: str
    type_id: str


def status_of(posting: SaleToPost, known: Record | None) -> str:
    """The status to write. What the till has closed since is not opened again by a payment.

    Raises:
        BadRecordError: the till has voided the sale, which is final.
    """
    known_status = str((known or {}).get("status") or "")
    state = posting.sale.state
    if state == order_pb2.SALE_STATE_VOIDED:
        return "VOIDED"
    if known_status == "VOIDED":
        raise BadRecordError("the sale was voided in the point of sale, which is final")
    if known_status in _DONE:
        return known_status
    if state == order_pb2.SALE_STATE_COMPLETED:
        return _WAITED.get(known_status, "CLOSED")
    return _WAITING[posting.kind]


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
    lines = [
        _posted_line(sale, index) for index, line in enumerate(sale.lines) if moves_stock(line)
    ]
    body: Record = {
        "id": sale.sale_id,
        "register_id": register_id,
        "status": status,
        "sale_date": _iso(sale.sale_time),
        "source": SOURCE,
        "source_id": posting.order_id,
        "note": note_of(posting),
        "ecom_custom_charges": charges_of(sale, lines),
        "register_sale_products": lines,
        "register_sale_payments": [
            {
                "id": derived_id(sale.sale_id, f"payment/{index}"),
                "retailer_payment_type_id": payment_type_of(payment.method, payment_types),
                "amount": number(amount(payment.amount)),
                "payment_date": _iso(
                    payment.pay_time if payment.HasField("pay_time") else sale.sale_time
                ),
            }
            for index, payment in enumerate(sale.payments)
        ],
    }
    if sale.return_for:
        body["return_for"] = sale.return_for
    if customer_id:
        body["customer_id"] = customer_id
    return body


def moves_stock(line: order_pb2.SaleLine) -> bool:
    """Whether a line is written as goods. The platform puts whatever is returned back into stock,
    so that what stays out of it is written as a charge.
    """
    return not line.not_restocked


def _posted_line(sale: order_pb2.Sale, index: int) -> Record:
    """A line with its price without tax and its tax, both per unit, as the platform has it."""
    line = sale.lines[index]
    quantity = Decimal(line.quantity)
    off = (amount(line.discount) / quantity).quantize(_PER_UNIT)
    tax = (amount(line.tax) / quantity).quantize(_PER_UNIT)
    price = amount(line.unit_price) - off - (tax if sale.prices_include_tax else 0)
    found: Record = {
        "id": derived_id(sale.sale_id, f"line/{index}"),
        "product_id": line.item_id,
        "quantity": number(quantity),
        "price": number(price),
        "tax": number(tax),
        "price_set": True,
        "sequence": index,
        "status": "CONFIRMED",
    }
    if off:
        found["discount"] = number(off)
    return found


@dataclass(frozen=True, slots=True)
class _Charge:
    """A row beside the lines: its amount without tax, and its tax."""

    name: str
    source_id: str
    net: Decimal
    tax: Decimal = _ZERO


def charges_of(sale: order_pb2.Sale, lines: Sequence[Record]) -> list[Record]:
    """What the sale is worth beside its lines, row by row: shipping, tips, surcharges and fees,
    discounts by name, goods that stay out of stock, tax that nothing else carries, and at last the
    cents that are left until all comes to the total. A total that rounding does not explain has a
    row of its own (ORD-01).
    """
    rows = [*_shipping(sale), *_told_charges(sale), *_discounts(sale), *_kept_out(sale)]
    taxed = sum((_tax_of(line) for line in lines), _ZERO) + sum((row.tax for row in rows), _ZERO)
    untold = amount(sale.tax) - taxed
    if 2 * abs(untold) >= Decimal("0.01"):
        # Where tax is in the prices it is only told apart here.
        rows.append(_Charge("Tax", "tax", -untold if sale.prices_include_tax else _ZERO, untold))
    if difference := amount(sale.difference):
        rows.append(_Charge("Difference to the store's total", "difference", difference))
    worth = sum((_worth(line) for line in lines), _ZERO)
    worth += sum((row.net + row.tax for row in rows), _ZERO)
    rest = (amount(sale.total) - worth).quantize(_FINE)
    if rest:
        rows.append(_Charge("Rounding", "rounding", rest))
    return [_charge_row(row) for row in rows]


def _shipping(sale: order_pb2.Sale) -> Iterator[_Charge]:
    price = amount(sale.shipping_price)
    if not price:
        return
    tax = amount(sale.shipping_tax)
    if not sale.HasField("shipping_tax"):
        others = sum((amount(line.tax) for line in sale.lines), _ZERO)
        others += sum((amount(charge.tax) for charge in sale.charges), _ZERO)
        tax = max(_ZERO, amount(sale.tax) - others) if price > 0 else _ZERO
    yield _Charge("Shipping", "shipping", price - (tax if sale.prices_include_tax else 0), tax)


def _told_charges(sale: order_pb2.Sale) -> Iterator[_Charge]:
    for index, charge in enumerate(sale.charges):
        if charge.kind == order_pb2.CHARGE_KIND_ROUNDING:
            continue  # the last row takes it up
        kind = _CHARGE_NAMES[charge.kind]
        tax = amount(charge.tax)
        name = charge.name or kind
        yield _Charge(name, f"{kind.lower()}-{index}", amount(charge.amount) - tax, tax)


def _discounts(sale: order_pb2.Sale) -> Iterator[_Charge]:
    """What is off the whole, row by row where that is told."""
    off = amount(sale.discount)
    told = sum((amount(discount.amount) for discount in sale.discounts), _ZERO)
    if told != off:
        yield from [_Charge("Discount", "discount", -off)] if off else []
        return
    for index, discount in enumerate(sale.discounts):
        kind = _DISCOUNT_NAMES.get(discount.kind, "Discount")
        name = ": ".join(filter(None, (kind, discount.name or discount.code)))
        yield _Charge(name, f"discount-{index}", -amount(discount.amount))


def _kept_out(sale: order_pb2.Sale) -> Iterator[_Charge]:
    """Goods that came back and stay out of stock."""
    for index, line in enumerate(sale.lines):
        if not moves_stock(line):
            worth = amount(line.unit_price) * Decimal(line.quantity) - amount(line.discount)
            tax = amount(line.tax)
            net = worth - (tax if sale.prices_include_tax else 0)
            yield _Charge(f"Not restocked: {line.name}".strip(), f"kept-out-{index}", net, tax)


def _tax_of(line: Record) -> Decimal:
    return Decimal(str(line["tax"])) * Decimal(str(line["quantity"]))


def _worth(line: Record) -> Decimal:
    return Decimal(str(line["price"])) * Decimal(str(line["quantity"])) + _tax_of(line)


def _charge_row(row: _Charge) -> Record:
    return {
        "name": row.name,
        "source_id": row.source_id,
        "total": number(row.net),
        "total_tax": number(row.tax),
        "total_incl": number(row.net + row.tax),
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


def derived_id(sale_id: str, part: str) -> str:
    """The id of a part of what a sale is there, which the same names always give again."""
    return str(uuid5(NAMESPACE_URL, f"tillbridge:sale/{sale_id}/{part}"))
