"""The RPCs that take an order back: cancel it, refund it."""

from collections.abc import Sequence

from services.chassis.database import Call, Transaction
from services.chassis.rpc import command
from tillbridge.order.v1 import order_pb2 as pb

CancelCall = Call[pb.CancelOrderRequest, pb.CancelOrderResponse]
RefundCall = Call[pb.RefundOrderRequest, pb.RefundOrderResponse]


class Returns:
    """The part of `tillbridge.order.v1.OrderService` that is about taking orders back."""

    @command
    def cancel_order(self, transaction: Transaction, calls: Sequence[CancelCall]) -> None:
        """Placeholder."""
        raise NotImplementedError

    @command
    def refund_order(self, transaction: Transaction, calls: Sequence[RefundCall]) -> None:
        """Placeholder."""
        raise NotImplementedError
