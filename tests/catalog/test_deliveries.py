"""P8: 10,000 reports of products that come twice, late and out of order, on both databases."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import pytest
from sqlalchemy import func, select

from services.chassis.plumbing import batches
from tests.catalog.conftest import Shop
from tests.deliveries import EVENTS, Clock, Deliveries, Delivery
from tests.harness import metadata
from tillbridge.catalog.v1 import catalog_pb2 as pb

SEED = 8
PRODUCTS = 1000
GONE_SHARE = 0.02
"""Of the reports, how many say that a product was deleted or taken out of sale: so few that the
circuit breaker keeps out of it.
"""
BATCH = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What the point of sale has told of a product."""

    product_id: str
    version: int
    active: bool
    deleted: bool


def history() -> list[Told]:
    """Each product changes about ten times."""
    draw = random.Random(SEED)
    found = []
    for number in range(EVENTS):
        gone = draw.random() < GONE_SHARE
        deleted = gone and draw.random() < 0.5
        product_id = f"mug-{draw.randrange(PRODUCTS)}"
        found.append(Told(product_id, number + 1, active=not gone, deleted=deleted))
    return found


def product(told: Told) -> pb.Product:
    """As the point of sale has it."""
    found = pb.Product(
        product_id=told.product_id,
        name=f"Mug {told.version}",
        active=told.active,
        version=told.version,
        variants=[pb.Variant(item_id=told.product_id, sku=f"SKU-{told.product_id}")],
    )
    price = found.variants[0].retail_price
    price.currency_code, price.units = "EUR", told.version % 90 + 1
    return found


@dataclass(slots=True)
class Merchant:
    """A merchant to whom all of it happens."""

    shop: Shop
    clock: Clock

    async def hear(self, calls: Iterable[Sequence[Delivery[Told]]]) -> int:
        """Is told of it, as it arrives; how many products were answered to be different by it."""
        changed = 0
        for run in calls:
            self.clock.move(run)
            changed += await self._upsert([one.event for one in run if not one.event.deleted])
            for one in run:
                if one.event.deleted:
                    await self._delete(one.event)
        return changed

    async def _upsert(self, told: Sequence[Told]) -> int:
        request = pb.BatchUpsertProductsRequest(products=map(product, told), cause="pos")
        request.request_id = sha256(request.SerializeToString()).hexdigest()
        answer = await self.shop.stub.BatchUpsertProducts(
            request, metadata=metadata(self.shop.merchant)
        )
        known = {pb.UPSERT_OUTCOME_UNCHANGED, pb.UPSERT_OUTCOME_CREATED, pb.UPSERT_OUTCOME_UPDATED}
        assert {one.outcome for one in answer.results} <= known
        return sum(one.outcome != pb.UPSERT_OUTCOME_UNCHANGED for one in answer.results)

    async def _delete(self, told: Told) -> None:
        request = pb.DeleteProductRequest(
            request_id=f"gone-{told.version}",
            product_id=told.product_id,
            version=told.version,
            cause="pos",
        )
        answer = await self.shop.stub.DeleteProduct(request, metadata=metadata(self.shop.merchant))
        assert not answer.held

    async def state(self, channel_id: str) -> dict[str, tuple[bytes, bytes]]:
        """Products and listings, but for what counts and times them."""
        found = {}
        for listing in await self.shop.listings(channel_id, page_size=1000):
            for name in ("channel_id", "version", "update_time", "images_version", "provenance"):
                listing.ClearField(name)
            found[listing.product_id] = listing.SerializeToString(deterministic=True)
        products = {}
        request = pb.ListProductsRequest(page_size=1000)
        answer = await self.shop.stub.ListProducts(request, metadata=metadata(self.shop.merchant))
        assert not answer.next_page_token
        for one in answer.products:
            one.ClearField("update_time")
            one.ClearField("observe_time")
            products[one.product_id] = one.SerializeToString(deterministic=True)
        assert products.keys() == found.keys()
        return {one: (products[one], found[one]) for one in products}

    async def told(self) -> int:
        """How many events the catalog has told of the merchant."""
        database = self.shop.catalog.database
        outbox = database.plumbing.outbox
        rows = select(func.count()).where(outbox.c.merchant_id == self.shop.merchant)
        return await database.read(lambda connection: connection.execute(rows).scalar_one())


def one_of_a_product(deliveries: Iterable[Delivery[Told]]) -> Iterator[list[Delivery[Told]]]:
    """The deliveries in their order, in runs in which it makes no difference."""
    run: dict[str, Delivery[Told]] = {}
    for one in deliveries:
        if one.event.product_id in run:
            yield list(run.values())
            run = {}
        run[one.event.product_id] = one
    yield list(run.values())


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("CAT-06")
async def test_p8_reports_that_come_twice_late_and_in_any_order_end_in_the_same_catalog(
    shop: Shop,
) -> None:
    clock = Clock(shop.catalog.database)
    ordered, scattered = (
        Merchant(Shop(shop.catalog, shop.inventory, name), clock) for name in ("in-order", "any")
    )
    await ordered.shop.open_channel("web-1")
    await scattered.shop.open_channel("web-2")
    deliveries = Deliveries(history(), SEED)
    arrived = deliveries.scattered()
    await ordered.hear(one_of_a_product(deliveries.in_order()))
    clock.now = deliveries.times[0]
    await scattered.hear(batches(arrived, BATCH))
    expected = await ordered.state("web-1")
    assert expected == await scattered.state("web-2")

    told = await scattered.told()
    assert await scattered.hear(batches(deliveries.in_order(), BATCH)) == 0  # once more, all of it
    assert (await scattered.told(), await scattered.state("web-2")) == (told, expected)
    print(f"P8 catalog seed={SEED} events={EVENTS} deliveries={len(arrived)} told={told}")
