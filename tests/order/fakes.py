"""The catalog, customer and inventory services as small real servers, which can be made to fail.

They keep their contracts as far as the order service relies on them: request ids are remembered,
stock is held all or nothing, refusals carry their reasons.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.chassis import status
from services.chassis.errors import DomainError
from tests.harness import MERCHANT, connected
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.customer.v1 import customer_pb2
from tillbridge.customer.v1 import events_pb2 as customer_events_pb2
from tillbridge.errors.v1 import errors_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Context = Any

POS, ECOM = channels_pb2.FULFILLMENT_POLICY_POS, channels_pb2.FULFILLMENT_POLICY_ECOM
ON_PLACEMENT = channels_pb2.POSTING_POLICY_ON_PLACEMENT
ON_PAYMENT = channels_pb2.POSTING_POLICY_ON_PAYMENT


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that goes wrong: before its effect, or after it, when only the answer is lost."""

    reason: str = "OVERLOADED"
    after_effect: bool = False


@dataclass(slots=True)
class World:
    """What the other services know and were asked."""

    items: dict[str, str] = field(default_factory=dict)
    """SKU by item id."""
    shared_addresses: set[str] = field(default_factory=set)
    """Addresses that several profiles have."""
    profiles: dict[str, str] = field(default_factory=dict)
    channels: dict[str, channels_pb2.Channel] = field(default_factory=dict)
    on_hand: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """By item and outlet; what is held is still in it."""
    reservations: dict[str, inventory_pb2.Reservation] = field(default_factory=dict)
    pos_versions: dict[str, int] = field(default_factory=dict)
    """What reservations were committed with, where that was something."""
    events: list[events_pb2.Event] = field(default_factory=list)
    """What the catalog tells."""
    customer_events: list[events_pb2.Event] = field(default_factory=list)
    inventory_events: list[events_pb2.Event] = field(default_factory=list)
    untracked: set[str] = field(default_factory=set)
    calls: list[tuple[str, Message]] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    answers: dict[tuple[str, str], tuple[bytes, Message]] = field(default_factory=dict)

    def add_channel(
        self,
        channel_id: str,
        *,
        posting: "channels_pb2.PostingPolicy.ValueType" = ON_PLACEMENT,
        fulfillment: "channels_pb2.FulfillmentPolicy.ValueType" = POS,
        external_pos: bool = False,
        post_sales: bool = True,
        **policies: Any,
    ) -> None:
        """A channel with a register at Main; Harbour feeds it too."""
        self.channels[channel_id] = channels_pb2.Channel(
            channel_id=channel_id,
            policies=channels_pb2.ChannelPolicies(
                posting=posting,
                fulfillment=fulfillment,
                external_pos=external_pos,
                post_sales=post_sales,
                **policies,
            ),
            register_id="till-1",
            register_outlet_id="main",
            connected_outlet_ids=["main", "harbour"],
        )

    def fail(self, method: str, times: int = 1, fault: Fault = Fault()) -> None:
        """Makes the next calls of `method` go wrong."""
        self.faults[method].extend([fault] * times)

    def asked(self, method: str) -> list[Any]:
        """The requests of `method`, in order."""
        return [request for name, request in self.calls if name == method]

    def available(self, item_id: str) -> float:
        """What may still be promised of an item, over all outlets."""
        outlets = [outlet for item, outlet in self.on_hand if item == item_id]
        return float(sum(self._free(item_id, outlet) for outlet in outlets))

    def create_item(self, item_id: str, sku: str) -> None:
        """The catalog learns of an item and tells so."""
        self.items[item_id] = sku
        changed = catalog_events_pb2.ProductChanged(
            product_id=f"of-{item_id}",
            items=[catalog_events_pb2.ProductItem(item_id=item_id, sku=sku)],
        )
        _tell(self.events, changed)

    def switch_post_sales(self, channel_id: str, *, on: bool) -> None:
        """The channel is changed, and inventory tells so."""
        self.channels[channel_id].policies.post_sales = on
        _tell(self.inventory_events, inventory_events_pb2.ChannelChanged(channel_id=channel_id))

    def receive(self, channel_id: str, item_id: str, outlet_id: str, quantity: int) -> None:
        """Stock comes, and inventory tells what the channel may sell now."""
        self.on_hand[item_id, outlet_id] += quantity
        figure = inventory_events_pb2.OnlineStockChanged(
            channel_id=channel_id, item_id=item_id, quantity=int(self.available(item_id))
        )
        _tell(self.inventory_events, figure)

    def connect(self, channel_id: str, *outlet_ids: str) -> None:
        """These outlets feed a channel from now on, and inventory tells so."""
        channel = self.channels[channel_id]
        left = set(channel.connected_outlet_ids) - set(outlet_ids)
        del channel.connected_outlet_ids[:]
        channel.connected_outlet_ids.extend(outlet_ids)
        changed = inventory_events_pb2.ChannelChanged(
            channel_id=channel_id, disconnected_outlet_ids=sorted(left)
        )
        _tell(self.inventory_events, changed)

    def move(self, reservation_id: str, item_id: str, to_outlet_id: str) -> None:
        """An operator moves what an order holds of an item, and inventory tells so."""
        self.move_untold(reservation_id, item_id, to_outlet_id)
        self.tell_of(reservation_id)

    def move_untold(self, reservation_id: str, item_id: str, to_outlet_id: str) -> None:
        """An operator moves what an order holds of an item, and the news is on its way."""
        for part in self.reservations[reservation_id].allocations:
            if part.item_id == item_id:
                part.outlet_id = to_outlet_id

    def free(self, reservation_id: str) -> None:
        """An operator gives free what an order holds, and inventory tells so."""
        found = self.reservations[reservation_id]
        found.state = inventory_pb2.RESERVATION_STATE_RELEASED
        self.tell_of(reservation_id)

    def tell_of(self, reservation_id: str) -> None:
        """Inventory tells what an order holds since an operator has seen to it."""
        changed = inventory_events_pb2.ReservationChanged(
            reservation=self.reservations[reservation_id], incident_id="in-1"
        )
        _tell(self.inventory_events, changed)

    def unblock(self, channel_id: str, *order_ids: str) -> None:
        """The customer service tells that these orders may go on."""
        message = customer_events_pb2.OrdersUnblocked(channel_id=channel_id, order_ids=order_ids)
        _tell(self.customer_events, message)

    async def answer(
        self, request: Request, context: Context, effect: Callable[[Request], Response]
    ) -> Response:
        """Answers a call: with a fault if one is set, as before if it came before, or anew."""
        method = request.DESCRIPTOR.name.removesuffix("Request")
        self.calls.append((method, request))
        fault = self.faults[method].popleft() if self.faults[method] else None
        if fault and not fault.after_effect:
            await _abort(context, DomainError(fault.reason, f"{method} was made to fail"))
        try:
            response = self._once(method, request, effect)
        except DomainError as refusal:
            await _abort(context, refusal)
            raise
        if fault:
            await _abort(context, DomainError(fault.reason, f"the answer of {method} is lost"))
        return response

    def _once(
        self, method: str, request: Request, effect: Callable[[Request], Response]
    ) -> Response:
        request_id = getattr(request, "request_id", "")
        if not request_id:
            return effect(request)
        body = request.SerializeToString(deterministic=True)
        known = self.answers.get((method, request_id))
        if known is None:
            response = effect(request)
            self.answers[method, request_id] = (body, response)
            return response
        if known[0] != body:
            raise DomainError("REQUEST_ID_REUSED", "another body", request_id=request_id)
        return cast("Response", known[1])

    def _free(self, item_id: str, outlet_id: str) -> Decimal:
        held = sum(
            Decimal(part.quantity)
            for reservation in self.reservations.values()
            if reservation.state
            in {inventory_pb2.RESERVATION_STATE_HELD, inventory_pb2.RESERVATION_STATE_POSTED}
            for part in reservation.allocations
            if (part.item_id, part.outlet_id) == (item_id, outlet_id)
        )
        return self.on_hand[item_id, outlet_id] - held

    def resolve(self, request: catalog_pb2.ResolveItemsRequest) -> catalog_pb2.ResolveItemsResponse:
        return catalog_pb2.ResolveItemsResponse(
            items=[self._resolve(reference) for reference in request.references]
        )

    def _resolve(self, reference: catalog_pb2.ItemReference) -> catalog_pb2.ResolvedItem:
        if reference.item_id in self.items:
            return catalog_pb2.ResolvedItem(item_id=reference.item_id)
        found = [item for item, sku in self.items.items() if sku == reference.sku]
        if len(found) == 1:
            return catalog_pb2.ResolvedItem(item_id=found[0])
        reason = (
            errors_pb2.ERROR_REASON_SKU_AMBIGUOUS
            if found
            else errors_pb2.ERROR_REASON_ITEM_NOT_FOUND
        )
        return catalog_pb2.ResolvedItem(reason=reason)

    def match(
        self, request: customer_pb2.MatchCustomerRequest
    ) -> customer_pb2.MatchCustomerResponse:
        address = request.email.strip().casefold()
        if address in self.shared_addresses:
            raise DomainError("CUSTOMER_AMBIGUOUS", f"several profiles have {request.email!r}")
        created = address not in self.profiles
        customer_id = self.profiles.setdefault(address, f"customer-{len(self.profiles) + 1}")
        customer = customer_pb2.Customer(customer_id=customer_id)
        return customer_pb2.MatchCustomerResponse(customer=customer, created=created)

    def channel(self, request: channels_pb2.GetChannelRequest) -> channels_pb2.GetChannelResponse:
        if request.channel_id not in self.channels:
            raise DomainError(
                "CHANNEL_NOT_FOUND", "there is no such channel", channel_id=request.channel_id
            )
        return channels_pb2.GetChannelResponse(channel=self.channels[request.channel_id])

    def outlets(
        self, _request: channels_pb2.ListOutletsRequest
    ) -> channels_pb2.ListOutletsResponse:
        return channels_pb2.ListOutletsResponse(
            outlets=[channels_pb2.Outlet(outlet_id=name) for name in ("main", "harbour", "pier")]
        )

    def availability(
        self, request: inventory_pb2.GetAvailabilityRequest
    ) -> inventory_pb2.GetAvailabilityResponse:
        channel = self.channels[request.channel_id]
        connected = list(channel.connected_outlet_ids)
        unknown = [item for item in request.item_ids if item not in self.items]
        if unknown:
            raise DomainError("ITEM_NOT_FOUND", f"no item {unknown[0]!r}", item_id=unknown[0])
        answer = inventory_pb2.GetAvailabilityResponse(
            outlets=[
                inventory_pb2.OutletAvailability(
                    outlet_id=outlet_id,
                    connected=outlet_id in connected,
                    quantities=[
                        f"{max(Decimal(), self._free(item, outlet_id)):f}"
                        for item in request.item_ids
                    ],
                )
                for outlet_id in dict.fromkeys([*connected, *request.outlet_ids])
            ],
            untracked_item_ids=sorted(self.untracked & set(request.item_ids)),
            default_outlet_id=channel.register_outlet_id or channel.primary_outlet_id,
        )
        answer.read_time.GetCurrentTime()
        return answer

    def reserve(
        self, request: inventory_pb2.ReserveStockRequest
    ) -> inventory_pb2.ReserveStockResponse:
        reservation = self._reserved(request, inventory_pb2.RESERVATION_STATE_HELD)
        return inventory_pb2.ReserveStockResponse(reservation=reservation)

    def take(self, request: inventory_pb2.TakeStockRequest) -> inventory_pb2.TakeStockResponse:
        reservation = self._reserved(request, inventory_pb2.RESERVATION_STATE_TAKEN)
        for part in reservation.allocations:
            self.on_hand[part.item_id, part.outlet_id] -= Decimal(part.quantity)
        return inventory_pb2.TakeStockResponse(reservation=reservation)

    def put_back(
        self, request: inventory_pb2.PutBackStockRequest
    ) -> inventory_pb2.PutBackStockResponse:
        taken = inventory_pb2.RESERVATION_STATE_TAKEN
        reservation = self._reservation(request.reservation_id, taken)
        for part in reservation.allocations:
            self.on_hand[part.item_id, part.outlet_id] += Decimal(part.quantity)
        reservation.state = inventory_pb2.RESERVATION_STATE_RELEASED
        return inventory_pb2.PutBackStockResponse(reservation=reservation)

    def _reserved(
        self,
        request: inventory_pb2.ReserveStockRequest | inventory_pb2.TakeStockRequest,
        state: "inventory_pb2.ReservationState.ValueType",
    ) -> inventory_pb2.Reservation:
        outlets = list(self.channels[request.channel_id].connected_outlet_ids)
        tied = [request.outlet_id] if request.outlet_id else outlets
        allocations: list[inventory_pb2.Allocation] = []
        taken: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for line in request.lines:
            missing = Decimal(line.quantity)
            for outlet_id in tied:
                key = (line.item_id, outlet_id)
                part = min(missing, max(self._free(*key) - taken[key], Decimal()))
                if part:
                    taken[key] += part
                    missing -= part
                    allocations.append(
                        inventory_pb2.Allocation(
                            line_id=line.line_id,
                            item_id=line.item_id,
                            outlet_id=outlet_id,
                            quantity=str(part),
                        )
                    )
            if missing:
                raise DomainError(
                    "INSUFFICIENT_STOCK",
                    f"{line.item_id}: {missing} too few",
                    item_id=line.item_id,
                    asked=line.quantity,
                )
        reservation = inventory_pb2.Reservation(
            reservation_id=f"reservation-{len(self.reservations) + 1}",
            channel_id=request.channel_id,
            cause=request.cause,
            state=state,
            allocations=allocations,
        )
        self.reservations[reservation.reservation_id] = reservation
        return reservation

    def commit(
        self, request: inventory_pb2.CommitReservationRequest
    ) -> inventory_pb2.CommitReservationResponse:
        reservation = self._reservation(request.reservation_id)
        if request.allocations and [*request.allocations] != [*reservation.allocations]:
            raise DomainError("VERSION_CONFLICT", "moved meanwhile")
        if request.HasField("pos_version"):
            reservation.state = inventory_pb2.RESERVATION_STATE_POSTED
            self.pos_versions[reservation.reservation_id] = request.pos_version
            return inventory_pb2.CommitReservationResponse(reservation=reservation)
        for part in reservation.allocations:
            self.on_hand[part.item_id, part.outlet_id] -= Decimal(part.quantity)
        reservation.state = inventory_pb2.RESERVATION_STATE_COMMITTED
        return inventory_pb2.CommitReservationResponse(reservation=reservation)

    def release(
        self, request: inventory_pb2.ReleaseReservationRequest
    ) -> inventory_pb2.ReleaseReservationResponse:
        reservation = self._reservation(request.reservation_id)
        reservation.state = inventory_pb2.RESERVATION_STATE_RELEASED
        return inventory_pb2.ReleaseReservationResponse(reservation=reservation)

    def _reservation(
        self,
        reservation_id: str,
        state: "inventory_pb2.ReservationState.ValueType" = inventory_pb2.RESERVATION_STATE_HELD,
    ) -> inventory_pb2.Reservation:
        found = self.reservations.get(reservation_id)
        if found is None:
            raise DomainError("RESERVATION_NOT_FOUND", "no such reservation")
        if found.state != state:
            raise DomainError("RESERVATION_ENDED", "ended otherwise", state=found.state)
        return found

    def adjust(
        self, request: inventory_pb2.AdjustStockRequest
    ) -> inventory_pb2.AdjustStockResponse:
        unknown = [line.item_id for line in request.lines if line.item_id not in self.items]
        if unknown:
            raise DomainError("ITEM_NOT_FOUND", f"no item {unknown[0]!r}", item_id=unknown[0])
        for line in request.lines:
            self.on_hand[line.item_id, line.outlet_id] += Decimal(line.quantity)
        return inventory_pb2.AdjustStockResponse()


