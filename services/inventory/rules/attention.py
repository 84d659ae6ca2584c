"""Attention: what waits for an operator, grouped by cause, in plain words (BEY-09)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.chassis.errors import DomainError, invalid
from services.inventory.rules.transfers import LATE_AFTER

EXAMPLES_MAX = 10


class Cause(IntEnum):
    """Why something cannot go on; the numbers are the contract's, and lists are in their order."""

    OVERSOLD = 7
    OUTLET_SILENT = 8
    TRANSFER_LATE = 9
    COUNTS_HELD = 14


@dataclass(frozen=True, slots=True)
class Waiting:
    """Things that cannot go on for one cause."""

    cause: Cause
    key: str
    """Their outlet."""
    waiting_count: int
    since: datetime | None
    examples: Sequence[str]


def title(group: Waiting) -> str:
    """What is the matter, as one sentence."""
    count, one, outlet = group.waiting_count, group.waiting_count == 1, group.key
    items, are = ("1 item", "is") if one else (f"{count} items", "are")
    match group.cause:
        case Cause.OVERSOLD:
            was = "was" if one else "were"
            return f"{items} at outlet {outlet} {are} promised to orders and {was} sold at the till"
        case Cause.OUTLET_SILENT:
            channels = "1 channel counts" if one else f"{count} channels count"
            return (
                f"outlet {outlet} has been silent for too long; {channels} it only as far as their"
                " policies say"
            )
        case Cause.TRANSFER_LATE:
            transfers = "1 transfer has" if one else f"{count} transfers have"
            return (
                f"{transfers} been on the way to outlet {outlet} for more than"
                f" {LATE_AFTER.days} days"
            )
        case Cause.COUNTS_HELD:
            return f"counts say that nothing is left of {items} at outlet {outlet}, all at once"


def remedy(group: Waiting) -> str:
    """What to do about it, as one sentence."""
    match group.cause:
        case Cause.OVERSOLD:
            return (
                "ListIncidents says which orders are hit and what can be done; ResolveIncident does"
                " it"
            )
        case Cause.OUTLET_SILENT:
            return (
                "see to its connection; it comes back by itself as soon as anything is heard of it"
            )
        case Cause.TRANSFER_LATE:
            return "ReceiveTransfer what has arrived, and CloseTransfer what will not"
        case Cause.COUNTS_HELD:
            return (
                "if this is so, GO_ON records all of them and lets the outlet's counts pass for an"
                " hour; DISCARD leaves the levels as they are"
            )


def nothing_waits(cause: Cause, key: str) -> DomainError:
    """ATTENTION_NOT_FOUND for this group."""
    return DomainError(
        "ATTENTION_NOT_FOUND",
        f"nothing waits for {cause.name} under the key {key!r}; ListAttention shows what does",
        field="key",
        cause=cause.name,
        key=key,
    )


def no_action() -> DomainError:
    """That there is no one action for all of this cause, here at least."""
    return invalid("cause", "has no one action here; the group's remedy says what can be done")
