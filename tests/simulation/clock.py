"""Virtual time, and ids that come from the seed."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from services.chassis import database, feed
from services.inventory.service import reservations, watch
from services.order import peers, pool

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
POLL_S = 3.9
"""Readers of feeds are woken here as PostgreSQL's NOTIFY wakes them; what comes due by time may be
found a little later than in a shop that waits for it.
"""


class StandstillError(Exception):
    """Everything waits, and nothing will ever wake it."""


class _Selector:
    """Instead of waiting for sockets, of which there are none, time passes."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StandstillError
        if timeout > 0:
            self.now_s += timeout
        return []

    def close(self) -> None:
        """Has nothing to close."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop where sleeping costs nothing, and whatever is ready runs in a fixed order."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Selector()
        self.findings: list[str] = []
        """Failures of callbacks, which nobody else would hear of."""
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._selector.now_s

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "never retrieved" not in context["message"] and "pending" not in context["message"]:
            self.findings.append(f"{context['message']}: {context.get('exception')!r}")

    def _process_events(self, _events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else can add anything."""


@contextmanager
def virtual(seed: int) -> Iterator[VirtualLoop]:
    """A virtual loop; while it is open, ids and monotonic time are the seed's."""
    loop = VirtualLoop()
    entropy = random.Random(f"ids {seed}")
    timer = SimpleNamespace(monotonic=loop.time, sleep=time.sleep)
    with (
        patch.object(os, "urandom", entropy.randbytes),
        patch.object(random, "_urandom", entropy.randbytes),
        patch.object(database, "time", timer),
        patch.object(peers, "time", timer),
        patch.object(feed, "POLL_S", POLL_S),
        patch.object(pool, "POLL_S", POLL_S),
        patch.object(watch, "EVERY_S", POLL_S),
        patch.object(reservations, "EXPIRE_EVERY_S", POLL_S),
    ):
        try:
            yield loop
        finally:
            loop.close()


class WallClock:
    """What a machine's clock shows: virtual time, and how far the clock is off."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.off = timedelta()

    def __call__(self) -> datetime:
        """The time it shows."""
        return BEGIN + timedelta(seconds=self._loop.time()) + self.off
