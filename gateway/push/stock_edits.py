"""Stock that was typed in a store, told to the inventory (INV-10)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog

from gateway.ecom import OrderSeen, Shelf, Slot, Store
from gateway.owners import Owners
from gateway.push.shelves import Shelves, Told
from services.chassis.errors import DomainError
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.order.v1 import order_pb2

QUANTITY_MAX = 10**9

SETTLED = frozenset(
    {order_pb2.ORDER_STATE_HELD, order_pb2.ORDER_STATE_POSTED, order_pb2.ORDER_STATE_CANCELED}
)
"""States of orders whose effect on the stock the inventory knows."""

RESTORES_AT_ONCE = 3
"""So often a stock is put right as soon as it is found wrong. From then on the wait doubles each
time: a store that never keeps what it is given is not written without end (BEY-16).
"""

WAIT_FIRST_S = 60.0
WAIT_S_MAX = 24 * 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Restores:
    """How often an item's stock was put right, without the longest wait between, and when last."""

    times: int
    at_s: float

    @property
    def wait_s(self) -> float:
        """For how long it is left then."""
        doublings = self.times - RESTORES_AT_ONCE
        return 0.0 if doublings < 0 else min(WAIT_FIRST_S * 2.0 ** min(doublings, 30), WAIT_S_MAX)


class StockEdits:
    """Tells apart why a store shows another stock than it was told, and reports what was typed.

    A store lowers its stock by itself with every order, before anybody here knows of it, and raises
    it when one is canceled. So nothing is an edit while an order of the product is on its way to
    us. Once all are known, the inventory says by the figure's version whether a newer one is.

    Args:
        owners: the services.
        store: what to look at.
        shelves: what it was told.
        again: told the items whose stock has to be written again, though nobody typed it.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        owners: Owners,
        store: Store,
        shelves: Shelves,
        again: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owners = owners
        self._store = store
        self._shelves = shelves
        self._again = again
        self._clock = clock
        self._restores: dict[str, Restores] = {}

    async def look(self, shelf: Shelf) -> None:
        """Looks at a shelf as it was just read, while nothing is written to it.

        Raises:
            DomainError: a service cannot be reached.
            PlatformError: the store's orders cannot be read.
        """
        changed = {
            item_id: found
            for item_id, found in self._shelves.changed(shelf).items()
            if self._is_due(item_id)
        }
        if not changed:
            return
        told_s = min(told.at_s for _, told in changed.values())
        orders = await self._store.orders_of(shelf.shelf_id, told_s)
        for order in orders:
            if not await self._is_settled(order):
                log.info("stock moves with an order", order_id=order.order_id)
                return
        for item_id, (slot, told) in changed.items():
            typed = not (slot.figure.unlimited or told.figure.unlimited)
            if any(order.version >= told.at_s for order in orders):
                typed = False  # one whose stock is none of the figure's, such as a tied outlet's
            if not (typed and await self._report(item_id, slot, told)):
                self._again([item_id])
            self._count(item_id)

    def _is_due(self, item_id: str) -> bool:
        last = self._restores.get(item_id)
        return last is None or self._clock() - last.at_s >= last.wait_s

    def _count(self, item_id: str) -> None:
        now, last = self._clock(), self._restores.get(item_id)
        again = last is not None and now - last.at_s < WAIT_S_MAX
        self._restores[item_id] = Restores(last.times + 1 if last and again else 1, now)

    async def _is_settled(self, seen: OrderSeen) -> bool:
        request = order_pb2.GetOrderRequest(
            channel_id=self._shelves.channel_id, order_id=seen.order_id
        )
        try:
            order = (await self._owners.call(self._owners.orders.GetOrder, request)).order
        except DomainError as error:
            if error.reason == "ORDER_NOT_FOUND":
                return False
            raise
        return order.state in SETTLED and order.document.version >= seen.version

    async def _report(self, item_id: str, slot: Slot, told: Told) -> bool:
        """Reports an edit; False when no new figure follows from it."""
        request = inventory_pb2.ReportStockEditRequest(
            request_id=f"stock-edit/{uuid4()}",
            channel_id=self._shelves.channel_id,
            item_id=item_id,
            store_quantity=max(-QUANTITY_MAX, min(slot.figure.quantity, QUANTITY_MAX)),
            version=told.figure.version,
        )
        try:
            answer = await self._owners.call(self._owners.inventory.ReportStockEdit, request)
        except DomainError as error:
            if error.transient:
                raise
            log.warning("stock edit not taken", item_id=item_id, why=error.message)
            return False
        return answer.outcome != inventory_pb2.STOCK_EDIT_OUTCOME_UNCHANGED
