"""What may be written about products, in every generation of the API."""

import re

from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.values import Kind, flag, list_of, nullable, number, one_of, record_of, text

VARIANT_ATTRIBUTES_MAX = 3

CODE = record_of(
    {"type": one_of("CUSTOM", "EAN", "ISBN", "ITF", "JAN", "UPC"), "code": text},
    required=("type", "code"),
)

PIECE: dict[str, Kind] = {
    "supply_price": number,
    "price_excluding_tax": number,
    "price_including_tax": number,
    "loyalty_amount": nullable(number),
    "weight": number,
    "weight_unit": one_of("CT", "G", "OZ", "LB", "KG"),
    "length": number,
    "width": number,
    "height": number,
    "dimensions_unit": one_of("IN", "CM", "MM", "YD"),
    "sku": text,
    "supplier_code": nullable(text),
    "product_codes": list_of(CODE),
    "images": list_of(record_of({"url": text}, required=("url",))),
}
"""What may differ between the variants of a family."""


def family_fields(retailer: Retailer) -> dict[str, Kind]:
    """What all variants of a family share."""
    return {
        "name": text,
        "description": nullable(text),
        "handle": text,
        "source": text,
        "source_id": nullable(text),
        "source_variant_id": nullable(text),
        "brand_id": nullable(retailer.reference("brands")),
        "supplier_id": nullable(retailer.reference("suppliers")),
        "product_type_id": nullable(retailer.reference("product_types")),
        "product_category_id": nullable(retailer.reference("product_types")),
        "tag_ids": list_of(retailer.reference("tags")),
        "track_inventory": flag,
    }


def piece_fields(retailer: Retailer) -> dict[str, Kind]:
    """What may differ between variants, with levels and options, in today's API."""
    level: dict[str, Kind] = {
        "outlet_id": retailer.reference("outlets"),
        "current_amount": number,
        "reorder_point": nullable(number),
        "reorder_amount": nullable(number),
    }
    definition: dict[str, Kind] = {
        "attribute_id": retailer.reference("variant_attributes"),
        "value": text,
    }

    def definitions(value: object) -> list[object]:
        rows: list[object] = list_of(record_of(definition, required=tuple(definition)))(value)
        if len(rows) > VARIANT_ATTRIBUTES_MAX:
            raise ValueError(f"must be {VARIANT_ATTRIBUTES_MAX} at most")
        return rows

    return {
        **PIECE,
        "inventory": list_of(record_of(level, required=("outlet_id",))),
        "variant_definitions": definitions,
    }


def handle_of(name: str) -> str:
    """The handle the platform makes from a name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
