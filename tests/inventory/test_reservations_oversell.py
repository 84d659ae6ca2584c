"""P10: of what an outlet has, no more is ever promised, with several processes at it (BEY-04).

The tests are named after what went wrong in comparable systems (promises.md, section 4).
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from sqlalchemy import select

from services.chassis.database import Transaction
from services.chassis.statements import among, keys
from services.chassis.status import from_rpc_error
from services.inventory.service import build
from services.inventory.service.reservations import expire_due
from services.inventory.store import PLUMBING
from services.inventory.store import items as item_store
from services.inventory.store.tables import ITEMS
from tests import harness
from tests.conftest import new_database
from tests.harness import metadata, refused, running
from tests.inventory.conftest import HARBOUR, MAIN, Shop, catalog_feed, request_id
from tests.inventory.test_check import check
from tests.inventory.test_incidents import incidents, resolve
from tests.inventory.test_reservations_service import let_time_pass, reserve_for
from tillbridge.inventory.v1 import audit_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

pytestmark = pytest.mark.asyncio

SEED, ROUNDS, BUYERS, TILLS, PROCESSES = 7, 20, 200, 10, 4


@dataclass(frozen=True, slots=True)
class Company:
    """A shop whose inventory runs in several processes on one database."""

    shops: Sequence[Shop]
    channel_id: str

    @property
    def shop(self) -> Shop:
        """One of them."""
        return self.shops[0]

    async def reserve(self, shop: Shop, *lines: tuple[str, str]) -> pb.Reservation | None:
        """Buys; None when there is not enough. A call that the database did not take is repeated,
        as every caller does, under its request id.
        """
        request = pb.ReserveStockRequest(
            request_id=request_id(),
            channel_id=self.channel_id,
            cause="order",
            lines=[
                pb.ReservationLine(line_id=str(number), item_id=item_id, quantity=quantity)
                for number, (item_id, quantity) in enumerate(lines)
            ],
        )
        while True:
            try:
                answer = await shop.stock.ReserveStock(request, metadata=metadata())
            except grpc.aio.AioRpcError as error:
                reason = from_rpc_error(error).reason
                if reason == "INSUFFICIENT_STOCK":
                    return None
                if reason != "SERVICE_UNAVAILABLE":
                    raise
            else:
                asked = sum(float(quantity) for _, quantity in lines)
                assert sum(float(one.quantity) for one in answer.reservation.allocations) == asked
                return answer.reservation

    async def sell(self, shop: Shop, item_id: str, outlet_id: str) -> None:
        """Sells one at a till, which is never refused."""
        line = pb.Adjustment(item_id=item_id, outlet_id=outlet_id, quantity="-1")
        request = pb.AdjustStockRequest(
            request_id=request_id(), kind=pb.MOVEMENT_KIND_POS_SALE, lines=[line]
        )
        while True:
            try:
                await shop.stock.AdjustStock(request, metadata=metadata())
            except grpc.aio.AioRpcError as error:
                if from_rpc_error(error).reason != "SERVICE_UNAVAILABLE":
                    raise
            else:
                return

    async def levels(self, item_id: str) -> list[tuple[int, int]]:
        """What is on hand and held at each outlet."""
        levels = [await self.shop.level(item_id, outlet_id) for outlet_id in (MAIN, HARBOUR)]
        return [(int(level.on_hand), int(level.reserved)) for level in levels]


@asynccontextmanager
async def company(url: str, folder: Path, processes: int, *items: str) -> AsyncIterator[Company]:
    """Several services on one database, with a channel that Main and Harbour feed."""
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(catalog_feed(folder))
        configured = harness.settings(folder, url, catalog_address=catalog.address)
        shops = []
        for _ in range(processes):
            service = running("inventory", PLUMBING, build, configured)
            shops.append(Shop(await stack.enter_async_context(service), catalog))
        channel = await shops[0].open()
        await shops[0].learn(*items)
        yield Company(shops, channel.channel_id)


@pytest.fixture
async def four(postgres: str, tmp_path: Path) -> AsyncIterator[Company]:
    """Four processes on PostgreSQL."""
    with new_database(postgres) as url:
        async with company(url, tmp_path, PROCESSES, "mug", "plate") as found:
            yield found


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps anybody out: what is left is what the statements themselves say."""
    monkeypatch.setattr(Transaction, "lock", lambda *_, **__: None)
    plain = (
        select(ITEMS.c.merchant_id, ITEMS.c.item_id, ITEMS.c.tracked, ITEMS.c.deleted)
        .where(among(keys(), ITEMS.c.merchant_id, ITEMS.c.item_id))
        .order_by(ITEMS.c.merchant_id, ITEMS.c.item_id)
    )
    monkeypatch.setattr(item_store, "_LOCK_ITEMS", plain)


