"""A real inventory service, with a feed in the catalog's place that tells it the items."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from sqlalchemy import Connection, MetaData, select

from services.chassis.auth import Tokens
from services.chassis.database import Database, Transaction
from services.chassis.feed import EventFeed
from services.chassis.plumbing import NAMING, Plumbing
from services.chassis.server import Server
from services.inventory.service import build
from services.inventory.store import PLUMBING
from services.inventory.store.tables import ITEMS
from tests import harness
from tests.harness import KEY, MERCHANT, Running, eventually, metadata, running
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub

if TYPE_CHECKING:
    from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceAsyncStub
    from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceAsyncStub

MAIN, HARBOUR, THIRD = "outlet-main", "outlet-harbour", "outlet-third"
REGISTERS = {"till-main": MAIN, "till-harbour": HARBOUR}
_ids = count(1)


def request_id() -> str:
    """A new one."""
    return f"request-{next(_ids)}"


@dataclass(slots=True)
class Catalog:
    """The feed of a catalog that has nothing but its feed."""

    database: Database
    address: str

    async def tell(
        self,
        item_ids: Iterable[str],
        *,
        merchant: str = MERCHANT,
        revision: int = 1,
        tracked: bool = True,
        product_id: str = "",
    ) -> None:
        """Tells of products with one item each, or of one product with all of them."""
        items = [
            catalog_events_pb2.ProductItem(item_id=item_id, track_inventory=tracked)
            for item_id in item_ids
        ]
        told = [
            catalog_events_pb2.ProductChanged(
                product_id=f"product-{item.item_id}", items=[item], revision=revision
            )
            for item in items
        ]
        if product_id:
            told = [
                catalog_events_pb2.ProductChanged(
                    product_id=product_id, items=items, deleted=not items, revision=revision
                )
            ]

        def emit(transaction: Transaction) -> None:
            for one in told:
                transaction.emit(merchant, f"product/{one.product_id}", one)

        await self.database.apply("tell", emit)


@asynccontextmanager
async def catalog_feed(folder: Path) -> AsyncIterator[Catalog]:
    """Serves a feed in the catalog's name."""
    tables = MetaData(naming_convention=NAMING)
    plumbing = Plumbing(tables)
    configured = harness.settings(folder)
    database = Database(f"sqlite:///{folder}/feed.sqlite3", plumbing)
    await database.apply("create", lambda transaction: tables.create_all(transaction.connection))
    server = Server(configured, Tokens(KEY))
    feed = EventFeed("catalog", database)
    server.add(events_pb2.DESCRIPTOR.services_by_name["EventFeed"], feed, database)
    await server.start("127.0.0.1:0")
    try:
        yield Catalog(database, f"127.0.0.1:{server.port}")
    finally:
        await server.stop(0)
        await database.close()


