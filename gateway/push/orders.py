"""Orders from the store: reported ones are fetched and ingested (ORD-01, ORD-11, ORD-12), and what
the store should show of them is written there.
"""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import structlog

from gateway.ecom import Store
from gateway.order_drift import OrderComparison
from gateway.owners import Owners
from gateway.platform import PlatformError
from gateway.push.chores import Failures, Turns, complaint, is_transient, one_by_one
from gateway.push.shelves import Shelves
from gateway.records import BadRecordError, request_id
from services.chassis import failpoints
from tillbridge.order.v1 import order_pb2

PAGE_SIZE = 500
SWEPT_MAX = 5_000
"""How far back a sweep looks for orders that the store does not show as it should."""

log = structlog.get_logger()


class OrderFetch:
    """Fetches orders that the store has reported, and writes back what it should show of them."""

    def __init__(
        self, owners: Owners, store: Store, shelves: Shelves, comparing: OrderComparison
    ) -> None:
        self._owners = owners
        self._store = store
        self._shelves = shelves
        self._comparing = comparing
        self._turns = Turns()

    async def do(self, order_ids: Sequence[str]) -> Failures:
        """Ingests these orders as the store has them now."""
        return await one_by_one(order_ids, self._fetch)

    async def reported(self) -> AsyncIterator[Sequence[str]]:
        """Orders whose document is still missing."""
        request = order_pb2.ListOrdersRequest(
            channel_id=self._shelves.channel_id,
            state=order_pb2.ORDER_STATE_REPORTED,
            page_size=PAGE_SIZE,
        )
        while True:
            answer = await self._owners.call(self._owners.orders.ListOrders, request)
            yield [order.document.order_id for order in answer.orders]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def missing(self) -> Sequence[str]:
        """Orders that the store's own list does not have: they are fetched, to see whether they are
        gone. What else it has otherwise than it is known is reported.
        """
        return await self._comparing.sweep(self._store)

    async def show(self, order_ids: Sequence[str]) -> Failures:
        """Has the store show of these orders what it should and does not, if anything."""
        return await one_by_one(order_ids, self._show)

    async def unshown(self) -> AsyncIterator[Sequence[str]]:
        """Of the newest orders, those of which the store does not show what it should."""
        request = order_pb2.ListOrdersRequest(
            channel_id=self._shelves.channel_id, page_size=PAGE_SIZE
        )
        for _ in range(SWEPT_MAX // PAGE_SIZE):
            answer = await self._owners.call(self._owners.orders.ListOrders, request)
            yield [
                order.document.order_id for order in answer.orders if order.HasField("store_update")
            ]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def _show(self, order_id: str) -> None:
        """Writes what the order service says is missing, and reads the order back: the document
        that shows it ends it. The store's own word about that write says nothing new then (BEY-16).

        Raises:
            PlatformError: the store does not show it yet, refuses to, or cannot be reached.
        """
        async with self._turns.of(order_id):
            update = await self._unshown(order_id)
            if update is None:
                return
            try:
                await self._store.show_order(order_id, update)
            except (BadRecordError, PlatformError) as error:
                if not is_transient(error):
                    await self._report(order_id, update, error)
                raise
            news = await self._ingest(order_id)
            if not news and await self._unshown(order_id) == update:
                # Written in the second of the change before it, which is as old as that then.
                message = f"order {order_id} does not show what was written"
                raise PlatformError(self._shelves.channel_id, message, transient=True)

    async def _report(self, order_id: str, update: order_pb2.StoreUpdate, error: Exception) -> None:
        """Lets the order service keep that the store refuses to show an order so (BEY-09)."""
        gone = isinstance(error, PlatformError) and error.status == 404
        if gone:
            await self._comparing.report_gone(order_id)
        await self._owners.call(
            self._owners.orders.ReportStoreUpdateRefused,
            order_pb2.ReportStoreUpdateRefusedRequest(
                request_id=f"unshown/{uuid4()}",
                channel_id=self._shelves.channel_id,
                order_id=order_id,
                update=update,
                message="the store has no such order" if gone else complaint(error),
            ),
        )

    async def _unshown(self, order_id: str) -> order_pb2.StoreUpdate | None:
        request = order_pb2.GetOrderRequest(channel_id=self._shelves.channel_id, order_id=order_id)
        order = (await self._owners.call(self._owners.orders.GetOrder, request)).order
        return order.store_update if order.HasField("store_update") else None

    async def _fetch(self, order_id: str) -> None:
        async with self._turns.of(order_id):
            await self._ingest(order_id)

    async def _ingest(self, order_id: str) -> bool:
        """Ingests an order as the store has it; tells whether that was news."""
        try:
            document = await self._store.order(order_id)
        except PlatformError as error:
            if error.status != 404:
                raise
            # It stays as it is, and visible: no order is dropped because a store lost it (BEY-07).
            await self._comparing.report_gone(order_id)
            return False
        if document is None:
            log.info("not an order yet", channel_id=self._shelves.channel_id, id=order_id)
            return False
        failpoints.at("push.order.fetched")
        for line in document.lines:
            line.item_id = self._shelves.item_in_line(line.item_id)
        request = order_pb2.IngestOrderRequest(
            channel_id=self._shelves.channel_id, document=document
        )
        about = (self._shelves.channel_id, order_id, document.version)
        request.request_id = request_id("order", *about, body=request)
        answer = await self._owners.call(self._owners.orders.IngestOrder, request)
        return answer.changed
