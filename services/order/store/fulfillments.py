"""Fulfillments as rows, and the statements on them."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from services.chassis.statements import Lookup, among, keys
from services.order.rules.document import Address, FulfillmentKind
from services.order.rules.fulfillment import Fulfillment, FulfillmentLine
from services.order.rules.order import OrderKey
from services.order.store.nested import Nested
from services.order.store.statements import Page, Shape, microseconds, number, paged, save
from services.order.store.tables import FULFILLMENTS

_LINES: Nested[tuple[FulfillmentLine, ...]] = Nested(tuple[FulfillmentLine, ...])
_SHIP_TO: Nested[Address | None] = Nested(Address | None)

_f = FULFILLMENTS.c
_KEY = ("merchant_id", "fulfillment_id")
_SHAPE = Shape(FULFILLMENTS)
_OF_ORDERS = Lookup(sa.select(*_SHAPE.columns).where(among(keys(), _f.merchant_id, _f.order_id)))
_ORDERS_OF = sa.select(_f.merchant_id, _f.fulfillment_id, _f.channel_id, _f.order_id).where(
    among(keys(), _f.merchant_id, _f.fulfillment_id)
)


class FulfillmentKey(NamedTuple):
    """Whose fulfillment it is, and which."""

    merchant_id: str
    fulfillment_id: str


def key_of(fulfillment: Fulfillment) -> FulfillmentKey:
    """The key of a fulfillment."""
    return FulfillmentKey(fulfillment.merchant_id, fulfillment.fulfillment_id)


def order_keys(
    connection: Connection, wanted: Collection[FulfillmentKey]
) -> dict[FulfillmentKey, OrderKey]:
    """The orders of those of these fulfillments that exist."""
    if not wanted:
        return {}
    rows = connection.execute(_ORDERS_OF, {"keys": sorted(set(wanted))})
    return {FulfillmentKey(row[0], row[1]): OrderKey(row[0], row[2], row[3]) for row in rows}


def of_orders(
    connection: Connection, wanted: Collection[OrderKey]
) -> dict[OrderKey, tuple[Fulfillment, ...]]:
    """The fulfillments of these orders, in one order always. Who locks an order has its
    fulfillments locked.
    """
    if not wanted:
        return {}
    named = sorted({(key.merchant_id, key.order_id) for key in wanted})
    found: dict[OrderKey, list[Fulfillment]] = {key: [] for key in wanted}
    for row in map(_SHAPE.row, _OF_ORDERS.rows(connection, keys=named)):
        key = OrderKey(row.merchant_id, row.channel_id, row.order_id)
        if key in found:  # the same id in another channel is another order
            found[key].append(_fulfillment(row))
    return {key: tuple(sorted(ones, key=key_of)) for key, ones in found.items()}


def save_fulfillments(
    connection: Connection, saved: Sequence[Fulfillment], known: Collection[FulfillmentKey]
) -> None:
    """Saves fulfillments; `known` are those that exist."""
    save(connection, FULFILLMENTS, _KEY, [_fulfillment_row(one) for one in saved], known)


def list_fulfillments(
    connection: Connection,
    merchant_id: str,
    page: Page,
    *,
    outlet_id: str = "",
    order_id: str = "",
    channel_id: str = "",
    state: int = 0,
) -> list[Fulfillment]:
    """A page of fulfillments, newest first; its key is `position`."""
    query = sa.select(FULFILLMENTS).where(_f.merchant_id == merchant_id)
    for column, wanted in (
        (_f.outlet_id, outlet_id),
        (_f.order_id, order_id),
        (_f.channel_id, channel_id),
        (_f.state, state),
    ):
        if wanted:
            query = query.where(column == wanted)
    columns = (number(_f.create_time), _f.fulfillment_id)
    return [_fulfillment(row) for row in connection.execute(paged(query, columns, page))]


def position(fulfillment: Fulfillment) -> tuple[int, str]:
    """Where a fulfillment stands in `list_fulfillments`."""
    return microseconds(fulfillment.create_time), fulfillment.fulfillment_id


def _fulfillment_row(fulfillment: Fulfillment) -> dict[str, Any]:
    return {
        "merchant_id": fulfillment.merchant_id,
        "fulfillment_id": fulfillment.fulfillment_id,
        "channel_id": fulfillment.channel_id,
        "order_id": fulfillment.order_id,
        "sale_id": fulfillment.sale_id,
        "outlet_id": fulfillment.outlet_id,
        "kind": int(fulfillment.kind),
        "state": int(fulfillment.state),
        "lines": _LINES.text(fulfillment.lines),
        "create_time": fulfillment.create_time,
        "version": fulfillment.version,
        "tracking_number": fulfillment.tracking_number,
        "carrier": fulfillment.carrier,
        "update_time": fulfillment.update_time,
        "ship_to": _SHIP_TO.text(fulfillment.ship_to),
        "pickup_time": fulfillment.pickup_time,
    }


def _fulfillment(row: Any) -> Fulfillment:
    return Fulfillment(
        merchant_id=row.merchant_id,
        fulfillment_id=row.fulfillment_id,
        channel_id=row.channel_id,
        order_id=row.order_id,
        sale_id=row.sale_id,
        outlet_id=row.outlet_id,
        kind=FulfillmentKind(row.kind),
        lines=_LINES.value(row.lines),
        create_time=row.create_time,
        version=row.version,
        tracking_number=row.tracking_number,
        carrier=row.carrier,
        update_time=row.update_time,
        ship_to=_SHIP_TO.value(row.ship_to),
        pickup_time=row.pickup_time,
    )
