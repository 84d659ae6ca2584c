"""Changes: in which fields two states of a product differ, as people read them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.catalog.rules.products import Dimensions, Image, Money, Product, Variant, Weight

NANO_DIGITS = 9


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a product that differs, with both values as text."""

    field: str
    """Its path, such as `name` or `variants[sku-1].retail_price`, by item id."""
    old_value: str
    new_value: str


def changes(before: Product | None, after: Product | None) -> list[FieldChange]:
    """Field by field how a product differs; None stands for one that is not there.

    A variant that comes or goes is one change, `variants[<item id>]`, told in short.
    """
    return [
        *_fields(before, after, _PRODUCT, ""),
        *_variants(before.variants if before else (), after.variants if after else ()),
    ]


def paths(before: Product, after: Product) -> list[str]:
    """The paths of what differs."""
    return [change.field for change in changes(before, after)]


def amount(money: Money | None) -> str:
    """An amount of money, such as `12.5 EUR`; empty for none."""
    if money is None:
        return ""
    units, nanos = divmod(abs(money.amount_nanos), 10**NANO_DIGITS)
    fraction = f"{nanos:0{NANO_DIGITS}}".rstrip("0")
    sign = "-" if money.amount_nanos < 0 else ""
    number = f"{units}.{fraction}" if fraction else str(units)
    return f"{sign}{number} {money.currency_code}"


def _variants(before: tuple[Variant, ...], after: tuple[Variant, ...]) -> Iterator[FieldChange]:
    old = {variant.item_id: variant for variant in before}
    new = {variant.item_id: variant for variant in after}
    for item_id in dict.fromkeys([*old, *new]):
        one, other = old.get(item_id), new.get(item_id)
        path = f"variants[{item_id}]"
        if one and other:
            yield from _fields(one, other, _VARIANT, f"{path}.")
        else:
            yield FieldChange(path, _in_short(one), _in_short(other))
    stayed = [item_id for item_id in old if item_id in new]
    if stayed != [item_id for item_id in new if item_id in old]:
        yield FieldChange("variants", ", ".join(old), ", ".join(new))


def _fields(
    before: Any, after: Any, printers: Mapping[str, Callable[[Any], str]], prefix: str
) -> Iterator[FieldChange]:
    """Of the fields that differ; of something that is new or gone, those that say something."""
    for name, printed in printers.items():
        old, new = getattr(before, name, None), getattr(after, name, None)
        if old == new:
            continue
        texts = printed(old), printed(new)
        if (before and after) or any(texts):
            yield FieldChange(prefix + name, *texts)


def _in_short(variant: Variant | None) -> str:
    if variant is None:
        return ""
    parts = (variant.sku, " / ".join(variant.attribute_values), amount(variant.retail_price))
    return ", ".join(part for part in parts if part) or variant.item_id


def _text(value: str | None) -> str:
    return value or ""


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _list(values: Iterable[str] | None) -> str:
    return ", ".join(values or ())


def _images(images: Iterable[Image] | None) -> str:
    return ", ".join(f"{image.image_id} {image.url}".strip() for image in images or ())


def _weight(weight: Weight | None) -> str:
    return f"{weight.value} {weight.unit}" if weight else ""


def _dimensions(one: Dimensions | None) -> str:
    return f"{one.length} x {one.width} x {one.height} {one.unit}" if one else ""


_PRODUCT: Mapping[str, Callable[[Any], str]] = {
    "name": _text,
    "description": _text,
    "category": _text,
    "brand": _text,
    "active": _flag,
    "attribute_names": _list,
    "images": _images,
    "handle": _text,
    "tags": _list,
    "supplier": _text,
}

_VARIANT: Mapping[str, Callable[[Any], str]] = {
    "sku": _text,
    "upc": _text,
    "attribute_values": _list,
    "retail_price": amount,
    "weight": _weight,
    "dimensions": _dimensions,
    "track_inventory": _flag,
    "supply_price": amount,
    "supplier_code": _text,
    "active": _flag,
}
