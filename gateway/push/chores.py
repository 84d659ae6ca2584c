"""Chores: things to be made right on a platform, done together, and again until they are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias
from weakref import WeakValueDictionary

import structlog

from gateway.counters import STORE_WRITES
from gateway.platform import PlatformError
from gateway.records import BadRecordError
from services.chassis.errors import DomainError

PAUSE_S = 0.2
PAUSE_S_MAX = 30.0
LOOK_S_MAX = 1.0
AT_ONCE = 8
COMPLAINT_LENGTH_MAX = 4000

Failures: TypeAlias = Mapping[str, Exception]

log = structlog.get_logger()


class Chores:
    """Chores of one kind and channel.

    A chore that fails for the time being is tried again, with growing pauses, and holds up no
    other. One that fails for good stands in the log until something about it changes, or the next
    sweep tries it again.

    Args:
        kind: for logs and metrics.
        do: does several chores at once; gives those that failed.
    """

    def __init__(self, kind: str, do: Callable[[Sequence[str]], Awaitable[Failures]]) -> None:
        self._kind = kind
        self._do = do
        self._due: dict[str, tuple[float, float]] = {}
        self._failed = asyncio.Event()

    async def do(self, names: Iterable[str]) -> None:
        """Does chores now; returns when each is done, or is down for another try."""
        chores = list(dict.fromkeys(names))
        if not chores:
            return
        due = {name: self._due.get(name) for name in chores}
        failures = await self._do(chores)
        now = asyncio.get_running_loop().time()
        for name in chores:
            error = failures.get(name)
            if error is None:
                if self._due.get(name) == due[name]:  # else it failed again after we read it
                    self._due.pop(name, None)
                STORE_WRITES.labels(self._kind, "done").inc()
            elif is_transient(error):
                _, pause_s = self._due.get(name, (0.0, PAUSE_S / 2))
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
                self._due[name] = (now + pause_s, pause_s)
                self._failed.set()
                self._tell(name, error, "again", pause_s)
            else:
                self._due.pop(name, None)
                self._tell(name, error, "failed", 0)

    async def retry(self) -> None:
        """Does again what failed for the time being, forever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._failed.wait()
            if not self._due:
                self._failed.clear()
                continue
            first_s = min(at for at, _ in self._due.values())
            await asyncio.sleep(min(LOOK_S_MAX, max(0.0, first_s - loop.time())))
            now = loop.time()
            await self.do([name for name, (at, _) in self._due.items() if at <= now])

    def _tell(self, name: str, error: Exception, outcome: str, pause_s: float) -> None:
        STORE_WRITES.labels(self._kind, outcome).inc()
        log.warning(
            "chore not done",
            kind=self._kind,
            id=name,
            outcome=outcome,
            retry_s=round(pause_s, 1),
            error=f"{type(error).__name__}: {error}",
        )


class Turns:
    """Has a chore done by one at a time, so that what was read last is written last."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Held while the chore is done; forgotten when nobody holds or awaits it."""
        return self._locks.setdefault(name, asyncio.Lock())


def is_transient(error: Exception) -> bool:
    """Whether the same may work later with nobody changing anything."""
    if isinstance(error, PlatformError | DomainError):
        return error.transient
    return False


def complaint(error: Exception) -> str:
    """What a platform complains of: the same words for the same thing, so that they can be counted
    (BEY-09).
    """
    said = error.answer if isinstance(error, PlatformError) else ""
    return (said or str(error) or type(error).__name__)[:COMPLAINT_LENGTH_MAX]


async def one_by_one(
    names: Sequence[str], do: Callable[[str], Awaitable[None]], at_once: int = AT_ONCE
) -> Failures:
    """Does chores that have nothing to do with each other, several at a time."""
    failures: dict[str, Exception] = {}
    room = asyncio.Semaphore(at_once)

    async def attempt(name: str) -> None:
        async with room:
            try:
                await do(name)
            except (BadRecordError, DomainError, PlatformError) as error:
                failures[name] = error
            except Exception as error:
                log.exception("chore broke", id=name)
                failures[name] = error

    await asyncio.gather(*map(attempt, names))
    return failures
