"""Stock on the wire."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import invalid
from services.inventory.rules.allocation import Allocation, Line
from services.inventory.rules.reservations import Reservation
from services.inventory.rules.stock import (
    UNIT,
    Count,
    Entry,
    Kind,
    Level,
    text,
)
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.inventory.v1 import events_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=16_384)  # most are small
def quantity(decimal: str) -> int:
    """Decimal text, which the contract has checked, in thousandths."""
    units, _, rest = decimal.lstrip("-").partition(".")
    thousandths = int(units) * UNIT + int(rest.ljust(3, "0"))
    return -thousandths if decimal.startswith("-") else thousandths


@lru_cache(maxsize=4096)  # the levels of a call share their times
def time(moment: datetime | None) -> Timestamp | None:
    """A time, absent when there is none. To be copied into a message, not changed."""
    if moment is None:
        return None
    # By hand, since Timestamp.FromDatetime takes five times as long and every level has a time.
    seconds, rest = divmod(moment - _EPOCH, _SECOND)
    return Timestamp(seconds=seconds, nanos=rest.microseconds * 1000)


_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def page_time(key: int) -> datetime:
    """The time in a page token, which anybody can make up, as a time that there is."""
    return _EPOCH + timedelta(microseconds=min(abs(key), page_key(_LAST)))


def page_key(when: datetime) -> int:
    """A time as a part of a page token: microseconds since 1970."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def moment(request: pb.AdjustStockRequest | pb.Count, now: datetime) -> datetime:
    """When it was observed; now when the caller does not say.

    Nothing was observed later than it arrived: a clock that is ahead would otherwise make every
    later count of the level lose until that time has come.

    Raises:
        DomainError: INVALID_FIELD.
    """
    if not request.HasField("observe_time"):
        return now
    return min(_datetime(request.observe_time, "observe_time"), now)


def as_of(request: pb.GetStockLevelRequest | pb.ListStockLevelsRequest) -> datetime | None:
    """The past time that is asked about; None: now.

    Raises:
        DomainError: INVALID_FIELD.
    """
    if not request.HasField("as_of_time"):
        return None
    return _datetime(request.as_of_time, "as_of_time")


def _datetime(told: Timestamp, field: str) -> datetime:
    try:
        return told.ToDatetime(tzinfo=UTC)
    except (OverflowError, ValueError) as error:
        raise invalid(field, "must lie between the years 1 and 9999") from error


def counts(request: pb.RecordCountsRequest, now: datetime) -> list[Count]:
    """The counts of a call."""
    found = []
    for told in request.counts:
        when = moment(told, now)
        place = (told.item_id, told.outlet_id)
        found.append(Count(*place, quantity(told.quantity), told.version, when, when < now))
    return found


def lines(request: pb.ReserveStockRequest | pb.TakeStockRequest) -> list[Line]:
    """The lines of what is to be held, or taken."""
    return [Line(line.line_id, line.item_id, quantity(line.quantity)) for line in request.lines]


def allocations(request: pb.CommitReservationRequest) -> list[Allocation]:
    """What the caller takes to be held."""
    return [
        Allocation(one.line_id, one.item_id, one.outlet_id, quantity(one.quantity))
        for one in request.allocations
    ]


def level(value: Level) -> pb.StockLevel:
    """A level."""
    told = pb.StockLevel()
    put_level(told, value)
    return told


def put_level(told: pb.StockLevel, value: Level) -> None:
    """A level, into a message where it belongs: to make one and to copy it takes twice as long."""
    told.item_id = value.item_id
    told.outlet_id = value.outlet_id
    told.on_hand = text(value.on_hand)
    told.reserved = text(value.reserved)
    told.available = text(value.available)
    told.version = value.version
    told.in_transit = text(value.in_transit)
    if observe_time := time(value.observe_time):
        told.observe_time.CopyFrom(observe_time)


def past_level(value: Level) -> pb.StockLevel:
    """A level of the past, of which the ledger tells what was on hand and no more."""
    return pb.StockLevel(
        item_id=value.item_id,
        outlet_id=value.outlet_id,
        on_hand=text(value.on_hand),
        observe_time=time(value.observe_time),
    )


def movement(entry: Entry) -> pb.Movement:
    """A row of the ledger."""
    moved = entry.movement
    return pb.Movement(
        movement_id=entry.movement_id,
        item_id=moved.item_id,
        outlet_id=moved.outlet_id,
        kind=_kind(moved.kind),
        quantity=text(moved.quantity),
        on_hand=text(moved.on_hand),
        cause=entry.cause.text,
        request_id=entry.cause.request_id,
        observe_time=time(moved.observe_time),
        record_time=time(entry.record_time),
        reason=pb.AdjustmentReason.ValueType(moved.reason),
    )


def _kind(kind: Kind) -> pb.MovementKind.ValueType:
    return pb.MovementKind.ValueType(kind)


def reservation(value: Reservation) -> pb.Reservation:
    """A reservation."""
    return pb.Reservation(
        reservation_id=value.reservation_id,
        channel_id=value.channel_id,
        cause=value.cause,
        state=pb.ReservationState.ValueType(value.state),
        allocations=[
            pb.Allocation(
                line_id=given.line_id,
                item_id=given.item_id,
                outlet_id=given.outlet_id,
                quantity=text(given.quantity),
            )
            for given in value.allocations
        ],
        expire_time=time(value.expire_time),
        explanation=value.explanation,
    )


def reservation_changed(value: Reservation, incident_id: str) -> events_pb2.ReservationChanged:
    """That an incident was dealt with."""
    return events_pb2.ReservationChanged(reservation=reservation(value), incident_id=incident_id)


def item_rows(
    merchant: str, told: catalog_events_pb2.ProductChanged
) -> Iterable[dict[str, str | int | bool]]:
    """The rows of `items` that the catalog tells of a product."""
    return (
        {
            "merchant_id": merchant,
            "item_id": item.item_id,
            "product_id": told.product_id,
            "tracked": item.track_inventory,
            "deleted": False,
            "revision": told.revision,
        }
        for item in told.items
    )
