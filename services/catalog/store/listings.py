"""Channels, and the places of products in them: rows and values."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.listings import Placement
from services.catalog.store.tables import CHANNELS, LISTINGS, PRODUCTS, Key
from services.chassis.statements import among, append, keys, upsert

_p, _c, _l = PRODUCTS.c, CHANNELS.c, LISTINGS.c

_OF_PRODUCTS = (
    sa.select(LISTINGS).where(among(keys(), _l.merchant_id, _l.product_id)).order_by(_l.channel_id)
)
_LISTED = sa.select(LISTINGS).where(
    among(keys(), _l.merchant_id, _l.channel_id, _l.product_id), ~_l.deleted
)


def add_channel(connection: Connection, merchant_id: str, channel_id: str) -> bool:
    """Notes that there is a channel; tells whether that is news."""
    if has_channel(connection, merchant_id, channel_id):
        return False
    connection.execute(sa.insert(CHANNELS).values(merchant_id=merchant_id, channel_id=channel_id))
    return True


def has_channel(connection: Connection, merchant_id: str, channel_id: str) -> bool:
    """Whether there is such a channel."""
    return bool(
        connection.scalar(
            sa.select(sa.literal(1)).where(
                sa.exists().where(_c.merchant_id == merchant_id, _c.channel_id == channel_id)
            )
        )
    )


def channels(connection: Connection, merchants: Collection[str]) -> dict[str, list[str]]:
    """The channels of these merchants, by merchant."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in connection.execute(
        sa.select(CHANNELS).where(_c.merchant_id.in_(merchants)).order_by(_c.channel_id)
    ):
        found[row.merchant_id].append(row.channel_id)
    return dict(found)


def list_all(
    connection: Connection, merchant_id: str, channel_id: str, now: datetime
) -> list[Placement]:
    """Gives every product its first place in a new channel, as `rules.listings.placed` does for
    one; returns the places.
    """
    first = Placement(
        merchant_id=merchant_id,
        channel_id=channel_id,
        product_id="",
        sell_online=False,
        version=1,
        deleted=False,
        update_time=now,
    )
    values = {
        name: _p.product_id if name == "product_id" else sa.literal(value, LISTINGS.c[name].type)
        for name, value in _placement_values(first).items()
    }
    every = sa.select(*values.values()).where(_p.merchant_id == merchant_id, ~_p.deleted)
    rows = connection.execute(
        sa.insert(LISTINGS).from_select(list(values), every).returning(LISTINGS)
    )
    return [_placement(row) for row in rows]


def switch_all(
    connection: Connection, merchant_id: str, channel_id: str, sell_online: bool, now: datetime
) -> list[Placement]:
    """Sets the switch of all listings of a channel, as `rules.listings.switched` does for one;
    returns those that changed.
    """
    rows = connection.execute(
        sa.update(LISTINGS)
        .where(
            _l.merchant_id == merchant_id,
            _l.channel_id == channel_id,
            _l.sell_online != sell_online,
            ~_l.deleted,
        )
        .values(sell_online=sell_online, version=_l.version + 1, update_time=now)
        .returning(LISTINGS)
    )
    return [_placement(row) for row in rows]


def placements_of_products(
    connection: Connection, products: Collection[Key]
) -> dict[Key, list[Placement]]:
    """The places of these products in all channels, also those of deleted ones, by product."""
    found: defaultdict[Key, list[Placement]] = defaultdict(list)
    for row in connection.execute(_OF_PRODUCTS, {"keys": sorted(set(products))}):
        found[row.merchant_id, row.product_id].append(_placement(row))
    return dict(found)


def placements(
    connection: Connection, wanted: Collection[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Placement]:
    """The listed places with these keys: merchant, channel, product."""
    return {
        (row.merchant_id, row.channel_id, row.product_id): _placement(row)
        for row in connection.execute(_LISTED, {"keys": sorted(set(wanted))})
    }


def placement_page(
    connection: Connection,
    merchant_id: str,
    channel_id: str,
    *,
    sell_online: bool | None,
    after: str,
    count: int,
) -> list[Placement]:
    """Up to `count` listed places of a channel behind the product `after`, by product; only those
    with this switch, unless it is None.
    """
    found = sa.select(LISTINGS).where(
        _l.merchant_id == merchant_id,
        _l.channel_id == channel_id,
        _l.product_id > after,
        ~_l.deleted,
    )
    if sell_online is not None:
        found = found.where(_l.sell_online == sell_online)
    rows = connection.execute(found.order_by(_l.product_id).limit(count))
    return [_placement(row) for row in rows]


def save_placements(
    connection: Connection, new: Sequence[Placement], old: Sequence[Placement]
) -> None:
    """Writes places in channels: new ones, and ones that were there."""
    append(connection, LISTINGS, [_placement_values(one) for one in new])
    upsert(connection, LISTINGS, [_placement_values(one) for one in old])


def _placement_values(one: Placement) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Placement.__slots__}


def _placement(row: sa.Row[Any]) -> Placement:
    return Placement(**{name: getattr(row, name) for name in Placement.__slots__})
