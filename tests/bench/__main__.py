"""`python -m tests.bench`: prints one JSON object a line, a figure each.

`limit` is what the figure is compared with, measured in the same run, and `ratio` is value by
limit; `ok` says whether a figure that must reach something does. `--strict` fails when one does
not, `--only` takes `sqlite`, `postgresql` or `till_to_store`, `--seconds` is the length of a turn.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench import stock
from tests.bench.latency import till_to_store_ms
from tests.bench.plain import Plain
from tests.bench.processes import Loader, database, serving

CALLERS = 32
WARM_UP_S = 1.0
LATENCY_MS_MAX = 100.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the output; `ok` is None where nothing must be reached."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    ok: bool | None = None


@dataclass(slots=True)
class Turns:
    """What each turn has measured on one database."""

    empty: list[float]
    count: list[float]
    batch: list[float]
    plain: list[float]


async def _measure(loader: Loader, plain: Plain, turns: int, seconds: float) -> Turns:
    """Measures in turns, so that what else the machine does hits all of them alike."""
    found = Turns([], [], [], [])
    for kind in ("empty", "count", "batch"):
        await loader.run(kind, CALLERS, WARM_UP_S)
    for _ in range(turns):
        found.empty.append(await loader.run("empty", CALLERS, seconds))
        found.count.append(await loader.run("count", CALLERS, seconds))
        found.batch.append(stock.BATCH * await loader.run("batch", 1, seconds))
        found.plain.append(await asyncio.to_thread(plain.run, seconds / 2))
    return found


def _figures(kind: str, found: Turns, *, must: bool) -> list[Figure]:
    of_empty = median(map(_ratio, found.count, found.empty))
    of_plain = median(map(_ratio, found.batch, found.plain))
    rows = median(found.batch)
    return [
        Figure(f"rpc_empty_c{CALLERS}@{kind}", round(median(found.empty)), "calls/s"),
        Figure(
            f"stock_count_c{CALLERS}@{kind}",
            round(median(found.count)),
            "calls/s",
            round(median(found.empty)),
            round(of_empty, 3),
            of_empty >= 0.5 if must else None,
        ),
        Figure(
            f"stock_batch{stock.BATCH}@{kind}",
            round(rows),
            "rows/s",
            round(median(found.plain)),
            round(of_plain, 3),
            (rows >= 15_000 or of_plain >= 0.3) if must else None,
        ),
    ]


def _ratio(value: float, limit: float) -> float:
    return value / limit


@asynccontextmanager
async def _stage(kind: str) -> AsyncIterator[tuple[Loader, Plain]]:
    """A served shop on this kind of database, its caller, and the same tables for plain SQL."""
    with (
        tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name,
        database(kind, folder := Path(name)) as (served, compared),
    ):
        stock.prepare(served.replace("{service}", "inventory"))
        stock.prepare(compared)
        async with serving(served, folder) as loader:
            plain = Plain(compared)
            try:
                yield loader, plain
            finally:
                plain.close()


async def _throughput(kind: str, turns: int, seconds: float) -> list[Figure]:
    async with _stage(kind) as (loader, plain):
        found = await _measure(loader, plain, turns, seconds)
    return _figures(kind, found, must=kind == "sqlite")


async def _latency(webhooks: int) -> list[Figure]:
    found = await till_to_store_ms(webhooks)
    p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
    return [
        Figure("till_to_store_p50_ms", round(p50, 1), "ms"),
        Figure(
            "till_to_store_p99_ms",
            round(p99, 1),
            "ms",
            LATENCY_MS_MAX,
            round(p99 / LATENCY_MS_MAX, 3),
            p99 <= LATENCY_MS_MAX,
        ),
    ]


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--webhooks", type=int, default=300)
    asked = parser.parse_args(arguments)
    groups = {
        "sqlite": partial(_throughput, "sqlite", asked.turns, asked.seconds),
        "postgresql": partial(_throughput, "postgresql", asked.turns, asked.seconds),
        "till_to_store": partial(_latency, asked.webhooks),
    }
    missed = False
    for name, measure in groups.items():
        if asked.only not in name:
            continue
        for figure in asyncio.run(measure()):
            print(json.dumps(asdict(figure)), flush=True)
            missed |= figure.ok is False
    return 1 if missed and asked.strict else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
