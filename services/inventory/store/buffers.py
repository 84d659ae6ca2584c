"""Buffers: what is kept back from a channel."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_

from services.chassis.statements import Lookup, among, keys, upsert
from services.inventory.rules.online import KeptBack
from services.inventory.store.tables import BUFFERS, ItemKey

_LOAD_BUFFERS = Lookup(
    select(
        BUFFERS.c.merchant_id,
        BUFFERS.c.channel_id,
        BUFFERS.c.outlet_id,
        BUFFERS.c.item_id,
        BUFFERS.c.quantity,
    ).where(among(keys(), BUFFERS.c.merchant_id, BUFFERS.c.item_id))
)


def ask_buffers(connection: Connection, wanted: Sequence[ItemKey]) -> Iterator[Any]:
    """What `load_buffers` tells, as rows."""
    return _LOAD_BUFFERS.ask(connection, keys=wanted)


def load_buffers(
    connection: Connection, wanted: Sequence[ItemKey]
) -> dict[tuple[str, str], dict[tuple[str, str], int]]:
    """What is kept back of these items (empty: of each), by (merchant, channel), then by
    (outlet, item).
    """
    return read_buffers(ask_buffers(connection, wanted))


def read_buffers(rows: Iterable[Any]) -> dict[tuple[str, str], dict[tuple[str, str], int]]:
    """As `load_buffers`, from what `ask_buffers` gave."""
    found: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), {})[row[2], row[3]] = row[4]
    return found


def list_buffers(
    connection: Connection, merchant: str, channel_id: str, after: tuple[str, str], limit: int
) -> list[KeptBack]:
    """A channel's buffers by outlet, then item, behind the key `after` unless that is empty."""
    table = BUFFERS.c
    statement = (
        select(table.channel_id, table.outlet_id, table.item_id, table.quantity, table.update_time)
        .where(table.merchant_id == merchant, table.channel_id == channel_id)
        .order_by(table.outlet_id, table.item_id)
        .limit(limit)
    )
    if after:
        statement = statement.where(tuple_(table.outlet_id, table.item_id) > after)
    return [KeptBack(*row) for row in connection.execute(statement)]


def find_buffers(
    connection: Connection, merchant: str, channel_id: str, item_ids: Sequence[str]
) -> dict[tuple[str, str], KeptBack]:
    """A channel's buffers of these items (empty: of each), by (outlet, item)."""
    table = BUFFERS.c
    rows = connection.execute(
        select(
            table.channel_id, table.outlet_id, table.item_id, table.quantity, table.update_time
        ).where(
            table.merchant_id == merchant,
            table.channel_id == channel_id,
            table.item_id.in_(item_ids),
        )
    )
    return {(row.outlet_id, row.item_id): KeptBack(*row) for row in rows}


def put_buffer(connection: Connection, merchant: str, buffer: KeptBack) -> None:
    """Sets a buffer."""
    row = {
        "merchant_id": merchant,
        "channel_id": buffer.channel_id,
        "outlet_id": buffer.outlet_id,
        "item_id": buffer.item_id,
        "quantity": buffer.quantity,
        "update_time": buffer.update_time,
    }
    upsert(connection, BUFFERS, [row])


def remove_buffer(
    connection: Connection, merchant: str, channel_id: str, key: tuple[str, str]
) -> None:
    """Removes the buffer with this key (outlet, item), if there is one."""
    table = BUFFERS.c
    connection.execute(
        delete(BUFFERS).where(
            table.merchant_id == merchant,
            table.channel_id == channel_id,
            table.outlet_id == key[0],
            table.item_id == key[1],
        )
    )
