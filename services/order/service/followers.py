"""What the order service follows: what lets orders go on, and what becomes of their holds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from services.chassis.database import Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.plumbing import batches
from services.order.peers import CHANNEL_FRESH_S, Peers
from services.order.rules import moved
from services.order.rules.about import references, stock_reference
from services.order.rules.awaited import with_stock
from services.order.rules.order import (
    Order,
    OrderKey,
    OrderState,
    retried,
)
from services.order.service.cases import Cases
from services.order.service.told import tell_order
from services.order.store import orders
from services.order.wire import requests
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.customer.v1 import events_pb2 as customer_events_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2

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


class InventoryFollower:
    """Lets orders go on that wait for stock, as soon as there is some (ORD-12), and those whose
    channel may let them be posted now (ORD-09); has orders follow what they hold (BEY-04).
    """

    request = events_pb2.ReadEventsRequest(
        feed="inventory",
        consumer="order",
        types=[
            inventory_events_pb2.OnlineStockChanged.DESCRIPTOR.full_name,
            inventory_events_pb2.ChannelChanged.DESCRIPTOR.full_name,
            inventory_events_pb2.ReservationChanged.DESCRIPTOR.full_name,
        ],
        max_events=1000,
    )

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers

    async def handle(self, events: Sequence[events_pb2.Event]) -> None:
        """Wakes the orders that these events let go on."""
        stock: dict[tuple[str, str, str], int | None] = {}
        channels: set[tuple[str, str]] = set()
        for event in events:
            figure = inventory_events_pb2.OnlineStockChanged()
            changed = inventory_events_pb2.ChannelChanged()
            if event.data.Unpack(figure):
                key = (event.merchant_id, figure.channel_id, figure.item_id)
                stock[key] = requests.online_quantity(figure)
            elif event.data.Unpack(changed):
                channels.add((event.merchant_id, changed.channel_id))
        for merchant_id, channel_id in sorted(channels):
            await self._look_at_channel(merchant_id, channel_id)
        await self._wake_for_stock(stock)
        held = map(requests.reservation_told, events)
        await self._follow_holds([told for told in held if told])

    async def _look_at_channel(self, merchant_id: str, channel_id: str) -> None:
        """Has the orders of a channel that are held look at it again: in a moment, when no process
        takes it for what it was before.
        """
        self._peers.forget_channel(merchant_id, channel_id)
        found = await self._database.read(lambda c: orders.held(c, merchant_id, channel_id))
        for part in batches(found, WAKE_MAX):
            await self._database.apply("look at channels", partial(_look_again, keys=part))

    async def _wake_for_stock(self, stock: dict[tuple[str, str, str], int | None]) -> None:
        """Wakes the orders that wait for stock which is there now, the oldest first, and no more of
        them than it may be enough for: each try costs a call.
        """
        named = {
            (merchant_id, stock_reference(item_id))
            for (merchant_id, _, item_id), quantity in stock.items()
            if quantity is None or quantity > 0
        }
        if not named:
            return
        waiting = await self._database.read(
            lambda c: orders.orders(c, orders.awaiting(c, named)).values()
        )
        found: list[OrderKey] = []
        for (merchant_id, channel_id, item_id), quantity in stock.items():
            about = [
                order
                for order in waiting
                if (order.key.merchant_id, order.key.channel_id) == (merchant_id, channel_id)
                and stock_reference(item_id) in order.awaited
            ]
            found += [order.key for order in with_stock(about, item_id, quantity)]
        for part in batches(sorted(set(found)), WAKE_MAX):
            wake = partial(_wake, keys=part, waits=_waits_for_stock)
            await self._database.apply("wake orders", wake)

    async def _follow_holds(self, told: Sequence[tuple[OrderKey, moved.Told]]) -> None:
        """Has orders follow what an operator has done with what they hold.

        Raises:
            DomainError: RESERVATION_NOT_FOUND, an order has not taken in yet what is held for it;
                it may follow when this comes again.
        """
        early: list[OrderKey] = []
        for part in batches(told, WAKE_MAX):
            early += await self._database.apply("follow holds", partial(_follow, told=part))
        if early:
            raise DomainError(
                "RESERVATION_NOT_FOUND",
                f"order {early[0].order_id!r} has not taken in yet what is held for it",
                order_id=early[0].order_id,
            )


def _follow(
    transaction: Transaction, told: Sequence[tuple[OrderKey, moved.Told]]
) -> list[OrderKey]:
    """Has these orders follow; returns those that may not know yet what is held for them."""
    cases = Cases(transaction, {key for key, _ in told})
    for key, one in told:
        if key in cases.going:
            cases.going[key] = moved.follow(cases.going[key], one, transaction.now)
    cases.save()
    return [key for key, case in cases.known.items() if moved.is_early(case.order)]


def _waits_for_stock(order: Order) -> bool:
    return order.waiting is not None and order.waiting.reason == "INSUFFICIENT_STOCK"


def _look_again(transaction: Transaction, keys: Sequence[OrderKey]) -> None:
    known = orders.orders(transaction.connection, keys, lock=True)
    due_time = transaction.now + timedelta(seconds=CHANNEL_FRESH_S)
    saved = [
        replace(order, due_time=due_time)
        for order in known.values()
        if order.state is OrderState.HELD and order.waiting is None
    ]
    orders.save_orders(transaction.connection, saved, known, keep_leases=True)


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
