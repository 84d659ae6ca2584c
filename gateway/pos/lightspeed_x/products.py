"""Products of X-Series: rows of a family, as one product of the contract."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.pos import Gone, ProductState
from gateway.records import (
    BadRecordError,
    Record,
    decimal,
    kept,
    listed,
    measure_text,
    money,
    needed,
    nested,
    text,
    whole,
)
from tillbridge.catalog.v1 import catalog_pb2

ATTRIBUTES_MAX = 3

WEIGHT_UNITS = {
    "G": catalog_pb2.WEIGHT_UNIT_G,
    "KG": catalog_pb2.WEIGHT_UNIT_KG,
    "OZ": catalog_pb2.WEIGHT_UNIT_OZ,
    "LB": catalog_pb2.WEIGHT_UNIT_LB,
    "CT": catalog_pb2.WEIGHT_UNIT_CT,
}
_LENGTH_UNITS = {
    "MM": catalog_pb2.LENGTH_UNIT_MM,
    "CM": catalog_pb2.LENGTH_UNIT_CM,
    "IN": catalog_pb2.LENGTH_UNIT_IN,
    "YD": catalog_pb2.LENGTH_UNIT_YD,
}
_CODES_BEST_FIRST = ("UPC", "EAN", "JAN", "ITF", "ISBN")

KEPT_FIELDS = frozenset(
    {
        *("id", "name", "description", "handle", "sku", "active", "is_active", "has_inventory"),
        *("has_variants", "variant_parent_id", "variant_options", "version", "deleted_at"),
        *("price_including_tax", "price_excluding_tax", "supply_price", "supplier_code"),
        *("brand", "supplier", "type", "product_category", "categories", "images"),
        *("product_codes", "product_suppliers", "weight", "weight_unit", "created_at"),
        *("length", "width", "height", "dimensions_unit"),
    }
)
"""What is read of a row; the rest is not even held in memory during an import."""


@dataclass(frozen=True, slots=True)
class Prices:
    """How the account states prices."""

    currency: str
    inclusive: bool


def slim(row: Record) -> Record:
    """The part of a row that is read."""
    return {name: value for name, value in row.items() if name in KEPT_FIELDS}


def family_id(row: Record) -> str:
    """The id of the family that a row belongs to.

    Raises:
        BadRecordError: the row has no id.
    """
    return text(row, "variant_parent_id") or needed(row, "id")


def has_relatives(row: Record) -> bool:
    """Whether a row's family has further rows."""
    return bool(text(row, "variant_parent_id")) or row.get("has_variants") is True


def grouped(platform: str, rows: Iterable[Record]) -> dict[str, list[Record]]:
    """Rows by family; the last row of an id holds."""
    latest = {
        (family_id(row), row["id"]): row for row in kept(platform, "product", rows, _identified)
    }
    families: dict[str, list[Record]] = {}
    for (family, _), row in latest.items():
        families.setdefault(family, []).append(row)
    return families


def _identified(row: Record) -> Record:
    family_id(row)
    needed(row, "id")
    return row


def version_of(rows: Sequence[Record]) -> int:
    """The version of a family."""
    return max(whole(row.get("version")) for row in rows)


def product_of(family: str, rows: Sequence[Record], prices: Prices, platform: str) -> ProductState:
    """The product that the rows of a family are.

    Raises:
        BadRecordError: none of its live rows makes sense.
    """
    live = sorted(
        (row for row in rows if not row.get("deleted_at")), key=lambda r: _order(r, family)
    )
    version = version_of(rows)
    if not live:
        return Gone(family, version)
    head = live[0]
    options = [needed(option, "name") for option in listed(head, "variant_options")]
    names = options[:ATTRIBUTES_MAX]
    variants = kept(platform, "product", live, lambda row: _variant(row, names, prices))
    if not variants:
        raise BadRecordError("no variant of it makes sense")
    return catalog_pb2.Product(
        product_id=family,
        name=text(head, "name"),
        description=text(head, "description"),
        category=text(nested(head, "product_category"), "name")
        or text(nested(head, "type"), "name"),
        brand=text(nested(head, "brand"), "name"),
        active=any(_active(row) for row in live),
        attribute_names=names,
        variants=variants,
        images=_images(live),
        handle=text(head, "handle"),
        tags=sorted({name for tag in listed(head, "categories") if (name := text(tag, "name"))}),
        supplier=text(nested(head, "supplier"), "name"),
        version=version,
    )


def _order(row: Record, family: str) -> tuple[bool, str]:
    return text(row, "id") != family, text(row, "created_at")


def _active(row: Record) -> bool:
    return row.get("is_active", row.get("active", True)) is not False


def _variant(row: Record, names: Sequence[str], prices: Prices) -> catalog_pb2.Variant:
    chosen = {text(o, "name"): text(o, "value") for o in listed(row, "variant_options")}
    missing = [name for name in names if not chosen.get(name)]
    if missing:
        raise BadRecordError(f"variant_options: has no value for {missing[0]}")
    variant = catalog_pb2.Variant(
        item_id=needed(row, "id"),
        sku=text(row, "sku"),
        upc=_code(row),
        attribute_values=[chosen[name] for name in names],
        weight=_weight(row),
        dimensions=_dimensions(row),
        supplier_code=_supplier_code(row),
        active=_active(row),
    )
    price = decimal(row.get("price_including_tax" if prices.inclusive else "price_excluding_tax"))
    if price is not None:  # missing is not zero
        variant.retail_price.CopyFrom(money(price, prices.currency))
    supply_price = decimal(row.get("supply_price"))
    if supply_price is not None:
        variant.supply_price.CopyFrom(money(supply_price, prices.currency))
    if isinstance(row.get("has_inventory"), bool):
        variant.track_inventory = row["has_inventory"]
    return variant


def _code(row: Record) -> str:
    codes = {text(c, "type").upper(): text(c, "code") for c in listed(row, "product_codes")}
    return next((codes[kind] for kind in _CODES_BEST_FIRST if codes.get(kind)), "")


def _supplier_code(row: Record) -> str:
    suppliers = listed(row, "product_suppliers")
    return text(row, "supplier_code") or (text(suppliers[0], "code") if suppliers else "")


def _weight(row: Record) -> catalog_pb2.Weight | None:
    """The weight; 0 is what the platform shows where nobody weighed it."""
    value, unit = decimal(row.get("weight")), WEIGHT_UNITS.get(text(row, "weight_unit").upper())
    if value is None or unit is None or value <= 0:
        return None
    return catalog_pb2.Weight(value=measure_text(value), unit=unit)


def _dimensions(row: Record) -> catalog_pb2.Dimensions | None:
    """The dimensions, if all three are known."""
    unit = _LENGTH_UNITS.get(text(row, "dimensions_unit").upper())
    sides: Mapping[str, Decimal | None] = {
        name: decimal(row.get(name)) for name in ("length", "width", "height")
    }
    if unit is None or not all(side is not None and side > 0 for side in sides.values()):
        return None
    texts = {name: measure_text(side) for name, side in sides.items() if side is not None}
    return catalog_pb2.Dimensions(unit=unit, **texts)


def _images(rows: Iterable[Record]) -> list[catalog_pb2.Image]:
    """The images of all rows, the parent's first, each address once."""
    images: dict[str, catalog_pb2.Image] = {}
    for row in rows:
        for image in listed(row, "images"):
            url = text(nested(image, "sizes"), "original") or text(image, "url")
            if url:
                images.setdefault(url, catalog_pb2.Image(image_id=text(image, "id"), url=url))
    return list(images.values())
