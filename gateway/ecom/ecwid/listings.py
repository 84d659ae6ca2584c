"""Listings as products of Ecwid, and what the store holds of them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from google.type.money_pb2 import Money

from gateway.ecom import Figure, Shelf, Slot
from gateway.records import (
    BadRecordError,
    Record,
    amount,
    decimal,
    listed,
    needed,
    nested,
    number,
    printable,
    text,
    whole,
)
from tillbridge.catalog.v1 import catalog_pb2

VARIATIONS_MAX = 200
"""What the store takes in one request."""

PRICE_DIGITS_MAX = 9
ID_LENGTH_MAX = 128
"""Of the ids of products, as the contracts have it."""

IMAGE_MARK = "tb-"
MAIN_IMAGE = "main"
BASE_FIELDS = ("price", "weight", "dimensions")
"""What a product with options has itself, of its first variant: lists of products show it."""

_KG_PER_UNIT = {
    "KILOGRAM": Decimal(1),
    "GRAM": Decimal("0.001"),
    "POUND": Decimal("0.45359237"),
    "OUNCE": Decimal("0.028349523125"),
    "CARAT": Decimal("0.0002"),
}
_CM_PER_UNIT = {
    "CM": Decimal(1),
    "MM": Decimal("0.1"),
    "IN": Decimal("2.54"),
    "YD": Decimal("91.44"),
}
_SHOWN = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Units:
    """What the store counts in."""

    currency: str
    kg_per_weight: Decimal
    cm_per_length: Decimal
    price_step: Decimal = Decimal("0.01")
    """The smallest difference that its prices know."""


def units_of(profile: Record) -> Units:
    """The units in a store's profile.

    Raises:
        BadRecordError: it names no currency.
    """
    formats = nested(profile, "formatsAndUnits")
    digits = min(whole(formats.get("currencyPrecision", 2)), PRICE_DIGITS_MAX)
    return Units(
        needed(formats, "currency"),
        _KG_PER_UNIT.get(text(formats, "weightUnit").upper(), Decimal(1)),
        _CM_PER_UNIT.get(text(formats, "dimensionsUnit").upper(), Decimal(1)),
        Decimal(1).scaleb(-digits),
    )


def shelf_of(product: Record) -> Shelf:
    """What the store holds of a product.

    Raises:
        BadRecordError: it has no id.
    """
    shelf_id, product_id = needed(product, "id"), text(product, "externalReferenceId")
    if len(product_id) > ID_LENGTH_MAX or product_id != printable(product_id):
        product_id = ""  # somebody else's
    variations = listed(product, "combinations")
    slots = {
        text(variation, "externalReferenceId"): Slot(
            shelf_id, needed(variation, "id"), _figure(variation)
        )
        for variation in variations
        if text(variation, "externalReferenceId")
    }
    if not variations and product_id:
        slots = {product_id: Slot(shelf_id, "", _figure(product))}
    return Shelf(shelf_id, product_id, product.get("enabled") is True, slots)


def _figure(holder: Record) -> Figure:
    """What the store shows; a quantity that is missing is no limit (it is left out then)."""
    quantity = decimal(holder.get("quantity"))
    if quantity is None or holder.get("unlimited") is True:
        return Figure(0, unlimited=True)
    return Figure(int(quantity))


def stock_body(figure: Figure) -> Record:
    """The body that sets a stock."""
    if figure.unlimited:
        return {"unlimited": True}
    return {"unlimited": False, "quantity": figure.quantity}


def product_body(
    listing: catalog_pb2.Listing,
    figures: Mapping[str, Figure],
    shelf: Shelf | None,
    units: Units,
    category_id: int | None,
) -> Record:
    """The body that creates or overwrites a product: the fields of CAT-03, and nothing else.

    What belongs to the store is in `own_fields`, so that the store keeps its own (CAT-05).

    Raises:
        BadRecordError: the store cannot hold the listing; says why.
    """
    variants = listing.variants
    slots = shelf.slots if shelf else {}
    if not variants:
        raise BadRecordError("it has no active variant to sell")
    body: Record = {
        "externalReferenceId": listing.product_id,
        "name": listing.name,
        "description": listing.description,
        "enabled": listing.available,
        "categoryIds": [] if category_id is None else [category_id],
    }
    brand = {"alias": "BRAND", "value": listing.brand}
    if not listing.options:
        if len(variants) != 1:
            raise BadRecordError(f"it has {len(variants)} variants and no option to choose by")
        one = _sellable(variants[0], units)
        one["attributes"].append(brand)
        stock = _stock_of(variants[0], figures, slots.get(listing.product_id))
        return body | one | stock | {"options": [], "combinations": []}
    if len(variants) > VARIATIONS_MAX:
        raise BadRecordError(f"it has {len(variants)} variants; the store takes {VARIATIONS_MAX}")
    first = _sellable(variants[0], units)
    return {
        **body,
        **{name: first[name] for name in BASE_FIELDS},
        **stock_body(Figure(0)),
        "attributes": [{"alias": "UPC", "value": ""}, brand],
        "options": [_option(option) for option in listing.options],
        "combinations": [
            _variation(variant, listing.options, figures, shelf, units) for variant in variants
        ],
    }


def base_sku(listing: catalog_pb2.Listing, product: Record) -> Record:
    """The SKU to write to a product that has got options, beside those of its variations.

    Two things of one SKU must have one stock, and the base product has none. So one that still has
    the SKU of a variant, from when there was nothing to choose, takes the product's id for it.
    """
    taken = {variant.sku for variant in listing.variants}
    if listing.options and text(product, "sku") in taken:
        return {"sku": listing.product_id}
    return {}


def own_fields(listing: catalog_pb2.Listing, names: Iterable[str], units: Units) -> Record:
    """The body of those fields that belong to the store (CAT-05), by their names in the listing; a
    value that was cleared is cleared in the store.

    Raises:
        BadRecordError: the price is in another currency.
    """
    body: Record = {}
    for name in names:
        if name == "compare_to_price":
            given = listing.HasField("compare_to_price")
            body["compareToPrice"] = _price(listing.compare_to_price, units) if given else None
        elif name == "subtitle":
            body["subtitle"] = listing.subtitle
        elif name == "low_stock_threshold":
            given = listing.HasField("low_stock_threshold")
            body["warningLimit"] = listing.low_stock_threshold if given else None
    return body


def set_own_fields(listing: catalog_pb2.Listing) -> list[str]:
    """The names of the store's own fields that have a value."""
    return [
        *(["compare_to_price"] if listing.HasField("compare_to_price") else []),
        *(["subtitle"] if listing.subtitle else []),
        *(["low_stock_threshold"] if listing.HasField("low_stock_threshold") else []),
    ]


