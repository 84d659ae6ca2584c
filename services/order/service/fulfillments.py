"""The RPCs of fulfillments."""

from collections.abc import Callable, Sequence
from typing import Any

from services.chassis.database import Call, Transaction
from services.chassis.pages import token_after
from services.chassis.rpc import View, command, query
from services.order.rules import fulfillment as rules
from services.order.rules import returns
from services.order.rules.fulfillment import Fulfillment, Handling
from services.order.rules.sale import Sale
from services.order.service.cases import Cases
from services.order.service.lists import page_of, split
from services.order.store import fulfillments
from services.order.store.fulfillments import FulfillmentKey
from services.order.wire import fulfillments as fulfillment_wire
from tillbridge.order.v1 import fulfillment_pb2 as pb

PickCall = Call[pb.PickFulfillmentRequest, pb.PickFulfillmentResponse]
PackCall = Call[pb.PackFulfillmentRequest, pb.PackFulfillmentResponse]
CompleteCall = Call[pb.CompleteFulfillmentRequest, pb.CompleteFulfillmentResponse]

Handle = Callable[[Fulfillment, Handling, Sale], Fulfillment]


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
            channel_id=request.channel_id,
            state=request.state,
        )
        shown, more = split(request, found)
        position = fulfillments.position(shown[-1]) if more else ()
        return pb.ListFulfillmentsResponse(
            fulfillments=[fulfillment_wire.fulfillment_message(one) for one in shown],
            next_page_token=token_after(request, *position) if more else "",
        )

    @command
    def pick_fulfillment(self, transaction: Transaction, calls: Sequence[PickCall]) -> None:
        """Notes what was taken from the shelf."""

        def handle(found: Fulfillment, handling: Handling, _sale: Sale) -> Fulfillment:
            return rules.pick(found, handling, transaction.now)

        _handle(transaction, calls, handle, pb.PickFulfillmentResponse)

    @command
    def pack_fulfillment(self, transaction: Transaction, calls: Sequence[PackCall]) -> None:
        """Notes what was packed."""

        def handle(found: Fulfillment, handling: Handling, _sale: Sale) -> Fulfillment:
            return rules.pack(found, handling, transaction.now)

        _handle(transaction, calls, handle, pb.PackFulfillmentResponse)

    @command
    def complete_fulfillment(self, transaction: Transaction, calls: Sequence[CompleteCall]) -> None:
        """Notes what was handed over; the sale is done when nothing is left to hand over."""

        def handle(found: Fulfillment, handling: Handling, sale: Sale) -> Fulfillment:
            return rules.complete(found, handling, sale, transaction.now)

        _handle(transaction, calls, handle, pb.CompleteFulfillmentResponse)


def _handle(
    transaction: Transaction, calls: Sequence[Call[Any, Any]], handle: Handle, response: Any
) -> None:
    """Handles calls, each about one fulfillment; the order's books follow."""
    keys = [FulfillmentKey(call.merchant, call.request.fulfillment_id) for call in calls]
    of_orders = fulfillments.order_keys(transaction.connection, keys)
    cases = Cases(transaction, list(of_orders.values()))
    for call, key in zip(calls, keys, strict=True):
        with call:
            if key not in of_orders:
                raise rules.fulfillment_not_found(key.fulfillment_id)
            order_key = of_orders[key]
            case = cases.going[order_key]
            [before] = [one for one in case.fulfillments if fulfillments.key_of(one) == key]
            assert case.sale
            after = handle(before, fulfillment_wire.handling(call.request), case.sale)
            if after is not before:
                cases.going[order_key] = returns.handled(case, before, after)
            call.reply(response(fulfillment=fulfillment_wire.fulfillment_message(after)))
    cases.save()
