"""Return sales: what a refund or a cancellation becomes in the sales history.

What comes back or is given back is a sale of its own, with negative quantities and payments, so
that history, payment report, stock and the outside point of sale need to know nothing else.
"""

from collections.abc import Iterator, Sequence

from services.chassis.values import replace
from services.order.rules.accounting import Refund, RefundOrigin
from services.order.rules.document import Charge, ChargeKind, Money
from services.order.rules.money import shares, worth
from services.order.rules.order import Order, OrderKey
from services.order.rules.sale import (
    NO_SALE,
    Payment,
    Sale,
    SaleKey,
    SaleLine,
    SaleOrigin,
    SaleState,
    derived,
)

CANCEL_ID = "cancel"
"""Id of the return of what was not handed over when its order was canceled."""
_TILL = "till/"


def return_key(key: OrderKey, refund_id: str) -> SaleKey:
    """The return sale of a refund."""
    return SaleKey(key.merchant_id, derived(*key, "refund", refund_id))


def till_return_id(sale_id: str) -> str:
    """The id of the refund that a return in the outside point of sale is."""
    return _TILL + sale_id


def is_taken(refund_id: str) -> bool:
    """Whether a refund that others name so would be taken for one of these."""
    return refund_id == CANCEL_ID or refund_id.startswith(_TILL)


def return_keys(order: Order) -> Iterator[SaleKey]:
    """The return sales of an order, oldest first: made here, or in the outside point of sale."""
    for one in order.refunds:
        if one.sold:
            yield return_key(order.key, one.refund_id)
        elif one.origin is RefundOrigin.POINT_OF_SALE and (one.parts or one.amount):
            yield SaleKey(order.key.merchant_id, one.refund_id.removeprefix(_TILL))


def following_keys(order: Order) -> list[SaleKey]:
    """The return sales of an order that follow its document."""
    return [
        return_key(order.key, one.refund_id)
        for one in order.refunds
        if one.sold and one.origin is RefundOrigin.STORE
    ]


def return_sale(order: Order, sale: Sale, refund: Refund) -> Sale:
    """The sale that a refund becomes: what came back and what was given back, as negative numbers,
    and a charge for what the two are apart.
    """
    currency = sale.total.currency_code
    outlet_id = (refund.asked.outlet_id if refund.asked else "") or sale.outlet_id
    lines = tuple(_returned_lines(sale, refund, outlet_id))
    taxes = [line.tax for line in lines if line.tax]
    bare = Sale(
        key=return_key(order.key, refund.refund_id),
        origin=SaleOrigin.ONLINE,
        state=SaleState.COMPLETED,
        lines=lines,
        payments=tuple(
            Payment(method, Money(currency, -given), refund.refund_time)
            for method, given in refund.payments
        ),
        total=Money(currency, -refund.amount_nanos),
        sale_time=refund.refund_time,
        channel_id=sale.channel_id,
        order_id=sale.order_id,
        outlet_id=outlet_id,
        register_id=sale.register_id,
        customer_id=sale.customer_id,
        tax=Money(currency, sum(tax.amount_nanos for tax in taxes)) if taxes else None,
        prices_include_tax=sale.prices_include_tax,
        note=_note(order, refund),
        return_for=sale.key.sale_id,
        refund_id=refund.refund_id,
    )
    apart = bare.total.amount_nanos - worth(bare)
    if not apart:
        return bare
    name = "Given back" if apart < 0 else "Not given back"
    return replace(bare, charges=(Charge(ChargeKind.REFUND, Money(currency, apart), name),))


def _note(order: Order, refund: Refund) -> str:
    what = "Canceled" if refund.origin is RefundOrigin.CANCEL else f"Refund {refund.refund_id}"
    reason = f": {refund.reason}" if refund.reason else ""
    return f"{what} of online order {order.key.order_id}{reason}"[:1000]


def _returned_lines(sale: Sale, refund: Refund, outlet_id: str) -> Iterator[SaleLine]:
    """What came back, by line, outlet that takes it, and whether it goes back into stock."""
    merged: dict[tuple[str, str, bool], int] = {}
    for part in refund.parts:
        key = (part.line_id, part.outlet_id, part.restocked)
        merged[key] = merged.get(key, 0) + part.quantity
    for (line_id, taken_by, restocked), quantity in merged.items():
        sold = [line for line in sale.lines if line.line_id == line_id]
        all_sold = sum(line.quantity for line in sold)
        weights = [quantity, all_sold - quantity]
        [discount, _] = shares(_sum([line.discount for line in sold]), weights)
        [tax, _] = shares(_sum([line.tax for line in sold]), weights)
        yield replace(
            sold[0],
            quantity=-quantity,
            discount=_negative(discount),
            tax=_negative(tax),
            outlet_id="" if taken_by == outlet_id else taken_by,
            not_restocked=not restocked,
        )


def _sum(amounts: Sequence[Money | None]) -> Money | None:
    told = [amount for amount in amounts if amount]
    if not told:
        return None
    return Money(told[0].currency_code, sum(amount.amount_nanos for amount in told))


def _negative(amount: Money | None) -> Money | None:
    if amount is None or not amount.amount_nanos:
        return None
    return Money(amount.currency_code, -amount.amount_nanos)


def by_method(sale: Sale, refunds: Sequence[Refund], refund: Refund) -> tuple[tuple[str, int], ...]:
    """How a refund is given back: by its method, else as the sale was paid, as far as each goes."""
    missing = refund.amount_nanos
    if not missing:
        return ()
    if refund.method:
        return ((refund.method, missing),)
    left: dict[str, int] = {}
    for payment in sale.payments:
        left[payment.method] = left.get(payment.method, 0) + payment.amount.amount_nanos
    for other in refunds:
        if other.refund_id != refund.refund_id:
            for method, given in other.payments:
                left[method] = left.get(method, 0) - given
    found: dict[str, int] = {}
    for method, rest in left.items():
        part = min(missing, max(0, rest))
        if part:
            found[method] = part
            missing -= part
    if missing:  # more went back by another method than came in by it
        method = next(iter(found or left))
        found[method] = found.get(method, 0) + missing
    return tuple(found.items())


def paid_nanos(sale: Sale) -> int:
    """What was paid for a sale, in nanos."""
    if sale.state in NO_SALE:
        return 0
    return sum(payment.amount.amount_nanos for payment in sale.payments)
