"""Transfers on the wire."""

from collections.abc import Iterable
from datetime import datetime
from uuid import uuid4

from services.chassis.errors import invalid
from services.inventory.rules.stock import text
from services.inventory.rules.transfers import Line, State, Transfer
from services.inventory.wire.stock import quantity, time
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.inventory.v1 import transfers_pb2 as pb


def quantities(lines: Iterable[inventory_pb2.TransferLine]) -> list[tuple[str, int]]:
    """What moves, as (item, quantity).

    Raises:
        DomainError: INVALID_FIELD; the contract refuses `0`, this refuses `0.0` too.
    """
    found = [(line.item_id, quantity(line.quantity)) for line in lines]
    if not all(amount for _, amount in found):
        raise invalid("quantity", "must not be zero")
    return found


def sent(request: pb.SendTransferRequest, now: datetime) -> Transfer:
    """The transfer that is asked for, under a new id."""
    return Transfer(
        f"tr-{uuid4().hex}",
        request.from_outlet_id,
        request.to_outlet_id,
        State.SENT,
        tuple(Line(*line) for line in quantities(request.lines)),
        request.cause,
        now,
        now,
    )


def transfer(value: Transfer) -> pb.Transfer:
    """A transfer."""
    return pb.Transfer(
        transfer_id=value.transfer_id,
        from_outlet_id=value.from_outlet_id,
        to_outlet_id=value.to_outlet_id,
        state=pb.TransferState.ValueType(value.state),
        lines=[
            pb.TransferredLine(
                item_id=line.item_id,
                sent=text(line.sent),
                received=text(line.received),
                returned=text(line.returned),
                lost=text(line.lost),
                in_transit=text(line.in_transit),
            )
            for line in value.lines
        ],
        cause=value.cause,
        create_time=time(value.create_time),
        update_time=time(value.update_time),
    )
