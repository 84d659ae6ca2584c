"""Drift of orders as messages and as values."""

from collections.abc import Iterable

from services.order.rules.document import FulfillmentStatus, PaymentStatus
from services.order.rules.drift import Drift, Remedy, Seen, State
from services.order.wire.scalars import optional_time, time_message
from tillbridge.order.v1 import drift_pb2 as pb
from tillbridge.order.v1 import order_pb2


def seen(request: order_pb2.ReportOrderChangeRequest) -> Seen | None:
    """What a store was seen to have; None where nobody has looked.

    Raises:
        DomainError: INVALID_FIELD; a time is none.
    """
    if not request.HasField("seen"):
        return None
    told = request.seen
    return Seen(
        gone=told.gone,
        version=told.version,
        payment_status=PaymentStatus(told.payment_status) if told.payment_status else None,
        fulfillment_status=FulfillmentStatus(told.fulfillment_status),
        change_time=optional_time(told, "change_time", "seen.change_time"),
    )


def state(request: pb.ListOrderDriftRequest) -> State | None:
    """The state that is asked for; None for any."""
    return State(request.state) if request.state else None


def messages(found: Iterable[tuple[Drift, Remedy]]) -> list[pb.OrderDrift]:
    """Drift, each with what heals it."""
    return [_message(drift, remedy) for drift, remedy in found]


def _message(drift: Drift, remedy: Remedy) -> pb.OrderDrift:
    return pb.OrderDrift(
        channel_id=drift.key.channel_id,
        order_id=drift.key.order_id,
        field=pb.OrderDriftField.ValueType(drift.field),
        own_value=drift.found.own_value,
        store_value=drift.found.store_value,
        cause=pb.OrderDriftCause.ValueType(drift.found.cause),
        state=pb.OrderDriftState.ValueType(drift.state),
        remedy=pb.OrderDriftRemedy.ValueType(remedy),
        observe_time=time_message(drift.observe_time),
        last_observe_time=time_message(drift.last_observe_time),
        heal_time=time_message(drift.heal_time),
        times=drift.times,
    )
