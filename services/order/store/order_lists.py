"""Lists of orders, and what is looked for in them: each way has an index that keeps it short."""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import BigInteger, ColumnElement, Connection

from services.chassis.driver import together
from services.chassis.statements import Lookup, among, keys
from services.order.rules.accounting import StoreUpdate
from services.order.rules.document import Document, Money
from services.order.rules.filters import Filters
from services.order.rules.listed import Listed
from services.order.rules.order import OrderKey, OrderState
from services.order.store.statements import Page, microseconds, number, paged
from services.order.store.tables import GOING, ORDERS, WAITING

ENDED = 6
"""States from this on are final, or nearly so: most orders are in one of them."""
SORTED_MAX = 100_000
"""So many orders whose id begins alike are sorted by time, for which their index is enough; where
there are more, all orders are looked through by time.
"""

_o = ORDERS.c
_LAST = "\U0010ffff"
_DOCUMENT = TypeAdapter(Document)
_MONEY = TypeAdapter(Money | None)
_STORE_UPDATE = TypeAdapter(StoreUpdate | None)

_KEY = (_o.merchant_id, _o.channel_id, _o.order_id)
_LISTED = Lookup(
    sa.select(
        *_KEY,
        _o.state,
        _o.document_message,
        # Older rows have no message.
        sa.case((_o.document_message.is_(None), _o.document)),
        *(_o[name] for name in Listed._fields[3:]),
    ).where(among(keys(), *_KEY))
)


def listed(connection: Connection, wanted: Collection[OrderKey]) -> Mapping[OrderKey, Listed]:
    """What is shown of the orders with these keys, of those that exist."""
    with together(connection):  # with what begins the transaction
        rows = _LISTED.ask(connection, keys=sorted(set(wanted)))
    return {found.key: found for found in map(_listed, rows)}


def _listed(row: tuple[Any, ...]) -> Listed:
    merchant_id, channel_id, order_id, state, message, text, *rest, paid, refunded, update = row
    return Listed(
        OrderKey(merchant_id, channel_id, order_id),
        OrderState(state),
        message or (_DOCUMENT.validate_json(text) if text else None),
        *rest,
        *(
            None if value == "null" else adapter.validate_json(value)
            for adapter, value in ((_MONEY, paid), (_MONEY, refunded), (_STORE_UPDATE, update))
        ),
    )


def list_orders(
    connection: Connection, merchant_id: str, page: Page, filters: Filters
) -> list[Listed]:
    """A page of orders, newest first; its key is `position`."""
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
    few &= connection.dialect.name == "sqlite"  # PostgreSQL knows how many they are
    if filters.query:
        found, few = _found(connection, merchant_id, filters.query.strip())
        query = query.where(found)
    time: ColumnElement[Any] = number(_o.create_time)
    if few:
        # A database that does not know how few orders pass, or that all of them may be old, would
        # go through every order by time to save itself the sorting.
        time = time.op("+")(sa.literal_column("0"))
        time.type = BigInteger()
    columns = (time, _o.channel_id, _o.order_id)
    # Their keys first: an index has all that these need.
    on_page = [OrderKey(*row) for row in connection.execute(paged(query, columns, page))]
    known = listed(connection, on_page)
    return [known[key] for key in on_page]


def position(found: Listed) -> tuple[int, str, str]:
    """Where an order stands in `list_orders`."""
    return microseconds(found.create_time), found.key.channel_id, found.key.order_id


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
