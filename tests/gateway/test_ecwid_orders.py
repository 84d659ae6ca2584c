"""Orders of Ecwid, read into the contract's documents."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.ecom.ecwid.orders import document_of, seen_of
from gateway.ecom.ecwid.statuses import (
    FULFILLMENT_STATUSES,
    PAYMENT_STATUSES,
    UNFINISHED,
    fulfillment_word,
    payment_word,
)
from gateway.records import BadRecordError, amount, parse_json, plain
from services.order.rules.document import ChargeKind
from services.order.rules.money import balance
from services.order.wire.documents import document as document_value
from tillbridge.order.v1 import order_pb2 as pb

DATA = Path(__file__).parents[3] / "shared/data/ecwid"
"""The examples in Ecwid's API reference."""

EXAMPLE = DATA / "orders__get-order.json"
STATUSES = DATA / "orders__order-statuses__search-order-statuses.json"
EXAMPLES = ("orders__get-order", "orders__get-last-order", "orders__search-orders")


def order(**changes: Any) -> dict[str, Any]:
    return {
        "id": "XJ12H",
        "email": " Jo@Example.com ",
        "paymentMethod": "Pay at pickup",
        "paymentStatus": "AWAITING_PAYMENT",
        "total": Decimal("57.5"),
        "tax": Decimal("7.5"),
        "items": [
            {
                "id": 1,
                "combinationId": 77,
                "sku": "TEE-S",
                "name": "Tee",
                "quantity": 2,
                "price": 25,
                "tax": Decimal("7.5"),
                "externalReferenceId": "item-s",
            }
        ],
        "billingPerson": {"firstName": "Jo", "lastName": "Doe", "phone": "+47 1"},
        "shippingOption": {
            "shippingMethodName": "Pickup at Main",
            "fulfillmentType": "PICKUP",
            "isPickup": True,
            "locationId": "main",
        },
        "createTimestamp": 1783149729,
        "updateTimestamp": 1783149730,
        **changes,
    }


def document(**changes: Any) -> pb.OrderDocument:
    found = document_of(order(**changes), "{}", "NOK")
    assert found is not None
    return found


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the reference data is not here")
def test_the_documented_example_is_read() -> None:
    source = EXAMPLE.read_text()

    found = document_of(parse_json(source), source, "EUR")

    assert found is not None
    assert (found.order_id, found.version, found.buyer_name) == ("K8XTQ", 1725434784, "API Team")
    assert (
        found.payment_status,
        found.payment_method,
        found.payment_processor,
    ) == (pb.PAYMENT_STATUS_PAID, "Offline", "")
    assert (Decimal(10), Decimal("0.91"), True) == (
        amount(found.total),
        amount(found.tax),
        found.prices_include_tax,
    )
    [line] = found.lines
    assert (line.line_id, line.sku, line.quantity) == ("1828115520", "123123", "1")
    assert source == found.source_document


def test_an_order_is_read_field_by_field() -> None:
    found = document()

    assert (found.email, found.buyer_name, found.phone) == ("Jo@Example.com", "Jo Doe", "+47 1")
    assert (
        found.fulfillment_kind,
        found.shipping_method,
        found.outlet_id,
    ) == (pb.FULFILLMENT_KIND_PICKUP, "Pickup at Main", "main")
    assert ("item-s", Decimal(25)) == (found.lines[0].item_id, amount(found.lines[0].unit_price))
    assert (Decimal("57.5"), "NOK") == (amount(found.total), found.total.currency_code)
    assert (found.version, found.place_time.seconds) == (1783149730, 1783149729)


