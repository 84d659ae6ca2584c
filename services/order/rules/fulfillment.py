"""Fulfillments: what has to be handed over for an online order, and how far that has got."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import DomainError, invalid
from services.chassis.values import replace, value
from services.order.rules.document import Address, FulfillmentKind
from services.order.rules.order import Order
from services.order.rules.sale import Channel, FulfillmentPolicy, Sale, derived


class FulfillmentState(IntEnum):
    """How far a fulfillment has got; numbers as in the contract."""

    NEW = 1
    PICKED = 2
    PACKED = 3
    FULFILLED = 4
    CANCELED = 5


ENDED = frozenset({FulfillmentState.FULFILLED, FulfillmentState.CANCELED})


@value(frozen=True, slots=True)
class FulfillmentLine:
    """One line to hand over; all in thousandths."""

    line_id: str
    item_id: str
    quantity: int
    picked: int = 0
    packed: int = 0
    fulfilled: int = 0
    canceled: int = 0

    @property
    def due(self) -> int:
        """What is to be handed over in all."""
        return self.quantity - self.canceled

    @property
    def left(self) -> int:
        """What is still to be handed over."""
        return self.due - self.fulfilled


@value(frozen=True, slots=True)
class Fulfillment:
    """What one outlet has to hand over for one order."""

    merchant_id: str
    fulfillment_id: str
    channel_id: str
    order_id: str
    sale_id: str
    outlet_id: str
    kind: FulfillmentKind
    lines: tuple[FulfillmentLine, ...]
    create_time: datetime
    version: int = 1
    tracking_number: str = ""
    carrier: str = ""
    update_time: datetime | None = None
    ship_to: Address | None = None
    pickup_time: datetime | None = None

    @property
    def state(self) -> FulfillmentState:
        """How far it has got: follows from its lines."""
        due = [line for line in self.lines if line.due]
        if not due:
            return FulfillmentState.CANCELED
        if all(line.fulfilled == line.due for line in due):
            return FulfillmentState.FULFILLED
        if all(line.packed == line.due for line in due):
            return FulfillmentState.PACKED
        if any(line.picked for line in due):
            return FulfillmentState.PICKED
        return FulfillmentState.NEW


@value(frozen=True, slots=True)
class Handling:
    """What somebody says about a fulfillment."""

    version: int = 0
    """The version that they have seen; 0 when that does not matter."""
    steps: tuple[tuple[str, int], ...] = ()
    """How many more, by line; none means all that is left."""
    tracking_number: str = ""
    carrier: str = ""


def fulfillments(
    order: Order, sale: Sale, channel: Channel, now: datetime
) -> tuple[Fulfillment, ...]:
    """What each outlet has to hand over; none where the store manages that (ORD-01, ORD-04).

    What is taken from no outlet, since its stock is not tracked, goes with the sale's outlet.
    """
    if channel.fulfillment is not FulfillmentPolicy.POS:
        return ()
    assert order.hold
    assert order.reservation
    assert order.document
    outlets: dict[str, list[FulfillmentLine]] = {}
    for part in order.reservation.allocations:
        line = FulfillmentLine(part.line_id, part.item_id, part.quantity)
        outlets.setdefault(part.outlet_id, []).append(line)
    tracked = {part.line_id for part in order.reservation.allocations}
    for held, item_id in zip(order.hold.resolved.lines, order.hold.resolved.item_ids, strict=True):
        if held.line_id not in tracked:
            line = FulfillmentLine(held.line_id, item_id, held.quantity)
            outlets.setdefault(sale.outlet_id, []).append(line)
    return tuple(
        Fulfillment(
            merchant_id=order.key.merchant_id,
            fulfillment_id=derived(*order.key, outlet_id),
            channel_id=order.key.channel_id,
            order_id=order.key.order_id,
            sale_id=sale.key.sale_id,
            outlet_id=outlet_id,
            kind=order.document.fulfillment_kind,
            lines=tuple(lines),
            create_time=now,
            update_time=now,
            ship_to=order.document.ship_to,
            pickup_time=order.document.pickup_time,
        )
        for outlet_id, lines in outlets.items()
    )


def follow(fulfillment: Fulfillment, order: Order, now: datetime) -> Fulfillment:
    """The fulfillment as the order's document has it now: how, where to and when. What has ended
    stays as it was.
    """
    document = order.document
    assert document
    if fulfillment.state in ENDED:
        return fulfillment
    followed = replace(
        fulfillment,
        kind=document.fulfillment_kind,
        ship_to=document.ship_to,
        pickup_time=document.pickup_time,
    )
    return _changed(fulfillment, followed, now)


def pick(fulfillment: Fulfillment, handling: Handling, now: datetime) -> Fulfillment:
    """The fulfillment when some of it was taken from the shelf.

    Raises:
        DomainError: FULFILLMENT_ENDED, VERSION_CONFLICT, QUANTITY_EXCEEDS_ORDERED, INVALID_FIELD.
    """
    return _handled(fulfillment, handling, now, lambda line: line.picked, _picked)


def pack(fulfillment: Fulfillment, handling: Handling, now: datetime) -> Fulfillment:
    """The fulfillment when some of it was packed; what was not picked yet is picked then.

    Raises:
        DomainError: as `pick`.
    """
    return _handled(fulfillment, handling, now, lambda line: line.packed, _packed)


def complete(
    fulfillment: Fulfillment, handling: Handling, sale: Sale, now: datetime
) -> Fulfillment:
    """The fulfillment when some of it was handed over; what was not packed yet is packed then.

    Raises:
        DomainError: as `pick`; SALE_UNPAID when the buyer comes for it and has not paid.
    """
    after = _handled(fulfillment, handling, now, lambda line: line.fulfilled, _fulfilled)
    if fulfillment.kind is FulfillmentKind.PICKUP and not sale.paid:
        raise DomainError(
            "SALE_UNPAID",
            "the sale is not paid: take the payment, have the store show it, and try again",
            sale_id=sale.key.sale_id,
        )
    return after


def completed(fulfillment: Fulfillment, now: datetime) -> Fulfillment:
    """The fulfillment when the point of sale says that all of it was handed over."""
    return _handled(fulfillment, Handling(), now, lambda line: line.fulfilled, _fulfilled)


def _picked(line: FulfillmentLine, quantity: int) -> FulfillmentLine:
    return replace(line, picked=line.picked + quantity)


def _packed(line: FulfillmentLine, quantity: int) -> FulfillmentLine:
    packed = line.packed + quantity
    return replace(line, picked=max(line.picked, packed), packed=packed)


def _fulfilled(line: FulfillmentLine, quantity: int) -> FulfillmentLine:
    fulfilled = line.fulfilled + quantity
    line = replace(line, fulfilled=fulfilled)
    return _packed(line, max(0, fulfilled - line.packed))


def _handled(
    fulfillment: Fulfillment,
    handling: Handling,
    now: datetime,
    done: Callable[[FulfillmentLine], int],
    do: Callable[[FulfillmentLine, int], FulfillmentLine],
) -> Fulfillment:
    """The fulfillment with so many more of its lines done; `done` says how many were before."""
    _check_open(fulfillment, handling)
    lines = {line.line_id: line for line in fulfillment.lines}
    steps = handling.steps or tuple((name, line.due - done(line)) for name, line in lines.items())
    seen: set[str] = set()
    for index, (line_id, quantity) in enumerate(steps):
        field = f"lines[{index}].line_id"
        line = lines.get(line_id)
        if line is None or line_id in seen:
            raise invalid(field, "must be a line of the fulfillment, each once")
        seen.add(line_id)
        if quantity > line.due - done(line):
            raise DomainError(
                "QUANTITY_EXCEEDS_ORDERED",
                f"line {line_id!r}: at most {(line.due - done(line)) / 1000:g} are left",
                line_id=line_id,
            )
        lines[line_id] = do(line, quantity)
    followed = replace(
        fulfillment,
        lines=tuple(lines.values()),
        tracking_number=handling.tracking_number or fulfillment.tracking_number,
        carrier=handling.carrier or fulfillment.carrier,
    )
    return _changed(fulfillment, followed, now)


def _check_open(fulfillment: Fulfillment, handling: Handling) -> None:
    if handling.version and handling.version != fulfillment.version:
        raise DomainError(
            "VERSION_CONFLICT",
            f"the fulfillment is at version {fulfillment.version} now: read it again",
            version=fulfillment.version,
        )
    if fulfillment.state in ENDED:
        raise DomainError(
            "FULFILLMENT_ENDED",
            f"the fulfillment is {fulfillment.state.name.lower()} already",
            fulfillment_id=fulfillment.fulfillment_id,
        )


def cancel(fulfillment: Fulfillment, quantities: Mapping[str, int], now: datetime) -> Fulfillment:
    """The fulfillment when so many of its lines, at most what is left, will not be handed over."""
    lines = []
    for line in fulfillment.lines:
        canceled = line.canceled + quantities.get(line.line_id, 0)
        due = line.quantity - canceled
        picked, packed = min(line.picked, due), min(line.packed, due)
        lines.append(replace(line, canceled=canceled, picked=picked, packed=packed))
    return _changed(fulfillment, replace(fulfillment, lines=tuple(lines)), now)


def _changed(before: Fulfillment, after: Fulfillment, now: datetime) -> Fulfillment:
    if after == before:
        return before
    return replace(after, version=before.version + 1, update_time=now)


def all_ended(found: Sequence[Fulfillment]) -> bool:
    """Whether nothing of these is left to hand over."""
    return all(one.state in ENDED for one in found)


def fulfillment_not_found(fulfillment_id: str) -> DomainError:
    """There is no such fulfillment."""
    return DomainError(
        "FULFILLMENT_NOT_FOUND",
        f"there is no fulfillment {fulfillment_id!r}",
        fulfillment_id=fulfillment_id,
    )
