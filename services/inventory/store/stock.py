"""Loading stock in bulk, and saving what was decided."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
)

from services.chassis.plumbing import UtcTime
from services.chassis.statements import Lookup, among, append, keys, save_decided
from services.inventory.rules.reservations import Reservation
from services.inventory.rules.stock import (
    Cause,
    Draft,
    Entry,
    Hold,
    Item,
    Kind,
    Level,
    Movement,
    Place,
    Reason,
    Stock,
)
from services.inventory.store.items import lock_items
from services.inventory.store.reservations import (
    hold_key,
    load_posted,
    save_holds,
    save_reservations,
)
from services.inventory.store.tables import (
    HELD_COUNTS,
    HOLDS,
    IS_DELTA,
    LEVELS,
    MOVEMENTS,
    OUTLETS,
    ItemKey,
)

PlaceKey = tuple[str, str, str]
"""(merchant, item, outlet)."""


_MOVEMENT = (
    *("merchant_id", "item_id", "outlet_id", "kind", "quantity", "on_hand", "cause", "request_id"),
    *("observe_time", "record_time", "reason"),
)


@dataclass(slots=True)
class Changes:
    """What a group of calls has decided, ready to be saved in bulk."""

    now: datetime
    levels: dict[PlaceKey, Level] = field(default_factory=dict)
    before: dict[PlaceKey, Level | None] = field(default_factory=dict)
    """The same levels, as they were."""
    missed: dict[PlaceKey, str] = field(default_factory=dict)
    """What made something promised go missing, by place (BEY-04)."""
    sold: dict[PlaceKey, dict[str, int]] = field(default_factory=dict)
    """By place, what sales took that reservations had held, and that left it below zero."""
    movements: list[tuple[Any, ...]] = field(default_factory=list)
    """Rows of the ledger, as `_MOVEMENT` names their columns."""
    held: list[dict[str, Any]] = field(default_factory=list)
    posted: dict[tuple[str, str, str, str], int | None] = field(default_factory=dict)
    ended: set[tuple[str, str, str, str]] = field(default_factory=set)
    reservations: dict[tuple[str, str], Reservation] = field(default_factory=dict)
    reservations_before: dict[tuple[str, str], Reservation] = field(default_factory=dict)
    moved: set[tuple[str, str]] = field(default_factory=set)
    """Reservations whose holds are other ones now; these are among `held`."""

    def add(self, merchant: str, draft: Draft, cause: Cause) -> None:
        """Adds the changes of one decision."""
        for place, level in draft.levels.items():
            key = (merchant, *place)
            self.levels[key] = level
            self.before[key] = draft.stock.before.get(place)
            if level.reserved and level.missing:
                self.missed.setdefault(key, cause.text)
        for movement in draft.movements:
            self.movements.append(
                (
                    merchant,
                    movement.item_id,
                    movement.outlet_id,
                    int(movement.kind),
                    movement.quantity,
                    movement.on_hand,
                    cause.text,
                    cause.request_id,
                    movement.observe_time,
                    self.now,
                    int(movement.reason),
                )
            )
        for holds in draft.posted.values():
            for hold in holds:
                self.posted[hold_key(merchant, hold)] = hold.pos_version
        self.ended.update(hold_key(merchant, hold) for hold in draft.ended)
        if draft.ended and not draft.gives_free:
            self._add_sold(merchant, draft, cause)

    def _add_sold(self, merchant: str, draft: Draft, cause: Cause) -> None:
        for hold in draft.ended:
            key = (merchant, hold.item_id, hold.outlet_id)
            if draft.held(hold).on_hand < 0:
                sold = self.sold.setdefault(key, {})
                sold[hold.reservation_id] = sold.get(hold.reservation_id, 0) + hold.quantity
                self.missed.setdefault(key, cause.text)

    def touched(self) -> dict[str, list[str]]:
        """By merchant, the items with a level that may have changed."""
        found: dict[str, list[str]] = {}
        for merchant, item_id in dict.fromkeys((owner, item) for owner, item, _ in self.levels):
            found.setdefault(merchant, []).append(item_id)
        return found


_HOLDS_COUNT = (
    select(literal_column("1"))
    .where(
        HELD_COUNTS.c.merchant_id == OUTLETS.c.merchant_id,
        HELD_COUNTS.c.outlet_id == OUTLETS.c.outlet_id,
    )
    .limit(literal_column("1"))
    .scalar_subquery()
)
"""Whether any is held there: the first that is found. For an EXISTS, PostgreSQL may read all."""
_LOAD_OUTLETS = Lookup(
    select(OUTLETS.c.merchant_id, OUTLETS.c.outlet_id, OUTLETS.c.heard_time, _HOLDS_COUNT).where(
        among(keys(), OUTLETS.c.merchant_id)
    )
)


class Asked(NamedTuple):
    """What stock is made of, as rows."""

    items: Iterable[tuple[ItemKey, Item]]
    outlets: Iterable[Any]
    levels: Iterable[tuple[str, Level]]
    posted: Iterable[tuple[str, Hold]]


def ask_stock(connection: Connection, wanted: Sequence[ItemKey], merchants: Sequence[str]) -> Asked:
    """What decisions about these items are made from: a handful of statements, however many items.
    The items are held against others until the end of the transaction.
    """
    return Asked(
        lock_items(connection, wanted),
        _LOAD_OUTLETS.ask(connection, keys=[(merchant,) for merchant in merchants]),
        load_levels(connection, wanted),
        load_posted(connection, wanted),
    )


def read_stock(asked: Asked, merchants: Sequence[str]) -> dict[str, Stock]:
    """The same by merchant, from what `ask_stock` gave."""
    items: dict[str, dict[str, Item]] = {merchant: {} for merchant in merchants}
    for (merchant, item_id), item in asked.items:
        items[merchant][item_id] = item
    heard: dict[str, dict[str, datetime | None]] = {merchant: {} for merchant in merchants}
    holding: dict[str, set[str]] = {merchant: set() for merchant in merchants}
    for merchant, outlet_id, heard_time, holds_count in asked.outlets:
        heard[merchant][outlet_id] = heard_time
        if holds_count:
            holding[merchant].add(outlet_id)
    stocks = {
        merchant: Stock(
            items[merchant],
            frozenset(heard[merchant]),
            {},
            {},
            heard=heard[merchant],
            holding=holding[merchant],
        )
        for merchant in merchants
    }
    for merchant, level in asked.levels:
        stocks[merchant].levels[level.item_id, level.outlet_id] = level
    for merchant, hold in asked.posted:
        place: Place = (hold.item_id, hold.outlet_id)
        waiting = stocks[merchant].posted
        waiting[place] = (*waiting.get(place, ()), hold)
    return stocks


_LEVEL = (
    LEVELS.c.item_id,
    LEVELS.c.outlet_id,
    LEVELS.c.on_hand,
    LEVELS.c.reserved,
    LEVELS.c.version,
    LEVELS.c.observe_time,
    LEVELS.c.in_transit,
    LEVELS.c.count_time,
)


_LOAD_LEVELS = Lookup(
    select(LEVELS.c.merchant_id, *_LEVEL)
    .where(among(keys(), LEVELS.c.merchant_id, LEVELS.c.item_id))
    .order_by(LEVELS.c.item_id)
)
"""In the order of the key: of a small table, PostgreSQL would else rather look through all of the
index by outlet.
"""


def load_levels(connection: Connection, wanted: Sequence[ItemKey]) -> Iterator[tuple[str, Level]]:
    """The levels of these items at every outlet, with their merchants."""
    rows = _LOAD_LEVELS.ask(connection, keys=wanted)
    return ((row[0], Level(*row[1:])) for row in rows)


_LOAD_DELTAS = select(
    MOVEMENTS.c.merchant_id,
    MOVEMENTS.c.item_id,
    MOVEMENTS.c.outlet_id,
    MOVEMENTS.c.observe_time,
    MOVEMENTS.c.quantity,
).where(
    among(keys(), MOVEMENTS.c.merchant_id, MOVEMENTS.c.item_id, MOVEMENTS.c.outlet_id),
    IS_DELTA,
    MOVEMENTS.c.observe_time >= bindparam("since", type_=UtcTime),
)


def load_deltas(
    connection: Connection, places: Sequence[PlaceKey], since: datetime
) -> dict[str, dict[Place, list[tuple[datetime, int]]]]:
    """What was added and taken at these places, as far as it was observed at this time or later, by
    merchant.
    """
    found: dict[str, dict[Place, list[tuple[datetime, int]]]] = {}
    rows = connection.execute(_LOAD_DELTAS, {"keys": places, "since": since})
    for merchant, item_id, outlet_id, observe_time, quantity in rows:
        deltas = found.setdefault(merchant, {}).setdefault((item_id, outlet_id), [])
        deltas.append((observe_time, quantity))
    return found


def load_entries(
    connection: Connection, merchant: str, filters: tuple[str, str], before: int, limit: int
) -> list[Entry]:
    """Ledger rows, newest first, below this movement id (0: from the newest on); `filters` are
    outlet and item.
    """
    table = MOVEMENTS.c
    outlet_id, item_id = filters
    rows = connection.execute(
        select(MOVEMENTS)
        .where(
            table.merchant_id == merchant,
            table.item_id == item_id,
            table.outlet_id == outlet_id if outlet_id else true(),
            table.movement_id < before if before else true(),
        )
        .order_by(table.movement_id.desc())
        .limit(limit)
    )
    return [
        Entry(
            row.movement_id,
            Movement(
                row.item_id,
                row.outlet_id,
                Kind(row.kind),
                row.quantity,
                row.on_hand,
                row.observe_time,
                Reason(row.reason),
            ),
            Cause(row.cause, row.request_id),
            row.record_time,
        )
        for row in rows
    ]


def list_levels(
    connection: Connection,
    merchant: str,
    filters: tuple[str, str],
    after: tuple[str, str],
    limit: int,
) -> list[Level]:
    """Levels by item, then outlet, behind the key `after`; `filters` are outlet and item."""
    table = LEVELS.c
    outlet_id, item_id = filters
    rows = connection.execute(
        select(*_LEVEL)
        .where(
            table.merchant_id == merchant,
            table.outlet_id == outlet_id if outlet_id else true(),
            table.item_id == item_id if item_id else true(),
            tuple_(table.item_id, table.outlet_id) > after,
        )
        .order_by(table.item_id, table.outlet_id)
        .limit(limit)
    )
    return [Level(*row) for row in rows]


_MOVED_UNTIL = Lookup(
    select(
        MOVEMENTS.c.item_id,
        MOVEMENTS.c.outlet_id,
        func.sum(MOVEMENTS.c.quantity),
        func.max(MOVEMENTS.c.observe_time, type_=UtcTime),
    )
    .where(
        among(keys(), MOVEMENTS.c.merchant_id, MOVEMENTS.c.item_id),
        MOVEMENTS.c.record_time <= bindparam("as_of", type_=UtcTime),
    )
    .group_by(MOVEMENTS.c.item_id, MOVEMENTS.c.outlet_id)
)


def list_levels_as_of(  # noqa: PLR0917  (a list, and a time)
    connection: Connection,
    merchant: str,
    filters: tuple[str, str],
    after: tuple[str, str],
    limit: int,
    as_of: datetime,
) -> list[Level]:
    """What was on hand as of a time, by what was recorded until then (BEY-01): the sums of the
    ledger's rows. Else as `list_levels`; places where nothing was recorded yet are left out.
    """
    found: list[Level] = []
    while len(found) < limit and (
        known := list_levels(connection, merchant, filters, after, limit)
    ):
        wanted = [(merchant, item_id) for item_id in dict.fromkeys(one.item_id for one in known)]
        moved = {
            row[:2]: row[2:] for row in _MOVED_UNTIL.rows(connection, keys=wanted, as_of=as_of)
        }
        for level in known:
            after = place = (level.item_id, level.outlet_id)
            if place in moved:
                on_hand, observe_time = moved[place]
                found.append(Level(*place, int(on_hand), observe_time=observe_time))
    return found[:limit]


def save(connection: Connection, changes: Changes) -> None:
    """Saves what was decided: a handful of statements, however much it is.

    A level, and a reservation, is only replaced while it is what was decided on: no more is
    promised than there is, even where no lock has kept others out (BEY-04).

    Raises:
        StaleError: somebody else has changed one of them; the transaction has to run again.
    """
    before = changes.before
    levels = [
        _level_row(key[0], level, before[key])
        for key, level in sorted(changes.levels.items(), key=_key)
        if level != before[key]
    ]
    append(connection, MOVEMENTS, changes.movements, _MOVEMENT)
    append(connection, HOLDS, changes.held)
    save_reservations(
        connection, changes.reservations, changes.reservations_before, create_time=changes.now
    )
    save_decided(connection, LEVELS, levels, _SAVED, _DECIDED_ON)
    save_holds(connection, changes.posted, changes.ended)


def _key(row: tuple[PlaceKey, Level]) -> PlaceKey:
    return row[0]


_SAVED = (
    *("merchant_id", "item_id", "outlet_id", "on_hand", "reserved", "version", "observe_time"),
    *("in_transit", "count_time"),
)
_DECIDED_ON = ("on_hand", "reserved", "version", "in_transit")


def _level_row(merchant: str, level: Level, before: Level | None) -> tuple[Any, ...]:
    row = (
        *(merchant, level.item_id, level.outlet_id),
        *(level.on_hand, level.reserved, level.version),
        *(level.observe_time, level.in_transit, level.count_time),
    )
    if before is None:
        return (*row, None, None, None, None)
    return (*row, before.on_hand, before.reserved, before.version, before.in_transit)
