"""Held counts and circuit breakers: rows and values (BEY-10)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, literal_column, select

from services.chassis.plumbing import UtcTime
from services.chassis.statements import among, keys, upsert
from services.inventory.rules.breaker import WINDOW, Breaker, OutletKey
from services.inventory.rules.held import Held
from services.inventory.rules.stock import Count
from services.inventory.store.stock import PlaceKey
from services.inventory.store.tables import BREAKERS, EMPTIED_ITEMS, HELD_COUNTS, ITEMS, LEVELS

_h, _e, _l, _i, _b = HELD_COUNTS.c, EMPTIED_ITEMS.c, LEVELS.c, ITEMS.c, BREAKERS.c

_AT = select(HELD_COUNTS).where(among(keys(), _h.merchant_id, _h.item_id, _h.outlet_id))
_FORGET = delete(HELD_COUNTS).where(among(keys(), _h.merchant_id, _h.item_id, _h.outlet_id))


def held_at(connection: Connection, places: Collection[PlaceKey]) -> dict[PlaceKey, Held]:
    """What waits at these places."""
    if not places:
        return {}
    rows = connection.execute(_AT, {"keys": list(set(places))})
    return {(row.merchant_id, row.item_id, row.outlet_id): _held(row) for row in rows}


def held_group(
    connection: Connection, merchant: str, outlet_id: str, after: str, limit: int
) -> list[Held]:
    """What waits at an outlet, by item, behind the item `after`."""
    rows = connection.execute(
        select(HELD_COUNTS)
        .where(_h.merchant_id == merchant, _h.outlet_id == outlet_id, _h.item_id > after)
        .order_by(_h.item_id)
        .limit(limit)
    )
    return [_held(row) for row in rows]


def save_held(connection: Connection, changed: Mapping[PlaceKey, Held | None]) -> None:
    """Writes what waits now, and forgets what does no more (None)."""
    gone = [key for key, held in changed.items() if held is None]
    if gone:
        connection.execute(_FORGET, {"keys": gone})
    rows = [(key[0], held) for key, held in changed.items() if held]
    upsert(connection, HELD_COUNTS, [_held_row(merchant, held) for merchant, held in rows])


_EMPTIED = (
    select(_e.merchant_id, _e.outlet_id, func.count())
    .join(
        LEVELS,
        and_(
            _l.merchant_id == _e.merchant_id,
            _l.item_id == _e.item_id,
            _l.outlet_id == _e.outlet_id,
        ),
    )
    .where(
        among(keys(), _e.merchant_id, _e.outlet_id),
        _e.empty_time > bindparam("since", type_=UtcTime),
        _l.on_hand <= literal_column("0"),
    )
    .group_by(_e.merchant_id, _e.outlet_id)
)
_HOLDING = (
    select(_h.merchant_id, _h.outlet_id)
    .where(among(keys(), _h.merchant_id, _h.outlet_id))
    .distinct()
)
_APPROVED = select(_b.merchant_id, _b.outlet_id).where(
    among(keys(), _b.merchant_id, _b.outlet_id),
    _b.approve_time > bindparam("since", type_=UtcTime),
)


def load_breakers(
    connection: Connection, outlets: Iterable[OutletKey], now: datetime
) -> dict[OutletKey, Breaker]:
    """What counts have emptied lately at each of these outlets."""
    wanted = sorted(set(outlets))
    if not wanted:
        return {}
    given = {"keys": wanted, "since": now - WINDOW}
    emptied = {(row[0], row[1]): int(row[2]) for row in connection.execute(_EMPTIED, given)}
    holding = {(row[0], row[1]) for row in connection.execute(_HOLDING, {"keys": wanted})}
    approved = {(row[0], row[1]) for row in connection.execute(_APPROVED, given)}
    return {key: Breaker(emptied.get(key, 0), key in holding, key in approved) for key in wanted}


_STOCKED = select(func.count()).select_from(
    select(literal_column("1"))
    .select_from(LEVELS)
    .join(ITEMS, and_(_i.merchant_id == _l.merchant_id, _i.item_id == _l.item_id))
    .where(
        _l.merchant_id == bindparam("merchant"),
        _l.outlet_id == bindparam("outlet"),
        _l.on_hand > literal_column("0"),
        _i.tracked,
        ~_i.deleted,
    )
    .limit(bindparam("limit"))
    .subquery()
)


def stocked_counter(connection: Connection) -> Callable[[str, str, int], int]:
    """Counts the tracked items with stock at an outlet, as far as it is asked to and a bit further,
    so that many who ask for one more each time do not each have it counted.
    """
    known: dict[OutletKey, tuple[int, int]] = {}

    def count(merchant: str, outlet_id: str, needed: int) -> int:
        found, limit = known.get((merchant, outlet_id), (0, 0))
        if found == limit and found < needed:
            limit = max(needed, 2 * limit)
            given = {"merchant": merchant, "outlet": outlet_id, "limit": limit}
            found = connection.execute(_STOCKED, given).scalar_one()
            known[merchant, outlet_id] = (found, limit)
        return found

    return count


_FADE = delete(EMPTIED_ITEMS).where(
    among(keys(), _e.merchant_id, _e.outlet_id),
    _e.empty_time <= bindparam("before", type_=UtcTime),
)


def note_emptied(
    connection: Connection, emptied: Mapping[OutletKey, Iterable[str]], now: datetime
) -> None:
    """Notes which items of which outlets were emptied now, and forgets what counts no more."""
    if not emptied:
        return
    connection.execute(_FADE, {"keys": sorted(emptied), "before": now - WINDOW})
    rows = [
        {"merchant_id": key[0], "outlet_id": key[1], "item_id": item_id, "empty_time": now}
        for key, item_ids in emptied.items()
        for item_id in sorted(item_ids)
    ]
    upsert(connection, EMPTIED_ITEMS, rows, distinct=True)


def approve(connection: Connection, merchant: str, outlet_id: str, now: datetime) -> None:
    """Notes that an operator has said yes to what an outlet's counts empty."""
    row = {"merchant_id": merchant, "outlet_id": outlet_id, "approve_time": now}
    upsert(connection, BREAKERS, [row])


def _held(row: Row[Any]) -> Held:
    told = Count(row.item_id, row.outlet_id, row.quantity, row.version, row.observe_time, row.timed)
    return Held(told, row.cause, row.request_id, row.record_time)


def _held_row(merchant: str, held: Held) -> dict[str, Any]:
    return {
        "merchant_id": merchant,
        "outlet_id": held.told.outlet_id,
        "item_id": held.told.item_id,
        "quantity": held.told.quantity,
        "version": held.told.version,
        "observe_time": held.told.observe_time,
        "timed": held.told.timed,
        "cause": held.cause,
        "request_id": held.request_id,
        "record_time": held.record_time,
    }
