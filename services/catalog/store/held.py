"""Held reports and circuit breakers: rows and values."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.breaker import Breaker
from services.catalog.rules.held import CIRCUIT_OPEN, Held
from services.catalog.rules.products import Stamp
from services.catalog.store.tables import BREAKERS, HELD_REPORTS, PRODUCTS, VARIANTS, Key
from services.chassis.statements import among, keys, upsert

_h, _b, _p, _v = HELD_REPORTS.c, BREAKERS.c, PRODUCTS.c, VARIANTS.c

_OF_PRODUCTS = sa.select(HELD_REPORTS).where(among(keys(), _h.merchant_id, _h.product_id))
_FORGET = sa.delete(HELD_REPORTS).where(among(keys(), _h.merchant_id, _h.product_id))
_BREAKERS = sa.select(BREAKERS).where(among(keys(), _b.merchant_id, _b.cause))
_ACTIVE = (
    sa.select(sa.func.count())
    .select_from(PRODUCTS)
    .where(
        _p.merchant_id == sa.bindparam("merchant_id"),
        ~_p.deleted,
        _p.active,
        sa.exists().where(
            _v.merchant_id == _p.merchant_id,
            _v.product_id == _p.product_id,
            _v.active.is_not(False),
        ),
    )
)


def held_of(connection: Connection, products: Collection[Key]) -> dict[Key, Held]:
    """What waits of these products, by key."""
    merchants = {merchant for merchant, _ in products}
    # Hardly ever does anything wait, and to look for each product would take longer than this.
    some = sa.select(_h.merchant_id).where(_h.merchant_id.in_(merchants)).limit(1)
    if not products or connection.scalar(some) is None:
        return {}
    rows = connection.execute(_OF_PRODUCTS, {"keys": sorted(set(products))})
    return {(row.merchant_id, row.product_id): held_value(row) for row in rows}


def save_held(connection: Connection, changed: Mapping[Key, Held | None]) -> None:
    """Writes what waits now, and forgets what does no more (None)."""
    gone = [key for key, held in changed.items() if held is None]
    if gone:
        connection.execute(_FORGET, {"keys": sorted(gone)})
    upsert(connection, HELD_REPORTS, [_held_values(one) for one in changed.values() if one])


def breakers(connection: Connection, wanted: Collection[Key]) -> dict[Key, Breaker]:
    """The breakers of these merchants and causes."""
    rows = connection.execute(_BREAKERS, {"keys": sorted(set(wanted))}) if wanted else ()
    return {
        (row.merchant_id, row.cause): Breaker(
            merchant_id=row.merchant_id,
            cause=row.cause,
            window_time=row.window_time,
            deactivated_count=row.deactivated_count,
            previous_count=row.previous_count,
            approved=row.approved,
        )
        for row in rows
    }


def save_breakers(connection: Connection, changed: Iterable[Breaker]) -> None:
    """Writes breakers."""
    rows = [{name: getattr(one, name) for name in Breaker.__slots__} for one in changed]
    upsert(connection, BREAKERS, rows)


def is_holding(connection: Connection, merchant_id: str, cause: str) -> bool:
    """Whether a report of this cause is held by its breaker."""
    some = sa.select(_h.product_id).where(
        _h.merchant_id == merchant_id, _h.reason == CIRCUIT_OPEN, _h.key == cause
    )
    return connection.scalar(some.limit(1)) is not None


def active_count(connection: Connection, merchant_id: str) -> int:
    """How many of a merchant's products the point of sale would sell; reads all of them."""
    return int(connection.scalar(_ACTIVE, {"merchant_id": merchant_id}) or 0)


def _held_values(one: Held) -> dict[str, Any]:
    return {
        "merchant_id": one.merchant_id,
        "product_id": one.product_id,
        "reason": one.reason,
        "key": one.key,
        "message": one.message,
        "report": one.report,
        "version": one.stamp.version,
        "observe_time": one.stamp.observe_time,
        "cause": one.cause,
        "request_id": one.request_id,
        "record_time": one.record_time,
    }


def held_value(row: sa.Row[Any]) -> Held:
    """A held report from its row."""
    return Held(
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        reason=row.reason,
        key=row.key,
        message=row.message,
        report=row.report,
        stamp=Stamp(row.version, row.observe_time),
        cause=row.cause,
        request_id=row.request_id,
        record_time=row.record_time,
    )
