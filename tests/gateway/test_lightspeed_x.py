"""X-Series: what its words come to in the contract, and back."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.platform import Bucket, PlatformError, retry_after_s
from gateway.pos import Gone, LevelsRead, Nothing, ProductsRead, SalesRead
from gateway.pos.lightspeed_x import LightspeedX, read_webhook
from gateway.pos.lightspeed_x.customers import customer_of, new_customer
from gateway.pos.lightspeed_x.levels import count_in_event, count_of
from gateway.pos.lightspeed_x.products import Prices, product_of
from gateway.records import amount, kept
from gateway.sandbox import lightspeed_x as sandbox
from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.subscriptions import signature
from gateway.sandbox.server import SandboxServer
from services.chassis.errors import DomainError
from tests.gateway.pos_sales import OLD_SALE, posting
from tillbridge.catalog.v1 import catalog_pb2

SECRET = "sandbox-pos-secret"
PRICES = Prices("NZD", inclusive=True)
MUG = shop.product_id("MUG")
TEE = shop.product_id("TEE-S-NAVY")


def form(payload: Any, **more: str) -> bytes:
    return urlencode({"payload": json.dumps(payload), **more}).encode()


@pytest.fixture
async def pos() -> AsyncIterator[LightspeedX]:
    simulator = sandbox.LightspeedX()
    async with SandboxServer(simulator) as server:
        client = LightspeedX(server.url, "sandbox-pos-token")
        yield client
        await client.close()


# Webhooks.


def test_a_signed_form_is_taken_with_its_type() -> None:
    body = form({"id": "p"}, type="product.update")

    event = read_webhook(body, signature(SECRET, body), SECRET)

    assert (event.kind, event.payload) == ("product.update", {"id": "p"})


def test_a_signature_in_base64_is_taken_too() -> None:
    body = form({"id": "p"}, type="product.update")
    digest = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()

    assert read_webhook(body, f"signature={digest}, algorithm=HMAC-SHA256", SECRET)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "signature=",
        "signature=00,algorithm=HMAC-SHA256",
        "algorithm=HMAC-SHA256",
        "signature=zz,algorithm=HMAC-SHA256",
        signature("another secret", form({"id": "p"})),
        signature(SECRET, form({"id": "p"})).replace("SHA256", "MD5"),
        signature(SECRET, form({"id": "q"})),
    ],
)
def test_a_form_that_is_not_signed_by_its_secret_is_refused(header: str) -> None:
    with pytest.raises(DomainError) as refused:
        read_webhook(form({"id": "p"}), header, SECRET)

    assert refused.value.reason == "SIGNATURE_INVALID"


def test_no_flipped_byte_passes() -> None:
    body = form({"id": "p", "count": "3"}, type="inventory.update")
    header = signature(SECRET, body)
    for index in range(len(body)):
        flipped = body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
        with pytest.raises(DomainError):
            read_webhook(flipped, header, SECRET)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"type=product.update", "payload"),
        (b"payload=%7Bnot+json", "payload"),
        (b"payload=%5B1%5D", "payload"),
        (b"payload=%7B%22count%22%3ANaN%7D", "payload"),
        (b"payload=" + b"%5B" * 100_000, "payload"),
        (b"payload=%FF", "body"),
    ],
)
def test_a_malformed_form_is_refused_by_what_is_wrong(body: bytes, field: str) -> None:
    with pytest.raises(DomainError) as refused:
        read_webhook(body, signature(SECRET, body), SECRET)

    assert ("INVALID_FIELD", field) == (refused.value.reason, refused.value.violations[0][0])


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"id": "s", "register_sale_products": []}, "sale.update"),
        ({"product_id": "p", "outlet_id": "o", "count": "1"}, "inventory.update"),
        ({"id": "c", "customer_code": "MERE-4K2T"}, "customer.update"),
        ({"id": "p", "handle": "mug"}, "product.update"),
        ({"id": "x"}, "unknown"),
    ],
)
def test_an_event_without_its_type_is_known_by_its_fields(payload: Any, kind: str) -> None:
    body = form(payload)

    assert kind == read_webhook(body, signature(SECRET, body), SECRET).kind


# Levels.


@pytest.mark.parametrize(
    ("changes", "quantity"),
    [
        ({"count": "3.00000"}, "3"),
        ({"count": "-1.00000"}, "-1"),
        ({"count": "7.12500"}, "7.125"),
        ({"count": 4}, "4"),
        ({"count": None}, None),
        ({"count": ""}, None),
        ({"count": "many"}, None),
        ({"count": "1e400"}, None),
        ({"count": True}, None),
        ({"version": None}, None),
        ({"version": 0}, None),
        ({"outlet_id": None}, None),
    ],
)
def test_an_event_s_level_is_read_again_when_it_does_not_say_it(
    changes: Mapping[str, Any], quantity: str | None
) -> None:
    event = {"product_id": "p", "outlet_id": "o", "count": "9", "version": 5, **changes}

    count = count_in_event(event)

    assert quantity == (count.quantity if count else None)


def test_a_level_that_is_missing_is_put_aside_and_never_zero() -> None:
    rows = [
        {"product_id": "p", "outlet_id": "o", "inventory_level": None, "version": 1},
        {"product_id": "p", "outlet_id": "o", "current_amount": 2.5, "version": 2},
        {"product_id": "p", "inventory_level": 3, "version": 3},
        "no object",
    ]

    counts = kept("lightspeed-x", "level", rows, count_of)

    # A JSON float is never seen: numbers are read as exact decimals.
    assert [count.quantity for count in counts] == []
    rows[1]["current_amount"] = Decimal("2.5")  # type: ignore[index]
    assert [c.quantity for c in kept("lightspeed-x", "level", rows, count_of)] == ["2.5"]


# Products.


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "tee",
        "name": "Tee",
        "description": "<p>Soft</p>",
        "handle": "tee",
        "sku": "TEE-S",
        "is_active": True,
        "has_inventory": True,
        "has_variants": True,
        "variant_options": [{"name": "Size", "value": "S"}],
        "price_including_tax": Decimal("34.5"),
        "price_excluding_tax": 30,
        "supply_price": 11,
        "supplier_code": "SK-1",
        "supplier": {"name": "Southern Knits"},
        "brand": {"name": "Saltmarsh"},
        "type": {"name": "Clothing"},
        "categories": [{"name": "summer"}],
        "product_codes": [{"type": "custom", "code": "X"}, {"type": "upc", "code": "0614"}],
        "images": [{"id": "i", "url": "https://x.example/a.jpg"}],
        "weight": Decimal("0.5"),
        "weight_unit": "LB",
        "length": 30,
        "width": 20,
        "height": 2,
        "dimensions_unit": "CM",
        "version": 7,
        **changes,
    }


SECOND: Mapping[str, Any] = {
    "id": "tee-m",
    "sku": "TEE-M",
    "variant_parent_id": "tee",
    "variant_options": [{"name": "Size", "value": "M"}],
}


@pytest.mark.rule("CAT-03")
def test_a_family_is_one_product_with_its_variants() -> None:
    product = product_of("tee", [row(**SECOND, version=9), row()], PRICES, "lightspeed-x")

    assert isinstance(product, catalog_pb2.Product)
    assert (
        product.product_id,
        product.version,
        list(product.attribute_names),
    ) == ("tee", 9, ["Size"])
    first, second = product.variants
    assert (first.item_id, first.upc, list(first.attribute_values)) == ("tee", "0614", ["S"])
    assert (second.item_id, list(second.attribute_values)) == ("tee-m", ["M"])
    assert Decimal("34.5") == amount(first.retail_price)
    assert (first.weight.value, first.weight.unit) == ("0.5", catalog_pb2.WEIGHT_UNIT_LB)
    assert (
        product.category,
        product.brand,
        product.supplier,
        list(product.tags),
    ) == ("Clothing", "Saltmarsh", "Southern Knits", ["summer"])


@pytest.mark.parametrize(
    ("changes", "field", "present"),
    [
        ({}, "weight", True),
        ({"weight": 0}, "weight", False),
        ({"weight_unit": None}, "weight", False),
        ({}, "dimensions", True),
        ({"height": 0}, "dimensions", False),
        ({"price_including_tax": None}, "retail_price", False),
        ({"has_inventory": None}, "track_inventory", False),
    ],
)
def test_what_a_row_does_not_say_is_absent(
    changes: Mapping[str, Any], field: str, present: bool
) -> None:
    product = product_of("tee", [row(**changes)], PRICES, "lightspeed-x")

    assert isinstance(product, catalog_pb2.Product)
    assert present == product.variants[0].HasField(field)  # type: ignore[arg-type]


def test_a_family_outlives_its_parent_and_ends_with_its_last_row() -> None:
    dead = row(deleted_at="2026-07-04", version=8)
    heir = row(**SECOND)

    product = product_of("tee", [dead, heir], PRICES, "lightspeed-x")
    gone = product_of("tee", [dead, row(**SECOND, deleted_at="x", version=9)], PRICES, "x")

    assert isinstance(product, catalog_pb2.Product)
    assert (product.product_id, product.version, len(product.variants)) == ("tee", 8, 1)
    assert Gone("tee", 9) == gone


def test_a_row_that_makes_no_sense_does_not_take_its_family_with_it() -> None:
    odd = row(**{**SECOND, "variant_options": []})

    product = product_of("tee", [row(), odd], PRICES, "lightspeed-x")

    assert isinstance(product, catalog_pb2.Product)
    assert [variant.item_id for variant in product.variants] == ["tee"]


# Customers.


def test_a_profile_is_read_in_either_shape() -> None:
    old = {"id": "c", "name": "", "contact": {"first_name": "Jo", "email": " jo@example.com "}}

    assert ((found := customer_of(old)) and (found.name, found.email)) == ("Jo", "jo@example.com")
    assert customer_of({"id": "c", "deleted_at": "2026"}) is None


@pytest.mark.rule("CUS-03")
@pytest.mark.rule("CUS-04")
@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("Jo Ann Doe", "Jo", "Ann Doe"), ("Jo", "Jo", None), ("", "jo@example.com", None)],
)
def test_a_new_profile_has_the_buyer_s_name(name: str, first: str, last: str | None) -> None:
    body = new_customer(posting(buyer_name=name))

    assert (first, last) == (body["first_name"], body.get("last_name"))


# The account.


async def test_the_whole_catalog_is_read_in_the_order_of_versions(pos: LightspeedX) -> None:
    batches = [batch async for batch in pos.products_since("")]
    products = [record for batch in batches for record in batch.records]

    assert len(products) == 17
    tee = next(p for p in products if p.product_id == TEE)
    assert isinstance(tee, catalog_pb2.Product)
    assert (len(tee.variants), list(tee.attribute_names)) == (6, ["Size", "Color"])
    assert [batch async for batch in pos.products_since(batches[-1].cursor)] == []


async def test_a_family_read_anew_moves_the_cursor_past_no_other_change(
    pos: LightspeedX, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [batch async for batch in pos.products_since("")]
    before, last = int(listed[-1].cursor) - 1, int(listed[-1].cursor)

    async def completed(changed: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """The family changed once more while it was read."""
        return {
            family: [{**row, "version": last + 100} for row in rows]
            for family, rows in changed.items()
        }

    monkeypatch.setattr(pos, "_completed", completed)
    assert [batch.cursor async for batch in pos.products_since(str(before))] == [str(last)]


async def test_an_item_leads_to_its_whole_family(pos: LightspeedX) -> None:
    product = await pos.product(shop.product_id("TEE-L-SAND"))

    assert isinstance(product, catalog_pb2.Product)
    assert (product.product_id, len(product.variants)) == (TEE, 6)
    assert await pos.product("no-such-item") is None


async def test_an_event_that_says_no_level_is_read_again(pos: LightspeedX) -> None:
    body = form({"product_id": MUG, "outlet_id": shop.OUTLET_MAIN_ID}, type="inventory.update")
    event = read_webhook(body, signature(SECRET, body), SECRET)

    change = await pos.change(event)

    assert isinstance(change, LevelsRead)
    assert {"12", "5"} == {count.quantity for count in change.counts}


async def test_events_become_what_they_say(pos: LightspeedX) -> None:
    async def change(payload: Mapping[str, Any], kind: str) -> Any:
        body = form(payload, type=kind)
        return await pos.change(read_webhook(body, signature(SECRET, body), SECRET))

    register = {"register_id": shop.REGISTER_HARBOUR_ID}
    sale = json.loads(json.dumps({**OLD_SALE, **register}, default=float))

    assert isinstance(await change({"id": TEE}, "product.update"), ProductsRead)
    assert isinstance(await change(sale, "sale.update"), SalesRead)
    assert isinstance(await change({"id": "x"}, "register_closure.create"), Nothing)


async def test_subscribing_twice_is_subscribing(pos: LightspeedX) -> None:
    await pos.subscribe("http://127.0.0.1:9/webhooks/lightspeed-x/c")
    await pos.subscribe("http://127.0.0.1:9/webhooks/lightspeed-x/c")


async def test_a_wrong_token_is_no_reason_to_try_again() -> None:
    async with SandboxServer(sandbox.LightspeedX()) as server:
        client = LightspeedX(server.url, "wrong")
        with pytest.raises(PlatformError) as refused:
            await client.outlets()
        await client.close()

    assert (refused.value.status, refused.value.transient) == (401, False)


# Limits.


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("7", 7),
        ("soon", 0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert seconds == retry_after_s(header, datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


async def test_a_rate_limit_keeps_a_reserve_for_what_is_urgent() -> None:
    now = 0.0
    bucket = Bucket(10, 10, lambda: now)
    for _ in range(8):
        await bucket.take()

    assert bucket.wait_s() > 0
    assert bucket.wait_s(urgent=True) == 0
    now = 3.0
    assert bucket.wait_s() == 0
    bucket.pause(2)
    assert bucket.wait_s(urgent=True) == 2
