"""Products: what they are, and what makes one acceptable."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.catalog.rules.provenance import Provenance
from services.chassis.errors import invalid

UNITS_MAX = 9_000_000_000
"""Whole units of money that an amount in nanos can hold."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money, in billionths of the currency's unit."""

    currency_code: str
    amount_nanos: int


class WeightUnit(StrEnum):
    """Units of weight; the names are the contract's."""

    G = "G"
    KG = "KG"
    OZ = "OZ"
    LB = "LB"
    CT = "CT"


class LengthUnit(StrEnum):
    """Units of length; the names are the contract's."""

    MM = "MM"
    CM = "CM"
    IN = "IN"
    YD = "YD"


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight as it was typed: decimal text and its unit."""

    value: str
    unit: WeightUnit


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Outer dimensions as they were typed: decimal texts in one unit."""

    length: str
    width: str
    height: str
    unit: LengthUnit


@dataclass(frozen=True, slots=True)
class Image:
    """An image; `image_id` is empty when the point of sale has none."""

    image_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of a product, elsewhere called item."""

    item_id: str
    sku: str = ""
    upc: str = ""
    attribute_values: tuple[str, ...] = ()
    retail_price: Money | None = None
    weight: Weight | None = None
    dimensions: Dimensions | None = None
    track_inventory: bool = True
    """On unless the point of sale says otherwise (INV-01)."""
    supply_price: Money | None = None
    supplier_code: str = ""
    active: bool | None = None
    """None: as the product."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product as the point of sale knows it."""

    product_id: str
    name: str
    description: str = ""
    category: str = ""
    brand: str = ""
    active: bool = True
    attribute_names: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    images: tuple[Image, ...] = ()
    handle: str = ""
    tags: tuple[str, ...] = ()
    supplier: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """How new a report of a product is."""

    version: int
    """The point of sale's; 0 when it has none."""
    observe_time: datetime
    """When the values were read from the point of sale."""

    @classmethod
    def of(cls, version: int, observe_time: datetime | None, now: datetime) -> "Stamp":
        """The stamp of a report that arrives `now`; nothing was read later than it arrived."""
        return cls(version, now if observe_time is None else min(observe_time, now))

    def is_older(self, other: "Stamp") -> bool:
        """Whether something newer is known: versions decide where both have one, else the time at
        which the values were read.
        """
        if self.version and other.version and self.version != other.version:
            return self.version < other.version
        return self.observe_time < other.observe_time

    def merged(self, other: "Stamp") -> "Stamp":
        """The newer of both in each respect: everything older than either is old news."""
        return Stamp(max(self.version, other.version), max(self.observe_time, other.observe_time))


@dataclass(frozen=True, slots=True)
class Known:
    """A product as it was last taken in."""

    merchant_id: str
    product_id: str
    product: Product | None
    """None: it was deleted, and this is its tombstone."""
    stamp: Stamp
    revision: int
    """Grows with every change here."""
    update_time: datetime
    provenance: Provenance = field(default_factory=dict)
    """Which call brought which value (SOR-04)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a product in a group of calls."""

    before: Known | None
    """None: it was not known at all."""
    after: Known
    reborn: bool
    """Whether it was deleted and came back in between."""
    outlived_version: int = 0
    """The newest of the deletions that came later than the report that made it anew; 0: none."""

    @property
    def is_news(self) -> bool:
        """Whether others have to hear of it; a mere stamp is nobody's news."""
        before = self.before.product if self.before else None
        return self.reborn or before != self.after.product


class Outcome(StrEnum):
    """What a report of a product did; the names are the contract's."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    REFUSED = "REFUSED"
    HELD = "HELD"


def is_active(product: Product | None) -> bool:
    """Whether the point of sale would sell any of it (CAT-10)."""
    return (
        product is not None
        and product.active
        and any(variant.active is not False for variant in product.variants)
    )


def check(product: Product) -> None:
    """Checks what the contract's field constraints cannot.

    Raises:
        DomainError: INVALID_FIELD; the first thing that is wrong, and what would pass.
    """
    if not product.name.strip():
        raise invalid("name", "is blank; give the name that buyers read")
    for index, image in enumerate(product.images):
        if not image.url.startswith(("https://", "http://")):
            raise invalid(f"images[{index}].url", "must begin with https:// or http://")
    if not product.attribute_names and len(product.variants) > 1:
        raise invalid(
            "attribute_names",
            f"is empty, but there are {len(product.variants)} variants; name what they differ in",
        )
    _check_twins(product)
    for index, variant in enumerate(product.variants):
        _check_variant(variant, f"variants[{index}]", len(product.attribute_names))


def _check_twins(product: Product) -> None:
    if len(product.variants) == 1:
        return
    ids = Counter(variant.item_id for variant in product.variants)
    values = Counter(variant.attribute_values for variant in product.variants)
    for index, variant in enumerate(product.variants):
        if ids[variant.item_id] > 1:
            raise invalid(
                f"variants[{index}].item_id",
                f"{variant.item_id!r} stands here {ids[variant.item_id]} times; each variant needs"
                " an id of its own",
            )
        if values[variant.attribute_values] > 1:
            raise invalid(
                f"variants[{index}].attribute_values",
                f"{list(variant.attribute_values)} stand here {values[variant.attribute_values]}"
                " times; variants must differ in a value",
            )


def _check_variant(variant: Variant, path: str, attributes: int) -> None:
    if len(variant.attribute_values) != attributes:
        raise invalid(
            f"{path}.attribute_values",
            f"has {len(variant.attribute_values)} values, but there are {attributes}"
            " attribute_names; give one value for each name",
        )
    if variant.retail_price is None:
        raise invalid(f"{path}.retail_price", "is missing; give the price, also when it is zero")
    for name, money in (
        ("retail_price", variant.retail_price),
        ("supply_price", variant.supply_price),
    ):
        if money:
            check_money(money, f"{path}.{name}")


def check_money(money: Money, path: str) -> None:
    """Checks an amount of money.

    Raises:
        DomainError: INVALID_FIELD.
    """
    code = money.currency_code
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
        raise invalid(f"{path}.currency_code", "must be three capital letters, such as EUR")
    if not 0 <= money.amount_nanos <= UNITS_MAX * 10**9:
        raise invalid(path, f"must lie between 0 and {UNITS_MAX}")
