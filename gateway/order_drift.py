"""What a store has of orders, compared with what is known of them (BEY-07, ORD-12)."""

import time
from collections.abc import Sequence
from uuid import uuid4

import structlog

from gateway.connections import Link
from gateway.ecom import OrderSeen, Store
from gateway.records import quarantine, request_id
from services.chassis.errors import DomainError
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.order.v1 import order_pb2

SWEPT_S = 30 * 24 * 3600
"""How old the last change of an order may be for a sweep to look at it."""
AGAIN_S = 600.0
"""How often an order that stays different is reported anew."""

PAGE_SIZE = 500

log = structlog.get_logger()


class OrderComparison:
    """Compares orders of one channel, and reports those that the order service does not know as the
    store has them: it keeps why, and has them fetched.
    """

    def __init__(self, link: Link) -> None:
        self._owners = link.owners
        self._channel_id = link.channel_id
        self._platform = link.store_side.platform if link.store_side else "store"
        self._process = uuid4().hex[:12]

    async def sweep(self, store: Store) -> Sequence[str]:
        """Compares all orders that changed lately, whatever was polled or told of them.

        Returns:
            Orders that are known here, and that the store's list does not have: they are fetched,
            to see whether they are gone.

        Raises:
            DomainError: the order service cannot be reached.
            PlatformError: the store cannot be read.
        """
        begin = max(int(time.time()) - SWEPT_S, await self.beginning())
        listed = {
            seen.order_id: seen async for page, _ in store.orders_since(str(begin)) for seen in page
        }
        missing: list[str] = []
        reported = 0
        request = order_pb2.ListOrdersRequest(channel_id=self._channel_id, page_size=PAGE_SIZE)
        while True:
            answer = await self._owners.call(self._owners.orders.ListOrders, request)
            for order in answer.orders:
                seen = listed.pop(order.document.order_id, None)
                if seen and not _is_same(order, seen):
                    reported += not await self.is_taken(seen)
                elif seen is None and _is_expected(order, begin):
                    missing.append(order.document.order_id)
            if not answer.next_page_token or answer.orders[-1].create_time.seconds < begin:
                break
            request.page_token = answer.next_page_token
        for seen in listed.values():
            reported += not await self.is_taken(seen)
        log.info(
            "order sweep", channel_id=self._channel_id, reported=reported, missing=len(missing)
        )
        return missing

    async def beginning(self) -> int:
        """When the channel was made, in unix seconds: orders from before are history."""
        request = channels_pb2.GetChannelRequest(channel_id=self._channel_id)
        answer = await self._owners.call(self._owners.channels.GetChannel, request)
        return int(answer.channel.create_time.seconds)

    async def is_taken(self, seen: OrderSeen) -> bool:
        """Whether an order is known as the store has it, or cannot be; else it is reported."""
        try:
            if await self._is_known(seen):
                return True
            # Once in a while, and per process: what a predecessor was told, it may not have got to
            # fetch.
            turn = int(time.monotonic() / AGAIN_S)
            statuses = (seen.payment_status, seen.fulfillment_status)
            about = (self._process, turn, seen.order_id, seen.version, *statuses)
            await self._report(seen.order_id, _store_order(seen), "poll", *about)
        except DomainError as error:
            if error.transient:
                raise
            quarantine(self._platform, "order", seen.order_id, error.message)
            return True
        return False

    async def report_gone(self, order_id: str) -> None:
        """Reports that the store has no such order any more."""
        log.warning("order not in the store", channel_id=self._channel_id, id=order_id)
        await self._report(order_id, order_pb2.StoreOrder(gone=True), "gone", str(uuid4()))

    async def _is_known(self, seen: OrderSeen) -> bool:
        request = order_pb2.GetOrderRequest(channel_id=self._channel_id, order_id=seen.order_id)
        try:
            order = (await self._owners.call(self._owners.orders.GetOrder, request)).order
        except DomainError as error:
            if error.reason == "ORDER_NOT_FOUND":
                return False
            raise
        return _is_same(order, seen)

    async def _report(
        self, order_id: str, seen: order_pb2.StoreOrder, kind: str, *about: object
    ) -> None:
        request = order_pb2.ReportOrderChangeRequest(
            channel_id=self._channel_id, order_id=order_id, seen=seen
        )
        request.request_id = request_id(kind, *about, body=request)
        await self._owners.call(self._owners.orders.ReportOrderChange, request)


def _is_same(order: order_pb2.Order, seen: OrderSeen) -> bool:
    """Whether an order is known as the store has it, or newer."""
    known = order.document
    if order.state == order_pb2.ORDER_STATE_REPORTED or known.version < seen.version:
        return False
    statuses = (known.payment_status, known.fulfillment_status)
    same = (seen.payment_status, seen.fulfillment_status or known.fulfillment_status)
    return known.version > seen.version or statuses == same


def _is_expected(order: order_pb2.Order, begin: int) -> bool:
    """Whether a list of what the store changed since `begin` should have this order."""
    canceled = order.state == order_pb2.ORDER_STATE_CANCELED or order.HasField("cancel_time")
    return order.document.version >= begin and not canceled


def _store_order(seen: OrderSeen) -> order_pb2.StoreOrder:
    found = order_pb2.StoreOrder(
        version=seen.version,
        payment_status=seen.payment_status,
        fulfillment_status=seen.fulfillment_status,
    )
    found.change_time.seconds = seen.version
    return found
