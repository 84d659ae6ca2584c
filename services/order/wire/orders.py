"""Orders as messages."""

from datetime import datetime

from services.order.rules.accounting import Account, Asked, AskedLine, StoreUpdate
from services.order.rules.document import FulfillmentStatus, PaymentStatus
from services.order.rules.filters import Filters
from services.order.rules.listed import Listed, listed
from services.order.rules.order import Order, OrderKey
from services.order.rules.refused import RefusedUpdate
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
    | pb.RefundOrderRequest
    | pb.ReportStoreUpdateRefusedRequest,
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
    message = listed_message(listed(order))
    message.document.source_document = source_document
    return message


def listed_message(found: Listed) -> pb.Order:
    """An order as a list shows it."""
    message = _order_message(found)
    if isinstance(found.document, bytes):
        message.document.MergeFromString(found.document)
    elif found.document:
        message.document.CopyFrom(document_message(found.document))
    else:
        message.document.order_id = found.key.order_id
    return message


def known_message(found: Listed, told: pb.OrderDocument) -> pb.Order | None:
    """An order that is told just as it is known, but for its source; None where it is not."""
    if found.document is None:
        return None
    kept = found.document
    if not isinstance(kept, bytes):
        kept = kept_message(document_message(kept))
    if kept != kept_message(told):
        return None
    message = _order_message(found)
    message.document.CopyFrom(told)
    return message


def kept_message(document: pb.OrderDocument) -> bytes:
    """A document without its source as it is kept beside its order."""
    return document.SerializeToString(deterministic=True)


def _order_message(found: Listed) -> pb.Order:
    """All but the document."""
    message = pb.Order(
        channel_id=found.key.channel_id,
        state=pb.OrderState.ValueType(found.state),
        customer_id=found.customer_id,
        reservation_id=found.reservation_id,
        sale_id=found.sale_id,
        create_time=time_message(found.create_time),
        update_time=time_message(found.update_time),
        sync_time=time_message(found.sync_time),
        cancel_time=time_message(found.cancel_time),
        cancel_reason=found.cancel_reason,
        paid=money_message(found.paid),
        refunded=money_message(found.refunded),
        store_update=_store_update_message(found.store_update),
    )
    if found.waiting_reason:
        reason = errors_pb2.ErrorReason.Value(f"ERROR_REASON_{found.waiting_reason}")
        message.waiting_reason = reason
        message.waiting_message = found.waiting_message
        message.attempts = found.attempts
        if found.next_try_time:
            message.next_try_time.CopyFrom(time_message(found.next_try_time))
    return message


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


def refused_update(
    request: pb.ReportStoreUpdateRefusedRequest, key: OrderKey, now: datetime
) -> RefusedUpdate:
    """What a store refuses to show of an order."""
    told = request.update
    payment_status = PaymentStatus(told.payment_status) if told.payment_status else None
    update = StoreUpdate(
        payment_status, FulfillmentStatus(told.fulfillment_status), told.tracking_number
    )
    return RefusedUpdate(key, update, request.message, now)


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
