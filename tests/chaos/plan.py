"""What is to happen in a run, and how much of it."""

from collections.abc import Sequence
from dataclasses import dataclass

SERVICES = ("catalog", "inventory", "order", "customer")
PROCESSES = (*SERVICES, "gateway")


@dataclass(frozen=True, slots=True)
class Jump:
    """A process' clock is put to another time than everybody's."""

    at: float
    """When, as a part of the run's errands."""
    process: str
    off_s: int
    """By how much the clock is wrong from then on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: everything in it follows from its seed, but for what the machine does."""

    promise: str
    """Row of the promises that it is run for."""
    seed: int
    orders: int
    kills: int = 0
    jumps: Sequence[Jump] = ()

    @property
    def clocks(self) -> frozenset[str]:
        """The processes whose clocks have to be within reach."""
        return frozenset(jump.process for jump in self.jumps)


MINUTES, HOUR = 60, 3600

CLOCKS = (
    Jump(0.05, "inventory", 10 * MINUTES),
    Jump(0.20, "inventory", -10 * MINUTES),
    Jump(0.30, "inventory", -HOUR),
    Jump(0.40, "inventory", 0),
    Jump(0.40, "order", 10 * MINUTES),
    Jump(0.50, "order", -10 * MINUTES),
    Jump(0.60, "order", -HOUR),
    Jump(0.75, "order", 0),
    Jump(0.75, "customer", -10 * MINUTES),
    Jump(0.80, "customer", 10 * MINUTES),
    Jump(0.85, "customer", -HOUR),
    Jump(0.90, "customer", 0),
    Jump(0.90, "catalog", 10 * MINUTES),
    Jump(0.95, "catalog", -HOUR),
)
"""One service after another is ten minutes ahead, ten minutes behind, and then jumps."""
