"""Listings: what a store shows of a product, and a product's place in a channel."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any

from services.catalog.rules.products import (
    Change,
    Dimensions,
    Image,
    LengthUnit,
    Money,
    Product,
    Variant,
    Weight,
    WeightUnit,
)
from services.chassis.errors import DomainError, invalid

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


@dataclass(frozen=True, slots=True)
class Placement:
    """A product's place in a channel."""

    merchant_id: str
    channel_id: str
    product_id: str
    sell_online: bool
    version: int
    """Grows with every change of the listing, also over a deletion."""
    deleted: bool
    update_time: datetime
    push_time: datetime | None = None
    pushed_version: int = 0
    push_error: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a channel shows of a product."""

    placement: Placement
    shown: Shown
    available: bool
    """Whether the store offers it now."""


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


def is_active(product: Product) -> bool:
    """Whether the point of sale would sell any of it (CAT-10)."""
    return product.active and any(variant.active is not False for variant in product.variants)


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


@dataclass(frozen=True, slots=True)
class Mapped:
    """What becomes of one field of a product, or of a variant."""

    field: str
    owner: Owner
    shown: str = ""
    """The field of what a store shows; empty for what it does not show."""
    convert: Callable[[Any], Any] = lambda _: None
    """From the product, or the variant, to the shown value."""


def _same(field: str, shown: str = "") -> Mapped:
    return Mapped(field, Owner.POS, shown or field, attrgetter(field))


PRODUCT_FIELDS = (
    _same("name"),
    _same("description"),
    _same("category"),
    _same("brand"),
    Mapped("active", Owner.POS, "active", is_active),
    Mapped("attribute_names", Owner.POS, "options", to_options),
    Mapped("variants", Owner.POS, "variants", to_variants),
    Mapped("images", Owner.POS, "image_urls", lambda product: to_urls(product.images)),
    Mapped("handle", Owner.POS_ONLY),
    Mapped("tags", Owner.POS_ONLY),
    Mapped("supplier", Owner.POS_ONLY),
)
"""What a store shows of a product: CAT-03, and CAT-04 by leaving out.

The fields that belong to the store (CAT-05: compare-to price, subtitle, low-stock threshold) are in
no row: the catalog neither knows nor writes them.
"""

VARIANT_FIELDS = (
    _same("item_id"),
    _same("sku"),
    _same("upc"),
    _same("attribute_values", "option_values"),
    _same("retail_price", "price"),
    Mapped("weight", Owner.POS, "weight_kg", lambda variant: to_kg(variant.weight)),
    Mapped("dimensions", Owner.POS, "dimensions_cm", lambda variant: to_cm(variant.dimensions)),
    _same("track_inventory"),
    Mapped("supply_price", Owner.POS_ONLY),
    Mapped("supplier_code", Owner.POS_ONLY),
)
"""What a store shows of a variant. `active` decides whether it shows it at all (`offered`)."""


def shown_of(product: Product) -> Shown:
    """What every store shows of a product (CAT-03, CAT-04)."""
    return Shown(**{row.shown: row.convert(product) for row in PRODUCT_FIELDS if row.shown})


def listing_of(product: Product, placement: Placement) -> Listing:
    """A listing: available while it is sold online and active in the point of sale (CAT-12)."""
    shown = shown_of(product)
    return Listing(placement, shown, placement.sell_online and shown.active)


def placed(
    before: Placement | None, merchant_id: str, channel_id: str, product_id: str, now: datetime
) -> Placement:
    """A product's new place in a channel, switched off (CAT-01, CAT-02).

    `before` is the place that an earlier product with this id had; versions grow on from there.
    """
    return Placement(
        merchant_id=merchant_id,
        channel_id=channel_id,
        product_id=product_id,
        sell_online=False,
        version=before.version + 1 if before else 1,
        deleted=False,
        update_time=now,
    )


def shows_anew(change: Change) -> bool:
    """Whether a change of a product is to be seen in its listings (CAT-06)."""
    before = change.before.product if change.before else None
    after = change.after.product
    return before is None or after is None or shown_of(before) != shown_of(after)


def kept_in_step(
    before: Placement | None, change: Change, channel_id: str, now: datetime
) -> Placement | None:
    """The product's place in a channel after a change that is to be seen there; None when there was
    none and need be none.
    """
    after = change.after
    listed = before is not None and not before.deleted
    if after.product is None:
        return removed(before, now) if before and listed else before
    if before and listed and not change.reborn:
        return changed(before, now)
    gone = removed(before, now) if before and listed else before
    return placed(gone, after.merchant_id, channel_id, after.product_id, now)


def changed(before: Placement, now: datetime) -> Placement:
    """The place after what is shown there has changed (CAT-06)."""
    return replace(before, version=before.version + 1, update_time=now)


def removed(before: Placement, now: datetime) -> Placement:
    """The place after its product was deleted (CAT-11)."""
    return replace(changed(before, now), sell_online=False, deleted=True)


def switched(before: Placement, sell_online: bool, now: datetime) -> Placement:
    """The place after its switch was set (CAT-02, CAT-12); itself when it stood that way."""
    if before.sell_online == sell_online:
        return before
    return replace(changed(before, now), sell_online=sell_online)


def pushed(before: Placement, version: int, error: str, now: datetime) -> Placement:
    """The place after `version` was written to the store, or could not be (SOR-04).

    Reports may come late: one about an older version than the store holds changes nothing.

    Raises:
        DomainError: INVALID_FIELD; there is no such version yet.
    """
    if version > before.version:
        raise invalid("version", f"the listing is at version {before.version}; report what it was")
    if version < before.pushed_version:
        return before
    if error:
        return replace(before, push_error=error)
    return replace(before, push_time=now, pushed_version=version, push_error="")


def no_listing(channel_id: str, product_id: str, field: str) -> DomainError:
    """LISTING_NOT_FOUND for this listing."""
    return DomainError(
        "LISTING_NOT_FOUND",
        f"no listing of product {product_id!r} in channel {channel_id!r}; ListListings shows those"
        " that there are",
        field=field,
        channel_id=channel_id,
        product_id=product_id,
    )


def no_channel(channel_id: str) -> DomainError:
    """CHANNEL_NOT_FOUND for this channel."""
    return DomainError(
        "CHANNEL_NOT_FOUND",
        f"no channel {channel_id!r} is known here; a new one is within a second of its creation",
        field="channel_id",
        channel_id=channel_id,
    )


def _converted(value: str, factor: Decimal) -> str:
    """Decimal text times a factor, exact to six fraction digits, without an exponent."""
    exact = _EXACT.multiply(Decimal(value), factor)
    text = f"{exact.quantize(_FRACTION, context=_EXACT):f}"
    return text.rstrip("0").rstrip(".")