class Client(ABC):
    """A merchant's inventory, called as its operator calls it."""

    __slots__ = ()

    @property
    @abstractmethod
    def channel(self) -> grpc.aio.Channel:
        """The way to the service."""

    @property
    def stock(self) -> "InventoryServiceAsyncStub":
        """Stub of InventoryService."""
        return InventoryServiceStub(self.channel)

    @property
    def channels(self) -> "ChannelServiceAsyncStub":
        """Stub of ChannelService."""
        return ChannelServiceStub(self.channel)

    async def open(self, **channel: Any) -> channels_pb2.Channel:
        """Creates outlets, registers and an X-Series channel at Main, changed as told."""
        for outlet_id in (MAIN, HARBOUR, THIRD):
            outlet = channels_pb2.Outlet(outlet_id=outlet_id, display_name=outlet_id)
            await self.channels.CreateOutlet(
                channels_pb2.CreateOutletRequest(request_id=request_id(), outlet=outlet),
                metadata=metadata(),
            )
        for register_id, outlet_id in REGISTERS.items():
            register = channels_pb2.Register(
                register_id=register_id, display_name=register_id, outlet_id=outlet_id
            )
            await self.channels.CreateRegister(
                channels_pb2.CreateRegisterRequest(request_id=request_id(), register=register),
                metadata=metadata(),
            )
        asked: dict[str, Any] = {
            "request_id": request_id(),
            "display_name": "Web",
            "profile": channels_pb2.PROFILE_RETAIL_X_ECOM,
            "register_id": "till-main",
            "connected_outlet_ids": [HARBOUR],
        } | channel
        answer = await self.channels.CreateChannel(
            channels_pb2.CreateChannelRequest(**asked), metadata=metadata()
        )
        return answer.channel

    async def count(
        self, item_id: str, outlet_id: str, quantity: str, version: int = 0
    ) -> inventory_pb2.CountResult:
        """Records one count."""
        told = inventory_pb2.Count(
            item_id=item_id, outlet_id=outlet_id, quantity=quantity, version=version
        )
        answer = await self.stock.RecordCounts(
            inventory_pb2.RecordCountsRequest(request_id=request_id(), counts=[told]),
            metadata=metadata(),
        )
        return answer.results[0]

    async def level(self, item_id: str, outlet_id: str) -> inventory_pb2.StockLevel:
        """The level of an item at an outlet."""
        answer = await self.stock.GetStockLevel(
            inventory_pb2.GetStockLevelRequest(item_id=item_id, outlet_id=outlet_id),
            metadata=metadata(),
        )
        return answer.level

    async def online(self, channel_id: str, item_id: str) -> inventory_pb2.OnlineStock:
        """What the channel may sell of an item."""
        answer = await self.stock.GetOnlineStock(
            inventory_pb2.GetOnlineStockRequest(channel_id=channel_id, item_id=item_id),
            metadata=metadata(),
        )
        return answer.online_stock

    async def connect(self, channel_id: str, *outlet_ids: str) -> channels_pb2.Channel:
        """Sets which outlets feed the channel."""
        answer = await self.channels.SetConnectedOutlets(
            channels_pb2.SetConnectedOutletsRequest(
                request_id=request_id(), channel_id=channel_id, outlet_ids=outlet_ids
            ),
            metadata=metadata(),
        )
        return answer.channel

    async def reserve(
        self, channel_id: str, *lines: tuple[str, str], outlet_id: str = ""
    ) -> inventory_pb2.Reservation:
        """Holds stock; the lines are (item, quantity)."""
        answer = await self.stock.ReserveStock(
            inventory_pb2.ReserveStockRequest(
                request_id=request_id(),
                channel_id=channel_id,
                outlet_id=outlet_id,
                cause="order XJ12H",
                lines=_lines(lines),
            ),
            metadata=metadata(),
        )
        return answer.reservation

    async def take(
        self, channel_id: str, *lines: tuple[str, str], id_of_request: str = ""
    ) -> inventory_pb2.Reservation:
        """Takes stock at once; the lines are (item, quantity)."""
        answer = await self.stock.TakeStock(
            inventory_pb2.TakeStockRequest(
                request_id=id_of_request or request_id(),
                channel_id=channel_id,
                cause="order XJ12H",
                lines=_lines(lines),
            ),
            metadata=metadata(),
        )
        return answer.reservation

    async def put_back(self, reservation_id: str) -> inventory_pb2.Reservation:
        """Puts back what was taken at once."""
        answer = await self.stock.PutBackStock(
            inventory_pb2.PutBackStockRequest(
                request_id=request_id(), reservation_id=reservation_id
            ),
            metadata=metadata(),
        )
        return answer.reservation

    async def commit(
        self, reservation_id: str, pos_version: int | None = None
    ) -> inventory_pb2.Reservation:
        """Ends a hold because its sale is posted."""
        answer = await self.stock.CommitReservation(
            inventory_pb2.CommitReservationRequest(
                request_id=request_id(), reservation_id=reservation_id, pos_version=pos_version
            ),
            metadata=metadata(),
        )
        return answer.reservation

    async def events(self) -> list[events_pb2.Event]:
        """All that the inventory has told."""
        answer = await EventFeedStub(self.channel).ReadEvents(
            events_pb2.ReadEventsRequest(consumer="test", max_events=1000), metadata=metadata()
        )
        return list(answer.events)


def _lines(lines: Sequence[tuple[str, str]]) -> list[inventory_pb2.ReservationLine]:
    return [
        inventory_pb2.ReservationLine(line_id=str(number), item_id=item_id, quantity=quantity)
        for number, (item_id, quantity) in enumerate(lines, 1)
    ]


@dataclass(slots=True)
class Shop(Client):
    """An inventory that runs in this process, and the catalog's feed that it follows."""

    service: Running
    catalog: Catalog

    @property
    def channel(self) -> grpc.aio.Channel:
        """The way to the service."""
        return self.service.channel

    async def learn(self, *item_ids: str, tracked: bool = True, revision: int = 1) -> None:
        """Lets the inventory learn items."""
        await self.catalog.tell(item_ids, tracked=tracked, revision=revision)

        async def known() -> bool:
            return set(item_ids) <= await self.service.database.read(_item_ids)

        await eventually(known)


def _item_ids(connection: Connection) -> set[str]:
    return set(connection.execute(select(ITEMS.c.item_id)).scalars())


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop with nothing in it."""
    async with catalog_feed(tmp_path) as catalog:
        configured = harness.settings(tmp_path, database_url, catalog_address=catalog.address)
        async with running("inventory", PLUMBING, build, configured) as service:
            yield Shop(service, catalog)
