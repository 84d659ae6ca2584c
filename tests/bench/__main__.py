"""`python -m tests.bench`: prints one JSON object a line, a figure each.

`limit` is what the figure is compared with, measured in the same run, and `ratio` is value by
limit; `ok` says whether a figure that must reach something does. `--strict` fails when one does
not, `--only` takes a part of a group's name (`stock@sqlite`, `catalog@`, `memory`, `customer@`,
`till_to_store`), `--seconds` is the length of a turn, `--products` of how many products the memory
of an import is measured.
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

from tests.bench import catalog, customers, online, stock
from tests.bench.latency import till_to_store_ms
from tests.bench.plain import Plain
from tests.bench.processes import Loader, Served, calling, database, serving, token

CALLERS = 32
WARM_UP_S = 1.0
LATENCY_MS_MAX = 100.0
CATALOG_SMALL = 1_000
CATALOG_FEW = 10_000
CATALOG = 100_000
UPDATES = 500
PAGES = 300


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
        async with (
            serving("inventory", served, folder) as service,
            calling(service.address, folder) as loader,
        ):
            await stock.open_shop(service.channel, (("authorization", f"Bearer {token()}"),))
            plain = Plain(compared)
            try:
                yield loader, plain
            finally:
                plain.close()


async def _throughput(kind: str, turns: int, seconds: float) -> list[Figure]:
    async with _stage(kind) as (loader, plain):
        found = await _measure(loader, plain, turns, seconds)
    return _figures(kind, found, must=kind == "sqlite")


async def _online_figures(kind: str, turns: int, seconds: float) -> list[Figure]:
    """Promises and reads through a channel, beside calls that do nothing on the same server."""
    kinds = ("empty", "reserve_random", "reserve_hot", "read")
    with (
        tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name,
        database(kind, folder := Path(name)) as (url, _),
    ):
        stock.prepare(url.replace("{service}", "inventory"))
        async with (
            serving("inventory", url, folder) as service,
            calling(service.address, folder) as loader,
        ):
            metadata = (("authorization", f"Bearer {token()}"),)
            await stock.open_shop(service.channel, metadata)
            loader.channel_id = await online.fill(service.channel, metadata)
            rates: dict[str, list[float]] = {one: [] for one in kinds}
            for one in kinds:
                await loader.run(one, CALLERS, WARM_UP_S)
            for _ in range(turns):
                for one in kinds:
                    rates[one].append(await loader.run(one, CALLERS, seconds))
            lists = online.LISTED * await loader.run("list", 4, 2 * seconds)

    def of(one: str, name: str, must: float) -> Figure:
        ratio = median(map(_ratio, rates[one], rates["empty"]))
        value, limit = round(median(rates[one])), round(median(rates["empty"]))
        return Figure(name, value, "calls/s", limit, round(ratio, 3), ratio >= must)

    hot = median(map(_ratio, rates["reserve_hot"], rates["reserve_random"]))
    return [
        of("reserve_random", f"reserve_random_c{CALLERS}@{kind}", 0.5),
        of("reserve_hot", f"reserve_hot_c{CALLERS}@{kind}", 0.5),
        Figure(f"reserve_hot_to_random@{kind}", round(hot, 3), "ratio", 1.0, round(hot, 3)),
        of("read", f"online_stock_read_c{CALLERS}@{kind}", 0.7),
        Figure(
            f"online_stock_list{online.LISTED}@{kind}",
            round(lists),
            "items/s",
            50_000,
            round(lists / 50_000, 3),
            lists >= 50_000,
        ),
    ]


async def _customer_figures(kind: str, turns: int, seconds: float) -> list[Figure]:
    """Orders of known customers, beside calls that do nothing on the same server."""
    with (
        tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name,
        database(kind, folder := Path(name)) as (url, _),
    ):
        customers.prepare(url.replace("{service}", "customer"))
        async with (
            serving("customer", url, folder) as service,
            calling(service.address, folder) as loader,
        ):
            for one in ("empty", "match"):
                await loader.run(one, CALLERS, WARM_UP_S)
            pairs = [
                (
                    await loader.run("match", CALLERS, seconds),
                    await loader.run("empty", CALLERS, seconds),
                )
                for _ in range(turns)
            ]
    ratio = median(_ratio(match, empty) for match, empty in pairs)
    return [
        Figure(
            f"customer_match_c{CALLERS}@{kind}",
            round(median(match for match, _ in pairs)),
            "calls/s",
            round(median(empty for _, empty in pairs)),
            round(ratio, 3),
            ratio >= 0.5,
        )
    ]


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


@asynccontextmanager
async def _catalog(kind: str) -> AsyncIterator[tuple[Served, str, str, Path]]:
    """A served catalog on this kind of database; its address, another empty one, and a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name,
        database(kind, folder := Path(name)) as (url, compared),
    ):
        served = url.replace("{service}", "catalog")
        catalog.prepare(served)
        catalog.prepare(compared)
        async with serving("catalog", url, folder) as service:
            yield service, served, compared, folder


