"""What a store should show of an order, as far as it does not."""

from collections.abc import Sequence

from services.order.rules.accounting import BY_STAFF, StoreUpdate
from services.order.rules.case import Case
from services.order.rules.document import (
    Document,
    FulfillmentKind,
    FulfillmentStatus,
    PaymentStatus,
)
from services.order.rules.fulfillment import ENDED, Fulfillment, FulfillmentState

NOTHING = StoreUpdate()

_AS_GOOD = {
    FulfillmentStatus.SHIPPED: frozenset(
        {FulfillmentStatus.OUT_FOR_DELIVERY, FulfillmentStatus.DELIVERED}
    ),
}
"""What a store may show instead: where a parcel is by now is the carrier's and the store's word."""


def store_update(case: Case) -> StoreUpdate | None:
    """What the store should show and does not; None when it shows all."""
    document = case.order.document
    if document is None or case.order.gone:
        return None
    found = StoreUpdate(_payment_status(case, document))
    if case.fulfillments:
        wanted = _fulfillment_status(case)
        shown = document.fulfillment_status
        if wanted is shown or shown in _AS_GOOD.get(wanted, ()):
            wanted = FulfillmentStatus.UNSPECIFIED
        tracking = ", ".join(
            dict.fromkeys(one.tracking_number for one in case.fulfillments if one.tracking_number)
        )
        found = StoreUpdate(
            found.payment_status, wanted, "" if tracking == document.tracking_number else tracking
        )
    return None if found == NOTHING else found


def _payment_status(case: Case, document: Document) -> PaymentStatus | None:
    """What was done here: a cancellation (which stands before all else), or money given back."""
    order = case.order
    if document.canceled:
        return None
    if order.cancel_time:
        return PaymentStatus.CANCELED
    here = any(one.origin in BY_STAFF and one.amount_nanos for one in order.refunds)
    if not here or not order.refunded or not order.paid:
        return None
    whole = order.refunded.amount_nanos >= order.paid.amount_nanos
    wanted = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    return None if document.payment_status in {wanted, PaymentStatus.REFUNDED} else wanted


def _fulfillment_status(case: Case) -> FulfillmentStatus:
    accounts = case.order.accounts
    if accounts and accounts.came_back and all(one.state in ENDED for one in case.fulfillments):
        return FulfillmentStatus.RETURNED
    going = [one for one in case.fulfillments if one.state is not FulfillmentState.CANCELED]
    if not going:
        return FulfillmentStatus.WILL_NOT_DELIVER
    states = {one.state for one in going}
    if states == {FulfillmentState.FULFILLED}:
        return FulfillmentStatus.DELIVERED if _pickup(going) else FulfillmentStatus.SHIPPED
    if states <= {FulfillmentState.PACKED, FulfillmentState.FULFILLED} and _pickup(going):
        return FulfillmentStatus.READY_FOR_PICKUP
    if states == {FulfillmentState.NEW}:
        return FulfillmentStatus.UNSPECIFIED  # nobody has begun: what the store says holds
    return FulfillmentStatus.PROCESSING


def _pickup(found: Sequence[Fulfillment]) -> bool:
    return all(one.kind is FulfillmentKind.PICKUP for one in found)
