"""What waits for an operator: rows and values."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.chassis.statements import among, keys
from services.order.rules.attention import EXAMPLES_MAX, Cause, Group, key_of, reason_of
from services.order.rules.order import OrderKey
from services.order.rules.sale import SaleKey
from services.order.store.tables import (
    ORDERS,
    REFUSED_SALES,
    REFUSED_UPDATES,
    SALES,
    TROUBLED,
)

KEY_MAX = 500
"""A key is what stands in the contract's field at most."""

_o, _s, _r, _u = ORDERS.c, SALES.c, REFUSED_SALES.c, REFUSED_UPDATES.c
_none = sa.literal("", sa.String)
_TROUBLED = sa.text(f"({TROUBLED.text})")
"""Spelled as in the index of such sales, or it would not be used."""
_WAITING = _o.waiting_reason > sa.literal_column("''")


def _sales(key: sa.ColumnElement[str], condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(
        _s.merchant_id,
        key.label("reason"),
        _none.label("about"),
        _s.sale_id.label("id"),
        _s.sale_time.label("time"),
        _none.label("message"),
    ).where(_TROUBLED, condition)


_UNSHOWN = REFUSED_UPDATES.join(
    ORDERS,
    sa.and_(
        _o.merchant_id == _u.merchant_id,
        _o.channel_id == _u.channel_id,
        _o.order_id == _u.order_id,
        _o.store_update == _u.store_update,
    ),
)
"""What stores refused to show and should still."""
_REFUSAL = sa.func.substr(_u.message, 1, KEY_MAX)

_SOURCES: Mapping[Cause, sa.Select[Any]] = {
    Cause.ORDER_WAITING: sa.select(
        _o.merchant_id,
        _o.waiting_reason.label("reason"),
        _o.waiting_key.label("about"),
        (_o.channel_id + "/" + _o.order_id).label("id"),
        sa.func.coalesce(
            _o.wait_time, _o.sync_time, _o.create_time, type_=_o.create_time.type
        ).label("time"),
        _o.waiting_message.label("message"),
    ).where(_WAITING),
    Cause.SALE_NOT_POSTED: _sales(
        sa.func.substr(_s.post_error, 1, KEY_MAX),
        sa.and_(_s.post_error != "", _s.posted_revision < _s.revision),
    ),
    Cause.SALE_STOCK_NOT_TAKEN: _sales(
        sa.func.substr(_s.stock_error, 1, KEY_MAX), sa.and_(_s.stock_pending, _s.stock_error != "")
    ),
    Cause.SALE_DIFFERS: _sales(_s.channel_id, _s.difference != "null"),
    Cause.SALE_REFUSED: sa.select(
        _r.merchant_id,
        _r.reason,
        _none.label("about"),
        _r.sale_id.label("id"),
        _r.refuse_time.label("time"),
        _r.message,
    ),
    Cause.STORE_UPDATE_REFUSED: sa.select(
        _u.merchant_id,
        _REFUSAL.label("reason"),
        _none.label("about"),
        (_u.channel_id + "/" + _u.order_id).label("id"),
        _u.refuse_time.label("time"),
        _u.message,
    ).select_from(_UNSHOWN),
}
"""What waits for each cause: the two parts of its group's key (sales have one), its id, since when
(where that is not known: when its document came, or it was made), and what it says.
"""

Parts = tuple[str, str]


def _parts(cause: Cause, key: str) -> Parts:
    return reason_of(key) if cause is Cause.ORDER_WAITING else (key, "")


def _key(cause: Cause, parts: Parts) -> str:
    return key_of(*parts) if cause is Cause.ORDER_WAITING else parts[0]


def groups(
    connection: Connection, merchant_id: str, cause: Cause, after: str | None, count: int
) -> list[Group]:
    """Up to `count` groups of a cause behind the key `after`, by key; None begins at the first."""
    source = _SOURCES[cause].subquery()
    key = (source.c.reason, source.c.about)
    statement = (
        sa.select(
            *key,
            sa.func.count(),
            sa.func.min(source.c.time, type_=source.c.time.type),
            sa.func.min(source.c.message),
        )
        .where(source.c.merchant_id == merchant_id)
        .group_by(*key)
        .order_by(*key)
        .limit(count)
    )
    if after is not None:
        behind = sa.tuple_(*map(_literal, _parts(cause, after)))
        statement = statement.where(sa.tuple_(*key) > behind)
    rows = connection.execute(statement).all()
    if not rows:
        return []
    examples = _examples(connection, merchant_id, cause, [(row[0], row[1]) for row in rows])
    return [
        Group(cause, _key(cause, parts), number, since, message, examples[parts])
        for reason, about, number, since, message in rows
        for parts in [(reason, about)]
    ]


def _examples(
    connection: Connection, merchant_id: str, cause: Cause, of: Sequence[Parts]
) -> Mapping[Parts, list[str]]:
    source = _SOURCES[cause].subquery()
    key = (source.c.reason, source.c.about)
    place = sa.func.row_number().over(partition_by=key, order_by=source.c.id)
    some = (
        sa.select(*key, source.c.id, place.label("place"))
        .where(source.c.merchant_id == merchant_id, among(keys(), *key))
        .subquery()
    )
    columns = (some.c.reason, some.c.about, some.c.id)
    first = sa.select(*columns).where(some.c.place <= EXAMPLES_MAX).order_by(*columns)
    found: defaultdict[Parts, list[str]] = defaultdict(list)
    for row in connection.execute(first, {"keys": of}):
        found[row[0], row[1]].append(row[2])
    return found


def group_size(connection: Connection, merchant_id: str, cause: Cause, key: str) -> int:
    """How many wait in a group."""
    source, (reason, about) = _SOURCES[cause].subquery(), _parts(cause, key)
    statement = sa.select(sa.func.count()).where(
        source.c.merchant_id == merchant_id, source.c.reason == reason, source.c.about == about
    )
    return connection.execute(statement).scalar_one()


def waiting_orders(
    connection: Connection, merchant_id: str, key: str, after: tuple[str, str], count: int
) -> list[OrderKey]:
    """Up to `count` orders of a group behind this channel and id, by channel, then id."""
    reason, about = reason_of(key)
    rows = connection.execute(
        sa.select(_o.merchant_id, _o.channel_id, _o.order_id)
        .where(
            _o.merchant_id == merchant_id,
            _WAITING,
            _o.waiting_reason == reason,
            _o.waiting_key == about,
            sa.tuple_(_o.channel_id, _o.order_id) > sa.tuple_(*map(_literal, after)),
        )
        .order_by(_o.channel_id, _o.order_id)
        .limit(count)
    )
    return [OrderKey(*row) for row in rows]


def unshown_orders(
    connection: Connection, merchant_id: str, key: str, after: tuple[str, str], count: int
) -> list[OrderKey]:
    """Up to `count` orders whose store refuses to show them so, behind this channel and id."""
    rows = connection.execute(
        sa.select(_u.merchant_id, _u.channel_id, _u.order_id)
        .select_from(_UNSHOWN)
        .where(
            _u.merchant_id == merchant_id,
            _REFUSAL.in_([key]),
            sa.tuple_(_u.channel_id, _u.order_id) > sa.tuple_(*map(_literal, after)),
        )
        .order_by(_u.channel_id, _u.order_id)
        .limit(count)
    )
    return [OrderKey(*row) for row in rows]


def troubled_sales(
    connection: Connection, merchant_id: str, cause: Cause, key: str, page: tuple[str, int]
) -> list[SaleKey]:
    """Sales of a group behind the first of `page`, by id, at most as many as the second."""
    source = _SOURCES[cause].subquery()
    after, count = page
    rows = connection.execute(
        sa.select(source.c.merchant_id, source.c.id)
        .where(source.c.merchant_id == merchant_id, source.c.reason == key, source.c.id > after)
        .order_by(source.c.id)
        .limit(count)
    )
    return [SaleKey(*row) for row in rows]


def _literal(value: str) -> sa.ColumnElement[Any]:
    return sa.literal(value)
