"""What the kept sums of stock should be: the ledger's, the holds', the transfers' (BEY-01)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from services.inventory.rules.stock import Draft, Kind, Level, Place, text


class Wrong(IntEnum):
    """What can be wrong; the numbers are the contract's (`FindingKind`)."""

    LEVEL = 1
    RESERVED = 2
    ONLINE_STOCK = 3
    IN_TRANSIT = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    kind: Wrong
    item_id: str
    outlet_id: str
    channel_id: str
    kept: str
    expected: str


@dataclass(frozen=True, slots=True)
class Sums:
    """What levels should be, by place; what is not there is zero."""

    on_hand: Mapping[Place, int]
    held: Mapping[Place, int]
    in_transit: Mapping[Place, int]

    def right(self, level: Level) -> Level:
        """The level as it should be."""
        place = (level.item_id, level.outlet_id)
        return replace(
            level,
            on_hand=self.on_hand.get(place, 0),
            reserved=self.held.get(place, 0),
            in_transit=self.in_transit.get(place, 0),
        )


def wrong_levels(sums: Sums, levels: Iterable[Level]) -> Iterator[tuple[Level, Level]]:
    """Levels that are not their sums, each with what it should be, by item and outlet."""
    known = {(level.item_id, level.outlet_id): level for level in levels}
    for place in sorted({*known, *sums.on_hand, *sums.held, *sums.in_transit}):
        level = known.get(place) or Level(*place)
        right = sums.right(level)
        if right != level:
            yield level, right


def findings(level: Level, right: Level) -> Iterator[Finding]:
    """What is wrong with a level."""
    for kind, kept, expected in (
        (Wrong.LEVEL, level.on_hand, right.on_hand),
        (Wrong.RESERVED, level.reserved, right.reserved),
        (Wrong.IN_TRANSIT, level.in_transit, right.in_transit),
    ):
        if kept != expected:
            yield Finding(kind, level.item_id, level.outlet_id, "", text(kept), text(expected))


def repair(draft: Draft, level: Level, right: Level, now: datetime) -> None:
    """Sets a level right. The ledger is the truth and gets a row that says so and moves nothing."""
    draft.put(right)
    if level.on_hand != right.on_hand:
        draft.note(right, Kind.CORRECTION, 0, now)
