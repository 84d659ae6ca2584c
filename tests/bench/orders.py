"""What the benchmark orders: a shop with all its services, a checkout, and a million old orders."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import sqlalchemy as sa
from google.type.money_pb2 import Money
from google.type.timeofday_pb2 import TimeOfDay

from services.chassis import migrate
from services.chassis.client import connect
from services.chassis.engines import open_engine
from services.chassis.pages import token_after
from services.chassis.plumbing import batches
from services.chassis.settings import CONTEXTS
from services.chassis.statements import append
from services.order.store.statements import microseconds
from services.order.store.tables import ORDERS
from tests.bench import online, stock
from tests.bench.processes import READY_S, Loader, Served, calling, environment, started, token
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub
from tillbridge.order.v1 import order_pb2, shipping_pb2
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub
from tillbridge.order.v1.shipping_pb2_grpc import ShippingServiceStub

INGEST = "/tillbridge.order.v1.OrderService/IngestOrder"
QUOTE = "/tillbridge.order.v1.ShippingService/QuoteCheckout"
CHANNEL = "web"
KNOWN = 500
"""Orders that are known when they come again."""
LINES, CART_LINES, METHODS = 3, 10, 12
MANY = 1_000_000
ROWS = 10_000
PAGE = 100
SETTLED_S = 300.0
PICKUP, SHIPPING = order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.FULFILLMENT_KIND_SHIPPING

_random = random.Random(11)


def eur(cents: int) -> Money:
    """An amount in euros."""
    return Money(currency_code="EUR", units=cents // 100, nanos=cents % 100 * 10_000_000)


class Store:
    """Requests of a store, whose channel is only known once it was created."""

    def __init__(self) -> None:
        self.channel_id = ""

    def ingest(self) -> bytes:
        """An order that is not known, of a customer who is not."""
        return self._ingest(uuid4().hex[:12])

    def replay(self) -> bytes:
        """An order that is known, as it is known."""
        return self._ingest(f"known-{_random.randrange(KNOWN)}")

    def known(self, number: int) -> order_pb2.IngestOrderRequest:
        """The request that makes an order known."""
        return self._request(f"known-{number}")

    def quote(self) -> bytes:
        """A cart and where it goes."""
        return shipping_pb2.QuoteCheckoutRequest(
            channel_id=self.channel_id,
            lines=[
                shipping_pb2.CartLine(item_id=item_id, quantity="1", unit_price=eur(1990))
                for item_id in _random.sample(stock.ITEMS, CART_LINES)
            ],
            address=order_pb2.Address(country_code="NO", postal_code="0150"),
        ).SerializeToString()

    def _ingest(self, order_id: str) -> bytes:
        return self._request(order_id).SerializeToString()

    def _request(self, order_id: str) -> order_pb2.IngestOrderRequest:
        picked = random.Random(order_id).sample(stock.ITEMS, LINES)
        lines = [
            order_pb2.OrderLine(
                line_id=str(number),
                sku=item_id.upper(),
                name=item_id,
                quantity="1",
                unit_price=eur(1990),
            )
            for number, item_id in enumerate(picked)
        ]
        document = order_pb2.OrderDocument(
            order_id=order_id,
            version=1,
            email=f"{order_id}@example.com",
            buyer_name=f"Buyer {order_id}",
            payment_status=order_pb2.PAYMENT_STATUS_PAID,
            payment_method="Card",
            payment_processor="Stripe",
            fulfillment_kind=SHIPPING,
            shipping_method="Post",
            lines=lines,
            total=eur(1990 * LINES),
            source_document=json.dumps({"id": order_id, "items": picked}),
        )
        document.place_time.FromDatetime(datetime(2026, 1, 1, tzinfo=UTC))
        return order_pb2.IngestOrderRequest(
            request_id=uuid4().hex, channel_id=self.channel_id, document=document
        )


@dataclass(frozen=True, slots=True)
class Shop:
    """All services that an order needs, each in a process of its own."""

    order: Served
    loader: Loader
    database: str
    """Address of the order service's."""
    store: Store


