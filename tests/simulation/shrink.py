"""The shortest history that still fails."""

from collections.abc import Sequence

from tests.simulation.faults import KINDS
from tests.simulation.scenario import Outcome, plan, simulate

RUNS_MAX = 60


class Shrinking:
    """A seed that fails, with as little left of it as can be."""

    def __init__(self, seed: int, runs_max: int = RUNS_MAX) -> None:
        self.seed = seed
        self.skip: frozenset[int] = frozenset()
        self.no: tuple[str, ...] = ()
        self.outcome = simulate(seed)
        self._runs = runs_max

    def run(self) -> Outcome:
        """Leaves out what is not needed: faults, then actions in halves, then one by one."""
        for kind in KINDS:
            self._try(self.skip, (*self.no, kind))
        left = [one.number for one in plan(self.seed)]
        size = max(1, len(left) // 2)
        while size:
            for begin in range(0, len(left), size):
                self._try(self.skip | set(left[begin : begin + size]), self.no)
            left = [number for number in left if number not in self.skip]
            size //= 2
        return self.outcome

    @property
    def replay(self) -> str:
        """The command that shows it again."""
        skip = ",".join(map(str, sorted(self.skip)))
        parts = [f"python -m tests.simulation --seed {self.seed} --trace"]
        parts += [f"--skip {skip}"] if skip else []
        parts += [f"--no {kind!r}" for kind in self.no]
        return " ".join(parts)

    def _try(self, skip: frozenset[int], no: tuple[str, ...]) -> None:
        if self._runs <= 0 or (skip, no) == (self.skip, self.no):
            return
        self._runs -= 1
        outcome = simulate(self.seed, skip, no)
        if outcome.findings:
            self.skip, self.no, self.outcome = skip, no, outcome


def history(outcome: Outcome) -> Sequence[str]:
    """What somebody has to know of a seed that failed."""
    return [
        f"seed {outcome.seed} fails; faults: {', '.join(outcome.faults) or 'none'}",
        *(f"  found: {finding}" for finding in outcome.findings),
        *(
            f"  {one.at_s:6.3f} #{one.number} {one.name}"
            for one in sorted(outcome.actions, key=lambda one: one.number)
        ),
    ]
