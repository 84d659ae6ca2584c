"""Oversell incidents, and what the kept sums of stock should be."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)

from services.chassis.plumbing import UtcTime
from services.chassis.statements import Lookup, among, append, keys
from services.inventory.rules.incidents import IN_FLIGHT, Incident, Promise, Sold, State
from services.inventory.rules.stock import Level
from services.inventory.rules.transfers import State as TransferState
from services.inventory.store.stock import PlaceKey, load_levels
from services.inventory.store.tables import (
    HOLDS,
    INCIDENTS,
    IS_HELD,
    ITEMS,
    MOVEMENTS,
    RESERVATIONS,
    TRANSFER_LINES,
    TRANSFERS,
    ItemKey,
)

_COLUMNS = (
    INCIDENTS.c.incident_id,
    INCIDENTS.c.item_id,
    INCIDENTS.c.outlet_id,
    INCIDENTS.c.cause,
    INCIDENTS.c.state,
    INCIDENTS.c.create_time,
    INCIDENTS.c.show_time,
    INCIDENTS.c.end_time,
    INCIDENTS.c.sold,
)


_OPEN: ColumnElement[bool] = INCIDENTS.c.state == literal_column(str(int(State.OPEN)))
"""Spelt out, as the index of open ones has it."""
_OPEN_AT = select(
    INCIDENTS.c.merchant_id, INCIDENTS.c.item_id, INCIDENTS.c.outlet_id, INCIDENTS.c.sold
).where(
    among(keys(), INCIDENTS.c.merchant_id, INCIDENTS.c.item_id, INCIDENTS.c.outlet_id),
    _OPEN,
)


def open_at(connection: Connection, places: Sequence[PlaceKey]) -> dict[PlaceKey, tuple[Sold, ...]]:
    """Those of the places where an incident is open, each with what sales have taken there."""
    rows = connection.execute(_OPEN_AT, {"keys": places})
    return {(row[0], row[1], row[2]): _read_sold(row[3]) for row in rows}


def _read_sold(told: str) -> tuple[Sold, ...]:
    return tuple(Sold(*one) for one in json.loads(told))


def _sold_text(sold: Sequence[Sold]) -> str:
    return json.dumps([(one.reservation_id, one.quantity) for one in sold])


_SAVE_SOLD = (
    update(INCIDENTS)
    .where(
        INCIDENTS.c.merchant_id == bindparam("merchant"),
        INCIDENTS.c.item_id == bindparam("item"),
        INCIDENTS.c.outlet_id == bindparam("outlet"),
        _OPEN,
    )
    .values(sold=bindparam("more"))
)


def save_sold(connection: Connection, places: Sequence[tuple[PlaceKey, Sequence[Sold]]]) -> None:
    """Saves what sales have taken at places where an incident is open."""
    names = ("merchant", "item", "outlet")
    rows = [dict(zip(names, key, strict=True)) | {"more": _sold_text(sold)} for key, sold in places]
    connection.execute(_SAVE_SOLD, rows)


def open_incidents(connection: Connection, incidents: Iterable[tuple[str, Incident]]) -> None:
    """Adds new incidents, each with its merchant."""
    append(
        connection,
        INCIDENTS,
        [
            {
                "merchant_id": merchant,
                "incident_id": incident.incident_id,
                "item_id": incident.item_id,
                "outlet_id": incident.outlet_id,
                "cause": incident.cause,
                "state": int(incident.state),
                "create_time": incident.create_time,
                "show_time": incident.show_time,
                "end_time": incident.end_time,
                "sold": _sold_text(incident.sold),
            }
            for merchant, incident in incidents
        ],
    )


_END = (
    update(INCIDENTS)
    .where(
        among(keys(), INCIDENTS.c.merchant_id, INCIDENTS.c.item_id, INCIDENTS.c.outlet_id),
        _OPEN,
    )
    .values(state=int(State.ENDED), end_time=bindparam("now", type_=UtcTime))
)


def end_incidents(connection: Connection, places: Iterable[PlaceKey], now: datetime) -> None:
    """Ends the open incidents at these places."""
    connection.execute(_END, {"keys": list(places), "now": now})


_END_UNSOLD = _END.where(INCIDENTS.c.sold == literal_column("'[]'"))


def end_unsold(connection: Connection, places: Iterable[PlaceKey], now: datetime) -> None:
    """Ends the open incidents at these places where no sale has taken anything."""
    connection.execute(_END_UNSOLD, {"keys": list(places), "now": now})


def is_told(now: datetime) -> ColumnElement[bool]:
    """Whether an incident is told to anybody: once its time has come, unless it has passed before.
    A time that is farther ahead than any is put off was noted by a clock that has been set back
    since, and does not count.
    """
    show_time, end_time = INCIDENTS.c.show_time, INCIDENTS.c.end_time
    due = or_(show_time <= now, show_time > now + IN_FLIGHT)
    return and_(due, or_(end_time.is_(None), end_time >= show_time))


def find_incident(connection: Connection, merchant: str, incident_id: str) -> Incident | None:
    """One incident."""
    row = connection.execute(
        select(*_COLUMNS).where(
            INCIDENTS.c.merchant_id == merchant, INCIDENTS.c.incident_id == incident_id
        )
    ).first()
    return _incident(row) if row else None


def list_incidents(
    connection: Connection,
    merchant: str,
    state: int,
    before: tuple[datetime, str] | None,
    page: tuple[int, datetime],
) -> list[Incident]:
    """Incidents that are to be told, the latest first, behind `before` (time of creation, id);
    state 0 means any. `page` is how many at most, and the time.
    """
    limit, now = page
    table = INCIDENTS.c
    rows = connection.execute(
        select(*_COLUMNS)
        .where(
            table.merchant_id == merchant,
            table.state == state if state else true(),
            is_told(now),
            tuple_(table.create_time, table.incident_id) < before if before else true(),
        )
        .order_by(table.create_time.desc(), table.incident_id.desc())
        .limit(limit)
    )
    return [_incident(row) for row in rows]


def _incident(row: Any) -> Incident:
    return Incident(
        row.incident_id,
        row.item_id,
        row.outlet_id,
        row.cause,
        State(row.state),
        row.create_time,
        row.show_time,
        row.end_time,
        _read_sold(row.sold),
    )


_PROMISES = (
    select(
        HOLDS.c.item_id,
        HOLDS.c.outlet_id,
        HOLDS.c.reservation_id,
        RESERVATIONS.c.channel_id,
        RESERVATIONS.c.cause,
        func.sum(HOLDS.c.quantity),
        func.max(HOLDS.c.pos_version),
        RESERVATIONS.c.create_time,
    )
    .join(
        RESERVATIONS,
        and_(
            RESERVATIONS.c.merchant_id == HOLDS.c.merchant_id,
            RESERVATIONS.c.reservation_id == HOLDS.c.reservation_id,
        ),
    )
    .where(among(keys(), HOLDS.c.merchant_id, HOLDS.c.item_id), IS_HELD)
    .group_by(
        HOLDS.c.item_id,
        HOLDS.c.outlet_id,
        HOLDS.c.reservation_id,
        RESERVATIONS.c.channel_id,
        RESERVATIONS.c.cause,
        RESERVATIONS.c.create_time,
    )
)


def load_promises(
    connection: Connection, merchant: str, item_ids: Iterable[str]
) -> dict[tuple[str, str], list[Promise]]:
    """What orders hold of these items, by (item, outlet)."""
    found: dict[tuple[str, str], list[Promise]] = {}
    wanted = [(merchant, item_id) for item_id in item_ids]
    for row in connection.execute(_PROMISES, {"keys": wanted}):
        promise = Promise(row[2], row[3], row[4], int(row[5]), row[6] is not None, row[7])
        found.setdefault((row[0], row[1]), []).append(promise)
    return found


_OF = Lookup(
    select(
        RESERVATIONS.c.reservation_id,
        RESERVATIONS.c.channel_id,
        RESERVATIONS.c.cause,
        RESERVATIONS.c.create_time,
    ).where(among(keys(), RESERVATIONS.c.merchant_id, RESERVATIONS.c.reservation_id))
)


def load_sold(
    connection: Connection, merchant: str, incidents: Iterable[Incident]
) -> dict[str, list[Promise]]:
    """What sales have taken of what was promised, by incident."""
    sold = {one.incident_id: one.sold for one in incidents if one.sold}
    wanted = sorted({(merchant, part.reservation_id) for parts in sold.values() for part in parts})
    if not wanted:
        return {}
    found = {row[0]: row[1:] for row in _OF.rows(connection, keys=wanted)}
    return {
        incident_id: [
            Promise(part.reservation_id, channel_id, cause, part.quantity, True, create_time)
            for part in parts
            for channel_id, cause, create_time in [found[part.reservation_id]]
        ]
        for incident_id, parts in sold.items()
    }


def load_siblings(
    connection: Connection, merchant: str, item_ids: Iterable[str]
) -> dict[str, list[Level]]:
    """By item, the levels of the other items of its product."""
    mine, other = ITEMS.alias(), ITEMS.alias()
    rows = connection.execute(
        select(mine.c.item_id, other.c.item_id)
        .join(
            other,
            and_(
                other.c.merchant_id == mine.c.merchant_id,
                other.c.product_id == mine.c.product_id,
                other.c.item_id != mine.c.item_id,
            ),
        )
        .where(
            mine.c.merchant_id == merchant,
            mine.c.item_id.in_(list(item_ids)),
            ~other.c.deleted,
            other.c.tracked,
        )
    ).all()
    levels: dict[str, list[Level]] = {}
    for _, level in load_levels(connection, list({(merchant, row[1]) for row in rows})):
        levels.setdefault(level.item_id, []).append(level)
    found: dict[str, list[Level]] = {}
    for item_id, sibling in rows:
        found.setdefault(item_id, []).extend(levels.get(sibling, ()))
    return found


def _sums(quantity: Any, merchant_id: Any, item_id: Any, outlet_id: Any) -> Select[Any]:
    """The sums of a table at each place of the items asked for, which are of one merchant."""
    return (
        select(item_id, outlet_id, func.sum(quantity))
        .where(among(keys(), merchant_id, item_id))
        .group_by(item_id, outlet_id)
    )


_MOVED = _sums(
    MOVEMENTS.c.quantity, MOVEMENTS.c.merchant_id, MOVEMENTS.c.item_id, MOVEMENTS.c.outlet_id
)
_HELD = _sums(HOLDS.c.quantity, HOLDS.c.merchant_id, HOLDS.c.item_id, HOLDS.c.outlet_id).where(
    IS_HELD
)
_LINES: Table = TRANSFER_LINES
_ON_ITS_WAY = (
    select(
        _LINES.c.item_id,
        TRANSFERS.c.to_outlet_id,
        _LINES.c.sent - _LINES.c.received - _LINES.c.returned - _LINES.c.lost,
    )
    .join(
        TRANSFERS,
        and_(
            TRANSFERS.c.merchant_id == _LINES.c.merchant_id,
            TRANSFERS.c.transfer_id == _LINES.c.transfer_id,
        ),
    )
    .where(
        among(keys(), _LINES.c.merchant_id, _LINES.c.item_id),
        TRANSFERS.c.state == int(TransferState.SENT),
    )
)


def expected_sums(
    connection: Connection, wanted: Sequence[ItemKey]
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """What is on hand by the ledger, held by reservations, and on its way by transfers, by (item,
    outlet), of items of one merchant; what is not there is zero.
    """
    on_hand, held = (
        {(row[0], row[1]): int(row[2]) for row in connection.execute(sums, {"keys": wanted})}
        for sums in (_MOVED, _HELD)
    )
    in_transit: dict[tuple[str, str], int] = {}
    for item_id, outlet_id, quantity in connection.execute(_ON_ITS_WAY, {"keys": wanted}):
        place = (item_id, outlet_id)
        in_transit[place] = in_transit.get(place, 0) + max(0, quantity)
    return on_hand, held, in_transit
