"""Online stock on the wire: figures, what changes them, and how they come about."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from services.inventory.rules.channels import Channel
from services.inventory.rules.online import (
    CHANGES_SHOWN_MAX,
    Change,
    EditOutcome,
    HeldStock,
    Impact,
    KeptBack,
    Online,
    StockEdit,
    Term,
    label,
)
from services.inventory.rules.stock import Entry, Item, text
from services.inventory.wire.stock import movement, time
from tillbridge.inventory.v1 import events_pb2, impact_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb


def online_stock(
    figure: Online, item: Item, channel: Channel, heard_time: datetime | None
) -> pb.OnlineStock:
    """What a channel may sell, with its label, and when its outlets were last heard of."""
    told = pb.OnlineStock()
    put_online_stock(told, figure, item, channel, heard_time)
    return told


def put_online_stock(
    told: pb.OnlineStock, figure: Online, item: Item, channel: Channel, heard_time: datetime | None
) -> None:
    """The same, into a message where it belongs: to make one and to copy it takes twice as long."""
    left = figure.quantity if item.tracked else 0
    told.channel_id = channel.channel_id
    told.item_id = item.item_id
    told.quantity = left
    told.label = label(left, channel.policies.out_of_stock_label, tracked=item.tracked)
    told.unlimited = not item.tracked
    told.version = figure.version
    if update_time := time(figure.update_time):
        told.update_time.CopyFrom(update_time)
    if heard := time(heard_time):
        told.heard_time.CopyFrom(heard)


def online_stock_changed(figure: Online, *, tracked: bool) -> events_pb2.OnlineStockChanged:
    """The event that a figure is different."""
    return events_pb2.OnlineStockChanged(
        channel_id=figure.channel_id,
        item_id=figure.item_id,
        quantity=figure.quantity if tracked else 0,
        unlimited=not tracked,
        version=figure.version,
    )


def changes_told(
    channel_id: str, changes: Iterable[Change]
) -> Iterator[tuple[str, events_pb2.OnlineStockChanged]]:
    """The events that recalculated figures are different, of items that the catalog has, each with
    its subject: there may be a million, so that it is one message, filled in anew each time.
    """
    told = events_pb2.OnlineStockChanged(channel_id=channel_id)
    for item_id, _, after, version, tracked, deleted in changes:
        if deleted:
            continue
        told.item_id = item_id
        told.quantity = after if tracked else 0
        told.unlimited = not tracked
        told.version = version
        yield f"item/{item_id}", told


def impact(value: Impact) -> impact_pb2.Impact:
    """What a change of a channel does."""
    changes = value.changes
    differences = [one.after - one.before for one in changes]
    units_added = sum(units for units in differences if units > 0)
    return impact_pb2.Impact(
        changed_items=len(changes),
        sold_out_items=[one.after for one in changes].count(0),
        restored_items=[one.before for one in changes].count(0),
        units_added=units_added,
        units_removed=units_added - sum(differences),
        changes=[
            impact_pb2.FigureChange(item_id=one.item_id, before=one.before, after=one.after)
            for one in changes[:CHANGES_SHOWN_MAX]
        ],
        affected_reservations=value.reservations,
        affected_causes=value.causes,
    )


def buffer(value: KeptBack) -> impact_pb2.Buffer:
    """What is kept back."""
    return impact_pb2.Buffer(
        channel_id=value.channel_id,
        outlet_id=value.outlet_id,
        item_id=value.item_id,
        quantity=text(value.quantity),
        update_time=time(value.update_time),
    )


def term(
    value: Term,
    *,
    holds: Iterable[HeldStock],
    rule: KeptBack | None,
    last: Entry | None,
) -> pb.OnlineStockTerm:
    """What one outlet gives to a figure, with what moved it last."""
    level = value.level
    return pb.OnlineStockTerm(
        outlet_id=level.outlet_id,
        on_hand=text(level.on_hand),
        reserved=text(level.reserved),
        holds=[
            pb.HeldStock(
                reservation_id=held.reservation_id,
                cause=held.cause,
                quantity=text(held.quantity),
                posted=held.posted,
            )
            for held in holds
        ],
        available=text(level.available),
        buffer=text(value.buffer),
        buffer_rule=buffer(rule) if rule else None,
        given=text(value.given),
        limit=pb.TermLimit.ValueType(value.limit),
        last_movement=movement(last) if last else None,
        observe_time=time(level.observe_time),
        heard_time=time(value.heard_time),
        silent_time=time(value.silent_time),
    )


def outcome(value: EditOutcome) -> pb.StockEditOutcome.ValueType:
    """What became of an edit."""
    return pb.StockEditOutcome.ValueType(value)


def edit(value: StockEdit) -> pb.StockEdit:
    """A level that was typed in a store."""
    return pb.StockEdit(
        channel_id=value.channel_id,
        item_id=value.item_id,
        own_quantity=value.own_quantity,
        store_quantity=value.store_quantity,
        outcome=outcome(value.outcome),
        record_time=time(value.record_time),
    )
