"""The work of one channel, while this process holds its lease."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from google.protobuf.message import Message

from gateway.connections import Link
from gateway.ecom import Shelf, Store
from gateway.order_drift import OrderComparison
from gateway.platform import PlatformError
from gateway.pos import PointOfSale
from gateway.push.chores import PAUSE_S_MAX, Chores, Failures, one_by_one
from gateway.push.echoes import Echoes
from gateway.push.edits import ListingEdits
from gateway.push.listings import ListingPush
from gateway.push.orders import OrderFetch
from gateway.push.sales import SalePosting
from gateway.push.shelves import Shelves
from gateway.push.stock import StockPush
from gateway.push.stock_edits import StockEdits
from gateway.push.sweep import compare, edited_of
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
LOOKS_AT_ONCE = 4
ECHOES_EVERY_S = 30.0
"""How often the products that were written are looked at."""

LOOK_AGAIN_S = 2.0
"""How long a stock that was changed in the store is given to turn out as that of an order."""

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
        self._shelves: Shelves | None = None
        self._echoes = Echoes()
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    def sweep(self) -> None:
        """Asks for a sweep now."""
        self._sweep_now.set()

    def product_at(self, shelf_id: str) -> str:
        """The product whose listing the store has, or had, under an id of its own; empty when none
        of ours.
        """
        return self._shelves.product_at(shelf_id) if self._shelves else ""

    def is_echo(self, shelf_id: str) -> bool:
        """Whether an event about this counts as the echo of our own write (BEY-16)."""
        return self._echoes.is_one(shelf_id)

    def saw(self, shelf: Shelf) -> None:
        """Has a shelf that was just read looked at again, if it shows another stock than it was
        told (INV-10).
        """
        if self._shelves is not None and self._shelves.changed(shelf):
            self._changed.put_nowait(shelf.product_id)

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
        shelves = self._shelves = Shelves(link.channel_id, link.owners, store)
        missing: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        outdated: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        edits = Chores("edit", self._looking(store, shelves, outdated.put_nowait))
        stock = Chores("stock", StockPush(store, shelves, self._echoes, missing.put_nowait).do)
        pushing = ListingPush(link.owners, store, shelves, outdated.put_nowait, self._echoes.note)
        listings = Chores("listing", pushing.do)
        fetching = OrderFetch(link.owners, store, shelves, OrderComparison(link))
        orders = Chores("order", fetching.do)
        shown = Chores("order status", fetching.show)

        async def restore(product_ids: Sequence[str]) -> None:
            await edits.do(product_ids)
            await listings.do(product_ids)

        async def sweep() -> None:
            found = await compare(shelves, pushing)
            await restore(found.edited)
            await stock.do(found.item_ids)
            await listings.do(found.product_ids)
            async for reported in fetching.reported():
                await orders.do(reported)
            await orders.do(await fetching.missing())
            async for unshown in fetching.unshown():
                await shown.do(unshown)

        await self._until_done(lambda: self._know(shelves))
        return [
            edits.retry,
            stock.retry,
            listings.retry,
            orders.retry,
            shown.retry,
            lambda: _fed_by(outdated, stock.do),
            lambda: _fed_by(missing, restore),
            lambda: self._look_after_echoes(shelves, pushing, restore),
            lambda: self._look_after_changes(edits),
            lambda: self._sweep_often(sweep),
            self._follow("inventory", "", inventory_events.OnlineStockChanged, "item_id", stock),
            self._follow("catalog", "", catalog_events.ListingChanged, "product_id", listings),
            self._follow("order", "", order_events.OrderChangeReported, "order_id", orders),
            self._follow("order", "/status", order_events.OrderChanged, "order_id", shown),
        ]

    def _looking(
        self, store: Store, shelves: Shelves, again: Callable[[Sequence[str]], None]
    ) -> Callable[[Sequence[str]], Awaitable[Failures]]:
        """What looks at products whose listing or stock may have been changed in the store."""
        looking = ListingEdits(self._link.channel_id, self._link.owners, store)
        stock = StockEdits(self._link.owners, store, shelves, again)

        async def look(product_id: str) -> None:
            async with shelves.lock(product_id):
                held = await looking.look(product_id)
                if held is None:
                    shelves.drop(product_id)
                else:
                    shelves.put(held.shelf)
                    await stock.look(held.shelf)

        return lambda product_ids: one_by_one(product_ids, look, LOOKS_AT_ONCE)

    async def _look_after_echoes(
        self,
        shelves: Shelves,
        pushing: ListingPush,
        restore: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """Looks at what was changed while it was written, if it was (BEY-16)."""
        while True:
            await asyncio.sleep(ECHOES_EVERY_S)
            written = self._echoes.to_look_at()
            if not written:
                continue
            try:
                await restore(await edited_of(shelves, pushing, written))
            except (BadRecordError, DomainError, PlatformError) as error:
                log.warning("not looked at", channel_id=self._link.channel_id, error=str(error))
                for shelf_id in written:  # next time
                    self._echoes.note(shelf_id)

    async def _look_after_changes(self, edits: Chores) -> None:
        """Looks at stock that was changed in the store, a moment later (INV-10)."""
        while True:
            product_ids = {await self._changed.get()}
            await asyncio.sleep(LOOK_AGAIN_S)
            while not self._changed.empty():
                product_ids.add(self._changed.get_nowait())
            await edits.do(product_ids)

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


async def _fed_by(
    queue: asyncio.Queue[Sequence[str]], do: Callable[[Sequence[str]], Awaitable[None]]
) -> None:
    while True:
        await do(await queue.get())


async def _forever(task: Task) -> None:
    await task()