@pytest.mark.rule("ORD-07")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("AWAITING_PAYMENT", "AWAITING"),
        ("PAID", "PAID"),
        ("CANCELLED", "CANCELED"),
        ("REFUNDED", "REFUNDED"),
        ("PARTIALLY_REFUNDED", "PARTIALLY_REFUNDED"),
        ("CUSTOM_PAYMENT_STATUS_1", "OTHER"),
        ("CUSTOM_PAYMENT_STATUS_2", "OTHER"),
        ("CUSTOM_PAYMENT_STATUS_3", "OTHER"),
        ("SOMETHING_NEW", "OTHER"),
    ],
)
def test_every_payment_status_is_known_or_kept_as_it_is(status: str, expected: str) -> None:
    found = document(paymentStatus=status)
    assert pb.PaymentStatus.Name(found.payment_status) == f"PAYMENT_STATUS_{expected}"
    assert found.store_payment_status == status
    assert payment_word(found.payment_status) == ("" if expected == "OTHER" else status)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("AWAITING_PROCESSING", "AWAITING_PROCESSING"),
        ("PROCESSING", "PROCESSING"),
        ("READY_FOR_PICKUP", "READY_FOR_PICKUP"),
        ("OUT_FOR_DELIVERY", "OUT_FOR_DELIVERY"),
        ("SHIPPED", "SHIPPED"),
        ("DELIVERED", "DELIVERED"),
        ("WILL_NOT_DELIVER", "WILL_NOT_DELIVER"),
        ("RETURNED", "RETURNED"),
        ("CUSTOM_FULFILLMENT_STATUS_1", "OTHER"),
        ("CUSTOM_FULFILLMENT_STATUS_2", "OTHER"),
        ("CUSTOM_FULFILLMENT_STATUS_3", "OTHER"),
        ("", "UNSPECIFIED"),
    ],
)
def test_every_fulfillment_status_is_known_or_kept_as_it_is(status: str, expected: str) -> None:
    found = document(fulfillmentStatus=status)
    named = pb.FulfillmentStatus.Name(found.fulfillment_status)
    assert named == f"FULFILLMENT_STATUS_{expected}"
    assert found.store_fulfillment_status == status
    ours = "" if expected in ("OTHER", "UNSPECIFIED") else status
    assert fulfillment_word(found.fulfillment_status) == ours


@pytest.mark.skipif(not STATUSES.exists(), reason="the reference data is not here")
def test_the_documented_statuses_are_all_known() -> None:
    told = json.loads(STATUSES.read_text())["items"]
    payments = {one["statusId"] for one in told if one["orderStatusType"] == "PAYMENT_STATUS"}
    others = {one["statusId"] for one in told if one["orderStatusType"] != "PAYMENT_STATUS"}
    assert {one for one in payments if "CUSTOM" not in one} == {*PAYMENT_STATUSES, UNFINISHED}
    assert {one for one in others if "CUSTOM" not in one} == set(FULFILLMENT_STATUSES)


def test_a_cart_that_was_left_behind_is_no_order() -> None:
    assert document_of(order(paymentStatus="INCOMPLETE"), "{}", "NOK") is None


@pytest.mark.rule("ORD-06")
@pytest.mark.parametrize(("module", "processor"), [("Stripe", "Stripe"), ("", ""), (None, "")])
def test_an_integrated_processor_is_named(module: str | None, processor: str) -> None:
    assert processor == document(paymentModule=module).payment_processor


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"paymentStatus": None},
        {"total": None},
        {"items": []},
        {"items": [{"id": 1, "price": 3}]},
        {"items": [{"id": 1, "quantity": 1}]},
        {"items": [{"id": 1, "quantity": 0, "price": 3}]},
    ],
)
def test_an_order_without_what_it_needs_is_named_as_bad(changes: Mapping[str, Any]) -> None:
    with pytest.raises(BadRecordError):
        document_of(order(**changes), "{}", "NOK")


def test_what_no_service_stores_does_not_keep_an_order_out() -> None:
    source = '{"name": "\u202eJo"}'
    found = document_of(order(billingPerson={"name": "\u202eJo\x00 \ud800Doe"}), source, "NOK")

    assert found is not None
    assert found.buyer_name == "Jo Doe"
    assert json.loads(source) == json.loads(found.source_document)
    assert "\u202e" not in found.source_document


# Money.

TIP = {"id": "TIPS", "value": 5, "type": "ABSOLUTE", "total": 5, "totalWithoutTax": 5}
SURCHARGE = {
    "id": "cod",
    "description": "Cash on delivery",
    "type": "PERCENT",
    "value": 10,
    "total": Decimal("2.50"),
    "totalWithoutTax": 2,
}
FEE = {"name": "Gift wrap", "value": 3, "taxes": [{"total": Decimal("0.60")}]}
SHIPPING = {"shippingRate": 10, "shippingMethodName": "Post", "fulfillmentType": "SHIPPING"}
ON_SHIPPING = [{"name": "GST", "value": 10, "total": 1, "includeInPrice": False}]


SINGLE = ("total", "discount", "shipping_price", "shipping_tax")


