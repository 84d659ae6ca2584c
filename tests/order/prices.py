"""Orders at all kinds of prices, and the sales that they become."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from services.order.rules import sale as sales
from services.order.rules.document import (
    NANOS,
    Charge,
    ChargeKind,
    Document,
    Line,
    Money,
    PaymentStatus,
)
from services.order.rules.money import worth
from services.order.rules.order import (
    Allocation,
    Buyer,
    Hold,
    Order,
    OrderKey,
    Reservation,
    Resolved,
)
from services.order.rules.sale import Channel, FulfillmentPolicy, PostingPolicy, Sale

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
CHANNEL = Channel(PostingPolicy.ON_PLACEMENT, FulfillmentPolicy.POS, False, "till-1", "main")


def money(text: str, currency: str = "EUR") -> Money:
    return Money(currency, int(Decimal(text) * NANOS))


def line(price: str, quantity: str = "1", discount: str = "", currency: str = "EUR") -> Line:
    return Line(
        f"{price}x{quantity}",
        "",
        "MUG",
        "Mug",
        int(Decimal(quantity) * 1000),
        money(price, currency),
        discount=money(discount, currency) if discount else None,
    )


def tip(amount: str, tax: str = "") -> Charge:
    return Charge(ChargeKind.TIP, money(amount), "Tip", money(tax) if tax else None)


def order_of(
    lines: list[Line], total: str, *, included: bool = False, currency: str = "EUR", **told: object
) -> Document:
    amounts = {
        name: money(value, currency) if isinstance(value, str) else value
        for name, value in told.items()
    }
    found = Document("A", 1, PaymentStatus.AWAITING, tuple(lines), money(total, currency))
    return replace(found, prices_include_tax=included, **amounts)  # type: ignore[arg-type]  # fields


def posted(document: Document, *parts: Allocation) -> Sale:
    """The sale of an order that is held."""
    resolved = Resolved(document.lines, tuple(f"item-{one.line_id}" for one in document.lines))
    order = Order(
        OrderKey("mug-shop", "web", "A"),
        NOW,
        NOW,
        document=document,
        resolved=resolved,
        buyer=Buyer("", ""),
        hold=Hold(0, resolved, ""),
        reservation=Reservation("r-1", parts),
    )
    return sales.post(order, CHANNEL, NOW)


cents = st.integers(0, 10**7).map(lambda n: Money("EUR", n * 10**7))
fine = st.integers(0, 10**9).map(lambda n: Money("EUR", n * 10**5))
maybe = st.none() | cents
quantities = st.integers(1, 20).map(lambda n: n * 1000) | st.integers(1, 9999)
charges = st.builds(
    Charge, st.sampled_from([ChargeKind.TIP, ChargeKind.FEE]), cents, st.just("x"), maybe
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    count = draw(st.integers(1, 4))
    lines = tuple(
        Line(str(n), "", "MUG", "Mug", draw(quantities), draw(st.none() | fine), draw(maybe))
        for n in range(count)
    )
    lines = tuple(replace(one, discount=draw(maybe)) for one in lines)
    found = Document(
        "A",
        1,
        draw(st.sampled_from(list(PaymentStatus))),
        lines,
        Money("EUR", 0),
        shipping_price=draw(maybe),
        discount=draw(maybe),
        tax=draw(maybe),
        prices_include_tax=draw(st.booleans()),
        charges=tuple(draw(st.lists(charges, max_size=3))),
    )
    # The store's total: the sum, rounded; now and then one that nobody can explain.
    off = draw(st.just(0) | st.integers(-(10**12), 10**12))
    whole = (worth(found) + off) // 10**7 * 10**7
    return replace(found, total=Money("EUR", max(whole, 0)))
