"""Loading stock in bulk, and saving what was decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)

from services.chassis.statements import among, append, keys, upsert
from services.inventory.rules.reservations import Allocation, Reservation, State
from services.inventory.rules.stock import (
    Cause,
    Draft,
    Entry,
    Hold,
    Item,
    Kind,
    Level,
    Movement,
    Online,
    Place,
    Stock,
)
from services.inventory.store.tables import (
    HoldRow,
    ItemRow,
    LevelRow,
    MovementRow,
    OnlineStockRow,
    OutletRow,
    ReservationRow,
)

ITEMS = ItemRow.__table__  # type: ignore[attr-defined]  # sqlmodel does not declare it
LEVELS = LevelRow.__table__  # type: ignore[attr-defined]
MOVEMENTS = MovementRow.__table__  # type: ignore[attr-defined]
ONLINE = OnlineStockRow.__table__  # type: ignore[attr-defined]
OUTLETS = OutletRow.__table__  # type: ignore[attr-defined]
RESERVATIONS = ReservationRow.__table__  # type: ignore[attr-defined]
HOLDS = HoldRow.__table__  # type: ignore[attr-defined]

ItemKey = tuple[str, str]
"""(merchant, item)."""
FigureKey = tuple[str, str, str]
"""(merchant, channel, item)."""


@dataclass(slots=True)
class Changes:
    """What a group of calls has decided, ready to be saved in bulk."""

    now: datetime
    levels: dict[tuple[str, str, str], Level] = field(default_factory=dict)
    movements: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    posted: dict[tuple[str, str, str, str], int | None] = field(default_factory=dict)
    ended: set[tuple[str, str, str, str]] = field(default_factory=set)
    reservations: dict[tuple[str, str], Reservation] = field(default_factory=dict)

    def add(self, merchant: str, draft: Draft, cause: Cause) -> None:
        """Adds the changes of one decision."""
        for level in draft.levels.values():
            self.levels[merchant, level.item_id, level.outlet_id] = level
        for movement in draft.movements:
            self.movements.append(
                {
                    "merchant_id": merchant,
                    "item_id": movement.item_id,
                    "outlet_id": movement.outlet_id,
                    "kind": int(movement.kind),
                    "quantity": movement.quantity,
                    "on_hand": movement.on_hand,
                    "cause": cause.text,
                    "request_id": cause.request_id,
                    "observe_time": movement.observe_time,
                    "record_time": self.now,
                }
            )
        for holds in draft.posted.values():
            for hold in holds:
                self.posted[_hold_key(merchant, hold)] = hold.pos_version
        self.ended.update(_hold_key(merchant, hold) for hold in draft.ended)

    def touched(self) -> dict[str, list[str]]:
        """By merchant, the items with a level that may have changed."""
        found: dict[str, list[str]] = {}
        for merchant, item_id in dict.fromkeys((owner, item) for owner, item, _ in self.levels):
            found.setdefault(merchant, []).append(item_id)
        return found


def _hold_key(merchant: str, hold: Hold) -> tuple[str, str, str, str]:
    return merchant, hold.reservation_id, hold.line_id, hold.outlet_id


_LOCK_ITEMS = (
    select(ITEMS.c.merchant_id, ITEMS.c.item_id, ITEMS.c.tracked, ITEMS.c.deleted)
    .where(among(keys(), ITEMS.c.merchant_id, ITEMS.c.item_id))
    .order_by(ITEMS.c.merchant_id, ITEMS.c.item_id)
    .with_for_update()
)


def lock_items(connection: Connection, wanted: Iterable[ItemKey]) -> dict[ItemKey, Item]:
    """The items with these keys, deleted ones too, each held against other processes until commit.

    An item's row is the lock on all that is decided about its stock, at every outlet.
    """
    rows = connection.execute(_LOCK_ITEMS, {"keys": list(set(wanted))}).all()
    return {(row[0], row[1]): Item(*row[1:]) for row in rows}


_LOAD_OUTLETS = select(OUTLETS.c.merchant_id, OUTLETS.c.outlet_id).where(
    among(keys(), OUTLETS.c.merchant_id)
)


def load_stock(
    connection: Connection, wanted: Iterable[ItemKey], merchants: Sequence[str]
) -> dict[str, Stock]:
    """What decisions about these items are made from, by merchant: a handful of statements,
    however many items.
    """
    items: dict[str, dict[str, Item]] = {merchant: {} for merchant in merchants}
    outlets: dict[str, set[str]] = {merchant: set() for merchant in merchants}
    found = lock_items(connection, wanted)
    for (merchant, item_id), item in found.items():
        items[merchant][item_id] = item
    for merchant, outlet_id in connection.execute(
        _LOAD_OUTLETS, {"keys": [(merchant,) for merchant in merchants]}
    ):
        outlets[merchant].add(outlet_id)
    stocks = {
        merchant: Stock(items[merchant], frozenset(outlets[merchant]), {}, {})
        for merchant in merchants
    }
    for merchant, level in load_levels(connection, list(found)):
        stocks[merchant].levels[level.item_id, level.outlet_id] = level
    for row in connection.execute(_LOAD_POSTED, {"keys": list(found)}):
        hold = Hold(*row[1:])
        place: Place = (hold.item_id, hold.outlet_id)
        waiting = stocks[row[0]].posted
        waiting[place] = (*waiting.get(place, ()), hold)
    return stocks


_LOAD_LEVELS = select(
    LEVELS.c.merchant_id,
    LEVELS.c.item_id,
    LEVELS.c.outlet_id,
    LEVELS.c.on_hand,
    LEVELS.c.reserved,
    LEVELS.c.version,
    LEVELS.c.observe_time,
).where(among(keys(), LEVELS.c.merchant_id, LEVELS.c.item_id))


def load_levels(connection: Connection, wanted: Sequence[ItemKey]) -> list[tuple[str, Level]]:
    """The levels of these items at every outlet, with their merchants."""
    rows = connection.execute(_LOAD_LEVELS, {"keys": wanted}).all()
    return [(row[0], Level(*row[1:])) for row in rows]


_HOLDS = select(
    HOLDS.c.merchant_id,
    HOLDS.c.reservation_id,
    HOLDS.c.line_id,
    HOLDS.c.item_id,
    HOLDS.c.outlet_id,
    HOLDS.c.quantity,
    HOLDS.c.pos_version,
)
_LOAD_POSTED = _HOLDS.where(
    among(keys(), HOLDS.c.merchant_id, HOLDS.c.item_id),
    HOLDS.c.held,
    HOLDS.c.pos_version.is_not(None),
)


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
        select(
            table.item_id,
            table.outlet_id,
            table.on_hand,
            table.reserved,
            table.version,
            table.observe_time,
        )
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


def list_items(
    connection: Connection, merchant: str, item_ids: Sequence[str], after: str, limit: int
) -> list[Item]:
    """Items by id behind `after`: these, or all when none are named."""
    table = ITEMS.c
    rows = connection.execute(
        select(table.item_id, table.tracked)
        .where(
            table.merchant_id == merchant,
            ~table.deleted,
            table.item_id > after,
            table.item_id.in_(item_ids) if item_ids else true(),
        )
        .order_by(table.item_id)
        .limit(limit)
    )
    return [Item(row.item_id, tracked=row.tracked) for row in rows]


def save(connection: Connection, changes: Changes) -> None:
    """Saves what was decided: a handful of statements, however much it is."""
    upsert(
        connection,
        LEVELS,
        [
            {
                "merchant_id": merchant,
                "item_id": level.item_id,
                "outlet_id": level.outlet_id,
                "on_hand": level.on_hand,
                "reserved": level.reserved,
                "version": level.version,
                "observe_time": level.observe_time,
            }
            for (merchant, _, _), level in changes.levels.items()
        ],
    )
    append(connection, MOVEMENTS, changes.movements)
    upsert(
        connection,
        RESERVATIONS,
        [
            {
                "merchant_id": merchant,
                "reservation_id": reservation.reservation_id,
                "channel_id": reservation.channel_id,
                "cause": reservation.cause,
                "state": int(reservation.state),
                "create_time": changes.now,
            }
            for (merchant, _), reservation in changes.reservations.items()
        ],
        keep=["create_time"],
    )
    append(connection, HOLDS, changes.held)
    _save_holds(connection, changes)


_HOLD_KEY = ("merchant_id", "reservation_id", "line_id", "outlet_id")
_IS_HOLD = and_(*(HOLDS.c[name] == bindparam(f"key_{name}") for name in _HOLD_KEY))
_POST_HOLDS = update(HOLDS).where(_IS_HOLD).values(pos_version=bindparam("version"))
_END_HOLDS = update(HOLDS).where(_IS_HOLD).values(held=False)


def _save_holds(connection: Connection, changes: Changes) -> None:
    """Saves how holds went on: posted, with the sale's version, or ended."""
    if changes.posted:
        connection.execute(
            _POST_HOLDS,
            [_hold_row(key) | {"version": version} for key, version in changes.posted.items()],
        )
    if changes.ended:
        connection.execute(_END_HOLDS, [_hold_row(key) for key in changes.ended])


