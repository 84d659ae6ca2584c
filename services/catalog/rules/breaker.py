"""The circuit breaker: how much of a catalog one source may take out of sale unasked (BEY-10).

It counts by what brought the reports (their cause), over calls and processes: a burst of webhooks
that come one by one counts as a page does. What was counted in the window before fades away over
the next one, so that a burst across the border is one burst. Once something of a source is held,
all further deactivations by it are, until an operator has decided or nothing is held any more: time
alone lets nothing pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

SHARE_PERCENT = 20
ITEMS_MIN = 20
WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many products may be deleted or deactivated."""

    share_percent: int = SHARE_PERCENT
    """Of those that were active before."""
    items_min: int = ITEMS_MIN
    """So many always may."""

    def allows(self, count: int, active_count: Callable[[], int]) -> bool:
        """Whether so many may be deactivated in all.

        Args:
            count: how many were, and would be.
            active_count: gives how many were active before any of them; asked only when it matters,
                since counting takes time.
        """
        return count <= self.items_min or count * 100 <= active_count() * self.share_percent


@dataclass(frozen=True, slots=True)
class Breaker:
    """What one source has deactivated within the current window."""

    merchant_id: str
    cause: str
    window_time: datetime
    """When the count began."""
    deactivated_count: int = 0
    previous_count: int = 0
    """Of the window before, which ended when this one began."""
    approved: bool = False
    """Whether an operator has said yes to more within this window."""

    def at(self, now: datetime) -> "Breaker":
        """The breaker as it is now: in a window that is open. It may have been opened later than
        this moment, by a transaction that began later, and was first.
        """
        age = now - self.window_time
        if -WINDOW < age < WINDOW:
            return self
        if WINDOW <= age < 2 * WINDOW:
            begin = self.window_time + WINDOW
            previous_count = 0 if self.approved else self.deactivated_count
            return Breaker(self.merchant_id, self.cause, begin, 0, previous_count)
        return Breaker(self.merchant_id, self.cause, now)

    def counted(self, now: datetime) -> int:
        """How many count now: those of its window, and of the one before the share that lies
        within the last hour if they came evenly.
        """
        left = min(self.window_time + WINDOW - now, WINDOW)
        fading = self.previous_count * left // WINDOW
        return self.deactivated_count + fading


@dataclass(slots=True)
class Breakers:
    """The breakers that a group of calls is decided on, as they are after the calls so far."""

    known: Mapping[tuple[str, str], Breaker]
    """As they were, by merchant and cause."""
    active_count: Callable[[str], int]
    """Gives how many products of a merchant were active before the group."""
    now: datetime
    holds: Callable[[str, str], bool] = lambda _merchant_id, _cause: False
    """Whether something of a merchant and cause was held before the group."""
    limit: Limit = Limit()
    changed: dict[tuple[str, str], Breaker] = field(default_factory=dict)

    def allows(self, merchant_id: str, cause: str) -> bool:
        """Whether one product more may be deactivated; counts it if so."""
        key = (merchant_id, cause)
        breaker = self._current(key)
        if not breaker.approved and (self.holds(*key) or not self._within_limit(key, breaker)):
            return False
        self.changed[key] = replace(breaker, deactivated_count=breaker.deactivated_count + 1)
        return True

    def approve(self, merchant_id: str, cause: str) -> None:
        """Lets this source deactivate as much as it wants for an hour; after that it is counted
        anew.
        """
        approved = Breaker(merchant_id, cause, self.now, approved=True)
        self.changed[merchant_id, cause] = approved

    def copy(self) -> "Breakers":
        """One to try things on."""
        return replace(self, changed=dict(self.changed))

    def _within_limit(self, key: tuple[str, str], breaker: Breaker) -> bool:
        before = self.known.get(key)
        counted = before.at(self.now).counted(self.now) if before else 0
        return self.limit.allows(
            breaker.counted(self.now) + 1, lambda: self.active_count(key[0]) + counted
        )

    def _current(self, key: tuple[str, str]) -> Breaker:
        breaker = self.changed.get(key) or self.known.get(key)
        return breaker.at(self.now) if breaker else Breaker(*key, self.now)