def metadata() -> tuple[tuple[str, str], ...]:
    """Of the shop's till and operator."""
    return (("authorization", f"Bearer {token()}"),)


@asynccontextmanager
async def open_shop(url: str, folder: Path) -> AsyncIterator[Shop]:
    """Serves all contexts, with 1,000 items of which there is plenty."""
    known = {context: environment(context, url, folder) for context in CONTEXTS}
    addresses = {
        name: known[context][name]
        for context in CONTEXTS
        for name in [f"TILLBRIDGE_{context.upper()}_ADDRESS"]
    }
    async with AsyncExitStack() as stack:
        served: dict[str, Served] = {}
        for context in CONTEXTS:
            migrate.upgrade(context, url.replace("{service}", context))
            own = known[context] | addresses
            log = folder / f"{context}.log"
            process = await stack.enter_async_context(
                started("tests.bench.server", context, environment=own, log=log)
            )
            address = own[f"TILLBRIDGE_{context.upper()}_ADDRESS"]
            channel = await stack.enter_async_context(connect(address))
            await asyncio.wait_for(channel.channel_ready(), READY_S)
            served[context] = Served(address, channel, process.pid, own)
        store = Store()
        store.channel_id = await _fill(served["catalog"].channel, served["inventory"].channel)
        loader = await stack.enter_async_context(calling(served["order"].address, folder))
        loader.channel_id = store.channel_id
        yield Shop(served["order"], loader, url.replace("{service}", "order"), store)


async def _fill(catalog: grpc.aio.Channel, inventory: grpc.aio.Channel) -> str:
    """Products in the catalog, and plenty of each where it feeds the channel; the channel's id."""
    products = CatalogServiceStub(catalog)
    for part in batches(stock.ITEMS, stock.BATCH):
        told = [
            catalog_pb2.Product(
                product_id=f"product-{item_id}",
                name=item_id,
                active=True,
                variants=[
                    catalog_pb2.Variant(
                        item_id=item_id, sku=item_id.upper(), retail_price=eur(1990)
                    )
                ],
            )
            for item_id in part
        ]
        await products.BatchUpsertProducts(
            catalog_pb2.BatchUpsertProductsRequest(request_id=uuid4().hex, products=told),
            metadata=metadata(),
        )
    await stock.open_shop(inventory, metadata())
    stub = InventoryServiceStub(inventory)
    listed = inventory_pb2.ListOnlineStockRequest(page_size=1000)
    channels = ChannelServiceStub(inventory)
    found = await channels.ListChannels(channels_pb2.ListChannelsRequest(), metadata=metadata())
    listed.channel_id = found.channels[0].channel_id
    deadline = time.monotonic() + READY_S
    while len((await stub.ListOnlineStock(listed, metadata=metadata())).online_stock) < len(
        stock.ITEMS
    ):
        if time.monotonic() > deadline:
            raise TimeoutError("the inventory has not learned the items")
        await asyncio.sleep(0.05)
    return await online.fill(inventory, metadata())


async def make_known(shop: Shop) -> None:
    """Lets the orders become known that come again later."""
    stub = OrderServiceStub(shop.order.channel)
    for part in batches(range(KNOWN), 50):
        await asyncio.gather(
            *(stub.IngestOrder(shop.store.known(one), metadata=metadata()) for one in part)
        )
    await settled(shop)


