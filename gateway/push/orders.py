"""Orders from the store: reported ones are fetched and ingested (ORD-01, ORD-11, ORD-12)."""

from collections.abc import AsyncIterator, Sequence

import structlog

from gateway.ecom import Store
from gateway.owners import Owners
from gateway.platform import PlatformError
from gateway.push.chores import Failures, Turns, one_by_one
from gateway.push.shelves import Shelves
from gateway.records import request_id
from tillbridge.order.v1 import order_pb2

PAGE_SIZE = 500

log = structlog.get_logger()


class OrderFetch:
    """Fetches orders that the store has reported."""

    def __init__(self, owners: Owners, store: Store, shelves: Shelves) -> None:
        self._owners = owners
        self._store = store
        self._shelves = shelves
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

    async def _fetch(self, order_id: str) -> None:
        async with self._turns.of(order_id):
            await self._ingest(order_id)

    async def _ingest(self, order_id: str) -> None:
        try:
            document = await self._store.order(order_id)
        except PlatformError as error:
            if error.status != 404:
                raise
            # It stays visible as reported: an order is never dropped because a store lost it.
            log.warning("order not in the store", channel_id=self._shelves.channel_id, id=order_id)
            return
        if document is None:
            log.info("not an order yet", channel_id=self._shelves.channel_id, id=order_id)
            return
        for line in document.lines:
            line.item_id = self._shelves.item_in_line(line.item_id)
        request = order_pb2.IngestOrderRequest(
            channel_id=self._shelves.channel_id, document=document
        )
        about = (self._shelves.channel_id, order_id, document.version)
        request.request_id = request_id("order", *about, body=request)
        await self._owners.call(self._owners.orders.IngestOrder, request)
