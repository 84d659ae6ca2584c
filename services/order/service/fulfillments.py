"""The RPCs of fulfillments."""

from collections.abc import Sequence

from services.chassis.database import Call, Transaction
from services.chassis.pages import token_after
from services.chassis.rpc import View, command, query
from services.order.service.lists import page_of, split
from services.order.store import fulfillments
from services.order.wire import fulfillments as fulfillment_wire
from tillbridge.order.v1 import fulfillment_pb2 as pb

PickCall = Call[pb.PickFulfillmentRequest, pb.PickFulfillmentResponse]
PackCall = Call[pb.PackFulfillmentRequest, pb.PackFulfillmentResponse]
CompleteCall = Call[pb.CompleteFulfillmentRequest, pb.CompleteFulfillmentResponse]


class FulfillmentService:
    """Implements `tillbridge.order.v1.FulfillmentService`."""

    @query
    def list_fulfillments(
        self, view: View, request: pb.ListFulfillmentsRequest
    ) -> pb.ListFulfillmentsResponse:
        """Fulfillments, newest first."""
        found = fulfillments.list_fulfillments(
            view.connection,
            view.merchant,
            page_of(request, int, str),
            outlet_id=request.outlet_id,
            order_id=request.order_id,
        )
        shown, more = split(request, found)
        position = fulfillments.position(shown[-1]) if more else ()
        return pb.ListFulfillmentsResponse(
            fulfillments=[fulfillment_wire.fulfillment_message(one) for one in shown],
            next_page_token=token_after(request, *position) if more else "",
        )

    @command
    def pick_fulfillment(self, transaction: Transaction, calls: Sequence[PickCall]) -> None:
        """Placeholder."""
        raise NotImplementedError

    @command
    def pack_fulfillment(self, transaction: Transaction, calls: Sequence[PackCall]) -> None:
        """Placeholder."""
        raise NotImplementedError

    @command
    def complete_fulfillment(self, transaction: Transaction, calls: Sequence[CompleteCall]) -> None:
        """Placeholder."""
        raise NotImplementedError
