"""Products and their variants: rows and values."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from services.catalog.rules.items import Item
from services.catalog.rules.products import (
    Change,
    Dimensions,
    Image,
    Known,
    LengthUnit,
    Money,
    Product,
    Stamp,
    Variant,
    Weight,
    WeightUnit,
)
from services.catalog.rules.shelf import Shelf
from services.catalog.store.provenance import packed, unpacked
from services.catalog.store.tables import PRODUCTS, VARIANTS, Key
from services.chassis.statements import Lookup, among, append, keys, upsert

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Kept, since making an encoder takes longer than most lists."""

_p, _v = PRODUCTS.c, VARIANTS.c

_PRODUCTS = sa.select(PRODUCTS).where(among(keys(), _p.merchant_id, _p.product_id))
_VERSIONS = sa.select(_p.merchant_id, _p.product_id, _p.version).where(
    among(keys(), _p.merchant_id, _p.product_id)
)
_VARIANTS = (
    sa.select(VARIANTS).where(among(keys(), _v.merchant_id, _v.product_id)).order_by(_v.position)
)
_OWNERS = sa.select(_v.merchant_id, _v.item_id, _v.product_id).where(
    among(keys(), _v.merchant_id, _v.item_id)
)
_FORGET_VARIANTS = sa.delete(VARIANTS).where(among(keys(), _v.merchant_id, _v.product_id))
_STAMP = (
    sa.update(PRODUCTS)
    .where(
        _p.merchant_id == sa.bindparam("of_merchant"), _p.product_id == sa.bindparam("of_product")
    )
    .values(version=sa.bindparam("of_version"), observe_time=sa.bindparam("of_time"))
)
_ITEMS = sa.select(
    _v.merchant_id, _v.item_id, _v.product_id, _v.sku, _p.name, _v.track_inventory
).join_from(
    VARIANTS, PRODUCTS, (_p.merchant_id == _v.merchant_id) & (_p.product_id == _v.product_id)
)
_ITEMS_BY_ID = Lookup(_ITEMS.where(among(keys(), _v.merchant_id, _v.item_id)))
_ITEMS_BY_SKU = Lookup(_ITEMS.where(among(keys(), _v.merchant_id, _v.sku)))


def shelf(connection: Connection, products: Collection[Key], items: Collection[Key]) -> Shelf:
    """These products and tombstones, and who has these items."""
    rows = connection.execute(_OWNERS, {"keys": sorted(set(items))}) if items else ()
    owners = {(row.merchant_id, row.item_id): row.product_id for row in rows}
    return Shelf.of(known(connection, products), owners)


def known(connection: Connection, wanted: Collection[Key]) -> dict[Key, Known]:
    """The products and tombstones with these keys, by key."""
    if not wanted:
        return {}
    listed = {"keys": sorted(set(wanted))}
    variants: defaultdict[Key, list[Variant]] = defaultdict(list)
    for row in connection.execute(_VARIANTS, listed):
        variants[row.merchant_id, row.product_id].append(_variant(row))
    return {
        (row.merchant_id, row.product_id): _known(row, variants[row.merchant_id, row.product_id])
        for row in connection.execute(_PRODUCTS, listed)
    }


def versions(connection: Connection, wanted: Collection[Key]) -> dict[Key, int]:
    """The versions of these products in the point of sale, by key."""
    rows = connection.execute(_VERSIONS, {"keys": sorted(set(wanted))}) if wanted else ()
    return {(row.merchant_id, row.product_id): row.version for row in rows}


def product_page(connection: Connection, merchant_id: str, after: str, count: int) -> list[Known]:
    """Up to `count` products behind the id `after`, by id."""
    ids = connection.scalars(
        sa.select(_p.product_id)
        .where(_p.merchant_id == merchant_id, _p.product_id > after, ~_p.deleted)
        .order_by(_p.product_id)
        .limit(count)
    ).all()
    found = known(connection, [(merchant_id, product_id) for product_id in ids])
    return [found[merchant_id, product_id] for product_id in ids]


def save_products(connection: Connection, changes: Sequence[Change]) -> None:
    """Writes products as they are after these changes."""
    new = [one.after for one in changes if one.before is None]
    old = [one.after for one in changes if one.before is not None and one.is_news]
    newer = [_stamp_values(one.after) for one in changes if one.before and not one.is_news]
    append(connection, PRODUCTS, [_product_values(one) for one in new])
    upsert(connection, PRODUCTS, [_product_values(one) for one in old])
    if newer:
        connection.execute(_STAMP, newer)
    if old:
        listed = [(one.merchant_id, one.product_id) for one in old]
        connection.execute(_FORGET_VARIANTS, {"keys": listed})
    append(connection, VARIANTS, [row for one in [*new, *old] for row in _variant_values(one)])


def items_by_id(connection: Connection, wanted: Collection[Key]) -> dict[str, list[Item]]:
    """The items with these ids, by merchant."""
    return _items(connection, _ITEMS_BY_ID, wanted)