async def create_methods(shop: Shop) -> None:
    """Twelve methods: pickups with hours, deliveries with zones, and tables of rates."""
    stub = ShippingServiceStub(shop.order.channel)
    for number in range(METHODS):
        method = shipping_pb2.ShippingMethod(
            method_id=f"method-{number}",
            name=f"Method {number}",
            kind=PICKUP if number % 3 == 0 else SHIPPING,
            outlet_id=stock.CONNECTED[number % 2],
            enabled=True,
            position=number,
            preparation_minutes=60,
        )
        if number % 3 == 0:
            method.time_zone = "Europe/Oslo"
            method.pickup_hours.extend(
                shipping_pb2.PickupHours(
                    day=day, open_time=TimeOfDay(hours=9), close_time=TimeOfDay(hours=17)
                )
                for day in range(1, 7)
            )
        elif number % 3 == 1:
            method.zones.add(country_codes=["NO"], postal_codes=["0150-0199", "5*"])
            method.rate.flat.per_order.CopyFrom(eur(490))
        else:
            method.minimum_subtotal.CopyFrom(eur(1000))
            method.rate.table.basis = shipping_pb2.RATE_TABLE_BASIS_SUBTOTAL
            method.rate.table.rows.add(to="50", rate=shipping_pb2.Rate(per_order=eur(990)))
            method.rate.table.rows.add(rate=shipping_pb2.Rate(per_order=eur(490), percent="1.5"))
            setattr(method.rate.table.rows[1], "from", "50")
        await stub.CreateShippingMethod(
            shipping_pb2.CreateShippingMethodRequest(
                request_id=uuid4().hex, channel_id=shop.store.channel_id, method=method
            ),
            metadata=metadata(),
        )
    quoted = await stub.QuoteCheckout(
        shipping_pb2.QuoteCheckoutRequest.FromString(shop.store.quote()), metadata=metadata()
    )
    if len(quoted.options) != METHODS:
        raise RuntimeError(f"not all methods may be chosen: {quoted}")


async def ingest_rate(shop: Shop, callers: int, seconds: float) -> float:
    """Orders per second from IngestOrder until their sales are posted and their holds have ended,
    all of those that so many callers send in this time.
    """
    before = await settled(shop)
    _, took_s = await shop.loader.ran("ingest", callers, seconds)
    sent = time.monotonic()
    count = await settled(shop) - before
    return count / (took_s + time.monotonic() - sent)


async def settled(shop: Shop) -> int:
    """How many orders there are, once all of them are through.

    Raises:
        TimeoutError: some are not within five minutes.
    """
    engine = open_engine(shop.database, writing=False)
    done = sa.func.sum(sa.case((ORDERS.c.committed & (ORDERS.c.sale_id != ""), 1), else_=0))
    goes = sa.select(sa.literal(1)).where(ORDERS.c.due_time.is_not(None)).limit(1)
    deadline = time.monotonic() + SETTLED_S
    try:
        while True:
            with engine.begin() as connection:
                # To count them all takes time from those who are measured.
                if not (going := connection.execute(goes).first()):
                    count, through = connection.execute(sa.select(sa.func.count(), done)).one()
                    if count == (through or 0):
                        return int(count)
            if time.monotonic() > deadline:
                raise TimeoutError("orders are going" if going else f"{through} of {count} did")
            await asyncio.sleep(0.02)
    finally:
        engine.dispose()


def fill_orders(url: str, count: int = MANY) -> None:
    """Adds old orders: posted, one every half minute; some wait, some await their payment."""
    migrate.upgrade("order", url)
    engine = open_engine(url, writing=True)
    for rows in batches(range(count), ROWS):
        with engine.begin() as connection:
            append(connection, ORDERS, [_row(number, count) for number in rows])
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.exec_driver_sql("SET statement_timeout = 0")
            alone.exec_driver_sql("VACUUM ANALYZE orders")
    engine.dispose()


