"""Levels, movements and holds: what changes them, and what a channel may sell of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import DomainError

UNIT = 1000
"""Thousandths in one unit."""
QUANTITY_MAX = 10**12 * UNIT
"""A level stays below this, far from what a 64-bit column holds, so that sums of levels fit too."""


class Kind(IntEnum):
    """Why stock moved; the numbers are the contract's (`MovementKind`)."""

    COUNT = 1
    ADJUSTMENT = 2
    RECEIPT = 3
    TRANSFER_OUT = 4
    TRANSFER_IN = 5
    POS_SALE = 6
    POS_RETURN = 7
    ONLINE_SALE = 8


@dataclass(frozen=True, slots=True)
class Item:
    """An item as the catalog tells it."""

    item_id: str
    tracked: bool = True
    """INV-01: unless the catalog says otherwise."""
    deleted: bool = False
    """Whether the catalog has it no more; what is held of it can still be ended."""


@dataclass(frozen=True, slots=True)
class Level:
    """What an outlet has of an item."""

    item_id: str
    outlet_id: str
    on_hand: int = 0
    reserved: int = 0
    version: int = 0
    """Of the last count that had one."""
    observe_time: datetime | None = None
    """Of the last movement or count."""

    @property
    def available(self) -> int:
        """What may still be promised; an outlet that owes has nothing (INV-13)."""
        return max(0, self.on_hand - self.reserved)


@dataclass(frozen=True, slots=True)
class Hold:
    """A part of a reservation that an outlet still keeps back."""

    reservation_id: str
    line_id: str
    item_id: str
    outlet_id: str
    quantity: int
    pos_version: int | None = None
    """Version of the posted sale; a level that is newer includes the sale."""


