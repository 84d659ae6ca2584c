"""The way out: what the services decide reaches the platforms, through everything."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.connections import Platforms
from gateway.ecom import Figure, Shelf, Slot
from gateway.owners import Owners
from gateway.platform import PlatformError
from gateway.pos import SaleToPost
from gateway.push.chores import Chores, Failures, one_by_one
from gateway.push.listings import ListingPush
from gateway.push.sales import SalePosting
from gateway.push.shelves import Shelves
from gateway.sandbox import shop
from gateway.sandbox.chaos import ChaosSettings
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.errors import DomainError
from tests.gateway.installation import HARBOUR, MAIN, MUG, Installation, gateway, installation
from tests.gateway.served import served
from tests.harness import KEY, eventually
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

TEE = shop.product_id("TEE-S-NAVY")
CHART = shop.product_id("CHART")
WITHIN_S = 10.0


@pytest.fixture
async def shop_open(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation whose channel sells mugs and tees online."""
    async with installation(tmp_path) as installed, gateway(installed):
        await installed.connect()

        async def has_listings() -> bool:
            request = catalog_pb2.ListListingsRequest(channel_id=installed.channel_id)
            owners = installed.owners
            try:
                answer = await owners.call(owners.catalog.ListListings, request)
            except DomainError as error:
                raise AssertionError(error.message) from error
            return len(answer.listings) == 17

        await eventually(has_listings, WITHIN_S)
        await installed.sell_online(MUG, TEE)
        await seen(installed, MUG, 17)

        async def has_tees() -> bool:
            return await installed.in_store(TEE) is not None

        await eventually(has_tees, WITHIN_S)
        yield installed


async def seen(installed: Installation, product_id: str, quantity: int | None) -> None:
    async def shows() -> None:
        assert quantity == await installed.shown(product_id)

    await eventually(shows, WITHIN_S)


async def online_sale(installed: Installation, order_id: str) -> order_pb2.Sale:
    """The sale of an order, as soon as the point of sale has it as it is."""
    found: list[order_pb2.Sale] = []

    async def is_posted() -> bool:
        owners = installed.owners
        answer = await owners.call(
            owners.orders.ListSales,
            order_pb2.ListSalesRequest(origin=order_pb2.SALE_ORIGIN_ONLINE),
        )
        found[:] = [sale for sale in answer.sales if sale.order_id == order_id]
        return bool(found) and found[0].posted_revision == found[0].revision

    await eventually(is_posted, WITHIN_S)
    return found[0]


@pytest.mark.rule("CAT-02")
@pytest.mark.rule("CAT-12")
async def test_a_listing_is_made_when_it_is_sold_online_and_switched_off_after(
    shop_open: Installation,
) -> None:
    assert await shop_open.in_store(CHART) is None

    owners = shop_open.owners
    await owners.call(
        owners.catalog.SetSellOnline,
        catalog_pb2.SetSellOnlineRequest(
            request_id="off", channel_id=shop_open.channel_id, product_ids=[MUG], sell_online=False
        ),
    )

    async def is_hidden() -> bool:
        product = await shop_open.in_store(MUG)
        return product is not None and product["enabled"] is False

    await eventually(is_hidden, WITHIN_S)


@pytest.mark.rule("INV-02")
async def test_a_count_in_the_till_reaches_the_store(shop_open: Installation) -> None:
    await shop_open.count(MUG, MAIN, 3)

    await seen(shop_open, MUG, 8)


@pytest.mark.rule("INV-02")
async def test_a_variant_s_stock_goes_to_its_variation(shop_open: Installation) -> None:
    await shop_open.count(shop.product_id("TEE-M-NAVY"), HARBOUR, 20)

    async def shows() -> None:
        product = await shop_open.in_store(TEE)
        assert product is not None
        by_item = {c["externalReferenceId"]: c["quantity"] for c in product["combinations"]}
        assert by_item[shop.product_id("TEE-M-NAVY")] == 29
        assert by_item[TEE] == 8

    await eventually(shows, WITHIN_S)


@pytest.mark.rule("CAT-06")
async def test_a_change_in_the_till_reaches_the_store(shop_open: Installation) -> None:
    change = {"common": {"name": "Big mug"}, "details": {"price_including_tax": 27.6}}
    (await shop_open.pos_api.put(f"/api/2.1/products/{MUG}", json=change)).raise_for_status()

    async def shows() -> None:
        product = await shop_open.in_store(MUG)
        assert product is not None
        assert (product["name"], product["price"]) == ("Big mug", 27.6)

    await eventually(shows, WITHIN_S)


@pytest.mark.rule("CAT-11")
async def test_a_product_deleted_in_the_till_leaves_the_store(shop_open: Installation) -> None:
    (await shop_open.pos_api.delete(f"/api/2.0/products/{MUG}")).raise_for_status()

    async def is_gone() -> bool:
        return await shop_open.in_store(MUG) is None

    await eventually(is_gone, WITHIN_S)


