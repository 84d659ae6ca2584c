"""Loading stock in bulk, and saving what was decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, select, true, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from services.chassis.plumbing import batches
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

    def touched(self, merchant: str) -> list[str]:
        """The merchant's items with a level that may have changed."""
        return list(dict.fromkeys(item for owner, item, _ in self.levels if owner == merchant))


def _hold_key(merchant: str, hold: Hold) -> tuple[str, str, str, str]:
    return merchant, hold.reservation_id, hold.line_id, hold.outlet_id


def lock_items(connection: Connection, keys: Iterable[ItemKey]) -> dict[ItemKey, Item]:
    """The items with these keys that exist, each held against other processes until commit.

    An item's row is the lock on all that is decided about its stock, at every outlet.
    """
    table = ITEMS.c
    found: dict[ItemKey, Item] = {}
    for wanted in batches(sorted(set(keys))):
        rows = connection.execute(
            select(table.merchant_id, table.item_id, table.tracked)
            .where(tuple_(table.merchant_id, table.item_id).in_(wanted), ~table.deleted)
            .order_by(table.merchant_id, table.item_id)
            .with_for_update()
        )
        found |= {(row[0], row[1]): Item(row[1], tracked=row[2]) for row in rows}
    return found


def load_stock(
    connection: Connection, keys: Iterable[ItemKey], merchants: Sequence[str]
) -> dict[str, Stock]:
    """What decisions about these items are made from, by merchant: a handful of statements,
    however many items.
    """
    items = lock_items(connection, keys)
    found = list(items)
    levels = load_levels(connection, found)
    posted = _load_posted(connection, found)
    outlets: dict[str, set[str]] = {merchant: set() for merchant in merchants}
    for row in connection.execute(
        select(OUTLETS.c.merchant_id, OUTLETS.c.outlet_id).where(
            OUTLETS.c.merchant_id.in_(merchants)
        )
    ):
        outlets[row[0]].add(row[1])
    stocks = {merchant: Stock({}, frozenset(outlets[merchant]), {}, {}) for merchant in merchants}
    by_merchant: dict[str, dict[str, Item]] = {merchant: {} for merchant in merchants}
    for (merchant, item_id), item in items.items():
        by_merchant[merchant][item_id] = item
    for merchant, stock in stocks.items():
        stock.items = by_merchant[merchant]
    for merchant, level in levels:
        stocks[merchant].levels[level.item_id, level.outlet_id] = level
    for merchant, hold in posted:
        place: Place = (hold.item_id, hold.outlet_id)
        waiting = stocks[merchant].posted
        waiting[place] = (*waiting.get(place, ()), hold)
    return stocks


def load_levels(connection: Connection, keys: Sequence[ItemKey]) -> list[tuple[str, Level]]:
    """The levels of these items at every outlet, with their merchants."""
    table = LEVELS.c
    found = []
    for wanted in batches(keys):
        rows = connection.execute(
            select(
                table.merchant_id,
                table.item_id,
                table.outlet_id,
                table.on_hand,
                table.reserved,
                table.version,
                table.observe_time,
            ).where(tuple_(table.merchant_id, table.item_id).in_(wanted))
        )
        found += [(row[0], Level(*row[1:])) for row in rows]
    return found


def _load_posted(connection: Connection, keys: Sequence[ItemKey]) -> list[tuple[str, Hold]]:
    table = HOLDS.c
    found = []
    for wanted in batches(keys):
        rows = connection.execute(
            _holds().where(
                tuple_(table.merchant_id, table.item_id).in_(wanted),
                table.held,
                table.pos_version.is_not(None),
            )
        )
        found += [(row[0], Hold(*row[1:])) for row in rows]
    return found


