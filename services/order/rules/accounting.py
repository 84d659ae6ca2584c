"""What became of each line of an order, and of its money: the books that always balance.

Of every line, ordered ≥ canceled + fulfilled and fulfilled ≥ returned ≥ restocked; of the money,
paid ≥ refunded (BEY-13). Whatever would break this is refused before it gets here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum

from services.chassis.values import replace, value
from services.order.rules.document import FulfillmentStatus, Money, PaymentStatus


@value(frozen=True, slots=True)
class Account:
    """What became of one line; all in thousandths."""

    line_id: str
    item_id: str
    ordered: int
    canceled: int = 0
    fulfilled: int = 0
    returned: int = 0
    restocked: int = 0

    @property
    def left(self) -> int:
        """What may still be canceled or come back."""
        return self.ordered - self.canceled - self.returned

    @property
    def balanced(self) -> bool:
        """Whether the line adds up (BEY-13)."""
        handed_over = self.fulfilled >= self.returned >= self.restocked >= 0
        return handed_over and self.canceled >= 0 and self.ordered >= self.canceled + self.fulfilled


@value(frozen=True, slots=True)
class Accounts:
    """What became of the lines of an order that is posted."""

    lines: tuple[Account, ...]
    by_store: bool
    """Whether the store manages how it is handed over: then all that is not canceled counts as
    handed over here.
    """

    def of(self, line_id: str) -> Account | None:
        """The account of a line; None where there is no such line."""
        return next((one for one in self.lines if one.line_id == line_id), None)

    @property
    def canceled(self) -> bool:
        """Whether nothing of it is or will be handed over."""
        return all(one.canceled == one.ordered for one in self.lines)

    @property
    def came_back(self) -> bool:
        """Whether all that was handed over came back."""
        given = sum(one.fulfilled for one in self.lines)
        return given > 0 and given == sum(one.returned for one in self.lines)

    @property
    def out(self) -> int:
        """What the buyer has."""
        return sum(one.fulfilled - one.returned for one in self.lines)


class RefundOrigin(IntEnum):
    """Who gave back, or took back."""

    HERE = 1
    """RefundOrder."""
    STORE = 2
    """The store; it follows the order's document."""
    CANCEL = 3
    """What was not handed over, when the order was canceled."""
    POINT_OF_SALE = 4
    """A return that was rung up in the outside point of sale."""


BY_STAFF = frozenset({RefundOrigin.HERE, RefundOrigin.POINT_OF_SALE})
"""What was given back by the shop's own people, and has to be shown in the store."""


@value(frozen=True, slots=True)
class Part:
    """Some of a line that will not be handed over, or that came back; in thousandths."""

    line_id: str
    item_id: str
    quantity: int
    given_by: str
    """The outlet that gave it, or would have."""
    outlet_id: str
    """The outlet that takes it back."""
    canceled: bool = False
    """Whether it was never handed over."""
    restocked: bool = True
    """Whether it goes back into stock."""


@value(frozen=True, slots=True)
class AskedLine:
    """What RefundOrder asks to take back of a line; in thousandths."""

    line_id: str
    quantity: int
    not_restocked: int = 0


@value(frozen=True, slots=True)
class Asked:
    """What RefundOrder asks for: the same again under one id is the same refund."""

    lines: tuple[AskedLine, ...] = ()
    outlet_id: str = ""
    amount: Money | None = None
    method: str = ""


@value(frozen=True, slots=True)
class Refund:
    """What came back or was given back at one time."""

    refund_id: str
    origin: RefundOrigin
    refund_time: datetime
    parts: tuple[Part, ...] = ()
    amount: Money | None = None
    """What was given back; of one that the store tells, the part of it that is not known from
    another refund already. None is nothing.
    """
    method: str = ""
    reason: str = ""
    asked: Asked | None = None
    """What it was asked for with, where RefundOrder made it."""
    absorbed_nanos: int = 0
    """How much of what the store, or the point of sale, tells is known from another refund."""
    payments: tuple[tuple[str, int], ...] = ()
    """How much of `amount` was given back by each method, in nanos."""
    sold: bool = True
    """Whether it has a return sale that was made here: where the sale was voided instead, it has
    not.
    """

    @property
    def amount_nanos(self) -> int:
        """What was given back."""
        return self.amount.amount_nanos if self.amount else 0


@value(frozen=True, slots=True)
class StoreUpdate:
    """What a store should show of an order and does not; see the contract."""

    payment_status: PaymentStatus | None = None
    fulfillment_status: FulfillmentStatus = FulfillmentStatus.UNSPECIFIED
    tracking_number: str = ""


def refunded_nanos(refunds: Sequence[Refund]) -> int:
    """What was given back in all."""
    return sum(refund.amount_nanos for refund in refunds)


def book(accounts: Accounts, parts: Sequence[Part]) -> Accounts:
    """The accounts with what was canceled or came back."""
    lines = {one.line_id: one for one in accounts.lines}
    for part in parts:
        one = lines[part.line_id]
        if part.canceled:
            fulfilled = one.fulfilled - part.quantity if accounts.by_store else one.fulfilled
            one = replace(one, canceled=one.canceled + part.quantity, fulfilled=fulfilled)
        else:
            restocked = one.restocked + (part.quantity if part.restocked else 0)
            one = replace(one, returned=one.returned + part.quantity, restocked=restocked)
        lines[part.line_id] = one
    return _checked(replace(accounts, lines=tuple(lines.values())))


def unbook(accounts: Accounts, parts: Sequence[Part]) -> Accounts:
    """The accounts without what came back, which is said anew: never what was canceled."""
    lines = {one.line_id: one for one in accounts.lines}
    for part in parts:
        one = lines[part.line_id]
        restocked = one.restocked - (part.quantity if part.restocked else 0)
        lines[part.line_id] = replace(
            one, returned=one.returned - part.quantity, restocked=restocked
        )
    return _checked(replace(accounts, lines=tuple(lines.values())))


def hand_over(accounts: Accounts, quantities: Mapping[str, int]) -> Accounts:
    """The accounts with what was handed over, by line."""
    lines = tuple(
        replace(one, fulfilled=one.fulfilled + quantities.get(one.line_id, 0))
        for one in accounts.lines
    )
    return _checked(replace(accounts, lines=lines))


def _checked(accounts: Accounts) -> Accounts:
    """Raises RuntimeError rather than keep books that do not balance."""
    for one in accounts.lines:
        if not one.balanced:
            raise RuntimeError(f"line {one.line_id!r} does not add up: {one}")
    return accounts
