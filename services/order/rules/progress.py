"""What an order's run does next, and what it can do without asking anybody."""

from datetime import datetime, timedelta
from enum import Enum

from services.chassis.values import replace, value
from services.order.rules import fulfillment as handed
from services.order.rules import returns
from services.order.rules import sale as sales
from services.order.rules.case import Case, opened
from services.order.rules.document import Document
from services.order.rules.order import (
    Hold,
    Order,
    OrderState,
    Outcome,
    Refused,
    Waiting,
    apply,
    later,
    open_lines,
    waits,
)
from services.order.rules.sale import (
    Channel,
    FulfillmentPolicy,
    PostingPolicy,
    Sale,
    SaleState,
)

OWN_STEPS_MAX = 6
LOOK_AGAIN = timedelta(seconds=5)
"""When an order that its channel does not let be posted looks at the channel once more: longer than
what a process knows of a channel may be old.
"""


class Step(Enum):
    """What a run may do next."""

    RESOLVE = "find the items of all lines"
    MATCH = "find the customer"
    OPEN_HOLD = "note what is about to be held"
    RESERVE = "hold the stock"
    TAKE = "take the stock"
    CLOSE_HOLD = "note that the stock is about to be given free"
    RELEASE = "give the stock free"
    PUT_BACK = "put the stock back"
    POST = "write the sale"
    FOLLOW = "let the sale and its returns follow the order's document"
    CANCEL = "take back what was not handed over"
    COMMIT = "end the hold, since the sale is posted"


OWN_STEPS = frozenset({Step.OPEN_HOLD, Step.CLOSE_HOLD, Step.POST, Step.FOLLOW, Step.CANCEL})
"""Steps that ask no other service."""

_FOLLOWING = frozenset({Step.FOLLOW, Step.CANCEL})
"""Those that are done even while another step is refused."""


CANCELED = Waiting(
    "CANCELED_AFTER_POSTING",
    "the store canceled the order, but some of it was handed over; take that back with RefundOrder,"
    " or restore the order in the store",
)
RESTORED = Waiting(
    "CANCELED_AFTER_POSTING",
    "the store restored the order after it was canceled and its sale taken back; have it placed"
    " again, and cancel it",
)
LINES_CHANGED = Waiting(
    "LINES_CHANGED_AFTER_HOLD",
    "the store changed what is ordered, or where it is taken from, after its stock was held;"
    " restore the order in the store, or cancel it there and have it placed again",
)


@value(frozen=True, slots=True)
class Progress:
    """How far an order has got, and what its run does next."""

    case: Case
    step: Step | None = None
    """The next step, which asks another service; None when the run ends here."""


def settle(case: Case, outcome: Outcome | None, channel: Channel | None, now: datetime) -> Progress:
    """An order after a step, or before its first one, on to the next that asks another service.

    `channel` is None where it could not be asked for. A refusal ends the run, and a canceled or
    otherwise finished order does not wait on account of it.
    """
    if outcome:
        case = replace(case, order=apply(case.order, outcome, now))
    if channel is None:
        return Progress(case)
    if not isinstance(outcome, Refused):
        return advance(case, channel, now)
    progress = advance(case, channel, now, _FOLLOWING)
    return progress if progress.step is None else Progress(progress.case)


def advance(
    case: Case, channel: Channel, now: datetime, steps: frozenset[Step] = OWN_STEPS
) -> Progress:
    """Does all of these steps that come next, which need no other service, and says what comes
    then.
    """
    case, follows = returns.with_accounts(case, channel), False
    for _ in range(OWN_STEPS_MAX):
        step = next_step(case, channel, now, follows=follows)
        if not isinstance(step, Step) or step not in steps:
            break
        case = _do(case, step, channel, now)
        follows = _is_as_told(case.order, step)
    else:
        raise RuntimeError(f"order {case.order.key} goes round in circles at {step}")
    case = returns.tallied(case)
    if isinstance(step, Step):
        return Progress(case, step)
    due_time = later(_look_again(case.order, channel, now) or case.order.due_time, now)
    order = replace(waits(case.order, step, now), awaited=frozenset(), due_time=due_time)
    return Progress(replace(case, order=order))


def _is_as_told(order: Order, step: Step) -> bool:
    """Whether a sale and its returns are as the order's document has them behind this step: posting
    makes no returns, which a document may come with.
    """
    refunds = order.document.refunds_made if order.document else ()
    return step is Step.FOLLOW or (step is Step.POST and not refunds)


def _do(case: Case, step: Step, channel: Channel, now: datetime) -> Case:
    """A step that asks no other service."""
    order = case.order
    assert order.document
    if step is Step.FOLLOW:
        return returns.followed(case, now)
    if step is Step.CANCEL:
        case = returns.cancel(case, channel, now)
        return replace(case, order=replace(case.order, update_time=now))
    if step is Step.OPEN_HOLD:
        assert order.resolved
        # An outside point of sale takes the stock itself, once it has the sale.
        take = not channel.external_pos and _may_post(order.document, channel)
        hold = Hold(order.holds_ended, order.resolved, order.document.outlet_id, take=take)
        return replace(case, order=replace(order, hold=hold))
    if step is Step.CLOSE_HOLD:
        assert order.hold
        return replace(case, order=replace(order, hold=replace(order.hold, ending=True)))
    sale = sales.post(order, channel, now)
    by_store = channel.fulfillment is FulfillmentPolicy.ECOM
    accounts = opened(order, by_store=by_store)
    return Case(
        replace(order, sale_id=sale.key.sale_id, accounts=accounts),
        sale,
        handed.fulfillments(order, sale, channel, now),
    )


