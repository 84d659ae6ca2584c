"""Orders that their store has otherwise: found by the poll and the sweep, and healed (BEY-07)."""

import asyncio
from typing import Any

import pytest

from gateway.sandbox.chaos import ChaosSettings
from tests.gateway.installation import MUG, Installation
from tests.gateway.test_order_status import handed_over, in_store, order_of, quiet, shop_open, told
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.order.v1 import drift_pb2, order_pb2

__all__ = ["shop_open"]

Said = tuple[str, str, str, str, str]
"""Order, field, own value, store's value, cause."""


async def drift_of(
    installed: Installation,
    state: "drift_pb2.OrderDriftState.ValueType" = drift_pb2.ORDER_DRIFT_STATE_UNSPECIFIED,
) -> list[Said]:
    request = drift_pb2.ListOrderDriftRequest(channel_id=installed.channel_id, state=state)
    owners = installed.owners
    answer = await owners.call(owners.orders.ListOrderDrift, request)
    return [
        (
            one.order_id,
            drift_pb2.OrderDriftField.Name(one.field).removeprefix("ORDER_DRIFT_FIELD_"),
            one.own_value,
            one.store_value,
            drift_pb2.OrderDriftCause.Name(one.cause).removeprefix("ORDER_DRIFT_CAUSE_"),
        )
        for one in answer.drift
    ]


OPEN, HEALED = drift_pb2.ORDER_DRIFT_STATE_OPEN, drift_pb2.ORDER_DRIFT_STATE_HEALED


async def posted(installed: Installation, order_id: str) -> None:
    async def is_posted() -> bool:
        return (await order_of(installed, order_id)).state == order_pb2.ORDER_STATE_POSTED

    await told(is_posted)


def untold(installed: Installation) -> None:
    """The store's webhooks are lost from now on."""
    installed.store.chaos.set(ChaosSettings(drop=1))


def sweep(installed: Installation) -> None:
    assert installed.workers
    assert installed.workers.sweep(installed.channel_id)


async def heal(installed: Installation, order_id: str, name: str, **more: Any) -> Any:
    owners = installed.owners
    request = drift_pb2.HealOrderDriftRequest(
        request_id=name, channel_id=installed.channel_id, order_ids=[order_id], **more
    )
    return await owners.call(owners.orders.HealOrderDrift, request)


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-13")
async def test_a_sweep_finds_an_order_that_was_deleted_and_one_call_cancels_it(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 2, paymentStatus="PAID")
    kept = await shop_open.order(MUG, 1, paymentStatus="PAID")
    for one in (order_id, kept):
        await posted(shop_open, one)
    (await shop_open.store_api.delete(f"orders/{order_id}")).raise_for_status()
    sweep(shop_open)

    async def found() -> bool:
        wanted = [(order_id, "ORDER", "POSTED", "", "DELETED_IN_STORE")]
        assert await drift_of(shop_open, OPEN) == wanted
        return True

    await told(found)
    plan = await heal(shop_open, order_id, "plan", validate_only=True)
    assert [one.remedy for one in plan.drift] == [drift_pb2.ORDER_DRIFT_REMEDY_CANCEL]
    assert (await order_of(shop_open, order_id)).state == order_pb2.ORDER_STATE_POSTED
    await heal(shop_open, order_id, "heal")

    async def canceled() -> bool:
        return (await order_of(shop_open, order_id)).state == order_pb2.ORDER_STATE_CANCELED

    await told(canceled)
    assert await drift_of(shop_open, OPEN) == []
    assert (await order_of(shop_open, kept)).state == order_pb2.ORDER_STATE_POSTED


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-12")
async def test_an_order_whose_webhook_was_lost_is_on_record_and_fetched(
    shop_open: Installation,
) -> None:
    untold(shop_open)
    order_id = await shop_open.order(MUG, 1, paymentStatus="AWAITING_PAYMENT")
    await posted(shop_open, order_id)  # the poll has found it
    told_of = [one[:4] for one in await drift_of(shop_open, HEALED)]
    assert told_of == [(order_id, "ORDER", "", "AWAITING")]


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-12")
async def test_a_sweep_finds_what_the_poll_has_passed_by(shop_open: Installation) -> None:
    """The poll goes on behind what it read; here it is made to think that it has read all."""
    untold(shop_open)
    owners = shop_open.owners
    far = channels_pb2.SetPollCursorRequest(
        channel_id=shop_open.channel_id, resource="store-orders", cursor=str(2**33)
    )
    await owners.call(owners.channels.SetPollCursor, far)
    order_id = await shop_open.order(MUG, 1, paymentStatus="PAID")
    sweep(shop_open)
    await posted(shop_open, order_id)
    assert (order_id, "ORDER", "", "PAID") in [one[:4] for one in await drift_of(shop_open)]


@pytest.mark.rule("BEY-07")
async def test_a_status_changed_by_hand_in_the_store_is_on_record_and_shown_again(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 2, paymentStatus="PAID")
    await handed_over(shop_open, order_id, "1Z 999")
    await quiet(shop_open, order_id)

    async def shows() -> bool:
        found = await in_store(shop_open, order_id)
        return bool(found["fulfillmentStatus"] == "DELIVERED")

    await told(shows)
    await quiet(shop_open, order_id)
    await asyncio.sleep(1.1)  # versions are seconds: an edit in that of our own write says nothing
    edit = {"fulfillmentStatus": "PROCESSING", "trackingNumber": "none"}
    (await shop_open.store_api.put(f"orders/{order_id}", json=edit)).raise_for_status()

    async def healed() -> bool:
        wanted = [
            (order_id, "FULFILLMENT_STATUS", "DELIVERED", "PROCESSING", "MANUAL_EDIT"),
            (order_id, "TRACKING_NUMBER", "1Z 999", "none", "MANUAL_EDIT"),
        ]
        assert await drift_of(shop_open, HEALED) == wanted
        return True

    await told(healed)
    await told(shows)
    assert (await in_store(shop_open, order_id))["trackingNumber"] == "1Z 999"
    assert await drift_of(shop_open, OPEN) == []


