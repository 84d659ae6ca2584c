"""The calls that wait for the writer, and how many of them it takes at a time."""

import asyncio
import hashlib
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.chassis.errors import DomainError

if TYPE_CHECKING:
    from services.chassis.database import Call, Handler

GROUP_MAX = 256
LINGER_S = 0.020
LINGER_PER_CALL_S = 0.001
"""How long the writer waits at most for those to come back whom it has just answered: about what
it takes the event loop to serve them.
"""
WAITING_MAX = 20_000


@dataclass(slots=True, eq=False)
class Job:
    """A call that waits for the writer, and whoever waits for its answer."""

    name: str
    handler: "Handler"
    call: "Call[Any, Any]"
    done: "asyncio.Future[bytes]"
    key: tuple[str, str, str] = ("", "", "")
    """What its answer is remembered by: merchant, name and request id."""
    digest: bytes = b""
    """Of its request; empty where no answer is remembered."""

    def read(self) -> bool:
        """Reads the request, and notes by what its answer is remembered, unless it has no id or
        changes nothing; returns whether it is valid, else the call has its error.
        """
        call = self.call
        if not call.read():
            return False
        if call.request_id and not getattr(call.request, "validate_only", False):
            self.key = (call.merchant, self.name, call.request_id)
            body = call.request.SerializeToString(deterministic=True)
            self.digest = hashlib.blake2b(body, digest_size=16).digest()
        return True


@dataclass(slots=True)
class Queue:
    """The calls that wait for the writer."""

    jobs: deque[Job] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)
    wanted: int = 1
    """The writer sleeps until so many wait."""
    taken: int = 0
    """How many the last group had."""
    closed: bool = False

    def put(self, job: Job) -> None:
        """Adds a call.

        Raises:
            DomainError: SERVICE_UNAVAILABLE, OVERLOADED.
        """
        with self.changed:
            if self.closed:
                raise DomainError("SERVICE_UNAVAILABLE", "the service is stopping; retry")
            if len(self.jobs) >= WAITING_MAX:
                raise DomainError("OVERLOADED", "too many calls wait; retry", retry_after_ms=500)
            self.jobs.append(job)
            if self._ready():
                self.changed.notify()

    def take(self) -> list[Job]:
        """The next group; empty when there will be none.

        Those who were just answered are likely to call again at once, so it is worth a moment to
        have them in one transaction with those who wait already. Whoever calls alone never waits.
        """
        with self.changed:
            self.wanted = max(1, min(self.taken + len(self.jobs), GROUP_MAX))
            linger_s = min(self.wanted * LINGER_PER_CALL_S, LINGER_S)
            if not self.changed.wait_for(self._ready, linger_s):
                self.wanted = 1
                self.changed.wait_for(self._ready)
            self.taken = min(GROUP_MAX, len(self.jobs))
            return [self.jobs.popleft() for _ in range(self.taken)]

    def _ready(self) -> bool:
        return self.closed or len(self.jobs) >= self.wanted

    def close(self) -> None:
        """Takes no more calls."""
        with self.changed:
            self.closed = True
            self.changed.notify()
