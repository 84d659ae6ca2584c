"""Fulfillments as messages."""

from services.order.rules.fulfillment import Fulfillment
from services.order.wire.scalars import quantity_text, time_message
from tillbridge.order.v1 import fulfillment_pb2
from tillbridge.order.v1 import order_pb2 as pb


def fulfillment_message(found: Fulfillment) -> fulfillment_pb2.Fulfillment:
    """A fulfillment as a message."""
    return fulfillment_pb2.Fulfillment(
        fulfillment_id=found.fulfillment_id,
        channel_id=found.channel_id,
        order_id=found.order_id,
        sale_id=found.sale_id,
        outlet_id=found.outlet_id,
        kind=pb.FulfillmentKind.ValueType(found.kind),
        state=fulfillment_pb2.FULFILLMENT_STATE_NEW,
        lines=[
            fulfillment_pb2.FulfillmentLine(
                line_id=line.line_id, item_id=line.item_id, quantity=quantity_text(line.quantity)
            )
            for line in found.lines
        ],
        create_time=time_message(found.create_time),
    )
