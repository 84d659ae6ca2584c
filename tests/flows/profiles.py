"""One scenario under each of the three profiles: what differs, as a table.

`python -m tests.flows.profiles` writes the table into docs/profiles.md; `test_profiles.py` plays
the scenario on both databases and compares.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.type.money_pb2 import Money

from gateway.owners import Owners
from gateway.settings import GatewaySettings
from services.chassis.auth import Tokens
from services.chassis.client import Identity
from services.chassis.errors import DomainError
from services.chassis.settings import CONTEXTS, Context
from tests.gateway.installation import SERVICES, service
from tests.harness import KEY, connected, eventually
from tests.ports import free_ports
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.errors.v1 import errors_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import fulfillment_pb2, order_pb2, shipping_pb2
from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceStub
from tillbridge.order.v1.shipping_pb2_grpc import ShippingServiceStub

if TYPE_CHECKING:
    from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceAsyncStub
    from tillbridge.order.v1.shipping_pb2_grpc import ShippingServiceAsyncStub

PAGE = Path(__file__).resolve().parents[2] / "docs/profiles.md"
PROFILES = ("RETAIL_R_ECOM", "RETAIL_X_ECOM", "RETAIL_X_ECWID")
OUTLETS = {"main": "Main", "harbour": "Harbour"}
MUG, CHANNEL_NAME = "mug", "Web shop"

Steps = list[tuple[str, str]]


@dataclass(slots=True)
class Shop:
    """A merchant with two outlets, Main and Harbour, one channel, and tills that speak to us."""

    profile: str
    owners: Owners
    fulfillments: "FulfillmentServiceAsyncStub"
    shipping: "ShippingServiceAsyncStub"
    channel_id: str = ""
    steps: Steps = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: count(1))

    async def call(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """The answer to a request, which gets an id where it needs one."""
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = f"{self.profile}/{next(self._ids)}"
        return await self.owners.call(method, request)

    # What people do.

    async def open(self) -> None:
        """Two mugs at Main, where the register stands, and three at Harbour."""
        channels = self.owners.channels
        for outlet_id, name in OUTLETS.items():
            outlet = channels_pb2.Outlet(outlet_id=outlet_id, display_name=name)
            request: Any = channels_pb2.CreateOutletRequest(outlet=outlet)
            await self.call(channels.CreateOutlet, request)
        register = channels_pb2.Register(
            register_id="till", outlet_id="main", display_name="Online"
        )
        request = channels_pb2.CreateRegisterRequest(register=register)
        await self.call(channels.CreateRegister, request)
        product = catalog_pb2.Product(
            product_id=MUG,
            name="Mug",
            active=True,
            variants=[catalog_pb2.Variant(item_id=MUG, sku="MUG", retail_price=euros(20))],
        )
        upsert = catalog_pb2.BatchUpsertProductsRequest(products=[product])
        await self.call(self.owners.catalog.BatchUpsertProducts, upsert)
        await self._connect()
        await eventually(self._knows_mugs, within_s=30)
        await self.count("harbour", 3)

    async def _knows_mugs(self) -> bool:
        """Counts Main, as soon as the inventory has learned of the product."""
        try:
            await self.count("main", 2)
        except DomainError as refusal:
            if refusal.reason != "ITEM_NOT_FOUND":
                raise
            return False
        return True

    async def _connect(self) -> None:
        profile = channels_pb2.Profile.Value(f"PROFILE_{self.profile}")
        by_register = profile != channels_pb2.PROFILE_RETAIL_R_ECOM
        one = profile == channels_pb2.PROFILE_RETAIL_X_ECWID
        request = channels_pb2.CreateChannelRequest(
            display_name=CHANNEL_NAME,
            profile=profile,
            register_id="till" if by_register else "",
            primary_outlet_id="" if by_register else "main",
            connected_outlet_ids=["main"] if one else ["main", "harbour"],
        )
        created = await self.call(self.owners.channels.CreateChannel, request)
        self.channel_id = created.channel.channel_id

    async def count(self, outlet_id: str, quantity: int) -> None:
        """Somebody counts the mugs."""
        counts = [self._count(outlet_id, quantity)]
        request = inventory_pb2.RecordCountsRequest(counts=counts)
        await self.call(self.owners.inventory.RecordCounts, request)

    def _count(self, outlet_id: str, quantity: int) -> inventory_pb2.Count:
        return inventory_pb2.Count(
            item_id=MUG, outlet_id=outlet_id, quantity=str(quantity), version=next(self._ids)
        )

    async def order(
        self, order_id: str, quantity: int, *, paid: bool, outlet_id: str = "", version: int = 1
    ) -> None:
        """The store tells an order; with another version: the same order, changed."""
        line = order_pb2.OrderLine(
            line_id="1", sku="MUG", name="Mug", quantity=str(quantity), unit_price=euros(20)
        )
        document = order_pb2.OrderDocument(
            order_id=order_id,
            version=version,
            email="jo@example.com",
            buyer_name="Jo Doe",
            payment_status=order_pb2.PAYMENT_STATUS_PAID
            if paid
            else order_pb2.PAYMENT_STATUS_AWAITING,
            payment_method="Card",
            payment_processor="Stripe",
            fulfillment_kind=order_pb2.FULFILLMENT_KIND_PICKUP
            if outlet_id
            else order_pb2.FULFILLMENT_KIND_SHIPPING,
            outlet_id=outlet_id,
            lines=[line],
            total=euros(20 * quantity),
        )
        request = order_pb2.IngestOrderRequest(channel_id=self.channel_id, document=document)
        await self.call(self.owners.orders.IngestOrder, request)

    async def method(self, method_id: str, outlet_id: str) -> None:
        """A pickup method, tied to an outlet or to none."""
        made = shipping_pb2.ShippingMethod(
            channel_id=self.channel_id,
            method_id=method_id,
            name=method_id,
            kind=order_pb2.FULFILLMENT_KIND_PICKUP,
            outlet_id=outlet_id,
            enabled=True,
        )
        request = shipping_pb2.CreateShippingMethodRequest(channel_id=self.channel_id, method=made)
        await self.call(self.shipping.CreateShippingMethod, request)

    async def connect_outlets(self, *outlet_ids: str) -> None:
        """Sets which outlets feed the channel."""
        request = channels_pb2.SetConnectedOutletsRequest(
            channel_id=self.channel_id, outlet_ids=outlet_ids
        )
        await self.call(self.owners.channels.SetConnectedOutlets, request)

    async def retry(self, order_id: str) -> None:
        """An operator lets an order go on."""
        request = order_pb2.RetryOrderRequest(channel_id=self.channel_id, order_id=order_id)
        await self.call(self.owners.orders.RetryOrder, request)

    async def hand_over(self, order_id: str) -> None:
        """Whoever manages fulfillments in the point of sale hands all of an order over."""
        request = fulfillment_pb2.ListFulfillmentsRequest(order_id=order_id)
        answer = await self.owners.call(self.fulfillments.ListFulfillments, request)
        for one in answer.fulfillments:
            done = fulfillment_pb2.CompleteFulfillmentRequest(
                fulfillment_id=one.fulfillment_id, version=one.version
            )
            await self.call(self.fulfillments.CompleteFulfillment, done)

    async def cancel(self, order_id: str) -> None:
        """An operator cancels an order."""
        request = order_pb2.CancelOrderRequest(channel_id=self.channel_id, order_id=order_id)
        await self.call(self.owners.orders.CancelOrder, request)

    async def refund(self, order_id: str) -> None:
        """One mug comes back to Main, and its money is given back."""
        request = order_pb2.RefundOrderRequest(
            channel_id=self.channel_id,
            order_id=order_id,
            refund_id="back",
            lines=[order_pb2.RefundLine(line_id="1", quantity="1")],
            outlet_id="main",
            amount=euros(20),
        )
        await self.call(self.owners.orders.RefundOrder, request)

    async def leave(self) -> None:
        """Harbour is disconnected, where it may be, and what goes with it is switched off."""
        if self.profile != "RETAIL_X_ECWID":
            preview = await self._if_it_leaves()
            await self.connect_outlets("main")
            off = {method.method_id for method in preview.disabled}
            await eventually(partial(self._are_off, off), within_s=60)

    async def what_if_it_leaves(self) -> str:
        """What would become of the methods if Harbour were disconnected, where it may be."""
        if self.profile == "RETAIL_X_ECWID":
            return "it never feeds the channel"
        found = await self._if_it_leaves()
        off = [f"{one.method_id} is switched off" for one in found.disabled]
        return ", ".join(off + [f"{one.method_id} stays" for one in found.kept])

    async def _if_it_leaves(self) -> shipping_pb2.PreviewShippingMethodsResponse:
        asked = channels_pb2.SetConnectedOutletsRequest(
            channel_id=self.channel_id, outlet_ids=["main"], validate_only=True
        )
        then = (await self.call(self.owners.channels.SetConnectedOutlets, asked)).channel
        request = shipping_pb2.PreviewShippingMethodsRequest(
            channel_id=self.channel_id, connected_outlet_ids=then.connected_outlet_ids
        )
        return await self.owners.call(self.shipping.PreviewShippingMethods, request)

    async def _are_off(self, method_ids: set[str]) -> bool:
        request = shipping_pb2.ListShippingMethodsRequest(channel_id=self.channel_id)
        found = (await self.owners.call(self.shipping.ListShippingMethods, request)).methods
        return not any(one.enabled for one in found if one.method_id in method_ids)

    async def come_back(self) -> None:
        """Harbour is connected again, where it may be."""
        if self.profile != "RETAIL_X_ECWID":
            await self.connect_outlets("main", "harbour")

    # What people see, in few words.

    async def online(self) -> str:
        """How many mugs the store may sell, or what it shows instead."""
        request = inventory_pb2.GetOnlineStockRequest(channel_id=self.channel_id, item_id=MUG)
        found = (await self.owners.call(self.owners.inventory.GetOnlineStock, request)).online_stock
        return f"{found.quantity}{f' ({found.label})' if found.label else ''}"

    async def become(self, order_id: str, *, rests: Callable[[order_pb2.Order], bool]) -> str:
        """What became of an order, when it has come to rest; what waits for stock rests too."""
        found = order_pb2.Order()

        async def at_rest() -> bool:
            request = order_pb2.GetOrderRequest(channel_id=self.channel_id, order_id=order_id)
            answer = await self.owners.call(self.owners.orders.GetOrder, request)
            found.CopyFrom(answer.order)
            return rests(found)

        await eventually(at_rest, within_s=60)
        if found.waiting_reason:
            reason = errors_pb2.ErrorReason.Name(found.waiting_reason)
            return f"waits: {reason.removeprefix('ERROR_REASON_')}"
        state = order_pb2.OrderState.Name(found.state).removeprefix("ORDER_STATE_").lower()
        return f"{state}{await self._sale(found.sale_id)}{await self._handed(order_id)}"

    async def _sale(self, sale_id: str) -> str:
        if not sale_id:
            return ", no sale"
        request = order_pb2.GetSaleRequest(sale_id=sale_id)
        sale = (await self.owners.call(self.owners.orders.GetSale, request)).sale
        state = order_pb2.SaleState.Name(sale.state).removeprefix("SALE_STATE_")
        paid = f"paid by {sale.payments[0].method}" if sale.payments else "unpaid"
        return f", sale {state}, {paid}"

    async def _handed(self, order_id: str) -> str:
        request = fulfillment_pb2.ListFulfillmentsRequest(order_id=order_id)
        answer = await self.owners.call(self.fulfillments.ListFulfillments, request)
        states = fulfillment_pb2.FulfillmentState
        parts = sorted(
            f"{one.lines[0].quantity} at {OUTLETS[one.outlet_id]}"
            f" {states.Name(one.state).removeprefix('FULFILLMENT_STATE_')}"
            for one in answer.fulfillments
        )
        return f"; to hand over: {', '.join(parts)}" if parts else ""

    async def account(self, order_id: str) -> str:
        """What became of an order's one line and its money."""
        request = order_pb2.GetOrderRequest(channel_id=self.channel_id, order_id=order_id)
        found = (await self.owners.call(self.owners.orders.GetOrder, request)).order
        for sale_id in found.return_sale_ids:
            await eventually(partial(self._is_back, sale_id), within_s=60)
        line = found.line_accounts[0]
        return (
            f"ordered {line.ordered}, handed over {line.fulfilled}, returned {line.returned},"
            f" restocked {line.restocked}; paid {found.paid.units}, given back"
            f" {found.refunded.units}"
        )

    async def _is_back(self, sale_id: str) -> bool:
        request = order_pb2.GetSaleRequest(sale_id=sale_id)
        sale = (await self.owners.call(self.owners.orders.GetSale, request)).sale
        return not sale.stock_pending

    async def on_hand(self) -> str:
        """The levels of both outlets, once nothing is held any more."""
        await eventually(self._nothing_held, within_s=60)
        levels = await self._levels()
        return ", ".join(
            f"{name} {level.on_hand}" for name, level in zip(OUTLETS.values(), levels, strict=True)
        )

    async def _nothing_held(self) -> bool:
        return all(level.reserved == "0" for level in await self._levels())

    async def _levels(self) -> list[inventory_pb2.StockLevel]:
        found = []
        for outlet_id in OUTLETS:
            request = inventory_pb2.GetStockLevelRequest(item_id=MUG, outlet_id=outlet_id)
            answer = await self.owners.call(self.owners.inventory.GetStockLevel, request)
            found.append(answer.level)
        return found

    async def offered(self) -> str:
        """The methods that may be chosen for one mug."""
        line = shipping_pb2.CartLine(item_id=MUG, quantity="1", unit_price=euros(20))
        request = shipping_pb2.QuoteCheckoutRequest(channel_id=self.channel_id, lines=[line])
        answer = await self.owners.call(self.shipping.QuoteCheckout, request)
        return ", ".join(sorted(one.method_id for one in answer.options)) or "none"

    def note(self, what: str, seen: str) -> None:
        """Writes a row of the table."""
        self.steps.append((what, seen))


