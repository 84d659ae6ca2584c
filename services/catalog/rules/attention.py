"""Attention: what waits for an operator, grouped by cause, in plain words (BEY-09)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.chassis.errors import DomainError, invalid

EXAMPLES_MAX = 10


class Cause(StrEnum):
    """Why something cannot go on; the names are the contract's, in its order."""

    LISTING_NOT_PUSHED = "LISTING_NOT_PUSHED"
    PRODUCT_REFUSED = "PRODUCT_REFUSED"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    IMPORT_HELD = "IMPORT_HELD"
    SKU_AMBIGUOUS = "SKU_AMBIGUOUS"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Things that cannot go on for one cause."""

    cause: Cause
    key: str
    """Tells the groups of one cause apart."""
    waiting_count: int
    since: datetime
    message: str
    """What one of them says of it; may be empty."""
    examples: Sequence[str]


def title(group: Waiting) -> str:
    """What is the matter, as one sentence."""
    count, one = group.waiting_count, group.waiting_count == 1
    match group.cause:
        case Cause.LISTING_NOT_PUSHED:
            what = "1 listing" if one else f"{count} listings"
            return f"The store did not take {what}: {group.key}"
        case Cause.PRODUCT_REFUSED:
            return f"{_products(count)} refused as {'it' if one else 'they'} came: {group.message}"
        case Cause.CIRCUIT_OPEN:
            what = "1 product" if one else f"{count} products"
            return f"{what} would be deleted or deactivated by {group.key or 'an unnamed source'}"
        case Cause.IMPORT_HELD:
            return (
                f"The import of {group.message} would delete or deactivate more of the catalog than"
                " it may without a yes"
            )
        case Cause.SKU_AMBIGUOUS:
            return (
                f"{count} items have the SKU {group.key}, so that an order by SKU alone cannot tell"
                " which one is meant"
            )


def remedy(group: Waiting) -> str:
    """What to do about it, as one sentence."""
    match group.cause:
        case Cause.LISTING_NOT_PUSHED:
            return "Put right what the store complains of, then GO_ON writes all of them again"
        case Cause.PRODUCT_REFUSED:
            return (
                "Correct them in the point of sale, and they come in by themselves; GO_ON tries all"
                " of them again as they came, DISCARD drops them"
            )
        case Cause.CIRCUIT_OPEN:
            return (
                "If this is meant, GO_ON does it for all of them, and lets the source"
                " pass for an hour; DISCARD keeps the products as they are"
            )
        case Cause.IMPORT_HELD:
            return (
                "Look at what it would change; GO_ON is ApproveImport with a yes, after which it"
                " may be gone on with, and DISCARD cancels it"
            )
        case Cause.SKU_AMBIGUOUS:
            return "Give all but one of them another SKU in the point of sale"


def nothing_waits(cause: Cause, key: str) -> DomainError:
    """ATTENTION_NOT_FOUND for this group."""
    return DomainError(
        "ATTENTION_NOT_FOUND",
        f"nothing waits for {cause} under the key {key!r}; ListAttention shows what does",
        field="key",
        cause=cause,
        key=key,
    )


def no_action(cause: Cause) -> DomainError:
    """That nothing can be decided here about groups of this cause."""
    if cause is Cause.SKU_AMBIGUOUS:
        return invalid("cause", "cannot be resolved here: change a SKU in the point of sale")
    return invalid(
        "decision", "a listing cannot be dropped: GO_ON writes it again, or switch it off"
    )


def not_here() -> DomainError:
    """That a cause belongs to another service."""
    return invalid("cause", "is none of the catalog's; see the service that listed it")


def _products(count: int) -> str:
    return "1 product was" if count == 1 else f"{count} products were"
