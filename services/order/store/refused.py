"""Sales that could not be copied, as rows."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from services.chassis.statements import among, keys
from services.order.rules.refused import RefusedSale
from services.order.rules.sale import SaleKey
from services.order.store.statements import delete, save
from services.order.store.tables import REFUSED_SALES

_KEY = ("merchant_id", "sale_id")
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
