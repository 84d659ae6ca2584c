"""What an order comes to, what is paid of it, and which of two documents holds."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.order.rules import sale as sales
from services.order.rules.document import (
    NANOS,
    Address,
    ChargeKind,
    Discount,
    DiscountKind,
    Document,
    FulfillmentStatus,
    Money,
    OrderPayment,
    OrderRefund,
    PaymentStatus,
    newer,
)
from services.order.rules.money import balance, cent, line_worth, nanos, shares, worth
from services.order.rules.order import (
    Allocation,
    Buyer,
    Hold,
    Order,
    OrderKey,
    Resolved,
)
from services.order.store.orders import _DOCUMENT
from services.order.wire.documents import document as document_of
from services.order.wire.documents import document_message
from services.order.wire.sales import sale_message
from tests.order.prices import NOW, documents, line, money, order_of, posted, tip
from tillbridge.order.v1 import order_pb2 as pb

AWAITING, PAID, OTHER = PaymentStatus.AWAITING, PaymentStatus.PAID, PaymentStatus.OTHER
CANCELED, REFUNDED = PaymentStatus.CANCELED, PaymentStatus.REFUNDED
PART_REFUNDED = PaymentStatus.PARTIALLY_REFUNDED
TWO = [line("25.00", "2")]


@pytest.mark.parametrize(
    ("document", "rounding", "difference"),
    [
        (order_of(TWO, "50.00"), "", ""),
        (order_of(TWO, "57.50", tax="7.50"), "", ""),
        (order_of(TWO, "50.00", included=True, tax="6.52"), "", ""),
        (order_of(TWO, "62.50", tax="7.50", shipping_price="5.00"), "", ""),
        (order_of(TWO, "63.25", tax="8.25", shipping_price="5", shipping_tax="0.75"), "", ""),
        (order_of(TWO, "45.00", discount="5.00"), "", ""),
        (order_of([line("25", "2", "5")], "45"), "", ""),
        (order_of([line("25", "2", "5")], "40", discount="5"), "", ""),
        (order_of(TWO, "55", charges=(tip("5"),)), "", ""),
        (order_of(TWO, "58.50", tax="8", charges=(tip("1", "0.50"),)), "", ""),
        (order_of(TWO, "51", included=True, tax="6.60", charges=(tip("1", "0.13"),)), "", ""),
        (order_of([line("0.333", "3")], "1.00"), "0.001", ""),
        (order_of([line("9.995")], "10.00"), "0.005", ""),
        (order_of([line("9.99")], "10.00"), "", "0.01"),
        (order_of([line("9.995"), line("9.995", "2")], "29.99"), "0.005", ""),
        (order_of([line("3.33"), line("3.34")], "6.66"), "-0.01", ""),
        (order_of([line("3.33"), line("3.34")], "6.65"), "", "-0.02"),
        (order_of([line("1.99", "0.333")], "0.66"), "-0.00267", ""),
        (order_of(TWO, "0", discount="50.00"), "", ""),
        (order_of(TWO, "49.00"), "", "-1"),
        (order_of(TWO, "150.00"), "", "100"),
        (order_of([line("1500", currency="JPY")], "1650", tax="150", currency="JPY"), "", ""),
        (order_of([line("999.5", currency="JPY")], "1000", currency="JPY"), "0.5", ""),
        (order_of([line("999", currency="JPY")], "1000", currency="JPY"), "", "1"),
        (order_of([line("999", "3", "1", "JPY")], "2997", currency="JPY"), "1", ""),
        (order_of([line("1.2345", currency="KWD")], "1.235", currency="KWD"), "0.0005", ""),
        (order_of([line("1.234", currency="KWD")], "1.235", currency="KWD"), "", "0.001"),
    ],
)
def test_the_parts_come_to_the_store_s_total(
    document: Document, rounding: str, difference: str
) -> None:
    currency = document.total.currency_code
    balanced = balance(document)
    extra = [one.amount for one in balanced.charges if one.kind is ChargeKind.ROUNDING]
    assert extra == ([money(rounding, currency)] if rounding else [])
    assert balanced.difference == (money(difference, currency) if difference else None)


@pytest.mark.parametrize(
    ("currency", "expected"),
    [("EUR", "0.01"), ("JPY", "1"), ("KWD", "0.001"), ("CLF", "0.0001"), ("XYZ", "0.01")],
)
def test_a_currency_has_its_own_cent(currency: str, expected: str) -> None:
    assert Decimal(cent(currency)) / NANOS == Decimal(expected)


@pytest.mark.parametrize(
    ("amount", "weights", "expected"),
    [
        ("10.00", [1, 1], ["5", "5"]),
        ("0.01", [1, 1], ["0", "0.01"]),
        ("10.00", [1, 1, 1], ["3.33", "3.34", "3.33"]),
        ("0.05", [1500, 500], ["0.04", "0.01"]),
        ("7", [1], ["7"]),
        ("0.001", [1, 1], ["0", "0.001"]),
        ("-1.00", [1, 2], ["-0.33", "-0.67"]),
        ("5", [0, 0], ["0", "5"]),
    ],
)
def test_shares_add_up_to_the_cent(amount: str, weights: list[int], expected: list[str]) -> None:
    found = shares(money(amount), weights)
    assert [money(one) for one in expected] == found
    assert sum(map(nanos, found)) == money(amount).amount_nanos
    assert shares(None, weights) == [None] * len(weights)


def test_a_line_that_two_outlets_give_is_two_lines_of_the_same_worth() -> None:
    tee = replace(line("9.99", "3", "1.00"), tax=money("2.50"))
    document = order_of([tee], "31.47", tax="2.50")
    given = (Allocation("9.99x3", "x", "main", 2000), Allocation("9.99x3", "x", "pier", 1000))
    sale = posted(document, *given)
    assert [
        (part.outlet_id, part.quantity, shown(part.discount), shown(part.tax))
        for part in sale.lines
    ] == [("", 2000, "0.67", "1.67"), ("pier", 1000, "0.33", "0.83")]
    assert (sale.difference, sale.charges) == (None, ())
    assert {part.line_id for part in sale.lines} == {"9.99x3"}


def shown(amount: Money | None) -> str:
    return f"{Decimal(nanos(amount)) / NANOS:.2f}"


@given(documents(), st.integers(1, 999))
def test_a_posted_sale_always_adds_up_to_the_store_s_total(document: Document, part: int) -> None:
    first = document.lines[0]
    at_pier = first.quantity * part // 1000
    given_ = [Allocation(first.line_id, "x", "main", first.quantity - at_pier)]
    if at_pier:
        given_.append(Allocation(first.line_id, "x", "pier", at_pier))
    sale = posted(document, *given_)
    assert worth(sale) + nanos(sale.difference) == document.total.amount_nanos
    assert sum(one.quantity for one in sale.lines) == sum(one.quantity for one in document.lines)
    rounding = [one.amount for one in sale.charges if one.kind is ChargeKind.ROUNDING]
    assert not (rounding and sale.difference)
    for one in rounding:
        assert abs(one.amount_nanos) <= (2 * len(sale.lines) + 6) * 5 * 10**6


@pytest.mark.rule("ORD-06")
@pytest.mark.rule("ORD-07")
@pytest.mark.parametrize(
    ("status", "processor", "method", "expected"),
    [
        (PAID, "Stripe", "Credit card", ["Stripe"]),
        (PAID, "", "Bank deposit", ["Bank deposit"]),
        (PAID, "", "", ["Online payment"]),
        (REFUNDED, "Stripe", "Credit card", ["Stripe"]),
        (PART_REFUNDED, "Stripe", "Credit card", ["Stripe"]),
        (AWAITING, "", "Cash", []),
        (AWAITING, "Stripe", "Credit card", []),
        (OTHER, "Stripe", "Credit card", []),
    ],
)
def test_a_sale_is_paid_when_the_store_says_so_by_whom_it_names(
    status: PaymentStatus, processor: str, method: str, expected: list[str]
) -> None:
    document = replace(
        order_of(TWO, "50"),
        payment_status=status,
        payment_processor=processor,
        payment_method=method,
    )
    sale = posted(document)
    assert expected == [payment.method for payment in sale.payments]
    assert bool(expected) is sale.paid is document.paid


CARD = OrderPayment(money("30"), "Card", "Stripe", NOW - timedelta(days=1))
GIFT = OrderPayment(money("20"), "Gift card")


@pytest.mark.rule("ORD-06")
@pytest.mark.parametrize(
    ("status", "payments", "expected", "paid"),
    [
        (PAID, (), [("Cash", 50)], True),
        (PAID, (CARD, GIFT), [("Stripe", 30), ("Gift card", 20)], True),
        (PAID, (CARD,), [("Stripe", 30)], False),
        (AWAITING, (GIFT,), [("Gift card", 20)], False),
        (AWAITING, (), [], False),
        (OTHER, (GIFT,), [("Gift card", 20)], False),
        (REFUNDED, (CARD, GIFT), [("Stripe", 30), ("Gift card", 20)], True),
    ],
)
def test_split_and_partial_payments_are_taken_one_by_one(
    status: PaymentStatus,
    payments: tuple[OrderPayment, ...],
    expected: list[tuple[str, int]],
    paid: bool,
) -> None:
    document = replace(
        order_of(TWO, "50"), payment_status=status, payments=payments, payment_method="Cash"
    )
    sale = posted(document)
    assert expected == [(one.method, one.amount.amount_nanos // NANOS) for one in sale.payments]
    assert paid is sale.paid is document.paid
    told = [one.pay_time or NOW for one in payments] or [NOW] * len(sale.payments)
    assert told == [one.pay_time for one in sale.payments]


@pytest.mark.rule("ORD-08")
def test_a_payment_keeps_its_time_and_is_one_whatever_comes_again() -> None:
    later = NOW + timedelta(days=1)
    unpaid = order_of(TWO, "50")
    sale = posted(unpaid)
    order = Order(
        OrderKey("mug-shop", "web", "A"),
        NOW,
        NOW,
        document=replace(unpaid, payment_status=PAID, version=2),
        buyer=Buyer("", ""),
        hold=Hold(0, Resolved(unpaid.lines, ("item-25.00x2",)), ""),
    )
    paid = sales.follow(order, sale, NOW)
    again = replace(order, document=replace(unpaid, payment_status=PAID, version=3))
    assert sales.follow(again, paid, later) is paid
    assert [payment.pay_time for payment in paid.payments] == [NOW]
    assert (sale.revision, paid.revision) == (1, 2)


PART = OrderRefund("r-1", money("5"))


@pytest.mark.parametrize(
    ("status", "refunds", "expected"),
    [
        (PAID, (), []),
        (PAID, (PART,), ["r-1"]),
        (PART_REFUNDED, (PART,), ["r-1"]),
        (PART_REFUNDED, (), []),
        (REFUNDED, (PART,), ["r-1"]),
        (REFUNDED, (), ["total"]),
    ],
)
def test_what_was_given_back_is_what_the_store_tells_else_all_of_it(
    status: PaymentStatus, refunds: tuple[OrderRefund, ...], expected: list[str]
) -> None:
    document = replace(order_of(TWO, "50"), payment_status=status, refunds=refunds)
    assert expected == [one.refund_id for one in document.refunds_made]


FULL = replace(
    order_of(
        [replace(line("25", "2", "5"), tax=money("3"))],
        "52.40",
        tax="3.50",
        shipping_price="4",
        shipping_tax="0.50",
        discount="1",
    ),
    discounts=(Discount(DiscountKind.COUPON, money("1"), "Summer", "SUN"),),
    charges=(tip("1", "0.10"),),
    payments=(CARD, GIFT),
    refunds=(replace(PART, refund_time=NOW, reason="broken"),),
    store_payment_status="PAID",
    fulfillment_status=FulfillmentStatus.SHIPPED,
    store_fulfillment_status="SHIPPED",
    tracking_number="T-1",
    ship_to=Address("Jo", "1 Road", "Oslo", "0150", "", "NO", "+47 1"),
    pickup_time=NOW,
    buyer_comment="ring twice",
    place_time=NOW,
)


def test_a_document_comes_back_as_it_went_over_the_wire_and_into_the_database() -> None:
    assert document_of(document_message(FULL)) == FULL
    kept = _DOCUMENT.value(_DOCUMENT.text(FULL))
    assert kept == FULL
    assert not newer(FULL, kept)
    assert not newer(kept, FULL)


def test_a_sale_tells_what_is_charged_and_taken_off() -> None:
    message = sale_message(posted(FULL))
    assert [(one.kind, one.name, one.code) for one in message.discounts] == [
        (pb.DISCOUNT_KIND_COUPON, "Summer", "SUN")
    ]
    assert [one.kind for one in message.charges] == [pb.CHARGE_KIND_TIP]
    assert (message.lines[0].line_id, message.lines[0].discount.units) == ("25x2", 5)
    assert (message.shipping_tax.nanos, message.HasField("difference")) == (500_000_000, False)
    off = posted(replace(FULL, total=money("60")))
    assert sale_message(off).difference.units == 7


def refused_document() -> list[tuple[pb.OrderDocument, str]]:
    def changed(**fields: object) -> pb.OrderDocument:
        message = document_message(FULL)
        message.MergeFrom(pb.OrderDocument(**fields))  # type: ignore[arg-type]  # fields
        return message

    usd = {"currency_code": "USD", "units": 1}
    none = {"currency_code": "EUR"}
    below = {"currency_code": "EUR", "units": -1}
    kind = pb.CHARGE_KIND_TIP
    return [
        (changed(payments=[{"amount": none}]), "document.payments[2].amount"),
        (changed(refunds=[{"refund_id": "r-1", "amount": usd}]), "document.refunds[1].refund_id"),
        (changed(refunds=[{"refund_id": "r-2", "amount": below}]), "document.refunds[1].amount"),
        (changed(refunds=[{"refund_id": "r-2", "amount": usd}]), "document.total"),
        (changed(discounts=[{"amount": below}]), "document.discounts[1].amount"),
        (changed(discounts=[{"amount": usd}]), "document.total"),
        (changed(charges=[{"kind": kind, "amount": below}]), "document.charges[1].amount"),
        (changed(charges=[{"kind": kind, "amount": none, "tax": usd}]), "document.total"),
        (changed(shipping_tax=usd), "document.total"),
    ]


@pytest.mark.parametrize(("message", "field"), refused_document())
def test_a_document_whose_amounts_make_no_sense_is_refused(
    message: pb.OrderDocument, field: str
) -> None:
    with pytest.raises(DomainError) as refused:
        document_of(message)
    assert refused.value.reason == "INVALID_FIELD"
    assert field in str(refused.value.facts) + str(refused.value.__dict__)


@pytest.mark.rule("ORD-11")
@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ({"payment_status": OTHER}, {"payment_status": AWAITING}),
        ({"payment_status": PAID}, {"payment_status": PART_REFUNDED}),
        ({"payment_status": PART_REFUNDED}, {"payment_status": REFUNDED}),
        ({"payment_status": REFUNDED}, {"payment_status": CANCELED}),
        (
            {"payment_status": AWAITING, "fulfillment_status": FulfillmentStatus.DELIVERED},
            {"payment_status": PAID},
        ),
        ({}, {"fulfillment_status": FulfillmentStatus.OTHER}),
        (
            {"fulfillment_status": FulfillmentStatus.READY_FOR_PICKUP},
            {"fulfillment_status": FulfillmentStatus.DELIVERED},
        ),
        (
            {"fulfillment_status": FulfillmentStatus.DELIVERED},
            {"fulfillment_status": FulfillmentStatus.RETURNED},
        ),
    ],
)
def test_of_two_documents_of_one_version_the_one_that_is_further_holds(
    lower: dict[str, object], higher: dict[str, object]
) -> None:
    base = order_of(TWO, "50")
    low = replace(base, **lower)  # type: ignore[arg-type]  # fields of a document
    high = replace(base, **higher)  # type: ignore[arg-type]  # fields of a document
    assert (newer(high, low), newer(low, high)) == (True, False)
    assert newer(replace(low, version=2), high)


@pytest.mark.rule("ORD-11")
@pytest.mark.rule("BEY-08")
def test_whatever_the_order_in_which_equal_versions_come_one_of_them_holds() -> None:
    base = order_of(TWO, "50")
    told = [
        base,
        replace(base, email="ann@example.com"),
        replace(base, total=money("49")),
        replace(base, place_time=NOW),
        replace(base, refunds=(PART,)),
    ]
    ends = set()
    for arrival in permutations(told):
        holds = arrival[0]
        for one in arrival[1:]:
            holds = one if newer(one, holds) else holds
        ends.add(holds)
    assert len(ends) == 1


def test_a_line_s_worth_is_its_price_for_all_of_it_less_what_is_off() -> None:
    assert line_worth(line("1.99", "0.333", "0.10")) == 562_670_000
