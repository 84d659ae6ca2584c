"""What waits for an operator: rows and values."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from services.chassis.statements import among, keys
from services.inventory.rules.attention import EXAMPLES_MAX, Cause, Waiting
from services.inventory.rules.incidents import State
from services.inventory.rules.transfers import LATE_AFTER
from services.inventory.rules.transfers import State as TransferState
from services.inventory.store.channels import load_channels, load_heard
from services.inventory.store.incidents import is_told
from services.inventory.store.tables import HELD_COUNTS, INCIDENTS, TRANSFERS

_n, _t, _h = INCIDENTS.c, TRANSFERS.c, HELD_COUNTS.c


def groups(
    connection: Connection, merchant: str, cause: Cause, page: tuple[str, int], now: datetime
) -> list[Waiting]:
    """The groups of a cause by key, as (behind this key, so many at most)."""
    after, limit = page
    if cause is Cause.OUTLET_SILENT:
        return [one for one in _silent(connection, merchant) if one.key > after][:limit]
    source = _source(merchant, cause, now).subquery().c
    rows = connection.execute(
        select(source.key, func.count(), func.min(source.time, type_=source.time.type))
        .where(source.key > after)
        .group_by(source.key)
        .order_by(source.key)
        .limit(limit)
    ).all()
    examples = _examples(connection, merchant, cause, now, [row[0] for row in rows])
    return [Waiting(cause, row[0], row[1], row[2], examples[row[0]]) for row in rows]


def _source(merchant: str, cause: Cause, now: datetime) -> Select[Any]:
    """What waits for a cause: its outlet, its id, and since when."""
    match cause:
        case Cause.OVERSOLD:
            return select(
                _n.outlet_id.label("key"), _n.incident_id.label("id"), _n.create_time.label("time")
            ).where(_n.merchant_id == merchant, _n.state == int(State.OPEN), is_told(now))
        case Cause.TRANSFER_LATE:
            return select(
                _t.to_outlet_id.label("key"),
                _t.transfer_id.label("id"),
                _t.create_time.label("time"),
            ).where(
                _t.merchant_id == merchant,
                _t.state == int(TransferState.SENT),
                _t.create_time < now - LATE_AFTER,
            )
        case _:
            return select(
                _h.outlet_id.label("key"), _h.item_id.label("id"), _h.record_time.label("time")
            ).where(_h.merchant_id == merchant)


def _examples(
    connection: Connection, merchant: str, cause: Cause, now: datetime, of: Sequence[str]
) -> Mapping[str, list[str]]:
    """By key, those that have waited longest."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    if not of:
        return found
    source = _source(merchant, cause, now).subquery().c
    order = (source.time, source.id)
    place = func.row_number().over(partition_by=source.key, order_by=order)
    some = (
        select(source.key, source.id, place.label("place"))
        .where(among(keys(), source.key))
        .subquery()
        .c
    )
    first = select(some.key, some.id).where(some.place <= EXAMPLES_MAX)
    listed = {"keys": [(key,) for key in of]}
    for row in connection.execute(first.order_by(some.key, some.place), listed):
        found[row[0]].append(row[1])
    return found


def _silent(connection: Connection, merchant: str) -> list[Waiting]:
    """Outlets that are silent, with the channels that count less of them (BEY-12): a merchant has
    few of either.
    """
    known = load_channels(connection, [merchant])[merchant]
    heard = load_heard(connection, merchant)
    by_outlet: defaultdict[str, list[str]] = defaultdict(list)
    for channel, _ in known:
        for outlet_id in channel.silent_outlet_ids:
            by_outlet[outlet_id].append(channel.channel_id)
    return [
        Waiting(
            Cause.OUTLET_SILENT,
            outlet_id,
            len(by_outlet[outlet_id]),
            heard.get(outlet_id),
            by_outlet[outlet_id][:EXAMPLES_MAX],
        )
        for outlet_id in sorted(by_outlet)
    ]
