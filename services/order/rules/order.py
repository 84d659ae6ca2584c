"""An order here: its document, what became of each step, and how an outcome changes it.

Every step's outcome is a fact about another service. It is applied to the order as it is *then*,
not as it was when the step began: a newer document may have come in between.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from services.chassis.errors import DomainError
from services.chassis.values import replace, value
from services.order.rules.about import about, references, stock_reference
from services.order.rules.accounting import Accounts, Refund, RefundOrigin, StoreUpdate
from services.order.rules.document import Document, FulfillmentStatus, Line, Money, newer

TRANSIENT_SECONDS_MAX = 60
REFUSED_SECONDS_MIN = 5
REFUSED_SECONDS_MAX = 300
PUT_OFF_MAX = timedelta(minutes=10)
"""Nothing is put off, or taken, for longer than this: a time that is farther ahead was noted by a
clock that has been set back since, and does not count.
"""

WAYS_OUT = {
    "INSUFFICIENT_STOCK": "count or receive stock, or have the store change the order",
    "CUSTOMER_AMBIGUOUS": "the order then goes on by itself",
    "REGISTER_MISSING": "set the channel's register",
    "OUTLET_NOT_FOUND": "create the outlet, or tie the store's method to another one",
    "CHANNEL_NOT_FOUND": "connect the channel again",
    "RESERVATION_ENDED": "look up the reservation: somebody ended it by hand",
    "RESERVATION_NOT_FOUND": "look up the reservation: somebody removed it by hand",
}
"""What lets an order go on that another service refused, beside a retry."""

HANDED_OVER = frozenset(
    {
        FulfillmentStatus.OUT_FOR_DELIVERY,
        FulfillmentStatus.SHIPPED,
        FulfillmentStatus.DELIVERED,
        FulfillmentStatus.RETURNED,
    }
)
"""What a store says of an order that has left the shop."""


class OrderState(IntEnum):
    """How far an order has got; numbers as in the contract."""

    REPORTED = 1
    RECEIVED = 2
    RESOLVED = 3
    MATCHED = 4
    HELD = 5
    POSTED = 6
    CANCELED = 7


class OrderKey(NamedTuple):
    """Whose order it is, and which."""

    merchant_id: str
    channel_id: str
    order_id: str


@value(frozen=True, slots=True)
class Resolved:
    """The lines whose items were found, and the items: `item_ids[i]` is that of `lines[i]`."""

    lines: tuple[Line, ...]
    item_ids: tuple[str, ...]

    def items(self) -> dict[str, str]:
        """Item id by line id."""
        return {line.line_id: item for line, item in zip(self.lines, self.item_ids, strict=True)}

    def quantity_of(self, item_id: str) -> int:
        """How much of an item these lines ask for, in thousandths."""
        pairs = zip(self.lines, self.item_ids, strict=True)
        return sum(line.quantity for line, item in pairs if item == item_id)

    def covers(self, lines: Sequence[Line]) -> bool:
        """Whether these lines ask for the same items in the same quantities.

        Prices and names may differ, and the store may have learned an item's id in between.
        """
        if lines == self.lines:  # as nearly always
            return True
        if len(lines) != len(self.lines):
            return False
        known = {line.line_id: line for line in self.lines}
        items = self.items()
        return all(
            (same := known.get(line.line_id)) is not None
            and line.quantity == same.quantity
            and (
                line.item_id == items[line.line_id]
                or (line.item_id, line.sku) == (same.item_id, same.sku)
                or line.sku == same.sku != ""
            )
            for line in lines
        )


@value(frozen=True, slots=True)
class Hold:
    """What inventory was asked to hold, noted before it is asked.

    A process that dies after asking thus asks for the very same again, and an order that is changed
    or canceled meanwhile knows what may be held for it.
    """

    number: int
    """0 for an order's first hold; grows when an order goes on after it was canceled."""
    resolved: Resolved
    outlet_id: str
    take: bool = False
    """Whether it is taken at once: the order is posted as soon as it has its stock."""
    ending: bool = False
    """Whether inventory is asked to give it free, noted before it is asked: what may be free is not
    posted, whatever comes meanwhile.
    """
    freed: bool = False
    """Whether an operator has given it free after its order was posted (BEY-04)."""
    followed: int = 0
    """Cursor of the last that inventory told of it and that was followed; see `rules.moved`."""
    left: "Waiting | None" = None
    """What an operator still has to see to since then; a retry takes it for done."""
    elsewhere: bool = False
    """Whether that is that the outside point of sale has the sale at other outlets."""
    revision: int = 0
    """The sale's, from which on it names the outlets that give it now."""


