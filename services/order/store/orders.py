"""Orders as rows: their JSON columns, and the statements on them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection

from services.chassis.statements import among, keys
from services.order.rules.accounting import Accounts, Refund, StoreUpdate
from services.order.rules.document import Document, Money
from services.order.rules.order import (
    Allocation,
    Buyer,
    Hold,
    Order,
    OrderKey,
    OrderState,
    Reservation,
    Resolved,
    Waiting,
)
from services.order.store.statements import (
    claim,
    delete,
    microseconds,
    save,
)
from services.order.store.tables import AWAITED_ITEMS, ORDERS, SOURCE_DOCUMENTS

_ORDER_KEY = ("merchant_id", "channel_id", "order_id")
_DOCUMENT = TypeAdapter(Document)
_RESOLVED = TypeAdapter(Resolved)
_HOLD = TypeAdapter(Hold)
_ALLOCATIONS = TypeAdapter(tuple[Allocation, ...])
_AWAITED = TypeAdapter(list[str])
_ACCOUNTS = TypeAdapter(Accounts)
_REFUNDS = TypeAdapter(tuple[Refund, ...])
_MONEY = TypeAdapter(Money | None)
_STORE_UPDATE = TypeAdapter(StoreUpdate | None)

_o, _a, _s = ORDERS.c, AWAITED_ITEMS.c, SOURCE_DOCUMENTS.c

_ORDERS = (
    sa.select(ORDERS)
    .where(among(keys(), _o.merchant_id, _o.channel_id, _o.order_id))
    .order_by(_o.merchant_id, _o.channel_id, _o.order_id)
)
_LOCKED_ORDERS = _ORDERS.with_for_update()
_AWAITING = sa.select(_a.merchant_id, _a.channel_id, _a.order_id).where(
    among(keys(), _a.merchant_id, _a.reference)
)
_SOURCE_DOCUMENT = sa.select(_s.source_document).where(
    among(keys(), _s.merchant_id, _s.channel_id, _s.order_id)
)


def orders(
    connection: Connection, wanted: Collection[OrderKey], *, lock: bool = False
) -> dict[OrderKey, Order]:
    """The orders with these keys that exist; locked against other processes if asked for."""
    if not wanted:
        return {}
    statement = _LOCKED_ORDERS if lock else _ORDERS
    rows = connection.execute(statement, {"keys": sorted(set(wanted))})
    return {order.key: order for order in map(_order, rows)}


def claim_orders(
    connection: Connection, now: datetime, lease_time: datetime, count: int
) -> list[Order]:
    """Takes up to `count` orders that are due, until `lease_time`; the longest due first."""
    return [
        _order(row)
        for row in claim(
            connection, ORDERS, _ORDER_KEY, now=now, lease_time=lease_time, count=count
        )
    ]


def save_orders(
    connection: Connection,
    saved: Sequence[Order],
    known: Collection[OrderKey],
    *,
    lease_time: datetime | None = None,
    keep_leases: bool = False,
) -> None:
    """Saves orders; `known` are those that exist. Their leases are set too, unless kept."""
    rows = [_order_row(order) for order in saved]
    if not keep_leases:
        rows = [row | {"lease_time": lease_time} for row in rows]
    save(connection, ORDERS, _ORDER_KEY, rows, known)


def set_awaited(connection: Connection, saved: Sequence[Order]) -> None:
    """Notes which items these orders wait for now, in place of what they waited for."""
    delete(connection, AWAITED_ITEMS, _ORDER_KEY, [order.key for order in saved])
    rows = [
        order.key._asdict() | {"reference": reference}
        for order in saved
        for reference in sorted(order.awaited)
    ]
    if rows:
        connection.execute(sa.insert(AWAITED_ITEMS), rows)


def awaiting(connection: Connection, named: Collection[tuple[str, str]]) -> list[OrderKey]:
    """The orders that wait for any of these items, as (merchant, reference)."""
    rows = connection.execute(_AWAITING, {"keys": sorted(set(named))})
    return sorted({OrderKey(*row) for row in rows})


_HELD: sa.ColumnClause[int] = sa.literal_column(str(int(OrderState.HELD)))


def held(connection: Connection, merchant_id: str, channel_id: str) -> list[OrderKey]:
    """The orders of a channel whose stock is held and that are not posted."""
    query = sa.select(_o.merchant_id, _o.channel_id, _o.order_id).where(
        _o.merchant_id == merchant_id, _o.channel_id == channel_id, _o.state == _HELD
    )
    return [OrderKey(*row) for row in connection.execute(query)]


def set_source_documents(connection: Connection, texts: dict[OrderKey, str]) -> None:
    """Keeps the store's own documents of these orders, in place of older ones."""
    delete(connection, SOURCE_DOCUMENTS, _ORDER_KEY, list(texts))
    rows = [key._asdict() | {"source_document": text} for key, text in texts.items()]
    if rows:
        connection.execute(sa.insert(SOURCE_DOCUMENTS), rows)