async def one_round(found: Company, item_id: str, draw: random.Random) -> None:
    """200 buyers and 10 tills on 50 pieces; when all is over exactly 50 are sold."""
    await found.shop.count(item_id, MAIN, "30")
    await found.shop.count(item_id, HARBOUR, "20")
    baskets = [
        draw.choices(
            [
                [(item_id, "1")],
                [(item_id, "1"), (item_id, "1")],  # one SKU on two lines
                [(item_id, "1"), ("plate", "1")],  # a bundle
            ],
            weights=[8, 1, 1],
        )[0]
        for _ in range(BUYERS)
    ]
    jobs: list[asyncio.Task[object]] = []
    for number, basket in enumerate(baskets):
        buyer = found.reserve(found.shops[number % len(found.shops)], *basket)
        jobs.append(asyncio.ensure_future(buyer))
        if number % (BUYERS // TILLS) == draw.randrange(3):
            shop, outlet_id = draw.choice(found.shops), draw.choice([MAIN, HARBOUR])
            jobs.append(asyncio.ensure_future(found.sell(shop, item_id, outlet_id)))
    await asyncio.gather(*jobs)
    tills = len(jobs) - BUYERS

    for on_hand, held in await found.levels(item_id):
        assert held <= on_hand or await incidents(found.shop)
    while opened := await incidents(found.shop):
        newest = opened[0].orders[0].reservation_id
        await resolve(found.shop, opened[0], newest)  # the money is given back
    while await found.reserve(found.shop, (item_id, "1")):
        pass
    levels = await found.levels(item_id)
    assert all(held <= on_hand for on_hand, held in levels)
    sold = sum(held for _, held in levels) + tills
    assert (sold, sum(on_hand for on_hand, _ in levels)) == (50, 50 - tills)
    assert (await found.shop.online(found.channel_id, item_id)).quantity == 0


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-14")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_p10_two_hundred_buyers_get_exactly_fifty_pieces_in_every_round(
    postgres: str, tmp_path: Path, kind: str
) -> None:
    draw = random.Random(SEED)
    items = [f"mug-{number}" for number in range(ROUNDS)]
    async with AsyncExitStack() as stack:
        url = stack.enter_context(new_database(postgres)) if kind == "postgresql" else ""
        processes = PROCESSES if url else 1
        found = await stack.enter_async_context(company(url, tmp_path, processes, "plate", *items))
        await found.shop.count("plate", MAIN, "10000")
        for item_id in items:
            await one_round(found, item_id, draw)
        assert await check(found.shop) == []
        ended = await incidents(found.shop, audit_pb2.INCIDENT_STATE_UNSPECIFIED)
    print(f"P10 seed={SEED} rounds={ROUNDS} buyers={BUYERS} incidents={len(ended)} @{kind}")


@pytest.mark.rule("BEY-04")
@pytest.mark.usefixtures("no_locks")
async def test_no_lock_no_harm(four: Company) -> None:
    await four.shop.count("plate", MAIN, "10000")
    await one_round(four, "mug", random.Random(SEED))
    for item_id in ("mug", "plate"):
        for on_hand, held in await four.levels(item_id):
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
        *(four.sell(four.shops[number % PROCESSES], "mug", MAIN) for number in range(60))
    )
    assert (await four.levels("mug"))[0] == (40, 0)
    wrong = {one.kind for one in await check(four.shop)}
    assert wrong <= {audit_pb2.FINDING_KIND_ONLINE_STOCK}


@pytest.mark.rule("BEY-04")
async def test_oversell_two_checkouts(four: Company) -> None:
    for _ in range(10):
        await four.shop.count("mug", MAIN, "1")
        tries = [four.reserve(shop, ("mug", "1")) for shop in four.shops]
        (winner,) = [one for one in await asyncio.gather(*tries) if one]
        assert (await four.levels("mug"))[0] == (1, 1)
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
