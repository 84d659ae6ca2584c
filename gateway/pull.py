"""The inward half by polling: the first import, and whatever the webhooks did not tell.

How far each list was read is kept by ChannelService after every page, so that an import that
breaks off goes on where it was. Everything carries its version, so that what was told before
changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from gateway.connections import Link
from gateway.ecom import Store
from gateway.inward import Inward
from gateway.order_drift import OrderComparison
from gateway.platform import PlatformError
from gateway.pos import Batch, MirroredSale, PointOfSale
from gateway.records import PUT_ASIDE, Aside, BadRecordError
from services.chassis import failpoints
from services.chassis.errors import DomainError
from tillbridge.inventory.v1 import channels_pb2

POLL_S = 60.0
FIRST_RETRY_S = 1.0
"""While the first import does not get through, it is tried again sooner."""

HELD_BACK_S_MAX = 24 * 3600
"""For how long an order that cannot be taken has the list read from before it."""

Read = TypeVar("Read")

log = structlog.get_logger()


class Pull:
    """Polls the platforms of channels.

    Args:
        poll_s: seconds between two polls.
        public_url: where the platforms reach this gateway, without a slash at the end.
    """

    def __init__(self, poll_s: float, public_url: str) -> None:
        self._poll_s = poll_s
        self._public_url = public_url

    async def run(self, link: Link) -> None:
        """Polls a channel's platforms until it is canceled."""
        polls: list[Callable[[], Awaitable[None]]] = []
        if link.pos is not None and link.pos_side is not None:
            polls.append(PosPoll(link, link.pos, link.pos_side.platform).poll)
            polls.append(self._subscribing(link, link.pos, link.pos_side.platform))
        if link.store is not None:
            polls.append(StorePoll(link, link.store).poll)
        async with asyncio.TaskGroup() as group:
            for poll in polls:
                group.create_task(self._often(link, poll))

    def _subscribing(
        self, link: Link, pos: PointOfSale, platform: str
    ) -> Callable[[], Awaitable[None]]:
        url = f"{self._public_url}/webhooks/{platform}/{link.channel_id}"
        subscribed = False

        async def subscribe() -> None:
            nonlocal subscribed
            if not subscribed:
                await pos.subscribe(url)
                subscribed = True

        return subscribe

    async def _often(self, link: Link, poll: Callable[[], Awaitable[None]]) -> None:
        pause_s = min(FIRST_RETRY_S, self._poll_s)
        while True:
            try:
                await poll()
                pause_s = self._poll_s
            except (BadRecordError, DomainError, PlatformError) as error:
                log.warning("poll broke off", channel_id=link.channel_id, error=str(error))
            except Exception:
                log.exception("poll broke", channel_id=link.channel_id)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._poll_s)


class PosPoll:
    """Polls the point of sale of one channel."""

    def __init__(self, link: Link, pos: PointOfSale, platform: str) -> None:
        self._cursors = Cursors(link)
        self._pos = pos
        self._inward = Inward(link.owners, pos, platform)

    async def poll(self) -> None:
        """Takes what changed since the last poll; everything the first time.

        Products come before levels, since a level of an item that nobody knows is worth nothing.
        A list that breaks off does not keep the later ones from being read.
        """
        await self._inward.places()
        pos, inward = self._pos, self._inward
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            lambda: self._read("pos-products", pos.products_since, inward.products),
            lambda: self._read("pos-levels", pos.levels_since, inward.levels),
            lambda: self._read("pos-customers", pos.customers_since, inward.customers),
            self._read_sales,
        )
        failures: list[Exception] = []
        for step in steps:
            try:
                await step()
            except (BadRecordError, DomainError, PlatformError) as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _read_sales(self) -> None:
        """Reads sales; those that make no sense are kept for an operator to see."""
        unread: list[Aside] = []

        async def take(sales: Sequence[MirroredSale]) -> None:
            bad = [one for one in unread if one.name]
            await self._inward.sales(sales)
            for one in bad:
                await self._inward.refused(one.name, 0, "INVALID_FIELD", one.why)
            unread.clear()

        before = PUT_ASIDE.set(unread)
        try:
            await self._read("pos-sales", self._pos.sales_since, take)
        finally:
            PUT_ASIDE.reset(before)

    async def _read(
        self,
        resource: str,
        since: Callable[[str], AsyncIterator[Batch[Read]]],
        take: Callable[[Sequence[Read]], Awaitable[None]],
    ) -> None:
        count = 0
        async for batch in since(await self._cursors.get(resource)):
            await take(batch.records)
            failpoints.at("poll.taken")
            await self._cursors.set(resource, batch.cursor)
            failpoints.at("poll.kept")
            count += len(batch.records)
        if count:
            log.info("polled", resource=resource, records=count)


class StorePoll:
    """Polls the orders of one channel's store."""

    RESOURCE = "store-orders"

    def __init__(self, link: Link, store: Store) -> None:
        self._link = link
        self._cursors = Cursors(link)
        self._store = store
        self._comparing = OrderComparison(link)

    async def poll(self) -> None:
        """Reports orders that are not known as the store has them (ORD-12).

        Orders from before the channel was made are history: the first poll begins at its creation.
        """
        cursor = await self._cursors.get(self.RESOURCE) or str(await self._comparing.beginning())
        untaken: list[int] = []
        async for orders, behind in self._store.orders_since(cursor):
            untaken += [seen.version for seen in orders if not await self._comparing.is_taken(seen)]
            if behind != cursor:
                await self._cursors.set(self.RESOURCE, _held_back(cursor, behind, untaken))


def _held_back(cursor: str, behind: str, untaken: Sequence[int]) -> str:
    """Where to go on: not behind the first change that was not taken yet, since a fetch that did
    not come through is remembered by nobody else; but not held back forever by one that never will.
    """
    first = min([int(behind), *untaken])
    return str(max(int(cursor), int(behind) - HELD_BACK_S_MAX, first))


class Cursors:
    """How far each list of a channel's platforms was read."""

    def __init__(self, link: Link) -> None:
        self._owners = link.owners
        self._channel_id = link.channel_id

    async def get(self, resource: str) -> str:
        """Where to go on; empty when the list was never read."""
        request = channels_pb2.GetPollCursorRequest(channel_id=self._channel_id, resource=resource)
        return (await self._owners.call(self._owners.channels.GetPollCursor, request)).cursor

    async def set(self, resource: str, cursor: str) -> None:
        """Keeps where to go on."""
        request = channels_pb2.SetPollCursorRequest(
            channel_id=self._channel_id, resource=resource, cursor=cursor
        )
        await self._owners.call(self._owners.channels.SetPollCursor, request)
