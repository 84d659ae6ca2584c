"""Orders as rows: their JSON columns, and the statements on them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.chassis.statements import Lookup, among, append, keys
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
from services.order.store.nested import Nested
from services.order.store.statements import Claims, Shape, delete, save
from services.order.store.tables import AWAITED_ITEMS, ORDERS, SOURCE_DOCUMENTS

_ORDER_KEY = ("merchant_id", "channel_id", "order_id")
_DOCUMENT: Nested[Document] = Nested(Document)
_RESOLVED: Nested[Resolved] = Nested(Resolved)
_HOLD: Nested[Hold] = Nested(Hold)
_ALLOCATIONS: Nested[tuple[Allocation, ...]] = Nested(tuple[Allocation, ...])
_AWAITED: Nested[list[str]] = Nested(list[str])
_ACCOUNTS: Nested[Accounts] = Nested(Accounts)
_REFUNDS: Nested[tuple[Refund, ...]] = Nested(tuple[Refund, ...])
_MONEY: Nested[Money | None] = Nested(Money | None)
_STORE_UPDATE: Nested[StoreUpdate | None] = Nested(StoreUpdate | None)

_o, _a, _s = ORDERS.c, AWAITED_ITEMS.c, SOURCE_DOCUMENTS.c

_SHAPE = Shape(ORDERS, "document_message")
_CLAIMS = Claims(ORDERS, _ORDER_KEY, _SHAPE)
_FOUND = (
    sa.select(*_SHAPE.columns)
    .where(among(keys(), _o.merchant_id, _o.channel_id, _o.order_id))
    .order_by(_o.merchant_id, _o.channel_id, _o.order_id)
)
_ORDERS = Lookup(_FOUND)
_LOCKED_ORDERS = Lookup(_FOUND.with_for_update())
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
    rows = statement.rows(connection, keys=sorted(set(wanted)))
    return {order.key: order for order in map(_order, map(_SHAPE.row, rows))}


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether an order is due that nobody has taken."""
    return _CLAIMS.is_due(connection, now)


def claim_orders(
    connection: Connection, now: datetime, lease_time: datetime, count: int
) -> list[Order]:
    """Takes up to `count` orders that are due, until `lease_time`; the longest due first."""
    rows = _CLAIMS.claim(connection, now=now, lease_time=lease_time, count=count)
    return list(map(_order, rows))


def save_orders(
    connection: Connection,
    saved: Sequence[Order],
    known: Mapping[OrderKey, Order],
    *,
    lease_time: datetime | None = None,
    keep_leases: bool = False,
    messages: Mapping[OrderKey, bytes] | None = None,
) -> None:
    """Saves orders, those that are `known` as far as they are different. Their leases are set too,
    unless kept, and their documents as messages, where these are given: then of all of them.
    """
    rows = [_columns(order, known.get(order.key)) for order in saved]
    for row, order in zip(rows, saved, strict=True):
        if not keep_leases:
            row["lease_time"] = lease_time
        if messages is not None:
            row["document_message"] = messages[order.key]
    save(connection, ORDERS, _ORDER_KEY, rows, known)


def set_awaited(connection: Connection, saved: Sequence[Order]) -> None:
    """Notes which items these orders wait for now, in place of what they waited for."""
    delete(connection, AWAITED_ITEMS, _ORDER_KEY, [order.key for order in saved])
    rows = [
        order.key._asdict() | {"reference": reference}
        for order in saved
        for reference in sorted(order.awaited)
    ]
    append(connection, AWAITED_ITEMS, rows)


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


def set_source_documents(
    connection: Connection, texts: dict[OrderKey, str], known: Collection[OrderKey]
) -> None:
    """Keeps the store's own documents of these orders, in place of those that `known` ones have."""
    delete(connection, SOURCE_DOCUMENTS, _ORDER_KEY, [key for key in texts if key in known])
    rows = [key._asdict() | {"source_document": text} for key, text in texts.items()]
    append(connection, SOURCE_DOCUMENTS, rows)


def source_document(connection: Connection, key: OrderKey) -> str:
    """The store's own document of an order; empty when there is none."""
    return connection.execute(_SOURCE_DOCUMENT, {"keys": [key]}).scalar() or ""


