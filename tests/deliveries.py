"""P8: how events arrive in the worst case: several times, out of order, and days late."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from services.chassis.database import Database

EVENTS, COPIES_MAX, SHUFFLED_WITHIN = 10_000, 5, 1_000
LATE_SHARE, LATE_BY = 0.05, timedelta(hours=48)
BEGIN = datetime(2026, 7, 4, tzinfo=UTC)
EVERY = timedelta(seconds=26)
"""So that the events last for three days, and the late ones come among others."""

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Event]):
    """An event that arrives."""

    event: Event
    arrival: datetime


@dataclass(slots=True)
class Deliveries(Generic[Event]):
    """What happened, one event at a time, and how it arrives."""

    events: Sequence[Event]
    seed: int
    times: list[datetime] = field(init=False)
    """When each happened."""

    def __post_init__(self) -> None:
        self.times = [BEGIN + number * EVERY for number in range(len(self.events))]

    def in_order(self) -> list[Delivery[Event]]:
        """Each once, a second after it happened."""
        return [
            Delivery(event, time + timedelta(seconds=1))
            for event, time in zip(self.events, self.times, strict=True)
        ]

    def scattered(self) -> list[Delivery[Event]]:
        """Each one to five times, out of order by up to a thousand events, one in twenty two days
        late.
        """
        draw = random.Random(self.seed)
        found = []
        for event, time in zip(self.events, self.times, strict=True):
            for _ in range(draw.randint(1, COPIES_MAX)):
                delay = LATE_BY if draw.random() < LATE_SHARE else EVERY
                delay += draw.random() * SHUFFLED_WITHIN * EVERY
                found.append(Delivery(event, time + delay))
        return sorted(found, key=lambda one: one.arrival)


class Clock:
    """The time of services, which is that of what arrives last."""

    def __init__(self, *databases: Database) -> None:
        self.now = BEGIN
        for database in databases:
            database.clock = lambda: self.now

    def move(self, deliveries: Sequence[Delivery[Event]]) -> None:
        """Goes on to the arrival of these."""
        self.now = max(self.now, *(one.arrival for one in deliveries))