def _tell(events: list[events_pb2.Event], message: Message) -> None:
    data = AnyMessage()
    data.Pack(message)
    event = events_pb2.Event(
        type=message.DESCRIPTOR.full_name, merchant_id=MERCHANT, cursor=len(events) + 1, data=data
    )
    event.time.GetCurrentTime()
    events.append(event)


async def _abort(context: Context, error: DomainError) -> None:
    details = status.to_status(error).SerializeToString()
    await context.abort(status.grpc_code(error), error.message, ((status.DETAILS_KEY, details),))


class Feed:
    """A service's feed."""

    def __init__(self, told: list[events_pb2.Event]) -> None:
        self._told = told
        self._acked: dict[str, int] = defaultdict(int)
        """By consumer."""

    async def read(
        self, request: events_pb2.ReadEventsRequest, _context: Context
    ) -> events_pb2.ReadEventsResponse:
        tries = 20  # waits for a shorter time than it was asked to, which a feed may do
        acked = self._acked[request.consumer]
        while not self._told[acked:] and tries:
            await asyncio.sleep(0.01)
            tries -= 1
        found = self._told[acked:]
        wanted = [event for event in found if not request.types or event.type in request.types]
        return events_pb2.ReadEventsResponse(events=wanted, next_cursor=acked + len(found))

    async def ack(
        self, request: events_pb2.AckEventsRequest, _context: Context
    ) -> events_pb2.AckEventsResponse:
        self._acked[request.consumer] = max(self._acked[request.consumer], request.cursor)
        return events_pb2.AckEventsResponse(cursor=self._acked[request.consumer])


