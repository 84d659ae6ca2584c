"""The shelf: what a group of calls is decided on, and what each report makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.catalog.rules import changes as differences
from services.catalog.rules import provenance
from services.catalog.rules.products import (
    Change,
    Known,
    Outcome,
    Product,
    Stamp,
    check,
    is_active,
)
from services.catalog.rules.provenance import Provenance, Source
from services.chassis.errors import invalid


@dataclass(slots=True)
class Shelf:
    """The products that a group of calls is decided on, as they are after the calls so far."""

    _known: dict[tuple[str, str], Known]
    _owners: dict[tuple[str, str], str]
    _before: dict[tuple[str, str], Known | None] = field(default_factory=dict)
    _deleted: set[tuple[str, str]] = field(default_factory=set)
    _outlived: dict[tuple[str, str], int] = field(default_factory=dict)

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

    def outlive(self, known: Known, version: int) -> None:
        """Notes that a product, as it is, has outlived a deletion of this version."""
        key = (known.merchant_id, known.product_id)
        self._outlived[key] = max(version, self._outlived.get(key, 0))

    def changes(self) -> list[Change]:
        """Every product that is not as it was, or has outlived a deletion, by key."""
        return [
            Change(
                before=self._before.get(key, self._known[key]),
                after=self._known[key],
                reborn=key in self._deleted and self._known[key].product is not None,
                outlived_version=self._outlived.get(key, 0),
            )
            for key in sorted(self._before.keys() | self._outlived.keys())
        ]

    def copy(self) -> "Shelf":
        """One to try things on: what is put on it stays off this one."""
        return Shelf(
            dict(self._known),
            dict(self._owners),
            dict(self._before),
            set(self._deleted),
            dict(self._outlived),
        )

    def _own(self, key: tuple[str, str], known: Known) -> None:
        for variant in known.product.variants if known.product else ():
            self._owners[key[0], variant.item_id] = key[1]


@dataclass(frozen=True, slots=True)
class Step:
    """What a report would make of a product; `Shelf.put(step.after)` makes it so."""

    before: Known | None
    after: Known
    outcome: Outcome
    outlived_version: int = 0
    """Of a deletion that a product, which is newer, has outlived; 0: none."""

    @property
    def deactivates(self) -> bool:
        """Whether a product that the point of sale would sell is one no more (BEY-10)."""
        before = self.before.product if self.before else None
        return is_active(before) and not is_active(self.after.product)

    @property
    def changes(self) -> list[differences.FieldChange]:
        """What changes, field by field; nothing when the report is old news."""
        before = self.before.product if self.before else None
        return differences.changes(before, self.after.product)


def upserted(
    shelf: Shelf,
    merchant_id: str,
    product: Product,
    stamp: Stamp,
    source: Source,
    *,
    now: datetime,
) -> Step:
    """What a report would make of its product; a newer one that is known stays (BEY-08).

    Raises:
        DomainError: INVALID_FIELD; the product cannot be taken in.
    """
    check(product)
    before = shelf.get(merchant_id, product.product_id)
    if before and is_old(stamp, before):
        return Step(before, before, Outcome.UNCHANGED)
    check_owners(shelf, merchant_id, product)
    if before is None:
        first = Known(merchant_id, product.product_id, product, stamp, 1, now, {"": source})
        return Step(None, first, Outcome.CREATED)
    if before.product == product:
        merged = replace(before, stamp=before.stamp.merged(stamp))
        return Step(before, merged, Outcome.UNCHANGED)
    after = _next(before, product, stamp, source, now)
    return Step(before, after, Outcome.UPDATED if before.product else Outcome.CREATED)


def deleted(
    shelf: Shelf,
    merchant_id: str,
    product_id: str,
    stamp: Stamp,
    source: Source,
    *,
    now: datetime,
) -> Step:
    """What a deletion would do (CAT-11).

    A tombstone stays in any case, since the deletion may overtake the report that it follows. If it
    was overtaken itself by a report that made the product anew, that one stays, and its listings
    are switched off as if both had come in order, see `listings.outlived` (BEY-08).
    """
    before = shelf.get(merchant_id, product_id)
    if before is None:
        tombstone = Known(merchant_id, product_id, None, stamp, 1, now, {"": source})
        return Step(None, tombstone, Outcome.UNCHANGED)
    if is_old(stamp, before):
        return Step(before, before, Outcome.UNCHANGED, stamp.version if before.product else 0)
    if before.product is None:
        merged = replace(before, stamp=before.stamp.merged(stamp))
        return Step(before, merged, Outcome.UNCHANGED)
    return Step(before, _next(before, None, stamp, source, now), Outcome.UPDATED)


def is_old(stamp: Stamp, known: Known) -> bool:
    """Whether a report is older than what is known, so that it changes nothing.

    A version that was deleted does not come back; only a later one does.
    """
    if stamp.version and stamp.version == known.stamp.version and known.product is None:
        return True
    return stamp.is_older(known.stamp)


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


def _next(
    before: Known, product: Product | None, stamp: Stamp, source: Source, now: datetime
) -> Known:
    return replace(
        before,
        product=product,
        stamp=before.stamp.merged(stamp),
        revision=before.revision + 1,
        update_time=now,
        provenance=_provenance(before, product, source),
    )


def _provenance(before: Known, product: Product | None, source: Source) -> Provenance:
    if before.product is None or product is None:
        return {"": source}
    changed = differences.paths(before.product, product)
    gone = {f"variants[{one.item_id}]" for one in before.product.variants} - {
        f"variants[{one.item_id}]" for one in product.variants
    }
    carried = provenance.carried(before.provenance, changed, source)
    return {path: found for path, found in carried.items() if path not in gone}