def _columns(order: Order, known: Order | None) -> dict[str, Any]:
    """The columns of an order; of one that is known, its key and those that are different. Fewer
    written are fewer indexes to keep.
    """
    row: dict[str, Any] = order.key._asdict()
    state = int(order.state)
    if known is None or known.state != state:
        row["state"] = state
    for field, columns in _PARTS.items():
        value = getattr(order, field)
        if known is None or value is not getattr(known, field):
            row |= columns(value)
    return row


def _document_columns(document: Document | None) -> dict[str, Any]:
    return {
        "document": _DOCUMENT.text(document) if document else None,
        "email": document.address if document else "",
        "payment_status": int(document.payment_status) if document else 0,
    }


def _buyer_columns(buyer: Buyer | None) -> dict[str, Any]:
    return {
        "address": buyer.address if buyer else None,
        "customer_id": buyer.customer_id if buyer else "",
    }


def _reservation_columns(reservation: Reservation | None) -> dict[str, Any]:
    return {
        "reservation_id": reservation.reservation_id if reservation else "",
        "allocations": _ALLOCATIONS.text(reservation.allocations) if reservation else None,
    }


def _waiting_columns(waiting: Waiting | None) -> dict[str, Any]:
    return {
        "waiting_reason": waiting.reason if waiting else "",
        "waiting_message": waiting.message if waiting else "",
        "waiting_key": waiting.about if waiting else "",
        "attempts": waiting.attempts if waiting else 0,
        "next_try_time": waiting.next_try_time if waiting else None,
    }


Columns = Callable[[Any], dict[str, Any]]
"""The columns of a part of an order."""


def _as_it_is(name: str) -> Columns:
    return lambda value: {name: value}


def _nested(name: str, kind: Nested[Any]) -> Columns:
    return lambda value: {name: kind.text(value)}


def _nested_if_any(name: str, kind: Nested[Any]) -> Columns:
    return lambda value: {name: None if value is None else kind.text(value)}


_PARTS: Mapping[str, Columns] = {
    "document": _document_columns,
    "resolved": _nested_if_any("resolved", _RESOLVED),
    "buyer": _buyer_columns,
    "hold": _nested_if_any("hold", _HOLD),
    "reservation": _reservation_columns,
    "waiting": _waiting_columns,
    "awaited": lambda awaited: {"awaited": _AWAITED.text(sorted(awaited))},
    "accounts": _nested_if_any("accounts", _ACCOUNTS),
    "refunds": _nested("refunds", _REFUNDS),
    "paid": _nested("paid", _MONEY),
    "refunded": _nested("refunded", _MONEY),
    "store_update": _nested("store_update", _STORE_UPDATE),
    **{
        name: _as_it_is(name)
        for name in (
            *("create_time", "update_time", "sync_time", "due_time", "wait_time", "cancel_time"),
            *("holds_ended", "sale_id", "pos_version", "committed", "cancel_reason", "gone"),
        )
    },
}
"""The columns that each part of an order makes, but for its key and its state."""


def _order(row: Any) -> Order:
    reservation = buyer = waiting = None
    if row.reservation_id:
        allocations = _ALLOCATIONS.value(row.allocations)
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
        document=_DOCUMENT.value(row.document) if row.document else None,
        resolved=_RESOLVED.value(row.resolved) if row.resolved else None,
        buyer=buyer,
        hold=_HOLD.value(row.hold) if row.hold else None,
        holds_ended=row.holds_ended,
        reservation=reservation,
        sale_id=row.sale_id,
        pos_version=row.pos_version,
        committed=row.committed,
        waiting=waiting,
        wait_time=row.wait_time,
        awaited=frozenset(_AWAITED.value(row.awaited)),
        due_time=row.due_time,
        sync_time=row.sync_time,
        cancel_time=row.cancel_time,
        cancel_reason=row.cancel_reason,
        gone=row.gone,
        accounts=_ACCOUNTS.value(row.accounts) if row.accounts else None,
        refunds=_REFUNDS.value(row.refunds),
        paid=_MONEY.value(row.paid),
        refunded=_MONEY.value(row.refunded),
        store_update=_STORE_UPDATE.value(row.store_update),
    )
