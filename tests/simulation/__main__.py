"""Runs seeds: `python -m tests.simulation --seed 1 --runs 2000`; `--help` says more."""

import argparse
import gc
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from multiprocessing import get_context

from tests.simulation.scenario import Outcome, simulate
from tests.simulation.shrink import Shrinking, history

CHUNK = 5
"""So many seeds go to a process at once."""
SHRUNK_MAX = 3
"""So many failing seeds are shrunk; the rest are only named."""


def _brief(seed: int) -> Outcome:
    outcome = simulate(seed)
    outcome.trace.clear()
    return outcome


def _all(seeds: Sequence[int], jobs: int) -> list[Outcome]:
    if jobs == 1 or len(seeds) == 1:
        return [_brief(seed) for seed in seeds]
    first = _brief(seeds[0])
    gc.collect()
    gc.freeze()  # what this process has learned is there in those that are forked from it
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        return [first, *pool.map(_brief, seeds[1:], chunksize=CHUNK)]


def _show(outcome: Outcome) -> None:
    print("\n".join(outcome.trace))
    print("\n".join(history(outcome)) if outcome.findings else f"seed {outcome.seed} passes")
    print(f"trace {outcome.trace_hash}")


def main() -> int:
    """0 when all seeds pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="shows all that happens in the seed")
    parser.add_argument("--skip", default="", help="actions to leave out: 3,4,7")
    parser.add_argument("--no", action="append", default=[], help="a kind of fault to leave out")
    given = parser.parse_args()
    if given.trace or given.skip or given.no:
        outcome = simulate(given.seed, [int(one) for one in given.skip.split(",") if one], given.no)
        _show(outcome)
        return bool(outcome.findings)
    begin = time.monotonic()
    outcomes = _all(range(given.seed, given.seed + given.runs), given.jobs)
    failed = [outcome for outcome in outcomes if outcome.findings]
    for outcome in failed[:SHRUNK_MAX]:
        shrinking = Shrinking(outcome.seed)
        print("\n".join(history(shrinking.run())))
        print(f"  replay: {shrinking.replay}\n")
    for outcome in failed[SHRUNK_MAX:]:
        print(f"seed {outcome.seed} fails: {outcome.findings[0]}")
    traces = "".join(outcome.trace_hash for outcome in outcomes)
    print(
        f"{len(outcomes)} seeds from {given.seed}, {len(failed)} failed,"
        f" {sum(len(outcome.actions) for outcome in outcomes)} actions,"
        f" {sum(outcome.commits for outcome in outcomes)} commits,"
        f" {time.monotonic() - begin:.1f} s, trace {blake2b(traces.encode()).hexdigest()[:32]}"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
