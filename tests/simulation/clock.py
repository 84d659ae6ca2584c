"""Virtual time, and ids that come from the seed."""

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from types import SimpleNamespace
from typing import Any, TypeVarTuple
from unittest.mock import patch

from services.chassis import database, feed, replays
from services.inventory.service import reservations, watch
from services.order import peers, pool

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
POLL_S = 3.9
"""What comes due by time may be found a little later than in a shop that waits for it."""
FEED_POLL_S = 15.0
"""Readers of feeds are woken as PostgreSQL's NOTIFY wakes them, and when clocks are moved on."""


Arguments = TypeVarTuple("Arguments")


class StandstillError(Exception):
    """Everything waits, and nothing will ever wake it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop where sleeping costs nothing, and whatever is ready runs in order. There
    are no sockets to wait for, so time passes at once to whatever comes next.
    """

    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        """A heap: when, the how manieth, and what."""
        self._numbers = count()
        self.findings: list[str] = []
        """Failures of callbacks, which nobody else would hear of."""
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._now_s

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Calls it at that time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Calls it after all that is ready."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """It is left out when its time has come."""

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2].cancelled():
                heappop(timers)
            if not timers:
                raise StandstillError
            self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001  (as every loop does)

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "never retrieved" not in context["message"] and "pending" not in context["message"]:
            self.findings.append(f"{context['message']}: {context.get('exception')!r}")


@contextmanager
def virtual(seed: int) -> Iterator[VirtualLoop]:
    """A virtual loop; while it is open, ids and monotonic time are the seed's."""
    loop = VirtualLoop()
    entropy = random.Random(f"ids {seed}")
    timer = SimpleNamespace(monotonic=loop.time, sleep=time.sleep)
    with (
        patch.object(os, "urandom", entropy.randbytes),
        patch.object(random, "_urandom", entropy.randbytes),
        patch.object(database, "_ids", entropy),
        patch.object(database, "time", timer),
        patch.object(peers, "time", timer),
        patch.object(replays, "time", timer),
        patch.object(feed, "POLL_S", FEED_POLL_S),
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
