"""What became of an order here is shown in its store, once, and comes back as no news."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from services.chassis.errors import DomainError
from tests.gateway.installation import MUG, Installation, gateway, installation
from tests.harness import eventually
from tillbridge.attention.v1 import attention_pb2
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.order.v1 import fulfillment_pb2, order_pb2
from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceStub

if TYPE_CHECKING:
    from tillbridge.order.v1.fulfillment_pb2_grpc import FulfillmentServiceAsyncStub

WITHIN_S = 15.0


@pytest.fixture
async def shop_open(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation whose channel sells mugs online."""
    async with installation(tmp_path) as installed, gateway(installed):
        await installed.connect()

        async def listed() -> bool:
            request = catalog_pb2.ListListingsRequest(channel_id=installed.channel_id)
            owners = installed.owners
            answer = await owners.call(owners.catalog.ListListings, request)
            return len(answer.listings) == 17

        await told(listed)
        await installed.sell_online(MUG)

        async def shown() -> bool:
            return await installed.shown() == 17

        await told(shown)
        yield installed


async def told(condition: Any) -> None:
    """Waits until a condition holds; what is refused meanwhile is not yet."""

    async def holds() -> bool:
        try:
            return bool(await condition())
        except DomainError as error:
            raise AssertionError(error.message) from error

    await eventually(holds, WITHIN_S)


async def order_of(installed: Installation, order_id: str) -> order_pb2.Order:
    owners = installed.owners
    request = order_pb2.GetOrderRequest(channel_id=installed.channel_id, order_id=order_id)
    return (await owners.call(owners.orders.GetOrder, request)).order


async def in_store(installed: Installation, order_id: str) -> dict[str, Any]:
    return dict((await installed.store_api.get(f"orders/{order_id}")).json())


async def handed_over(installed: Installation, order_id: str, tracking_number: str) -> None:
    """Hands over all of an order."""
    owners = installed.owners
    handing: FulfillmentServiceAsyncStub = FulfillmentServiceStub(owners.feeds["order"])
    listing = fulfillment_pb2.ListFulfillmentsRequest(order_id=order_id)

    async def made() -> bool:
        return bool((await owners.call(handing.ListFulfillments, listing)).fulfillments)

    await told(made)
    [found] = (await owners.call(handing.ListFulfillments, listing)).fulfillments
    request = fulfillment_pb2.CompleteFulfillmentRequest(
        request_id=f"complete/{order_id}",
        fulfillment_id=found.fulfillment_id,
        tracking_number=tracking_number,
    )
    await owners.call(handing.CompleteFulfillment, request)


async def quiet(installed: Installation, order_id: str) -> None:
    """Waits until the store shows all that it should."""

    async def agrees() -> bool:
        return not (await order_of(installed, order_id)).HasField("store_update")

    await told(agrees)


@pytest.mark.rule("BEY-16")
@pytest.mark.rule("ORD-01")
async def test_a_handed_over_order_is_shown_in_its_store_with_its_tracking_number(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 2, paymentStatus="PAID")
    await handed_over(shop_open, order_id, "1Z 999")

    async def shows() -> bool:
        found = await in_store(shop_open, order_id)
        return (found["fulfillmentStatus"], found.get("trackingNumber")) == ("DELIVERED", "1Z 999")

    await told(shows)
    await quiet(shop_open, order_id)
    found = await in_store(shop_open, order_id)
    # Its echo, and a word of the store about something else, have nothing written again.
    await shop_open.store_api.put(f"orders/{order_id}", json={"privateAdminNotes": "thanks"})
    version = (await in_store(shop_open, order_id))["updateTimestamp"]

    async def known() -> bool:
        return bool((await order_of(shop_open, order_id)).document.version >= version)

    await told(known)
    await quiet(shop_open, order_id)
    assert (await in_store(shop_open, order_id))["updateTimestamp"] == version
    assert found["paymentStatus"] == "PAID"


@pytest.mark.rule("ORD-13")
async def test_an_order_canceled_or_refunded_here_is_so_in_its_store(
    shop_open: Installation,
) -> None:
    owners = shop_open.owners
    canceled = await shop_open.order(MUG, 1)
    refunded = await shop_open.order(MUG, 1, paymentStatus="PAID")
    for order_id in (canceled, refunded):

        async def posted(order_id: str = order_id) -> bool:
            order = await order_of(shop_open, order_id)
            return order.state == order_pb2.ORDER_STATE_POSTED

        await told(posted)
    await owners.call(
        owners.orders.CancelOrder,
        order_pb2.CancelOrderRequest(
            request_id="cancel", channel_id=shop_open.channel_id, order_id=canceled
        ),
    )
    total = (await order_of(shop_open, refunded)).document.total
    await owners.call(
        owners.orders.RefundOrder,
        order_pb2.RefundOrderRequest(
            request_id="refund",
            channel_id=shop_open.channel_id,
            order_id=refunded,
            refund_id="R",
            amount=total,
        ),
    )

    async def shows() -> bool:
        one, other = await in_store(shop_open, canceled), await in_store(shop_open, refunded)
        found = (one["paymentStatus"], one["fulfillmentStatus"], other["paymentStatus"])
        assert found == ("CANCELLED", "WILL_NOT_DELIVER", "REFUNDED")
        return True

    await told(shows)
    for order_id in (canceled, refunded):
        await quiet(shop_open, order_id)
    order = await order_of(shop_open, refunded)
    assert (order.refunded, len(order.return_sale_ids)) == (total, 1)


@pytest.mark.rule("BEY-09")
async def test_what_the_store_refuses_for_good_waits_for_somebody(shop_open: Installation) -> None:
    order_id = await shop_open.order(MUG, 1, paymentStatus="PAID")

    async def posted() -> bool:
        order = await order_of(shop_open, order_id)
        return order.state == order_pb2.ORDER_STATE_POSTED

    await told(posted)
    (await shop_open.store_api.delete(f"orders/{order_id}")).raise_for_status()
    await handed_over(shop_open, order_id, "1Z 999")
    refused = attention_pb2.ATTENTION_CAUSE_STORE_UPDATE_REFUSED
    owners = shop_open.owners

    async def waits() -> bool:
        listing = order_pb2.ListAttentionRequest()
        groups = (await owners.call(owners.orders.ListAttention, listing)).groups
        found = [(one.key, list(one.examples)) for one in groups if one.cause == refused]
        return found == [("the store has no such order", [f"{shop_open.channel_id}/{order_id}"])]

    await told(waits)
    retry = order_pb2.RetryOrdersRequest(
        request_id="again", cause=refused, key="the store has no such order"
    )
    assert (await owners.call(owners.orders.RetryOrders, retry)).retried_count == 1
    await told(waits)  # it is tried again, and refused again