async def _catalog_figures(kind: str) -> list[Figure]:
    """An import of 100,000 products, a change of one of them, and its pages of listings."""
    rows = f"{CATALOG // 1000}k"
    async with _catalog(kind) as (service, served, compared, folder):
        catalog.write_file(small := folder / "small.csv", CATALOG_SMALL)
        await catalog.run_import(service, small)
        few = await catalog.update_ms(service, UPDATES, CATALOG_SMALL)
    async with _catalog(kind) as (service, served, compared, folder):
        catalog.write_file(file := folder / "products.csv", CATALOG)
        imported = await catalog.run_import(service, file)
        if catalog.count(served) != (CATALOG, CATALOG):
            raise RuntimeError(f"imported {catalog.count(served)} products and listings")
        plain = await asyncio.to_thread(catalog.plain_products_per_s, served, compared)
        many = await catalog.update_ms(service, UPDATES, CATALOG)
        pages = await catalog.page_ms(service, PAGES)
    rate = CATALOG / imported.seconds
    first, last = p99(pages["first"]), p99(pages["last"])
    return [
        Figure(
            f"catalog_import_{rows}@{kind}",
            round(rate),
            "products/s",
            round(plain),
            round(rate / plain, 3),
            rate >= 5_000 and rate / plain >= 0.25,
        ),
        _against(f"catalog_update_1_of_{rows}_p99_ms@{kind}", p99(many), p99(few), 2.0),
        Figure(f"listings_page_first_p99_ms@{kind}", round(first, 2), "ms"),
        _against(f"listings_page_last_p99_ms@{kind}", last, first, 2.0),
    ]


async def _catalog_memory(kind: str, products: int) -> list[Figure]:
    """The most that importer and service have in memory for 10,000 rows and for many more."""
    found = []
    for number in (CATALOG_FEW, products):
        async with _catalog(kind) as (service, _, _, folder):
            catalog.write_file(file := folder / "products.csv", number)
            found.append(await catalog.run_import(service, file))
    few, many = found
    rows = f"{products // 1000}k"
    return [
        _against(
            f"catalog_import_{rows}_{side}_mib@{kind}",
            getattr(many, f"{side}_mib"),
            getattr(few, f"{side}_mib"),
            1.5,
            "MiB",
        )
        for side in ("importer", "service")
    ]


def p99(times: Sequence[float]) -> float:
    """The value that 99 of 100 do not exceed, of sorted ones."""
    return times[len(times) * 99 // 100]


def _against(name: str, value: float, limit: float, most: float, unit: str = "ms") -> Figure:
    """A figure that must not be more than so many times another one."""
    ratio = value / limit
    return Figure(name, round(value, 2), unit, round(limit, 2), round(ratio, 3), ratio <= most)


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--webhooks", type=int, default=300)
    parser.add_argument("--products", type=int, default=1_000_000)
    asked = parser.parse_args(arguments)
    groups = {
        "stock@sqlite": partial(_throughput, "sqlite", asked.turns, asked.seconds),
        "stock@postgresql": partial(_throughput, "postgresql", asked.turns, asked.seconds),
        "online@sqlite": partial(_online_figures, "sqlite", asked.turns, asked.seconds),
        "online@postgresql": partial(_online_figures, "postgresql", asked.turns, asked.seconds),
        "catalog@sqlite": partial(_catalog_figures, "sqlite"),
        "catalog@postgresql": partial(_catalog_figures, "postgresql"),
        "memory@sqlite": partial(_catalog_memory, "sqlite", asked.products),
        "customer@sqlite": partial(_customer_figures, "sqlite", asked.turns, asked.seconds),
        "customer@postgresql": partial(_customer_figures, "postgresql", asked.turns, asked.seconds),
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
