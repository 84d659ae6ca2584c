"""What is done in the outside point of sale with sales that were posted there from here.

A sale that is closed there was handed over. One that is taken back is a return: a sale of its own,
below zero. Its stock and money are in the books of the point of sale already, so here it only goes
into the account of its order (BEY-13): nobody takes the same back, or gives the same money back, a
second time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from services.chassis.values import replace
from services.order.rules import accounting, fulfillment, returns
from services.order.rules.accounting import Part, Refund, RefundOrigin
from services.order.rules.case import Case
from services.order.rules.document import Money
from services.order.rules.fulfillment import ENDED
from services.order.rules.parts import parts_out
from services.order.rules.return_sales import paid_nanos, till_return_id
from services.order.rules.sale import Sale, SaleState

_COUNTS = frozenset({SaleState.COMPLETED, SaleState.ON_ACCOUNT})
"""States in which a return is one: not while it is put aside, nor once it is void."""


def is_closed(known: Sale, told: Sale) -> bool:
    """Whether the point of sale has closed a sale that is open here. Nobody takes home there what
    is not paid.
    """
    return known.state is SaleState.OPEN and told.state is SaleState.COMPLETED and told.paid


def handed_over(case: Case, now: datetime) -> Case:
    """The case with all handed over that was left to be."""
    for one in case.fulfillments:
        if one.state not in ENDED:
            case = returns.handled(case, one, fulfillment.completed(one, now))
    return case


def taken_back(case: Case, told: Sale) -> Case:
    """The case with a return as the point of sale has it: as it is now, in place of what was known
    of it. What does not fit the order's account is left out; see `unaccounted`.

    Of each item so much came back as was handed over and had not come back yet. The money counts as
    far as a refund that the store has told is not the same one, and never for more than was paid.
    """
    order, sale = case.order, case.sale
    if order.accounts is None or sale is None:
        return case
    refund_id = till_return_id(told.key.sale_id)
    before = next((one for one in order.refunds if one.refund_id == refund_id), None)
    counts = told.state in _COUNTS
    if before is None and not counts:
        return case
    others = tuple(one for one in order.refunds if one is not before)
    accounts = accounting.unbook(order.accounts, before.parts if before else ())
    bare = replace(case, order=replace(order, accounts=accounts, refunds=others))
    parts = tuple(_parts(bare, told)) if counts else ()
    refund = Refund(
        refund_id,
        RefundOrigin.POINT_OF_SALE,
        told.sale_time,
        parts,
        reason=told.note,
        sold=False,
    )
    refund = _paid_back(refund, others, sale, told) if counts else refund
    if refund == before:
        return case
    refunds = tuple(refund if one is before else one for one in order.refunds)
    if before is None:
        refunds = (*refunds, refund)
    accounts = accounting.book(accounts, parts)
    return returns.tallied(replace(case, order=replace(order, accounts=accounts, refunds=refunds)))


def unaccounted(case: Case, told: Sale) -> dict[str, tuple[int, int]]:
    """By item, how much of a return is in the order's account, and how much there is: of items
    where it does not fit. In thousandths.
    """
    if told.state not in _COUNTS:
        return {}
    refund_id = till_return_id(told.key.sale_id)
    booked: dict[str, int] = {}
    for refund in case.order.refunds:
        for part in refund.parts if refund.refund_id == refund_id else ():
            booked[part.item_id] = booked.get(part.item_id, 0) + part.quantity
    said: dict[str, int] = {}
    for item_id, _, quantity in _lines_back(told):
        said[item_id] = said.get(item_id, 0) + quantity
    found = {item_id: (booked.get(item_id, 0), quantity) for item_id, quantity in said.items()}
    return {item_id: both for item_id, both in found.items() if both[0] != both[1]}


def _lines_back(told: Sale) -> Iterator[tuple[str, str, int]]:
    """Item, outlet and quantity of what a return takes back; what it sells in exchange is new."""
    for line in told.lines:
        if line.quantity < 0:
            yield line.item_id, line.outlet_id or told.outlet_id, -line.quantity


def _parts(case: Case, told: Sale) -> Iterator[Part]:
    """What came back of which line: of what was handed over, first of the first line with the
    item.
    """
    out = list(parts_out(case))
    for item_id, outlet_id, quantity in _lines_back(told):
        missing = quantity
        for index, part in enumerate(out):
            taken = min(missing, part.quantity) if part.item_id == item_id else 0
            missing -= taken
            out[index] = replace(part, quantity=part.quantity - taken)
            if taken:
                yield replace(part, quantity=taken, outlet_id=outlet_id)


def _paid_back(refund: Refund, others: Sequence[Refund], sale: Sale, told: Sale) -> Refund:
    """The refund with the money that it gave back, as far as that is not known already."""
    currency = sale.total.currency_code
    given = [
        (payment.method, -payment.amount.amount_nanos)
        for payment in told.payments
        if payment.amount.currency_code == currency and payment.amount.amount_nanos < 0
    ]
    amount = sum(nanos for _, nanos in given)
    by_store = sum(one.amount_nanos for one in others if one.origin is RefundOrigin.STORE)
    elsewhere = sum(
        one.absorbed_nanos for one in others if one.origin is RefundOrigin.POINT_OF_SALE
    )
    absorbed = min(amount, max(0, by_store - elsewhere))
    left = max(0, paid_nanos(sale) - accounting.refunded_nanos(others))
    counted = min(amount - absorbed, left)
    payments: dict[str, int] = {}
    missing = counted
    for method, nanos in given:
        part = min(missing, nanos)
        missing -= part
        if part:
            payments[method] = payments.get(method, 0) + part
    return replace(
        refund,
        amount=Money(currency, counted) if counted else None,
        absorbed_nanos=absorbed,
        payments=tuple(payments.items()),
    )