Answers = dict[str, Callable[[Any, Context], Awaitable[Message]]]
"""What answers a method, such as `/tillbridge.catalog.v1.CatalogService/ResolveItems`."""


def _method(path: str) -> MethodDescriptor:
    service, name = path.strip("/").rsplit("/", 1)
    found: MethodDescriptor = Default().FindServiceByName(service).methods_by_name[name]
    return found


@dataclass(slots=True)
class FakeService:
    """One of the other services as a server that can be stopped and started at its address."""

    answers: Answers
    port: int = 0
    _server: Any = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        for path, answer in self.answers.items():
            method = _method(path)
            handler = grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            name = method.containing_service.full_name
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, {method.name: handler}),)
            )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        await (await connected(self.address)).close()

    async def stop(self) -> None:
        if self._server:
            await self._server.stop(0)
            self._server = None


@dataclass(frozen=True, slots=True)
class Fakes:
    """The services that the order service asks, and what they know."""

    world: World
    catalog: FakeService
    customer: FakeService
    inventory: FakeService


@asynccontextmanager
async def fakes() -> AsyncIterator[Fakes]:
    """Runs them until the block ends."""
    world = World()
    feed, customer_feed = Feed(world.events), Feed(world.customer_events)
    inventory_feed = Feed(world.inventory_events)

    def answering(effect: Callable[[Any], Any]) -> Callable[[Any, Context], Awaitable[Message]]:
        async def answer(request: Any, context: Context) -> Message:
            found: Message = await world.answer(request, context, effect)
            return found

        return answer

    catalog, events = "/tillbridge.catalog.v1.CatalogService", "/tillbridge.events.v1.EventFeed"
    inventory = "/tillbridge.inventory.v1.InventoryService"
    found = Fakes(
        world,
        catalog=FakeService(
            {
                f"{catalog}/ResolveItems": answering(world.resolve),
                f"{events}/ReadEvents": feed.read,
                f"{events}/AckEvents": feed.ack,
            }
        ),
        customer=FakeService(
            {
                "/tillbridge.customer.v1.CustomerService/MatchCustomer": answering(world.match),
                f"{events}/ReadEvents": customer_feed.read,
                f"{events}/AckEvents": customer_feed.ack,
            }
        ),
        inventory=FakeService(
            {
                "/tillbridge.inventory.v1.ChannelService/GetChannel": answering(world.channel),
                "/tillbridge.inventory.v1.ChannelService/ListOutlets": answering(world.outlets),
                f"{events}/ReadEvents": inventory_feed.read,
                f"{events}/AckEvents": inventory_feed.ack,
                f"{inventory}/ReserveStock": answering(world.reserve),
                f"{inventory}/CommitReservation": answering(world.commit),
                f"{inventory}/TakeStock": answering(world.take),
                f"{inventory}/PutBackStock": answering(world.put_back),
                f"{inventory}/ReleaseReservation": answering(world.release),
                f"{inventory}/AdjustStock": answering(world.adjust),
                f"{inventory}/GetAvailability": answering(world.availability),
            }
        ),
    )
    services = (found.catalog, found.customer, found.inventory)
    for service in services:
        await service.start()
    try:
        yield found
    finally:
        for service in services:
            await service.stop()
