"""What time it is, where processes on several machines share a database."""

import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

LOOK_EVERY_S = 1.0
PROMPT_S = 0.01
"""What an answer may take that is believed at once."""
LOOKS = 5
"""How often to look for a prompt answer, before the promptest will do."""


class ServerClock:
    """The clock of a database server, which all processes that share it go by.

    It is looked at in the first transaction of a second, and carried on in between by the time
    that passes. So it does not matter whether the clock of the process is wrong, or jumps. Nobody
    knows at which moment of a look the server read its clock, so it is taken for the middle of a
    look that was short (as in Cristian's algorithm): one during which the process stood still would
    set the clock back by that long.
    """

    def __init__(self, until_seen: Callable[[], datetime]) -> None:
        self._until_seen = until_seen
        self._seen: tuple[datetime, float] | None = None
        """What it showed, and when that was by the monotonic clock."""

    def __call__(self) -> datetime:
        """The time it shows; before it was ever looked at, what `until_seen` says."""
        if self._seen is None:
            return self._until_seen()
        shown, seen_s = self._seen
        return shown + timedelta(seconds=time.monotonic() - seen_s)

    def look(self, connection: Connection) -> None:
        """Looks at it, unless somebody has done so just now."""
        if self._seen and time.monotonic() - self._seen[1] < LOOK_EVERY_S:
            return
        shortest_s = math.inf
        for _ in range(LOOKS):
            begun_s = time.monotonic()
            shown: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
            took_s = time.monotonic() - begun_s
            if took_s < shortest_s:
                shortest_s, seen = took_s, (shown, begun_s + took_s / 2)
            if took_s <= PROMPT_S:
                break
        self._seen = seen
