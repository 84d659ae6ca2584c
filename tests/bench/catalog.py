"""What the benchmark of the catalog imports, changes and lists, and its limit in plain SQL.

The limit writes the very rows that an import has left behind, table by table, into the same tables
of an empty database, as many in a transaction as the import has: what the database itself can do.
"""

import asyncio
import csv
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from services.catalog.store.tables import CHANNELS, LISTINGS, PRODUCTS, Row
from services.chassis import migrate
from services.chassis.engines import open_engine
from services.chassis.plumbing import batches
from tests.bench.processes import Served, token
from tests.bench.stock import MERCHANT
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub

CHANNEL = "web"
PAGE = 100
BATCH = 500
"""Products that one transaction of the limit writes, about what one call of the import has."""

HEADER = (
    *("handle", "sku", "name", "description", "product_category", "supply_price"),
    *("retail_price", "brand_name", "supplier_name", "active", "track_inventory"),
)
LEFT_BEHIND = (
    *("products", "variants", "listings", "outbox"),
    *("imports", "import_rows", "import_changes"),
)
"""The tables that an import writes, but for the remembered answers."""


def write_file(path: Path, products: int) -> None:
    """An X-Series export of so many products, one row each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(_rows(products))


def _rows(products: int) -> Iterator[Sequence[str]]:
    for number in range(products):
        yield (
            *(f"mug-{number:07}", f"SKU-{number:07}", f"Mug number {number}"),
            f"<p>A <b>mug</b> with the number {number}, for tea and other things.</p>",
            *(f"Category {number % 50}", "3.10", f"{number % 90 + 5}.90"),
            *(f"Brand {number % 200}", "Potter & Sons", "1", "1"),
        )


def prepare(url: str) -> None:
    """Creates the tables, with one channel as if the inventory had told it."""
    migrate.upgrade("catalog", url)
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        channel = {"merchant_id": MERCHANT, "channel_id": CHANNEL}
        connection.execute(sa.insert(CHANNELS).values(channel))
    engine.dispose()


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import went."""

    seconds: float
    importer_mib: float
    """Most that the importing process had in memory."""
    service_mib: float
    """Most that the service had."""


async def run_import(service: Served, path: Path) -> Imported:
    """Imports a file as an operator does.

    Raises:
        RuntimeError: it did not take every row; what it said.
    """
    begin = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.imports", "products", str(path), "--currency", "EUR", "--no-preview"),
        env={**os.environ, **service.environment, "TILLBRIDGE_TOKEN": token()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        stdin=asyncio.subprocess.DEVNULL,
    )
    peak = 0.0
    talking = asyncio.create_task(process.communicate())
    while not talking.done():
        peak = max(peak, peak_mib(process.pid))
        await asyncio.wait([talking], timeout=0.05)
    said, _ = talking.result()
    if process.returncode:
        raise RuntimeError(said.decode()[-2000:])
    return Imported(time.monotonic() - begin, peak, peak_mib(service.pid))


def peak_mib(pid: int) -> float:
    """The most that a process has had in memory; 0 when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


async def update_ms(service: Served, calls: int, products: int) -> Sequence[float]:
    """Milliseconds of each of so many calls that change one product, sorted."""
    stub, metadata = CatalogServiceStub(service.channel), _metadata()
    known = await stub.ListProducts(catalog_pb2.ListProductsRequest(page_size=1), metadata=metadata)
    pattern = known.products[0]
    found = []
    for number in range(calls):
        product = catalog_pb2.Product()
        product.CopyFrom(pattern)
        product.name = f"Changed {number} {uuid4().hex}"
        product.ClearField("observe_time")
        request = catalog_pb2.BatchUpsertProductsRequest(
            request_id=uuid4().hex, products=[product], cause="bench"
        )
        begin = time.monotonic()
        answer = await stub.BatchUpsertProducts(request, metadata=metadata)
        found.append((time.monotonic() - begin) * 1000)
        if answer.results[0].outcome != catalog_pb2.UPSERT_OUTCOME_UPDATED:
            raise RuntimeError(f"product of {products} not changed: {answer.results[0]}")
    return sorted(found)


async def page_ms(service: Served, calls: int) -> Mapping[str, Sequence[float]]:
    """Milliseconds of each of so many calls for the first and for the last page of listings."""
    stub, metadata = CatalogServiceStub(service.channel), _metadata()
    first = catalog_pb2.ListListingsRequest(channel_id=CHANNEL, page_size=PAGE)
    last = await _last_page(stub, metadata)
    found: dict[str, Sequence[float]] = {}
    for name, request in (("first", first), ("last", last)):
        times = []
        for _ in range(calls):
            begin = time.monotonic()
            answer = await stub.ListListings(request, metadata=metadata)
            times.append((time.monotonic() - begin) * 1000)
            if not answer.listings:
                raise RuntimeError(f"the {name} page is empty")
        found[name] = sorted(times)
    return found


async def _last_page(stub: Any, metadata: Any) -> catalog_pb2.ListListingsRequest:
    request = catalog_pb2.ListListingsRequest(channel_id=CHANNEL, page_size=1000)
    before = request.page_token
    while True:
        answer = await stub.ListListings(request, metadata=metadata)
        if not answer.next_page_token:
            return catalog_pb2.ListListingsRequest(
                channel_id=CHANNEL, page_size=PAGE, page_token=before
            )
        request.page_token = before = answer.next_page_token


def plain_products_per_s(served: str, compared: str) -> float:
    """Products per second by plain batched SQL."""
    rows = {name: list(_left_behind(served, name)) for name in LEFT_BEHIND}
    products = len(rows["products"])
    share = {name: max(1, len(found) * BATCH // products) for name, found in rows.items()}
    parts = {name: list(batches(found, share[name])) for name, found in rows.items()}
    engine = open_engine(compared, writing=True)
    mark = "%s" if engine.dialect.name == "postgresql" else "?"
    texts = {name: _insert(name, mark) for name in LEFT_BEHIND}
    begin = time.monotonic()
    for index in range(max(map(len, parts.values()))):
        with engine.begin() as connection:
            for name, part in parts.items():
                if index < len(part):
                    connection.exec_driver_sql(texts[name], list(part[index]))
    seconds = time.monotonic() - begin
    engine.dispose()
    return products / seconds


def _left_behind(url: str, name: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table as the driver takes them; the outbox without its own numbers."""
    engine = open_engine(url, writing=False)
    columns = ", ".join(f'"{column}"' for column in _columns(name))
    with engine.begin() as connection:
        text = f"SELECT {columns} FROM {name}"
        for row in connection.exec_driver_sql(text):
            yield tuple(row)
    engine.dispose()


def _insert(name: str, mark: str) -> str:
    columns = _columns(name)
    listed = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join([mark] * len(columns))
    return f"INSERT INTO {name} ({listed}) VALUES ({marks})"


def _columns(name: str) -> Sequence[str]:
    return [
        column.name
        for column in Row.metadata.tables[name].columns
        if (name, column.name) != ("outbox", "cursor")
    ]


def count(url: str) -> tuple[int, int]:
    """How many products and listings there are."""
    engine = open_engine(url, writing=False)
    with engine.begin() as connection:
        found = [
            connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (PRODUCTS, LISTINGS)
        ]
    engine.dispose()
    return found[0], found[1]


def _metadata() -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token()}"),)