def _stock_of(
    variant: catalog_pb2.ListingVariant, figures: Mapping[str, Figure], held: Slot | None
) -> Record:
    """The stock to write. Where it is not known, what the store holds stays, since missing is not
    zero; only what is new there starts with nothing.
    """
    if not variant.track_inventory:
        return stock_body(Figure(0, unlimited=True))
    figure = figures.get(variant.item_id)
    if figure is None and held is not None:
        return {}
    return stock_body(figure or Figure(0))


def _variation(
    variant: catalog_pb2.ListingVariant,
    options: Sequence[catalog_pb2.ListingOption],
    figures: Mapping[str, Figure],
    shelf: Shelf | None,
    units: Units,
) -> Record:
    slot = shelf.slots.get(variant.item_id) if shelf else None
    body = {
        **_sellable(variant, units),
        **_stock_of(variant, figures, slot),
        "externalReferenceId": variant.item_id,
        "options": [
            {"name": option.name, "value": value}
            for option, value in zip(options, variant.option_values, strict=True)
        ],
    }
    if slot and slot.variation_id:
        body["id"] = int(slot.variation_id)
    return body


def _sellable(variant: catalog_pb2.ListingVariant, units: Units) -> Record:
    """What a product without options and a variation have alike."""
    body: Record = {
        "price": _price(variant.price, units),
        "attributes": [{"alias": "UPC", "value": variant.upc}],
    }
    if variant.sku:
        body["sku"] = variant.sku
    weight = Decimal(variant.weight_kg or 0) / units.kg_per_weight
    body["weight"] = number(weight.quantize(_SHOWN))
    sides = variant.dimensions_cm
    body["dimensions"] = {
        name: number((Decimal(side or 0) / units.cm_per_length).quantize(_SHOWN))
        for name, side in (
            ("length", sides.length),
            ("width", sides.width),
            ("height", sides.height),
        )
    }
    return body


def _price(price: Money, units: Units) -> int | float:
    if not price.currency_code:
        raise BadRecordError("a variant of it has no price")
    if price.currency_code != units.currency:
        raise BadRecordError(
            f"its prices are in {price.currency_code}, and the store sells in {units.currency}"
        )
    return number(amount(price))


def _option(option: catalog_pb2.ListingOption) -> Record:
    return {
        "type": "SELECT",
        "name": option.name,
        "required": True,
        "choices": [
            {"text": value, "priceModifier": 0, "priceModifierType": "ABSOLUTE"}
            for value in option.values
        ],
    }


def image_mark(url: str) -> str:
    """The `externalId` of an image of ours."""
    return IMAGE_MARK + hashlib.blake2b(url.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What to do about a product's images (CAT-08).

    Attributes:
        replace: whether all go and those of the listing come in their stead.
        missing: addresses of ours to add, in order; with `replace` all of them.
        stale: ids of ours that the listing has no more; the main one is MAIN_IMAGE.
    """

    replace: bool
    missing: Sequence[str]
    stale: Sequence[str]


def image_plan(product: Record, listing: catalog_pb2.Listing) -> ImagePlan:
    """How to make the images those that the point of sale gave.

    While it has changed them since the store was last written, the images that were added in the
    store go; else they stay, and only what is missing of ours is added (CAT-08).
    """
    urls = list(listing.image_urls)
    marks = [image_mark(url) for url in urls]
    held = images_of(product)
    if listing.images_version > listing.pushed_version:
        same = marks == [text(image, "externalId") for image in held]
        return ImagePlan(not same, [] if same else urls, [])
    there = {text(image, "externalId") for image in held}
    missing = [url for url, mark in zip(urls, marks, strict=True) if mark not in there]
    stale = [
        MAIN_IMAGE if image.get("isMain") is True else text(image, "id")
        for image in held
        if is_ours(image) and text(image, "externalId") not in marks
    ]
    return ImagePlan(False, missing, stale)


def images_of(product: Record) -> list[Record]:
    """The images that the store holds of a product, the main one first."""
    return listed(nested(product, "media"), "images")


def is_ours(image: Record) -> bool:
    """Whether we put an image there."""
    return text(image, "externalId").startswith(IMAGE_MARK)