def euros(units: int) -> Money:
    """An amount."""
    return Money(currency_code="EUR", units=units)


def _held(order: order_pb2.Order) -> bool:
    return order.state in {order_pb2.ORDER_STATE_HELD, order_pb2.ORDER_STATE_POSTED}


def _paid(order: order_pb2.Order) -> bool:
    posted = order.state == order_pb2.ORDER_STATE_POSTED
    return posted and order.paid.units == order.document.total.units


def _paid_or_waits(order: order_pb2.Order) -> bool:
    return bool(order.waiting_reason) or _paid(order)


def _canceled(order: order_pb2.Order) -> bool:
    return order.state == order_pb2.ORDER_STATE_CANCELED


async def play(shop: Shop) -> Steps:
    """The scenario, from opening the shop to the outlet that comes back."""
    await shop.open()
    note, online = shop.note, shop.online
    note("Two mugs at Main, three at Harbour. The store shows", await online())
    for method_id, outlet_id in (("at Main", "main"), ("at Harbour", "harbour"), ("anywhere", "")):
        if outlet_id != "harbour" or shop.profile != "RETAIL_X_ECWID":
            await shop.method(method_id, outlet_id)
    note("Pickup methods are tied to Main, to Harbour and to none. Offered", await shop.offered())
    await shop.order("A", 1, paid=False)
    note("Order A, one mug, not paid", await shop.become("A", rests=_held))
    note("The store shows", await online())
    await shop.order("A", 1, paid=True, version=2)
    note("Order A is paid", await shop.become("A", rests=_paid))
    await shop.order("B", 1, paid=True, outlet_id="harbour")
    note("Order B, one mug, paid, to be picked up at Harbour", await shop.become("B", rests=_paid))
    await shop.order("C", 3, paid=True)
    note("Order C, three mugs, paid", await shop.become("C", rests=_paid_or_waits))
    note("Levels then", await shop.on_hand())
    await shop.count("main", 9)
    await shop.retry("C")
    note(
        "Nine mugs are counted at Main, and order C is tried again",
        await shop.become("C", rests=_paid),
    )
    await shop.hand_over("A")
    note("Order A is handed over", await shop.become("A", rests=_paid))
    await shop.order("D", 1, paid=False)
    await shop.become("D", rests=_held)
    await shop.cancel("D")
    note("Order D, one mug, not paid, is canceled", await shop.become("D", rests=_canceled))
    await shop.refund("A")
    note("Order A comes back to Main, and its money is given back", await shop.account("A"))
    note("Levels then", await shop.on_hand())
    what_if = await shop.what_if_it_leaves()
    note("If Harbour were disconnected, of the pickup methods", what_if)
    await shop.count("main", 0)
    await shop.leave()
    note("Main is sold out, and Harbour is disconnected. The store shows", await online())
    note("Offered, with nothing in stock", await shop.offered())
    await shop.come_back()
    await shop.count("main", 5)
    note("Harbour is connected again, five at Main. Offered", await shop.offered())
    return shop.steps


