"""Of what an outlet has, no more is ever promised, with several services at it (BEY-04).

The tests are named after what went wrong in comparable systems (promises.md, section 4).
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from services.chassis.database import Transaction
from services.chassis.statements import Lookup, among, keys
from services.inventory.service import build
from services.inventory.service.reservations import expire_due
from services.inventory.store import PLUMBING
from services.inventory.store import items as item_store
from services.inventory.store.tables import ITEMS
from tests import harness
from tests.conftest import new_database
from tests.harness import refused, running
from tests.inventory.company import SEED, Company, one_round
from tests.inventory.conftest import HARBOUR, MAIN, Shop, catalog_feed
from tests.inventory.test_check import check
from tests.inventory.test_reservations_service import let_time_pass, reserve_for
from tillbridge.inventory.v1 import audit_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

pytestmark = pytest.mark.asyncio

SERVICES = 4


@asynccontextmanager
async def company(url: str, folder: Path, *items: str) -> AsyncIterator[Company]:
    """Several services on one database, in this process, so that they can be tampered with."""
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(catalog_feed(folder))
        configured = harness.settings(folder, url, catalog_address=catalog.address)
        shops = []
        for _ in range(SERVICES):
            service = running("inventory", PLUMBING, build, configured)
            shops.append(Shop(await stack.enter_async_context(service), catalog))
        channel = await shops[0].open()
        await shops[0].learn(*items)
        yield Company(shops, channel.channel_id)


@pytest.fixture
async def four(postgres: str, tmp_path: Path) -> AsyncIterator[Company]:
    """Four services on PostgreSQL."""
    with new_database(postgres) as url:
        async with company(url, tmp_path, "mug", "plate") as found:
            yield found


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps anybody out: what is left is what the statements themselves say."""
    monkeypatch.setattr(Transaction, "lock", lambda *_, **__: None)
    plain = Lookup(
        select(ITEMS.c.merchant_id, ITEMS.c.item_id, ITEMS.c.tracked, ITEMS.c.deleted)
        .where(among(keys(), ITEMS.c.merchant_id, ITEMS.c.item_id))
        .order_by(ITEMS.c.merchant_id, ITEMS.c.item_id)
    )
    monkeypatch.setattr(item_store, "_LOCK_ITEMS", plain)


@pytest.mark.rule("BEY-04")
@pytest.mark.usefixtures("no_locks")
async def test_no_lock_no_harm(four: Company) -> None:
    await four.shop.count("plate", MAIN, "10000")
    await one_round(four, "mug", random.Random(SEED))
    for item_id in ("mug", "plate"):
        for on_hand, held in (await four.levels(item_id)).values():
            assert held <= on_hand
    wrong = {one.kind for one in await check(four.shop)}
    assert wrong <= {
        audit_pb2.FINDING_KIND_ONLINE_STOCK
    }  # figures may lag behind without a lock, promises never


@pytest.mark.rule("BEY-04")
@pytest.mark.usefixtures("no_locks")
async def test_lost_update_level(four: Company) -> None:
    await four.shop.count("mug", MAIN, "100")
    await asyncio.gather(
        *(four.sell(four.shops[number % SERVICES], "mug", MAIN) for number in range(60))
    )
    assert (await four.levels("mug"))[MAIN] == (40, 0)
    wrong = {one.kind for one in await check(four.shop)}
    assert wrong <= {audit_pb2.FINDING_KIND_ONLINE_STOCK}


