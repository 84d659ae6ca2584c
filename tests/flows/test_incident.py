"""A till sells what was promised, and an operator moves the order to another outlet: inventory and
orders as real services, on both databases.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.inventory.service import build as build_inventory
from services.inventory.store import PLUMBING as INVENTORY
from services.order.service import build as build_orders
from services.order.store import PLUMBING as ORDERS
from tests.conftest import new_database
from tests.harness import eventually, running, settings
from tests.inventory.conftest import HARBOUR, MAIN, catalog_feed
from tests.inventory.conftest import Shop as Stock
from tests.inventory.test_incidents import incidents, resolve, sell
from tests.order.fakes import fakes
from tests.order.shop import Shop, document, line
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
