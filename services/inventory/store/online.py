"""Figures: what is kept of what each channel may sell, and what they would be now."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)

from services.chassis.statements import Lookup, among, keys, upsert
from services.inventory.rules.online import (
    Change,
    EditOutcome,
    Feed,
    HeldStock,
    Online,
    Source,
    StockEdit,
)
from services.inventory.rules.stock import UNIT, Item
from services.inventory.store.items import list_items
from services.inventory.store.tables import (
    BUFFERS,
    HOLDS,
    IS_HELD,
    ITEMS,
    LEVELS,
    MOVEMENTS,
    ONLINE,
    RESERVATIONS,
    STOCK_EDITS,
    FigureKey,
)

CAUSES_MAX = 100
SAVED_AT_ONCE = 10_000
RECALCULATION_MS_MAX = 120_000
"""A channel may have a million items: its recalculation is no query that hangs, nor does its
connection while a million events are made.
"""

_FIGURE = ("merchant_id", "channel_id", "item_id", "quantity", "version", "update_time")
_LOAD_FIGURES = Lookup(
    select(*(ONLINE.c[name] for name in _FIGURE)).where(
        among(keys(), ONLINE.c.merchant_id, ONLINE.c.channel_id, ONLINE.c.item_id)
    )
)


def load_figures(connection: Connection, wanted: Sequence[FigureKey]) -> dict[FigureKey, Online]:
    """What is kept of figures, of any merchants and channels, by key."""
    return read_figures(ask_figures(connection, wanted))


def ask_figures(connection: Connection, wanted: Sequence[FigureKey]) -> Iterator[Any]:
    """What `load_figures` tells, as rows."""
    return _LOAD_FIGURES.ask(connection, keys=wanted)


def read_figures(rows: Iterable[Any]) -> dict[FigureKey, Online]:
    """As `load_figures`, from what `ask_figures` gave."""
    return {(row[0], row[1], row[2]): Online(*row[1:]) for row in rows}


def load_online(
    connection: Connection, merchant: str, channel_id: str, item_ids: Sequence[str]
) -> dict[str, Online]:
    """What is kept of a channel's figures of these items."""
    wanted = [(merchant, channel_id, item_id) for item_id in item_ids]
    found = load_figures(connection, wanted)
    return {item_id: figure for (_, _, item_id), figure in found.items()}


_LIST_FIGURES = Lookup(
    select(
        ITEMS.c.item_id,
        ITEMS.c.tracked,
        ONLINE.c.quantity,
        ONLINE.c.version,
        ONLINE.c.update_time,
    )
    .outerjoin(
        ONLINE,
        and_(
            ONLINE.c.merchant_id == ITEMS.c.merchant_id,
            ONLINE.c.channel_id == bindparam("channel_id"),
            ONLINE.c.item_id == ITEMS.c.item_id,
        ),
    )
    .where(
        ITEMS.c.merchant_id == bindparam("merchant_id"),
        ~ITEMS.c.deleted,
        ITEMS.c.item_id > bindparam("after"),
    )
    .order_by(ITEMS.c.item_id)
    .limit(bindparam("limit"))
)


def list_figures(  # noqa: PLR0917  (a channel's list, and where in it)
    connection: Connection,
    merchant: str,
    channel_id: str,
    item_ids: Sequence[str],
    after: str,
    limit: int,
) -> list[tuple[Item, Online]]:
    """Items by id behind `after`, these or all when none are named, with a channel's figures."""
    if item_ids:
        # Two statements: PostgreSQL joins a list of keys to a table by looking at all of either.
        items = list_items(connection, merchant, item_ids, after, limit)
        wanted = [(merchant, channel_id, item.item_id) for item in items]
        known = load_figures(connection, wanted)
        return [
            (item, known.get(key) or Online(channel_id, item.item_id))
            for item, key in zip(items, wanted, strict=True)
        ]
    rows = _LIST_FIGURES.rows(
        connection, merchant_id=merchant, channel_id=channel_id, after=after, limit=limit
    )
    return [
        (Item(item_id, tracked), Online(channel_id, item_id, quantity or 0, version or 0, when))
        for item_id, tracked, quantity, version, when in rows
    ]


def save_changes(
    connection: Connection, changes: Mapping[tuple[str, str], Sequence[Change]], now: datetime
) -> None:
    """Keeps figures that are different now, given by (merchant, channel)."""
    rows = (
        (*of, change.item_id, change.after, change.version, now)
        for of, found in changes.items()
        for change in found
    )
    while some := list(islice(rows, SAVED_AT_ONCE)):  # there may be a million
        upsert(connection, ONLINE, some, _FIGURE, distinct=True)