@value(frozen=True, slots=True)
class Allocation:
    """Which part of a line an outlet gives. `quantity` is in thousandths."""

    line_id: str
    item_id: str
    outlet_id: str
    quantity: int


@value(frozen=True, slots=True)
class Reservation:
    """What inventory holds for an order."""

    reservation_id: str
    allocations: tuple[Allocation, ...]


@value(frozen=True, slots=True)
class Buyer:
    """Whom an address was matched to; `customer_id` is empty where the order has no address."""

    address: str
    customer_id: str


@value(frozen=True, slots=True)
class Waiting:
    """Why an order cannot go on now, and what would let it. ORD-12."""

    reason: str
    message: str
    attempts: int = 0
    next_try_time: datetime | None = None
    """None where no try by itself would help."""
    about: str = ""
    """What the reason is about, such as a SKU: orders that wait for one thing have it in common."""


@value(frozen=True, slots=True)
class Order:
    """An order and how far it has got."""

    key: OrderKey
    create_time: datetime
    update_time: datetime
    document: Document | None = None
    resolved: Resolved | None = None
    buyer: Buyer | None = None
    hold: Hold | None = None
    holds_ended: int = 0
    reservation: Reservation | None = None
    sale_id: str = ""
    pos_version: int | None = None
    """Version that an outside point of sale gave the sale; None until it has it."""
    committed: bool = False
    """Whether inventory knows what became of the hold: its sale is posted, or void, or to be."""
    waiting: Waiting | None = None
    wait_time: datetime | None = None
    """Since when it waits for that; kept while a new document is looked at."""
    awaited: frozenset[str] = frozenset()
    """The references (`references`) that the catalog has to know first."""
    due_time: datetime | None = None
    """When its run goes on; None when there is nothing to do."""
    sync_time: datetime | None = None
    """When its document was read from the store; None before. SOR-04."""
    cancel_time: datetime | None = None
    """When it was canceled here; None when it was not."""
    cancel_reason: str = ""
    gone: bool = False
    """Whether its store has it no more, and an operator knows."""
    accounts: Accounts | None = None
    """What became of each line; None before it is posted."""
    refunds: tuple[Refund, ...] = ()
    """What came back or was given back, oldest first."""
    paid: Money | None = None
    """What was paid; None when nothing was, or it is not posted."""
    refunded: Money | None = None
    """What was given back; None when nothing was."""
    store_update: StoreUpdate | None = None
    """What the store should show and does not; None when it shows all."""

    @property
    def state(self) -> OrderState:
        """How far it has got: follows from what became of its steps."""
        if self.sale_id:
            whole = self.accounts is not None and self.accounts.canceled
            return OrderState.CANCELED if whole else OrderState.POSTED
        if self.document is None:
            return OrderState.CANCELED if self.cancel_time else OrderState.REPORTED
        if self.reservation:
            return OrderState.HELD
        if self.canceled and not self.hold:
            return OrderState.CANCELED
        return self._state_before_hold(self.document)

    @property
    def canceled(self) -> bool:
        """Whether the store has canceled it, or somebody here. ORD-13."""
        by_store = self.document is not None and self.document.canceled
        return by_store or self.cancel_time is not None

    @property
    def as_held(self) -> bool:
        """Whether its document still asks for what is or was held."""
        assert self.hold
        assert self.document
        same_outlet = self.hold.outlet_id == self.document.outlet_id
        return same_outlet and self.hold.resolved.covers(self.document.lines)

    @property
    def cancellation(self) -> Refund | None:
        """What was done about its cancellation after it was posted; None when nothing was."""
        found = (one for one in self.refunds if one.origin is RefundOrigin.CANCEL)
        return next(found, None)

    def _state_before_hold(self, document: Document) -> OrderState:
        if not self.resolved or not self.resolved.covers(document.lines):
            return OrderState.RECEIVED
        if not self.buyer or self.buyer.address != document.address:
            return OrderState.RESOLVED
        return OrderState.MATCHED


