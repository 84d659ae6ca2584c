"""What an order of Ecwid costs: discounts, charges, shipping, payments and refunds.

How the platform writes it:
    discount: all that is off but the coupon; `volumeDiscount` and its like are parts of it. What
        items tell of discounts is how these are spread over them, and not counted again.
    total: what is left to pay after a gift card; `totalBeforeGiftCardRedemption` is all.
    ...WithoutTax: beside an amount, the same without its tax. Where both are the same although
        there is tax on it, the tax comes on top of it, or nobody worked it out.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.records import (
    Record,
    amount,
    decimal,
    listed,
    money,
    needed_decimal,
    nested,
    printable,
    text,
)
from tillbridge.order.v1 import order_pb2

NAME_LENGTH_MAX = 200
REASON_LENGTH_MAX = 1000
TOLD_MAX = 100
GIFT_CARD = "Gift card"

_ZERO = Decimal(0)
_TIP = re.compile(r"\b(tips?|gratuity)\b", re.IGNORECASE)
_KINDS = (
    ("volumeDiscount", "ON_TOTAL", order_pb2.DISCOUNT_KIND_VOLUME),
    ("membershipBasedDiscount", "ON_MEMBERSHIP", order_pb2.DISCOUNT_KIND_CUSTOMER_GROUP),
    ("customerGroupDiscount", "ON_MEMBERSHIP", order_pb2.DISCOUNT_KIND_CUSTOMER_GROUP),
    (
        "totalAndMembershipBasedDiscount",
        "ON_TOTAL_AND_MEMBERSHIP",
        order_pb2.DISCOUNT_KIND_CUSTOMER_GROUP,
    ),
)
"""Parts of `discount`, and by which base `discountInfo` describes them."""


@dataclass(frozen=True, slots=True)
class Charged:
    """An amount with its tax, and the tax in it."""

    gross: Decimal
    tax: Decimal


def add_money(document: order_pb2.OrderDocument, order: Record, currency: str) -> None:
    """Adds to a document, whose lines and status are there, all that is about money; what is
    nothing stays absent.

    Raises:
        BadRecordError: there is no total.
    """
    gift_card = _positive(order, "giftCardRedemption")
    total = needed_decimal(order, "total")
    if gift_card:
        total = decimal(order.get("totalBeforeGiftCardRedemption")) or total + gift_card
    document.total.CopyFrom(money(total, currency))
    document.discounts.extend(_discounts(order, currency))
    off = sum((amount(one.amount) for one in document.discounts), _ZERO)
    document.charges.extend(_charges(order, currency, document.prices_include_tax))
    tax = decimal(order.get("tax")) or _ZERO
    shipping = _shipping(document, order, tax, off)
    shipping_tax = _sum_of_taxes(order, "taxesOnShipping")
    for value, target in (
        (off, document.discount),
        (tax, document.tax),
        (shipping, document.shipping_price),
        (shipping_tax if shipping else _ZERO, document.shipping_tax),
    ):
        if value:
            target.CopyFrom(money(value, currency))
    document.payments.extend(_payments(document, gift_card, total, currency))
    document.refunds.extend(_refunds(order, currency))


def _discounts(order: Record, currency: str) -> list[order_pb2.Discount]:
    """What makes up all that is off the whole order. Parts that come to more than their sum is told
    to be are left untold: the sum is what was taken off.
    """
    names = {
        text(info, "base"): printable(text(info, "description"))[:NAME_LENGTH_MAX]
        for info in listed(order, "discountInfo")
    }
    parts = [(kind, _positive(order, name), names.get(base, "")) for name, base, kind in _KINDS]
    custom = order.get("customDiscount")
    for value in custom if isinstance(custom, list) else ():
        worth = decimal(value) or _ZERO
        parts.append((order_pb2.DISCOUNT_KIND_ORDER, worth, names.get("CUSTOM", "")))
    parts = [part for part in parts if part[1] > 0][: TOLD_MAX - 2]
    told = decimal(order.get("discount"))
    rest = _ZERO if told is None else told - sum(worth for _, worth, _ in parts)
    if rest < 0:
        parts, rest = [], told or _ZERO
    if rest > 0:
        parts.append((order_pb2.DISCOUNT_KIND_ORDER, rest, ""))
    found = [
        order_pb2.Discount(kind=kind, name=name, amount=money(worth, currency))
        for kind, worth, name in parts
    ]
    if coupon := _positive(order, "couponDiscount"):
        card = nested(order, "discountCoupon")
        found.append(
            order_pb2.Discount(
                kind=order_pb2.DISCOUNT_KIND_COUPON,
                name=printable(text(card, "name"))[:NAME_LENGTH_MAX],
                code=printable(text(card, "code"))[:NAME_LENGTH_MAX],
                amount=money(coupon, currency),
            )
        )
    return found + _negative_surcharges(order, currency)


def _negative_surcharges(order: Record, currency: str) -> list[order_pb2.Discount]:
    """Surcharges below zero are discounts by another name."""
    return [
        order_pb2.Discount(
            kind=order_pb2.DISCOUNT_KIND_ORDER,
            name=_name(surcharge),
            amount=money(-worth, currency),
        )
        for surcharge in listed(order, "customSurcharges")
        if (worth := _worth(surcharge)) < 0
    ]


def _charges(order: Record, currency: str, included: bool) -> Iterator[order_pb2.Charge]:
    """Tips, surcharges and the handling fee."""
    for surcharge in listed(order, "customSurcharges")[: TOLD_MAX - 1]:
        charged = _charged(surcharge, _worth(surcharge), "totalWithoutTax", included)
        tip = _TIP.search(text(surcharge, "id")) or _TIP.search(text(surcharge, "description"))
        kind = order_pb2.CHARGE_KIND_TIP if tip else order_pb2.CHARGE_KIND_SURCHARGE
        yield from _charge(kind, _name(surcharge), charged, currency)
    fee = nested(order, "handlingFee")
    charged = _charged(fee, decimal(fee.get("value")) or _ZERO, "valueWithoutTax", included)
    yield from _charge(order_pb2.CHARGE_KIND_FEE, _name(fee), charged, currency)


def _charge(
    kind: order_pb2.ChargeKind.ValueType, name: str, charged: Charged, currency: str
) -> Iterator[order_pb2.Charge]:
    if charged.gross > 0:
        found = order_pb2.Charge(kind=kind, name=name, amount=money(charged.gross, currency))
        if charged.tax:
            found.tax.CopyFrom(money(charged.tax, currency))
        yield found


def _worth(surcharge: Record) -> Decimal:
    """What a surcharge comes to; `value` may be a percentage."""
    total = decimal(surcharge.get("total"))
    if total is None and text(surcharge, "type") != "PERCENT":
        total = decimal(surcharge.get("value"))
    return total or _ZERO


def _charged(record: Record, worth: Decimal, without: str, included: bool) -> Charged:
    """An amount with its tax, from an amount that may or may not have it in it."""
    net = decimal(record.get(without))
    tax = _sum_of_taxes(record, "taxes")
    if net is not None and net > 0 and net != worth:
        return Charged(worth, worth - net)
    told_in = any(one.get("includeInPrice") is True for one in listed(record, "taxes"))
    return Charged(worth if included or told_in else worth + tax, tax)


def _shipping(
    document: order_pb2.OrderDocument, order: Record, tax: Decimal, off: Decimal
) -> Decimal:
    """What shipping costs, with its tax only where all prices have theirs.

    Where they do not, the rate may have its tax in it or not, and the platform does not say
    which: it is without where that is told apart, else as the total tells.
    """
    option = nested(order, "shippingOption")
    rate = _positive(option, "shippingRate")
    net = _positive(option, "shippingRateWithoutTax")
    on_it = _sum_of_taxes(order, "taxesOnShipping")
    if document.prices_include_tax or not rate:
        return rate
    if 0 < net < rate:
        return net
    charged = sum((amount(one.amount) - amount(one.tax) for one in document.charges), _ZERO)
    goods = sum((amount(one.unit_price) * Decimal(one.quantity) for one in document.lines), _ZERO)
    with_rate = goods + rate + charged + tax - off
    total = amount(document.total)
    has_it = abs(total - (with_rate - on_it)) < abs(total - with_rate)
    return rate - on_it if has_it else rate


def _payments(
    document: order_pb2.OrderDocument, gift_card: Decimal, total: Decimal, currency: str
) -> Iterator[order_pb2.OrderPayment]:
    """A gift card and what else was paid; nothing where there was no gift card, since the status
    of the order then says it all.
    """
    if not gift_card:
        return
    yield order_pb2.OrderPayment(method=GIFT_CARD, amount=money(min(gift_card, total), currency))
    unpaid = (
        order_pb2.PAYMENT_STATUS_AWAITING,
        order_pb2.PAYMENT_STATUS_OTHER,
        order_pb2.PAYMENT_STATUS_CANCELED,
    )
    rest = total - gift_card
    if rest > 0 and document.payment_status not in unpaid:
        yield order_pb2.OrderPayment(
            method=document.payment_method,
            processor=document.payment_processor,
            amount=money(rest, currency),
        )


def _refunds(order: Record, currency: str) -> list[order_pb2.OrderRefund]:
    """What was given back. The platform gives no ids: each is known by its contents and, of several
    that are alike, its number. What `refundedAmount` tells beyond them is one more.
    """
    seen: dict[str, int] = {}
    found: list[order_pb2.OrderRefund] = []
    for refund in listed(order, "refunds")[: TOLD_MAX - 1]:
        worth = _positive(refund, "amount")
        if not worth:
            continue
        names = ("date", "source", "reason")
        about = "\0".join([f"{worth.normalize():f}", *(text(refund, name) for name in names)])
        seen[about] = seen.get(about, 0) + 1
        digest = hashlib.blake2b(f"{about}\0{seen[about]}".encode(), digest_size=9)
        told = order_pb2.OrderRefund(
            refund_id=f"store-{digest.hexdigest()}",
            amount=money(worth, currency),
            reason=printable(text(refund, "reason"))[:REASON_LENGTH_MAX],
        )
        if (moment := time_of(text(refund, "date"))) is not None:
            told.refund_time.CopyFrom(moment)
        found.append(told)
    known = sum((amount(one.amount) for one in found), _ZERO)
    rest = _positive(order, "refundedAmount") - known
    if rest > 0:
        whole = f"{(known + rest).normalize():f}"
        found.append(
            order_pb2.OrderRefund(refund_id=f"store-up-to-{whole}", amount=money(rest, currency))
        )
    return found


def time_of(value: str) -> Timestamp | None:
    """A time such as `2026-07-04 07:22:09 +0000`; None where it is none."""
    try:
        moment = datetime.strptime(value, "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    found = Timestamp()
    found.FromDatetime(moment)
    return found


def _sum_of_taxes(record: Record, name: str) -> Decimal:
    taxes: Sequence[Record] = listed(record, name)
    return sum((decimal(one.get("total")) or _ZERO for one in taxes), _ZERO)


def _positive(record: Record, name: str) -> Decimal:
    """An amount above zero; anything else is nothing."""
    return max(decimal(record.get(name)) or _ZERO, _ZERO)


def _name(record: Record) -> str:
    shown = text(record, "description") or text(record, "name") or text(record, "id")
    return printable(shown)[:NAME_LENGTH_MAX]
