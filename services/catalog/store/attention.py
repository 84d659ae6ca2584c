"""What waits for an operator: rows and values."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.attention import EXAMPLES_MAX, Cause, Waiting
from services.catalog.rules.held import CIRCUIT_OPEN, Held
from services.catalog.store.held import held_value
from services.catalog.store.tables import HELD_REPORTS, IMPORTS, LISTINGS, PRODUCTS, VARIANTS
from services.chassis.statements import among, keys

KEY_MAX = 1000
"""A key is what stands in the contract's field at most."""

_h, _l, _v, _p, _i = HELD_REPORTS.c, LISTINGS.c, VARIANTS.c, PRODUCTS.c, IMPORTS.c
_error = sa.func.substr(_l.push_error, 1, KEY_MAX)
_none = sa.literal("", sa.String)
_FAILED = (_l.push_error != sa.literal_column("''")) & ~_l.deleted
"""Spelled as in the index of such listings, or it would not be used."""


def _held_source(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(
        _h.merchant_id,
        _h.key.label("key"),
        _h.product_id.label("id"),
        _h.record_time.label("time"),
        _h.message.label("message"),
    ).where(condition)


_SOURCES: Mapping[Cause, sa.Select[Any]] = {
    Cause.LISTING_NOT_PUSHED: sa.select(
        _l.merchant_id,
        _error.label("key"),
        (_l.channel_id + "/" + _l.product_id).label("id"),
        _l.update_time.label("time"),
        _none.label("message"),
    ).where(_FAILED),
    Cause.PRODUCT_REFUSED: _held_source(_h.reason != CIRCUIT_OPEN),
    Cause.CIRCUIT_OPEN: _held_source(_h.reason == CIRCUIT_OPEN),
    Cause.IMPORT_HELD: sa.select(
        _i.merchant_id,
        _i.import_id.label("key"),
        _i.import_id.label("id"),
        _i.update_time.label("time"),
        _i.source_name.label("message"),
    ).where(_i.state == "HELD"),
    Cause.SKU_AMBIGUOUS: sa.select(
        _v.merchant_id,
        _v.sku.label("key"),
        _v.item_id.label("id"),
        _p.update_time.label("time"),
        _none.label("message"),
    )
    .join_from(
        VARIANTS, PRODUCTS, (_p.merchant_id == _v.merchant_id) & (_p.product_id == _v.product_id)
    )
    .where(_v.sku != ""),
}
"""What waits for each cause: the key of its group, its id, since when, and what it says."""

_KEYS: Mapping[Cause, sa.Select[Any]] = {
    **_SOURCES,
    Cause.SKU_AMBIGUOUS: sa.select(_v.merchant_id, _v.sku.label("key")).where(_v.sku != ""),
}
"""What is looked through for groups: of all that have a SKU, hardly any wait."""

_LEAST = {Cause.SKU_AMBIGUOUS: 2}
"""How many it takes to be a group, where one alone is no harm."""


def groups(
    connection: Connection, merchant_id: str, cause: Cause, after: str | None, count: int
) -> list[Waiting]:
    """Up to `count` groups of a cause behind the key `after`, by key; None begins at the first."""
    source = _KEYS[cause].subquery()
    found = (
        sa.select(source.c.key, sa.func.count().label("waiting_count"))
        .where(source.c.merchant_id == merchant_id)
        .group_by(source.c.key)
        .having(sa.func.count() >= _LEAST.get(cause, 1))
        .order_by(source.c.key)
        .limit(count)
    )
    if after is not None:
        found = found.where(source.c.key > after)
    counts = {row.key: row.waiting_count for row in connection.execute(found)}
    if not counts:
        return []
    said = _said(connection, merchant_id, cause, list(counts))
    examples = _examples(connection, merchant_id, cause, list(counts))
    return [Waiting(cause, key, counts[key], *said[key], examples[key]) for key in counts]


def _said(
    connection: Connection, merchant_id: str, cause: Cause, of: Sequence[str]
) -> Mapping[str, tuple[datetime, str]]:
    """Since when the first of each group waits, and what one of them says."""
    source = _SOURCES[cause].subquery()
    rows = connection.execute(
        sa.select(
            source.c.key,
            sa.func.min(source.c.time, type_=source.c.time.type).label("since"),
            sa.func.min(source.c.message).label("message"),
        )
        .where(source.c.merchant_id == merchant_id, among(keys(), source.c.key))
        .group_by(source.c.key),
        {"keys": [[key] for key in of]},
    )
    return {row.key: (row.since, row.message) for row in rows}


def _examples(
    connection: Connection, merchant_id: str, cause: Cause, of: Sequence[str]
) -> Mapping[str, list[str]]:
    source = _SOURCES[cause].subquery()
    place = sa.func.row_number().over(partition_by=source.c.key, order_by=source.c.id)
    some = (
        sa.select(source.c.key, source.c.id, place.label("place"))
        .where(source.c.merchant_id == merchant_id, among(keys(), source.c.key))
        .subquery()
    )
    first = sa.select(some.c.key, some.c.id).where(some.c.place <= EXAMPLES_MAX)
    found: defaultdict[str, list[str]] = defaultdict(list)
    listed = {"keys": [[key] for key in of]}
    for row in connection.execute(first.order_by(some.c.key, some.c.id), listed):
        found[row.key].append(row.id)
    return found


def held_group(
    connection: Connection, merchant_id: str, cause: Cause, key: str, *, after: str, count: int
) -> list[Held]:
    """Up to `count` reports of a group behind the product `after`, by product."""
    circuit = _h.reason == CIRCUIT_OPEN
    rows = connection.execute(
        sa.select(HELD_REPORTS)
        .where(
            _h.merchant_id == merchant_id,
            circuit if cause is Cause.CIRCUIT_OPEN else ~circuit,
            _h.key == key,
            _h.product_id > after,
        )
        .order_by(_h.product_id)
        .limit(count)
    )
    return [held_value(row) for row in rows]


def listings_not_pushed(
    connection: Connection, merchant_id: str, key: str, after: tuple[str, str], count: int
) -> list[tuple[str, str]]:
    """Channel and product of up to `count` listings that the store did not take for this error."""
    rows = connection.execute(
        sa.select(_l.channel_id, _l.product_id)
        .where(
            _l.merchant_id == merchant_id,
            _FAILED,
            _error == key,
            sa.tuple_(_l.channel_id, _l.product_id) > sa.tuple_(*map(sa.literal, after)),
        )
        .order_by(_l.channel_id, _l.product_id)
        .limit(count)
    )
    return [(row.channel_id, row.product_id) for row in rows]
