"""Sales of X-Series: what its words come to in the contract, and what is written there."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pos import SaleToPost
from gateway.pos.lightspeed_x import LightspeedX
from gateway.pos.lightspeed_x.posting import (
    PaymentType,
    payment_type_of,
    register_for,
    register_sale,
    status_of,
)
from gateway.pos.lightspeed_x.sales import STATUSES, sale_of
from gateway.records import BadRecordError, Record, amount, money
from gateway.sandbox import lightspeed_x as sandbox
from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.sale_rules import STATUSES as SANDBOX_STATUSES
from gateway.sandbox.server import SandboxServer
from services.order.rules.document import Document
from services.order.rules.order import Allocation
from services.order.wire.sales import sale_message
from tests.gateway.pos_sales import MUG, OLD_SALE, PLACES, SALE_ID, posting
from tests.order.prices import documents, posted
from tillbridge.order.v1 import order_pb2


@pytest.mark.rule("ORD-05")
def test_a_sale_in_the_shape_of_old_is_read() -> None:
    mirrored = sale_of(dict(OLD_SALE), PLACES)

    assert mirrored
    sale = mirrored.sale
    assert (sale.sale_id, sale.outlet_id, mirrored.version) == ("s", "harbour", 12)
    assert (order_pb2.SALE_STATE_COMPLETED, Decimal(23)) == (sale.state, amount(sale.total))
    assert [("Cash", Decimal(23))] == [(p.method, amount(p.amount)) for p in sale.payments]
    assert [("2", Decimal(3))] == [(line.quantity, amount(line.tax)) for line in sale.lines]
    assert datetime(2015, 8, 18, 23, 28, tzinfo=UTC).timestamp() == sale.sale_time.seconds


@pytest.mark.rule("ORD-05")
@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"status": "SAVED"}, "PARKED"),
        ({"status": "CLOSED"}, "COMPLETED"),
        ({"status": "ONACCOUNT"}, "ON_ACCOUNT"),
        ({"status": "ONACCOUNT_CLOSED"}, "COMPLETED"),
        ({"status": "LAYBY"}, "LAYBY"),
        ({"status": "LAYBY_CLOSED"}, "COMPLETED"),
        ({"status": "AWAITING_DISPATCH"}, "OPEN"),
        ({"status": "DISPATCHED_CLOSED"}, "COMPLETED"),
        ({"status": "AWAITING_PICKUP"}, "OPEN"),
        ({"status": "PICKED_UP_CLOSED"}, "COMPLETED"),
        ({"status": "SERVICE"}, "OPEN"),
        ({"status": "SERVICE_CLOSED"}, "COMPLETED"),
        ({"status": "VOIDED"}, "VOIDED"),
        ({"status": "NEW_CLOSED"}, "COMPLETED"),
        ({"status": "NEW"}, "OPEN"),
        ({"status": "", "state": "parked"}, "PARKED"),
        ({"status": "", "state": "closed", "attributes": ["layby"]}, "COMPLETED"),
        ({"status": "", "state": "voided"}, "VOIDED"),
        ({"status": "", "state": "pending"}, "OPEN"),
        ({"status": "", "state": "pending", "attributes": ["pickup"]}, "OPEN"),
        ({"status": "", "state": "pending", "attributes": ["layby"]}, "LAYBY"),
        (
            {"status": "", "state": "pending", "register_sale_attributes": ["onaccount"]},
            "ON_ACCOUNT",
        ),
        ({"register_sale_products": []}, None),
    ],
)
def test_every_status_is_told(changes: Mapping[str, Any], state: str | None) -> None:
    mirrored = sale_of({**OLD_SALE, **changes}, PLACES)
    found = order_pb2.SaleState.Name(mirrored.sale.state) if mirrored else None
    assert found == (f"SALE_STATE_{state}" if state else None)


def test_every_status_of_the_sandbox_is_known() -> None:
    assert set(STATUSES) == set(SANDBOX_STATUSES)


def test_a_voided_sale_still_says_what_it_was_about() -> None:
    [line] = OLD_SALE["register_sale_products"]
    voided = {**OLD_SALE, "register_sale_products": [{**line, "status": "VOIDED"}]}
    assert sale_of(voided, PLACES) is None
    mirrored = sale_of({**voided, "status": "VOIDED"}, PLACES)
    assert mirrored
    assert mirrored.sale.lines[0].quantity == "2"


def test_a_return_names_its_sale_and_discounts_and_tips_are_told() -> None:
    line = {"product_id": "mug", "quantity": -2, "price": 8, "discount": 2, "tax_total": -2}
    row = {
        **OLD_SALE,
        "register_sale_products": [line],
        "return_for": "s-1",
        "adjustments": [
            {"type": "TIP", "name": "Tip", "value": 3},
            {"type": "DISCOUNT", "name": "x", "value": -1},
            {"type": "ECOM_CUSTOM_CHARGE", "name": "Shipping", "value": 5},
        ],
    }
    mirrored = sale_of(row, PLACES)
    assert mirrored
    [returned], [charge] = mirrored.sale.lines, mirrored.sale.charges
    assert (mirrored.sale.return_for, returned.quantity) == ("s-1", "-2")
    assert [amount(returned.unit_price), amount(returned.discount)] == [Decimal(10), Decimal(-4)]
    assert (charge.kind, amount(charge.amount)) == (order_pb2.CHARGE_KIND_TIP, Decimal(3))


def test_text_that_no_service_stores_does_not_keep_a_sale_out() -> None:
    payments = [{"name": "Ca\x00sh", "amount": 23}, {"name": " ", "amount": 0}]
    row = {**OLD_SALE, "note": "\u202eodd", "register_sale_payments": payments}
    mirrored = sale_of(row, PLACES)
    assert mirrored
    assert mirrored.sale.note == "odd"
    assert [one.method for one in mirrored.sale.payments] == ["Cash", "unnamed"]


@pytest.mark.parametrize(
    ("kind", "state", "known", "status"),
    [
        (order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.SALE_STATE_OPEN, "", "AWAITING_PICKUP"),
        (order_pb2.FULFILLMENT_KIND_SHIPPING, order_pb2.SALE_STATE_OPEN, "", "AWAITING_DISPATCH"),
        (order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.SALE_STATE_COMPLETED, "", "CLOSED"),
        (
            order_pb2.FULFILLMENT_KIND_PICKUP,
            order_pb2.SALE_STATE_OPEN,
            "PICKED_UP_CLOSED",
            "PICKED_UP_CLOSED",
        ),
        (
            order_pb2.FULFILLMENT_KIND_PICKUP,
            order_pb2.SALE_STATE_COMPLETED,
            "AWAITING_PICKUP",
            "PICKED_UP_CLOSED",
        ),
        (
            order_pb2.FULFILLMENT_KIND_SHIPPING,
            order_pb2.SALE_STATE_COMPLETED,
            "AWAITING_DISPATCH",
            "DISPATCHED_CLOSED",
        ),
        (
            order_pb2.FULFILLMENT_KIND_SHIPPING,
            order_pb2.SALE_STATE_COMPLETED,
            "CLOSED",
            "CLOSED",
        ),
        (order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.SALE_STATE_VOIDED, "", "VOIDED"),
        (order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.SALE_STATE_VOIDED, "CLOSED", "VOIDED"),
        (order_pb2.FULFILLMENT_KIND_PICKUP, order_pb2.SALE_STATE_VOIDED, "VOIDED", "VOIDED"),
    ],
)
def test_a_posted_sale_waits_for_what_it_waits_for(
    kind: Any, state: Any, known: str, status: str
) -> None:
    written = posting(kind=kind)
    written.sale.state = state

    assert status == status_of(written, {"status": known} if known else None)


def test_a_sale_that_the_till_has_voided_stays_so() -> None:
    with pytest.raises(BadRecordError, match="voided"):
        status_of(posting(), {"status": "VOIDED"})


def test_a_posted_sale_is_worth_what_the_buyer_pays() -> None:
    written = posting()
    types = [PaymentType("cash", "Cash", "1"), PaymentType("web", "Ecwid Payments", "5")]
    written.sale.payments.add(method="Stripe", amount=money(Decimal("52.5"), "NZD"))
    written.sale.difference.CopyFrom(money(Decimal(-1), "NZD"))

    body = register_sale(
        written, status="AWAITING_PICKUP", register_id="r", customer_id="c", payment_types=types
    )

    [line] = body["register_sale_products"]
    assert (line["quantity"], line["price"], line["tax"]) == (2, 20, 3)
    charges = {one["name"]: one["total_incl"] for one in body["ecom_custom_charges"]}
    assert charges == {"Shipping": 7.5, "Difference to the store's total": -1}
    assert 2 * (line["price"] + line["tax"]) + sum(charges.values()) == 52.5
    assert [
        (p["retailer_payment_type_id"], p["amount"]) for p in body["register_sale_payments"]
    ] == [("web", 52.5)]
    assert "Stripe" in body["note"]
    assert (body["source"], body["source_id"], body["id"]) == ("ECOMMERCE", "XJ12H", SALE_ID)


@pytest.mark.parametrize(
    ("method", "chosen"), [("cash ", "1"), ("Stripe", "3"), ("CREDIT CARD", "2")]
)
def test_a_payment_is_booked_under_its_name_or_as_an_online_one(method: str, chosen: str) -> None:
    names = ("Cash", "Credit Card", "Ecwid Payments")
    types = [PaymentType(str(i + 1), name, "1") for i, name in enumerate(names)]

    assert chosen == payment_type_of(method, types)


def test_a_sale_is_posted_at_the_outlet_that_fills_it() -> None:
    elsewhere = posting()
    elsewhere.sale.outlet_id = "harbour"

    assert register_for(posting(), PLACES.outlet_of) == "reg-main"
    assert register_for(elsewhere, PLACES.outlet_of) == "reg-harbour"


def written_as(sale: order_pb2.Sale) -> Record:
    types = [PaymentType("web", "Ecwid Payments", "5")]
    return register_sale(
        posting(sale=sale),
        status="CLOSED",
        register_id="r",
        customer_id="",
        payment_types=types,
    )


def worth_of(body: Record) -> tuple[Decimal, Decimal]:
    """What the platform makes of a body: all of it, and the tax in it."""
    tax = total = Decimal(0)
    for line in body["register_sale_products"]:
        quantity, one = Decimal(str(line["quantity"])), Decimal(str(line["tax"]))
        tax += one * quantity
        total += (Decimal(str(line["price"])) + one) * quantity
    for charge in body["ecom_custom_charges"]:
        tax += Decimal(str(charge["total_tax"]))
        total += Decimal(str(charge["total_incl"]))
    return total, tax


@settings(deadline=None)
@given(documents(), st.integers(1, 999))
def test_what_is_posted_always_adds_up_to_the_cent(document: Document, part: int) -> None:
    first = document.lines[0]
    at_pier = first.quantity * part // 1000
    given_ = [Allocation(first.line_id, "x", "main", first.quantity - at_pier)]
    if at_pier:
        given_.append(Allocation(first.line_id, "x", "pier", at_pier))
    sale = sale_message(posted(document, *given_))
    total, tax = worth_of(written_as(sale))
    assert abs(total - amount(sale.total)) <= Decimal("0.0005")
    assert abs(tax - amount(sale.tax)) <= Decimal("0.01")


def test_tips_discounts_and_what_rounding_leaves_have_rows_of_their_own() -> None:
    sale = posting().sale
    sale.discounts.add(
        kind=order_pb2.DISCOUNT_KIND_COUPON, name="Sun", code="S", amount=money(Decimal(2), "NZD")
    )
    sale.discount.CopyFrom(money(Decimal(2), "NZD"))
    sale.charges.add(
        kind=order_pb2.CHARGE_KIND_TIP,
        name="Tip",
        amount=money(Decimal(1), "NZD"),
        tax=money(Decimal("0.13"), "NZD"),
    )
    sale.charges.add(kind=order_pb2.CHARGE_KIND_ROUNDING, amount=money(Decimal("-0.02"), "NZD"))
    sale.tax.CopyFrom(money(Decimal("7.11"), "NZD"))
    sale.total.CopyFrom(money(Decimal("52.48"), "NZD"))
    body = written_as(sale)
    charges = {one["name"]: (one["total"], one["total_tax"]) for one in body["ecom_custom_charges"]}
    assert charges == {
        "Shipping": (6.52, 0.98),
        "Tip": (0.87, 0.13),
        "Coupon: Sun": (-2, 0),
        "Rounding": (-0.02, 0),
    }
    assert worth_of(body) == (Decimal("52.48"), Decimal("7.11"))


@pytest.mark.rule("ORD-13")
def test_a_return_comes_back_with_its_money_and_what_is_damaged_stays_out_of_stock() -> None:
    sale = posting().sale
    sale.ClearField("shipping_price")
    sale.lines[0].quantity = "-1"
    sale.lines[0].tax.CopyFrom(money(Decimal(-3), "NZD"))
    sale.lines.add(
        item_id=MUG,
        name="Mug",
        quantity="-1",
        unit_price=money(Decimal(23), "NZD"),
        tax=money(Decimal(-3), "NZD"),
        not_restocked=True,
    )
    sale.charges.add(kind=order_pb2.CHARGE_KIND_REFUND, amount=money(Decimal(6), "NZD"))
    sale.total.CopyFrom(money(Decimal(-40), "NZD"))
    sale.tax.CopyFrom(money(Decimal(-6), "NZD"))
    sale.payments.add(method="Stripe", amount=money(Decimal(-40), "NZD"))
    sale.return_for = "s-1"
    body = written_as(sale)
    [line] = body["register_sale_products"]
    assert (line["quantity"], line["price"], line["tax"]) == (-1, 20, 3)
    charges = {one["name"]: one["total_incl"] for one in body["ecom_custom_charges"]}
    assert charges == {"Refund": 6, "Not restocked: Mug": -23}
    assert (body["return_for"], body["register_sale_payments"][0]["amount"]) == ("s-1", -40)
    assert worth_of(body) == (Decimal(-40), Decimal(-6))


@pytest.fixture
async def pos() -> AsyncIterator[LightspeedX]:
    simulator = sandbox.LightspeedX()
    async with SandboxServer(simulator) as server:
        client = LightspeedX(server.url, "sandbox-pos-token")
        yield client
        await client.close()


async def test_a_sale_posted_again_is_one_sale_and_one_customer(pos: LightspeedX) -> None:
    written = posting(register_id=shop.REGISTER_ONLINE_ID)
    written.sale.outlet_id = shop.OUTLET_MAIN_ID

    first = await pos.post_sale(written)
    again = await pos.post_sale(posting(**{**_fields(written), "posted_before": True}))
    levels = {count.outlet_id: count for count in await pos.levels(MUG)}

    assert first == again
    assert levels[shop.OUTLET_MAIN_ID].quantity == "10"
    assert levels[shop.OUTLET_MAIN_ID].version > first
    sales = [sale async for batch in pos.sales_since("") for sale in batch.records]
    assert [mirrored.sale.sale_id for mirrored in sales] == [SALE_ID]
    customers = [c async for batch in pos.customers_since("") for c in batch.records]
    assert sum(customer.email == "jo@example.com" for customer in customers) == 1


def _fields(one: SaleToPost) -> dict[str, Any]:
    return {name: getattr(one, name) for name in SaleToPost.__slots__}


@pytest.mark.rule("ORD-13")
async def test_what_comes_back_or_is_voided_is_back_on_the_shelf(pos: LightspeedX) -> None:
    async def on_shelf() -> str:
        levels = {count.outlet_id: count for count in await pos.levels(MUG)}
        return levels[shop.OUTLET_MAIN_ID].quantity

    def at_main(**changes: Any) -> SaleToPost:
        found = posting(register_id=shop.REGISTER_ONLINE_ID, posted_before=True, **changes)
        found.sale.outlet_id = shop.OUTLET_MAIN_ID
        return found

    before = await on_shelf()
    await pos.post_sale(at_main())
    assert float(await on_shelf()) == float(before) - 2
    back = at_main()
    back.sale.sale_id = SALE_ID.replace("0001", "0002")
    back.sale.return_for = SALE_ID
    back.sale.lines[0].quantity = "-1"
    back.sale.state = order_pb2.SALE_STATE_COMPLETED
    await pos.post_sale(back)
    await pos.post_sale(back)
    assert float(await on_shelf()) == float(before) - 1
    void = at_main()
    void.sale.state = order_pb2.SALE_STATE_VOIDED
    await pos.post_sale(void)
    await pos.post_sale(void)
    assert float(await on_shelf()) == float(before) + 1
    sales = [sale async for batch in pos.sales_since("") for sale in batch.records]
    states = {mirrored.sale.sale_id: mirrored.sale for mirrored in sales}
    assert states[SALE_ID].state == order_pb2.SALE_STATE_VOIDED
    assert states[back.sale.sale_id].return_for == SALE_ID
