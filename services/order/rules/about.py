"""What a refusal is about, so that orders that wait for one thing are one group (BEY-09), and by
which name an order waits for it.
"""

from collections.abc import Mapping, Sequence

from services.chassis.errors import DomainError
from services.order.rules.document import Document

LENGTH_MAX = 400
"""So that it fits a group's key, with the reason before it."""

_FACTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "ITEM_NOT_FOUND": (("sku", "SKU"), ("item_id", "item")),
    "SKU_AMBIGUOUS": (("sku", "SKU"),),
    "INSUFFICIENT_STOCK": (("item_id", "item"),),
    "OUTLET_NOT_FOUND": (("outlet_id", "outlet"),),
    "REGISTER_MISSING": (("channel_id", "channel"),),
    "CHANNEL_NOT_FOUND": (("channel_id", "channel"),),
}
"""By reason: which fact says what it is about, and what people call that."""


def about(error: DomainError, document: Document | None) -> str:
    """What somebody has to look at, such as `SKU MUG-1`; empty where the reason says it all."""
    if error.reason == "CUSTOMER_AMBIGUOUS" and document:
        return document.address[:LENGTH_MAX]
    for name, word in _FACTS.get(error.reason, ()):
        if value := error.facts.get(name, "").strip():
            return f"{word} {value}"[:LENGTH_MAX]
    return ""


def references(item_id: str, sku: str) -> list[str]:
    """The names under which an order waits for an item, and by which a change of it is known."""
    named = [f"item/{item_id}"] if item_id else []
    return [*named, f"sku/{sku.strip().casefold()}"] if sku.strip() else named


def stock_reference(item_id: str) -> str:
    """The name under which an order waits for an item's stock."""
    return f"stock/{item_id}"
