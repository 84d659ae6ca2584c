"""What the order service follows: the feeds that let waiting orders go on."""

from collections.abc import Callable, Sequence
from functools import partial

from services.chassis.database import Database, Transaction
from services.chassis.plumbing import batches
from services.order.rules.order import Order, OrderKey, references, retried
from services.order.service.told import tell_order
from services.order.store import orders
from services.order.wire import requests
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.customer.v1 import events_pb2 as customer_events_pb2
from tillbridge.events.v1 import events_pb2

WAKE_MAX = 200
"""Orders that one transaction wakes, so that calls need not wait for all that wait for an item."""


class CatalogFollower:
    """Lets orders go on that wait for an item, as soon as the catalog has it (ORD-12)."""

    request = events_pb2.ReadEventsRequest(
        feed="catalog",
        consumer="order",
        types=[catalog_events_pb2.ProductChanged.DESCRIPTOR.full_name],
        max_events=1000,
    )

    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, events: Sequence[events_pb2.Event]) -> None:
        """Wakes the orders that wait for the items of these events."""
        named: set[tuple[str, str]] = set()
        for event in events:
            changed = catalog_events_pb2.ProductChanged()
            if event.data.Unpack(changed):
                for item in requests.changed_items(changed):
                    named.update((event.merchant_id, name) for name in references(*item))
        found = await self._database.read(lambda c: orders.awaiting(c, named))
        for part in batches(found, WAKE_MAX):
            wake = partial(_wake, keys=part, waits=lambda order: bool(order.awaited))
            await self._database.apply("wake orders", wake)


class CustomerFollower:
    """Lets orders go on that wait for a customer to be told from another, as soon as one can be
    (BEY-14).
    """

    request = events_pb2.ReadEventsRequest(
        feed="customer",
        consumer="order",
        types=[customer_events_pb2.OrdersUnblocked.DESCRIPTOR.full_name],
        max_events=100,
    )

    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, events: Sequence[events_pb2.Event]) -> None:
        """Wakes the orders of these events that still wait for that."""
        named: list[OrderKey] = []
        for event in events:
            unblocked = customer_events_pb2.OrdersUnblocked()
            if event.data.Unpack(unblocked):
                named += requests.unblocked_orders(event.merchant_id, unblocked)
        for part in batches(sorted(set(named)), WAKE_MAX):
            wake = partial(_wake, keys=part, waits=_waits_for_customer)
            await self._database.apply("wake orders", wake)


def _waits_for_customer(order: Order) -> bool:
    return order.waiting is not None and order.waiting.reason == "CUSTOMER_AMBIGUOUS"


def _wake(
    transaction: Transaction, keys: Sequence[OrderKey], waits: Callable[[Order], bool]
) -> None:
    known = orders.orders(transaction.connection, keys, lock=True)
    waiting = [order for order in known.values() if waits(order)]
    saved = [retried(order, transaction.now) for order in waiting]
    orders.save_orders(transaction.connection, saved, known, keep_leases=True)
    for order in saved:
        tell_order(transaction, order)
