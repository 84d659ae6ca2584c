"""A till sells what was promised, and an operator moves the order to another outlet: inventory and
orders as real services, on both databases.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from services.inventory.service import build as build_inventory
from services.inventory.store import PLUMBING as INVENTORY
from services.inventory.store.tables import HOLDS
from services.order.service import build as build_orders
from services.order.store import PLUMBING as ORDERS
from tests.conftest import new_database
from tests.harness import eventually, running, service_metadata, settings
from tests.inventory.conftest import HARBOUR, MAIN, catalog_feed
from tests.inventory.conftest import Shop as Stock
from tests.inventory.test_incidents import incidents, resolve, sell
from tests.order.fakes import fakes
from tests.order.shop import Shop, document, line, request_id
from tillbridge.order.v1 import fulfillment_pb2
from tillbridge.order.v1 import order_pb2 as pb


@dataclass(frozen=True, slots=True)
class Both:
    """The same shop's stock and orders."""

    stock: Stock
    shop: Shop


@pytest.fixture
async def both(
    tmp_path: Path, database_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        other_url = ""
        if database_url:
            server = request.getfixturevalue("postgres")
            other_url = stack.enter_context(new_database(server))
        catalog = await stack.enter_async_context(catalog_feed(tmp_path))
        others = await stack.enter_async_context(fakes())
        of_stock = settings(tmp_path, database_url, catalog_address=catalog.address)
        inventory = await stack.enter_async_context(
            running("inventory", INVENTORY, build_inventory, of_stock)
        )
        of_orders = settings(
            tmp_path,
            other_url,
            catalog_address=others.catalog.address,
            customer_address=others.customer.address,
            inventory_address=inventory.address,
        )
        orders = await stack.enter_async_context(running("order", ORDERS, build_orders, of_orders))
        yield Both(Stock(inventory, catalog), Shop(orders, others))


def _pos_versions(connection: Connection) -> list[int | None]:
    return list(connection.execute(select(HOLDS.c.pos_version)).scalars())


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-14")
async def test_what_the_point_of_sale_took_before_a_move_does_not_end_the_hold_that_was_moved(
    both: Both,
) -> None:
    """The sale is on its way to the point of sale, at Main, when its mugs are moved to Harbour."""
    stock, shop = both.stock, both.shop
    channel_id = (await stock.open(external_pos=True)).channel_id
    shop.world.items["mug"] = "MUG"
    await stock.learn("mug")
    await stock.count("mug", MAIN, "2", version=1)
    await stock.count("mug", HARBOUR, "5", version=2)
    await shop.ingest(document("A", lines=[line("MUG", "2")]), channel_id)

    async def posted() -> bool:
        order = await shop.order("A", channel_id)
        return order.state == pb.ORDER_STATE_POSTED

    await eventually(posted, 10.0)
    order = await shop.order("A", channel_id)
    await sell(stock, "mug", MAIN, "1")
    (incident,) = await incidents(stock)
    await resolve(stock, incident, order.reservation_id, HARBOUR)

    async def followed() -> bool:
        return (await shop.sale(order.sale_id)).revision == 2

    await eventually(followed, 10.0)
    for revision, pos_version in ((1, 10), (2, 20)):
        report = pb.ReportSalePostedRequest(
            request_id=request_id(),
            sale_id=order.sale_id,
            revision=revision,
            pos_version=pos_version,
        )
        await shop.orders.ReportSalePosted(report, metadata=service_metadata())

    async def committed() -> bool:
        return await stock.service.database.read(_pos_versions) == [20]

    await eventually(committed, 10.0)
    await stock.count("mug", HARBOUR, "4", version=15)  # a till has sold one there
    assert (await stock.level("mug", HARBOUR)).reserved == "2"
    await stock.count("mug", HARBOUR, "2", version=25)
    assert (await stock.level("mug", HARBOUR)).reserved == "0"


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("ORD-10")
async def test_an_order_goes_where_an_operator_has_moved_its_stock(both: Both) -> None:
    stock, shop = both.stock, both.shop
    channel_id = (await stock.open(external_pos=True)).channel_id
    shop.world.items["mug"] = "MUG"
    await stock.learn("mug")
    await stock.count("mug", MAIN, "2")
    await stock.count("mug", HARBOUR, "2")
    await shop.ingest(document("A", lines=[line("MUG", "2")]), channel_id)

    async def posted() -> bool:
        order = await shop.order("A", channel_id)
        return order.state == pb.ORDER_STATE_POSTED

    await eventually(posted, 10.0)
    order = await shop.order("A", channel_id)
    assert (await shop.sale(order.sale_id)).outlet_id == MAIN

    await sell(stock, "mug", MAIN, "1")
    (incident,) = await incidents(stock)
    (hit,) = incident.orders
    assert hit.reservation_id == order.reservation_id
    ended = await resolve(stock, incident, hit.reservation_id, HARBOUR)
    assert ended.missing == "0"

    async def followed() -> bool:
        return (await shop.sale(order.sale_id)).outlet_id == HARBOUR

    await eventually(followed, 10.0)
    assert {one.outlet_id: one.state for one in await shop.fulfillments("A")} == {
        MAIN: fulfillment_pb2.FULFILLMENT_STATE_CANCELED,
        HARBOUR: fulfillment_pb2.FULFILLMENT_STATE_NEW,
    }
    assert not (await shop.order("A", channel_id)).waiting_message
