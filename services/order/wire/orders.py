"""Orders as messages."""

from services.order.rules.accounting import Account, Asked, AskedLine, StoreUpdate
from services.order.rules.filters import Filters
from services.order.rules.order import Order, OrderKey
from services.order.rules.return_sales import return_keys
from services.order.wire.documents import document_message
from services.order.wire.scalars import (
    money,
    money_message,
    optional_time,
    quantity,
    quantity_or_none,
    quantity_text,
    time_message,
)
from tillbridge.errors.v1 import errors_pb2
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import order_pb2 as pb


def order_key(
    merchant_id: str,
    request: pb.ReportOrderChangeRequest
    | pb.GetOrderRequest
    | pb.RetryOrderRequest
    | pb.CancelOrderRequest
    | pb.RefundOrderRequest,
) -> OrderKey:
    """Which order a request is about."""
    return OrderKey(merchant_id, request.channel_id, request.order_id)


def order_filters(request: pb.ListOrdersRequest) -> Filters:
    """Which orders a list is to have.

    Raises:
        DomainError: INVALID_FIELD.
    """
    reason = errors_pb2.ErrorReason.Name(request.waiting_reason).removeprefix("ERROR_REASON_")
    return Filters(
        channel_id=request.channel_id,
        state=request.state,
        waiting=request.waiting,
        query=request.query,
        customer_id=request.customer_id,
        waiting_reason=reason if request.waiting_reason else "",
        begin=optional_time(request, "start_time", "start_time"),
        end=optional_time(request, "end_time", "end_time"),
        payment_status=request.payment_status,
    )


def order_message(order: Order, source_document: str = "") -> pb.Order:
    """An order as a message."""
    waiting, reservation = order.waiting, order.reservation
    if order.document:
        ordered = document_message(order.document, source_document)
    else:
        ordered = pb.OrderDocument(order_id=order.key.order_id)
    return pb.Order(
        channel_id=order.key.channel_id,
        document=ordered,
        state=pb.OrderState.ValueType(order.state),
        waiting_reason=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{waiting.reason}")
        if waiting
        else errors_pb2.ERROR_REASON_UNSPECIFIED,
        waiting_message=waiting.message if waiting else "",
        attempts=waiting.attempts if waiting else 0,
        next_try_time=time_message(waiting.next_try_time if waiting else None),
        customer_id=order.buyer.customer_id if order.buyer else "",
        reservation_id=reservation.reservation_id if reservation else "",
        sale_id=order.sale_id,
        create_time=time_message(order.create_time),
        update_time=time_message(order.update_time),
        sync_time=time_message(order.sync_time),
        cancel_time=time_message(order.cancel_time),
        cancel_reason=order.cancel_reason,
        paid=money_message(order.paid),
        refunded=money_message(order.refunded),
        store_update=_store_update_message(order.store_update),
    )


def whole_order_message(order: Order, source_document: str = "") -> pb.Order:
    """An order as a message, with what became of its lines and its returns."""
    message = order_message(order, source_document)
    message.line_accounts.extend(map(_account_message, _accounts(order)))
    message.return_sale_ids.extend(key.sale_id for key in return_keys(order))
    return message


def _accounts(order: Order) -> tuple[Account, ...]:
    """What became of each line; before it is posted nothing has, but it is held."""
    if order.accounts:
        return order.accounts.lines
    if not order.hold or not order.reservation:
        return ()
    held = order.hold.resolved
    pairs = zip(held.lines, held.item_ids, strict=True)
    return tuple(Account(line.line_id, item_id, line.quantity) for line, item_id in pairs)


def _account_message(account: Account) -> pb.LineAccount:
    return pb.LineAccount(
        line_id=account.line_id,
        item_id=account.item_id,
        ordered=quantity_text(account.ordered),
        canceled=quantity_text(account.canceled),
        fulfilled=quantity_text(account.fulfilled),
        returned=quantity_text(account.returned),
        restocked=quantity_text(account.restocked),
    )


def _store_update_message(found: StoreUpdate | None) -> pb.StoreUpdate | None:
    if found is None:
        return None
    return pb.StoreUpdate(
        payment_status=pb.PaymentStatus.ValueType(found.payment_status or 0),
        fulfillment_status=pb.FulfillmentStatus.ValueType(found.fulfillment_status),
        tracking_number=found.tracking_number,
    )


def asked(request: pb.RefundOrderRequest) -> Asked:
    """What is to come back or to be given back.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return Asked(
        lines=tuple(
            AskedLine(
                line.line_id,
                quantity(line.quantity, f"lines[{index}].quantity"),
                quantity_or_none(line.not_restocked),
            )
            for index, line in enumerate(request.lines)
        ),
        outlet_id=request.outlet_id,
        amount=money(request.amount, "amount") if request.HasField("amount") else None,
        method=request.method.strip(),
    )


def order_changed(order: Order) -> events_pb2.OrderChanged:
    """What the feed tells of an order."""
    return events_pb2.OrderChanged(
        channel_id=order.key.channel_id,
        order_id=order.key.order_id,
        state=pb.OrderState.ValueType(order.state),
    )


def order_change_reported(key: OrderKey) -> events_pb2.OrderChangeReported:
    """What the feed tells of an order whose document has to be fetched."""
    return events_pb2.OrderChangeReported(channel_id=key.channel_id, order_id=key.order_id)


def order_subject(key: OrderKey) -> str:
    """The subject of an order's events."""
    return f"order/{key.channel_id}/{key.order_id}"
