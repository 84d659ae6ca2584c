"""A merchant with outlets, products and channels, and how they come to be."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from google.type.money_pb2 import Money

from services.chassis.settings import Context
from tests.simulation.book import Book
from tests.simulation.cluster import Channel as Wire
from tests.simulation.cluster import Cluster
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1.audit_pb2_grpc import AuditServiceStub
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub
from tillbridge.inventory.v1.transfers_pb2_grpc import TransferServiceStub
from tillbridge.order.v1 import order_pb2
from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceStub
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub

if TYPE_CHECKING:
    from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub
    from tillbridge.inventory.v1.audit_pb2_grpc import AuditServiceAsyncStub
    from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceAsyncStub
    from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceAsyncStub
    from tillbridge.inventory.v1.transfers_pb2_grpc import TransferServiceAsyncStub
    from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceAsyncStub
    from tillbridge.order.v1.order_pb2_grpc import OrderServiceAsyncStub

PROFILES = (
    channels_pb2.PROFILE_RETAIL_R_ECOM,
    channels_pb2.PROFILE_RETAIL_X_ECOM,
    channels_pb2.PROFILE_RETAIL_X_ECOM,  # the one whose orders are handed over here
    channels_pb2.PROFILE_RETAIL_X_ECWID,
)
Place = tuple[str, str]
"""Item and outlet."""


class Services:
    """The services, as those outside call them."""

    def __init__(self, cluster: Cluster) -> None:
        def wire(context: Context) -> Any:
            return cast("Any", Wire(cluster, context))

        self.catalog: CatalogServiceAsyncStub = CatalogServiceStub(wire("catalog"))
        self.customers: CustomerServiceAsyncStub = CustomerServiceStub(wire("customer"))
        self.inventory: InventoryServiceAsyncStub = InventoryServiceStub(wire("inventory"))
        self.channels: ChannelServiceAsyncStub = ChannelServiceStub(wire("inventory"))
        self.audit: AuditServiceAsyncStub = AuditServiceStub(wire("inventory"))
        self.transfers: TransferServiceAsyncStub = TransferServiceStub(wire("inventory"))
        self.orders: OrderServiceAsyncStub = OrderServiceStub(wire("order"))
        self.fulfillments: FulfillmentServiceAsyncStub = FulfillmentServiceStub(wire("order"))


@dataclass(slots=True)
class Placed:
    """An order as its store knows it: every document that there ever was, newest last."""

    channel_id: str
    documents: list[order_pb2.OrderDocument] = field(default_factory=list)

    @property
    def latest(self) -> order_pb2.OrderDocument:
        """What the store shows now."""
        return self.documents[-1]


@dataclass(slots=True)
class Shop:
    """A merchant's installation, and what is known outside of what it went through."""

    merchant: str
    outside_pos: bool
    """Whether an outside point of sale is the system of record."""
    services: Services
    book: Book
    outlets: list[str]
    items: list[str]
    channels: dict[str, int] = field(default_factory=dict)
    """Profile by channel id."""
    orders: dict[str, Placed] = field(default_factory=dict)
    sales: dict[str, order_pb2.Sale] = field(default_factory=dict)
    """Of tills, by id."""
    gone: set[str] = field(default_factory=set)
    """Items whose product is deleted."""
    deleted: set[str] = field(default_factory=set)
    """Items whose product was deleted at some time."""
    accepting: set[str] = field(default_factory=set)
    """Channels that were ever told to take levels that are typed in their store."""
    dealt_with: bool = False
    """Whether an operator has ever said that an incident was dealt with."""
    _version: int = 1

    def version(self) -> int:
        """The next version: of a level, a product or a sale in the point of sale."""
        self._version += 1
        return self._version


def sku(item_id: str) -> str:
    """The SKU of an item."""
    return f"SKU-{item_id}"


def euros(units: int) -> Money:
    """An amount."""
    return Money(currency_code="EUR", units=units)


def product(item_id: str, version: int) -> catalog_pb2.Product:
    """The product whose one variant is this item."""
    variant = catalog_pb2.Variant(item_id=item_id, sku=sku(item_id), retail_price=euros(10))
    return catalog_pb2.Product(
        product_id=f"product-{item_id}",
        name=f"{item_id} as of {version}",
        active=True,
        variants=[variant],
        version=version,
    )


async def open_shop(cluster: Cluster, merchant: str, dice: random.Random) -> Shop:
    """A new installation: outlets, a register in each, products, channels and stock."""
    outlets = [f"{merchant}-outlet-{n}" for n in range(dice.choice((2, 2, 3)))]
    items = [f"{merchant}-item-{n}" for n in range(dice.choice((2, 3)))]
    shop = Shop(merchant, dice.random() < 0.4, Services(cluster), Book(merchant), outlets, items)
    await asyncio.gather(*(_open_outlet(shop, outlet, dice) for outlet in outlets))
    await shop.book.send(
        shop.services.catalog.BatchUpsertProducts,
        catalog_pb2.BatchUpsertProductsRequest(
            request_id="products", products=[product(item, 1) for item in items]
        ),
        dice,
    )
    for number in range(dice.choice((1, 1, 2))):
        await _open_channel(shop, number, dice)
    return shop


async def _open_outlet(shop: Shop, outlet: str, dice: random.Random) -> None:
    channels = shop.services.channels
    await shop.book.send(
        channels.CreateOutlet,
        channels_pb2.CreateOutletRequest(
            request_id=f"open {outlet}",
            outlet=channels_pb2.Outlet(outlet_id=outlet, display_name=outlet),
        ),
        dice,
    )
    await shop.book.send(
        channels.CreateRegister,
        channels_pb2.CreateRegisterRequest(
            request_id=f"register {outlet}",
            register=channels_pb2.Register(
                register_id=f"till-{outlet}", display_name="Till", outlet_id=outlet
            ),
        ),
        dice,
    )


async def _open_channel(shop: Shop, number: int, dice: random.Random) -> None:
    profile = dice.choice(PROFILES)
    home, others = shop.outlets[0], shop.outlets[1:]
    primary = profile == channels_pb2.PROFILE_RETAIL_R_ECOM
    only = profile == channels_pb2.PROFILE_RETAIL_X_ECWID
    answer = await shop.book.send(
        shop.services.channels.CreateChannel,
        channels_pb2.CreateChannelRequest(
            request_id=f"channel {number}",
            display_name=f"Store {number}",
            profile=profile,
            register_id="" if primary else f"till-{home}",
            primary_outlet_id=home if primary else "",
            connected_outlet_ids=[] if only else [o for o in others if dice.random() < 0.7],
            external_pos=shop.outside_pos,
        ),
        dice,
    )
    shop.channels[answer.channel.channel_id] = profile


async def stock_up(shop: Shop, dice: random.Random) -> None:
    """Fills the shelves of a shop without an outside point of sale."""
    lines = [
        inventory_pb2.Adjustment(item_id=item, outlet_id=outlet, quantity=str(dice.randint(1, 8)))
        for item in shop.items
        for outlet in shop.outlets
        if dice.random() < 0.8
    ]
    if lines:
        await shop.book.send(
            shop.services.inventory.AdjustStock,
            inventory_pb2.AdjustStockRequest(
                request_id="stock",
                kind=inventory_pb2.MOVEMENT_KIND_RECEIPT,
                lines=lines,
                cause="first delivery",
            ),
            dice,
        )