def reported(key: OrderKey, now: datetime) -> Order:
    """An order of which only the id is known yet."""
    waiting = Waiting(
        "DOCUMENT_MISSING", "the gateway fetches the order from the store; retry to ask it again"
    )
    return Order(key, create_time=now, update_time=now, waiting=waiting, wait_time=now)


def take(document: Document, known: Order | None, key: OrderKey, now: datetime) -> Order | None:
    """The order with this document; None when the document changes nothing. ORD-11."""
    back = known and known.gone and document == known.document
    if known and not back and not newer(document, known.document):
        return None
    return replace(
        known or reported(key, now),
        document=document,
        gone=False,
        waiting=None,
        awaited=frozenset(),
        due_time=now,
        update_time=now,
        sync_time=now,
    )


def waits(order: Order, waiting: Waiting | None, now: datetime) -> Order:
    """The order, which waits for this from now on, or for what it waits for already (BEY-09)."""
    known = order.waiting or waiting
    same = known and waiting and (known.reason, known.about) == (waiting.reason, waiting.about)
    begin = (order.wait_time if same else None) or now
    return replace(order, waiting=waiting, wait_time=begin if waiting else None)


def retried(order: Order, now: datetime) -> Order:
    """The order, to be tried now instead of at its next try. ORD-12."""
    if order.document is None:
        return order
    waiting, hold = order.waiting, order.hold
    if hold and hold.left and waiting and waiting.message == hold.left.message:
        hold = replace(hold, left=None, elsewhere=False)
    waiting = waiting and replace(waiting, attempts=0, next_try_time=now)
    return replace(order, hold=hold, waiting=waiting, due_time=now, update_time=now)


def cancel(order: Order, reason: str, now: datetime) -> Order:
    """The order, canceled here; its run does what that takes. Again, it changes nothing. ORD-13.

    Raises:
        DomainError: NOTHING_TO_CANCEL when all of it was handed over.
    """
    by_store = order.document is not None and order.document.canceled
    if order.cancel_time or (by_store and (order.cancellation or not order.sale_id)):
        return order
    if order.sale_id and not order.cancellation and not open_lines(order):
        raise DomainError(
            "NOTHING_TO_CANCEL",
            "all of the order was handed over or came back; take it back with RefundOrder",
            order_id=order.key.order_id,
        )
    return replace(
        order, cancel_time=now, cancel_reason=reason, waiting=None, due_time=now, update_time=now
    )


def open_lines(order: Order) -> dict[str, int]:
    """What was not handed over yet of an order, by line, in thousandths.

    Where the store manages that, its word holds: all of it, or nothing.
    """
    if order.accounts is None:
        lines = order.document.lines if order.document else ()
        return {line.line_id: line.quantity for line in lines}
    by_store = order.accounts.by_store
    if by_store and order.document and order.document.fulfillment_status in HANDED_OVER:
        return {}
    found = {
        one.line_id: one.left if by_store else one.ordered - one.canceled - one.fulfilled
        for one in order.accounts.lines
    }
    return {line_id: quantity for line_id, quantity in found.items() if quantity}


@value(frozen=True, slots=True)
class Held:
    """Inventory holds what `hold` asked for, or has taken it."""

    hold: Hold
    reservation: Reservation


@value(frozen=True, slots=True)
class Released:
    """Inventory has given free what this reservation held, or put it back. ORD-13."""

    reservation_id: str


@value(frozen=True, slots=True)
class Committed:
    """Inventory knows that the sale is posted."""


@value(frozen=True, slots=True)
class Refused:
    """A step could not be done; `hold` is what inventory was asked for, if it was."""

    error: DomainError
    awaited: frozenset[str] = frozenset()
    hold: Hold | None = None


Outcome = Resolved | Buyer | Held | Released | Committed | Refused


def apply(order: Order, outcome: Outcome, now: datetime) -> Order:
    """The order with what became of a step."""
    if isinstance(outcome, Refused):
        return _refused(order, outcome, now)
    done = _done(order, outcome)
    # What is due stays due since then: a time that is indexed is not written without need.
    due_time = later(order.due_time, now) or min(order.due_time or now, now)
    done = replace(done, awaited=frozenset(), due_time=due_time, update_time=now)
    return waits(done, None, now)