def _hold_row(key: tuple[str, str, str, str]) -> dict[str, Any]:
    return {f"key_{name}": value for name, value in zip(_HOLD_KEY, key, strict=True)}


def hold_rows(merchant: str, reservation: Reservation) -> list[dict[str, Any]]:
    """The rows of a new reservation's allocations."""
    return [
        {
            "merchant_id": merchant,
            "reservation_id": reservation.reservation_id,
            "line_id": given.line_id,
            "outlet_id": given.outlet_id,
            "item_id": given.item_id,
            "quantity": given.quantity,
            "held": True,
            "pos_version": None,
        }
        for given in reservation.allocations
    ]


_LOAD_HOLDS = (
    _HOLDS.add_columns(HOLDS.c.held)
    .where(among(keys(), HOLDS.c.merchant_id, HOLDS.c.reservation_id))
    .order_by(HOLDS.c.merchant_id, HOLDS.c.reservation_id, HOLDS.c.line_id, HOLDS.c.outlet_id)
)
_LOAD_RESERVATIONS = select(
    RESERVATIONS.c.merchant_id,
    RESERVATIONS.c.reservation_id,
    RESERVATIONS.c.channel_id,
    RESERVATIONS.c.cause,
    RESERVATIONS.c.state,
).where(among(keys(), RESERVATIONS.c.merchant_id, RESERVATIONS.c.reservation_id))