def sums(found: pb.OrderDocument) -> Mapping[str, str]:
    """What a document tells about its money, as text; what it leaves out is left out."""
    shown = {
        name.name: plain(amount(value)) for name, value in found.ListFields() if name.name in SINGLE
    }
    for one in found.charges:
        kind = pb.ChargeKind.Name(one.kind).removeprefix("CHARGE_KIND_")
        shown[kind] = f"{plain(amount(one.amount))} with {plain(amount(one.tax))} {one.name}"
    for off in found.discounts:
        kind = pb.DiscountKind.Name(off.kind).removeprefix("DISCOUNT_KIND_")
        shown[f"off {kind}"] = f"{plain(amount(off.amount))} {off.name} {off.code}".strip()
    return shown


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"total": "57.5"}),
        (
            {
                "couponDiscount": 5,
                "discountCoupon": {"name": "Sun", "code": "SUN"},
                "total": "52.5",
            },
            {"total": "52.5", "discount": "5", "off COUPON": "5 Sun SUN"},
        ),
        (
            {
                "discount": 9,
                "volumeDiscount": 2,
                "membershipBasedDiscount": 3,
                "discountInfo": [{"base": "ON_TOTAL", "description": "Bulk"}],
                "total": "48.5",
            },
            {
                "total": "48.5",
                "discount": "9",
                "off VOLUME": "2 Bulk",
                "off CUSTOMER_GROUP": "3",
                "off ORDER": "4",
            },
        ),
        (
            {"discount": 1, "volumeDiscount": 2, "total": "56.5"},
            {"total": "56.5", "discount": "1", "off ORDER": "1"},
        ),
        (
            {
                "discount": 4,
                "customDiscount": [4],
                "discountInfo": [{"base": "CUSTOM", "description": "Friend"}],
                "total": "53.5",
            },
            {"total": "53.5", "discount": "4", "off ORDER": "4 Friend"},
        ),
        (
            {"customSurcharges": [TIP], "total": "62.5"},
            {"total": "62.5", "TIP": "5 with 0 TIPS"},
        ),
        (
            {"customSurcharges": [SURCHARGE], "tax": 8, "total": 60},
            {"total": "60", "SURCHARGE": "2.5 with 0.5 Cash on delivery"},
        ),
        (
            {"customSurcharges": [{**TIP, "id": "x", "total": -5}], "total": "52.5"},
            {"total": "52.5", "discount": "5", "off ORDER": "5 x"},
        ),
        (
            {"handlingFee": FEE, "tax": Decimal("8.10"), "total": Decimal("61.10")},
            {"total": "61.1", "FEE": "3.6 with 0.6 Gift wrap"},
        ),
        (
            {"handlingFee": FEE, "pricesIncludeTax": True, "total": 53},
            {"total": "53", "FEE": "3 with 0.6 Gift wrap"},
        ),
        ({"shippingOption": SHIPPING, "total": "67.5"}, {"total": "67.5", "shipping_price": "10"}),
        (
            {
                "shippingOption": SHIPPING,
                "taxesOnShipping": ON_SHIPPING,
                "tax": Decimal("8.5"),
                "total": "68.5",
            },
            {"total": "68.5", "shipping_price": "10", "shipping_tax": "1"},
        ),
        (
            {
                "shippingOption": {**SHIPPING, "shippingRateWithoutTax": 10},
                "taxesOnShipping": ON_SHIPPING,
                "tax": Decimal("8.5"),
                "total": "67.5",
            },
            {"total": "67.5", "shipping_price": "9", "shipping_tax": "1"},
        ),
        (
            {
                "shippingOption": {**SHIPPING, "shippingRateWithoutTax": 9},
                "taxesOnShipping": ON_SHIPPING,
                "tax": Decimal("8.5"),
                "total": "67.5",
            },
            {"total": "67.5", "shipping_price": "9", "shipping_tax": "1"},
        ),
        (
            {
                "shippingOption": SHIPPING,
                "taxesOnShipping": ON_SHIPPING,
                "pricesIncludeTax": True,
                "total": 60,
            },
            {"total": "60", "shipping_price": "10", "shipping_tax": "1"},
        ),
    ],
)
def test_all_that_an_order_costs_is_read_and_adds_up(
    changes: Mapping[str, Any], expected: Mapping[str, str]
) -> None:
    found = document(**changes)
    assert sums(found) == expected
    assert balance(document_value(found)).difference is None


