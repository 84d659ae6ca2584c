"""Reservations, with what they hold."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    select,
)

from services.chassis.plumbing import UtcTime
from services.chassis.statements import Lookup, among, keys, save_decided, update
from services.inventory.rules.allocation import Allocation
from services.inventory.rules.reservations import Reservation, State
from services.inventory.rules.stock import (
    Hold,
)
from services.inventory.store.tables import (
    HOLDS,
    IS_POSTED,
    RESERVATIONS,
    ItemKey,
)

_HOLDS = select(
    HOLDS.c.merchant_id,
    HOLDS.c.reservation_id,
    HOLDS.c.line_id,
    HOLDS.c.item_id,
    HOLDS.c.outlet_id,
    HOLDS.c.quantity,
    HOLDS.c.pos_version,
)


_LOAD_POSTED = Lookup(
    _HOLDS.where(
        among(keys(), HOLDS.c.merchant_id, HOLDS.c.item_id),
        IS_POSTED,
    )
)


def load_posted(connection: Connection, wanted: Sequence[ItemKey]) -> Iterator[tuple[str, Hold]]:
    """The holds of these items that wait for a level that includes their sale, with merchants."""
    rows = _LOAD_POSTED.ask(connection, keys=wanted)
    return ((row[0], Hold(*row[1:])) for row in rows)


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
            "held": reservation.state is State.HELD,
            "pos_version": None,
        }
        for given in reservation.allocations
    ]


_LOAD_HOLDS = Lookup(
    _HOLDS.add_columns(HOLDS.c.held).where(
        among(keys(), HOLDS.c.merchant_id, HOLDS.c.reservation_id)
    )
)
_BY_KEY = itemgetter(0, 1, 2, 4)


_LOAD_RESERVATIONS = Lookup(
    select(
        RESERVATIONS.c.merchant_id,
        RESERVATIONS.c.reservation_id,
        RESERVATIONS.c.channel_id,
        RESERVATIONS.c.cause,
        RESERVATIONS.c.state,
        RESERVATIONS.c.expire_time,
        RESERVATIONS.c.explanation,
    ).where(among(keys(), RESERVATIONS.c.merchant_id, RESERVATIONS.c.reservation_id))
)


def load_reservations(
    connection: Connection, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[Reservation, list[Hold]]]:
    """The reservations with these keys (merchant, id), each with what it still holds."""
    found: dict[tuple[str, str], tuple[Reservation, list[Hold]]] = {}
    parts: dict[tuple[str, str], list[Allocation]] = {}
    held: dict[tuple[str, str], list[Hold]] = {}
    for row in sorted(_LOAD_HOLDS.rows(connection, keys=wanted), key=_BY_KEY):
        hold = Hold(*row[1:7])
        key = (row[0], hold.reservation_id)
        parts.setdefault(key, []).append(
            Allocation(hold.line_id, hold.item_id, hold.outlet_id, hold.quantity)
        )
        if row[7]:
            held.setdefault(key, []).append(hold)
    for row in _LOAD_RESERVATIONS.rows(connection, keys=wanted):
        key = (row[0], row[1])
        state = State(row[4])
        if state is State.POSTED and key not in held:
            state = State.COMMITTED  # every level that it waited for has arrived
        reservation = Reservation(
            row[1],
            row[2],
            row[3],
            state,
            tuple(parts.get(key, ())),
            row[5],
            row[6],
        )
        found[key] = (reservation, held.get(key, []))
    return found


_SAVED = (
    *("merchant_id", "reservation_id", "channel_id", "cause", "state", "create_time"),
    *("expire_time", "explanation"),
)
_DECIDED_ON = ("state", "expire_time")


def save_reservations(
    connection: Connection,
    reservations: Mapping[tuple[str, str], Reservation],
    before: Mapping[tuple[str, str], Reservation],
    *,
    create_time: datetime,
) -> None:
    """Saves reservations by (merchant, id): those that are not in `before` are new.

    Raises:
        StaleError: one is not any more what it was before.
    """
    rows = []
    for key, reservation in reservations.items():
        was = before.get(key)
        rows.append(
            (
                *key,
                reservation.channel_id,
                reservation.cause,
                int(reservation.state),
                create_time,
                reservation.expire_time,
                reservation.explanation,
                int(was.state) if was else None,
                was.expire_time if was else None,
            )
        )
    save_decided(connection, RESERVATIONS, rows, _SAVED, _DECIDED_ON, keep=["create_time"])


_DUE = Lookup(
    select(RESERVATIONS.c.merchant_id, RESERVATIONS.c.reservation_id)
    .where(RESERVATIONS.c.expire_time <= bindparam("now", type_=UtcTime))
    .order_by(RESERVATIONS.c.expire_time)
    .limit(bindparam("limit"))
)


def load_due(connection: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Keys (merchant, id) of reservations whose time is up, those first that are so longest."""
    return [(row[0], row[1]) for row in _DUE.rows(connection, now=now, limit=limit)]


_FORGET_HOLDS = delete(HOLDS).where(among(keys(), HOLDS.c.merchant_id, HOLDS.c.reservation_id))


def forget_holds(connection: Connection, moved: Iterable[tuple[str, str]]) -> None:
    """Takes away the holds of these reservations, by (merchant, id), which others replace."""
    if moved:
        connection.execute(_FORGET_HOLDS, {"keys": sorted(moved)})


_HOLD_KEY = ("merchant_id", "reservation_id", "line_id", "outlet_id")


def save_holds(
    connection: Connection,
    posted: Mapping[tuple[str, str, str, str], int | None],
    ended: Iterable[tuple[str, str, str, str]],
) -> None:
    """Saves how holds went on: posted, with the sale's version, or ended."""
    told = [_hold_row(key) | {"pos_version": version} for key, version in posted.items()]
    update(connection, HOLDS, told)
    update(connection, HOLDS, [_hold_row(key) | {"held": False} for key in ended])


def _hold_row(key: tuple[str, str, str, str]) -> dict[str, Any]:
    return dict(zip(_HOLD_KEY, key, strict=True))


def hold_key(merchant: str, hold: Hold) -> tuple[str, str, str, str]:
    """The key of a hold's row."""
    return merchant, hold.reservation_id, hold.line_id, hold.outlet_id
