"""The platform's rate limit: so many calls per five minutes, by the number of registers."""

from gateway.sandbox.values import Clock

WINDOW_S = 300
CALLS_PER_REGISTER = 300
CALLS_BASE = 50


class RateLimit:
    """Counts the calls of the current window.

    Args:
        registers: how many tills the account has.
        clock: gives the time.
    """

    def __init__(self, registers: int, clock: Clock) -> None:
        self.limit = CALLS_PER_REGISTER * registers + CALLS_BASE
        self._clock = clock
        self._window = 0
        self._calls = 0

    def take(self) -> bool:
        """Counts one call; False when the window has no room for it."""
        window = int(self._clock().timestamp()) // WINDOW_S
        if window != self._window:
            self._window, self._calls = window, 0
        self._calls += 1
        return self._calls <= self.limit

    @property
    def remaining(self) -> int:
        """Calls left in this window."""
        return max(0, self.limit - self._calls)