@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-06")
@pytest.mark.rule("ORD-08")
async def test_an_order_becomes_one_sale_in_the_till_and_is_paid_once(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 2)
    sale = await online_sale(shop_open, order_id)

    [posted] = await shop_open.pos_sales()
    assert (sale.sale_id, "AWAITING_PICKUP", order_id) == (
        posted["id"],
        posted["status"],
        posted["source_id"],
    )
    assert posted["payments"] == []
    await seen(shop_open, MUG, 15)

    paid = {"paymentStatus": "PAID", "paymentModule": "Stripe"}
    (await shop_open.store_api.put(f"orders/{order_id}", json=paid)).raise_for_status()

    async def is_paid() -> None:
        [posted] = await shop_open.pos_sales()
        assert [payment["amount"] for payment in posted["payments"]] == [46.0]
        assert "Stripe" in posted["note"]
        assert posted["total_price"] + posted["total_tax"] == 46.0

    await eventually(is_paid, WITHIN_S)
    await seen(shop_open, MUG, 15)


@pytest.mark.rule("ORD-12")
async def test_an_order_that_the_store_lost_stays_visible(shop_open: Installation) -> None:
    owners = shop_open.owners
    await owners.call(
        owners.orders.ReportOrderChange,
        order_pb2.ReportOrderChangeRequest(
            request_id="ghost", channel_id=shop_open.channel_id, order_id="GHOST"
        ),
    )
    await shop_open.count(MUG, MAIN, 1)
    await seen(shop_open, MUG, 6)

    request = order_pb2.GetOrderRequest(channel_id=shop_open.channel_id, order_id="GHOST")
    order = (await owners.call(owners.orders.GetOrder, request)).order
    assert order.state == order_pb2.ORDER_STATE_REPORTED


async def test_a_store_that_fails_is_written_to_until_it_agrees(shop_open: Installation) -> None:
    shop_open.store.chaos.set(ChaosSettings(fail=0.3, lost_reply=0.3, seed=7))
    for quantity in range(10):
        await shop_open.count(MUG, MAIN, quantity)
    shop_open.store.chaos.set(ChaosSettings())

    await seen(shop_open, MUG, 14)


@pytest.mark.rule("BEY-07")
async def test_what_was_changed_in_the_store_is_repaired_by_a_sweep(
    shop_open: Installation,
) -> None:
    product = await shop_open.in_store(MUG)
    assert product is not None
    path = f"products/{product['id']}"
    wrong = {"quantity": 99, "enabled": False}
    (await shop_open.store_api.put(path, json=wrong)).raise_for_status()
    tee = await shop_open.in_store(TEE)
    assert tee is not None
    (await shop_open.store_api.delete(f"products/{tee['id']}")).raise_for_status()

    assert shop_open.workers is not None
    assert shop_open.workers.sweep(shop_open.channel_id)

    async def is_repaired() -> None:
        mug, tee = await shop_open.in_store(MUG), await shop_open.in_store(TEE)
        assert mug is not None
        assert tee is not None
        assert (mug["quantity"], mug["enabled"]) == (17, True)

    await eventually(is_repaired, WITHIN_S)


async def test_a_sweep_of_what_agrees_writes_nothing(shop_open: Installation) -> None:
    def writes() -> int:
        return sum(len(shop_open.store.ledger.rows(method)) for method in ("PUT", "POST", "DELETE"))

    assert shop_open.workers is not None
    await seen(shop_open, MUG, 17)
    await asyncio.sleep(0.5)
    before, reads = writes(), len(shop_open.store.ledger.rows("GET"))

    shop_open.workers.sweep(shop_open.channel_id)

    async def has_swept() -> bool:
        return len(shop_open.store.ledger.rows("GET")) > reads

    await eventually(has_swept, WITHIN_S)
    await asyncio.sleep(0.3)
    assert before == writes()


async def test_a_gateway_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    async with installation(tmp_path) as installed:
        async with gateway(installed):
            await installed.connect()
            await seen_in_catalog(installed)
            await installed.sell_online(MUG)
            await seen(installed, MUG, 17)
        await installed.count(MUG, HARBOUR, 1)
        async with gateway(installed):
            await seen(installed, MUG, 13)


async def seen_in_catalog(installed: Installation) -> None:
    async def has_mug() -> None:
        request = catalog_pb2.GetListingRequest(channel_id=installed.channel_id, product_id=MUG)
        try:
            await installed.owners.call(installed.owners.catalog.GetListing, request)
        except DomainError as error:
            raise AssertionError(error.message) from error

    await eventually(has_mug, WITHIN_S)


async def test_there_is_one_writer_per_channel(shop_open: Installation) -> None:
    with pytest.raises(DomainError) as refused:
        await shop_open.owners.call(
            shop_open.owners.channels.AcquireLease,
            channels_pb2.AcquireLeaseRequest(
                channel_id=shop_open.channel_id,
                lease="writer",
                holder="somebody else",
                duration_ms=1000,
            ),
        )

    assert refused.value.reason == "LEASE_HELD"


# Chores.


