"""Channels, and the places of products in them: rows and values."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.listings import Placement, StoreFields, Wanted, placed
from services.catalog.rules.products import Money
from services.catalog.store.provenance import packed, unpacked
from services.catalog.store.scope import Scope
from services.catalog.store.tables import CHANNELS, LISTINGS, PRODUCTS, Key
from services.chassis.statements import among, append, keys, upsert

PAGE = 5000
"""Listings that one statement takes at most, so that none takes long."""

PlaceKey = tuple[str, str, str]
"""Merchant, channel, product."""

_p, _c, _l = PRODUCTS.c, CHANNELS.c, LISTINGS.c
_NOTHING_OWN = StoreFields()

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
) -> Iterator[Placement]:
    """Gives every product its first place in a new channel; yields the places, as they are made."""
    after = ""
    while True:
        ids = connection.scalars(
            sa.select(_p.product_id)
            .where(_p.merchant_id == merchant_id, _p.product_id > after, ~_p.deleted)
            .order_by(_p.product_id)
            .limit(PAGE)
        ).all()
        if not ids:
            return
        new = [placed(None, merchant_id, channel_id, one, now) for one in ids]
        save_placements(connection, new, [])
        yield from new
        after = ids[-1]


def placements_of_products(
    connection: Connection, products: Collection[Key]
) -> dict[Key, list[Placement]]:
    """The places of these products in all channels, also those of deleted ones, by product."""
    found: defaultdict[Key, list[Placement]] = defaultdict(list)
    if products:
        for row in connection.execute(_OF_PRODUCTS, {"keys": sorted(set(products))}):
            found[row.merchant_id, row.product_id].append(_placement(row))
    return dict(found)


def placements(connection: Connection, wanted: Collection[PlaceKey]) -> dict[PlaceKey, Placement]:
    """The listed places with these keys."""
    return {
        (row.merchant_id, row.channel_id, row.product_id): _placement(row)
        for row in connection.execute(_LISTED, {"keys": sorted(set(wanted))})
    }


def placement_page(
    connection: Connection,
    merchant_id: str,
    channel_id: str,
    wanted: Wanted,
    *,
    after: str,
    count: int,
) -> list[Placement]:
    """Up to `count` listed places of a channel behind the product `after`, by product."""
    scope = Scope(connection, merchant_id, channel_id, wanted)
    return [_placement(row) for row in scope.page(after, count)]


def all_pages(
    connection: Connection, merchant_id: str, channel_id: str, wanted: Wanted
) -> Iterator[list[Placement]]:
    """The same, all of them, in runs that may be changed as they come."""
    scope = Scope(connection, merchant_id, channel_id, wanted)
    after = ""
    while rows := scope.page(after, PAGE):
        yield [_placement(row) for row in rows]
        after = rows[-1].product_id


def placement_count(
    connection: Connection, merchant_id: str, channel_id: str, wanted: Wanted
) -> int:
    """How many there are."""
    return Scope(connection, merchant_id, channel_id, wanted).count()


def save_placements(
    connection: Connection, new: Sequence[Placement], old: Sequence[Placement]
) -> None:
    """Writes places in channels: new ones, as `rules.listings.placed` makes a first one, and ones
    that were there.
    """
    append(connection, LISTINGS, [_first_values(one) for one in new])
    upsert(connection, LISTINGS, [_placement_values(one) for one in old])


def _first_values(one: Placement) -> dict[str, Any]:
    """Of a first place; whatever else there is, the table has it as every first place has it."""
    return {
        "merchant_id": one.merchant_id,
        "channel_id": one.channel_id,
        "product_id": one.product_id,
        "sell_online": one.sell_online,
        "version": one.version,
        "deleted": one.deleted,
        "update_time": one.update_time,
        "pushed_version": one.pushed_version,
        "push_error": one.push_error,
    }


def _placement_values(one: Placement) -> dict[str, Any]:
    price = one.own.compare_to_price
    return _first_values(one) | {
        "push_time": one.push_time,
        "compare_to_price_currency_code": price and price.currency_code,
        "compare_to_price_amount_nanos": price.amount_nanos if price else None,
        "subtitle": one.own.subtitle,
        "low_stock_threshold": one.own.low_stock_threshold,
        "unpushed_fields": _json(one.unpushed),
        "store_image_urls": _json(one.store_image_urls),
        "images_version": one.images_version,
        "provenance": packed(one.provenance),
        "switch_version": one.switch_version,
    }


def _placement(row: sa.Row[Any]) -> Placement:
    return Placement(
        merchant_id=row.merchant_id,
        channel_id=row.channel_id,
        product_id=row.product_id,
        sell_online=row.sell_online,
        version=row.version,
        deleted=row.deleted,
        update_time=row.update_time,
        push_time=row.push_time,
        pushed_version=row.pushed_version,
        push_error=row.push_error,
        own=_own(row),
        unpushed=tuple((name, version) for name, version in _list(row.unpushed_fields)),
        store_image_urls=tuple(_list(row.store_image_urls)),
        images_version=row.images_version,
        provenance=unpacked(row.provenance),
        switch_version=row.switch_version,
    )


def _own(row: sa.Row[Any]) -> StoreFields:
    code = row.compare_to_price_currency_code
    if code is None and not row.subtitle and row.low_stock_threshold is None:
        return _NOTHING_OWN
    price = None if code is None else Money(code, row.compare_to_price_amount_nanos)
    return StoreFields(price, row.subtitle, row.low_stock_threshold)


def _json(values: Sequence[Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) if values else "[]"


def _list(text: str) -> list[Any]:
    found: list[Any] = json.loads(text) if text != "[]" else []
    return found
