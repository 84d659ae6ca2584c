"""What a channel may sell: what each outlet gives to it, and why not more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from services.chassis.errors import DomainError
from services.chassis.values import value
from services.inventory.rules.channels import Channel, OutletPolicy
from services.inventory.rules.stock import UNIT, Level, Place, text

CHANGES_SHOWN_MAX = 1000
"""Changed figures that an impact lists."""


class Limit(IntEnum):
    """Why an outlet gives less than it has; numbers as in the contract (`TermLimit`)."""

    UNSPECIFIED = 0
    NOT_CONNECTED = 1
    DRAINING = 2
    SILENT = 3
    OWES = 4


class EditOutcome(IntEnum):
    """What becomes of a level that was typed in a store; numbers as in the contract."""

    UNCHANGED = 1
    RESTORED = 2
    ADJUSTED = 3
    IN_FLIGHT = 4


@value(frozen=True, slots=True)
class Online:
    """What a channel may sell of an item; version 0 was never anything but zero."""

    channel_id: str
    item_id: str
    quantity: int = 0
    version: int = 0
    update_time: datetime | None = None


Buffers = Mapping[tuple[str, str], int]
"""What is kept back from a channel, by (outlet, item); an empty one means each."""


@dataclass(frozen=True, slots=True)
class KeptBack:
    """A buffer as it stands; an empty outlet or item means each (BEY-05)."""

    channel_id: str
    outlet_id: str
    item_id: str
    quantity: int
    update_time: datetime


@dataclass(frozen=True, slots=True)
class HeldStock:
    """A part of an item that a reservation still holds at an outlet."""

    outlet_id: str
    reservation_id: str
    cause: str
    quantity: int
    posted: bool


@dataclass(frozen=True, slots=True)
class StockEdit:
    """A level that was typed in a store (INV-10)."""

    channel_id: str
    item_id: str
    own_quantity: int
    store_quantity: int
    outcome: EditOutcome
    record_time: datetime


@dataclass(frozen=True, slots=True)
class Source:
    """An outlet that gives stock to a channel, as far as that is the same for all items."""

    outlet_id: str
    buffer: int
    """What is kept back there of an item that has no buffer of its own."""
    at_most: int | None
    """What it gives at most of an item; None: all."""


@dataclass(frozen=True, slots=True)
class Feed:
    """How outlets feed a channel. The one place that says what an outlet gives: figures, their
    recalculation, explanations and promises all come from here.
    """

    channel: Channel
    buffers: Buffers
    """Those of the items asked for, and those of each item."""

    def figure(self, item_id: str, levels: Mapping[Place, Level]) -> int:
        """Whole units that may be sold of an item, from its levels at the connected outlets
        (INV-04, INV-13).

        An outlet that owes stock gives nothing, and takes nothing from the others.
        """
        channel = self.channel
        limited = self.buffers or channel.draining_outlet_ids or channel.silent_outlet_ids
        total = 0
        for outlet_id in channel.connected_outlet_ids:
            level = levels.get((item_id, outlet_id))
            if level is None:
                continue
            if limited:
                total += self.given(level)[0]
            elif level.on_hand > level.reserved:
                total += level.on_hand - level.reserved
        return total // UNIT

    def given(self, level: Level) -> tuple[int, Limit]:
        """What an outlet gives of an item, in thousandths, and what limits it.

        Of what is available the most specific buffer is kept back (BEY-05); a draining outlet
        gives nothing (BEY-06), a silent one what the policies say at most (BEY-12).
        """
        outlet_id, channel = level.outlet_id, self.channel
        if outlet_id not in channel.connected_outlet_ids:
            return 0, Limit.NOT_CONNECTED
        if outlet_id in channel.draining_outlet_ids:
            return 0, Limit.DRAINING
        left = self._left(level)
        if outlet_id in channel.silent_outlet_ids:
            return min(left, channel.policies.silent_quantity), Limit.SILENT
        return left, Limit.OWES if level.on_hand < level.reserved else Limit.UNSPECIFIED

    def promised(self, level: Level) -> int:
        """What an online order may take at an outlet: what it gives to the channel (INV-14).

        An outlet that does not feed the channel is only asked when the order's method is tied to
        it; it then gives what is available, less the buffer. A till is never asked.
        """
        given, limit = self.given(level)
        return self._left(level) if limit is Limit.NOT_CONNECTED else given

    def buffer(self, item_id: str, outlet_id: str) -> tuple[tuple[str, str] | None, int]:
        """The key of the most specific buffer for an item at an outlet, and what it keeps back.

        Outlet and item, item, outlet, channel, in this order (BEY-05).
        """
        for key in ((outlet_id, item_id), ("", item_id), (outlet_id, ""), ("", "")):
            if key in self.buffers:
                return key, self.buffers[key]
        return None, 0

    def sources(self) -> list[Source]:
        """The outlets that give, for a recalculation of many items at once."""
        channel = self.channel
        return [
            Source(
                outlet_id,
                self.buffer("", outlet_id)[1],
                channel.policies.silent_quantity
                if outlet_id in channel.silent_outlet_ids
                else None,
            )
            for outlet_id in channel.connected_outlet_ids
            if outlet_id not in channel.draining_outlet_ids
        ]

    def _left(self, level: Level) -> int:
        if not self.buffers:
            return level.available
        return max(0, level.available - self.buffer(level.item_id, level.outlet_id)[1])


@dataclass(frozen=True, slots=True)
class Term:
    """What one outlet gives to a figure, and how that comes about."""

    level: Level
    buffer: int
    """What of that which is available is kept back."""
    buffer_key: tuple[str, str] | None
    """The buffer that decides, by (outlet, item)."""
    given: int
    limit: Limit
    heard_time: datetime | None = None
    """When anything was last told of the outlet."""
    silent_time: datetime | None = None
    """Since when it has been silent for too long; None where that does not limit it."""


def explain(
    feed: Feed, levels: Iterable[Level], heard: Mapping[str, datetime | None]
) -> list[Term]:
    """The terms of a figure, one per level (BEY-02): the whole units of their sum. `heard` is when
    anything was last told of each outlet.
    """
    too_long = timedelta(seconds=feed.channel.policies.silent_after_s)
    terms = []
    for level in levels:
        key, quantity = feed.buffer(level.item_id, level.outlet_id)
        given, limit = feed.given(level)
        last = heard.get(level.outlet_id)
        silent_time = last + too_long if last and limit is Limit.SILENT else None
        buffer = min(quantity, level.available)
        terms.append(Term(level, buffer, key, given, limit, last, silent_time))
    return terms


def sentences(
    feed: Feed, terms: Sequence[Term], figure: Online, names: Mapping[str, str], *, tracked: bool
) -> str:
    """An explanation in plain words (BEY-02); `names` are the outlets'."""
    total = sum(term.given for term in terms)
    told = [_term_sentence(term, names) for term in terms]
    if not tracked:
        return "Stock of this item is not tracked: it is sold without limit."
    if not terms:
        told.append("There is no outlet.")
    told.append(f"That is {text(total)} in all, {total // UNIT} in whole units.")
    if feed.channel.stands_still:
        told.append(
            f"The channel's figures stand still, since update_inventory is off: the store shows"
            f" {figure.quantity}; switched on again it will show {total // UNIT}."
        )
    elif total < UNIT:
        told.append(f"The store shows {feed.channel.policies.out_of_stock_label!r}.")
    return " ".join(told)


