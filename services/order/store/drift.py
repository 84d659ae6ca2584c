"""Drift between orders and their stores: rows and values."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.chassis.statements import among, keys, upsert
from services.order.rules.drift import Cause, Difference, Drift, Field, State
from services.order.rules.order import OrderKey
from services.order.store.tables import ORDER_DRIFT

_d = ORDER_DRIFT.c
_KEY = (_d.order_id, _d.field)
_OPEN = _d.state == sa.literal_column(str(int(State.OPEN)))
"""As text of the statement: the partial index is only used where its condition stands there."""

_OF_ORDERS = sa.select(ORDER_DRIFT).where(among(keys(), _d.merchant_id, _d.channel_id, _d.order_id))
_OPEN_OF_ORDERS = _OF_ORDERS.where(_OPEN)

Listed = dict[OrderKey, dict[Field, Drift]]
"""Drift by order, and by what differs."""


def of_orders(connection: Connection, wanted: Collection[OrderKey]) -> Listed:
    """All drift of these orders."""
    return _listed(connection, _OF_ORDERS, wanted)


def open_of_orders(connection: Connection, wanted: Collection[OrderKey]) -> Listed:
    """The open drift of these orders."""
    return _listed(connection, _OPEN_OF_ORDERS, wanted)


def page(
    connection: Connection,
    merchant_id: str,
    channel_id: str,
    *,
    order_id: str = "",
    state: State | None = None,
    after: tuple[str, int] | None = None,
    count: int,
) -> list[Drift]:
    """Up to `count` drift of a channel behind `after`, by order and field."""
    found = sa.select(ORDER_DRIFT).where(_d.merchant_id == merchant_id, _d.channel_id == channel_id)
    if order_id:
        found = found.where(_d.order_id == order_id)
    if state is not None:
        found = found.where(_OPEN if state is State.OPEN else _d.state == int(state))
    if after:
        found = found.where(_d.order_id >= after[0], sa.tuple_(*_KEY) > sa.tuple_(*after))
    return [_drift(row) for row in connection.execute(found.order_by(*_KEY).limit(count))]


def open_orders(
    connection: Connection, merchant_id: str, channel_id: str, causes: Iterable[Cause], count: int
) -> list[OrderKey]:
    """Up to `count` orders of a channel that have open drift for one of these causes."""
    found = (
        sa.select(_d.merchant_id, _d.channel_id, _d.order_id)
        .where(
            _d.merchant_id == merchant_id,
            _d.channel_id == channel_id,
            _d.cause.in_([int(cause) for cause in causes]),
            _OPEN,
        )
        .distinct()
        .order_by(_d.order_id)
        .limit(count)
    )
    return [OrderKey(*row) for row in connection.execute(found)]


def save(connection: Connection, drift: Sequence[Drift]) -> None:
    """Writes drift as it is now."""
    if drift:
        upsert(connection, ORDER_DRIFT, [_values(one) for one in drift])


def _listed(
    connection: Connection, statement: sa.Select[Any], wanted: Collection[OrderKey]
) -> Listed:
    found: Listed = {}
    if wanted:
        for row in connection.execute(statement, {"keys": sorted(set(wanted))}):
            one = _drift(row)
            found.setdefault(one.key, {})[one.field] = one
    return found


def _drift(row: sa.Row[Any]) -> Drift:
    return Drift(
        key=OrderKey(row.merchant_id, row.channel_id, row.order_id),
        found=Difference(Field(row.field), row.own_value, row.store_value, Cause(row.cause)),
        state=State(row.state),
        observe_time=row.observe_time,
        last_observe_time=row.last_observe_time,
        heal_time=row.heal_time,
        times=row.times,
    )


def _values(one: Drift) -> dict[str, Any]:
    return one.key._asdict() | {
        "field": int(one.field),
        "own_value": one.found.own_value,
        "store_value": one.found.store_value,
        "cause": int(one.found.cause),
        "state": int(one.state),
        "observe_time": one.observe_time,
        "last_observe_time": one.last_observe_time,
        "heal_time": one.heal_time,
        "times": one.times,
    }