def recalculate(
    connection: Connection, merchant: str, feed: Feed, item_id: str = ""
) -> list[Change]:
    """The channel's figures that would be different now, by item: of all items, or of this one.

    Set-wise, with the terms of `Feed.given`: of each outlet what is available, less the most
    specific buffer, at most what a silent one may give (INV-04 to INV-07, BEY-05, BEY-06, BEY-12).
    `feed` need not have the buffers of single items: these are looked up.
    """
    if connection.dialect.name == "postgresql":
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {limit} = {RECALCULATION_MS_MAX}")
    sources, kept = feed.sources(), ONLINE.c
    there = and_(
        LEVELS.c.merchant_id == merchant,
        LEVELS.c.outlet_id.in_([source.outlet_id for source in sources]),
        _only(LEVELS.c.item_id, item_id),
    )
    # Levels lie in the order of their items, so that their sums need no sorting. They are compared
    # with the figures here: the database would look each figure up, and each level of it again.
    given = _given(connection, merchant, feed, sources).where(there).group_by(LEVELS.c.item_id)
    figures: dict[str, int] = dict(Lookup(given).rows(connection))
    known = Lookup(
        select(kept.item_id, kept.quantity, kept.version).where(
            kept.merchant_id == merchant,
            kept.channel_id == feed.channel.channel_id,
            _only(kept.item_id, item_id),
        )
    ).rows(connection)
    changes = [
        Change(one, before, after, version + 1)
        for one, before, version in known
        if (after := figures.pop(one, 0)) != before
    ]
    changes += [Change(one, 0, after, 1) for one, after in figures.items() if after]
    changes.sort(key=itemgetter(0))
    odd = _odd_items(connection, merchant, item_id)
    if not odd:
        return changes
    return [
        Change(*change[:4], *odd[change.item_id]) if change.item_id in odd else change
        for change in changes
    ]


def _only(item: Any, item_id: str) -> ColumnElement[bool]:
    return item == item_id if item_id else true()


