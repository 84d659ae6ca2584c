"""What may be written about products and combinations, field by field."""

from gateway.sandbox.values import (
    Kind,
    Row,
    flag,
    list_of,
    mapping,
    nullable,
    number,
    one_of,
    record_of,
    text,
    whole,
)

ATTRIBUTE_IDS = {"UPC": 1, "BRAND": 2}
"""The attributes every store has, with their ids; others get one when first written."""

OPTION_TYPES = (
    "SELECT",
    "RADIO",
    "CHECKBOX",
    "TEXTFIELD",
    "TEXTAREA",
    "DATE",
    "FILES",
    "SIZE",
    "SWATCHES",
)

CHOICE_TYPES = ("SELECT", "RADIO", "CHECKBOX", "SIZE", "SWATCHES")
"""Option types that offer choices, and so may tell combinations apart."""


def by_location(value: object) -> dict[str, int]:
    """A field kind: location id to whole units."""
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return {str(location): whole(units) for location, units in value.items()}


_CHOICE = record_of(
    {
        "text": text,
        "textTranslated": mapping,
        "priceModifier": number,
        "priceModifierType": one_of("ABSOLUTE", "PERCENT"),
    },
    required=("text",),
)

_OPTION = record_of(
    {
        "type": one_of(*OPTION_TYPES),
        "name": text,
        "nameTranslated": mapping,
        "choices": list_of(_CHOICE),
        "defaultChoice": whole,
        "required": flag,
    },
    required=("name",),
)

_ATTRIBUTE = record_of(
    {
        "id": whole,
        "alias": text,
        "name": text,
        "type": text,
        "value": nullable(text),
        "show": one_of("NOTSHOW", "DESCR", "PRICE"),
    }
)

_SHARED: dict[str, Kind] = {
    "sku": text,
    "price": number,
    "compareToPrice": nullable(number),
    "costPrice": nullable(number),
    "quantity": nullable(whole),
    "unlimited": flag,
    "locationInventory": by_location,
    "warningLimit": nullable(whole),
    "weight": nullable(number),
    "dimensions": record_of({"length": number, "width": number, "height": number}),
    "volume": number,
    "attributes": list_of(_ATTRIBUTE),
    "externalReferenceId": nullable(text),
    "minPurchaseQuantity": nullable(whole),
    "maxPurchaseQuantity": nullable(whole),
    "wholesalePrices": list_of(record_of({"quantity": whole, "price": number})),
}

PRODUCT: dict[str, Kind] = {
    **_SHARED,
    "name": text,
    "nameTranslated": mapping,
    "description": nullable(text),
    "descriptionTranslated": mapping,
    "subtitle": nullable(text),
    "enabled": flag,
    "isShippingRequired": flag,
    "categoryIds": list_of(whole),
    "defaultCategoryId": whole,
    "options": list_of(_OPTION),
    "outOfStockVisibilityBehaviour": one_of("SHOW", "HIDE", "ALLOW_PREORDER"),
    "tax": mapping,
    "productClassId": whole,
    "showOnFrontpage": whole,
    "customSlug": nullable(text),
    "seoTitle": nullable(text),
    "seoDescription": nullable(text),
    "discountsAllowed": flag,
}
"""What a client may write about a product; combinations and images go their own ways."""

COMBINATION: dict[str, Kind] = {
    **_SHARED,
    "id": whole,
    "options": list_of(record_of({"name": text, "value": text}, required=("name", "value"))),
    "outOfStockVisibilityBehaviour": one_of("SHOW", "ALLOW_PREORDER"),
}
"""What a client may write about a combination."""


def apply_fields(row: Row, fields: Row) -> None:
    """Puts checked fields into a row; null takes a field away."""
    for name, value in fields.items():
        if value is None:
            row.pop(name, None)
        else:
            row[name] = value


def merged_attributes(known: list[Row], written: list[Row]) -> list[Row]:
    """Attributes after a write: those named are changed, an empty value removes one."""
    by_id = {attribute["id"]: attribute for attribute in known}
    for attribute in written:
        kind = attribute.get("alias") or attribute.get("type") or "CUSTOM"
        name = attribute.get("name") or kind.capitalize()
        attribute_id = attribute.get("id") or _attribute_id(kind, name, by_id)
        old = by_id.get(attribute_id, {"type": kind, "name": name, "show": "DESCR"})
        changes: Row = {k: attribute[k] for k in ("value", "show") if k in attribute}
        by_id[attribute_id] = {"id": attribute_id, "value": "", **old, **changes}
    return [attribute for attribute in by_id.values() if attribute["value"]]


def _attribute_id(kind: str, name: str, by_id: dict[int, Row]) -> int:
    if kind in ATTRIBUTE_IDS:
        return ATTRIBUTE_IDS[kind]
    # Ids up to a hundred are kept for the attributes that every store has.
    same = (i for i, a in by_id.items() if (a["type"], a["name"]) == (kind, name))
    return next(same, max(100, *by_id) + 1 if by_id else 101)
