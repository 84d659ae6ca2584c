"""Taking an order back: canceling it, refunding it, and following what its store gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.errors import DomainError, invalid
from services.chassis.values import replace
from services.order.rules import accounting, shown
from services.order.rules import fulfillment as handed
from services.order.rules import order as orders
from services.order.rules import sale as sales
from services.order.rules.accounting import BY_STAFF, Asked, Part, Refund, RefundOrigin
from services.order.rules.case import Case, opened
from services.order.rules.document import Money, OrderRefund
from services.order.rules.fulfillment import Fulfillment
from services.order.rules.parts import open_parts, parts_of, tracked
from services.order.rules.return_sales import (
    CANCEL_ID,
    by_method,
    is_taken,
    paid_nanos,
    return_sale,
)
from services.order.rules.sale import Channel, FulfillmentPolicy, Sale, SaleState, StockTake


def with_accounts(case: Case, channel: Channel) -> Case:
    """A posted case with its accounts, which orders that were posted before there were any lack."""
    order = case.order
    if case.sale is None or order.accounts or order.hold is None:
        return case
    by_store = channel.fulfillment is FulfillmentPolicy.ECOM
    return replace(case, order=replace(order, accounts=opened(order, by_store=by_store)))


def tallied(case: Case) -> Case:
    """A case with what follows from all of it: what was paid and given back, whether the sale is
    settled, and what the store should show.
    """
    sale = case.sale
    done = case.fulfillments and handed.all_ended(case.fulfillments)
    if sale and sale.state is SaleState.OPEN and done:
        sale = replace(sale, state=SaleState.COMPLETED, revision=sale.revision + 1)
    order = case.order
    back = accounting.refunded_nanos(order.refunds)
    given = paid_nanos(sale) if sale else 0
    paid = Money(sale.total.currency_code, given) if sale and given else None
    refunded = Money(sale.total.currency_code, back) if sale and back else None
    if (order.paid, order.refunded) != (paid, refunded):
        order = replace(order, paid=paid, refunded=refunded)
    if order is not case.order or sale is not case.sale:
        case = replace(case, order=order, sale=sale)
    update = shown.store_update(case)
    if update == order.store_update:
        return case
    return replace(case, order=replace(order, store_update=update))


def handled(case: Case, before: Fulfillment, after: Fulfillment) -> Case:
    """The case with one of its fulfillments further: the order's books follow."""
    done = {line.line_id: line.fulfilled for line in before.lines}
    handed_over = {line.line_id: line.fulfilled - done[line.line_id] for line in after.lines}
    order = replace(
        case.order,
        accounts=accounting.hand_over(
            case.order.accounts or opened(case.order, by_store=False), handed_over
        ),
        update_time=after.update_time or case.order.update_time,
    )
    going = tuple(after if one is before else one for one in case.fulfillments)
    return tallied(replace(case, order=order, fulfillments=going))


def followed(case: Case, now: datetime) -> Case:
    """The case as the order's document has it now: its sale, what is handed over, and what the
    store has given back.

    What was given back here was paid before: payments that the store takes back stay as far as
    that, so that never more is given back than was paid (BEY-13).
    """
    order, sale = case.order, case.sale
    assert order.document
    assert sale
    if not order.document.canceled and order.hold and order.as_held:
        after = sales.follow(order, sale, now)
        here = sum(one.amount_nanos for one in order.refunds if one.origin in BY_STAFF)
        if after is not sale and paid_nanos(after) < here:
            kept = replace(after, payments=sale.payments)
            after = sale if replace(kept, revision=sale.revision) == sale else kept
        if after is not sale and sales.places(after) != sales.places(sale):
            # An operator has moved what it holds.
            order = replace(order, hold=replace(order.hold, revision=after.revision))
        going = tuple(handed.follow(one, order, now) for one in case.fulfillments)
        case = replace(case, order=order, sale=after, fulfillments=going)
    return _following_refunds(case, now)