def load_reservations(
    connection: Connection, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[Reservation, list[Hold]]]:
    """The reservations with these keys (merchant, id), each with what it still holds."""
    found: dict[tuple[str, str], tuple[Reservation, list[Hold]]] = {}
    parts: dict[tuple[str, str], list[Allocation]] = {}
    held: dict[tuple[str, str], list[Hold]] = {}
    for row in connection.execute(_LOAD_HOLDS, {"keys": wanted}):
        hold = Hold(*row[1:7])
        key = (row[0], hold.reservation_id)
        parts.setdefault(key, []).append(
            Allocation(hold.line_id, hold.item_id, hold.outlet_id, hold.quantity)
        )
        if row.held:
            held.setdefault(key, []).append(hold)
    for row in connection.execute(_LOAD_RESERVATIONS, {"keys": wanted}):
        key = (row[0], row[1])
        state = State(row.state)
        if state is State.POSTED and key not in held:
            state = State.COMMITTED  # every level that it waited for has arrived
        reservation = Reservation(row[1], row[2], row[3], state, tuple(parts.get(key, ())))
        found[key] = (reservation, held.get(key, []))
    return found


_FIGURES = select(
    ONLINE.c.merchant_id,
    ONLINE.c.channel_id,
    ONLINE.c.item_id,
    ONLINE.c.quantity,
    ONLINE.c.version,
    ONLINE.c.update_time,
)
_LOAD_FIGURES = _FIGURES.where(
    among(keys(), ONLINE.c.merchant_id, ONLINE.c.channel_id, ONLINE.c.item_id)
)
_LOAD_ALL_FIGURES = _FIGURES.where(
    ONLINE.c.merchant_id == bindparam("merchant_id"),
    ONLINE.c.channel_id == bindparam("channel_id"),
)