def _look_again(order: Order, channel: Channel, now: datetime) -> datetime | None:
    """When an order that its channel does not let be posted looks at it once more: what was known
    of the channel may have been old, and its change told before the order got here (ORD-09).
    """
    if order.state is not OrderState.HELD:
        return None
    if not channel.fresh:
        return now + LOOK_AGAIN
    return order.update_time + LOOK_AGAIN


def next_step(
    case: Case, channel: Channel, now: datetime, *, follows: bool = False
) -> Step | Waiting | None:
    """What an order's run does next: a step, a wait for somebody else, or nothing (ORD-01).
    `follows` says that its sale is known to be as its document has it.

    It follows from what is known of the order and from nothing else, so that a run may be broken
    off anywhere and begun again.
    """
    order = case.order
    document = order.document
    if document is None:
        return order.waiting
    if case.sale:
        if not follows and returns.followed(case, now) != case:
            return Step.FOLLOW
        return _after_posting(order, case.sale, channel)
    if order.hold is None:
        return None if order.canceled else _before_hold(order)
    if order.reservation is None:
        # A canceled order too: whether it holds something has to be found out.
        return Step.TAKE if order.hold.take else Step.RESERVE
    return _once_held(order, document, channel)


def _once_held(order: Order, document: Document, channel: Channel) -> Step | Waiting | None:
    assert order.hold
    if order.hold.ending:
        # Though the store may have restored it: it is held anew then.
        return Step.PUT_BACK if order.hold.take else Step.RELEASE
    if order.canceled:
        return Step.CLOSE_HOLD  # ORD-13
    if not order.as_held:
        return LINES_CHANGED
    if _buyer_changed(order, document):
        return Step.MATCH
    return Step.POST if _may_post(document, channel) else None


def _may_post(document: Document, channel: Channel) -> bool:
    """Whether the order is posted once it has its stock; else it is kept, shown and held."""
    if not channel.post_sales:
        return False  # ORD-09
    # ORD-02, ORD-03: where the channel posts on payment, the order stays held until it is paid.
    return channel.posting is not PostingPolicy.ON_PAYMENT or document.paid


def _after_posting(order: Order, sale: Sale, channel: Channel) -> Step | Waiting | None:
    document = order.document
    assert document
    ends = _end_of_hold(order, sale, channel)
    if order.canceled and not order.cancellation and open_lines(order):
        # Where stock is taken here it is taken before it is put back: a hold whose end was under
        # way may have ended, and the books of inventory say both.
        return ends if ends and not channel.external_pos else Step.CANCEL
    rest = _at_rest(order, document)
    if order.hold and order.hold.elsewhere and isinstance(rest, Waiting):
        return rest  # no level includes the sale where the hold is now, until somebody sees to it
    return ends or rest


def _at_rest(order: Order, document: Document) -> Step | Waiting | None:
    """What a posted order comes to of which nothing has to be taken back: what is in its way."""
    accounts = order.accounts
    if order.cancel_time is None:
        if order.cancellation and not document.canceled:
            return RESTORED
        if document.canceled:
            return CANCELED if accounts and accounts.out else None
    if accounts and accounts.canceled:
        return None
    if order.hold and order.hold.left:
        return order.hold.left
    if not document.canceled and not order.as_held:
        return LINES_CHANGED
    return Step.MATCH if _buyer_changed(order, document) else None


def _end_of_hold(order: Order, sale: Sale, channel: Channel) -> Step | None:
    """How the hold of a posted order ends; None when it has, or cannot yet.

    With an outside point of sale it stays until that has the sale. What is void before it got there
    is in none of its levels: then its stock is just free.
    """
    if order.committed or (channel.external_pos and order.hold and order.hold.freed):
        return None
    if not channel.external_pos or order.pos_version is not None:
        return Step.COMMIT
    void = sale.state is SaleState.VOIDED and sale.posting.revision >= sale.revision
    return Step.RELEASE if void else None


def in_point_of_sale(
    order: Order, sale: Sale, revision: int, pos_version: int, now: datetime
) -> Order:
    """The order, once the outside point of sale has this revision of one of its sales.

    The version of its own sale counts, as it was first written; not that of a return, not that of
    a sale which was void before it got there, and not that of one whose stock an operator has moved
    since: levels of the outlet that gives it now do not include what was written before (BEY-04).
    """
    if order.sale_id != sale.key.sale_id or order.committed:
        return order
    if order.hold and revision < order.hold.revision:
        return order
    if sale.state is SaleState.VOIDED and revision >= sale.revision:
        return replace(order, due_time=now, update_time=now)
    if order.pos_version is not None:
        return order
    return replace(order, pos_version=pos_version, due_time=now, update_time=now)


def _before_hold(order: Order) -> Step:
    steps = {
        OrderState.RECEIVED: Step.RESOLVE,
        OrderState.RESOLVED: Step.MATCH,
        OrderState.MATCHED: Step.OPEN_HOLD,
    }
    return steps[order.state]


def _buyer_changed(order: Order, document: Document) -> bool:
    return order.buyer is None or order.buyer.address != document.address
