"""Shipping methods as rows, and the statements on them."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection

from services.chassis.statements import Lookup, among, keys
from services.order.rules.document import FulfillmentKind
from services.order.rules.shipping import Method, MethodKey, Terms
from services.order.store.statements import delete, number, save
from services.order.store.tables import SHIPPING_METHODS

Editions = Sequence[tuple[Any, ...]]

_METHOD_KEY = ("merchant_id", "channel_id", "method_id")
_TERMS = TypeAdapter(Terms)

_m = SHIPPING_METHODS.c
_METHODS = (
    sa.select(SHIPPING_METHODS)
    .where(among(keys(), _m.merchant_id, _m.channel_id, _m.method_id))
    .order_by(_m.merchant_id, _m.channel_id, _m.method_id)
)
_LOCKED_METHODS = _METHODS.with_for_update()
_CHANNEL = (
    _m.merchant_id == sa.bindparam("merchant_id"),
    _m.channel_id == sa.bindparam("channel_id"),
)
_OF_CHANNEL = Lookup(
    sa.select(SHIPPING_METHODS).where(*_CHANNEL).order_by(_m.position, _m.method_id)
)
_EDITIONS = Lookup(
    sa.select(_m.method_id, _m.version, number(_m.create_time))
    .where(*_CHANNEL)
    .order_by(_m.method_id)
)


def methods(
    connection: Connection, wanted: Collection[MethodKey], *, lock: bool = False
) -> dict[MethodKey, Method]:
    """The methods with these keys that exist; locked against other processes if asked for."""
    if not wanted:
        return {}
    statement = _LOCKED_METHODS if lock else _METHODS
    rows = connection.execute(statement, {"keys": sorted(set(wanted))})
    return {found.key: found for found in map(_method, rows)}


def channel_methods(connection: Connection, merchant_id: str, channel_id: str) -> list[Method]:
    """All methods of a channel, by position, then id."""
    asked = {"merchant_id": merchant_id, "channel_id": channel_id}
    return [_method(row) for row in _OF_CHANNEL.ask(connection, **asked)]


def editions(connection: Connection, merchant_id: str, channel_id: str) -> Editions:
    """In which edition a channel has which methods: as long as these are equal, so are they."""
    asked = {"merchant_id": merchant_id, "channel_id": channel_id}
    return _EDITIONS.rows(connection, **asked)


def list_methods(  # noqa: PLR0917  (a channel's list, and where in it)
    connection: Connection,
    merchant_id: str,
    channel_id: str,
    outlet_id: str,
    after: tuple[int, str] | None,
    count: int,
) -> list[Method]:
    """Up to `count` methods of a channel behind this position and id; of this outlet, or of all."""
    query = (
        sa.select(SHIPPING_METHODS)
        .where(_m.merchant_id == merchant_id, _m.channel_id == channel_id)
        .order_by(_m.position, _m.method_id)
        .limit(count)
    )
    if outlet_id:
        query = query.where(_m.outlet_id == outlet_id)
    if after:
        query = query.where(sa.tuple_(_m.position, _m.method_id) > sa.tuple_(*map(_literal, after)))
    return [_method(row) for row in connection.execute(query)]


def save_methods(
    connection: Connection, saved: Sequence[Method], known: Collection[MethodKey]
) -> None:
    """Saves methods; `known` are those that exist."""
    save(connection, SHIPPING_METHODS, _METHOD_KEY, [_row(one) for one in saved], known)


def delete_methods(connection: Connection, unwanted: Sequence[MethodKey]) -> None:
    """Deletes methods."""
    delete(connection, SHIPPING_METHODS, _METHOD_KEY, unwanted)


def _literal(value: object) -> sa.ColumnElement[Any]:
    return sa.literal(value)


def _row(found: Method) -> dict[str, Any]:
    return found.key._asdict() | {
        "name": found.name,
        "kind": int(found.kind),
        "outlet_id": found.outlet_id,
        "enabled": found.enabled,
        "disabled_reason": found.disabled_reason,
        "position": found.position,
        "terms": _TERMS.dump_json(found.terms).decode(),
        "version": found.version,
        "create_time": found.create_time,
        "update_time": found.update_time,
    }


def _method(row: Any) -> Method:
    found = dict(zip(SHIPPING_METHODS.c.keys(), row, strict=True))
    key = MethodKey(*(found.pop(name) for name in _METHOD_KEY))
    kind, terms = FulfillmentKind(found.pop("kind")), _TERMS.validate_json(found.pop("terms"))
    return Method(key=key, kind=kind, terms=terms, **found)