def load_figures(connection: Connection, wanted: Sequence[FigureKey]) -> dict[FigureKey, Online]:
    """What is kept of figures, of any merchants and channels, by key."""
    rows = connection.execute(_LOAD_FIGURES, {"keys": wanted}).all()
    return {(row[0], row[1], row[2]): Online(*row[1:]) for row in rows}


def load_online(
    connection: Connection, merchant: str, channel_id: str, item_ids: Sequence[str] | None
) -> dict[str, Online]:
    """What is kept of a channel's figures: of these items, or of all."""
    if item_ids is None:
        key = {"merchant_id": merchant, "channel_id": channel_id}
        return {row[2]: Online(*row[1:]) for row in connection.execute(_LOAD_ALL_FIGURES, key)}
    wanted = [(merchant, channel_id, item_id) for item_id in item_ids]
    found = load_figures(connection, wanted)
    return {item_id: figure for (_, _, item_id), figure in found.items()}


def save_figures(connection: Connection, figures: Sequence[tuple[str, Online]]) -> None:
    """Keeps new figures, each given with its merchant."""
    upsert(
        connection,
        ONLINE,
        [
            {
                "merchant_id": merchant,
                "channel_id": figure.channel_id,
                "item_id": figure.item_id,
                "quantity": figure.quantity,
                "version": figure.version,
                "update_time": figure.update_time,
            }
            for merchant, figure in figures
        ],
    )


def sum_available(connection: Connection, merchant: str, outlets: Sequence[str]) -> dict[str, int]:
    """What is available of every item at these outlets, in thousandths (INV-05)."""
    table = LEVELS.c
    free = table.on_hand - table.reserved
    rows = connection.execute(
        select(table.item_id, func.sum(case((free > 0, free), else_=0)))
        .where(table.merchant_id == merchant, table.outlet_id.in_(outlets))
        .group_by(table.item_id)
    )
    return {row[0]: int(row[1]) for row in rows}


_FORGET_ITEMS = (
    update(ITEMS)
    .where(
        ITEMS.c.merchant_id == bindparam("owner"),
        ITEMS.c.product_id == bindparam("product"),
        ITEMS.c.revision < bindparam("newer"),
    )
    .values(deleted=True, revision=bindparam("newer"))
)


def learn_items(
    connection: Connection, rows: Sequence[dict[str, Any]], gone: Sequence[dict[str, Any]]
) -> None:
    """Takes over what the catalog tells of its items; an older revision changes nothing.

    `rows` have the columns of `items`; `gone` name products (`merchant_id`, `product_id`,
    `revision`) whose items that are not among `rows` exist no more.
    """
    if gone:
        connection.execute(
            _FORGET_ITEMS,
            [
                {
                    "owner": product["merchant_id"],
                    "product": product["product_id"],
                    "newer": product["revision"],
                }
                for product in gone
            ],
        )
    upsert(connection, ITEMS, rows, where=_is_newer)


def _is_newer(new: Any) -> ColumnElement[bool]:
    """Revisions count within a product: an item that moved to another one is new there."""
    return or_(ITEMS.c.revision <= new.revision, ITEMS.c.product_id != new.product_id)