def source_document(connection: Connection, key: OrderKey) -> str:
    """The store's own document of an order; empty when there is none."""
    return connection.execute(_SOURCE_DOCUMENT, {"keys": [key]}).scalar() or ""


def order_position(order: Order) -> tuple[int, str, str]:
    """Where an order stands in `list_orders`."""
    return microseconds(order.create_time), order.key.channel_id, order.key.order_id


def _json(adapter: TypeAdapter[Any], value: object | None) -> str | None:
    return None if value is None else adapter.dump_json(value).decode()


def _order_row(order: Order) -> dict[str, Any]:
    buyer, waiting, reservation = order.buyer, order.waiting, order.reservation
    return order.key._asdict() | {
        "state": int(order.state),
        "document": _json(_DOCUMENT, order.document),
        "resolved": _json(_RESOLVED, order.resolved),
        "address": buyer.address if buyer else None,
        "customer_id": buyer.customer_id if buyer else "",
        "hold": _json(_HOLD, order.hold),
        "holds_ended": order.holds_ended,
        "reservation_id": reservation.reservation_id if reservation else "",
        "allocations": _json(_ALLOCATIONS, reservation.allocations if reservation else None),
        "sale_id": order.sale_id,
        "pos_version": order.pos_version,
        "committed": order.committed,
        "waiting_reason": waiting.reason if waiting else "",
        "waiting_message": waiting.message if waiting else "",
        "waiting_key": waiting.about if waiting else "",
        "attempts": waiting.attempts if waiting else 0,
        "next_try_time": waiting.next_try_time if waiting else None,
        "awaited": _json(_AWAITED, sorted(order.awaited)),
        "due_time": order.due_time,
        "create_time": order.create_time,
        "update_time": order.update_time,
        "sync_time": order.sync_time,
        "email": order.document.address if order.document else "",
        "payment_status": int(order.document.payment_status) if order.document else 0,
        "cancel_time": order.cancel_time,
        "cancel_reason": order.cancel_reason,
        "accounts": _json(_ACCOUNTS, order.accounts),
        "refunds": _REFUNDS.dump_json(order.refunds).decode(),
        "paid": _MONEY.dump_json(order.paid).decode(),
        "refunded": _MONEY.dump_json(order.refunded).decode(),
        "store_update": _STORE_UPDATE.dump_json(order.store_update).decode(),
    }


def _order(row: Any) -> Order:
    reservation = buyer = waiting = None
    if row.reservation_id:
        allocations = _ALLOCATIONS.validate_json(row.allocations)
        reservation = Reservation(row.reservation_id, allocations)
    if row.address is not None:
        buyer = Buyer(row.address, row.customer_id)
    if row.waiting_reason:
        waiting = Waiting(
            row.waiting_reason,
            row.waiting_message,
            row.attempts,
            row.next_try_time,
            row.waiting_key,
        )
    return Order(
        key=OrderKey(row.merchant_id, row.channel_id, row.order_id),
        create_time=row.create_time,
        update_time=row.update_time,
        document=_DOCUMENT.validate_json(row.document) if row.document else None,
        resolved=_RESOLVED.validate_json(row.resolved) if row.resolved else None,
        buyer=buyer,
        hold=_HOLD.validate_json(row.hold) if row.hold else None,
        holds_ended=row.holds_ended,
        reservation=reservation,
        sale_id=row.sale_id,
        pos_version=row.pos_version,
        committed=row.committed,
        waiting=waiting,
        awaited=frozenset(_AWAITED.validate_json(row.awaited)),
        due_time=row.due_time,
        sync_time=row.sync_time,
        cancel_time=row.cancel_time,
        cancel_reason=row.cancel_reason,
        accounts=_ACCOUNTS.validate_json(row.accounts) if row.accounts else None,
        refunds=_REFUNDS.validate_json(row.refunds),
        paid=_MONEY.validate_json(row.paid),
        refunded=_MONEY.validate_json(row.refunded),
        store_update=_STORE_UPDATE.validate_json(row.store_update),
    )
