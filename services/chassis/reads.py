"""Reads that share a snapshot: what many ask for at the same time is looked up at once.

Handing one call to a reader's thread and back costs more than what most of them look up. So while
one group of calls of a kind is read, the next ones gather; and those who were just answered are
likely to ask again at once, so that it is worth a moment to have them in one group. A call that
comes alone waits for nobody.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection

from services.chassis.database import Call, Database

GROUP_MAX = 256
LINGER_S = 0.010
LINGER_PER_CALL_S = 0.0005
"""How long a group waits at most for those to come back who were answered before."""

Handler = Callable[[Connection, Sequence[Call[Any, Any]]], None]


class SharedReads:
    """The calls of one kind."""

    def __init__(self, database: Database, handler: Handler) -> None:
        self._database = database
        self._handler = handler
        self._waiting: list[tuple[Call[Any, Any], asyncio.Future[bytes]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._wanted = 1
        self._enough = asyncio.Event()

    async def ask(self, call: Call[Any, Any]) -> bytes:
        """The answer to a call.

        Raises:
            DomainError: what the handler refused; SERVICE_UNAVAILABLE.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        elif len(self._waiting) >= self._wanted:
            self._enough.set()
        return await answer

    async def _gather(self, answered: int) -> None:
        """Waits a moment for as many calls as were answered just now."""
        self._wanted = min(answered + len(self._waiting), GROUP_MAX)
        if answered < 2 or len(self._waiting) >= self._wanted:
            return
        self._enough.clear()
        linger_s = min(self._wanted * LINGER_PER_CALL_S, LINGER_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._enough.wait(), linger_s)

    async def _read(self) -> None:
        """Reads group after group until nobody waits."""
        while group := self._waiting[:GROUP_MAX]:
            del self._waiting[:GROUP_MAX]
            calls = [call for call, _ in group]
            try:
                await self._database.read(partial(self._run, calls))
            except Exception as error:
                for call in calls:
                    call.answer, call.error = None, error
            for call, answer in group:
                if answer.done():
                    continue  # the caller went away
                if call.error:
                    answer.set_exception(call.error)
                else:
                    answer.set_result(call.answer or b"")
            await self._gather(len(group))
        self._reading = None

    def _run(self, calls: Sequence[Call[Any, Any]], connection: Connection) -> None:
        valid = [call for call in calls if call.read()]
        if valid:
            self._handler(connection, valid)
        for call in valid:
            if call.answer is None and call.error is None:
                raise RuntimeError("a call was left without an answer")