def later(due_time: datetime | None, now: datetime) -> datetime | None:
    """When an order is due again that is done for now: a time that somebody has put to it
    meanwhile, if it is still to come.
    """
    return due_time if due_time and now < due_time <= now + PUT_OFF_MAX else None


def _done(order: Order, outcome: Resolved | Buyer | Held | Released | Committed) -> Order:
    reservation_id = order.reservation.reservation_id if order.reservation else ""
    match outcome:
        case Resolved() if not order.hold:
            return replace(order, resolved=outcome)
        case Buyer():
            return replace(order, buyer=outcome)
        case Held() if order.hold == outcome.hold and not order.reservation:
            return replace(order, reservation=outcome.reservation, committed=outcome.hold.take)
        case Released() if reservation_id == outcome.reservation_id:
            return _released(order)
        case Committed():
            return replace(order, committed=True)
    return order  # another process got here first


def _released(order: Order) -> Order:
    """The order whose hold was given free; what was held of one that is posted stays known."""
    if order.sale_id:
        return replace(order, committed=True)
    ended = order.holds_ended + 1
    return replace(order, hold=None, reservation=None, committed=False, holds_ended=ended)


def _refused(order: Order, outcome: Refused, now: datetime) -> Order:
    error = outcome.error
    attempts = (order.waiting.attempts if order.waiting else 0) + 1
    wait = timedelta(seconds=pause_seconds(attempts, transient=error.transient))
    message = error.message
    if way_out := WAYS_OUT.get(error.reason):
        message = f"{message}; {way_out}"
    waiting = Waiting(error.reason, message, attempts, now + wait, about(error, order.document))
    # A refusal says that nothing is held; after anything else that is not known.
    held_nothing = not error.transient and order.hold == outcome.hold and not order.reservation
    short = error.facts.get("item_id", "") if error.reason == "INSUFFICIENT_STOCK" else ""
    awaited = outcome.awaited | ({stock_reference(short)} if short else frozenset())
    return replace(
        waits(order, waiting, now),
        hold=None if held_nothing else order.hold,
        awaited=awaited,
        due_time=waiting.next_try_time,
        update_time=now,
    )


def pause_seconds(attempts: int, *, transient: bool) -> int:
    """How long after this many tries the next one is made.

    What passes by itself (a service is down) is tried after 1 s, then ever more rarely, up to once
    a minute; what somebody has to change after 5 s, up to every five minutes.
    """
    doublings = min(attempts - 1, 10)
    if transient:
        return int(min(2**doublings, TRANSIENT_SECONDS_MAX))
    return int(min(REFUSED_SECONDS_MIN * 2**doublings, REFUSED_SECONDS_MAX))


@value(frozen=True, slots=True)
class FoundItem:
    """What the catalog says of one line: its item, or the reason why there is none."""

    item_id: str
    reason: str = ""


def resolve(document: Document, found: Sequence[FoundItem]) -> Resolved | Refused:
    """The items of all lines, or why the order has to wait for some of them. ORD-12."""
    missing = [
        (line, answer.reason)
        for line, answer in zip(document.lines, found, strict=True)
        if not answer.item_id
    ]
    if not missing:
        return Resolved(document.lines, tuple(answer.item_id for answer in found))
    line, reason = missing[0]
    name = f"SKU {line.sku!r}" if line.sku else f"item {line.item_id!r}"
    if reason == "SKU_AMBIGUOUS":
        text = f"several items carry {name} of line {line.line_id}; leave it to one of them"
    else:
        text = f"{name} of line {line.line_id} is in no catalog; create it in the point of sale"
    more = f" (and {len(missing) - 1} more lines)" if len(missing) > 1 else ""
    error = DomainError(
        reason,
        f"{text}{more}: the order then goes on by itself",
        sku=line.sku,
        item_id=line.item_id,
    )
    awaited = {reference for line, _ in missing for reference in references(line.item_id, line.sku)}
    return Refused(error, frozenset(awaited))


def order_not_found(key: OrderKey) -> DomainError:
    """There is no such order."""
    return DomainError(
        "ORDER_NOT_FOUND",
        f"channel {key.channel_id!r} has no order {key.order_id!r}",
        channel_id=key.channel_id,
        order_id=key.order_id,
    )