def _following_refunds(case: Case, now: datetime) -> Case:
    """The case with the store's refunds as its document has them (BEY-13).

    A refund that was made here is written to the store, and comes back with its documents. So what
    the store newly tells counts only as far as it exceeds the refunds that were made here and that
    it has not told yet; and in all never for more than was paid. A refund that the store takes back
    counts for nothing.
    """
    order, sale = case.order, case.sale
    assert order.document
    assert sale
    told = {_store_id(one): one for one in order.document.refunds_made}
    known = {one.refund_id: one for one in order.refunds}
    here = [one for one in order.refunds if one.origin in BY_STAFF]
    following = [one for one in order.refunds if one.origin is RefundOrigin.STORE]
    following += [
        _told_refund(refund_id, one, now)
        for refund_id, one in told.items()
        if refund_id not in known
    ]
    if not following:
        return case
    absorbed = sum(one.absorbed_nanos for one in following if one.refund_id in told)
    unknown = max(0, sum(one.amount_nanos for one in here) - absorbed)
    left = paid_nanos(sale) - sum(one.amount_nanos for one in here)
    counted: dict[str, Refund] = {}
    for refund in following:
        said = told.get(refund.refund_id)
        amount = said.amount.amount_nanos if said else 0
        if refund.refund_id in known:
            taken = min(refund.absorbed_nanos, amount)
        else:
            taken = min(amount, unknown)
            unknown -= taken
        amount = min(amount - taken, left)
        left -= amount
        counted[refund.refund_id] = _counted(refund, amount, taken, sale)
    refunds = (
        *(counted.get(one.refund_id, one) for one in order.refunds),
        *(one for refund_id, one in counted.items() if refund_id not in known),
    )
    return _with_returns(case, refunds, list(counted.values()))


def _with_returns(case: Case, refunds: tuple[Refund, ...], counted: Sequence[Refund]) -> Case:
    """The case with its refunds by method, and the return sales of those that were counted."""
    sale = case.sale
    assert sale
    returns = {one.refund_id: one for one in case.returns}
    changed: dict[str, Refund] = {}
    for bare in counted:
        others = [changed.get(one.refund_id, one) for one in refunds]
        refund = replace(bare, payments=by_method(sale, others, bare))
        changed[refund.refund_id] = refund
        if not refund.sold:
            continue
        made, before = return_sale(case.order, sale, refund), returns.get(refund.refund_id)
        if before:
            kept = replace(
                made, revision=before.revision, posting=before.posting, stock=before.stock
            )
            made = before if kept == before else replace(kept, revision=before.revision + 1)
        returns[refund.refund_id] = made
    refunds = tuple(changed.get(one.refund_id, one) for one in refunds)
    order = replace(case.order, refunds=refunds)
    return replace(case, order=order, returns=tuple(returns.values()))


def _store_id(told: OrderRefund) -> str:
    return f"store/{told.refund_id}" if is_taken(told.refund_id) else told.refund_id


def _told_refund(refund_id: str, told: OrderRefund, now: datetime) -> Refund:
    return Refund(
        refund_id,
        RefundOrigin.STORE,
        told.refund_time or now,
        reason=told.reason,
        sold=False,
    )


def _counted(refund: Refund, amount_nanos: int, absorbed_nanos: int, sale: Sale) -> Refund:
    currency = sale.total.currency_code
    return replace(
        refund,
        amount=Money(currency, amount_nanos) if amount_nanos else None,
        absorbed_nanos=absorbed_nanos,
        sold=refund.sold or amount_nanos > 0,
    )


def canceled(case: Case, reason: str, now: datetime) -> Case:
    """The case, canceled here; its run does what that takes.

    Raises:
        DomainError: NOTHING_TO_CANCEL when all of it was handed over.
    """
    order = orders.cancel(case.order, reason, now)
    return case if order is case.order else tallied(replace(case, order=order))


def gone(case: Case) -> Case:
    """The case, whose order the store has no more: there is nothing to show there."""
    return tallied(replace(case, order=replace(case.order, gone=True)))


def cancel(case: Case, channel: Channel, now: datetime) -> Case:
    """The case with all canceled that was not handed over yet (ORD-13).

    Its stock goes back to the outlets that gave it. Where nothing was paid, handed over or returned
    the sale is void; else what was not handed over becomes a return sale. No money is given back.
    """
    order, sale = case.order, case.sale
    assert order.accounts
    assert sale
    parts = tuple(open_parts(case))
    if not parts:
        return case
    untouched = not any(one.parts or one.amount_nanos for one in order.refunds)
    accounts = accounting.book(order.accounts, parts)
    void = untouched and accounts.canceled and not paid_nanos(sale)
    reason = order.cancel_reason if order.cancel_time else "canceled in the store"
    refund = Refund(CANCEL_ID, RefundOrigin.CANCEL, now, parts, reason=reason, sold=not void)
    case = _canceled_parts(case, parts, now)
    if not void:
        return _booked(case, refund, channel, now)
    moved = _stock(parts, channel, now)
    lines = tuple(
        replace(line, not_restocked=not tracked(order, line.line_id)) for line in sale.lines
    )
    voided = replace(
        sale, state=SaleState.VOIDED, lines=lines, stock=moved, revision=sale.revision + 1
    )
    order = replace(order, accounts=accounts, refunds=(*order.refunds, refund))
    return replace(case, order=order, sale=voided)


