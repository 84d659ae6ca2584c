"""The work of one channel, while this process holds its lease."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from google.protobuf.message import Message

from gateway.connections import Link
from gateway.ecom import Store
from gateway.platform import PlatformError
from gateway.pos import PointOfSale
from gateway.push.chores import PAUSE_S_MAX, Chores
from gateway.push.listings import ListingPush
from gateway.push.orders import OrderFetch
from gateway.push.sales import SalePosting
from gateway.push.shelves import Shelves
from gateway.push.stock import StockPush
from gateway.push.sweep import compare
from gateway.records import BadRecordError
from services.chassis.errors import DomainError
from services.chassis.follow import follow
from tillbridge.catalog.v1 import events_pb2 as catalog_events
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events
from tillbridge.order.v1 import events_pb2 as order_events

EVENTS_MAX = 1000
SWEEP_EVERY_S = 24 * 3600.0
SWEEP_PAUSE_S = 0.5

log = structlog.get_logger()

Task = Callable[[], Awaitable[None]]


class ChannelWork:
    """What goes out to a channel's platforms.

    Each feed, and each kind of chore on it, is followed by itself: an order that takes long to
    fetch holds up no stock.

    Args:
        link: the channel.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._sweep_now = asyncio.Event()

    def sweep(self) -> None:
        """Asks for a sweep now."""
        self._sweep_now.set()

    async def run(self) -> None:
        """Works until it is canceled."""
        tasks: list[Task] = []
        if self._link.store is not None:
            tasks += await self._for_store(self._link.store)
        if self._link.pos is not None:
            tasks += self._for_pos(self._link.pos)
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(_forever(task))

    async def _for_store(self, store: Store) -> list[Task]:
        link = self._link
        shelves = Shelves(link.channel_id, link.owners, store)
        stock = Chores("stock", StockPush(store, shelves, lambda _: self.sweep()).do)
        outdated: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        pushing = ListingPush(link.owners, store, shelves, outdated.put_nowait)
        listings = Chores("listing", pushing.do)
        fetching = OrderFetch(link.owners, store, shelves)
        orders = Chores("order", fetching.do)

        async def catch_up() -> None:
            while True:
                await stock.do(await outdated.get())

        async def sweep() -> None:
            found = await compare(shelves, pushing)
            log.info(
                "sweep",
                channel_id=link.channel_id,
                listings=len(found.product_ids),
                stocks=len(found.item_ids),
                compared=found.compared,
            )
            await stock.do(found.item_ids)
            await listings.do(found.product_ids)
            async for reported in fetching.reported():
                await orders.do(reported)

        await self._until_done(lambda: self._know(shelves))
        return [
            stock.retry,
            listings.retry,
            orders.retry,
            catch_up,
            lambda: self._sweep_often(sweep),
            self._follow("inventory", "", inventory_events.OnlineStockChanged, "item_id", stock),
            self._follow("catalog", "", catalog_events.ListingChanged, "product_id", listings),
            self._follow("order", "", order_events.OrderChangeReported, "order_id", orders),
        ]

    def _for_pos(self, pos: PointOfSale) -> list[Task]:
        link = self._link
        posting = SalePosting(link.channel_id, link.owners, pos)
        sales = Chores("sale", posting.do)

        async def sweep() -> None:
            async for unposted in posting.unposted():
                await sales.do(unposted)

        return [
            sales.retry,
            lambda: self._sweep_often(sweep),
            self._follow("order", "/sales", order_events.SaleChanged, "sale_id", sales),
        ]

    async def _know(self, shelves: Shelves) -> None:
        """Learns what the store holds, so that the first events find their slots."""
        await shelves.read()
        async for listings in shelves.listings():
            for listing in listings:
                shelves.learn(listing)

    def _follow(
        self, feed: str, suffix: str, event_type: type[Message], name_field: str, chores: Chores
    ) -> Task:
        """A task that makes chores of the channel's events of one type."""
        link = self._link
        request = events_pb2.ReadEventsRequest(
            feed=feed,
            consumer=f"gateway/{link.channel_id}{suffix}",
            types=[event_type.DESCRIPTOR.full_name],
            channel_id=link.channel_id,
            max_events=EVENTS_MAX,
        )

        async def handle(events: Sequence[events_pb2.Event]) -> None:
            names: list[str] = []
            for event in events:
                fact = event_type()
                if event.data.Unpack(fact):
                    names.append(getattr(fact, name_field))
            await chores.do(names)

        return lambda: follow(link.owners.feeds[feed], link.owners.identity, request, handle)

    async def _sweep_often(self, sweep: Task) -> None:
        """Sweeps now, whenever that is asked for, and every night. A store that contradicts itself
        asks for one after each: hence the pause.
        """
        while True:
            self._sweep_now.clear()
            await self._until_done(sweep)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sweep_now.wait(), SWEEP_EVERY_S)
            await asyncio.sleep(SWEEP_PAUSE_S)

    async def _until_done(self, task: Task) -> None:
        pause_s = 0.2
        while True:
            try:
                return await task()
            except (BadRecordError, DomainError, PlatformError) as error:
                log.warning("not done yet", channel_id=self._link.channel_id, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)


async def _forever(task: Task) -> None:
    await task()
