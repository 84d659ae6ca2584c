"""The circuit breaker: how much of an outlet counts may empty unasked (BEY-10).

A count empties an item when it says that nothing is left where something was. It is decided by how
many items of an outlet were emptied within the last hour, over calls and processes, and are empty
still: a burst of webhooks that come one by one counts as a page does, and an item that comes and
goes counts once. Once a count of an outlet is held, all others that would empty something there
are, until an operator has decided or nothing is held any more: time alone lets nothing pass.

What an outlet has sold or given away is no count and is never held; what no count names stays as it
is, since missing is not zero.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

SHARE_PERCENT = 20
ITEMS_MIN = 20
WINDOW = timedelta(hours=1)
"""How long an item that was emptied counts, and an operator's yes holds."""

OutletKey = tuple[str, str]
"""(merchant, outlet)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many items of an outlet may be emptied."""

    share_percent: int = SHARE_PERCENT
    """Of its tracked items that had stock before."""
    items_min: int = ITEMS_MIN
    """So many always may."""

    def allows(self, count: int, stocked_count: Callable[[int], int]) -> bool:
        """Whether so many may be emptied in all.

        Args:
            count: how many were, and would be.
            stocked_count: gives how many had stock before any of them, or, since counting takes
                time, any number that is not below the one it is asked with. Asked only when it
                matters.
        """
        if count <= self.items_min:
            return True
        needed = -(-count * 100 // self.share_percent)
        return stocked_count(needed) >= needed


@dataclass(frozen=True, slots=True)
class Breaker:
    """What counts have emptied at one outlet."""

    emptied_count: int = 0
    """Items that were emptied within the window, and are empty still."""
    holds: bool = False
    """Whether counts of the outlet are held."""
    approved: bool = False
    """Whether an operator has said yes to more within the window."""


@dataclass(slots=True)
class Breakers:
    """The breakers that a group of calls is decided on, as they are after the calls so far."""

    known: Mapping[OutletKey, Breaker]
    """As they were."""
    stocked_count: Callable[[str, str, int], int]
    """Gives how many tracked items of a merchant had stock at an outlet before the group, as
    `Limit.allows` asks for it.
    """
    limit: Limit = Limit()
    emptied: Mapping[OutletKey, frozenset[str]] = field(default_factory=dict)
    """The items that this group has emptied."""

    def allows(self, merchant: str, outlet_id: str, item_id: str) -> bool:
        """Whether one item more may be emptied; notes it if so."""
        key = (merchant, outlet_id)
        breaker = self.known[key]
        if breaker.approved:
            return True
        emptied = self.emptied.get(key, frozenset()) | {item_id}
        if breaker.holds or not self._within_limit(key, breaker, len(emptied)):
            return False
        self.emptied = {**self.emptied, key: emptied}
        return True

    def copy(self) -> "Breakers":
        """One to try things on."""
        return Breakers(self.known, self.stocked_count, self.limit, self.emptied)

    def _within_limit(self, key: OutletKey, breaker: Breaker, count: int) -> bool:
        before = breaker.emptied_count
        return self.limit.allows(
            before + count, lambda needed: before + self.stocked_count(*key, needed - before)
        )
