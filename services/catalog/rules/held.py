"""Held reports: what came and was not taken in waits here, as it came (BEY-09, BEY-10)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.catalog.rules.products import Stamp
from services.chassis.errors import DomainError

CIRCUIT_OPEN = "CIRCUIT_OPEN"
_INDEX = re.compile(r"\[[0-9]+\]")

Key = tuple[str, str]
"""A merchant and a product."""


@dataclass(frozen=True, slots=True)
class Held:
    """The newest report of a product that was not taken in."""

    merchant_id: str
    product_id: str
    """Of the product; for a report without a usable one, something that no product is called."""
    reason: str
    """Of the contract's reasons."""
    key: str
    """The same for all that wait for the same cause."""
    message: str
    report: bytes | None
    """The product's message; None for its deletion."""
    stamp: Stamp
    cause: str
    request_id: str
    record_time: datetime
    """Since when something of this product waits for this reason."""


@dataclass(slots=True)
class HeldReports:
    """The held reports that a group of calls is decided on, as they are after the calls so far."""

    known: Mapping[Key, Held]
    changed: dict[Key, Held | None] = field(default_factory=dict)
    """What is new, and None for what is to go."""

    def get(self, key: Key) -> Held | None:
        """What waits of this product."""
        return self.changed[key] if key in self.changed else self.known.get(key)

    def hold(self, held: Held) -> None:
        """Keeps a report, unless a newer one of its product waits."""
        key = (held.merchant_id, held.product_id)
        before = self.get(key)
        if before is None:
            self.changed[key] = held
        elif not held.stamp.is_older(before.stamp):
            since = before.record_time if before.reason == held.reason else held.record_time
            self.changed[key] = replace(held, record_time=since)

    def take_in(self, key: Key, stamp: Stamp) -> None:
        """A report of this product was taken in: what is no newer need not wait any more."""
        before = self.get(key)
        if before and not stamp.is_older(before.stamp):
            self.changed[key] = None

    def copy(self) -> "HeldReports":
        """Some to try things on."""
        return HeldReports(self.known, dict(self.changed))


def group(error: DomainError) -> str:
    """What refused reports that wait for the same are put together by: the field, wherever in its
    product it is, or else the reason.
    """
    path = error.violations[0][0] if error.violations else error.reason
    return _INDEX.sub("[]", path)[:1000]


def text(error: DomainError) -> str:
    """Why a report was refused."""
    found = "; ".join(f"{field}: {what}" for field, what in error.violations[:5])
    return (found or error.message)[:4000]
