"""Levels, movements and holds, and what changes them.

Counts are absolute and deltas are not, and both come late, twice and in any order. What a level is
then, wherever that has an answer (BEY-08):

- A delta counts once, by its request id, which the chassis remembers.
- Where the point of sale gives versions, they alone order its counts: the highest wins. Deltas
  beside them are taken in as they come, since nothing says which version includes them.
- Where counts and deltas come with the time they were observed, the latest count wins, and a level
  is that count and every delta that was observed at its time or later. An older delta that comes
  behind it is in the ledger, with a row that takes it out again: the count has seen its effect.
- What comes without a time is ordered by its arrival, as nothing else is known of it.

The order of arrival decides, since there is nothing else, only where some counts of a place come
with a version and others with a time alone: three can each be newer than the next, in a circle.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache

from services.chassis.errors import DomainError
from services.chassis.values import value

UNIT = 1000
"""Thousandths in one unit."""
QUANTITY_MAX = 10**12 * UNIT
"""A level stays below this, far from what a 64-bit column holds, so that sums of levels fit too."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When a level was counted that never was: before any count."""


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
    RESTOCK = 9
    CORRECTION = 10


class Reason(IntEnum):
    """Why stock was adjusted by hand; the numbers are the contract's (`AdjustmentReason`)."""

    UNSPECIFIED = 0
    DAMAGE = 1
    THEFT = 2
    FOUND = 3
    LOSS = 4
    INTERNAL_USE = 5
    EXPIRED = 6
    STORE_EDIT = 7


@value(frozen=True, slots=True)
class Item:
    """An item as the catalog tells it."""

    item_id: str
    tracked: bool = True
    """INV-01: unless the catalog says otherwise."""
    deleted: bool = False
    """Whether the catalog has it no more; what is held of it can still be ended."""


@value(frozen=True, slots=True)
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
    in_transit: int = 0
    """What is on its way here by transfers; promised to nobody."""
    count_time: datetime | None = NEVER
    """When the last count was observed; None when a version or its arrival has decided for it."""

    @property
    def available(self) -> int:
        """What may still be promised; an outlet that owes has nothing (INV-13)."""
        return max(0, self.on_hand - self.reserved)

    @property
    def missing(self) -> int:
        """What is promised and not there (BEY-04)."""
        return max(0, self.reserved - max(0, self.on_hand)) if self.reserved else 0


@value(frozen=True, slots=True)
class Hold:
    """A part of a reservation that an outlet still keeps back."""

    reservation_id: str
    line_id: str
    item_id: str
    outlet_id: str
    quantity: int
    pos_version: int | None = None
    """Version of the posted sale; a level that is newer includes the sale."""


@value(frozen=True, slots=True)
class Count:
    """A level that somebody counted or the point of sale told."""

    item_id: str
    outlet_id: str
    quantity: int
    version: int
    observe_time: datetime
    timed: bool = True
    """Whether the observer has told the time; else it is that of its arrival."""


