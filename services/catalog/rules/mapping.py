"""Mapping: what becomes of each field on its way from the point of sale to a store, as data.

One row says of one field who has the say over it, what it is called on both sides, and how it is
converted (CAT-03, CAT-04, CAT-05). Everything that a store shows is made from these rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any

from services.catalog.rules import currencies
from services.catalog.rules.changes import amount
from services.catalog.rules.products import (
    Dimensions,
    Image,
    LengthUnit,
    Money,
    Product,
    Variant,
    Weight,
    WeightUnit,
    is_active,
)

KG_PER = {
    WeightUnit.G: Decimal("0.001"),
    WeightUnit.KG: Decimal(1),
    WeightUnit.OZ: Decimal("0.028349523125"),
    WeightUnit.LB: Decimal("0.45359237"),
    WeightUnit.CT: Decimal("0.0002"),
}
"""Kilograms in each unit of weight, exactly."""

CM_PER = {
    LengthUnit.MM: Decimal("0.1"),
    LengthUnit.CM: Decimal(1),
    LengthUnit.IN: Decimal("2.54"),
    LengthUnit.YD: Decimal("91.44"),
}
"""Centimeters in each unit of length, exactly."""

_EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
_FRACTION = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class DimensionsCm:
    """Outer dimensions in centimeters, decimal text with at most six fraction digits."""

    length: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Option:
    """A choice that a buyer makes, with its values in the order of the variants."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownVariant:
    """A variant as a store offers it."""

    item_id: str
    sku: str
    upc: str
    option_values: tuple[str, ...]
    price: Money | None
    """With the decimals of its currency."""
    weight_kg: str
    """Decimal text with at most six fraction digits; empty when not known."""
    dimensions_cm: DimensionsCm | None
    track_inventory: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What a store shows of a product."""

    name: str
    description: str
    category: str
    brand: str
    active: bool
    """Whether the point of sale would sell it at all."""
    options: tuple[Option, ...]
    variants: tuple[ShownVariant, ...]
    image_urls: tuple[str, ...]


def to_kg(weight: Weight | None) -> str:
    """A weight in kilograms (CAT-03); empty when not known."""
    return _converted(weight.value, KG_PER[weight.unit]) if weight else ""


def to_cm(dimensions: Dimensions | None) -> DimensionsCm | None:
    """Dimensions in centimeters (CAT-03)."""
    if dimensions is None:
        return None
    factor = CM_PER[dimensions.unit]
    return DimensionsCm(
        length=_converted(dimensions.length, factor),
        width=_converted(dimensions.width, factor),
        height=_converted(dimensions.height, factor),
    )


def to_urls(images: tuple[Image, ...]) -> tuple[str, ...]:
    """The addresses of images, the main one first."""
    return tuple(image.url for image in images)


def offered(product: Product) -> tuple[Variant, ...]:
    """The variants that a listing shows: the active ones.

    A product that is switched off altogether keeps them all: its listing is not available anyway,
    and the store need not forget what will be back.
    """
    active = tuple(variant for variant in product.variants if variant.active is not False)
    return active or product.variants


def to_options(product: Product) -> tuple[Option, ...]:
    """The attributes with the values of the variants that are shown (CAT-03)."""
    columns = zip(*(variant.attribute_values for variant in offered(product)), strict=True)
    return tuple(
        Option(name, tuple(dict.fromkeys(values)))
        for name, values in zip(product.attribute_names, columns, strict=True)
    )


def to_variants(product: Product) -> tuple[ShownVariant, ...]:
    """The variants that are shown, in the product's order."""
    return tuple(
        ShownVariant(**{row.shown: row.convert(variant) for row in VARIANT_FIELDS if row.shown})
        for variant in offered(product)
    )


class Owner(StrEnum):
    """Who has the say over a field, and who gets to see it."""

    POS = "the point of sale; every store shows its value (CAT-03)"
    POS_ONLY = "the point of sale; it never leaves it (CAT-04)"
    STORE = "the store; nothing from the point of sale touches it (CAT-05)"
    MERCHANT = "the merchant, here (CAT-02, CAT-12)"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What becomes of one field."""

    field: str
    """Of the product, or the variant; empty when the point of sale has no such field."""
    owner: Owner
    shown: str = ""
    """The field of `Shown` or `ShownVariant`; empty for what a store does not show."""
    convert: Callable[[Any], Any] = lambda _: None
    """From the product, or the variant, to the shown value."""
    named: str = ""
    """The field of the contract's listing, where it has another name than `shown`."""

    @property
    def listed(self) -> str:
        """The field of the contract's listing; empty when there is none."""
        return self.named or self.shown