@pytest.mark.rule("BEY-07")
async def test_a_store_that_agrees_has_no_drift(shop_open: Installation) -> None:
    order_id = await shop_open.order(MUG, 2, paymentStatus="PAID")
    await posted(shop_open, order_id)
    await quiet(shop_open, order_id)
    sweep(shop_open)
    await handed_over(shop_open, order_id, "1Z 999")
    await quiet(shop_open, order_id)
    assert await drift_of(shop_open, OPEN) == []


def rung_up(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A sale of the point of sale as its register writes it again."""
    return {
        "id": row["id"],
        "register_id": row["register_id"],
        "status": row["status"],
        "register_sale_products": [
            {name: line[name] for name in ("product_id", "quantity", "price", "tax", "tax_id")}
            for line in row["line_items"]
        ],
        **changes,
    }


async def in_point_of_sale(installed: Installation) -> dict[str, Any]:
    """The only sale that the point of sale has, once it has it."""

    async def there() -> bool:
        return len(await installed.pos_sales()) == 1

    await told(there)
    [row] = await installed.pos_sales()
    return dict(row)


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("ORD-13")
async def test_a_sale_voided_in_the_point_of_sale_is_on_record_and_its_order_can_be_canceled(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 1)
    await posted(shop_open, order_id)
    voided = rung_up(await in_point_of_sale(shop_open), status="VOIDED")
    (await shop_open.pos_api.post("/api/register_sales", json=voided)).raise_for_status()

    async def found() -> bool:
        wanted = [(order_id, "SALE_STATE", "OPEN", "VOIDED", "VOIDED_IN_POINT_OF_SALE")]
        assert await drift_of(shop_open, OPEN) == wanted
        return True

    await told(found)
    await heal(shop_open, order_id, "heal")

    async def canceled() -> bool:
        return (await order_of(shop_open, order_id)).state == order_pb2.ORDER_STATE_CANCELED

    await told(canceled)
    assert await drift_of(shop_open, OPEN) == []


@pytest.mark.rule("BEY-13")
@pytest.mark.rule("ORD-13")
async def test_an_order_that_is_handed_over_and_returned_at_the_till_is_known_to_be(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 2, paymentStatus="PAID")
    await posted(shop_open, order_id)
    row = await in_point_of_sale(shop_open)
    sent = {"fulfillment_type": "SHIPPED" if row["status"] == "AWAITING_DISPATCH" else "PICKED_UP"}
    answer = await shop_open.pos_api.post(f"/api/2.0/sales/{row['id']}/fulfill", json=sent)
    answer.raise_for_status()

    async def sold() -> bool:
        order = await order_of(shop_open, order_id)
        return [one.fulfilled for one in order.line_accounts] == ["2"]

    await told(sold)
    answer = await shop_open.pos_api.put(f"/api/2.0/sales/{row['id']}/actions/return")
    parked = answer.raise_for_status().json()["data"]
    paid = await order_of(shop_open, order_id)
    given_back = [
        {
            "retailer_payment_type_id": row["payments"][0]["retailer_payment_type_id"],
            "amount": -float(paid.paid.units) - paid.paid.nanos / 1e9,
            "payment_date": parked["sale_date"],
        }
    ]
    closed = rung_up(
        parked, status="CLOSED", return_for=row["id"], register_sale_payments=given_back
    )
    (await shop_open.pos_api.post("/api/register_sales", json=closed)).raise_for_status()

    async def known() -> bool:
        order = await order_of(shop_open, order_id)
        [account] = order.line_accounts
        assert (account.fulfilled, account.returned, account.restocked) == ("2", "2", "2")
        assert order.refunded == order.paid
        assert list(order.return_sale_ids) == [parked["id"]]
        assert (await in_store(shop_open, order_id))["paymentStatus"] == "REFUNDED"
        return True

    await told(known)
    await quiet(shop_open, order_id)
    assert await drift_of(shop_open, OPEN) == []
    assert len(await shop_open.pos_sales()) == 2  # nothing is taken back a second time


@pytest.mark.rule("BEY-07")
async def test_a_sale_that_was_edited_in_the_point_of_sale_is_as_it_was_after_one_call(
    shop_open: Installation,
) -> None:
    order_id = await shop_open.order(MUG, 2, paymentStatus="PAID")
    await posted(shop_open, order_id)
    row = await in_point_of_sale(shop_open)
    edited = rung_up(row)
    edited["register_sale_products"][0]["quantity"] = 1
    (await shop_open.pos_api.post("/api/register_sales", json=edited)).raise_for_status()

    async def is_found() -> bool:
        found = await drift_of(shop_open, OPEN)
        lines = (order_id, "SALE_LINES", f"{MUG}: 2", f"{MUG}: 1", "EDITED_IN_POINT_OF_SALE")
        assert lines in found
        assert {field for _, field, *_ in found} == {"SALE_LINES", "SALE_TOTAL"}
        return True

    await told(is_found)
    await heal(shop_open, order_id, "heal")

    async def as_it_was() -> bool:
        [again] = await shop_open.pos_sales()
        assert [line["quantity"] for line in again["line_items"]] == [2]
        assert await drift_of(shop_open, OPEN) == []
        return True

    await told(as_it_was)