@dataclass(frozen=True, slots=True)
class Return:
    """What RefundOrder asks for, under which id, when and why."""

    refund_id: str
    asked: Asked
    refund_time: datetime
    reason: str = ""


def refund(case: Case, wanted: Return, channel: Channel, now: datetime) -> Case:
    """The case with money given back, goods taken back, or both (ORD-13, BEY-13).

    What was not handed over yet is canceled first. What comes back goes to the outlet that is
    named, else to those that gave it. A refund that is known changes nothing.

    Raises:
        DomainError: INVALID_FIELD, REFUND_EXISTS, REFUND_EXCEEDS_PAID, QUANTITY_EXCEEDS_ORDERED.
    """
    order, sale = case.order, case.sale
    assert order.accounts
    assert sale
    asked = wanted.asked
    if is_taken(wanted.refund_id):
        raise invalid(
            "refund_id", "must not be `cancel` or begin with `till/`: these are made here"
        )
    for known in order.refunds:
        if known.refund_id == wanted.refund_id:
            _check_same(known, asked)
            return case
    _check_asked(case, asked)
    parts = tuple(part for line in asked.lines for part in parts_of(case, line, asked.outlet_id))
    made = Refund(
        wanted.refund_id,
        RefundOrigin.HERE,
        wanted.refund_time,
        parts,
        asked.amount,
        asked.method,
        wanted.reason,
        asked,
    )
    made = replace(made, payments=by_method(sale, order.refunds, made))
    return _booked(_canceled_parts(case, parts, now), made, channel, now)


def _check_same(known: Refund, asked: Asked) -> None:
    if known.asked != asked:
        raise DomainError(
            "REFUND_EXISTS",
            f"refund {known.refund_id!r} exists with other contents; use a new id for a new refund",
            refund_id=known.refund_id,
        )


def _check_asked(case: Case, asked: Asked) -> None:
    order, sale = case.order, case.sale
    assert order.accounts
    assert sale
    if not asked.lines and asked.amount is None:
        raise invalid("amount", "say what is given back, or which lines come back")
    seen: set[str] = set()
    for index, line in enumerate(asked.lines):
        account = order.accounts.of(line.line_id)
        if account is None or line.line_id in seen:
            raise invalid(f"lines[{index}].line_id", "must be a line of the order, each once")
        seen.add(line.line_id)
        if line.not_restocked > line.quantity:
            raise invalid(f"lines[{index}].not_restocked", "must not be more than the quantity")
        if line.quantity > account.left:
            raise DomainError(
                "QUANTITY_EXCEEDS_ORDERED",
                f"line {line.line_id!r}: at most {account.left / 1000:g} may still come back",
                line_id=line.line_id,
            )
    if asked.amount is None:
        return
    if asked.amount.currency_code != sale.total.currency_code:
        raise invalid("amount.currency_code", f"must be {sale.total.currency_code}")
    if asked.amount.amount_nanos <= 0:
        raise invalid("amount", "must be above zero")
    left = paid_nanos(sale) - accounting.refunded_nanos(order.refunds)
    if asked.amount.amount_nanos > left:
        raise DomainError(
            "REFUND_EXCEEDS_PAID",
            f"at most {left / 1e9:g} {sale.total.currency_code} may still be given back",
            order_id=order.key.order_id,
        )


def _booked(case: Case, refund: Refund, channel: Channel, now: datetime) -> Case:
    """The case with a refund in its books, and its return sale."""
    order, sale = case.order, case.sale
    assert order.accounts
    assert sale
    made = return_sale(order, sale, refund)
    made = replace(made, stock=_stock(refund.parts, channel, now))
    accounts = accounting.book(order.accounts, refund.parts)
    order = replace(order, accounts=accounts, refunds=(*order.refunds, refund))
    return replace(case, order=order, returns=(*case.returns, made))


def _stock(parts: Sequence[Part], channel: Channel, now: datetime) -> StockTake:
    """Whether stock has to be put back here: with an outside point of sale its levels carry it."""
    if channel.external_pos or not any(part.restocked for part in parts):
        return StockTake()
    return StockTake(pending=True, due_time=now)


def _canceled_parts(case: Case, parts: Sequence[Part], now: datetime) -> Case:
    """The case whose fulfillments need not hand over what of these parts they had to."""
    going = []
    for one in case.fulfillments:
        quantities: dict[str, int] = {}
        for part in parts:
            if part.canceled and part.given_by == one.outlet_id:
                quantities[part.line_id] = quantities.get(part.line_id, 0) + part.quantity
        going.append(handed.cancel(one, quantities, now))
    return replace(case, fulfillments=tuple(going))
