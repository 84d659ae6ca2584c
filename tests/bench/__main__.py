"""`python -m tests.bench`: prints one JSON object a line, a figure each.

`limit` is what the figure is compared with, measured in the same run, and `ratio` is value by
limit; `ok` says whether a figure that must reach something does. `--strict` fails when one does
not, `--only` takes a part of a group's name (`stock@sqlite`, `catalog@`, `memory`, `customer@`,
`till_to_store`), `--seconds` is the length of a turn, `--products` how many products the memory
of an import is measured with, and how many items the growth, `--orders` how many
orders are listed and looked through.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

from tests.bench import catalog, customers, growth, online, orders, stock
from tests.bench.latency import till_to_store_ms
from tests.bench.plain import Plain
from tests.bench.processes import Loader, Served, calling, database, serving, token

CALLERS = 32
PAIRS = 3
"""Single counts and empty calls alternate so often in a turn: from one second to the next a machine
may be a sixth faster or slower, and the median of 21 ratios is little more than half as far off
as that of 7.
"""
WARM_UP_S = 1.0
LATENCY_MS_MAX = 100.0
CATALOG_SMALL = 1_000
CATALOG_FEW = 10_000
CATALOG = 100_000
UPDATES = 500
PAGES = 300
ORDER_SEARCHES = 900


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
    """Rows of as many callers as make the other calls."""
    alone: list[float]
    """Rows of one caller, most of whose time goes by on the way to the server and back."""
    plain: list[float]


async def _measure(loader: Loader, plain: Plain, turns: int, seconds: float) -> Turns:
    """Measures in turns, so that what else the machine does hits all of them alike."""
    found = Turns([], [], [], [], [])
    for kind in ("empty", "count", "batch"):
        await loader.run(kind, CALLERS, WARM_UP_S)
    for _ in range(turns):
        for _ in range(PAIRS):
            found.empty.append(await loader.run("empty", CALLERS, seconds / PAIRS))
            found.count.append(await loader.run("count", CALLERS, seconds / PAIRS))
        found.batch.append(stock.BATCH * await loader.run("batch", CALLERS, seconds))
        found.alone.append(stock.BATCH * await loader.run("batch", 1, seconds))
        found.plain.append(await asyncio.to_thread(plain.run, seconds / 2))
    return found


def _figures(kind: str, found: Turns) -> list[Figure]:
    batch = f"stock_batch{stock.BATCH}"
    return [
        Figure(f"rpc_empty_c{CALLERS}@{kind}", round(median(found.empty)), "calls/s"),
        _of(f"stock_count_c{CALLERS}@{kind}", found.count, "calls/s", found.empty, 0.65),
        _of(f"{batch}@{kind}", found.batch, "rows/s", found.plain, 0.5),
        _of(f"{batch}_c1@{kind}", found.alone, "rows/s", found.plain),
    ]


def _of(
    name: str,
    rates: Sequence[float],
    unit: str,
    limits: Sequence[float],
    must: float | None = None,
) -> Figure:
    """A rate beside its limit, each measured in every turn; `must` is what part of it it must
    reach.
    """
    ratio = median(map(_ratio, rates, limits))
    value, limit = round(median(rates)), round(median(limits))
    return Figure(
        name, value, unit, limit, round(ratio, 3), None if must is None else ratio >= must
    )


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
    return _figures(kind, found)


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
        return _of(f"{name}_c{CALLERS}@{kind}", rates[one], "calls/s", rates["empty"], must)

    hot = median(map(_ratio, rates["reserve_hot"], rates["reserve_random"]))
    return [
        of("reserve_random", "reserve_random", 0.5),
        of("reserve_hot", "reserve_hot", 0.5),
        Figure(
            f"reserve_hot_to_random@{kind}", round(hot, 3), "ratio", 1.0, round(hot, 3), hot >= 1
        ),
        of("read", "online_stock_read", 0.7),
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
    match, empty = zip(*pairs, strict=True)
    return [_of(f"customer_match_c{CALLERS}@{kind}", match, "calls/s", empty, 0.5)]


async def _order_figures(kind: str, turns: int, seconds: float) -> list[Figure]:
    """Orders through all services, orders that are known, and quotes, beside calls that do nothing
    on the same server.
    """
    kinds = ("empty", "replay", "quote")
    rates: dict[str, list[float]] = {one: [] for one in (*kinds, "ingest")}
    with (
        tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name,
        database(kind, folder := Path(name)) as (url, _),
    ):
        async with orders.open_shop(url, folder) as shop:
            await orders.make_known(shop)
            await orders.create_methods(shop)
            for one in kinds:
                await shop.loader.run(one, CALLERS, WARM_UP_S)
            await orders.ingest_rate(shop, CALLERS, WARM_UP_S)
            for _ in range(turns):
                for one in kinds:
                    rates[one].append(await shop.loader.run(one, CALLERS, seconds))
                # So long that what is left when the last has come weighs little.
                rates["ingest"].append(await orders.ingest_rate(shop, CALLERS, 4 * seconds))

    def of(one: str, name: str, unit: str, must: float) -> Figure:
        return _of(f"{name}_c{CALLERS}@{kind}", rates[one], unit, rates["empty"], must)

    return [
        of("ingest", "order_ingest", "orders/s", 0.15),
        of("replay", "order_replay", "orders/s", 0.6),
        of("quote", "quote_checkout", "calls/s", 0.4),
    ]


async def _order_list_figures(kind: str, count: int) -> list[Figure]:
    """Pages and searches of a million orders."""
    with (
        tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name,
        database(kind, folder := Path(name)) as (url, _),
    ):
        await asyncio.to_thread(orders.fill_orders, url.replace("{service}", "order"), count)
        async with serving("order", url, folder) as service:
            asked = islice(orders.searches(), ORDER_SEARCHES)
            found = await orders.times_ms(service.channel, list(asked))
            shown = {
                place: await orders.times_ms(service.channel, [request] * PAGES)
                for place, request in orders.pages().items()
            }
    return [
        *(
            Figure(
                f"orders_page_{place.replace(' ', '_')}_p99_ms@{kind}", round(p99(times), 2), "ms"
            )
            for place, times in shown.items()
        ),
        Figure(f"orders_search_p99_ms@{kind}", round(p99(found), 2), "ms"),
    ]


async def _recompute_figures(kind: str, turns: int) -> list[Figure]:
    """A third outlet comes to a channel of 100,000 items."""
    with tempfile.TemporaryDirectory(prefix="tillbridge-bench-") as name:
        async with growth.shop(kind, CATALOG, Path(name)) as shop:
            pairs = [
                (await shop.recompute_s(), await asyncio.to_thread(shop.plain_s))
                for _ in range(turns)
            ]
    took = median(took for took, _ in pairs)
    plain = median(plain for _, plain in pairs)
    times = median(_ratio(took, plain) for took, plain in pairs)
    name = f"recompute_{CATALOG // 1000}k@{kind}"
    return [Figure(name, round(took, 3), "s", round(plain, 3), round(times, 3), times <= 3)]


async def _growth_figures(kind: str, sizes: Sequence[int], turns: int) -> list[Figure]:
    """What an item or a call costs with many items, beside what it costs with 1,000."""
    async with AsyncExitStack() as stack:
        shops = []
        for size in sizes:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="tillbridge-bench-"))
            shops.append(await stack.enter_async_context(growth.shop(kind, size, Path(name))))
        rates = await growth.rates(shops, turns, WARM_UP_S)
        for shop in shops:
            times = [await shop.recompute_s() for _ in range(2)]
            rates["recompute", shop.items] = shop.items / min(times)
    few, *more = sizes
    return [
        _grown(one, f"{size // 1000}k@{kind}", rates[one, size], rates[one, few])
        for one in (*growth.KINDS, growth.PLAIN, "recompute")
        for size in more
    ]


def _grown(one: str, where: str, rate: float, few: float) -> Figure:
    """A rate with many items; with few it may be higher by half, but for that of the database."""
    ratio = few / rate
    ok = None if one == growth.PLAIN else ratio <= 1.5
    return Figure(f"growth_{one}_{where}", round(rate), "/s", round(few), round(ratio, 3), ok)


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
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=1_000_000)
    asked = parser.parse_args(arguments)
    sizes = (CATALOG_SMALL, CATALOG, asked.products)
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
        "orders@sqlite": partial(_order_figures, "sqlite", asked.turns, asked.seconds),
        "orders@postgresql": partial(_order_figures, "postgresql", asked.turns, asked.seconds),
        "order_lists@sqlite": partial(_order_list_figures, "sqlite", asked.orders),
        "order_lists@postgresql": partial(_order_list_figures, "postgresql", asked.orders),
        "recompute@sqlite": partial(_recompute_figures, "sqlite", 3),
        "recompute@postgresql": partial(_recompute_figures, "postgresql", 3),
        "growth@sqlite": partial(_growth_figures, "sqlite", sizes, asked.turns),
        "growth@postgresql": partial(_growth_figures, "postgresql", sizes, asked.turns),
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
