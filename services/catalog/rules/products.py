"""Products: what makes one acceptable, and which report of it is the newest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a product in a group of calls."""

    before: Known | None
    """None: it was not known at all."""
    after: Known
    reborn: bool
    """Whether it was deleted and came back in between."""

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


@dataclass(slots=True)
class Shelf:
    """The products that a group of calls is decided on, as they are after the calls so far."""

    _known: dict[tuple[str, str], Known]
    _owners: dict[tuple[str, str], str]
    _before: dict[tuple[str, str], Known | None] = field(default_factory=dict)
    _deleted: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(
        cls, known: Mapping[tuple[str, str], Known], owners: Mapping[tuple[str, str], str]
    ) -> "Shelf":
        """The products by merchant and id, and which product has an item, by merchant and item."""
        shelf = cls(dict(known), dict(owners))
        for key, one in known.items():
            shelf._own(key, one)
        return shelf

    def get(self, merchant_id: str, product_id: str) -> Known | None:
        """The product or its tombstone, as it is now."""
        return self._known.get((merchant_id, product_id))

    def owner(self, merchant_id: str, item_id: str) -> str:
        """The product that has this item; empty when none has."""
        return self._owners.get((merchant_id, item_id), "")

    def put(self, known: Known) -> None:
        """Takes in what a call decided."""
        key = (known.merchant_id, known.product_id)
        before = self._known.get(key)
        if before == known:
            return
        self._before.setdefault(key, before)
        if before and before.product:
            for variant in before.product.variants:
                del self._owners[known.merchant_id, variant.item_id]
            if known.product is None:
                self._deleted.add(key)
        self._known[key] = known
        self._own(key, known)

    def changes(self) -> list[Change]:
        """Every product that is not as it was, by key."""
        return [
            Change(
                before=before,
                after=self._known[key],
                reborn=key in self._deleted and self._known[key].product is not None,
            )
            for key, before in sorted(self._before.items(), key=lambda item: item[0])
        ]

    def _own(self, key: tuple[str, str], known: Known) -> None:
        for variant in known.product.variants if known.product else ():
            self._owners[key[0], variant.item_id] = key[1]


def upsert(
    shelf: Shelf, merchant_id: str, product: Product, stamp: Stamp, now: datetime
) -> Outcome:
    """Takes in a report of a product, unless a newer one is known (BEY-08).

    Raises:
        DomainError: INVALID_FIELD; the product cannot be taken in, and the shelf is as it was.
    """
    check(product)
    before = shelf.get(merchant_id, product.product_id)
    if before and is_old(stamp, before):
        return Outcome.UNCHANGED
    check_owners(shelf, merchant_id, product)
    if before is None:
        shelf.put(Known(merchant_id, product.product_id, product, stamp, 1, now))
        return Outcome.CREATED
    if before.product == product:
        shelf.put(replace(before, stamp=before.stamp.merged(stamp)))
        return Outcome.UNCHANGED
    shelf.put(_next(before, product, stamp, now))
    return Outcome.UPDATED if before.product else Outcome.CREATED


def delete(shelf: Shelf, merchant_id: str, product_id: str, version: int, now: datetime) -> bool:
    """Deletes a product (CAT-11), unless a newer version of it is known; tells whether there was
    something to delete. A tombstone stays in any case, since the deletion may overtake the report
    that it follows.
    """
    stamp = Stamp(version, now)
    before = shelf.get(merchant_id, product_id)
    if before is None:
        shelf.put(Known(merchant_id, product_id, None, stamp, 1, now))
        return False
    if is_old(stamp, before):
        return False
    if before.product is None:
        shelf.put(replace(before, stamp=before.stamp.merged(stamp)))
        return False
    shelf.put(_next(before, None, stamp, now))
    return True


def is_old(stamp: Stamp, known: Known) -> bool:
    """Whether a report is older than what is known, so that it changes nothing.

    Versions decide where both have one, else the time at which the values were read. A version that
    was deleted does not come back; only a later one does.
    """
    if stamp.version and known.stamp.version and stamp.version != known.stamp.version:
        return stamp.version < known.stamp.version
    if stamp.version and stamp.version == known.stamp.version and known.product is None:
        return True
    return stamp.observe_time < known.stamp.observe_time


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


def check_owners(shelf: Shelf, merchant_id: str, product: Product) -> None:
    """Checks that no item of the product is another product's.

    Raises:
        DomainError: INVALID_FIELD.
    """
    for index, variant in enumerate(product.variants):
        owner = shelf.owner(merchant_id, variant.item_id)
        if owner not in {"", product.product_id}:
            raise invalid(
                f"variants[{index}].item_id",
                f"{variant.item_id!r} belongs to product {owner!r}; take it out there first, or"
                " give this variant an id of its own",
            )


def _check_twins(product: Product) -> None:
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
        if money and not _is_currency(money.currency_code):
            raise invalid(
                f"{path}.{name}.currency_code", "must be three capital letters, such as EUR"
            )
        if money and not 0 <= money.amount_nanos <= UNITS_MAX * 10**9:
            raise invalid(f"{path}.{name}", f"must lie between 0 and {UNITS_MAX}")


def _is_currency(code: str) -> bool:
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


def _next(before: Known, product: Product | None, stamp: Stamp, now: datetime) -> Known:
    return replace(
        before,
        product=product,
        stamp=before.stamp.merged(stamp),
        revision=before.revision + 1,
        update_time=now,
    )
