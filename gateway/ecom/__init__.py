"""Online stores, one package per platform: the vendor's words in, contract requests out, and back.

What the rest of the gateway knows of a store is `Store`; it speaks in the contracts' messages.
Nothing outside this package knows a vendor's field names.

Words:
    shelf: what the store holds of one of our listings, and under which of its own ids.
    held: a shelf with all that is on it, to be compared with the listing.
    slot: where the store keeps the stock of one item.
    figure: what a store shall show of an item's stock.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tillbridge.catalog.v1 import catalog_pb2, drift_pb2
from tillbridge.order.v1 import order_pb2


@dataclass(frozen=True, slots=True)
class OrderHint:
    """A webhook that says that an order was placed or changed, not how."""

    event_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ProductHint:
    """A webhook that says that something of a product was changed, or that it is gone."""

    event_id: str
    shelf_id: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """A webhook that says nothing that Tillbridge keeps."""

    event_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """What a list of orders says of one: enough to know whether it is known as it is. The version
    is the time of its last change, in unix seconds.
    """

    order_id: str
    version: int
    payment_status: order_pb2.PaymentStatus.ValueType
    fulfillment_status: order_pb2.FulfillmentStatus.ValueType = (
        order_pb2.FULFILLMENT_STATUS_UNSPECIFIED
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """What the store shall show of an item's stock: whole units, or no limit. The version is that
    of `OnlineStock`; 0 where it is not known, such as in what a store shows.
    """

    quantity: int
    unlimited: bool = False
    version: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the store keeps the stock of an item, and what it held when it was read."""

    shelf_id: str
    variation_id: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the store holds of a listing.

    Attributes:
        shelf_id: the store's id.
        product_id: the product that it is linked to; empty when it is not ours.
        enabled: whether buyers see it.
        slots: by item id. The only slot of a product without options goes by the product's id,
            since that is all that the store knows of it.
    """

    shelf_id: str
    product_id: str
    enabled: bool
    slots: Mapping[str, Slot]


@dataclass(frozen=True, slots=True)
class Held:
    """What the store shows of a product, and how that compares with a listing.

    Attributes:
        shelf: the ids and the stock.
        report: what the store shows otherwise than a listing would have it, and what it has in the
            fields of its own; lacks only the request id. Raises BadRecordError when the store
            cannot hold the listing at all.
    """

    shelf: Shelf
    report: Callable[[catalog_pb2.Listing], drift_pb2.ReportListingEditRequest]


class Store(Protocol):
    """An online store. Everything raises `PlatformError`."""

    async def order(self, order_id: str) -> order_pb2.OrderDocument | None:
        """The order as the store has it now; None for what is no order, such as a cart that was
        left behind. A line of a product without options carries the product's id as its item id,
        since that is all that the store knows of it.
        """

    def orders_since(self, cursor: str) -> AsyncIterator[tuple[Sequence[OrderSeen], str]]:
        """Orders that changed since the cursor (a time in unix seconds, as is `OrderSeen.version`),
        with the cursor behind them. Some may be told again.
        """

    async def orders_of(self, shelf_id: str, since_s: float) -> Sequence[OrderSeen]:
        """Orders of a product that changed since a time (unix seconds). Somewhat older ones may be
        told as well.
        """

    def shelves(self) -> AsyncIterator[Shelf]:
        """Everything that the store offers."""

    def held(self, shelf_ids: Sequence[str] = ()) -> AsyncIterator[Sequence[Held]]:
        """What the store shows under these ids of its own, or all of it, page by page."""

    async def held_of(self, product_id: str) -> Held | None:
        """What the store shows of one of our products; None when it does not hold it."""

    async def held_at(self, shelf_id: str) -> Held | None:
        """What the store shows under one of its own ids; None when there is no such thing."""

    async def write_listing(
        self, listing: catalog_pb2.Listing, figures: Mapping[str, Figure]
    ) -> Shelf:
        """Creates or overwrites what the store shows of a listing, its stock included. Of the
        fields that belong to the store (CAT-05), those that were set here and are not written yet.
        """

    async def remove_listing(self, shelf: Shelf) -> None:
        """Takes a listing out of the store; one that is gone already is no error."""

    async def write_stock(self, slot: Slot, figure: Figure) -> None:
        """Sets the stock of an item to an absolute figure."""

    async def show_order(self, order_id: str, update: order_pb2.StoreUpdate) -> None:
        """Has the store show of an order what it should and does not; what the update leaves
        open stays as it is.
        """

    async def close(self) -> None:
        """Closes the connections."""