def _holds() -> Select[Any]:
    table = HOLDS.c
    return select(
        table.merchant_id,
        table.reservation_id,
        table.line_id,
        table.item_id,
        table.outlet_id,
        table.quantity,
        table.pos_version,
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
    if changes.levels:
        _upsert(
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
    if changes.movements:
        connection.execute(insert(MOVEMENTS), changes.movements)
    if changes.reservations:
        _upsert(
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
            keep={"create_time"},
        )
    if changes.held:
        connection.execute(insert(HOLDS), changes.held)
    _save_holds(connection, changes)


def _save_holds(connection: Connection, changes: Changes) -> None:
    """Saves how holds went on: posted, with the sale's version, or ended."""
    for key, pos_version in changes.posted.items():
        connection.execute(update(HOLDS).where(_is_hold(key)).values(pos_version=pos_version))
    for key in changes.ended:
        connection.execute(update(HOLDS).where(_is_hold(key)).values(held=False))


def _is_hold(key: tuple[str, str, str, str]) -> Any:
    table = HOLDS.c
    return and_(
        table.merchant_id == key[0],
        table.reservation_id == key[1],
        table.line_id == key[2],
        table.outlet_id == key[3],
    )


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


def load_reservations(
    connection: Connection, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[Reservation, list[Hold]]]:
    """The reservations with these keys (merchant, id), each with what it still holds."""
    table, holds = RESERVATIONS.c, HOLDS.c
    found: dict[tuple[str, str], tuple[Reservation, list[Hold]]] = {}
    parts: dict[tuple[str, str], list[Allocation]] = {}
    held: dict[tuple[str, str], list[Hold]] = {}
    for row in connection.execute(
        _holds()
        .add_columns(holds.held)
        .where(tuple_(holds.merchant_id, holds.reservation_id).in_(keys))
        .order_by(holds.merchant_id, holds.reservation_id, holds.line_id, holds.outlet_id)
    ):
        hold = Hold(*row[1:7])
        key = (row[0], hold.reservation_id)
        parts.setdefault(key, []).append(
            Allocation(hold.line_id, hold.item_id, hold.outlet_id, hold.quantity)
        )
        if row.held:
            held.setdefault(key, []).append(hold)
    for row in connection.execute(
        select(
            table.merchant_id, table.reservation_id, table.channel_id, table.cause, table.state
        ).where(tuple_(table.merchant_id, table.reservation_id).in_(keys))
    ):
        key = (row[0], row[1])
        state = State(row.state)
        if state is State.POSTED and key not in held:
            state = State.COMMITTED  # every level that it waited for has arrived
        reservation = Reservation(row[1], row[2], row[3], state, tuple(parts.get(key, ())))
        found[key] = (reservation, held.get(key, []))
    return found


def load_online(
    connection: Connection, merchant: str, channel_id: str, item_ids: Sequence[str] | None
) -> dict[str, Online]:
    """What is kept of a channel's figures: of these items, or of all."""
    table = ONLINE.c
    everything = select(
        table.channel_id, table.item_id, table.quantity, table.version, table.update_time
    ).where(table.merchant_id == merchant, table.channel_id == channel_id)
    if item_ids is None:
        return {row[1]: Online(*row) for row in connection.execute(everything)}
    return {
        row[1]: Online(*row)
        for wanted in batches(item_ids)
        for row in connection.execute(everything.where(table.item_id.in_(wanted)))
    }


def save_online(connection: Connection, merchant: str, figures: Sequence[Online]) -> None:
    """Keeps new figures."""
    _upsert(
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
            for figure in figures
        ],
    )


def sum_available(connection: Connection, merchant: str, outlets: Sequence[str]) -> dict[str, int]:
    """What is available of every item at these outlets, in thousandths (INV-05)."""
    table = LEVELS.c
    free = func.sum(
        func.greatest(table.on_hand - table.reserved, 0)
        if connection.dialect.name == "postgresql"
        else func.max(table.on_hand - table.reserved, 0)
    )
    rows = connection.execute(
        select(table.item_id, free)
        .where(table.merchant_id == merchant, table.outlet_id.in_(outlets))
        .group_by(table.item_id)
    )
    return {row[0]: int(row[1]) for row in rows}


def learn_items(
    connection: Connection, rows: Sequence[dict[str, Any]], gone: Sequence[dict[str, Any]]
) -> None:
    """Takes over what the catalog tells of its items; an older revision changes nothing.

    `rows` have the columns of `items`; `gone` name products (`merchant_id`, `product_id`,
    `revision`) whose items that are not among `rows` exist no more.
    """
    for product in gone:
        connection.execute(
            update(ITEMS)
            .where(
                ITEMS.c.merchant_id == product["merchant_id"],
                ITEMS.c.product_id == product["product_id"],
                ITEMS.c.revision < product["revision"],
            )
            .values(deleted=True, revision=product["revision"])
        )
    if rows:
        statement: Any = _insert(connection, ITEMS)
        new = statement.excluded
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[ITEMS.c.merchant_id, ITEMS.c.item_id],
                set_={
                    "product_id": new.product_id,
                    "tracked": new.tracked,
                    "deleted": new.deleted,
                    "revision": new.revision,
                },
                # Revisions count within a product: an item that moved to another one is new there.
                where=(ITEMS.c.revision <= new.revision) | (ITEMS.c.product_id != new.product_id),
            ),
            rows,
        )


def _insert(connection: Connection, table: Any) -> Any:
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    return kind.insert(table)


def _upsert(
    connection: Connection,
    table: Any,
    rows: list[dict[str, Any]],
    keep: Iterable[str] = (),
) -> None:
    """Inserts rows or replaces those with the same key, but for the columns to `keep`."""
    statement = _insert(connection, table)
    keys = {column.name for column in table.primary_key}
    changed = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys and column.name not in keep
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed),
        rows,
    )
