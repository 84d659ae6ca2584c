"""Ecwid: what its words come to in the contract, and back."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.ecom import Figure, OrderHint, OtherEvent, ProductHint, Shelf, Slot
from gateway.ecom.ecwid import Ecwid, read_webhook
from gateway.ecom.ecwid.listings import (
    ImagePlan,
    Units,
    base_sku,
    image_mark,
    image_plan,
    own_fields,
    product_body,
    shelf_of,
)
from gateway.ecom.ecwid.webhooks import AGE_S_MAX, AHEAD_S_MAX
from gateway.platform import PlatformError
from gateway.records import BadRecordError, money
from gateway.sandbox import ecwid as sandbox
from gateway.sandbox.ecwid.events import signature
from gateway.sandbox.server import SandboxServer
from services.chassis.errors import DomainError
from tillbridge.catalog.v1 import catalog_pb2

SECRET = "sandbox-store-secret"
TOKEN = "secret_sandbox_store_token"
NOW = datetime(2026, 7, 4, 7, 22, 9, tzinfo=UTC)
UNITS = Units("NZD", Decimal(1), Decimal(1))
EXAMPLE = Path(__file__).parents[3] / "shared/data/ecwid/orders__get-order.json"


def event(**changes: Any) -> dict[str, Any]:
    return {
        "eventId": "3a7e1f0c-8a4d-4e0a-9f3e-1b2c3d4e5f60",
        "eventCreated": int(NOW.timestamp()),
        "storeId": 1003,
        "entityId": 103878161,
        "eventType": "order.updated",
        "data": {"orderId": "XJ12H"},
        **changes,
    }


def read(
    body: Mapping[str, Any] | bytes, header: str | None = None, now: datetime = NOW
) -> OrderHint | ProductHint | OtherEvent:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if header is None:
        assert not isinstance(body, bytes)
        header = signature(SECRET, body["eventCreated"], body["eventId"])
    return read_webhook(raw, header, SECRET, "1003", now)


# Webhooks.


def test_a_signed_order_event_is_a_hint() -> None:
    assert OrderHint(event()["eventId"], "XJ12H") == read(event())


@pytest.mark.parametrize("kind", ["product.created", "product.updated", "product.deleted"])
def test_a_signed_product_event_is_a_hint(kind: str) -> None:
    found = read(event(eventType=kind, entityId=692730761, data=None))

    gone = kind == "product.deleted"
    assert ProductHint(event()["eventId"], "692730761", gone=gone) == found


@pytest.mark.parametrize(
    "kind", ["category.updated", "unfinished_order.created", "profile.updated", ""]
)
def test_other_events_say_nothing_that_is_kept(kind: str) -> None:
    assert isinstance(read(event(eventType=kind)), OtherEvent)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "AAAA",
        "not base64!",
        signature("another secret", event()["eventCreated"], event()["eventId"]),
        signature(SECRET, event()["eventCreated"] + 1, event()["eventId"]),
        hmac.new(SECRET.encode(), b"x", hashlib.sha256).hexdigest(),
    ],
)
def test_an_event_that_is_not_signed_by_its_secret_is_refused(header: str) -> None:
    with pytest.raises(DomainError) as refused:
        read(event(), header)

    assert refused.value.reason == "SIGNATURE_INVALID"


def test_no_flipped_byte_of_a_signature_passes() -> None:
    good = base64.b64decode(signature(SECRET, event()["eventCreated"], event()["eventId"]))
    for index in range(len(good)):
        flipped = good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :]
        with pytest.raises(DomainError):
            read(event(), base64.b64encode(flipped).decode())


def test_an_event_of_another_store_is_refused() -> None:
    with pytest.raises(DomainError, match="store 1003") as refused:
        read(event(storeId=1004))

    assert refused.value.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("age_s", "taken"),
    [
        (0, True),
        (24 * 3600, True),
        (AGE_S_MAX, True),
        (AGE_S_MAX + 1, False),
        (-AHEAD_S_MAX, True),
        (-AHEAD_S_MAX - 1, False),
    ],
)
def test_an_event_is_taken_for_as_long_as_the_platform_sends_it_again(
    age_s: int, taken: bool
) -> None:
    now = NOW + timedelta(seconds=age_s)
    if taken:
        assert read(event(), now=now)
        return
    with pytest.raises(DomainError) as refused:
        read(event(), now=now)
    assert refused.value.reason == "WEBHOOK_STALE"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
        (json.dumps(event(data={})).encode(), "data.orderId"),
        (json.dumps(event(data={"orderId": "x" * 129})).encode(), "data.orderId"),
        (json.dumps(event(eventType="product.updated", entityId="a/b")).encode(), "entityId"),
        (json.dumps(event(eventType="product.deleted", entityId=None)).encode(), "entityId"),
    ],
)
def test_a_malformed_event_is_refused_by_what_is_wrong(body: bytes, field: str) -> None:
    header = signature(SECRET, event()["eventCreated"], event()["eventId"])
    with pytest.raises(DomainError) as refused:
        read(body, header)

    assert ("INVALID_FIELD", field) == (refused.value.reason, refused.value.violations[0][0])


# Listings.

PLAIN = catalog_pb2.ListingVariant(item_id="i")
IN_EUROS = catalog_pb2.ListingVariant(item_id="i", price=money(Decimal(1), "EUR"))


def listing(*values: str, **changes: Any) -> catalog_pb2.Listing:
    variants = [
        catalog_pb2.ListingVariant(
            item_id=f"tee-{value}" if value else "mug-item",
            sku=f"TEE-{value}",
            upc="0614",
            option_values=[value] if value else [],
            price=money(Decimal("23.5"), "NZD"),
            weight_kg="0.35",
            dimensions_cm=catalog_pb2.DimensionsCm(length="12", width="9", height="10"),
            track_inventory=True,
        )
        for value in values or ("",)
    ]
    made = catalog_pb2.Listing(
        channel_id="c",
        product_id="tee" if values else "mug",
        name="Tee",
        description="<p>Soft</p>",
        category="Clothing",
        brand="Saltmarsh",
        available=True,
        sell_online=True,
        variants=variants,
        image_urls=["https://x.example/a.jpg", "https://x.example/b.jpg"],
        version=3,
    )
    if values:
        made.options.add(name="Size", values=values)
    made.MergeFrom(catalog_pb2.Listing(**changes))
    return made


@pytest.mark.rule("CAT-03")
@pytest.mark.rule("CAT-05")
def test_a_product_without_options_is_written_whole_and_nothing_else() -> None:
    body = product_body(listing(), {"mug-item": Figure(8)}, None, UNITS, 7)

    assert {
        *("externalReferenceId", "name", "description", "enabled", "attributes", "categoryIds"),
        *("price", "sku", "weight", "dimensions", "unlimited", "quantity", "options"),
        "combinations",
    } == set(body)
    assert (
        body["externalReferenceId"],
        body["price"],
        body["weight"],
        body["quantity"],
        body["categoryIds"],
    ) == ("mug", 23.5, 0.35, 8, [7])
    assert {("UPC", "0614"), ("BRAND", "Saltmarsh")} == {
        (attribute["alias"], attribute["value"]) for attribute in body["attributes"]
    }


def test_a_product_with_options_has_a_variation_per_item() -> None:
    shelf = Shelf("1", "tee", True, {"tee-S": Slot("1", "77", Figure(1))})
    figures = {"tee-S": Figure(4), "tee-M": Figure(0)}

    body = product_body(listing("S", "M"), figures, shelf, UNITS, None)

    small, medium = body["combinations"]
    assert (small["id"], small["externalReferenceId"], small["quantity"]) == (77, "tee-S", 4)
    assert ("id" not in medium, 0) == (True, medium["quantity"])
    assert medium["options"] == [{"name": "Size", "value": "M"}]
    assert (body["unlimited"], body["quantity"]) == (False, 0)
    assert [choice["text"] for choice in body["options"][0]["choices"]] == ["S", "M"]


@pytest.mark.parametrize(
    ("tracked", "figure", "held", "written"),
    [
        (True, Figure(3), None, {"unlimited": False, "quantity": 3}),
        (True, None, None, {"unlimited": False, "quantity": 0}),
        (True, None, Figure(5), {}),
        (True, Figure(0, unlimited=True), Figure(5), {"unlimited": True}),
        (False, None, None, {"unlimited": True}),
    ],
)
def test_a_stock_that_is_not_known_leaves_what_the_store_holds(
    tracked: bool, figure: Figure | None, held: Figure | None, written: Mapping[str, Any]
) -> None:
    made = listing()
    made.variants[0].track_inventory = tracked
    shelf = Shelf("1", "mug", True, {"mug": Slot("1", "", held)}) if held else None

    body = product_body(made, {"mug-item": figure} if figure else {}, shelf, UNITS, None)

    assert written == {name: body[name] for name in ("unlimited", "quantity") if name in body}


def test_weights_and_lengths_are_in_the_store_s_own_units() -> None:
    pounds = Units("NZD", Decimal("0.45359237"), Decimal("2.54"))

    body = product_body(listing(), {}, None, pounds, None)

    assert (body["weight"], body["dimensions"]["length"]) == (0.771618, 4.724409)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (listing(*map(str, range(201))), "takes 200"),
        (catalog_pb2.Listing(product_id="x"), "no active variant"),
        (catalog_pb2.Listing(product_id="x", variants=[PLAIN, PLAIN]), "no option"),
        (catalog_pb2.Listing(product_id="x", variants=[PLAIN]), "no price"),
        (catalog_pb2.Listing(product_id="x", variants=[IN_EUROS]), "EUR"),
    ],
)
def test_what_the_store_cannot_hold_is_told(made: catalog_pb2.Listing, why: str) -> None:
    with pytest.raises(BadRecordError, match=why):
        product_body(made, {}, None, UNITS, None)


@pytest.mark.rule("CAT-08")
@pytest.mark.parametrize(
    ("held", "wanted", "pos_changed", "plan"),
    [
        ([], [], True, ImagePlan(False, [], [])),
        ([], ["a"], True, ImagePlan(True, ["a"], [])),
        (["a", "b"], ["a", "b"], True, ImagePlan(False, [], [])),
        (["a", "b"], ["b", "a"], True, ImagePlan(True, ["b", "a"], [])),
        (["a", None], ["a"], True, ImagePlan(True, ["a"], [])),
        ([None], [], True, ImagePlan(True, [], [])),
        (["a", None], ["a"], False, ImagePlan(False, [], [])),
        (["b", None], ["a", "b"], False, ImagePlan(False, ["a"], [])),
        (["b", "a"], ["a", "b"], False, ImagePlan(False, [], [])),
        ([None], ["a"], False, ImagePlan(False, ["a"], [])),
        (["a", "b", None], ["b"], False, ImagePlan(False, [], ["main"])),
        (["b", "a", None], ["b"], False, ImagePlan(False, [], ["1"])),
    ],
)
def test_images_of_the_store_stay_until_the_point_of_sale_changes_its_own(
    held: list[str | None], wanted: list[str], pos_changed: bool, plan: ImagePlan
) -> None:
    images = [
        {"id": str(index), "isMain": index == 0, **({"externalId": image_mark(url)} if url else {})}
        for index, url in enumerate(held)
    ]
    made = catalog_pb2.Listing(
        image_urls=wanted, version=5, pushed_version=4, images_version=5 if pos_changed else 2
    )

    assert plan == image_plan({"media": {"images": images}}, made)


@pytest.mark.rule("CAT-05")
@pytest.mark.parametrize(
    ("changes", "names", "written"),
    [
        ({}, [], {}),
        ({"subtitle": "New"}, [], {}),
        ({"subtitle": "New"}, ["subtitle"], {"subtitle": "New"}),
        ({}, ["subtitle"], {"subtitle": ""}),
        ({"low_stock_threshold": 0}, ["low_stock_threshold"], {"warningLimit": 0}),
        ({}, ["low_stock_threshold"], {"warningLimit": None}),
        (
            {"compare_to_price": money(Decimal("29.9"), "NZD")},
            ["compare_to_price"],
            {"compareToPrice": 29.9},
        ),
        ({}, ["compare_to_price"], {"compareToPrice": None}),
    ],
)
def test_of_the_store_s_own_fields_only_those_that_were_set_are_written(
    changes: Mapping[str, Any], names: list[str], written: Mapping[str, Any]
) -> None:
    assert written == own_fields(catalog_pb2.Listing(**changes), names, UNITS)


@pytest.mark.parametrize(
    ("sku", "options", "written"),
    [
        ("TEE-S", ("S", "M"), {"sku": "tee"}),
        ("TEE", ("S", "M"), {}),
        ("TEE-", (), {}),
    ],
)
def test_a_product_that_gets_options_leaves_its_sku_to_the_variation(
    sku: str, options: tuple[str, ...], written: Mapping[str, Any]
) -> None:
    assert written == base_sku(listing(*options), {"sku": sku})


def test_a_quantity_that_is_left_out_is_no_limit() -> None:
    shelf = shelf_of({"id": 1, "externalReferenceId": "mug", "enabled": True, "unlimited": True})

    assert {"mug": Slot("1", "", Figure(0, unlimited=True))} == shelf.slots


# The account.


@pytest.fixture
async def served() -> AsyncIterator[tuple[Ecwid, httpx.AsyncClient]]:
    async with SandboxServer(sandbox.Ecwid()) as server:
        store = Ecwid(server.url, "1003", TOKEN)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{server.url}/api/v3/1003/"
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as raw:
            yield store, raw
        await store.close()


Served = tuple[Ecwid, httpx.AsyncClient]


async def test_a_listing_is_created_once_and_then_kept_up_to_date(served: Served) -> None:
    store, raw = served

    first = await store.write_listing(listing("S", "M"), {"tee-S": Figure(4), "tee-M": Figure(2)})
    patch = {"compareToPrice": 99, "subtitle": "theirs"}
    (await raw.put(f"products/{first.shelf_id}", json=patch)).raise_for_status()
    again = await store.write_listing(
        listing("S", "M", "L", name="Better tee"), {"tee-S": Figure(3)}
    )

    assert first.shelf_id == again.shelf_id
    assert first.slots["tee-S"].variation_id == again.slots["tee-S"].variation_id
    figures = {name: slot.figure.quantity for name, slot in again.slots.items()}
    assert figures == {"tee-S": 3, "tee-M": 2, "tee-L": 0}
    product = (await raw.get(f"products/{first.shelf_id}")).json()
    assert (
        product["name"],
        product["compareToPrice"],
        product["subtitle"],
    ) == ("Better tee", 99, "theirs")
    assert [category["name"] for category in product["categories"]] == ["Clothing"]
    urls = [image["imageOriginalUrl"] for image in product["media"]["images"]]
    assert list(listing().image_urls) == urls
    assert [again] == [shelf async for shelf in store.shelves()]


async def test_listings_written_at_once_share_their_new_category(served: Served) -> None:
    store, raw = served

    sizes = {"tee": "S", "top": "M", "vest": "L"}
    await asyncio.gather(
        *(store.write_listing(listing(sizes[name], product_id=name), {}) for name in sizes)
    )

    categories = (await raw.get("categories")).json()["items"]
    assert [category["name"] for category in categories].count("Clothing") == 1


async def test_stock_is_absolute(served: Served) -> None:
    store, raw = served
    shelf = await store.write_listing(listing(), {"mug-item": Figure(8)})

    for figure in (Figure(5), Figure(5), Figure(0, unlimited=True), Figure(0)):
        await store.write_stock(shelf.slots["mug"], figure)

    product = (await raw.get(f"products/{shelf.shelf_id}")).json()
    assert (product["unlimited"], product["quantity"]) == (False, 0)


async def test_a_listing_that_is_gone_already_is_gone(served: Served) -> None:
    store, _ = served
    shelf = await store.write_listing(listing(), {})

    await store.remove_listing(shelf)
    await store.remove_listing(shelf)

    assert await store.held_of("mug") is None


async def test_an_order_is_read_as_the_store_has_it(served: Served) -> None:
    store, raw = served
    shelf = await store.write_listing(listing("S"), {"tee-S": Figure(4)})
    slot = shelf.slots["tee-S"]
    item = {"productId": int(slot.shelf_id), "combinationId": int(slot.variation_id), "quantity": 2}
    body = {"subtotal": 47, "total": 47, "email": "jo@example.com", "items": [item]}
    order_id = (await raw.post("orders", json=body)).json()["orderid"]

    found = await store.order(order_id)

    assert found is not None
    assert (
        found.lines[0].item_id,
        found.lines[0].quantity,
        found.total.currency_code,
    ) == ("tee-S", "2", "NZD")
    seen = [one async for orders, _ in store.orders_since("0") for one in orders]
    assert [(order_id, found.version)] == [(one.order_id, one.version) for one in seen]
    with pytest.raises(PlatformError) as missing:
        await store.order("NONE1")
    assert missing.value.status == 404
