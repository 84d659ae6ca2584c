"""Doing what is due, some of it at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

GATHER_S = 0.015
"""How long a pool that was woken waits for more: who brings one order mostly brings several, and
what is begun together asks, and is kept, together.
"""
GATHER_BUSY_S = 0.1
"""The same while others are under way: then more are coming, and each costs less in a larger group.
"""
POLL_S = 1.0
"""How soon what another process has left, or what becomes due by time, is found at the latest."""

T = TypeVar("T")

log = structlog.get_logger()


class Pool(Generic[T]):
    """Takes what is due as long as there is room, and does it, each in a task of its own.

    Nothing is kept here that the database does not have: a process may die at any time.
    """

    def __init__(
        self,
        name: str,
        size: int,
        take: Callable[[int], Awaitable[Sequence[T]]],
        do: Callable[[T], Awaitable[None]],
    ) -> None:
        self._name = name
        self._size = size
        self._take = take
        self._do = do
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Says that something is due."""
        self._woken.set()

    async def run(self) -> None:
        """Takes and does, forever."""
        try:
            while True:
                self._woken.clear()
                found = await self._find()
                for one in found:
                    task = asyncio.ensure_future(self._guarded(one))
                    self._tasks.add(task)
                    task.add_done_callback(self._finished)
                if not found or len(self._tasks) >= self._size:
                    await self._sleep()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _find(self) -> Sequence[T]:
        room = self._size - len(self._tasks)
        if room <= 0:
            return ()
        try:
            return await self._take(room)
        except Exception:
            log.exception("nothing taken; trying again", pool=self._name)
            return ()

    async def _guarded(self, one: T) -> None:
        try:
            await self._do(one)
        except Exception:
            # It stays due: its lease ends, and it is taken again.
            log.exception("run broken off", pool=self._name)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._woken.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):  # wait_for of 3.11 can swallow a cancellation
                await self._woken.wait()
            await asyncio.sleep(GATHER_BUSY_S if self._tasks else GATHER_S)