@pytest.mark.rule("ORD-06")
@pytest.mark.parametrize(
    ("changes", "total", "payments"),
    [
        ({"paymentStatus": "PAID"}, "57.5", []),
        (
            {"paymentStatus": "PAID", "giftCardRedemption": 20, "total": "37.5"},
            "57.5",
            [("Gift card", "", 20), ("Pay at pickup", "Stripe", Decimal("37.5"))],
        ),
        (
            {
                "giftCardRedemption": 20,
                "total": "37.5",
                "totalBeforeGiftCardRedemption": "57.5",
            },
            "57.5",
            [("Gift card", "", 20)],
        ),
        (
            {"paymentStatus": "PAID", "giftCardRedemption": "57.5", "total": 0},
            "57.5",
            [("Gift card", "", Decimal("57.5"))],
        ),
    ],
)
def test_a_gift_card_is_a_payment(
    changes: Mapping[str, Any], total: str, payments: list[tuple[str, str, Any]]
) -> None:
    found = document(paymentModule="Stripe", **changes)
    assert amount(found.total) == Decimal(total)
    assert payments == [(one.method, one.processor, amount(one.amount)) for one in found.payments]


BACK = {"date": "2026-07-05 07:22:09 +0000", "source": "CP", "reason": "broken", "amount": 5}


def test_refunds_are_known_by_what_they_say() -> None:
    one, two = document(refunds=[BACK, BACK], refundedAmount=10).refunds
    assert one.refund_id != two.refund_id
    assert (one.amount, one.reason, one.refund_time.seconds) == (two.amount, "broken", 1783236129)
    [again] = document(refunds=[BACK], refundedAmount=5).refunds
    assert one == again
    other = {**BACK, "amount": 6}
    assert one.refund_id not in {back.refund_id for back in document(refunds=[other]).refunds}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"refundedAmount": 5}, [("store-up-to-5", 5)]),
        ({"refundedAmount": "7.50", "refunds": [BACK]}, [("store-up-to-7.5", Decimal("2.5"))]),
        ({"refundedAmount": 0, "refunds": []}, []),
        ({"paymentStatus": "REFUNDED"}, []),
        ({"refunds": [{"amount": 0}, {"reason": "?"}]}, []),
    ],
)
def test_what_was_given_back_without_saying_when_is_one_more_refund(
    changes: Mapping[str, Any], expected: list[tuple[str, Decimal]]
) -> None:
    found = [(one.refund_id, amount(one.amount)) for one in document(**changes).refunds]
    assert expected == [one for one in found if one[0].startswith("store-up-to")]


def test_where_and_when_it_goes_is_read() -> None:
    person = {"name": "Jo", "street": "1 Road", "city": "Oslo", "postalCode": "0150"}
    person |= {"countryCode": "no", "stateOrProvinceCode": "03", "phone": "+47 2"}
    sent = document(
        shippingOption=SHIPPING,
        shippingPerson=person,
        trackingNumber="T-1",
        orderComments="ring twice",
    )
    where = sent.ship_to
    assert (where.name, where.street, where.city) == ("Jo", "1 Road", "Oslo")
    assert (where.postal_code, where.region_code, where.country_code) == ("0150", "03", "NO")
    assert (where.phone, sent.tracking_number, sent.buyer_comment) == ("+47 2", "T-1", "ring twice")
    fetched = document(shippingPerson=person, pickupTime="2026-07-05 07:22:09 +0000")
    assert (fetched.HasField("ship_to"), fetched.pickup_time.seconds) == (False, 1783236129)
    nowhere = document(shippingOption=SHIPPING, shippingPerson={**person, "countryCode": "Norway"})
    assert nowhere.ship_to.country_code == ""


def test_lines_without_ids_of_their_own_are_told_apart() -> None:
    item = order()["items"][0]
    twice = document(items=[item, item, {**item, "id": None}, {**item, "id": 9, "quantity": 0}])
    assert [line.line_id for line in twice.lines] == ["1", "#2", "#3"]


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the reference data is not here")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_examples_add_up(name: str) -> None:
    source = (DATA / f"{name}.json").read_text()
    parsed = parse_json(source)
    for one in parsed.get("items", []) if "count" in parsed else [parsed]:
        found = document_of(one, source, "EUR")
        assert found is not None
        balanced = balance(document_value(found))
        assert balanced.difference is None
        assert not [c for c in balanced.charges if c.kind is ChargeKind.ROUNDING]
        seen = seen_of(one)
        assert seen is not None
        assert (seen.payment_status, seen.fulfillment_status) == (
            found.payment_status,
            found.fulfillment_status,
        )
