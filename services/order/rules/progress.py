"""What an order's run does next, and what it can do without asking anybody."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from services.order.rules import fulfillment as handed
from services.order.rules import sale as sales
from services.order.rules.document import Document
from services.order.rules.fulfillment import Fulfillment
from services.order.rules.order import (
    Hold,
    Order,
    OrderState,
    Outcome,
    Refused,
    Waiting,
    apply,
)
from services.order.rules.sale import Channel, PostingPolicy, Sale

OWN_STEPS_MAX = 4


class Step(Enum):
    """What a run may do next."""

    RESOLVE = "find the items of all lines"
    MATCH = "find the customer"
    OPEN_HOLD = "note what is about to be held"
    RESERVE = "hold the stock"
    RELEASE = "give the stock free"
    POST = "write the sale"
    FOLLOW = "let the sale follow its order's document"
    COMMIT = "end the hold, since the sale is posted"


OWN_STEPS = frozenset({Step.OPEN_HOLD, Step.POST, Step.FOLLOW})
"""Steps that ask no other service."""


CANCELED = Waiting(
    "CANCELED_AFTER_POSTING",
    "the store canceled the order, but its sale is posted; return or refund the sale in the point"
    " of sale, or restore the order in the store",
)
LINES_CHANGED = Waiting(
    "LINES_CHANGED_AFTER_HOLD",
    "the store changed what is ordered, or where it is taken from, after its stock was held;"
    " restore the order in the store, or cancel it there and have it placed again",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """An order, its sale, and what its run does next."""

    order: Order
    sale: Sale | None
    fulfillments: tuple[Fulfillment, ...] = ()
    """Those that are new."""
    step: Step | None = None
    """The next step, which asks another service; None when the run ends here."""


def settle(
    order: Order, sale: Sale | None, outcome: Outcome | None, channel: Channel | None, now: datetime
) -> Progress:
    """An order after a step, or before its first one, on to the next that asks another service.

    `channel` is None where it could not be asked for. A refusal ends the run, and a canceled or
    otherwise finished order does not wait on account of it.
    """
    if outcome:
        order = apply(order, outcome, now)
    if channel is None:
        return Progress(order, sale)
    if not isinstance(outcome, Refused):
        return advance(order, sale, channel, now)
    step = next_step(order, sale, channel, now)
    if step is Step.FOLLOW and sale:
        sale = sales.follow(order, sale, now)
    if not isinstance(step, Step):
        order = replace(order, waiting=step, awaited=frozenset(), due_time=None)
    return Progress(order, sale)


def advance(order: Order, sale: Sale | None, channel: Channel, now: datetime) -> Progress:
    """Does all that an order needs no other service for, and says what comes then."""
    created: Sequence[Fulfillment] = ()
    for _ in range(OWN_STEPS_MAX):
        step = next_step(order, sale, channel, now)
        if not isinstance(step, Step) or step not in OWN_STEPS:
            break
        if step is Step.OPEN_HOLD:
            assert order.resolved
            assert order.document
            hold = Hold(order.holds_ended, order.resolved, order.document.outlet_id)
            order = replace(order, hold=hold)
        elif step is Step.POST:
            sale = sales.post(order, channel, now)
            created = handed.fulfillments(order, sale, channel, now)
            order = replace(order, sale_id=sale.key.sale_id)
        elif sale:
            sale = sales.follow(order, sale, now)
    else:
        raise RuntimeError(f"order {order.key} goes round in circles at {step}")
    if isinstance(step, Step):
        return Progress(order, sale, tuple(created), step)
    return Progress(replace(order, waiting=step, due_time=None), sale, tuple(created))


def next_step(
    order: Order, sale: Sale | None, channel: Channel, now: datetime
) -> Step | Waiting | None:
    """What an order's run does next: a step, a wait for somebody else, or nothing (ORD-01).

    It follows from what is known of the order and from nothing else, so that a run may be broken
    off anywhere and begun again.
    """
    document = order.document
    if document is None:
        return order.waiting
    if sale:
        return _after_posting(order, sale, channel, now)
    if order.hold is None:
        return None if document.canceled else _before_hold(order)
    if order.reservation is None:
        return Step.RESERVE  # a canceled order too: whether it holds something has to be found out
    return _once_held(order, document, channel)


def _once_held(order: Order, document: Document, channel: Channel) -> Step | Waiting | None:
    if document.canceled:
        return Step.RELEASE  # ORD-13
    if not _as_held(order):
        return LINES_CHANGED
    if _buyer_changed(order, document):
        return Step.MATCH
    # ORD-02, ORD-03: where the channel posts on payment, the order stays held until it is paid.
    waits = channel.posting is PostingPolicy.ON_PAYMENT and not document.paid
    return None if waits else Step.POST


def _after_posting(
    order: Order, sale: Sale, channel: Channel, now: datetime
) -> Step | Waiting | None:
    document = order.document
    assert document
    follows = not document.canceled and _as_held(order)
    if follows and sales.follow(order, sale, now) is not sale:
        return Step.FOLLOW
    if not order.committed and (not channel.external_pos or order.pos_version is not None):
        return Step.COMMIT
    if not follows:
        return CANCELED if document.canceled else LINES_CHANGED
    return Step.MATCH if _buyer_changed(order, document) else None


def _before_hold(order: Order) -> Step:
    steps = {
        OrderState.RECEIVED: Step.RESOLVE,
        OrderState.RESOLVED: Step.MATCH,
        OrderState.MATCHED: Step.OPEN_HOLD,
    }
    return steps[order.state]


def _buyer_changed(order: Order, document: Document) -> bool:
    return order.buyer is None or order.buyer.address != document.address


def _as_held(order: Order) -> bool:
    assert order.hold
    assert order.document
    same_outlet = order.hold.outlet_id == order.document.outlet_id
    return same_outlet and order.hold.resolved.covers(order.document.lines)
