"""What is asked of the other services, and what they answer.

Every request that changes something there has an id that is derived from the order or sale, so that
it may be sent any number of times.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from services.order.rules.document import Document
from services.order.rules.moved import Told
from services.order.rules.order import Allocation, FoundItem, Hold, OrderKey, Reservation
from services.order.rules.sale import Channel, FulfillmentPolicy, PostingPolicy, Sale, joined
from services.order.rules.stock import StockChange
from services.order.wire.scalars import quantity, quantity_text, time_message
from services.order.wire.shipping import storefront
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.customer.v1 import customer_pb2
from tillbridge.customer.v1 import events_pb2 as customer_events_pb2
from tillbridge.errors.v1 import errors_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2

REQUEST_ID_MAX = 128
CAUSE_MAX = 200
_CAUSE = "order "
"""What a hold is for begins so; the id of its order follows."""


def request_id(*names: str) -> str:
    """The id of a request that is derived from these names, and from nothing else."""
    text = joined(names)
    if len(text) <= REQUEST_ID_MAX:
        return text
    return f"{names[0]}/{blake2b(text.encode(), digest_size=32).hexdigest()}"


def _request_id(key: OrderKey, *names: str) -> str:
    return request_id("order", key.channel_id, key.order_id, *names)


def resolve_items(found: Document) -> catalog_pb2.ResolveItemsRequest:
    """Asks for the items of all lines."""
    return catalog_pb2.ResolveItemsRequest(
        references=[
            catalog_pb2.ItemReference(item_id=line.item_id, sku=line.sku) for line in found.lines
        ]
    )


def resolve_skus(skus: Sequence[str]) -> catalog_pb2.ResolveItemsRequest:
    """Asks for the items with these SKUs."""
    return catalog_pb2.ResolveItemsRequest(
        references=[catalog_pb2.ItemReference(sku=sku) for sku in skus]
    )


def found_items(response: catalog_pb2.ResolveItemsResponse) -> list[FoundItem]:
    """What the catalog says of each line."""
    return [
        FoundItem(
            item.item_id,
            "" if item.item_id else _reason(item.reason),
        )
        for item in response.items
    ]


def _reason(number: errors_pb2.ErrorReason.ValueType) -> str:
    known = number or errors_pb2.ERROR_REASON_ITEM_NOT_FOUND
    return errors_pb2.ErrorReason.Name(known).removeprefix("ERROR_REASON_")


def match_customer(key: OrderKey, found: Document) -> customer_pb2.MatchCustomerRequest:
    """Asks for the buyer; another buyer on the same order, or a former one again, is another
    request.
    """
    told = "\0".join((found.email, found.buyer_name, found.phone)).encode()
    names = ("buyer", str(found.version), blake2b(told, digest_size=8).hexdigest())
    return customer_pb2.MatchCustomerRequest(
        request_id=_request_id(key, *names),
        email=found.email,
        name=found.buyer_name,
        phone=found.phone,
        channel_id=key.channel_id,
        order_id=key.order_id,
    )


def reserve_stock(key: OrderKey, hold: Hold) -> inventory_pb2.ReserveStockRequest:
    """Asks for a hold; the same hold is the same request."""
    return inventory_pb2.ReserveStockRequest(
        request_id=_request_id(key, "reserve", *_again(hold)),
        channel_id=key.channel_id,
        lines=_lines(hold),
        outlet_id=hold.outlet_id,
        cause=f"{_CAUSE}{key.order_id}",
    )


def take_stock(key: OrderKey, hold: Hold) -> inventory_pb2.TakeStockRequest:
    """Asks for stock to be taken at once; the same hold is the same request."""
    return inventory_pb2.TakeStockRequest(
        request_id=_request_id(key, "take", *_again(hold)),
        channel_id=key.channel_id,
        lines=_lines(hold),
        outlet_id=hold.outlet_id,
        cause=f"{_CAUSE}{key.order_id}",
    )


def _lines(hold: Hold) -> list[inventory_pb2.ReservationLine]:
    return [
        inventory_pb2.ReservationLine(
            line_id=line.line_id, item_id=item_id, quantity=quantity_text(line.quantity)
        )
        for line, item_id in zip(hold.resolved.lines, hold.resolved.item_ids, strict=True)
    ]


def put_back_stock(key: OrderKey, reservation_id: str) -> inventory_pb2.PutBackStockRequest:
    """Asks for what was taken at once to be put back."""
    return inventory_pb2.PutBackStockRequest(
        request_id=_request_id(key, "put back", reservation_id), reservation_id=reservation_id
    )


def _again(hold: Hold) -> Sequence[str]:
    return (str(hold.number),) if hold.number else ()


def reservation(message: inventory_pb2.Reservation) -> Reservation:
    """What is held."""
    return Reservation(
        message.reservation_id,
        tuple(
            Allocation(
                part.line_id,
                part.item_id,
                part.outlet_id,
                quantity(part.quantity, "reservation.allocations.quantity"),
            )
            for part in message.allocations
        ),
    )


def reservation_told(event: events_pb2.Event) -> tuple[OrderKey, Told] | None:
    """What inventory tells of a hold, and its order; None of what is not held for one."""
    changed = inventory_events_pb2.ReservationChanged()
    if not event.data.Unpack(changed) or not changed.reservation.cause.startswith(_CAUSE):
        return None
    told = changed.reservation
    key = OrderKey(event.merchant_id, told.channel_id, told.cause.removeprefix(_CAUSE))
    held = told.state == inventory_pb2.RESERVATION_STATE_HELD
    return key, Told(reservation(told), held, changed.incident_id, event.cursor)


def release_reservation(
    key: OrderKey, reservation_id: str
) -> inventory_pb2.ReleaseReservationRequest:
    """Asks for a hold's release."""
    return inventory_pb2.ReleaseReservationRequest(
        request_id=_request_id(key, "release", reservation_id), reservation_id=reservation_id
    )


