"""What may go wrong, drawn from the seed, and the trace of all that happened."""

import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

KINDS = (
    "drop",  # a call never arrives
    "lost reply",  # a call is carried out, and its caller never learns of it
    "duplicate",  # a call arrives twice
    "delay",  # a call, an answer or a commit takes long, so that others overtake it
    "crash",  # a process dies at a named point, and comes back
    "clock",  # the clock of a process jumps
    "replicas",  # services have two processes each
)


class Faults:
    """The fault plan of one seed: a random subset of the kinds, each with a rate of its own.

    `active` switches all of them; while it is off, nothing goes wrong.
    """

    def __init__(self, seed: int, now_s: Callable[[], float]) -> None:
        self._random = random.Random(f"faults {seed}")
        self._now_s = now_s
        self._hash = blake2b(digest_size=16)
        self.rates = {
            kind: self._random.choice((0.01, 0.03, 0.1))
            for kind in KINDS
            if self._random.random() < 0.5
        }
        if "crash" in self.rates:
            self.rates["crash"] /= 5  # there are many points to die at
        self.active = False
        self.trace: list[str] = []
        self.on_crash: Callable[[str], None] = lambda _owner: None

    def strikes(self, kind: str) -> bool:
        """Whether a fault of this kind happens here and now."""
        rate = self.rates.get(kind, 0.0)
        return self.active and rate > 0 and self._random.random() < rate

    def moment(self, longest_s: float) -> float:
        """How long something small takes."""
        return self._random.random() * longest_s

    def delay(self) -> float:
        """How long a message is on its way."""
        if self.strikes("delay"):
            return self._random.random() ** 2 * 3
        return self.moment(0.005)

    def shuffle(self, jobs: list[Any]) -> None:
        """Puts what arrived at about the same time into another order."""
        if len(jobs) > 1 and self.active:
            self._random.shuffle(jobs)

    def choose(self, candidates: list[Any]) -> Any:
        """One of them."""
        return candidates[0] if len(candidates) == 1 else self._random.choice(candidates)

    def crash(self, owner: str, point: str) -> bool:
        """Whether the process dies at this point; it is dead then."""
        if not self.strikes("crash"):
            return False
        self.note(f"CRASH {owner} {point}")
        self.on_crash(owner)
        return True

    def note(self, line: str) -> None:
        """Adds a line to the trace."""
        text = f"{self._now_s():10.4f} {line}"
        self.trace.append(text)
        self._hash.update(text.encode())

    @property
    def trace_hash(self) -> str:
        """Of all that happened, and when."""
        return self._hash.hexdigest()
