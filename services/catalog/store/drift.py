"""Drift between listings and their stores: rows and values."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.drift import Cause, Drift, EditKey, EditKind, State
from services.catalog.store.listings import PlaceKey
from services.catalog.store.tables import DRIFT
from services.chassis.statements import among, keys, upsert

_d = DRIFT.c
_KEY = (_d.product_id, _d.item_id, _d.field, _d.kind)
_OPEN = _d.state == sa.literal_column("'OPEN'")
"""As text of the statement: the partial index is only used where its condition stands there."""

_OF_LISTINGS = sa.select(DRIFT).where(among(keys(), _d.merchant_id, _d.channel_id, _d.product_id))
_OPEN_OF_LISTINGS = _OF_LISTINGS.where(_OPEN)

Place = tuple[str, str, str, str]
"""Product, item, field, kind: what drift of a channel is ordered by."""

Listed = dict[PlaceKey, dict[EditKey, Drift]]
"""Drift by listing, and by what tells it from the listing's other drift."""


def of_listings(connection: Connection, listings: Collection[PlaceKey]) -> Listed:
    """All drift of these listings."""
    return _listed(connection, _OF_LISTINGS, listings)


def open_of_listings(connection: Connection, listings: Collection[PlaceKey]) -> Listed:
    """The open drift of these listings."""
    return _listed(connection, _OPEN_OF_LISTINGS, listings)


def page(
    connection: Connection,
    merchant_id: str,
    channel_id: str,
    *,
    product_id: str = "",
    state: State | None = None,
    after: Place | None = None,
    count: int,
) -> list[Drift]:
    """Up to `count` drift of a channel behind `after`, by product, item, field and kind."""
    found = sa.select(DRIFT).where(_d.merchant_id == merchant_id, _d.channel_id == channel_id)
    if product_id:
        found = found.where(_d.product_id == product_id)
    if state is not None:
        found = found.where(_OPEN if state is State.OPEN else _d.state == state.value)
    if after:
        found = found.where(_d.product_id >= after[0], sa.tuple_(*_KEY) > sa.tuple_(*after))
    return [_drift(row) for row in connection.execute(found.order_by(*_KEY).limit(count))]


def open_products(
    connection: Connection, merchant_id: str, channel_id: str, after: str, count: int
) -> list[str]:
    """Up to `count` products behind `after` whose listing in this channel has open drift."""
    found = (
        sa.select(_d.product_id)
        .where(
            _d.merchant_id == merchant_id,
            _d.channel_id == channel_id,
            _d.product_id > after,
            _OPEN,
        )
        .distinct()
        .order_by(_d.product_id)
        .limit(count)
    )
    return list(connection.scalars(found))


def save(connection: Connection, drift: Sequence[Drift]) -> None:
    """Writes drift as it is now."""
    upsert(connection, DRIFT, [_values(one) for one in drift])


def _listed(
    connection: Connection, statement: sa.Select[Any], listings: Collection[PlaceKey]
) -> Listed:
    found: defaultdict[PlaceKey, dict[EditKey, Drift]] = defaultdict(dict)
    rows: Iterable[sa.Row[Any]] = ()
    if listings:
        rows = connection.execute(statement, {"keys": sorted(set(listings))})
    for row in rows:
        one = _drift(row)
        found[one.merchant_id, one.channel_id, one.product_id][one.key] = one
    return dict(found)


def _drift(row: sa.Row[Any]) -> Drift:
    return Drift(
        merchant_id=row.merchant_id,
        channel_id=row.channel_id,
        product_id=row.product_id,
        item_id=row.item_id,
        field=row.field,
        kind=EditKind(row.kind),
        own_value=row.own_value,
        store_value=row.store_value,
        cause=Cause(row.cause),
        state=State(row.state),
        observe_time=row.observe_time,
        last_observe_time=row.last_observe_time,
        heal_time=row.heal_time,
        times=row.times,
    )


def _values(one: Drift) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in Drift.__slots__}
    return values | {"kind": one.kind.value, "cause": one.cause.value, "state": one.state.value}