@dataclass(frozen=True, slots=True)
class Count:
    """A level that somebody counted or the point of sale told."""

    item_id: str
    outlet_id: str
    quantity: int
    version: int
    observe_time: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """A row of the ledger, before it has its number."""

    item_id: str
    outlet_id: str
    kind: Kind
    quantity: int
    on_hand: int
    observe_time: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger, as it stands for good."""

    movement_id: int
    movement: Movement
    cause: "Cause"
    record_time: datetime


@dataclass(frozen=True, slots=True)
class Online:
    """What a channel may sell of an item; version 0 was never anything but zero."""

    channel_id: str
    item_id: str
    quantity: int = 0
    version: int = 0
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """What is written beside each movement of a call."""

    text: str
    request_id: str


Place = tuple[str, str]
"""(item, outlet)."""


@dataclass(slots=True)
class Stock:
    """What decisions about one merchant's stock are made from, and what they have changed so far.

    A decision works on a `draft()` and is taken over by `accept()`: one that is refused half-way
    leaves no trace.
    """

    items: Mapping[str, Item]
    outlets: frozenset[str]
    levels: dict[Place, Level]
    posted: dict[Place, tuple[Hold, ...]]
    """Holds that wait for a level that includes their sale."""

    def draft(self) -> "Draft":
        """An empty set of changes on top of what is known."""
        return Draft(self)

    def accept(self, draft: "Draft") -> None:
        """Takes a decision over."""
        self.levels.update(draft.levels)
        self.posted.update(draft.posted)

    def find(self, item_id: str, outlet_id: str) -> Level:
        """The level at a place where something may be; zero when nothing was ever there.

        Raises:
            DomainError: ITEM_NOT_FOUND, OUTLET_NOT_FOUND.
        """
        item = self.items.get(item_id)
        if item is None or item.deleted:
            raise DomainError(
                "ITEM_NOT_FOUND",
                f"the catalog has no item {item_id!r}; send its product first",
                item_id=item_id,
            )
        if outlet_id not in self.outlets:
            raise DomainError(
                "OUTLET_NOT_FOUND",
                f"there is no outlet {outlet_id!r}; create it first",
                outlet_id=outlet_id,
            )
        return self.levels.get((item_id, outlet_id)) or Level(item_id, outlet_id)


@dataclass(slots=True)
class Draft:
    """The changes of one decision."""

    stock: Stock
    levels: dict[Place, Level] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    posted: dict[Place, tuple[Hold, ...]] = field(default_factory=dict)
    ended: list[Hold] = field(default_factory=list)

    def level(self, item_id: str, outlet_id: str) -> Level:
        """The level as this decision has left it so far."""
        return self.levels.get((item_id, outlet_id)) or self.stock.find(item_id, outlet_id)

    def held(self, hold: Hold) -> Level:
        """The level that a hold is kept back from, also where its item was deleted meanwhile."""
        place = (hold.item_id, hold.outlet_id)
        return self.levels.get(place) or self.stock.levels[place]

    def put(self, level: Level) -> None:
        """Leaves a level as given."""
        if abs(level.on_hand) >= QUANTITY_MAX or level.reserved >= QUANTITY_MAX:
            raise DomainError(
                "QUANTITY_OUT_OF_RANGE",
                f"item {level.item_id!r} would have more than a level can hold,"
                f" {QUANTITY_MAX // UNIT - 1}",
                item_id=level.item_id,
            )
        self.levels[level.item_id, level.outlet_id] = level

    def move(self, level: Level, kind: Kind, quantity: int, observe_time: datetime) -> Level:
        """Adds a movement to the ledger and its quantity to the level."""
        moved = replace(
            level,
            on_hand=level.on_hand + quantity,
            observe_time=max(level.observe_time or observe_time, observe_time),
        )
        self.put(moved)
        self.note(moved, kind, quantity, observe_time)
        return moved

    def note(self, moved: Level, kind: Kind, quantity: int, observe_time: datetime) -> None:
        """Adds to the ledger the movement that has led to this level."""
        self.movements.append(
            Movement(moved.item_id, moved.outlet_id, kind, quantity, moved.on_hand, observe_time)
        )

    def waiting(self, place: Place) -> tuple[Hold, ...]:
        """The posted holds at a place."""
        held = self.posted.get(place)
        return self.stock.posted.get(place, ()) if held is None else held


def count(draft: Draft, told: Count) -> bool:
    """Records a count; tells whether the level is different now (INV-02).

    Older counts lose: by version where both have one, else by the time of observation. A newer
    count that says what is known only moves the version. A version that is newer than a posted
    sale's is the evidence that the sale is in the level: its hold ends.
    """
    level = draft.level(told.item_id, told.outlet_id)
    if _older(level, told):
        return False
    difference = told.quantity - level.on_hand
    level = Level(
        level.item_id,
        level.outlet_id,
        told.quantity,
        level.reserved,
        max(level.version, told.version),
        max(level.observe_time or told.observe_time, told.observe_time),
    )
    draft.put(level)
    if difference:
        draft.note(level, Kind.COUNT, difference, told.observe_time)
    return end_included_holds(draft, level) or difference != 0


def _older(level: Level, told: Count) -> bool:
    if told.version and level.version:
        return told.version <= level.version
    return level.observe_time is not None and told.observe_time < level.observe_time


def end_included_holds(draft: Draft, level: Level) -> bool:
    """Ends the posted holds whose sale the level includes; tells whether there were any."""
    place = (level.item_id, level.outlet_id)
    waiting = draft.waiting(place)
    if not waiting:
        return False
    included = [hold for hold in waiting if _includes(level, hold)]
    if not included:
        return False
    draft.posted[place] = tuple(hold for hold in waiting if hold not in included)
    draft.ended.extend(included)
    freed = sum(hold.quantity for hold in included)
    draft.put(replace(level, reserved=level.reserved - freed))
    return True


def _includes(level: Level, hold: Hold) -> bool:
    return hold.pos_version is not None and level.version > hold.pos_version


def adjust(draft: Draft, place: Place, kind: Kind, quantity: int, now: datetime) -> Level:
    """Adds to or takes from a level (INV-02); it may go below zero (INV-13)."""
    return draft.move(draft.level(*place), kind, quantity, now)


def transfer(
    draft: Draft, item_id: str, outlets: tuple[str, str], quantity: int, now: datetime
) -> tuple[Level, Level]:
    """Moves stock from the first outlet to the second; the sum stays (INV-02)."""
    sent = adjust(draft, (item_id, outlets[0]), Kind.TRANSFER_OUT, -quantity, now)
    return sent, adjust(draft, (item_id, outlets[1]), Kind.TRANSFER_IN, quantity, now)


def online_quantity(levels: Iterable[Level]) -> int:
    """Whole units that may be sold from these levels, of one item (INV-04, INV-13).

    Each outlet gives what is available there; one that owes stock gives nothing, and takes nothing
    from the others.
    """
    return sum(level.available for level in levels) // UNIT


def online_changes(
    stock: Stock, touched: Iterable[str], connected: Sequence[str], known: Mapping[str, int]
) -> dict[str, int]:
    """What a channel may sell now, of those touched items whose figure is different.

    Args:
        stock: after all decisions.
        touched: items whose levels may have changed.
        connected: outlets that feed the channel.
        known: the figures as they were; an absent one was zero.
    """
    changes = {}
    for item_id in touched:
        levels = (stock.levels.get((item_id, outlet_id)) for outlet_id in connected)
        quantity = online_quantity(level for level in levels if level)
        if quantity != known.get(item_id, 0):
            changes[item_id] = quantity
    return changes


def text(quantity: int) -> str:
    """Thousandths as people and the wire write them: `7`, `7.5`, `-2`."""
    sign, units, rest = "-" if quantity < 0 else "", *divmod(abs(quantity), UNIT)
    return f"{sign}{units}" + (f".{rest:03}".rstrip("0") if rest else "")


def label(quantity: int, out_of_stock_label: str, *, tracked: bool) -> str:
    """What the store shows beside an item: the channel's label when nothing is left (INV-06)."""
    return out_of_stock_label if tracked and quantity <= 0 else ""