async def test_a_chore_that_fails_for_now_is_done_again_and_holds_up_no_other() -> None:
    tries: list[str] = []

    async def do(name: str) -> None:
        tries.append(name)
        if name == "slow" and tries.count("slow") < 3:
            raise PlatformError("x", "busy", transient=True)
        if name == "bad":
            raise PlatformError("x", "never", transient=False)
        if name == "broken":
            raise ZeroDivisionError

    chores = Chores("stock", lambda names: one_by_one(names, do))
    retrying = asyncio.ensure_future(chores.retry())
    await chores.do(["slow", "bad", "broken", "good", "good"])

    async def is_done() -> bool:
        return tries.count("slow") == 3

    await eventually(is_done)
    retrying.cancel()
    assert _counted(tries) == {"slow": 3, "bad": 1, "broken": 1, "good": 1}


async def test_a_failure_that_came_later_is_not_forgotten() -> None:
    """Somebody read a figure, somebody else read a newer one and failed to write it."""
    slow = asyncio.Event()
    outcomes: list[Failures] = [{}, {"mug": PlatformError("x", "busy", transient=True)}, {}]
    done = 0

    async def do(_names: Sequence[str]) -> Failures:
        nonlocal done
        done += 1
        outcome = outcomes[done - 1]
        if done == 1:
            await slow.wait()
        return outcome

    chores = Chores("stock", do)
    retrying = asyncio.ensure_future(chores.retry())
    first = asyncio.ensure_future(chores.do(["mug"]))
    await asyncio.sleep(0)
    await chores.do(["mug"])
    slow.set()
    await first

    async def is_done_again() -> bool:
        return done == 3

    await eventually(is_done_again)
    retrying.cancel()


@pytest.mark.rule("INV-02")
async def test_stock_that_became_known_while_its_listing_was_written_is_written_after() -> None:
    async with served() as backends:
        listing = catalog_pb2.Listing(
            product_id="mug",
            sell_online=True,
            variants=[catalog_pb2.ListingVariant(item_id="mug")],
        )
        backends.answer("GetListing", catalog_pb2.GetListingResponse(listing=listing))
        channels = {name: connect(one.address) for name, one in backends.backends.items()}
        owners = Owners.reached_by(channels, Identity(Tokens(KEY), "test"), "mug-shop")

        class Store:
            async def write_listing(self, *_: object) -> Shelf:
                now = inventory_pb2.OnlineStock(item_id="mug", quantity=4)
                answer = inventory_pb2.ListOnlineStockResponse(online_stock=[now])
                backends.answer("ListOnlineStock", answer)
                return Shelf("1", "mug", True, {"mug": Slot("1", "", Figure(0))})

        store: Any = Store()
        outdated: list[Sequence[str]] = []
        written: list[str] = []
        shelves = Shelves("ch", owners, store)
        pushing = ListingPush(owners, store, shelves, outdated.append, written.append)

        assert (await pushing.do(["mug"]), outdated) == ({}, [["mug"]])
        assert written == ["1"]
        for one in channels.values():
            await one.close()


@dataclass
class SlowTill:
    """A point of sale that takes its time with the first posting."""

    posted: list[tuple[int, bool]] = field(default_factory=list)

    async def post_sale(self, posting: SaleToPost) -> int:
        if not self.posted:
            await asyncio.sleep(0.2)
        self.posted.append((posting.sale.revision, posting.posted_before))
        return 7


@pytest.mark.rule("ORD-08")
async def test_of_two_states_of_a_sale_the_newer_is_written_last() -> None:
    async with served() as gateway_served:
        channel = channels_pb2.Channel(policies=channels_pb2.ChannelPolicies(external_pos=True))
        sale = order_pb2.Sale(
            sale_id="s", origin=order_pb2.SALE_ORIGIN_ONLINE, channel_id="ch", revision=1
        )
        answer = gateway_served.answer
        answer("GetChannel", channels_pb2.GetChannelResponse(channel=channel))
        answer("GetSale", order_pb2.GetSaleResponse(sale=sale))
        channels = {name: connect(one.address) for name, one in gateway_served.backends.items()}
        owners = Owners.reached_by(channels, Identity(Tokens(KEY), "test"), "mug-shop")
        till = SlowTill()
        posting = SalePosting("ch", owners, till)  # type: ignore[arg-type]

        first = asyncio.ensure_future(posting.do(["s"]))
        await asyncio.sleep(0.1)
        sale.revision = 2
        answer("GetSale", order_pb2.GetSaleResponse(sale=sale))
        assert [await posting.do(["s"]), await first] == [{}, {}]
        assert till.posted == [(1, True), (2, True)]  # nothing is certain before the first sweep

        answer("ListSales", order_pb2.ListSalesResponse())
        assert [page async for page in posting.unposted()] == [[]]
        await posting.do(["s"])
        assert till.posted[-1] == (2, False)
        for one in channels.values():
            await one.close()


def test_a_token_that_no_header_can_hold_is_one_channel_s_trouble() -> None:
    side = channels_pb2.Connection(
        platform="lightspeed-x", base_url="http://127.0.0.1:1", access_token="sécret"
    )

    assert Platforms(600).pos(side) is None


def _counted(names: list[Any]) -> dict[Any, int]:
    return {name: names.count(name) for name in names}
