"""P8: orders and sales that come twice, late and out of order, on both databases."""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from google.protobuf.message import Message
from structlog.testing import capture_logs

from services.chassis.auth import Tokens
from services.chassis.client import Identity, Metadata
from services.chassis.plumbing import batches
from services.chassis.together import together
from tests.deliveries import EVENTS, Clock, Deliveries, Delivery
from tests.harness import KEY, eventually, metadata, service_metadata
from tests.order.shop import AWAITING, PAID, Shop, document, eur, request_id
from tillbridge.order.v1 import order_pb2 as pb
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub

if TYPE_CHECKING:
    from tillbridge.order.v1.order_pb2_grpc import OrderServiceAsyncStub

SEED = 8
ORDERS, SALES = 500, 2_300
ORDER_SHARE = 0.2
"""Of the events, how many tell of an order; the others tell of sales at tills."""
BATCH = 250


@dataclass(frozen=True, slots=True)
class Told:
    """What a store has told of an order, or a point of sale of a sale."""

    order_id: str
    sale_id: str
    version: int


def history() -> list[Told]:
    """Each order and each sale changes several times."""
    draw = random.Random(SEED)
    found = []
    for number in range(EVENTS):
        told = Told("", "", number + 1)
        if draw.random() < ORDER_SHARE:
            found.append(replace(told, order_id=f"order-{draw.randrange(ORDERS)}"))
        else:
            found.append(replace(told, sale_id=f"sale-{draw.randrange(SALES)}"))
    return found


def order(told: Told, paid_from: int) -> pb.OrderDocument:
    """As the store has it: paid from some version on."""
    status = PAID if told.version >= paid_from else AWAITING
    return document(told.order_id, told.version, status, buyer_comment=f"note {told.version}")


def sale(told: Told) -> pb.Sale:
    """As the point of sale has it."""
    units = told.version % 90 + 1
    return pb.Sale(
        sale_id=told.sale_id,
        outlet_id="main",
        register_id="till-1",
        state=pb.SALE_STATE_COMPLETED,
        lines=[pb.SaleLine(line_id="1", item_id="mug-1", quantity="1", unit_price=eur(units))],
        payments=[pb.SalePayment(method="Cash", amount=eur(units))],
        total=eur(units),
    )


@dataclass(slots=True)
class Merchant:
    """A merchant to whom all of it happens."""

    name: str
    shop: Shop
    clock: Clock
    paid_from: dict[str, int]
    """From which version on each order is paid."""
    calls: "OrderServiceAsyncStub" = field(init=False)
    """Those of one moment travel together, or they would take most of the time."""
    caller: Metadata = field(init=False)

    def __post_init__(self) -> None:
        channel = together(self.shop.service.channel, Identity(Tokens(KEY), "test"))
        self.calls = OrderServiceStub(channel)
        self.caller = service_metadata(self.name)

    @property
    def channel_id(self) -> str:
        """The merchant's channel."""
        return f"web-{self.name}"

    async def hear(self, calls: Iterable[Sequence[Delivery[Told]]]) -> None:
        """Is told of it, as it arrives; what comes together is told at once."""
        for run in calls:
            self.clock.move(run)
            await asyncio.gather(*(self._tell(one.event) for one in run))

    async def _tell(self, told: Told) -> None:
        who = self.caller
        if told.order_id:
            ingest = pb.IngestOrderRequest(
                request_id=request_id(),
                channel_id=self.channel_id,
                document=order(told, self.paid_from[told.order_id]),
            )
            await self.calls.IngestOrder(ingest, metadata=who, timeout=60)
            return
        request = pb.RecordSaleRequest(
            request_id=request_id(), sale=sale(told), mirrored=True, version=told.version
        )
        await self.calls.RecordSale(request, metadata=who, timeout=60)

    async def settled(self) -> None:
        """Waits until every order is posted."""

        async def posted() -> bool:
            return all(one.state == pb.ORDER_STATE_POSTED for one in await self._orders())

        await eventually(posted, 120.0)

    async def _orders(self) -> list[pb.Order]:
        request = pb.ListOrdersRequest(channel_id=self.channel_id, page_size=1000)
        answer = await self.shop.orders.ListOrders(request, metadata=metadata(self.name))
        assert not answer.next_page_token
        return list(answer.orders)

    async def state(self) -> dict[str, str]:
        """Orders and sales, but for what counts and times them."""
        found: dict[str, Message] = {one.document.order_id: one for one in await self._orders()}
        request = pb.ListSalesRequest(page_size=1000)
        while True:
            page = await self.shop.orders.ListSales(request, metadata=metadata(self.name))
            for made in page.sales:
                found[f"of {made.order_id}" if made.order_id else made.sale_id] = made
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        for message in found.values():
            bare(message)
        return {name: str(message) for name, message in found.items()}


GIVEN_HERE = {
    *("channel_id", "sale_id", "reservation_id", "customer_id", "revision"),
    *("sale_time", "pay_time", "create_time", "update_time", "sync_time"),
}


def bare(message: Message) -> None:
    """Takes out of a message what is another at each merchant, and when it came."""
    for one_field, value in message.ListFields():
        if one_field.name in GIVEN_HERE:
            message.ClearField(one_field.name)
        elif one_field.message_type:
            for one in value if one_field.is_repeated else [value]:
                bare(one)


def one_of_each(deliveries: Iterable[Delivery[Told]]) -> Iterator[list[Delivery[Told]]]:
    """The deliveries in their order, in runs in which it makes no difference."""
    run: dict[tuple[str, str], Delivery[Told]] = {}
    for one in deliveries:
        key = (one.event.order_id, one.event.sale_id)
        if key in run:
            yield list(run.values())
            run = {}
        run[key] = one
    yield list(run.values())


@pytest.mark.long
@pytest.mark.rule("BEY-08")
@pytest.mark.rule("ORD-11")
async def test_p8_orders_and_sales_that_come_twice_late_and_in_any_order_end_the_same(
    shop: Shop,
) -> None:
    clock = Clock(shop.service.database)
    events = history()
    paid_from: dict[str, int] = {}
    for told in events:  # by its last version each of them is paid, most of them earlier
        paid_from[told.order_id] = told.version
    draw = random.Random(SEED)
    paid_from = {name: draw.randint(1, last) for name, last in paid_from.items()}
    ordered, scattered = (
        Merchant(name, shop, clock, paid_from) for name in ("in-order", "scattered")
    )
    shop.stock(ordered.channel_id)
    shop.stock(scattered.channel_id)
    shop.world.on_hand["mug-1", "main"] += 2 * ORDERS
    deliveries = Deliveries(events, SEED)
    arrived = deliveries.scattered()
    with capture_logs():  # printing them would take a fifth of the time
        await ordered.hear(one_of_each(deliveries.in_order()))
        await ordered.settled()
        clock.now = deliveries.times[0]
        await scattered.hear(batches(arrived, BATCH))
        await scattered.settled()

    async def are_the_same() -> None:
        assert await ordered.state() == await scattered.state()

    await eventually(are_the_same, 60.0)

    # No repetition has cost any stock: each order holds its one mug, once.
    sold = sum(1 for told in paid_from if told)
    assert len(shop.world.reservations) == 2 * sold
    print(f"P8 order seed={SEED} events={EVENTS} deliveries={len(arrived)} orders={sold}")
