"""Points of sale, one package per platform: the vendor's words in, contract requests out, and back.

What the rest of the gateway knows of a point of sale is `PointOfSale`; it speaks in the contracts'
messages. Nothing outside this package knows a vendor's field names.

Words:
    change: what a webhook or a poll says is different in the point of sale.
    hint: a change that names what is different without saying how; it has to be read.
    batch: changed records, with the cursor to go on from.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.customer.v1 import customer_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Gone:
    """A product that the point of sale has deleted, with the version of the deletion."""

    product_id: str
    version: int


@dataclass(frozen=True, slots=True)
class MirroredSale:
    """A sale of the point of sale's own history, and its version there."""

    sale: order_pb2.Sale
    version: int


ProductState = catalog_pb2.Product | Gone


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook that came from the platform: its signature fits."""

    kind: str
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LevelsRead:
    """Levels that are complete."""

    counts: Sequence[inventory_pb2.Count]


@dataclass(frozen=True, slots=True)
class ProductsRead:
    """Products as they are now."""

    products: Sequence[ProductState]


@dataclass(frozen=True, slots=True)
class SalesRead:
    """Sales as they are now."""

    sales: Sequence[MirroredSale]


@dataclass(frozen=True, slots=True)
class CustomersRead:
    """Customer profiles as they are now."""

    customers: Sequence[customer_pb2.PosCustomer]


@dataclass(frozen=True, slots=True)
class Nothing:
    """An event that says nothing that Tillbridge keeps."""

    why: str


Change = LevelsRead | ProductsRead | SalesRead | CustomersRead | Nothing


@dataclass(frozen=True, slots=True)
class Batch(Generic[Read]):
    """Changed records, and the cursor behind them."""

    records: Sequence[Read]
    cursor: str


@dataclass(frozen=True, slots=True)
class SaleToPost:
    """An online order's sale on its way into the point of sale.

    Attributes:
        sale: the sale.
        order_id: the store's id of the order.
        kind: how it reaches the buyer.
        register_id: where it is posted, unless another outlet than the register's fills it.
        pos_customer_id: the buyer's profile in the point of sale; empty when it is not known yet.
        email: the buyer's address, by which the profile is found; may be empty.
        buyer_name: used when a profile is made.
        phone: used when a profile is made.
        posted_before: whether it may be in the point of sale already.
    """

    sale: order_pb2.Sale
    order_id: str
    kind: order_pb2.FulfillmentKind.ValueType
    register_id: str
    pos_customer_id: str
    email: str
    buyer_name: str
    phone: str
    posted_before: bool


class PointOfSale(Protocol):
    """An account at a point of sale. Everything raises `PlatformError`."""

    async def change(self, event: Event) -> Change:
        """What an event says, read from the platform where the event itself does not say it."""

    async def product(self, item_id: str) -> ProductState | None:
        """The whole product that an item belongs to; None when it was never there."""

    async def levels(self, item_id: str) -> list[inventory_pb2.Count]:
        """The levels of an item at every outlet."""

    def products_since(self, cursor: str) -> AsyncIterator[Batch[ProductState]]:
        """Products that changed behind the cursor; all of them when it is empty."""

    def levels_since(self, cursor: str) -> AsyncIterator[Batch[inventory_pb2.Count]]:
        """Levels that changed behind the cursor."""

    def customers_since(self, cursor: str) -> AsyncIterator[Batch[customer_pb2.PosCustomer]]:
        """Customer profiles that changed behind the cursor."""

    def sales_since(self, cursor: str) -> AsyncIterator[Batch[MirroredSale]]:
        """Sales that changed behind the cursor."""

    async def outlets(self) -> list[channels_pb2.Outlet]:
        """All outlets."""

    async def registers(self) -> list[channels_pb2.Register]:
        """All registers."""

    async def post_sale(self, posting: SaleToPost) -> int:
        """Writes a sale, or its new state; returns the version that the platform gave it."""

    async def subscribe(self, url: str) -> None:
        """Has webhooks sent to this address; asking again changes nothing."""

    async def close(self) -> None:
        """Closes the connections."""
