"""Transfers, with their lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, or_, select, true, tuple_

from services.chassis.statements import among, keys, upsert
from services.inventory.rules.transfers import Line, State, Transfer
from services.inventory.store.tables import TRANSFER_LINES, TRANSFERS

TransferKey = tuple[str, str]
"""(merchant, transfer)."""

_LOAD_TRANSFERS = select(TRANSFERS).where(
    among(keys(), TRANSFERS.c.merchant_id, TRANSFERS.c.transfer_id)
)


_LOAD_LINES = select(TRANSFER_LINES).where(
    among(keys(), TRANSFER_LINES.c.merchant_id, TRANSFER_LINES.c.transfer_id)
)


def load_transfers(
    connection: Connection, wanted: Sequence[TransferKey]
) -> dict[TransferKey, Transfer]:
    """The transfers with these keys."""
    rows = connection.execute(_LOAD_TRANSFERS, {"keys": wanted}).all()
    return _transfers(connection, rows)


def list_transfers(
    connection: Connection,
    merchant: str,
    filters: tuple[str, int],
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Transfer]:
    """Transfers, the latest first, behind `before` (time of creation, id); `filters` are an outlet
    from or to which they go, and a state; empty and 0 mean any.
    """
    table = TRANSFERS.c
    outlet_id, state = filters
    rows = connection.execute(
        select(TRANSFERS)
        .where(
            table.merchant_id == merchant,
            or_(table.from_outlet_id == outlet_id, table.to_outlet_id == outlet_id)
            if outlet_id
            else true(),
            table.state == state if state else true(),
            tuple_(table.create_time, table.transfer_id) < before if before else true(),
        )
        .order_by(table.create_time.desc(), table.transfer_id.desc())
        .limit(limit)
    ).all()
    return list(_transfers(connection, rows).values())


def _transfers(connection: Connection, rows: Sequence[Any]) -> dict[TransferKey, Transfer]:
    lines: dict[TransferKey, list[Line]] = {}
    wanted = [(row.merchant_id, row.transfer_id) for row in rows]
    for row in connection.execute(_LOAD_LINES, {"keys": wanted}):
        line = Line(row.item_id, row.sent, row.received, row.returned, row.lost)
        lines.setdefault((row.merchant_id, row.transfer_id), []).append(line)
    return {
        key: Transfer(
            row.transfer_id,
            row.from_outlet_id,
            row.to_outlet_id,
            State(row.state),
            tuple(sorted(lines[key], key=attrgetter("item_id"))),
            row.cause,
            row.create_time,
            row.update_time,
        )
        for key, row in zip(wanted, rows, strict=True)
    }


def save_transfers(connection: Connection, transfers: Mapping[TransferKey, Transfer]) -> None:
    """Saves transfers as they are now."""
    upsert(
        connection,
        TRANSFERS,
        [
            {
                "merchant_id": merchant,
                "transfer_id": transfer.transfer_id,
                "from_outlet_id": transfer.from_outlet_id,
                "to_outlet_id": transfer.to_outlet_id,
                "state": int(transfer.state),
                "cause": transfer.cause,
                "create_time": transfer.create_time,
                "update_time": transfer.update_time,
            }
            for (merchant, _), transfer in transfers.items()
        ],
    )
    upsert(
        connection,
        TRANSFER_LINES,
        [
            {
                "merchant_id": merchant,
                "transfer_id": transfer.transfer_id,
                "item_id": line.item_id,
                "sent": line.sent,
                "received": line.received,
                "returned": line.returned,
                "lost": line.lost,
            }
            for (merchant, _), transfer in transfers.items()
            for line in transfer.lines
        ],
    )