@asynccontextmanager
async def shops(
    settings: GatewaySettings, databases: Mapping[Context, str]
) -> AsyncIterator[list[Shop]]:
    """A merchant per profile, on the same four services."""
    async with AsyncExitStack() as stack:
        for name in SERVICES:
            of_its_own = {"database_url": databases.get(name, "")}
            await stack.enter_async_context(service(name, settings.model_copy(update=of_its_own)))
        channels: dict[str, grpc.aio.Channel] = {
            name: await connected(settings.address(name)) for name in CONTEXTS
        }
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        identity = Identity(Tokens(KEY), "profiles")
        yield [
            Shop(
                profile,
                Owners.reached_by(channels, identity, profile.lower()),
                FulfillmentServiceStub(channels["order"]),
                ShippingServiceStub(channels["order"]),
            )
            for profile in PROFILES
        ]


async def played(
    settings: GatewaySettings, databases: Mapping[Context, str]
) -> Mapping[str, Steps]:
    """What is seen under each profile; on SQLite where no databases are named."""
    async with shops(settings, databases) as found:
        return {shop.profile: await play(shop) for shop in found}


def table(found: Mapping[str, Steps]) -> str:
    """The scenario as a table: a row per step, a column per profile."""
    names = " | ".join(f"`{profile}`" for profile in found)
    lines = [f"| what happens | {names} |", "|---" * (len(found) + 1) + "|"]
    lines += [
        f"| {rows[0][0]} | {' | '.join(seen for _, seen in rows)} |"
        for rows in zip(*found.values(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def configured(data_dir: Path) -> GatewaySettings:
    """Settings of four services on free ports."""
    ports = {f"{name}_port": port for name, port in free_ports([*CONTEXTS]).items()}
    values: dict[str, Any] = {
        "data_dir": data_dir,
        "token_key": KEY,
        **ports,
    }
    return GatewaySettings(**values)


def page(text: str, written: str) -> str:
    """The page with this table in place of the one that it has."""
    head = text[: text.index("| what happens |")]
    return head + written


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        seen = asyncio.run(played(configured(Path(directory)), {}))
    PAGE.write_text(page(PAGE.read_text(), table(seen)))