def _odd_items(connection: Connection, merchant: str, item_id: str) -> dict[str, tuple[bool, bool]]:
    """Whether items are tracked and deleted: those that are not tracked, or deleted."""
    table = ITEMS.c
    rows = connection.execute(
        select(table.item_id, table.tracked, table.deleted).where(
            table.merchant_id == merchant,
            _only(table.item_id, item_id),
            or_(~table.tracked, table.deleted),
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _given(
    connection: Connection, merchant: str, feed: Feed, sources: Sequence[Source]
) -> Select[Any]:
    """Item, and the whole units of what its outlets give: `Feed.given`, for many at once."""
    table = LEVELS.c
    buffer: ColumnElement[Any] = literal(feed.buffers.get(("", ""), 0), BigInteger)
    own = {one.outlet_id: one.buffer for one in sources if (one.outlet_id, "") in feed.buffers}
    if own:
        buffer = case(own, value=table.outlet_id, else_=buffer)
    origin: FromClause = LEVELS
    if _has_item_buffers(connection, merchant, feed.channel.channel_id):
        here, anywhere = BUFFERS.alias("here"), BUFFERS.alias("anywhere")
        for one, outlet_id in ((here, table.outlet_id), (anywhere, literal(""))):
            origin = origin.outerjoin(
                one,
                and_(
                    one.c.merchant_id == merchant,
                    one.c.channel_id == feed.channel.channel_id,
                    one.c.outlet_id == outlet_id,
                    one.c.item_id == table.item_id,
                ),
            )
        buffer = func.coalesce(here.c.quantity, anywhere.c.quantity, buffer)
    free = table.on_hand - table.reserved
    left: ColumnElement[Any] = (
        free - buffer if feed.buffers or own or origin is not LEVELS else free
    )
    left = case((and_(free > 0, left > 0), left), else_=0)
    at_most = {one.outlet_id: one.at_most for one in sources if one.at_most is not None}
    if at_most:
        limit = case(at_most, value=table.outlet_id, else_=left)
        left = case((left > limit, limit), else_=left)
    total = cast(func.sum(left), BigInteger) // UNIT
    return select(table.item_id, total.label("after")).select_from(origin)


def _has_item_buffers(connection: Connection, merchant: str, channel_id: str) -> bool:
    table = BUFFERS.c
    statement = select(
        exists().where(
            table.merchant_id == merchant, table.channel_id == channel_id, table.item_id != ""
        )
    )
    return bool(connection.execute(statement).scalar())


def open_reservations(
    connection: Connection, merchant: str, channel_id: str, outlet_ids: Sequence[str]
) -> tuple[int, list[str]]:
    """How many of a channel's reservations still hold stock at these outlets, and what the first
    of them are for, the oldest first.
    """
    if not outlet_ids:
        return 0, []
    held, kept = HOLDS.c, RESERVATIONS.c
    # Not DISTINCT, which SQLite gets from reading all holds of the merchant in their order.
    holding = select(held.reservation_id).where(
        held.merchant_id == merchant, IS_HELD, held.outlet_id.in_(outlet_ids)
    )
    concerned = and_(
        kept.merchant_id == merchant,
        kept.channel_id == channel_id,
        kept.reservation_id.in_(holding),
    )
    count = connection.execute(select(func.count()).where(concerned)).scalar_one()
    causes = connection.execute(
        select(kept.cause)
        .where(concerned)
        .order_by(kept.create_time, kept.reservation_id)
        .limit(CAUSES_MAX)
    )
    return count, list(causes.scalars())


def outlets_holding(
    connection: Connection, merchant: str, channel_id: str, outlet_ids: Sequence[str]
) -> set[str]:
    """Those of these outlets where something is still held through the channel."""
    held, kept = HOLDS.c, RESERVATIONS.c
    rows = connection.execute(
        select(held.outlet_id)
        .distinct()
        .join(
            RESERVATIONS,
            and_(kept.merchant_id == held.merchant_id, kept.reservation_id == held.reservation_id),
        )
        .where(
            held.merchant_id == merchant,
            IS_HELD,
            held.outlet_id.in_(outlet_ids),
            kept.channel_id == channel_id,
        )
    )
    return set(rows.scalars())


def load_held(connection: Connection, merchant: str, item_id: str) -> list[HeldStock]:
    """What is held of an item, by whom, the oldest first."""
    held, kept = HOLDS.c, RESERVATIONS.c
    rows = connection.execute(
        select(
            held.outlet_id,
            held.reservation_id,
            kept.cause,
            func.sum(held.quantity),
            func.max(held.pos_version),
        )
        .join(
            RESERVATIONS,
            and_(kept.merchant_id == held.merchant_id, kept.reservation_id == held.reservation_id),
        )
        .where(held.merchant_id == merchant, held.item_id == item_id, IS_HELD)
        .group_by(held.outlet_id, held.reservation_id, kept.cause, kept.create_time)
        .order_by(kept.create_time, held.reservation_id)
    )
    return [HeldStock(*row[:3], int(row[3]), row[4] is not None) for row in rows]


def last_movements(connection: Connection, merchant: str, item_id: str) -> list[int]:
    """The ids of the last movement of an item at each outlet."""
    table = MOVEMENTS.c
    return list(
        connection.execute(
            select(func.max(table.movement_id))
            .where(table.merchant_id == merchant, table.item_id == item_id)
            .group_by(table.outlet_id)
        ).scalars()
    )


def append_edits(connection: Connection, edits: Iterable[tuple[str, StockEdit]]) -> None:
    """Keeps edits, each given with its merchant."""
    rows = [
        {
            "merchant_id": merchant,
            "channel_id": edit.channel_id,
            "item_id": edit.item_id,
            "own_quantity": edit.own_quantity,
            "store_quantity": edit.store_quantity,
            "outcome": int(edit.outcome),
            "record_time": edit.record_time,
        }
        for merchant, edit in edits
    ]
    if rows:
        connection.execute(insert(STOCK_EDITS), rows)


def list_edits(
    connection: Connection, merchant: str, filters: tuple[str, str], before: int, limit: int
) -> list[tuple[int, StockEdit]]:
    """Edits with their numbers, newest first, below this number (0: from the newest on); `filters`
    are channel and item, the latter empty for all.
    """
    table = STOCK_EDITS.c
    channel_id, item_id = filters
    rows = connection.execute(
        select(STOCK_EDITS)
        .where(
            table.merchant_id == merchant,
            table.channel_id == channel_id,
            table.item_id == item_id if item_id else true(),
            table.edit_id < before if before else true(),
        )
        .order_by(table.edit_id.desc())
        .limit(limit)
    )
    return [
        (
            row.edit_id,
            StockEdit(
                row.channel_id,
                row.item_id,
                row.own_quantity,
                row.store_quantity,
                EditOutcome(row.outcome),
                row.record_time,
            ),
        )
        for row in rows
    ]
