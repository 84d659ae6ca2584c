"""Which of a store's events are echoes of our own stock writes (BEY-16)."""

import time
from collections import deque
from collections.abc import Callable

ECHO_S_MAX = 60.0
"""For how long an echo is waited for."""


class Echoes:
    """The events that a store still owes us: one for each stock that we wrote.

    An event says which product changed, not what or by whom. So as many events count as echoes as
    there were writes, and are not looked into one by one, which would cost as many calls as the
    writes did. But what counted as an echo may have been somebody else's edit, while the echo got
    lost: so all these products are looked at together, a little later.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owed: dict[str, deque[float]] = {}
        self._heard: set[str] = set()

    def expect(self, shelf_id: str) -> None:
        """Says that the stock of a product is about to be written."""
        self._owed.setdefault(shelf_id, deque()).append(self._clock() + ECHO_S_MAX)

    def note(self, shelf_id: str) -> None:
        """Says that a product has to be looked at, whether or not an echo comes."""
        self._heard.add(shelf_id)

    def is_one(self, shelf_id: str) -> bool:
        """Whether an event that has come counts as an echo; it is owed no more then."""
        owed = self._owed.get(shelf_id)
        if not owed:
            return False
        owed.popleft()
        if not owed:
            del self._owed[shelf_id]
        self._heard.add(shelf_id)
        return True

    def to_look_at(self) -> list[str]:
        """The products that were noted, and those of which an echo came, or should have come by
        now; each is told once.
        """
        now = self._clock()
        late = {shelf_id for shelf_id, owed in self._owed.items() if owed[0] < now}
        for shelf_id in late:
            del self._owed[shelf_id]
        found = sorted(self._heard | late)
        self._heard.clear()
        return found
