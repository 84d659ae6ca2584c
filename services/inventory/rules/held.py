"""Held counts: what came and was not taken in waits here, as it came (BEY-10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.inventory.rules import stock
from services.inventory.rules.stock import Count, Draft

Key = tuple[str, str, str]
"""A merchant, an item and an outlet."""


@dataclass(frozen=True, slots=True)
class Held:
    """The newest count of a place that was not taken in."""

    told: Count
    cause: str
    request_id: str
    record_time: datetime
    """Since when a count of this place waits."""


@dataclass(slots=True)
class HeldCounts:
    """The held counts that a group of calls is decided on, as they are after the calls so far."""

    known: Mapping[Key, Held]
    changed: dict[Key, Held | None] = field(default_factory=dict)
    """What is new, and None for what is to go."""

    def get(self, key: Key) -> Held | None:
        """What waits of this place."""
        return self.changed[key] if key in self.changed else self.known.get(key)

    def hold(self, merchant: str, held: Held) -> None:
        """Keeps a count, unless the same or a newer one of its place waits."""
        key = (merchant, held.told.item_id, held.told.outlet_id)
        before = self.get(key)
        if before is None:
            self.changed[key] = held
        elif not _is_as_new(before.told, held.told):
            self.changed[key] = replace(held, record_time=before.record_time)

    def take_in(self, merchant: str, told: Count) -> None:
        """A count was taken in: what is no newer need not wait any more."""
        key = (merchant, told.item_id, told.outlet_id)
        before = self.get(key)
        if before and _is_as_new(told, before.told):
            self.changed[key] = None

    def copy(self) -> "HeldCounts":
        """Some to try things on."""
        return HeldCounts(self.known, dict(self.changed))


def _is_as_new(one: Count, other: Count) -> bool:
    """Whether a count is as new as another of its place, or newer: by version where both have one,
    else by the time of observation.
    """
    if one.version and other.version:
        return one.version >= other.version
    return one.observe_time >= other.observe_time


def take_in(draft: Draft, told: Count, deltas: Sequence[tuple[datetime, int]]) -> bool:
    """Records a count that was held, as if it had been taken in when it came; tells whether the
    level is different now.

    Args:
        draft: of the decision.
        told: the count.
        deltas: what was added and taken since it was observed, each with its time. No newer count
            was taken in since, or this one would not wait any more.

    Raises:
        DomainError: ITEM_NOT_FOUND; the catalog has the item no more. QUANTITY_OUT_OF_RANGE.
    """
    level = draft.level(told.item_id, told.outlet_id)
    if told.timed and not told.version and level.count_time is not None:
        return stock.count(draft, told)  # a time orders it, and the deltas beside it
    since = sum(quantity for when, quantity in deltas if when >= told.observe_time)
    return stock.count(draft, replace(told, quantity=told.quantity + since, timed=False))
