"""P10: of what an outlet has, no more is ever promised, with several processes at it (BEY-04)."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from tests.bench.processes import started
from tests.conftest import new_database
from tests.harness import KEY, connected, eventually
from tests.inventory.company import BUYERS, SEED, Company, one_round
from tests.inventory.conftest import MAIN, Catalog, Client, catalog_feed
from tests.inventory.test_check import check
from tests.inventory.test_incidents import incidents
from tests.ports import free_port
from tillbridge.inventory.v1 import audit_pb2

pytestmark = pytest.mark.asyncio

ROUNDS = 20
PROCESSES = {"sqlite": 1, "postgresql": 4}
"""SQLite has one that writes."""
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Remote(Client):
    """An inventory that runs in a process of its own."""

    way: grpc.aio.Channel

    @property
    def channel(self) -> grpc.aio.Channel:
        """The way to it."""
        return self.way


@asynccontextmanager
async def company(url: str, folder: Path, processes: int, *items: str) -> AsyncIterator[Company]:
    """Several processes on one database, with a channel that Main and Harbour feed."""
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(catalog_feed(folder))
        starting = (process(stack, url, folder, catalog) for _ in range(processes))
        shops = await asyncio.gather(*starting)
        channel = await shops[0].open()
        await catalog.tell(items)

        async def known() -> None:
            await shops[0].level(items[-1], MAIN)

        await eventually(known, READY_S)
        yield Company(shops, channel.channel_id)


async def process(stack: AsyncExitStack, url: str, folder: Path, catalog: Catalog) -> Remote:
    """One more `python -m services.inventory`, until the stack ends."""
    port = free_port()
    environment = {
        "TILLBRIDGE_DATA_DIR": str(folder),
        "TILLBRIDGE_DATABASE_URL": url,
        "TILLBRIDGE_TOKEN_KEY": KEY,
        "TILLBRIDGE_INVENTORY_PORT": str(port),
        "TILLBRIDGE_CATALOG_ADDRESS": catalog.address,
    }
    log = folder / f"inventory-{port}.log"
    runs = await stack.enter_async_context(
        started("services.inventory", environment=environment, log=log)
    )

    def has_run() -> None:
        assert runs.returncode is None, log.read_text()[-2000:]

    stack.callback(has_run)
    try:
        channel = await connected(f"127.0.0.1:{port}", READY_S)
    except TimeoutError as error:
        raise AssertionError(f"not ready: {log.read_text()[-2000:]}") from error
    return Remote(await stack.enter_async_context(channel))


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-14")
@pytest.mark.parametrize("kind", PROCESSES)
async def test_p10_two_hundred_buyers_get_exactly_fifty_pieces_in_every_round(
    postgres: str, tmp_path: Path, kind: str
) -> None:
    draw = random.Random(SEED)
    items = [f"mug-{number}" for number in range(ROUNDS)]
    async with AsyncExitStack() as stack:
        url = stack.enter_context(new_database(postgres)) if kind == "postgresql" else ""
        served = company(url, tmp_path, PROCESSES[kind], "plate", *items)
        found = await stack.enter_async_context(served)
        await found.shop.count("plate", MAIN, "10000")
        for item_id in items:
            await one_round(found, item_id, draw)
            assert (await found.shop.online(found.channel_id, item_id)).quantity == 0
        assert await check(found.shop) == []
        ended = await incidents(found.shop, audit_pb2.INCIDENT_STATE_UNSPECIFIED)
        processes = len(found.shops)
    print(
        f"P10 seed={SEED} rounds={ROUNDS} buyers={BUYERS} processes={processes}"
        f" incidents={len(ended)} @{kind}"
    )
