"""Lists of orders, and what is looked for in them: each way has an index that keeps it short."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection

from services.order.rules.filters import Filters
from services.order.rules.order import Order, OrderKey
from services.order.store.orders import orders
from services.order.store.statements import Page, number, paged
from services.order.store.tables import GOING, ORDERS, WAITING

ENDED = 6
"""States from this on are final, or nearly so: most orders are in one of them."""
SORTED_MAX = 100_000
"""So many orders whose id begins alike are sorted by time, for which their index is enough; where
there are more, all orders are looked through by time.
"""

_o = ORDERS.c
_LAST = "\U0010ffff"


def list_orders(
    connection: Connection, merchant_id: str, page: Page, filters: Filters
) -> list[Order]:
    """A page of orders, newest first; its key is `order_position`."""
    query = sa.select(_o.merchant_id, _o.channel_id, _o.order_id)
    query = query.where(_o.merchant_id == merchant_id)
    for column, value in (
        (_o.channel_id, filters.channel_id),
        (_o.state, filters.state),
        (_o.customer_id, filters.customer_id),
        (_o.waiting_reason, filters.waiting_reason),
        (_o.payment_status, filters.payment_status),
    ):
        if value:
            query = query.where(column == value)
    # Spelled as in the indexes of such orders, or they would not be used.
    if filters.waiting or filters.waiting_reason:
        query = query.where(WAITING)
    if 0 < filters.state < ENDED:
        query = query.where(GOING)
    if filters.begin:
        query = query.where(_o.create_time >= filters.begin)
    if filters.end:
        query = query.where(_o.create_time < filters.end)
    few = bool(filters.customer_id or filters.waiting or filters.waiting_reason)
    few |= 0 < filters.state < ENDED
    if filters.query:
        found, few = _found(connection, merchant_id, filters.query.strip())
        query = query.where(found)
    time: ColumnElement[Any] = number(_o.create_time)
    if few and connection.dialect.name == "sqlite":
        # It knows nothing of how many orders pass, and would go through all of them by time to
        # save itself the sorting of a few.
        time = time.op("+")(sa.literal_column("0"))
        time.type = BigInteger()
    columns = (time, _o.channel_id, _o.order_id)
    # Their keys first: an index has all that these need.
    listed = [OrderKey(*row) for row in connection.execute(paged(query, columns, page))]
    known = orders(connection, listed)
    return [known[key] for key in listed]


def _found(connection: Connection, merchant_id: str, text: str) -> tuple[ColumnElement[bool], bool]:
    """What orders have that somebody looks for, by the way that is shortest for this text, and
    whether few have it.
    """
    postgresql = connection.dialect.name == "postgresql"
    begins, address = _begins(text, postgresql=postgresql), _o.email == text.casefold()
    ours, one = _o.merchant_id == merchant_id, sa.select(sa.literal(1))
    known = one.where(ours, begins).limit(SORTED_MAX + 1).subquery()
    count = connection.execute(sa.select(sa.func.count()).select_from(known)).scalar_one()
    if not count:
        return address, True
    if count > SORTED_MAX:
        begins = sa.func.substr(_o.order_id, 1, len(text)) == text
    has = connection.execute(one.where(ours, address).limit(1)).first()
    return sa.or_(begins, address) if has else begins, count <= SORTED_MAX


def _begins(text: str, *, postgresql: bool) -> ColumnElement[bool]:
    """That an id begins so, letter by letter, whatever the language of the database."""
    above, below = ("~>=~", "~<~") if postgresql else (">=", "<")

    def compare(operator: str, value: str) -> ColumnElement[Any]:
        return _o.order_id.op(operator, is_comparison=True)(value)

    return sa.and_(compare(above, text), compare(below, text + _LAST))