def _row(number: int, count: int) -> dict[str, Any]:
    order_id = f"X{number:07}"
    email = f"buyer-{number % (count // 4)}@example.com"
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=30 * number)
    waits = number % 1000 == 7
    money = {"currency_code": "EUR", "amount_nanos": 19_900_000_000}
    line = {"line_id": "1", "item_id": "", "sku": "MUG", "name": "Mug", "quantity": 1000}
    document: dict[str, Any] = {
        "order_id": order_id,
        "version": 1,
        "payment_status": 2,
        "lines": [line | {"unit_price": money}] * LINES,
        "total": money,
        "email": email,
        "buyer_name": f"Buyer {number}",
    }
    return {
        "merchant_id": stock.MERCHANT,
        "channel_id": CHANNEL if number % 10 else "other",
        "order_id": order_id,
        "state": 1 if waits else 6,
        "document": json.dumps(document),
        "document_message": _message(order_id, email, document["buyer_name"]),
        "resolved": None,
        "address": email,
        "customer_id": f"customer-{number % (count // 4)}",
        "hold": None,
        "holds_ended": 0,
        "reservation_id": "",
        "allocations": None,
        "sale_id": "" if waits else f"sale-{number}",
        "pos_version": None,
        "committed": not waits,
        "waiting_reason": "ITEM_NOT_FOUND" if waits else "",
        "waiting_message": "waits" if waits else "",
        "waiting_key": f"SKU {number % 17}" if waits else "",
        "attempts": 0,
        "next_try_time": None,
        "awaited": "[]",
        "due_time": None,
        "lease_time": None,
        "create_time": moment,
        "update_time": moment,
        "sync_time": moment,
        "email": email,
        "payment_status": 1 if number % 20 == 3 else 2,
    }


def _message(order_id: str, email: str, buyer_name: str) -> bytes:
    _LIKE.order_id, _LIKE.email, _LIKE.buyer_name = order_id, email, buyer_name
    return _LIKE.SerializeToString(deterministic=True)


_LIKE = order_pb2.OrderDocument(
    version=1,
    payment_status=order_pb2.PAYMENT_STATUS_PAID,
    lines=[
        order_pb2.OrderLine(line_id="1", sku="MUG", name="Mug", quantity="1", unit_price=eur(1990))
    ]
    * LINES,
    total=eur(1990),
)
"""What the documents of old orders are like."""

Search = Mapping[str, order_pb2.ListOrdersRequest]


def pages(channel_id: str = CHANNEL) -> Search:
    """First and last pages of the whole list and of a channel's."""
    every = order_pb2.ListOrdersRequest(page_size=PAGE)
    of_channel = order_pb2.ListOrdersRequest(page_size=PAGE, channel_id=channel_id)
    found = {"first": every, "first of channel": of_channel}
    last = _row(PAGE, MANY)
    key = (microseconds(last["create_time"]), last["channel_id"], last["order_id"])
    for name, request in (("last", every), ("last of channel", of_channel)):
        found[name] = order_pb2.ListOrdersRequest()
        found[name].CopyFrom(request)
        found[name].page_token = token_after(request, *key)
    return found


def searches() -> Iterator[order_pb2.ListOrdersRequest]:
    """What people look for, one after the other, forever."""
    while True:
        number = _random.randrange(MANY)
        yield order_pb2.ListOrdersRequest(query=f"X{number:07}")
        yield order_pb2.ListOrdersRequest(query=f"X{number // 1000:04}", page_size=PAGE)
        yield order_pb2.ListOrdersRequest(query=f"X{number // 100_000:02}", page_size=PAGE)
        yield order_pb2.ListOrdersRequest(query=f"buyer-{number % (MANY // 4)}@example.com")
        yield order_pb2.ListOrdersRequest(customer_id=f"customer-{number % (MANY // 4)}")
        yield order_pb2.ListOrdersRequest(waiting=True, page_size=PAGE)
        yield order_pb2.ListOrdersRequest(
            payment_status=order_pb2.PAYMENT_STATUS_AWAITING, page_size=PAGE
        )
        yield order_pb2.ListOrdersRequest(state=order_pb2.ORDER_STATE_HELD, page_size=PAGE)
        yield order_pb2.ListOrdersRequest(query="nobody@example.com")


async def times_ms(
    channel: grpc.aio.Channel, requests: Sequence[order_pb2.ListOrdersRequest]
) -> list[float]:
    """Milliseconds of each of these lists, one after the other, sorted."""
    stub = OrderServiceStub(channel)
    found = []
    for request in requests:
        begin = time.monotonic()
        await stub.ListOrders(request, metadata=metadata())
        found.append((time.monotonic() - begin) * 1000)
    return sorted(found)
