"""What time it is, where processes on several machines share a database."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

LOOK_EVERY_S = 1.0


class ServerClock:
    """The clock of a database server, which all processes that share it go by.

    It is looked at in the first transaction of a second, and carried on in between by the time
    that passes. So it does not matter whether the clock of the process is wrong, or jumps.
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
        if self._seen is None or time.monotonic() - self._seen[1] >= LOOK_EVERY_S:
            shown: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
            self._seen = (shown, time.monotonic())
