"""Fulfillments as rows, and the statements on them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection

from services.order.rules.document import FulfillmentKind
from services.order.rules.fulfillment import Fulfillment, FulfillmentLine
from services.order.rules.sale import SaleKey
from services.order.store.statements import Page, microseconds, number, paged
from services.order.store.tables import FULFILLMENTS

_HANDED_OVER = TypeAdapter(tuple[FulfillmentLine, ...])
_NEW = 1
"""FULFILLMENT_STATE_NEW: as yet a fulfillment has no other state."""


def add_fulfillments(connection: Connection, added: Sequence[Fulfillment]) -> None:
    """Adds fulfillments."""
    if added:
        connection.execute(sa.insert(FULFILLMENTS), [_fulfillment_row(one) for one in added])


def set_fulfillment_kinds(connection: Connection, kinds: dict[SaleKey, FulfillmentKind]) -> None:
    """Sets how what belongs to these sales is handed over."""
    c = FULFILLMENTS.c
    if not kinds:
        return
    connection.execute(
        sa.update(FULFILLMENTS).where(
            c.merchant_id == sa.bindparam("of_merchant_id"),
            c.sale_id == sa.bindparam("of_sale_id"),
        ),
        [
            {"of_merchant_id": key.merchant_id, "of_sale_id": key.sale_id, "kind": int(kind)}
            for key, kind in kinds.items()
        ],
    )


def list_fulfillments(
    connection: Connection, merchant_id: str, page: Page, *, outlet_id: str = "", order_id: str = ""
) -> list[Fulfillment]:
    """A page of fulfillments, newest first; its key is `position`."""
    c = FULFILLMENTS.c
    query = sa.select(FULFILLMENTS).where(c.merchant_id == merchant_id)
    if outlet_id:
        query = query.where(c.outlet_id == outlet_id)
    if order_id:
        query = query.where(c.order_id == order_id)
    columns = (number(c.create_time), c.fulfillment_id)
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
        "state": _NEW,
        "lines": _HANDED_OVER.dump_json(fulfillment.lines).decode(),
        "create_time": fulfillment.create_time,
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
        lines=_HANDED_OVER.validate_json(row.lines),
        create_time=row.create_time,
    )
