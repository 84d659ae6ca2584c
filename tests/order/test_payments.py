"""When an order is paid, and what its sale then says, on both databases."""

from typing import Any

import pytest

from tests.harness import eventually
from tests.order.fakes import ECOM, ON_PAYMENT
from tests.order.shop import AWAITING, PAID, Shop, document, eur
from tillbridge.order.v1 import order_pb2 as pb

HELD, POSTED = pb.ORDER_STATE_HELD, pb.ORDER_STATE_POSTED
OTHER = pb.PAYMENT_STATUS_OTHER
CUSTOM = "CUSTOM_PAYMENT_STATUS_1"


def paid_by(sale: pb.Sale) -> list[tuple[str, int]]:
    return [(payment.method, payment.amount.units) for payment in sale.payments]


def part(units: int, method: str = "Card", **told: Any) -> pb.OrderPayment:
    return pb.OrderPayment(method=method, amount=eur(units), **told)


@pytest.mark.rule("ORD-02")
@pytest.mark.rule("ORD-03")
async def test_a_status_of_the_merchant_s_own_is_shown_and_is_not_paid(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT, fulfillment=ECOM)
    await shop.ingest(document("A", 1, OTHER, store_payment_status=CUSTOM))
    held = await shop.becomes("A", HELD)
    assert held.document.store_payment_status == CUSTOM
    assert not held.sale_id
    await shop.ingest(document("A", 2, PAID, store_payment_status="PAID"))
    sale = await shop.posted("A")
    assert (sale.state, sale.paid) == (pb.SALE_STATE_COMPLETED, True)


@pytest.mark.rule("ORD-02")
@pytest.mark.rule("ORD-03")
async def test_an_order_that_is_paid_in_part_waits_until_it_is_fully_paid(shop: Shop) -> None:
    shop.stock(posting=ON_PAYMENT, fulfillment=ECOM)
    await shop.ingest(document("A", 1, PAID, payments=[part(4, "Gift card")]))
    await shop.becomes("A", HELD)
    whole = [part(4, "Gift card"), part(6, processor="Stripe")]
    await shop.ingest(document("A", 2, PAID, payments=whole))
    sale = await shop.posted("A")
    assert (sale.paid, paid_by(sale)) == (True, [("Gift card", 4), ("Stripe", 6)])


@pytest.mark.rule("ORD-07")
@pytest.mark.rule("ORD-08")
@pytest.mark.parametrize(
    ("method", "processor", "expected"),
    [("Cash", "", "Cash"), ("Credit card", "Stripe", "Stripe")],
)
async def test_a_posted_sale_is_unpaid_until_it_is_paid_once(
    shop: Shop, method: str, processor: str, expected: str
) -> None:
    shop.stock()
    told = {"payment_method": method, "payment_processor": processor}
    await shop.ingest(document("A", 1, AWAITING, **told))
    unpaid = await shop.posted("A")
    assert (unpaid.paid, paid_by(unpaid)) == (False, [])
    for version in (2, 2, 3):
        await shop.ingest(document("A", version, PAID, **told))

    async def paid() -> None:
        sale = await shop.sale(unpaid.sale_id)
        assert (sale.paid, paid_by(sale)) == (True, [(expected, 10)])

    await eventually(paid)
    await shop.becomes("A", POSTED)
    assert (await shop.sale(unpaid.sale_id)).revision == 2


@pytest.mark.rule("ORD-08")
async def test_what_is_paid_bit_by_bit_comes_to_the_sale_bit_by_bit(shop: Shop) -> None:
    shop.stock()
    await shop.ingest(document("A", 1, AWAITING, payments=[part(4, "Gift card")]))
    sale = await shop.posted("A")
    assert (sale.paid, paid_by(sale)) == (False, [("Gift card", 4)])
    whole = [part(4, "Gift card"), part(6, "Cash")]
    await shop.ingest(document("A", 2, PAID, payments=whole))

    async def paid() -> None:
        found = await shop.sale(sale.sale_id)
        assert (found.paid, paid_by(found)) == (True, [("Gift card", 4), ("Cash", 6)])
        assert found.payments[0].pay_time == sale.payments[0].pay_time

    await eventually(paid)