def _same(field: str, shown: str = "") -> Mapped:
    return Mapped(field, Owner.POS, shown or field, attrgetter(field))


PRODUCT_FIELDS = (
    _same("name"),
    _same("description"),
    _same("category"),
    _same("brand"),
    Mapped("active", Owner.POS, "active", is_active, "available"),
    Mapped("attribute_names", Owner.POS, "options", to_options),
    Mapped("variants", Owner.POS, "variants", to_variants),
    Mapped("images", Owner.POS, "image_urls", lambda product: to_urls(product.images)),
    Mapped("handle", Owner.POS_ONLY),
    Mapped("tags", Owner.POS_ONLY),
    Mapped("supplier", Owner.POS_ONLY),
)
"""What a store shows of a product: CAT-03, and CAT-04 by leaving out."""

VARIANT_FIELDS = (
    _same("item_id"),
    _same("sku"),
    _same("upc"),
    _same("attribute_values", "option_values"),
    Mapped(
        "retail_price",
        Owner.POS,
        "price",
        lambda variant: currencies.rounded(variant.retail_price),
    ),
    Mapped("weight", Owner.POS, "weight_kg", lambda variant: to_kg(variant.weight)),
    Mapped("dimensions", Owner.POS, "dimensions_cm", lambda variant: to_cm(variant.dimensions)),
    _same("track_inventory"),
    Mapped("supply_price", Owner.POS_ONLY),
    Mapped("supplier_code", Owner.POS_ONLY),
)
"""What a store shows of a variant. `active` decides whether it shows it at all (`offered`)."""

PLACE_FIELDS = (
    Mapped("", Owner.STORE, named="compare_to_price"),
    Mapped("", Owner.STORE, named="subtitle"),
    Mapped("", Owner.STORE, named="low_stock_threshold"),
    Mapped("", Owner.STORE, named="store_image_urls"),
    Mapped("", Owner.MERCHANT, named="sell_online"),
)
"""What a listing has that no product has (CAT-05, CAT-08, CAT-12)."""

LISTED_OWNERS = {row.listed: row.owner for row in (*PRODUCT_FIELDS, *PLACE_FIELDS) if row.listed}
"""Who has the say over each field of a listing."""

EDITED_FIELDS = {name for name, owner in LISTED_OWNERS.items() if owner is Owner.POS}
"""The fields of a listing that a store may not change (CAT-07)."""

EDITED_VARIANT_FIELDS = {row.listed for row in VARIANT_FIELDS if row.listed}
"""The fields of a listing's variant that a store may not change (CAT-07)."""


def shown_of(product: Product) -> Shown:
    """What every store shows of a product (CAT-03, CAT-04)."""
    return Shown(**{row.shown: row.convert(product) for row in PRODUCT_FIELDS if row.shown})


def paths(shown: Shown) -> Iterator[tuple[str, str]]:
    """Each value that a store shows, by its path in the listing, and the path in the product that
    it was made from: `variants[sku-1].price` and `variants[sku-1].retail_price`.
    """
    for row in PRODUCT_FIELDS:
        if row.listed == "variants":
            for variant in shown.variants:
                base = f"variants[{variant.item_id}]"
                yield from (
                    (f"{base}.{one.listed}", f"{base}.{one.field}")
                    for one in VARIANT_FIELDS
                    if one.listed
                )
        elif row.listed:
            yield row.listed, row.field


def text(value: object) -> str:
    """A shown value as people read it; empty for none."""
    if isinstance(value, tuple):
        between = "; " if any(isinstance(one, Option) for one in value) else ", "
        return between.join(text(one) for one in value)
    if isinstance(value, Option):
        return f"{value.name}: {', '.join(value.values)}"
    if isinstance(value, DimensionsCm):
        return f"{value.length} x {value.width} x {value.height}"
    if isinstance(value, Money):
        return amount(value)
    words = {None: "", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _converted(value: str, factor: Decimal) -> str:
    """Decimal text times a factor, exact to six fraction digits, without an exponent."""
    exact = _EXACT.multiply(Decimal(value), factor)
    written = f"{exact.quantize(_FRACTION, context=_EXACT):f}"
    return written.rstrip("0").rstrip(".")
