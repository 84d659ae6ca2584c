"""The services that own the facts, as the gateway calls them for one merchant."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from services.chassis.client import Identity
from services.chassis.status import from_rpc_error
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub
from tillbridge.order.v1.order_pb2_grpc import OrderServiceStub

if TYPE_CHECKING:
    from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub
    from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceAsyncStub
    from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceAsyncStub
    from tillbridge.order.v1.order_pb2_grpc import OrderServiceAsyncStub

TIMEOUT_S = 4.0
"""Less than the five seconds that a platform waits for the answer to its webhook."""

Reply = TypeVar("Reply")
Method = Callable[..., Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Owners:
    """The four services, called with the gateway's own identity for one merchant.

    An empty merchant is for the few calls that need none.
    """

    identity: Identity
    catalog: "CatalogServiceAsyncStub"
    inventory: "InventoryServiceAsyncStub"
    channels: "ChannelServiceAsyncStub"
    orders: "OrderServiceAsyncStub"
    customers: "CustomerServiceAsyncStub"
    feeds: Mapping[str, grpc.aio.Channel]
    merchant: str = ""

    @classmethod
    def reached_by(
        cls, channels: Mapping[str, grpc.aio.Channel], identity: Identity, merchant: str = ""
    ) -> "Owners":
        """The services behind these channels, one per context."""
        return cls(
            identity=identity,
            catalog=CatalogServiceStub(channels["catalog"]),
            inventory=InventoryServiceStub(channels["inventory"]),
            channels=ChannelServiceStub(channels["inventory"]),
            orders=OrderServiceStub(channels["order"]),
            customers=CustomerServiceStub(channels["customer"]),
            feeds=channels,
            merchant=merchant,
        )

    def acting_for(self, merchant: str) -> "Owners":
        """The same services, called for this merchant."""
        return Owners(
            self.identity,
            self.catalog,
            self.inventory,
            self.channels,
            self.orders,
            self.customers,
            self.feeds,
            merchant,
        )

    async def call(
        self, method: Method[Reply], request: Any, *, timeout_s: float = TIMEOUT_S
    ) -> Reply:
        """Calls an RPC.

        Raises:
            DomainError: what the service refused, or that it cannot be reached.
        """
        try:
            return await method(
                request, metadata=self.identity.metadata(self.merchant), timeout=timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