@pytest.mark.rule("BEY-04")
async def test_oversell_two_checkouts(four: Company) -> None:
    for _ in range(10):
        await four.shop.count("mug", MAIN, "1")
        tries = [four.reserve(shop, ("mug", "1")) for shop in four.shops]
        (winner,) = [one for one in await asyncio.gather(*tries) if one]
        assert (await four.levels("mug"))[MAIN] == (1, 1)
        await four.shop.commit(winner.reservation_id)


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-14")
async def test_same_sku_two_lines(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    async with refused("INSUFFICIENT_STOCK") as facts:
        await shop.reserve(channel.channel_id, ("mug", "3"), ("mug", "3"))
    assert (facts["asked"], facts["available"]) == ("6", "5")
    held = await shop.reserve(channel.channel_id, ("mug", "3"), ("mug", "2"))
    assert [(one.line_id, one.quantity) for one in held.allocations] == [("1", "3"), ("2", "2")]
    assert (await shop.level("mug", MAIN)).reserved == "5"


@pytest.mark.rule("BEY-04")
async def test_bundle_shared_item(shop: Shop) -> None:
    """Two bundles of one order need the same cup: what the one has taken is gone for the other."""
    channel = await shop.open()
    await shop.learn("cup", "tea", "coffee")
    for item_id, quantity in (("cup", "1"), ("tea", "9"), ("coffee", "9")):
        await shop.count(item_id, MAIN, quantity)
    bundles = [("cup", "1"), ("tea", "1"), ("cup", "1"), ("coffee", "1")]
    async with refused("INSUFFICIENT_STOCK") as facts:
        await shop.reserve(channel.channel_id, *bundles)
    assert facts["item_id"] == "cup"
    for item_id in ("cup", "tea", "coffee"):  # all of it, or nothing
        assert (await shop.level(item_id, MAIN)).reserved == "0"


@pytest.mark.rule("INV-14")
async def test_paid_but_underallocated(shop: Shop) -> None:
    """What is promised is allocated to the last piece, over as many outlets as it takes."""
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "3")
    await shop.count("mug", HARBOUR, "2.5")
    held = await shop.reserve(channel.channel_id, ("mug", "5.5"))
    given = Counter({one.outlet_id: float(one.quantity) for one in held.allocations})
    assert (given, sum(given.values())) == ({MAIN: 3.0, HARBOUR: 2.5}, 5.5)
    async with refused("INSUFFICIENT_STOCK"):
        await shop.reserve(channel.channel_id, ("mug", "0.001"))
    after = await shop.commit(held.reservation_id)
    assert {one.outlet_id: float(one.quantity) for one in after.allocations} == given
    assert (await shop.level("mug", HARBOUR)).on_hand == "0"


@pytest.mark.rule("INV-14")
async def test_cart_goes_stale(shop: Shop) -> None:
    """A cart was filled while there was stock; what it holds when it is paid is what counts."""
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "1")
    cart = await reserve_for(shop, channel.channel_id, 3600, "mug")
    await let_time_pass(shop, cart.reservation_id)
    await expire_due(shop.service.database)
    other = await shop.reserve(channel.channel_id, ("mug", "1"))
    async with refused("RESERVATION_ENDED"):
        await shop.commit(cart.reservation_id)
    async with refused("INSUFFICIENT_STOCK"):
        await reserve_for(shop, channel.channel_id, 3600, "mug")
    assert (await shop.commit(other.reservation_id)).state == pb.RESERVATION_STATE_COMMITTED


@pytest.mark.rule("INV-14")
@pytest.mark.rule("INV-04")
async def test_available_not_onhand(shop: Shop) -> None:
    """What a store is told is what may still be sold, not what lies there."""
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    await shop.reserve(channel.channel_id, ("mug", "2"))
    assert (await shop.level("mug", MAIN)).on_hand == "5"
    assert (await shop.online(channel.channel_id, "mug")).quantity == 3


@pytest.mark.rule("BEY-08")
async def test_pull_races_sale(shop: Shop) -> None:
    """A level that was read before a sale and comes after it does not undo the sale."""
    await shop.open()
    await shop.learn("mug", "plate")
    await shop.count("plate", MAIN, "5", version=9)
    assert not (await shop.count("plate", MAIN, "7", version=8)).changed
    read_before = datetime.now(UTC) - timedelta(minutes=1)
    company = Company([shop], "")
    await company.count(shop, "mug", MAIN, 5, read_before - timedelta(minutes=1))
    await company.sell(shop, "mug", MAIN)
    await company.count(shop, "mug", MAIN, 5, read_before)
    levels = [(await shop.level(item_id, MAIN)).on_hand for item_id in ("mug", "plate")]
    assert levels == ["4", "5"]
