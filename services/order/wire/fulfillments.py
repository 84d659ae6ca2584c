"""Fulfillments as messages."""

from collections.abc import Sequence
from dataclasses import replace

from services.order.rules.document import FulfillmentKind
from services.order.rules.fulfillment import Fulfillment, FulfillmentLine, Handling
from services.order.wire.documents import address_message
from services.order.wire.scalars import quantity, quantity_text, time_message
from tillbridge.order.v1 import events_pb2, fulfillment_pb2
from tillbridge.order.v1 import order_pb2 as pb

HandlingRequest = (
    fulfillment_pb2.PickFulfillmentRequest
    | fulfillment_pb2.PackFulfillmentRequest
    | fulfillment_pb2.CompleteFulfillmentRequest
)


def fulfillment_message(found: Fulfillment) -> fulfillment_pb2.Fulfillment:
    """A fulfillment as a message."""
    ship_to = None if found.kind is FulfillmentKind.PICKUP else found.ship_to
    return fulfillment_pb2.Fulfillment(
        fulfillment_id=found.fulfillment_id,
        channel_id=found.channel_id,
        order_id=found.order_id,
        sale_id=found.sale_id,
        outlet_id=found.outlet_id,
        kind=pb.FulfillmentKind.ValueType(found.kind),
        state=fulfillment_pb2.FulfillmentState.ValueType(found.state),
        lines=[_line_message(line) for line in found.lines],
        create_time=time_message(found.create_time),
        version=found.version,
        tracking_number=found.tracking_number,
        carrier=found.carrier,
        update_time=time_message(found.update_time or found.create_time),
        ship_to=address_message(ship_to),
        pickup_time=time_message(found.pickup_time),
    )


def _line_message(line: FulfillmentLine) -> fulfillment_pb2.FulfillmentLine:
    return fulfillment_pb2.FulfillmentLine(
        line_id=line.line_id,
        item_id=line.item_id,
        quantity=quantity_text(line.quantity),
        picked=quantity_text(line.picked),
        packed=quantity_text(line.packed),
        fulfilled=quantity_text(line.fulfilled),
        canceled=quantity_text(line.canceled),
    )


def handling(request: HandlingRequest) -> Handling:
    """What a request says about a fulfillment.

    Raises:
        DomainError: INVALID_FIELD.
    """
    found = Handling(version=request.version, steps=_steps(request.lines))
    if isinstance(request, fulfillment_pb2.PickFulfillmentRequest):
        return found
    return replace(
        found,
        tracking_number=request.tracking_number.strip(),
        carrier=request.carrier.strip(),
    )


def _steps(lines: Sequence[fulfillment_pb2.FulfillmentStep]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (line.line_id, quantity(line.quantity, f"lines[{index}].quantity"))
        for index, line in enumerate(lines)
    )


def fulfillment_changed(found: Fulfillment) -> events_pb2.FulfillmentChanged:
    """What the feed tells of a fulfillment."""
    return events_pb2.FulfillmentChanged(
        fulfillment_id=found.fulfillment_id,
        channel_id=found.channel_id,
        order_id=found.order_id,
        version=found.version,
    )
