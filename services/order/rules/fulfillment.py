"""Fulfillments: what has to be handed over for an online order, and how far that has got."""

from dataclasses import dataclass
from datetime import datetime

from services.order.rules.document import FulfillmentKind
from services.order.rules.order import Order
from services.order.rules.sale import Channel, FulfillmentPolicy, Sale, derived


@dataclass(frozen=True, slots=True)
class FulfillmentLine:
    """One line to hand over. `quantity` is in thousandths."""

    line_id: str
    item_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
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
        )
        for outlet_id, lines in outlets.items()
    )
