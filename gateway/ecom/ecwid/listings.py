"""Listings as products of Ecwid, and what the store holds of them."""

import hashlib
from collections.abc import Mapping, Sequence
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
    text,
)
from tillbridge.catalog.v1 import catalog_pb2

VARIATIONS_MAX = 200
"""What the store takes in one request."""

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


def units_of(profile: Record) -> Units:
    """The units in a store's profile.

    Raises:
        BadRecordError: it names no currency.
    """
    formats = nested(profile, "formatsAndUnits")
    return Units(
        needed(formats, "currency"),
        _KG_PER_UNIT.get(text(formats, "weightUnit").upper(), Decimal(1)),
        _CM_PER_UNIT.get(text(formats, "dimensionsUnit").upper(), Decimal(1)),
    )


def shelf_of(product: Record) -> Shelf:
    """What the store holds of a product.

    Raises:
        BadRecordError: it has no id.
    """
    shelf_id, product_id = needed(product, "id"), text(product, "externalReferenceId")
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

    Compare-to price, subtitle and low-stock threshold are not in it, so that the store keeps its
    own (CAT-05).

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
        "attributes": [{"alias": "BRAND", "value": listing.brand}],
    }
    if category_id is not None:
        body["categoryIds"] = [category_id]
    if not listing.options:
        if len(variants) != 1:
            raise BadRecordError(f"it has {len(variants)} variants and no option to choose by")
        one = _sellable(variants[0], units)
        one["attributes"] += body["attributes"]
        stock = _stock_of(variants[0], figures, slots.get(listing.product_id))
        return body | one | stock | {"options": [], "combinations": []}
    if len(variants) > VARIATIONS_MAX:
        raise BadRecordError(f"it has {len(variants)} variants; the store takes {VARIATIONS_MAX}")
    first = _sellable(variants[0], units)
    return {
        **body,
        **{name: first[name] for name in ("price", "weight", "dimensions") if name in first},
        **stock_body(Figure(0)),
        "options": [_option(option) for option in listing.options],
        "combinations": [
            _variation(variant, listing.options, figures, shelf, units) for variant in variants
        ],
    }


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
    if variant.weight_kg:
        body["weight"] = number((Decimal(variant.weight_kg) / units.kg_per_weight).quantize(_SHOWN))
    if variant.HasField("dimensions_cm"):
        sides = variant.dimensions_cm
        body["dimensions"] = {
            name: number((Decimal(side) / units.cm_per_length).quantize(_SHOWN))
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
    return "tb-" + hashlib.blake2b(url.encode(), digest_size=12).hexdigest()


def images_differ(product: Record, urls: Sequence[str]) -> bool:
    """Whether the images that the point of sale gave are other ones than the store has (CAT-08)."""
    marks = [text(image, "externalId") for image in listed(nested(product, "media"), "images")]
    ours = [mark for mark in marks if mark.startswith("tb-")]
    return ours != [image_mark(url) for url in urls]
