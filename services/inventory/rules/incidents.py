"""What is done when a till has sold what was promised to orders (BEY-04)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from services.inventory.rules.channels import Channel
from services.inventory.rules.stock import UNIT, Level, Place, text

SUBSTITUTES_MAX = 3
"""Variants that are proposed for an order at most."""
IN_FLIGHT = timedelta(seconds=30)
"""How long the news of a sale may be behind a level that includes it already, at most usually."""


class State(IntEnum):
    """Where an incident stands; the numbers are the contract's (`IncidentState`)."""

    OPEN = 1
    ENDED = 2


class Proposed(IntEnum):
    """What can be done for an order; the numbers are the contract's (`ProposalKind`)."""

    OTHER_OUTLET = 1
    TRANSFER = 2
    SUBSTITUTE = 3
    REFUND = 4


@dataclass(frozen=True, slots=True)
class Sold:
    """How much a hold had of what was missing when its order's sale took it all the same."""

    reservation_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Incident:
    """More is promised of an item at an outlet than is there."""

    incident_id: str
    item_id: str
    outlet_id: str
    cause: str
    state: State
    create_time: datetime
    show_time: datetime
    """From when on it is told to anybody."""
    end_time: datetime | None = None
    sold: tuple[Sold, ...] = ()
    """What is held no more, since the level includes the sale, while nothing was there for it."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What an order was promised of an item at an outlet: it holds it, or its sale has taken it."""

    reservation_id: str
    channel_id: str
    cause: str
    quantity: int
    posted: bool
    """Whether its sale is posted, so that its hold cannot be moved any more."""
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing that can be done for an order."""

    kind: Proposed
    outlet_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """An order that is hit, how much of it is missing, and what can be done."""

    promise: Promise
    quantity: int
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What proposals are made from."""

    channels: Mapping[str, Channel]
    """All of the merchant's, by id."""
    levels: Sequence[Level]
    """Of the item, everywhere."""
    others: Sequence[Level]
    """Of the other items of its product, everywhere."""


def begin(
    place: Place, cause: str, now: datetime, unique: str, *, may_pass: bool = False
) -> Incident:
    """A new incident; `unique` makes its id. One that may pass by itself is told to nobody for a
    while, and never was one if it does.
    """
    show_time = now + IN_FLIGHT if may_pass else now
    return Incident(f"in-{unique}", *place, cause, State.OPEN, now, show_time)


def opens(before: Level | None, after: Level, sold: int = 0) -> bool:
    """Whether a change takes what was promised: more is missing now than was. `sold` is how much of
    what was held before the level includes now.
    """
    return missing(after, sold) > (before.missing if before else 0)


def may_end(before: Level, after: Level) -> bool:
    """Whether a change may leave nothing missing; where it leaves less than nothing on hand, sales
    may have taken what was missing.
    """
    return not after.missing and (before.missing > 0 or before.on_hand < 0 <= after.on_hand)


def missing(level: Level, sold: int) -> int:
    """How much of what was promised is not there (BEY-04).

    `sold` is what the sales of orders have taken from the level, below zero: to those orders it is
    still owed. The rest of what a level is below zero was promised to nobody (INV-13).
    """
    return max(0, level.reserved + sold - max(0, level.on_hand + sold))


def sold_more(known: Iterable[Sold], more: Mapping[str, int]) -> tuple[Sold, ...]:
    """What sales have taken at the place of an incident, with what these reservations had held."""
    found = Counter({one.reservation_id: one.quantity for one in known})
    found.update(more)
    return tuple(Sold(*one) for one in found.items())


def may_pass(before: Level | None, after: Level) -> bool:
    """Whether what is missing may be an online sale that the point of sale has taken just now: its
    level includes the sale before anybody has told that the sale is posted, and until then the
    piece is held here too. With that news the hold ends, and nothing is missing.
    """
    return after.version > (before.version if before else 0)


def hits(quantity: int, promises: Iterable[Promise], choice: Choice) -> list[Hit]:
    """The orders that are hit, the newest promise first, as far as what is missing goes."""
    found = []
    ordered = sorted(promises, key=lambda one: (one.create_time, one.reservation_id), reverse=True)
    for promise in ordered:
        if quantity <= 0:
            break
        part = min(quantity, promise.quantity)
        quantity -= part
        found.append(Hit(promise, part, tuple(_proposals(promise, choice))))
    return found


def _proposals(promise: Promise, choice: Choice) -> Iterable[Proposal]:
    """What can be done for an order, the best first; the money can always be given back."""
    channel = choice.channels.get(promise.channel_id)
    feeding = _feeding(channel)
    if not promise.posted:
        there = [level for level in choice.levels if level.available >= promise.quantity]
        # The fullest first: it is missed least there.
        there.sort(key=lambda level: -level.available)
        for level in (level for level in there if level.outlet_id in feeding):
            told = f"fill it from {level.outlet_id}, which has {text(level.available)}"
            yield Proposal(Proposed.OTHER_OUTLET, level.outlet_id, told)
        for level in (level for level in there if level.outlet_id not in feeding):
            told = f"bring it from {level.outlet_id}, which has {text(level.available)}"
            yield Proposal(Proposed.TRANSFER, level.outlet_id, told)
    for item_id, available in _substitutes(promise, choice, feeding):
        told = f"offer {item_id} instead, of which {text(available)} can be sold"
        yield Proposal(Proposed.SUBSTITUTE, "", told)
    yield Proposal(Proposed.REFUND, "", "give the money back")


def _feeding(channel: Channel | None) -> set[str]:
    if channel is None:
        return set()
    return set(channel.connected_outlet_ids) - set(channel.draining_outlet_ids)


def _substitutes(promise: Promise, choice: Choice, feeding: set[str]) -> list[tuple[str, int]]:
    """Other variants of the product that the channel has enough of, the most first."""
    available: dict[str, int] = {}
    for level in choice.others:
        if level.outlet_id in feeding:
            available[level.item_id] = available.get(level.item_id, 0) + level.available
    enough = [
        (item_id, quantity)
        for item_id, quantity in available.items()
        if quantity >= max(promise.quantity, UNIT)
    ]
    return sorted(enough, key=lambda one: (-one[1], one[0]))[:SUBSTITUTES_MAX]
