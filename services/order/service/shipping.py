"""The RPCs of shipping methods, and what a buyer may choose at checkout."""

from collections.abc import Sequence

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.rpc import View, command, query
from services.order.peers import Peers
from tillbridge.order.v1 import shipping_pb2 as pb

CreateCall = Call[pb.CreateShippingMethodRequest, pb.CreateShippingMethodResponse]
UpdateCall = Call[pb.UpdateShippingMethodRequest, pb.UpdateShippingMethodResponse]
DeleteCall = Call[pb.DeleteShippingMethodRequest, pb.DeleteShippingMethodResponse]


class ShippingService:
    """Implements `tillbridge.order.v1.ShippingService`."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers

    @command
    def create_shipping_method(self, transaction: Transaction, calls: Sequence[CreateCall]) -> None:
        """Placeholder."""
        raise NotImplementedError

    @command
    def update_shipping_method(self, transaction: Transaction, calls: Sequence[UpdateCall]) -> None:
        """Placeholder."""
        raise NotImplementedError

    @command
    def delete_shipping_method(self, transaction: Transaction, calls: Sequence[DeleteCall]) -> None:
        """Placeholder."""
        raise NotImplementedError

    @query
    def list_shipping_methods(
        self, view: View, request: pb.ListShippingMethodsRequest
    ) -> pb.ListShippingMethodsResponse:
        """Placeholder."""
        raise NotImplementedError

    async def quote_checkout(
        self, caller: Caller, request: pb.QuoteCheckoutRequest
    ) -> pb.QuoteCheckoutResponse:
        """Placeholder."""
        raise NotImplementedError
