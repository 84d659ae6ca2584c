"""Online orders that the outside point of sale hands over, or takes back (BEY-13)."""

from typing import Any

import pytest

from tests.harness import eventually, metadata, refused
from tests.order.fakes import ECOM
from tests.order.shop import AWAITING, PAID, REFUNDED, Shop, eur, request_id
from tests.order.test_drift import HEALED, drift_of, heal, said
from tests.order.test_returns import PARTIALLY, account, hand_over, mugs
from tillbridge.order.v1 import events_pb2
from tillbridge.order.v1 import fulfillment_pb2 as fpb
from tillbridge.order.v1 import order_pb2 as pb

PARKED, VOIDED = pb.SALE_STATE_PARKED, pb.SALE_STATE_VOIDED


async def handed_over(shop: Shop, count: int = 3, quantity: str = "", **policies: Any) -> pb.Sale:
    """The sale of a paid order of mugs that was posted to the point of sale, and handed over."""
    shop.stock(external_pos=True, **policies)
    await shop.ingest(mugs("A", count))
    sale = await shop.posted("A")
    if not policies:
        await hand_over(shop, "A", quantity)
    return await in_point_of_sale(shop, await shop.sale(sale.sale_id))


async def in_point_of_sale(shop: Shop, sale: pb.Sale) -> pb.Sale:
    """A sale, as it is in the point of sale."""
    request = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sale.sale_id, revision=sale.revision, pos_version=7
    )
    service = metadata(roles=["service"])
    return (await shop.orders.ReportSalePosted(request, metadata=service)).sale


async def ring_up(
    shop: Shop,
    sold: pb.Sale,
    quantity: str = "1",
    *,
    units: int = 10,
    version: int = 11,
    sale_id: str = "R",
    state: "pb.SaleState.ValueType" = pb.SALE_STATE_COMPLETED,
    item_id: str = "mug-1",
) -> None:
    """The point of sale tells of a return of so many mugs."""
    sale = pb.Sale(
        sale_id=sale_id,
        outlet_id="harbour",
        state=state,
        lines=[pb.SaleLine(item_id=item_id, quantity=f"-{quantity}", unit_price=eur(10))],
        total=eur(-units),
        return_for=sold.sale_id,
        note="not blue enough",
    )
    if units:
        sale.payments.add(method="Cash", amount=eur(-units))
        sale.payments[0].pay_time.FromSeconds(1_790_000_000)
    request = pb.RecordSaleRequest(
        request_id=request_id(), sale=sale, mirrored=True, version=version
    )
    await shop.orders.RecordSale(request, metadata=metadata())


@pytest.mark.rule("BEY-13")
@pytest.mark.rule("ORD-13")
async def test_what_is_taken_back_over_the_counter_is_in_the_order_s_account_once(
    shop: Shop,
) -> None:
    sold = await handed_over(shop)
    for _ in range(2):
        await ring_up(shop, sold, "2", units=20)
    order = await shop.order("A")
    assert account(order) == ("3", "0", "3", "2", "2")
    assert (order.paid, order.refunded) == (eur(30), eur(20))
    assert order.store_update.payment_status == PARTIALLY
    assert order.return_sale_ids == ["R"]
    assert not shop.world.asked("AdjustStock")  # the levels of the point of sale have it
    async with refused("QUANTITY_EXCEEDS_ORDERED"):
        await shop.refund("A", lines=[pb.RefundLine(line_id="1", quantity="2")])
    async with refused("REFUND_EXCEEDS_PAID"):
        await shop.refund("A", amount=eur(11))
    assert await drift_of(shop) == []


@pytest.mark.rule("BEY-13")
async def test_a_return_counts_as_it_is_now_in_the_point_of_sale(shop: Shop) -> None:
    sold = await handed_over(shop)
    await ring_up(shop, sold, "1", state=PARKED)
    assert account(await shop.order("A")) == ("3", "0", "3", "0", "0")
    await ring_up(shop, sold, "3", units=30, version=12)
    order = await shop.order("A")
    assert account(order) == ("3", "0", "3", "3", "3")
    assert order.store_update.payment_status == REFUNDED
    await ring_up(shop, sold, "1", version=13)
    assert account(await shop.order("A")) == ("3", "0", "3", "1", "1")
    await ring_up(shop, sold, "3", units=30, version=12)  # late
    assert account(await shop.order("A")) == ("3", "0", "3", "1", "1")
    await ring_up(shop, sold, "1", version=14, state=VOIDED)
    order = await shop.order("A")
    assert account(order) == ("3", "0", "3", "0", "0")
    assert not order.HasField("refunded")
    assert not order.return_sale_ids
    await ring_up(shop, sold, "2", sale_id="R2", units=20)
    assert account(await shop.order("A")) == ("3", "0", "3", "2", "2")


@pytest.mark.rule("BEY-13")
@pytest.mark.parametrize("first", ["store", "point of sale"])
@pytest.mark.parametrize("name", ["theirs", "till/R"])
async def test_money_that_both_sides_tell_is_given_back_once(
    shop: Shop, first: str, name: str
) -> None:
    sold = await handed_over(shop, 3, "", fulfillment=ECOM)
    refunded = mugs("A", 3, PARTIALLY, 2, refunds=[pb.OrderRefund(refund_id=name, amount=eur(10))])
    if first == "store":
        await shop.ingest(refunded)
        await gave_back(shop, 10)
    await ring_up(shop, sold, "2", units=20)
    if first != "store":
        await gave_back(shop, 20)
        await shop.ingest(refunded)
    order = await gave_back(shop, 20, shown=True)
    assert account(order) == ("3", "0", "3", "2", "2")
    # Only what the store gave back by itself is a sale of ours.
    assert len(order.return_sale_ids) == (2 if first == "store" else 1)
    await ring_up(shop, sold, "1", units=20, sale_id="R2")  # more than was paid
    await gave_back(shop, 30)


