"""What leads past each point at which a process may die, and what has to be true in the end.

A story has somebody ask for something, again and again under the same request id until it is
answered. The process that is to die meanwhile dies, and is started again. In the end everything
that was asked for has happened, once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from google.type.money_pb2 import Money

from gateway.sandbox import shop
from gateway.sandbox.connect import connect
from gateway.sandbox.settings import SandboxSettings
from tests.chaos.dump import Query, opened
from tests.chaos.fleet import Fleet, wait_for
from tests.flows.stack import token
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.events.v1 import events_pb2
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub

HOME = "crash-harbor"
STOCK = 1000
OLD = timedelta(days=60)
DIES_WITHIN_S = 6.0
ACTS_MAX = 8
SETTLED_S = 60.0


@dataclass(slots=True)
class World:
    """An installation, and what all stories share."""

    fleet: Fleet
    database_url: str
    """With `{service}` in it; empty means SQLite."""
    new_database: Callable[[], str]
    """Gives the address of a database with nothing in it."""
    channel_id: str = ""
    web_channel_id: str = ""
    """The channel of the simulated store."""
    clients: list[httpx.Client] = field(default_factory=list)

    def open(self) -> None:
        """Starts the services; the shop has an outlet and a channel without platforms."""
        self.fleet.keep_up("catalog", "inventory", "order", "customer")
        outlet = channels_pb2.Outlet(outlet_id=HOME, display_name="Harbor")
        ask = self.fleet.ask
        ask(
            "inventory",
            ChannelServiceStub,
            channels_pb2.CreateOutletRequest(request_id="outlet", outlet=outlet),
        )
        request = channels_pb2.CreateChannelRequest(
            request_id="channel",
            display_name="Store",
            profile=channels_pb2.PROFILE_RETAIL_R_ECOM,
            primary_outlet_id=HOME,
        )
        answer = ask("inventory", ChannelServiceStub, request)
        self.channel_id = answer.channel.channel_id

    def open_store(self) -> None:
        """Starts the gateway and both platforms, and connects them."""
        self.fleet.keep_up("sandbox", "gateway")

        async def connected() -> str:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{self.fleet.ports['http']}",
                headers={"Authorization": f"Bearer {token()}"},
                timeout=30.0,
            ) as api:
                return await connect(api, self._sandbox)

        self.web_channel_id = asyncio.run(connected())
        products = [shop.product_id(sku) for sku in SKUS]
        wait_for(lambda: len(self._listed(products)) == len(products), SETTLED_S, "catalog")
        self.sell_online("all", products, on=True)
        wait_for(lambda: self._in_store() >= set(SKUS), SETTLED_S, "listings in the store")

    def _listed(self, product_ids: Sequence[str]) -> set[str]:
        request = catalog_pb2.ListListingsRequest(channel_id=self.web_channel_id, page_size=500)
        answer = self.fleet.ask("catalog", CatalogServiceStub, request)
        return {one.product_id for one in answer.listings} & set(product_ids)

    def _in_store(self) -> set[str]:
        found = self.store.get("products").raise_for_status().json()["items"]
        return {one["sku"] for one in found if one["enabled"]}

    def sell_online(self, request_id: str, product_ids: Sequence[str], *, on: bool) -> None:
        """Switches listings in the simulated store."""
        request = catalog_pb2.SetSellOnlineRequest(
            request_id=request_id,
            channel_id=self.web_channel_id,
            product_ids=product_ids,
            sell_online=on,
        )
        self.fleet.ask("catalog", CatalogServiceStub, request)

    def close(self) -> None:
        """Lets go of all connections."""
        for client in self.clients:
            client.close()

    @property
    def _sandbox(self) -> SandboxSettings:
        ports = self.fleet.ports
        return SandboxSettings(sandbox_pos_port=ports["pos"], sandbox_store_port=ports["store"])

    def http(self, port: str, bearer: str, path: str = "") -> httpx.Client:
        """A client of what listens at a port."""
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.fleet.ports[port]}{path}",
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=10.0,
        )
        self.clients.append(client)
        return client

    @property
    def pos(self) -> httpx.Client:
        """The simulated point of sale."""
        return self.http("pos", self._sandbox.sandbox_pos_token)

    @property
    def store(self) -> httpx.Client:
        """The simulated store."""
        path = f"/api/v3/{self._sandbox.sandbox_store_id}/"
        return self.http("store", self._sandbox.sandbox_store_token, path)

    def make(self, *items: str, stock: int = 0) -> None:
        """Items that the inventory knows, with so much of each."""
        ask = self.fleet.ask
        ask("catalog", CatalogServiceStub, products(f"make {items}", items))
        if stock:
            ask("inventory", InventoryServiceStub, adjustment(f"stock {items}", items, stock))

    def level(self, item: str, outlet: str = HOME) -> tuple[float, float]:
        """What is on hand, and what of it is reserved."""
        request = inventory_pb2.GetStockLevelRequest(outlet_id=outlet, item_id=item)
        found = self.fleet.ask("inventory", InventoryServiceStub, request).level
        return float(found.on_hand), float(found.reserved)

    def movements(self, item: str) -> list[inventory_pb2.Movement]:
        """The ledger of an item."""
        request = inventory_pb2.ListMovementsRequest(item_id=item, page_size=1000)
        return list(self.fleet.ask("inventory", InventoryServiceStub, request).movements)

    def figures(self, item: str) -> list[tuple[int, int]]:
        """Version and quantity of each figure that the feed told of an item, in order."""
        found, cursor = [], 0
        kind = inventory_events_pb2.OnlineStockChanged
        while True:
            request = events_pb2.ReadEventsRequest(
                consumer="test", after=cursor, max_events=1000, types=[kind.DESCRIPTOR.full_name]
            )
            page = self.fleet.ask("inventory", EventFeedStub, request)
            for event in page.events:
                fact = kind()
                if event.subject == f"item/{item}" and event.data.Unpack(fact):
                    found.append((fact.version, fact.quantity))
            if not page.events:
                return found
            cursor = page.next_cursor

    def rows(self, service: str, statement: str) -> list[tuple[Any, ...]]:
        """What a service's database has."""
        query: Query
        with opened(self.fleet.folder, self.database_url, service) as query:
            return query(statement)