def items_by_sku(connection: Connection, wanted: Collection[Key]) -> dict[str, list[Item]]:
    """The items with these SKUs, by merchant."""
    return _items(connection, _ITEMS_BY_SKU, wanted)


def _items(
    connection: Connection, lookup: Lookup, wanted: Collection[Key]
) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for row in sorted(lookup.rows(connection, keys=sorted(set(wanted)))) if wanted else ():
        found.setdefault(row[0], []).append(Item(*row[1:]))
    return found


def _stamp_values(one: Known) -> dict[str, Any]:
    return {
        "of_merchant": one.merchant_id,
        "of_product": one.product_id,
        "of_version": one.stamp.version,
        "of_time": one.stamp.observe_time,
    }


def _product_values(one: Known) -> dict[str, Any]:
    product = one.product or Product(one.product_id, name="", active=False)
    return {
        "merchant_id": one.merchant_id,
        "product_id": one.product_id,
        "deleted": one.product is None,
        "name": product.name,
        "description": product.description,
        "category": product.category,
        "brand": product.brand,
        "active": product.active,
        "attribute_names": _texts(product.attribute_names),
        "images": _encode([[image.image_id, image.url] for image in product.images]),
        "handle": product.handle,
        "tags": _texts(product.tags),
        "supplier": product.supplier,
        "version": one.stamp.version,
        "observe_time": one.stamp.observe_time,
        "revision": one.revision,
        "update_time": one.update_time,
        "provenance": packed(one.provenance),
    }


def _known(row: sa.Row[Any], variants: list[Variant]) -> Known:
    product = Product(
        product_id=row.product_id,
        name=row.name,
        description=row.description,
        category=row.category,
        brand=row.brand,
        active=row.active,
        attribute_names=_list(row.attribute_names),
        variants=tuple(variants),
        images=tuple(Image(*image) for image in json.loads(row.images)),
        handle=row.handle,
        tags=_list(row.tags),
        supplier=row.supplier,
    )
    return Known(
        merchant_id=row.merchant_id,
        product_id=row.product_id,
        product=None if row.deleted else product,
        stamp=Stamp(row.version, row.observe_time),
        revision=row.revision,
        update_time=row.update_time,
        provenance=unpacked(row.provenance),
    )


def _variant_values(one: Known) -> list[dict[str, Any]]:
    return [
        {
            "merchant_id": one.merchant_id,
            "item_id": variant.item_id,
            "product_id": one.product_id,
            "position": position,
            "sku": variant.sku,
            "upc": variant.upc,
            "attribute_values": _texts(variant.attribute_values),
            **_money_values("retail_price", variant.retail_price),
            "weight_value": variant.weight and variant.weight.value,
            "weight_unit": variant.weight and variant.weight.unit.value,
            **_dimension_values(variant.dimensions),
            "track_inventory": variant.track_inventory,
            **_money_values("supply_price", variant.supply_price),
            "supplier_code": variant.supplier_code,
            "active": variant.active,
        }
        for position, variant in enumerate(one.product.variants if one.product else ())
    ]


def _variant(row: sa.Row[Any]) -> Variant:
    return Variant(
        item_id=row.item_id,
        sku=row.sku,
        upc=row.upc,
        attribute_values=_list(row.attribute_values),
        retail_price=_money(row.retail_price_currency_code, row.retail_price_amount_nanos),
        weight=Weight(row.weight_value, WeightUnit(row.weight_unit)) if row.weight_unit else None,
        dimensions=_dimensions(row),
        track_inventory=row.track_inventory,
        supply_price=_money(row.supply_price_currency_code, row.supply_price_amount_nanos),
        supplier_code=row.supplier_code,
        active=row.active,
    )


def _money_values(name: str, money: Money | None) -> dict[str, Any]:
    return {
        f"{name}_currency_code": money and money.currency_code,
        f"{name}_amount_nanos": money.amount_nanos if money else None,
    }


def _money(currency_code: str | None, amount_nanos: int | None) -> Money | None:
    if currency_code is None or amount_nanos is None:
        return None
    return Money(currency_code, amount_nanos)


def _dimension_values(dimensions: Dimensions | None) -> dict[str, Any]:
    return {
        "dimensions_length": dimensions and dimensions.length,
        "dimensions_width": dimensions and dimensions.width,
        "dimensions_height": dimensions and dimensions.height,
        "dimensions_unit": dimensions and dimensions.unit.value,
    }


def _dimensions(row: sa.Row[Any]) -> Dimensions | None:
    if row.dimensions_unit is None:
        return None
    return Dimensions(
        length=row.dimensions_length,
        width=row.dimensions_width,
        height=row.dimensions_height,
        unit=LengthUnit(row.dimensions_unit),
    )


# Products of one catalog have most of their short lists in common.
@lru_cache(maxsize=4096)
def _texts(values: tuple[str, ...]) -> str:
    return _encode(values)


@lru_cache(maxsize=4096)
def _list(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
