"""Items: which one a line of an order means."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.chassis.errors import DomainError


@dataclass(frozen=True, slots=True)
class Item:
    """A variant of a product that is not deleted."""

    item_id: str
    product_id: str
    sku: str
    name: str
    """Of its product."""
    track_inventory: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """How an order names an item; either may be empty."""

    item_id: str
    sku: str


def resolve(
    reference: Reference, by_id: Mapping[str, Item], by_sku: Mapping[str, list[Item]]
) -> Item:
    """The item that an order means.

    An id that is known decides; failing that the SKU, exactly as it is written, if just one item
    has it.

    Raises:
        DomainError: ITEM_NOT_FOUND, SKU_AMBIGUOUS.
    """
    if found := by_id.get(reference.item_id):
        return found
    same = by_sku.get(reference.sku, []) if reference.sku else []
    if len(same) > 1:
        raise DomainError(
            "SKU_AMBIGUOUS",
            f"{len(same)} items have the SKU {reference.sku!r}; give all but one another SKU in the"
            " point of sale",
            sku=reference.sku,
        )
    if not same:
        raise DomainError(
            "ITEM_NOT_FOUND",
            "no item with this id or SKU; create it in the point of sale",
            item_id=reference.item_id,
            sku=reference.sku,
        )
    return same[0]


def with_sku(items: Iterable[Item]) -> dict[str, list[Item]]:
    """The items with each SKU."""
    found: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[item.sku].append(item)
    return dict(found)