def _term_sentence(term: Term, names: Mapping[str, str]) -> str:
    level = term.level
    name = names.get(level.outlet_id) or level.outlet_id
    has = f"{name} has {text(level.on_hand)}"
    if level.reserved:
        has += f", {text(level.reserved)} of it held for orders"
    if term.limit is Limit.NOT_CONNECTED:
        return f"{has}, and does not feed this channel."
    if term.limit is Limit.DRAINING:
        return f"{has}, and is being disconnected: it gives nothing new."
    if term.buffer:
        has += f", {text(term.buffer)} kept back for the shop"
    if term.limit is Limit.SILENT:
        gives = f"gives {text(term.given)} until it is heard of again"
        if term.heard_time is None or term.silent_time is None:
            return f"{has}; it has been silent for too long and {gives}."
        return (
            f"{has}; nothing was heard of it since {_moment(term.heard_time)}, so since"
            f" {_moment(term.silent_time)} it {gives}."
        )
    if term.limit is Limit.OWES:
        return f"{has}; it owes stock and gives nothing."
    return f"{has}, and gives {text(term.given)}."


def _moment(time: datetime) -> str:
    """A time as people read it, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


class Change(NamedTuple):
    """A figure that is another one now."""

    item_id: str
    before: int
    after: int
    version: int
    """The next one of the figure."""
    tracked: bool = True
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change of a channel does to its figures (BEY-03)."""

    changes: Sequence[Change] = ()
    """All of them, by item."""
    reservations: int = 0
    """Open ones that hold stock at outlets that no longer feed the channel, or drain."""
    causes: Sequence[str] = ()
    """What the first of them are for."""


def outlets_left(before: Channel, after: Channel) -> list[str]:
    """The outlets that no longer feed a channel after a change, or that drain then."""
    left = [one for one in before.connected_outlet_ids if one not in after.connected_outlet_ids]
    return [*left, *after.draining_outlet_ids]


def heard_time(channel: Channel, heard: Mapping[str, datetime | None]) -> datetime | None:
    """When anything was last told of the outlet that feeds the channel and has been silent longest
    (BEY-12); None when one was never heard of, or none feeds it.
    """
    times = [
        heard.get(outlet_id)
        for outlet_id in channel.connected_outlet_ids
        if outlet_id not in channel.draining_outlet_ids
    ]
    known = [moment for moment in times if moment is not None]
    return min(known) if known and len(known) == len(times) else None


def judge_edit(
    feed: Feed, figure: Online, store_quantity: int, version: int, *, tracked: bool
) -> EditOutcome:
    """What becomes of a level that a store shows (INV-10).

    Args:
        feed: of the channel.
        figure: as it is now.
        store_quantity: what the store shows, in whole units.
        version: of the figure that was last written to the store; with a newer one on its way the
            difference is no edit.
        tracked: whether the item's stock is.
    """
    if not tracked or feed.channel.stands_still or store_quantity == figure.quantity:
        return EditOutcome.UNCHANGED
    if version < figure.version:
        return EditOutcome.IN_FLIGHT
    accepted = feed.channel.policies.accept_store_stock_edits
    return EditOutcome.ADJUSTED if accepted else EditOutcome.RESTORED


def edited_outlet(channel: Channel) -> str:
    """Where an accepted edit of a store adjusts stock: the primary outlet, or the register's.

    Raises:
        DomainError: REGISTER_MISSING.
    """
    if channel.policies.outlets is OutletPolicy.PRIMARY:
        return channel.primary_outlet_id
    if not channel.register_outlet_id:
        raise DomainError(
            "REGISTER_MISSING",
            "the channel has no register at whose outlet the edit could be taken; set one by"
            " SetRegister",
            channel_id=channel.channel_id,
        )
    return channel.register_outlet_id


def label(quantity: int, out_of_stock_label: str, *, tracked: bool) -> str:
    """What the store shows beside an item: the channel's label when nothing is left (INV-06)."""
    return out_of_stock_label if tracked and quantity <= 0 else ""
