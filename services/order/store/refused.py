"""What is refused for good, as rows: sales that were not copied, and what stores do not show."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from services.chassis.statements import among, keys
from services.order.rules.order import OrderKey
from services.order.rules.refused import RefusedSale, RefusedUpdate
from services.order.rules.sale import SaleKey
from services.order.store.statements import delete, save
from services.order.store.tables import ORDERS, REFUSED_SALES, REFUSED_UPDATES

_KEY = ("merchant_id", "sale_id")
_ORDER_KEY = ("merchant_id", "channel_id", "order_id")
_c = REFUSED_SALES.c
_REFUSED = sa.select(REFUSED_SALES).where(among(keys(), _c.merchant_id, _c.sale_id))


def refused_sales(
    connection: Connection, wanted: Collection[SaleKey]
) -> dict[SaleKey, RefusedSale]:
    """Those of these sales that were refused."""
    if not wanted:
        return {}
    found = {}
    for row in connection.execute(_REFUSED, {"keys": sorted(set(wanted))}):
        key = SaleKey(row.merchant_id, row.sale_id)
        found[key] = RefusedSale(key, row.version, row.reason, row.message, row.refuse_time)
    return found


def save_refused(
    connection: Connection, saved: Sequence[RefusedSale], known: Collection[SaleKey]
) -> None:
    """Keeps refusals; `known` are those that were kept before."""
    rows = [
        one.key._asdict()
        | {
            "version": one.version,
            "reason": one.reason,
            "message": one.message,
            "refuse_time": one.refuse_time,
        }
        for one in saved
    ]
    save(connection, REFUSED_SALES, _KEY, rows, known)


def forget_refused(connection: Connection, unwanted: Sequence[SaleKey]) -> None:
    """Forgets refusals."""
    delete(connection, REFUSED_SALES, _KEY, unwanted)


_u, _o = REFUSED_UPDATES.c, ORDERS.c
_UPDATES = sa.select(_u.merchant_id, _u.channel_id, _u.order_id, _u.store_update, _u.message).where(
    among(keys(), _u.merchant_id, _u.channel_id, _u.order_id)
)
_SHOULD_SHOW = sa.select(_o.merchant_id, _o.channel_id, _o.order_id, _o.store_update).where(
    among(keys(), _o.merchant_id, _o.channel_id, _o.order_id)
)


def save_refused_updates(connection: Connection, saved: Sequence[RefusedUpdate]) -> None:
    """Keeps what stores refuse to show of orders, which is what these should show now. What is kept
    just so already stays, and since when.
    """
    if not saved:
        return
    wanted = {"keys": sorted({one.key for one in saved})}
    known = {OrderKey(*row[:3]): row[3:] for row in connection.execute(_UPDATES, wanted)}
    texts = {OrderKey(*row[:3]): row[3] for row in connection.execute(_SHOULD_SHOW, wanted)}
    rows = {
        one.key: one.key._asdict()
        | {
            "store_update": texts[one.key],
            "message": one.message,
            "refuse_time": one.refuse_time,
        }
        for one in saved
        if known.get(one.key) != (texts[one.key], one.message)
    }
    save(connection, REFUSED_UPDATES, _ORDER_KEY, list(rows.values()), known)


def forget_refused_updates(connection: Connection, unwanted: Sequence[OrderKey]) -> None:
    """Forgets what stores refused to show."""
    delete(connection, REFUSED_UPDATES, _ORDER_KEY, unwanted)