def commit_reservation(
    key: OrderKey, held: Reservation, pos_version: int | None
) -> inventory_pb2.CommitReservationRequest:
    """Says that the hold's sale is posted. The version that an outside point of sale gave it counts
    at the outlets that it names: what is held at others by then is not committed (BEY-04).
    """
    if pos_version is None:
        return inventory_pb2.CommitReservationRequest(
            request_id=_request_id(key, "commit"), reservation_id=held.reservation_id
        )
    return inventory_pb2.CommitReservationRequest(
        request_id=_request_id(key, "posted"),
        reservation_id=held.reservation_id,
        pos_version=pos_version,
        allocations=[
            inventory_pb2.Allocation(
                line_id=part.line_id,
                item_id=part.item_id,
                outlet_id=part.outlet_id,
                quantity=quantity_text(part.quantity),
            )
            for part in held.allocations
        ],
    )


def adjust_stock(found: Sale, change: StockChange) -> inventory_pb2.AdjustStockRequest:
    """Moves the stock that a sale moves by itself."""
    cause = f"sale {found.key.sale_id}"
    if found.order_id:
        refund = f", refund {found.refund_id}" if found.refund_id else ""
        cause = f"order {found.order_id}{refund}"[:CAUSE_MAX]
    return inventory_pb2.AdjustStockRequest(
        request_id=request_id("sale", found.key.sale_id, "stock", change.name),
        kind=inventory_pb2.MovementKind.ValueType(change.kind),
        lines=[
            inventory_pb2.Adjustment(
                item_id=movement.item_id,
                outlet_id=movement.outlet_id,
                quantity=quantity_text(movement.quantity),
            )
            for movement in change.movements
        ],
        cause=cause,
        observe_time=time_message(found.sale_time) if change.dated else None,
    )


def channel(message: channels_pb2.Channel) -> Channel:
    """What an order's way depends on."""
    policies = message.policies
    return Channel(
        posting=PostingPolicy(policies.posting),
        fulfillment=FulfillmentPolicy(policies.fulfillment),
        external_pos=policies.external_pos,
        register_id=message.register_id,
        outlet_id=message.register_outlet_id
        or message.primary_outlet_id
        or next(iter(message.connected_outlet_ids), ""),
        post_sales=policies.post_sales,
        storefront=storefront(message),
    )


def changed_items(message: catalog_events_pb2.ProductChanged) -> Iterable[tuple[str, str]]:
    """Item id and SKU of each item of a changed product."""
    return [(item.item_id, item.sku) for item in message.items]


def unblocked_orders(
    merchant_id: str, message: customer_events_pb2.OrdersUnblocked
) -> Iterable[OrderKey]:
    """The orders that may go on."""
    return [OrderKey(merchant_id, message.channel_id, order_id) for order_id in message.order_ids]


def online_quantity(message: inventory_events_pb2.OnlineStockChanged) -> int | None:
    """How much a channel may sell of an item, in thousandths; None is no limit."""
    return None if message.unlimited else message.quantity * 1000
