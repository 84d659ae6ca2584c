"""Drift: where a store, or the outside point of sale, has something else of an order than is known
here, why, and what heals it (BEY-07).

What a store was seen to have is compared with the document that is known: what differs was not
told, or is gone. What a store should show of an order, and showed, and does not show any more, was
changed there by somebody. So was what the point of sale has otherwise of a sale than was posted to
it, and what it has taken back of one beyond the account of its order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum

from services.chassis.values import replace, value
from services.order.rules.accounting import StoreUpdate
from services.order.rules.case import Case
from services.order.rules.document import Document, FulfillmentStatus, PaymentStatus
from services.order.rules.money import cent
from services.order.rules.order import Order, OrderKey, open_lines
from services.order.rules.sale import Sale, SaleState

IN_FLIGHT = timedelta(minutes=1)
"""For how long the news of a change in a store may be on its way."""


class Field(IntEnum):
    """What differs of an order; numbers as in the contract."""

    ORDER = 1
    VERSION = 2
    PAYMENT_STATUS = 3
    FULFILLMENT_STATUS = 4
    TRACKING_NUMBER = 5
    SALE_STATE = 6
    SALE_LINES = 7
    SALE_TOTAL = 8
    SALE_RETURN = 9


_OF_SALE = frozenset({Field.SALE_STATE, Field.SALE_LINES, Field.SALE_TOTAL})
"""What the point of sale tells of a sale each time."""


class Cause(IntEnum):
    """Why an order differs; numbers as in the contract."""

    IN_FLIGHT = 1
    LOST_EVENT = 2
    MANUAL_EDIT = 3
    DELETED_IN_STORE = 4
    VOIDED_IN_POINT_OF_SALE = 5
    EDITED_IN_POINT_OF_SALE = 6


BY_ITSELF = frozenset({Cause.IN_FLIGHT, Cause.LOST_EVENT, Cause.MANUAL_EDIT})
"""What heals without anything being lost; the rest waits for an operator who names the order."""

_BY_DOCUMENT = frozenset({Cause.IN_FLIGHT, Cause.LOST_EVENT, Cause.DELETED_IN_STORE})


class State(IntEnum):
    """Where a drift stands; numbers as in the contract."""

    OPEN = 1
    HEALED = 2


class Remedy(IntEnum):
    """What heals a drift; numbers as in the contract."""

    FETCH = 1
    SHOW = 2
    CANCEL = 3
    KEEP = 4
    POST = 5


@value(frozen=True, slots=True)
class Seen:
    """What a store was seen to have of an order."""

    gone: bool = False
    version: int = 0
    payment_status: PaymentStatus | None = None
    fulfillment_status: FulfillmentStatus = FulfillmentStatus.UNSPECIFIED
    change_time: datetime | None = None


@value(frozen=True, slots=True)
class Difference:
    """What differs of an order, and why."""

    field: Field
    own_value: str
    store_value: str
    cause: Cause


@value(frozen=True, slots=True)
class Drift:
    """A difference that was found between an order and its store."""

    key: OrderKey
    found: Difference
    state: State
    observe_time: datetime
    last_observe_time: datetime
    heal_time: datetime | None
    times: int

    @property
    def field(self) -> Field:
        """What differs."""
        return self.found.field


def compared(order: Order | None, seen: Seen, now: datetime) -> list[Difference]:
    """How a store's order differs from what is known of it. What is known to be newer does not;
    nor does what the store has no more, where the order is canceled or an operator knows.
    """
    document = order.document if order else None
    if seen.gone:
        if order is None or order.canceled or order.gone:
            return []
        return [Difference(Field.ORDER, order.state.name, "", Cause.DELETED_IN_STORE)]
    cause = _untold(seen, now)
    if order is None or document is None:
        if order and now - order.update_time < IN_FLIGHT:
            return []  # somebody has told of it just now: it is being fetched
        own, cause = (order.state.name, Cause.IN_FLIGHT) if order else ("", cause)
        there = seen.payment_status.name if seen.payment_status else str(seen.version)
        return [Difference(Field.ORDER, own, there, cause)]
    if document.version > seen.version:
        return []
    found = list(_statuses(document, seen, cause))
    if not found and document.version < seen.version:
        versions = str(document.version), str(seen.version)
        found.append(Difference(Field.VERSION, *versions, cause))
    return found


def _untold(seen: Seen, now: datetime) -> Cause:
    fresh = seen.change_time is not None and now - seen.change_time < IN_FLIGHT
    return Cause.IN_FLIGHT if fresh else Cause.LOST_EVENT


def _statuses(document: Document, seen: Seen, cause: Cause) -> Iterator[Difference]:
    paid, there = document.payment_status, seen.payment_status
    if there and there is not paid:
        yield Difference(Field.PAYMENT_STATUS, paid.name, there.name, cause)
    known, shown = document.fulfillment_status, seen.fulfillment_status
    if shown and shown is not known:
        yield Difference(Field.FULFILLMENT_STATUS, known.name, shown.name, cause)


def edited(before: Case, after: Case) -> list[Difference]:
    """What somebody has changed in the store of what it should show: it showed all, nothing was
    done here since, and now it does not.
    """
    update = after.order.store_update
    if update is None or before.order.store_update is not None or before.sale is None:
        return []
    if _done_here(before) != _done_here(after):
        return []
    document = after.order.document
    assert document
    return list(_missing(update, document))


def _done_here(case: Case) -> tuple[object, ...]:
    """What the store is told of."""
    order = case.order
    return case.fulfillments, order.refunds, order.cancel_time


def _missing(update: StoreUpdate, document: Document) -> Iterator[Difference]:
    if update.payment_status:
        values = update.payment_status.name, document.payment_status.name
        yield Difference(Field.PAYMENT_STATUS, *values, Cause.MANUAL_EDIT)
    if update.fulfillment_status:
        values = update.fulfillment_status.name, document.fulfillment_status.name
        yield Difference(Field.FULFILLMENT_STATUS, *values, Cause.MANUAL_EDIT)
    if update.tracking_number:
        values = update.tracking_number, document.tracking_number
        yield Difference(Field.TRACKING_NUMBER, *values, Cause.MANUAL_EDIT)


def in_point_of_sale(known: Sale, told: Sale) -> list[Difference]:
    """How the outside point of sale has a sale that was posted there from here. What it has yet to
    be told is no difference, nor is what it rounds otherwise: up to a cent for each line.
    """
    if SaleState.VOIDED in {told.state, known.state}:
        if told.state is known.state or known.state is SaleState.VOIDED:
            return []
        cause = Cause.VOIDED_IN_POINT_OF_SALE
        return [Difference(Field.SALE_STATE, known.state.name, told.state.name, cause)]
    if known.posting.revision < known.revision:
        return []
    cause, found = Cause.EDITED_IN_POINT_OF_SALE, []
    sold, there = _quantities(known), _quantities(told)
    changed = [item_id for item_id, quantity in sold.items() if there.get(item_id, 0) != quantity]
    if changed:
        values = _listed(sold, changed), _listed(there, changed)
        found.append(Difference(Field.SALE_LINES, *values, cause))
    currency, total = known.total.currency_code, told.total
    apart = abs(known.total.amount_nanos - total.amount_nanos)
    rounded = cent(currency) * max(1, len(known.lines))
    if total.currency_code == currency and not known.difference and apart > rounded:
        values = _amount(known), _amount(told)
        found.append(Difference(Field.SALE_TOTAL, *values, cause))
    return found


def _quantities(sale: Sale) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in sale.lines:
        found[line.item_id] = found.get(line.item_id, 0) + line.quantity
    return found


def _listed(quantities: Mapping[str, int], item_ids: Iterable[str]) -> str:
    return ", ".join(
        f"{item_id}: {_decimal(quantities.get(item_id, 0), 3)}" for item_id in sorted(item_ids)
    )


def _amount(sale: Sale) -> str:
    return f"{_decimal(sale.total.amount_nanos, 9)} {sale.total.currency_code}"


def _decimal(number: int, places: int) -> str:
    return f"{Decimal(number).scaleb(-places).normalize():f}"


def misfit(unaccounted: Mapping[str, tuple[int, int]]) -> list[Difference]:
    """What was taken back in the point of sale beyond the account of its order: of which items how
    much is in the account, and how much came back.
    """
    if not unaccounted:
        return []
    booked, said = ({one: both[i] for one, both in unaccounted.items()} for i in (0, 1))
    values = _listed(booked, unaccounted), _listed(said, unaccounted)
    return [Difference(Field.SALE_RETURN, *values, Cause.EDITED_IN_POINT_OF_SALE)]


def observed(before: Drift | None, found: Difference, key: OrderKey, now: datetime) -> Drift:
    """The drift after it was seen."""
    if before and before.state is State.OPEN:
        return replace(before, found=found, last_observe_time=now)
    return Drift(
        key=key,
        found=found,
        state=State.OPEN,
        observe_time=before.observe_time if before else now,
        last_observe_time=now,
        heal_time=None,
        times=before.times + 1 if before else 1,
    )


def healed(before: Drift, now: datetime) -> Drift:
    """The drift after both sides agree again, or an operator has it so."""
    return replace(before, state=State.HEALED, heal_time=now)


def told(known: Iterable[Drift], now: datetime) -> list[Drift]:
    """Drift that is healed by a document of the order: what was not told, or was gone."""
    return [healed(one, now) for one in known if one.found.cause in _BY_DOCUMENT]


def shown(known: Iterable[Drift], now: datetime) -> list[Drift]:
    """Drift that is healed since the store shows all that it should."""
    return [healed(one, now) for one in known if one.found.cause is Cause.MANUAL_EDIT]


def stands(
    known: Iterable[Drift], found: Mapping[OrderKey, Sequence[Difference]], now: datetime
) -> list[Drift]:
    """Drift that is healed since the outside point of sale has that of the sale as it is here."""
    return [
        healed(one, now)
        for one in known
        if one.field in _OF_SALE and one.field not in {still.field for still in found[one.key]}
    ]


def remedy(drift: Drift, order: Order) -> Remedy:
    """What heals a drift of an order."""
    match drift.found.cause:
        case Cause.MANUAL_EDIT:
            return Remedy.SHOW
        case Cause.DELETED_IN_STORE | Cause.VOIDED_IN_POINT_OF_SALE:
            over = order.sale_id and not open_lines(order)
            return Remedy.KEEP if over or order.canceled else Remedy.CANCEL
        case Cause.EDITED_IN_POINT_OF_SALE:
            settled = drift.field is Field.SALE_RETURN or not open_lines(order)
            return Remedy.KEEP if settled or order.canceled else Remedy.POST
        case _:
            return Remedy.FETCH