SKUS = ("MUG", "TEA", "TOTE")


def euros(units: int) -> Money:
    """An amount."""
    return Money(currency_code="EUR", units=units)


def products(request_id: str, items: Sequence[str]) -> catalog_pb2.BatchUpsertProductsRequest:
    """A product of each item."""
    return catalog_pb2.BatchUpsertProductsRequest(
        request_id=request_id,
        products=[
            catalog_pb2.Product(
                product_id=f"product-{item}",
                name=item,
                active=True,
                variants=[
                    catalog_pb2.Variant(item_id=item, sku=f"SKU-{item}", retail_price=euros(10))
                ],
                version=1,
            )
            for item in items
        ],
    )


def adjustment(
    request_id: str, items: Sequence[str], quantity: int
) -> inventory_pb2.AdjustStockRequest:
    """So much more of each item."""
    return inventory_pb2.AdjustStockRequest(
        request_id=request_id,
        kind=inventory_pb2.MOVEMENT_KIND_ADJUSTMENT,
        lines=[
            inventory_pb2.Adjustment(item_id=item, outlet_id=HOME, quantity=str(quantity))
            for item in items
        ],
        cause="by hand",
    )


class Story:
    """Somebody asks for something while a process dies.

    Args:
        world: where.
        name: of the case; nothing else is called so.
    """

    process = "inventory"
    """Who dies."""
    dies_within_s = DIES_WITHIN_S
    """How long after an act it may take to get to the point."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.fleet = world.fleet
        self.name = name
        self.acts = 0
        """How often it was acted."""

    def prepare(self) -> None:
        """Before the process is killed to be started anew."""

    def meanwhile(self) -> None:
        """While the process does not run."""

    def act(self, request_id: str) -> None:
        """Asks until it is answered; then the process has died, or soon dies."""

    def was_hit(self) -> bool:
        """Whether the process died at what was asked for, as far as can be told, and not at
        something else that happened to pass the point.
        """
        return True

    def check(self) -> None:
        """Looks whether everything has happened, once."""


@dataclass(slots=True)
class Case:
    """A point to die at, and the story that leads there."""

    crash_at: str
    story: type[Story]
    told: Story | None = None
    failure: Exception | None = None

    def __str__(self) -> str:
        return self.crash_at

    @property
    def point(self) -> str:
        """The point, whichever time it is passed."""
        return self.crash_at.partition(":")[0]

    def run(self, world: World) -> None:
        """Has the process die there, and whoever asked be answered nevertheless."""
        name = self.crash_at.replace(".", "-").replace(":", "-")
        story = self.told = self.story(world, name)
        fleet = world.fleet
        story.prepare()
        fleet.kill(story.process)
        if story.process in fleet.kept_up:
            fleet.kept_up.discard(story.process)
            story.meanwhile()
            fleet.kept_up.add(story.process)
        log, last_words = fleet.log_of(story.process), f"dying at {self.point}\n"
        before = log.read_text().count(last_words) if log.exists() else 0
        for number in range(ACTS_MAX):
            if not number or fleet.has_died(story.process):  # perhaps of something else
                fleet.arm(story.process, self.crash_at)
            story.act(f"{name}/{number}")
            story.acts += 1
            if self._dies(story) and story.was_hit():
                break
        else:
            raise AssertionError(f"{story.process} did not get to {self.point}")
        after = log.read_text().count(last_words)
        assert after > before, f"{story.process} did not get to {self.point}"

    def _dies(self, story: Story) -> bool:
        deadline_s = time.monotonic() + story.dies_within_s
        while not story.fleet.has_died(story.process):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.02)
        return True

    def check(self) -> None:
        """Looks, for as long as it may take, whether all is well."""
        assert self.told
        if self.failure:
            raise self.failure
        deadline_s = time.monotonic() + SETTLED_S
        while True:
            self.told.fleet.look()
            try:
                self.told.check()
            except AssertionError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
            else:
                return
