"""A shop's calls of the order service, in few words."""

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from google.type.money_pb2 import Money
from sqlalchemy import select

from services.order.store.tables import ORDERS
from tests.harness import Running, eventually, metadata, service_metadata
from tests.order.fakes import Fakes, World
from tillbridge.errors.v1 import errors_pb2
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub
from tillbridge.order.v1 import events_pb2, fulfillment_pb2
from tillbridge.order.v1 import order_pb2 as pb
from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceStub
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub

if TYPE_CHECKING:
    from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceAsyncStub
    from tillbridge.order.v1.order_pb2_grpc import OrderServiceAsyncStub

CHANNEL = "web"
AWAITING, PAID = pb.PAYMENT_STATUS_AWAITING, pb.PAYMENT_STATUS_PAID
CANCELED, REFUNDED = pb.PAYMENT_STATUS_CANCELED, pb.PAYMENT_STATUS_REFUNDED
_ids = count(1)


def request_id() -> str:
    return f"request-{next(_ids)}"


def eur(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="EUR", units=units, nanos=nanos)


def line(sku: str, quantity: str = "1", *, line_id: str = "1", units: int = 10) -> pb.OrderLine:
    return pb.OrderLine(
        line_id=line_id, sku=sku, quantity=quantity, name=sku.title(), unit_price=eur(units)
    )


def document(
    order_id: str,
    version: int = 1,
    payment_status: "pb.PaymentStatus.ValueType" = AWAITING,
    **changes: Any,
) -> pb.OrderDocument:
    """An order for one mug, paid by card if it is."""
    found = pb.OrderDocument(
        order_id=order_id,
        version=version,
        payment_status=payment_status,
        email="ann@example.com",
        buyer_name="Ann Lee",
        payment_method="Card",
        payment_processor="Stripe",
        fulfillment_kind=pb.FULFILLMENT_KIND_PICKUP,
        lines=[line("MUG")],
        total=eur(10),
    )
    if "lines" in changes:
        found.ClearField("lines")
    found.MergeFrom(pb.OrderDocument(**changes))
    for name, value in changes.items():
        if value == "":
            found.ClearField(name)  # type: ignore[arg-type]  # a field's name
    return found


@dataclass(frozen=True, slots=True)
class Shop:
    """A running order service, and the world around it."""

    service: Running
    others: Fakes

    @property
    def world(self) -> World:
        return self.others.world

    @property
    def orders(self) -> "OrderServiceAsyncStub":
        return OrderServiceStub(self.service.channel)

    def stock(self, channel_id: str = CHANNEL, **policies: Any) -> None:
        """Opens the channel, with 5 mugs at Main and 3 at Harbour."""
        self.world.add_channel(channel_id, **policies)
        self.world.items["mug-1"] = "MUG"
        self.world.on_hand["mug-1", "main"] += 5
        self.world.on_hand["mug-1", "harbour"] += 3

    async def ingest(
        self, found: pb.OrderDocument, channel_id: str = CHANNEL, merchant: str = "mug-shop"
    ) -> pb.IngestOrderResponse:
        request = pb.IngestOrderRequest(
            request_id=request_id(), channel_id=channel_id, document=found
        )
        return await self.orders.IngestOrder(request, metadata=metadata(merchant))

    async def order(self, order_id: str, channel_id: str = CHANNEL) -> pb.Order:
        request = pb.GetOrderRequest(channel_id=channel_id, order_id=order_id)
        return (await self.orders.GetOrder(request, metadata=metadata())).order

    async def becomes(
        self,
        order_id: str,
        state: "pb.OrderState.ValueType",
        reason: str = "",
        channel_id: str = CHANNEL,
    ) -> pb.Order:
        """The order, once it is in this state and waits for this reason, or for none."""
        found = [await self.order(order_id, channel_id)]

        async def reached() -> bool:
            found[0] = await self.order(order_id, channel_id)
            said = errors_pb2.ErrorReason.Name(found[0].waiting_reason)
            shown = f"{pb.OrderState.Name(found[0].state)} {said} {found[0].waiting_message}"
            assert found[0].state == state, shown
            assert said == f"ERROR_REASON_{reason or 'UNSPECIFIED'}", shown
            return True

        await eventually(reached)
        return found[0]

    async def sale(self, sale_id: str) -> pb.Sale:
        request = pb.GetSaleRequest(sale_id=sale_id)
        return (await self.orders.GetSale(request, metadata=metadata())).sale

    async def posted(self, order_id: str) -> pb.Sale:
        """The sale of an order, once it is posted."""
        return await self.sale((await self.becomes(order_id, pb.ORDER_STATE_POSTED)).sale_id)

    async def fulfillments(self, order_id: str) -> list[fulfillment_pb2.Fulfillment]:
        request = fulfillment_pb2.ListFulfillmentsRequest(order_id=order_id)
        stub = FulfillmentServiceStub(self.service.channel)
        return list((await stub.ListFulfillments(request, metadata=metadata())).fulfillments)

    @property
    def handing(self) -> "FulfillmentServiceAsyncStub":
        return FulfillmentServiceStub(self.service.channel)

    async def cancel(self, order_id: str, reason: str = "") -> pb.Order:
        request = pb.CancelOrderRequest(
            request_id=request_id(), channel_id=CHANNEL, order_id=order_id, reason=reason
        )
        return (await self.orders.CancelOrder(request, metadata=metadata())).order

    async def refund(
        self, order_id: str, refund_id: str = "R", **changes: Any
    ) -> pb.RefundOrderResponse:
        request = pb.RefundOrderRequest(
            request_id=request_id(),
            channel_id=CHANNEL,
            order_id=order_id,
            refund_id=refund_id,
            **changes,
        )
        return await self.orders.RefundOrder(request, metadata=metadata())

    async def settled(self, order_id: str) -> pb.Order:
        """The order, once it is posted, and has noted that inventory knows."""
        sale = await self.posted(order_id)
        noted = select(ORDERS.c.committed).where(
            ORDERS.c.channel_id == CHANNEL, ORDERS.c.order_id == order_id
        )

        async def committed() -> bool:
            return await self.service.database.read(lambda c: bool(c.execute(noted).scalar_one()))

        await eventually(committed)
        assert sale.order_id == order_id
        return await self.order(order_id)

    async def stands(
        self, expected: float, item_id: str = "mug-1", outlet_id: str = "main"
    ) -> None:
        """Waits until so much of an item is on hand at an outlet."""

        async def there() -> bool:
            assert float(self.world.on_hand[item_id, outlet_id]) == expected
            return True

        await eventually(there)

    async def events(self, *kinds: Any) -> list[tuple[feed_pb.Event, Any]]:
        """What the feed has told, of these kinds of messages."""
        found = await EventFeedStub(self.service.channel).ReadEvents(
            feed_pb.ReadEventsRequest(
                consumer="test", max_events=1000, types=[k.DESCRIPTOR.full_name for k in kinds]
            ),
            metadata=service_metadata(),
        )
        told = []
        for event in found.events:
            message = next(k for k in kinds if k.DESCRIPTOR.full_name == event.type)()
            event.data.Unpack(message)
            told.append((event, message))
        return told

    async def sale_events(self) -> list[tuple[feed_pb.Event, events_pb2.SaleChanged]]:
        return await self.events(events_pb2.SaleChanged)
