"""What an order's run asks of the other services. Each call has a deadline and may be repeated."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from services.chassis.client import TIMEOUT_S, Identity
from services.chassis.errors import DomainError
from services.chassis.settings import Context
from services.chassis.status import from_rpc_error
from services.chassis.together import together
from services.order.rules.checkout import Stock
from services.order.rules.document import Document
from services.order.rules.order import Buyer, FoundItem, Hold, OrderKey, Reservation
from services.order.rules.sale import Channel, Sale
from services.order.rules.stock import StockChange
from services.order.wire import requests, shipping
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub

if TYPE_CHECKING:
    from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub
    from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceAsyncStub
    from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceAsyncStub

CHANNEL_FRESH_S = 2.0
CHANNELS_MAX = 10_000
OUTLET_PAGES_MAX = 100
_PEERS: Sequence[Context] = ("catalog", "customer", "inventory")

Answer = TypeVar("Answer")
ChannelKey = tuple[str, str]
"""Merchant and channel."""


class Peers:
    """The other services, as this one needs them."""

    def __init__(self, connect: Callable[[Context], grpc.aio.Channel], identity: Identity) -> None:
        self._identity = identity
        catalog, customers, inventory = (together(connect(context), identity) for context in _PEERS)
        self._catalog: CatalogServiceAsyncStub = CatalogServiceStub(catalog)
        self._customers: CustomerServiceAsyncStub = CustomerServiceStub(customers)
        self._inventory: InventoryServiceAsyncStub = InventoryServiceStub(inventory)
        self._channels: ChannelServiceAsyncStub = ChannelServiceStub(inventory)
        self._known: dict[ChannelKey, tuple[float, Channel]] = {}
        self._outlets: set[tuple[str, str]] = set()
        """Those that are known to exist, by merchant: an outlet is never deleted."""
        self._asking: dict[ChannelKey, asyncio.Task[Channel]] = {}

    async def channel(self, merchant_id: str, channel_id: str) -> Channel:
        """A channel's policies, at most two seconds old, or as last known while inventory cannot
        be reached.

        Raises:
            DomainError: CHANNEL_NOT_FOUND, or that inventory cannot be reached.
        """
        key = (merchant_id, channel_id)
        asked_s, known = self._known.get(key, (0.0, None))
        if known and time.monotonic() - asked_s < CHANNEL_FRESH_S:
            return known
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask_channel(key))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        try:
            return await asyncio.shield(asking)
        except DomainError as error:
            if known and error.transient:
                return replace(known, fresh=False)
            raise

    def forget_channel(self, merchant_id: str, channel_id: str) -> None:
        """Has a channel asked for anew, since it was changed."""
        self._known.pop((merchant_id, channel_id), None)

    async def check_outlet(self, merchant_id: str, outlet_id: str) -> None:
        """Checks that there is an outlet.

        Raises:
            DomainError: OUTLET_NOT_FOUND, or that inventory cannot be reached.
        """
        if (merchant_id, outlet_id) in self._outlets:
            return
        request = channels_pb2.ListOutletsRequest(page_size=1000)
        for _ in range(OUTLET_PAGES_MAX):
            answer = await self._ask(self._channels.ListOutlets, request, merchant_id)
            self._outlets.update((merchant_id, outlet.outlet_id) for outlet in answer.outlets)
            if (merchant_id, outlet_id) in self._outlets:
                return
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        raise DomainError(
            "OUTLET_NOT_FOUND", f"there is no outlet {outlet_id!r}", outlet_id=outlet_id
        )

    async def channel_now(self, merchant_id: str, channel_id: str) -> Channel:
        """A channel's policies as they are now.

        Raises:
            DomainError: CHANNEL_NOT_FOUND, or that inventory cannot be reached.
        """
        return await self._ask_channel((merchant_id, channel_id))

    async def availability(
        self, merchant_id: str, channel_id: str, item_ids: Sequence[str], outlet_ids: Sequence[str]
    ) -> Stock:
        """What outlets could give of these items right now."""
        request = shipping.availability(channel_id, item_ids, outlet_ids)
        answer = await self._ask(self._inventory.GetAvailability, request, merchant_id)
        return shipping.stock(answer, item_ids)

    async def resolve_skus(self, merchant_id: str, skus: Sequence[str]) -> list[FoundItem]:
        """What the catalog says of each of these SKUs."""
        request = requests.resolve_skus(skus)
        answer = await self._ask(self._catalog.ResolveItems, request, merchant_id)
        return requests.found_items(answer)

    async def resolve(self, key: OrderKey, document: Document) -> list[FoundItem]:
        """What the catalog says of each line."""
        request = requests.resolve_items(document)
        return requests.found_items(
            await self._ask(self._catalog.ResolveItems, request, key.merchant_id)
        )

    async def match(self, key: OrderKey, document: Document) -> Buyer:
        """Whom the order's address belongs to; nobody where it has none."""
        if not document.address:
            return Buyer("", "")
        request = requests.match_customer(key, document)
        answer = await self._ask(self._customers.MatchCustomer, request, key.merchant_id)
        return Buyer(document.address, answer.customer.customer_id)

    async def reserve(self, key: OrderKey, hold: Hold) -> Reservation:
        """Holds the stock."""
        request = requests.reserve_stock(key, hold)
        answer = await self._ask(self._inventory.ReserveStock, request, key.merchant_id)
        return requests.reservation(answer.reservation)

    async def take(self, key: OrderKey, hold: Hold) -> Reservation:
        """Takes the stock at once."""
        request = requests.take_stock(key, hold)
        answer = await self._ask(self._inventory.TakeStock, request, key.merchant_id)
        return requests.reservation(answer.reservation)

    async def put_back(self, key: OrderKey, reservation_id: str) -> None:
        """Puts back what was taken at once."""
        request = requests.put_back_stock(key, reservation_id)
        await self._ask(self._inventory.PutBackStock, request, key.merchant_id)

    async def release(self, key: OrderKey, reservation_id: str) -> None:
        """Gives the stock free."""
        request = requests.release_reservation(key, reservation_id)
        await self._ask(self._inventory.ReleaseReservation, request, key.merchant_id)

    async def commit(self, key: OrderKey, held: Reservation, pos_version: int | None) -> None:
        """Says that the hold's sale is posted."""
        request = requests.commit_reservation(key, held, pos_version)
        await self._ask(self._inventory.CommitReservation, request, key.merchant_id)

    async def adjust(self, sale: Sale, change: StockChange) -> None:
        """Takes the stock of a till's sale."""
        request = requests.adjust_stock(sale, change)
        await self._ask(self._inventory.AdjustStock, request, sale.key.merchant_id)

    async def _ask_channel(self, key: ChannelKey) -> Channel:
        request = channels_pb2.GetChannelRequest(channel_id=key[1])
        asked_s = time.monotonic()
        answer = await self._ask(self._channels.GetChannel, request, key[0])
        found = requests.channel(answer.channel)
        if len(self._known) >= CHANNELS_MAX:
            self._known.clear()
        self._known[key] = (asked_s, found)
        return found

    async def _ask(
        self, method: Callable[..., Awaitable[Answer]], request: Any, merchant_id: str
    ) -> Answer:
        metadata = self._identity.metadata(merchant_id)
        try:
            return await method(request, metadata=metadata, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