async def gave_back(shop: Shop, units: int, *, shown: bool = False) -> pb.Order:
    """The order, once so much was given back of it, and its store is known to show it."""
    found: list[pb.Order] = []

    async def there() -> None:
        found[:] = [await shop.order("A")]
        assert not await drift_of(shop)
        assert found[0].refunded == eur(units)
        assert not (shown and found[0].HasField("store_update"))

    await eventually(there)
    return found[0]


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("BEY-13")
async def test_what_fits_no_account_waits_for_an_operator(shop: Shop) -> None:
    sold = await handed_over(shop, 3, "1")
    await ring_up(shop, sold, "2", units=20)
    assert account(await shop.order("A")) == ("3", "0", "1", "1", "1")
    told = [("A", "SALE_RETURN", "mug-1: 1", "mug-1: 2", "EDITED_IN_POINT_OF_SALE", "KEEP")]
    assert said(await drift_of(shop)) == told
    assert not (await heal(shop)).drift
    assert said((await heal(shop, "A")).drift) == told
    await ring_up(shop, sold, "1", sale_id="R2", item_id="hat-1")
    told = [("A", "SALE_RETURN", "hat-1: 0", "hat-1: 1", "EDITED_IN_POINT_OF_SALE", "KEEP")]
    assert said(await drift_of(shop)) == told


@pytest.mark.rule("ORD-05")
async def test_a_return_of_a_till_s_own_sale_touches_no_order(shop: Shop) -> None:
    sold = await handed_over(shop)
    sold.sale_id = "till-sale"
    await ring_up(shop, sold)
    assert account(await shop.order("A")) == ("3", "0", "3", "0", "0")


@pytest.mark.rule("BEY-07")
async def test_a_sale_that_was_edited_in_the_point_of_sale_is_posted_again(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(mugs("A", 2, PAID))
    sale = await in_point_of_sale(shop, await shop.posted("A"))
    await tell(shop, sale, "1", 10)
    told = [
        ("A", "SALE_LINES", "mug-1: 2", "mug-1: 1", "EDITED_IN_POINT_OF_SALE", "POST"),
        ("A", "SALE_TOTAL", "20 EUR", "10 EUR", "EDITED_IN_POINT_OF_SALE", "POST"),
    ]
    assert said(await drift_of(shop)) == told
    before = len(await shop.events(events_pb2.SaleChanged))
    assert not (await heal(shop)).drift
    assert said((await heal(shop, "A", validate_only=True)).drift) == told
    assert len(await shop.events(events_pb2.SaleChanged)) == before
    await heal(shop, "A")
    [*_, (_, event)] = await shop.events(events_pb2.SaleChanged)
    assert event.revision == sale.revision + 1
    sale = await in_point_of_sale(shop, await shop.sale(sale.sale_id))
    await tell(shop, sale, "2", 20)
    assert {one.state for one in await drift_of(shop)} == {HEALED}


@pytest.mark.rule("ORD-01")
async def test_a_sale_that_is_closed_in_the_point_of_sale_was_handed_over(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(mugs("A", 2, AWAITING))
    sale = await in_point_of_sale(shop, await shop.posted("A"))
    await tell(shop, sale, "2", 20)
    await tell(shop, sale, "2", 20, pb.SALE_STATE_COMPLETED)  # nobody takes it home unpaid
    assert await handed_out(shop) == ["NEW"]
    sale.payments.add(method="Cash", amount=eur(20))
    sale.payments[0].pay_time.FromSeconds(1_790_000_000)
    for _ in range(2):
        await tell(shop, sale, "2", 20, pb.SALE_STATE_COMPLETED)
    assert await handed_out(shop) == ["FULFILLED"]
    assert account(await shop.order("A")) == ("2", "0", "2", "0", "0")
    done = await shop.sale(sale.sale_id)
    assert (done.state, done.revision) == (pb.SALE_STATE_COMPLETED, sale.revision + 1)
    await ring_up(shop, sale, "1", units=0)
    assert account(await shop.order("A")) == ("2", "0", "2", "1", "1")
    assert await drift_of(shop) == []


async def handed_out(shop: Shop) -> list[str]:
    """How far the fulfillments of the order have got."""
    return [
        fpb.FulfillmentState.Name(one.state).removeprefix("FULFILLMENT_STATE_")
        for one in await shop.fulfillments("A")
    ]


async def tell(
    shop: Shop,
    sale: pb.Sale,
    quantity: str,
    units: int,
    state: "pb.SaleState.ValueType" = pb.SALE_STATE_OPEN,
) -> None:
    """The point of sale tells of a sale that was posted there, with so many mugs."""
    there = pb.Sale()
    there.CopyFrom(sale)
    there.state = state
    there.lines[0].quantity = quantity
    there.total.CopyFrom(eur(units))
    request = pb.RecordSaleRequest(request_id=request_id(), sale=there, mirrored=True, version=9)
    await shop.orders.RecordSale(request, metadata=metadata())
