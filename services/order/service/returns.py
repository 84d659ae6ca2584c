"""The RPCs that take an order back: cancel it, refund it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import command
from services.order.peers import Peers
from services.order.rules import order as order_rules
from services.order.rules import returns as rules
from services.order.rules.case import Case
from services.order.rules.return_sales import return_key
from services.order.rules.sale import Channel, Sale
from services.order.service.cases import Cases
from services.order.wire import orders as order_wire
from services.order.wire import sales as sale_wire
from services.order.wire.scalars import time
from tillbridge.order.v1 import order_pb2 as pb

REFUND = "tillbridge.order.v1.OrderService.RefundOrder"

CancelCall = Call[pb.CancelOrderRequest, pb.CancelOrderResponse]


@dataclass(slots=True, eq=False)
class RefundCall(Call[pb.RefundOrderRequest, pb.RefundOrderResponse]):
    """A call of RefundOrder, with what its channel is like."""

    channel: Channel | None = None


class Returns:
    """The part of `tillbridge.order.v1.OrderService` that is about taking orders back."""

    _database: Database
    _peers: Peers

    @command
    def cancel_order(self, transaction: Transaction, calls: Sequence[CancelCall]) -> None:
        """Cancels orders; their runs do what that takes, right after the step they are at."""
        keys = [order_wire.order_key(call.merchant, call.request) for call in calls]
        cases = Cases(transaction, keys)
        for call, key in zip(calls, keys, strict=True):
            with call:
                if key not in cases.going:
                    raise order_rules.order_not_found(key)
                reason = call.request.reason
                cases.going[key] = rules.canceled(cases.going[key], reason, transaction.now)
                message = order_wire.whole_order_message(cases.going[key].order)
                call.reply(pb.CancelOrderResponse(order=message))
        cases.save()

    async def refund_order(
        self, caller: Caller, request: pb.RefundOrderRequest
    ) -> pb.RefundOrderResponse:
        """Gives money back, takes goods back, or both (ORD-13, BEY-13)."""
        if request.outlet_id and request.lines:
            await self._peers.check_outlet(caller.merchant, request.outlet_id)
        channel = await self._channel(caller.merchant, request.channel_id)
        call = RefundCall(caller, request, channel=channel)
        answer = await self._database.write(REFUND, self._refund, call)
        return pb.RefundOrderResponse.FromString(answer)

    async def _channel(self, merchant_id: str, channel_id: str) -> Channel | None:
        """The channel; None where it is gone or never was."""
        try:
            return await self._peers.channel(merchant_id, channel_id)
        except DomainError as error:
            if error.reason != "CHANNEL_NOT_FOUND":
                raise
            return None

    def _refund(self, transaction: Transaction, found: Sequence[Call[Any, Any]]) -> None:
        calls = cast("Sequence[RefundCall]", found)
        keys = [order_wire.order_key(call.merchant, call.request) for call in calls]
        returned = [
            return_key(key, call.request.refund_id) for key, call in zip(keys, calls, strict=True)
        ]
        cases = Cases(transaction, keys, returned)
        for call, key in zip(calls, keys, strict=True):
            with call:
                if key not in cases.going:
                    raise order_rules.order_not_found(key)
                before = cases.going[key]
                after = _refunded(before, call, transaction)
                if not call.request.validate_only:
                    cases.going[key] = after
                sale = _return_of(after, call.request.refund_id)
                call.reply(
                    pb.RefundOrderResponse(
                        order=order_wire.whole_order_message(after.order),
                        sale=sale_wire.sale_message(sale) if sale else None,
                        created=after is not before,
                    )
                )
        cases.save()


def _refunded(case: Case, call: RefundCall, transaction: Transaction) -> Case:
    """The case with what a call gives or takes back.

    Raises:
        DomainError: ORDER_NOT_POSTED, and what the rules refuse.
    """
    request, channel = call.request, call.channel
    if case.sale is None or channel is None:
        raise DomainError(
            "ORDER_NOT_POSTED",
            "the order has no sale yet: cancel it, or let it be posted first",
            order_id=request.order_id,
        )
    ready = rules.followed(rules.with_accounts(case, channel), transaction.now)
    told = request.HasField("refund_time")
    when = time(request.refund_time, "refund_time") if told else transaction.now
    after = rules.refund(
        ready,
        rules.Return(request.refund_id, order_wire.asked(request), when, request.reason),
        channel,
        transaction.now,
    )
    if after is ready:
        return case
    order = replace(after.order, due_time=transaction.now, update_time=transaction.now)
    return rules.tallied(replace(after, order=order))


def _return_of(case: Case, refund_id: str) -> Sale | None:
    """The return sale of a refund; None where it has none."""
    found = (sale for sale in case.returns if sale.refund_id == refund_id)
    return next(found, None)