@value(frozen=True, slots=True)
class Movement:
    """A row of the ledger, before it has its number."""

    item_id: str
    outlet_id: str
    kind: Kind
    quantity: int
    on_hand: int
    observe_time: datetime
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger, as it stands for good."""

    movement_id: int
    movement: Movement
    cause: "Cause"
    record_time: datetime


@value(frozen=True, slots=True)
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
    deltas: Mapping[Place, Sequence[tuple[datetime, int]]] = field(default_factory=dict)
    """Where counts come late: the deltas that may have been observed after them."""
    before: dict[Place, Level | None] = field(default_factory=dict)
    """The levels that were changed, as they were."""
    heard: dict[str, datetime | None] = field(default_factory=dict)
    """When it was last noted that something was told of each outlet."""
    holding: Collection[str] = frozenset()
    """The outlets where counts are held (BEY-10)."""

    def draft(self) -> "Draft":
        """An empty set of changes on top of what is known."""
        return Draft(self)

    def accept(self, draft: "Draft") -> None:
        """Takes a decision over."""
        for place, level in draft.levels.items():
            self.before.setdefault(place, self.levels.get(place))
            self.levels[place] = level
        self.posted.update(draft.posted)

    def item(self, item_id: str) -> Item:
        """An item that the catalog has.

        Raises:
            DomainError: ITEM_NOT_FOUND.
        """
        item = self.items.get(item_id)
        if item is None or item.deleted:
            raise DomainError(
                "ITEM_NOT_FOUND",
                f"the catalog has no item {item_id!r}; send its product first",
                item_id=item_id,
            )
        return item

    def find(self, item_id: str, outlet_id: str) -> Level:
        """The level at a place where something may be; zero when nothing was ever there.

        Raises:
            DomainError: ITEM_NOT_FOUND, OUTLET_NOT_FOUND.
        """
        self.item(item_id)
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
    gives_free: bool = False
    """Whether what has ended is just free; else the level includes its sale."""

    def level(self, item_id: str, outlet_id: str) -> Level:
        """The level as this decision has left it so far."""
        return self.levels.get((item_id, outlet_id)) or self.stock.find(item_id, outlet_id)

    def kept(self, item_id: str, outlet_id: str) -> Level:
        """A level that is known to be there, also where its item was deleted meanwhile."""
        place = (item_id, outlet_id)
        return self.levels.get(place) or self.stock.levels[place]

    def held(self, hold: Hold) -> Level:
        """The level that a hold is kept back from."""
        return self.kept(hold.item_id, hold.outlet_id)

    def put(self, level: Level) -> None:
        """Leaves a level as given.

        Raises:
            DomainError: QUANTITY_OUT_OF_RANGE.
        """
        if max(abs(level.on_hand), level.reserved, level.in_transit) >= QUANTITY_MAX:
            raise DomainError(
                "QUANTITY_OUT_OF_RANGE",
                f"item {level.item_id!r} would have more than a level can hold,"
                f" {QUANTITY_MAX // UNIT - 1}",
                item_id=level.item_id,
            )
        self.levels[level.item_id, level.outlet_id] = level

    def move(
        self,
        level: Level,
        kind: Kind,
        quantity: int,
        observe_time: datetime,
        reason: Reason = Reason.UNSPECIFIED,
    ) -> Level:
        """Adds a movement to the ledger and its quantity to the level."""
        moved = replace(
            level,
            on_hand=level.on_hand + quantity,
            observe_time=max(level.observe_time or observe_time, observe_time),
        )
        self.put(moved)
        self.note(moved, kind, quantity, observe_time, reason)
        return moved

    def note(
        self,
        moved: Level,
        kind: Kind,
        quantity: int,
        observe_time: datetime,
        reason: Reason = Reason.UNSPECIFIED,
    ) -> None:
        """Adds to the ledger the movement that has led to this level."""
        self.movements.append(
            Movement(
                moved.item_id,
                moved.outlet_id,
                kind,
                quantity,
                moved.on_hand,
                observe_time,
                reason,
            )
        )

    def waiting(self, place: Place) -> tuple[Hold, ...]:
        """The posted holds at a place."""
        held = self.posted.get(place)
        return self.stock.posted.get(place, ()) if held is None else held


def count(draft: Draft, told: Count) -> bool:
    """Records a count; tells whether the level is different now (INV-02, BEY-08).

    Older counts lose: by version where both have one, else by the time of observation. A newer
    count that says what is known only moves the version. A version that is newer than a posted
    sale's is the evidence that the sale is in the level: its hold ends.
    """
    level = draft.level(told.item_id, told.outlet_id)
    found = _counted(draft, level, told)
    if found is None:
        return False
    on_hand, count_time = found
    difference = on_hand - level.on_hand
    level = Level(
        level.item_id,
        level.outlet_id,
        on_hand,
        level.reserved,
        max(level.version, told.version),
        max(level.observe_time or told.observe_time, told.observe_time),
        level.in_transit,
        count_time,
    )
    draft.put(level)
    if difference:
        draft.note(level, Kind.COUNT, difference, told.observe_time)
    return end_included_holds(draft, level) or difference != 0


def _counted(draft: Draft, level: Level, told: Count) -> tuple[int, datetime | None] | None:
    """What is on hand after a count, and the time that later counts are compared with; None when
    the count is older than what is known.
    """
    if told.version and level.version:
        return (told.quantity, None) if told.version > level.version else None
    if not told.timed:
        return told.quantity, None
    known = level.count_time or level.observe_time
    if known is not None and told.observe_time < known:
        return None
    on_hand = told.quantity
    if waits_for_deltas(level, told):
        deltas = draft.stock.deltas.get((level.item_id, level.outlet_id), ())
        on_hand += sum(quantity for when, quantity in deltas if when >= told.observe_time)
    if told.observe_time == level.count_time:
        on_hand = min(on_hand, level.on_hand)  # of two that were told for one time, the safe one
    return on_hand, None if told.version else told.observe_time


def empties(draft: Draft, told: Count) -> bool:
    """Whether a count would leave nothing of a tracked item where something was (BEY-10).

    Raises:
        DomainError: ITEM_NOT_FOUND, OUTLET_NOT_FOUND.
    """
    if told.quantity > 0:
        return False
    level = draft.level(told.item_id, told.outlet_id)
    if level.on_hand <= 0 or not draft.stock.item(told.item_id).tracked:
        return False
    found = _counted(draft, level, told)
    return found is not None and found[0] <= 0


def waits_for_deltas(level: Level, told: Count) -> bool:
    """Whether something was observed after this count that came before it, so that the deltas of
    its place have to be known (`Stock.deltas`).
    """
    if not told.timed or (told.version and level.version) or level.count_time is None:
        return False
    return level.observe_time is not None and level.observe_time >= told.observe_time


def end_included_holds(draft: Draft, level: Level) -> bool:
    """Ends the posted holds whose sale the level includes; tells whether there were any."""
    if not draft.posted and not draft.stock.posted:
        return False
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


def adjust(
    draft: Draft,
    place: Place,
    kind: Kind,
    quantity: int,
    when: datetime,
    *,
    timed: bool = False,
    reason: Reason = Reason.UNSPECIFIED,
) -> Level:
    """Adds to or takes from a level (INV-02); it may go below zero (INV-13).

    Args:
        draft: of the call.
        place: item and outlet.
        kind: why.
        quantity: how much; negative takes away.
        when: it was observed.
        timed: whether the observer has told when. A delta from before the last count is in that
            count already: the ledger gets it, and a row that takes it out again (BEY-08).
        reason: why, for an adjustment by hand.
    """
    level = draft.level(*place)
    if not timed or level.count_time is None or when >= level.count_time:
        return draft.move(level, kind, quantity, when, reason)
    draft.move(level, kind, quantity, when, reason)
    draft.put(level)
    draft.note(level, Kind.COUNT, -quantity, level.count_time)
    return level


def transfer(
    draft: Draft, item_id: str, outlets: tuple[str, str], quantity: int, now: datetime
) -> tuple[Level, Level]:
    """Moves stock from the first outlet to the second; the sum stays (INV-02)."""
    sent = adjust(draft, (item_id, outlets[0]), Kind.TRANSFER_OUT, -quantity, now)
    return sent, adjust(draft, (item_id, outlets[1]), Kind.TRANSFER_IN, quantity, now)


@lru_cache(maxsize=16_384)  # most are small
def text(quantity: int) -> str:
    """Thousandths as people and the wire write them: `7`, `7.5`, `-2`."""
    if quantity % UNIT == 0:
        return str(quantity // UNIT)
    sign, units, rest = "-" if quantity < 0 else "", *divmod(abs(quantity), UNIT)
    return f"{sign}{units}" + (f".{rest:03}".rstrip("0") if rest else "")
