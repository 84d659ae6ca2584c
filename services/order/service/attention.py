"""The RPCs of what waits for an operator."""

from collections.abc import Sequence

from services.chassis.database import Call, Transaction
from services.chassis.rpc import View, command, query
from tillbridge.order.v1 import order_pb2 as pb

RetryAllCall = Call[pb.RetryOrdersRequest, pb.RetryOrdersResponse]


class Attention:
    """The part of `tillbridge.order.v1.OrderService` that is about what waits for an operator."""

    @query
    def list_attention(
        self, view: View, request: pb.ListAttentionRequest
    ) -> pb.ListAttentionResponse:
        """Placeholder."""
        raise NotImplementedError

    @command
    def retry_orders(self, transaction: Transaction, calls: Sequence[RetryAllCall]) -> None:
        """Placeholder."""
        raise NotImplementedError
