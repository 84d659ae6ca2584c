"""Products and levels of the simulated POS, through every generation of its API."""

from typing import Any

import httpx
import pytest

from gateway.sandbox import shop

MUG = shop.product_id("MUG")


async def product(api: httpx.AsyncClient, product_id: str) -> dict[str, Any]:
    data: dict[str, Any] = (await api.get(f"/api/2.0/products/{product_id}")).json()["data"]
    return data


async def levels(api: httpx.AsyncClient, product_id: str) -> dict[str, float]:
    rows = (await api.get(f"/api/2.0/products/{product_id}/inventory")).json()["data"]
    assert all(row["current_amount"] == row["inventory_level"] for row in rows)
    return {row["outlet_id"]: row["inventory_level"] for row in rows}


async def test_a_family_shares_its_handle_and_its_parent_is_a_variant(
    pos_api: httpx.AsyncClient,
) -> None:
    parent = await product(pos_api, shop.product_id("JKT-S-OLV-REG"))
    child = await product(pos_api, shop.product_id("JKT-L-INK-LNG"))
    assert (parent["has_variants"], parent["variant_parent_id"]) == (True, None)
    assert (False, parent["id"]) == (child["has_variants"], child["variant_parent_id"])
    assert parent["handle"] == child["handle"] == "squall-jacket"
    assert child["variant_name"] == "Squall jacket / L / Ink / Long"
    assert [option["name"] for option in child["variant_options"]] == ["Size", "Color", "Fit"]


async def test_creating_a_family_gives_one_id_per_variant(pos_api: httpx.AsyncClient) -> None:
    attribute = shop.shop_id("variant_attributes", "Size")
    body = {
        "name": "Apron",
        "price_excluding_tax": 40,
        "variants": [
            {
                "sku": f"APR-{size}",
                "variant_definitions": [{"attribute_id": attribute, "value": size}],
                "inventory": [{"outlet_id": shop.OUTLET_MAIN_ID, "current_amount": amount}],
            }
            for size, amount in (("S", 3), ("L", 4.5))
        ],
    }
    ids = (await pos_api.post("/api/2.0/products", json=body)).json()["data"]
    first, second = [await product(pos_api, product_id) for product_id in ids]
    assert (first["handle"], second["handle"]) == ("apron", "apron")
    assert (True, ids[0]) == (first["has_variants"], second["variant_parent_id"])
    assert (first["variant_name"], first["price_including_tax"]) == ("Apron / S", 46)
    assert await levels(pos_api, ids[1]) == {shop.OUTLET_MAIN_ID: 4.5, shop.OUTLET_HARBOUR_ID: 0}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "Mug"}, "handle"),
        ({"name": "Jug", "sku": "MUG"}, "sku"),
        ({"name": "Jug", "brand_id": "nobody"}, "brand_id"),
        ({"name": "Jug", "weight_unit": "STONE"}, "weight_unit"),
        ({"name": "Jug", "price_excluding_tax": "dear"}, "price_excluding_tax"),
        ({"name": "Jug", "composite": [{"product_id": MUG, "quantity": 2}]}, "composite"),
        ({"name": "Jug", "inventory": [{"current_amount": 2}]}, "inventory"),
    ],
)
async def test_a_product_that_is_not_acceptable_is_refused(
    pos_api: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    response = await pos_api.post("/api/2.0/products", json=body)
    assert (422, [field]) == (response.status_code, list(response.json()["errors"]))


async def test_an_update_counts_absolutely_and_changes_the_family(
    pos_api: httpx.AsyncClient,
) -> None:
    first, second = shop.product_id("SOX-SM"), shop.product_id("SOX-LG")
    count = [{"outlet_id": shop.OUTLET_HARBOUR_ID, "current_amount": 2}]
    body = {
        "common": {"name": "Thick socks"},
        "details": {"inventory": count, "price_including_tax": 23, "is_active": False},
    }
    for _ in range(2):
        updated = await pos_api.put(f"/api/2.1/products/{second}", json=body)
    changed = updated.json()["data"]
    assert tuple(changed[name] for name in ("price_excluding_tax", "active", "is_active")) == (
        20,
        False,
        False,
    )
    assert (await product(pos_api, first))["variant_name"] == "Thick socks / 36-40"
    assert (await product(pos_api, first))["active"]
    assert await levels(pos_api, second) == {shop.OUTLET_MAIN_ID: 11, shop.OUTLET_HARBOUR_ID: 2}
    assert (await pos_api.put(f"/api/2026-07/products/{second}", json={})).status_code == 200
    assert (await pos_api.put(f"/api/2.0/products/{second}", json={})).status_code == 404


async def test_images_keep_their_ids_while_their_url_stays(pos_api: httpx.AsyncClient) -> None:
    before = (await product(pos_api, MUG))["images"]
    images = [{"url": before[0]["url"]}, {"url": "https://images.example/new.jpg"}]
    await pos_api.put(f"/api/2.1/products/{MUG}", json={"details": {"images": images}})
    after = await product(pos_api, MUG)
    assert before[0] == after["images"][0]
    assert after["images"][1]["id"] not in {image["id"] for image in before}
    assert after["image_url"].startswith(before[0]["url"])


async def test_a_product_that_is_not_tracked_has_no_levels(pos_api: httpx.AsyncClient) -> None:
    assert await levels(pos_api, shop.product_id("WRAP")) == {}
    body = {"common": {"track_inventory": True}}
    await pos_api.put(f"/api/2.1/products/{shop.product_id('WRAP')}", json=body)
    assert {0} == set((await levels(pos_api, shop.product_id("WRAP"))).values())


async def test_the_old_write_changes_by_sku_and_adds_variants_by_handle(
    pos_api: httpx.AsyncClient,
) -> None:
    body = {
        "sku": "MUG",
        "handle": "mug",
        "retail_price": "25.00",
        "brand_name": "New Clay",
        "tags": "blue, gift",
        "inventory": [{"outlet_name": "Main", "count": "4.00000"}],
    }
    reply = (await pos_api.post("/api/products", json=body)).json()["product"]
    assert (reply["id"], reply["brand_name"], reply["tags"]) == (MUG, "New Clay", "blue, gift")
    assert {"4.00000", "5.00000"} == {row["count"] for row in reply["inventory"]}
    variant = {
        "handle": "mug",
        "sku": "MUG-XL",
        "variant_option_one_name": "Size",
        "variant_option_one_value": "XL",
    }
    made = (await pos_api.post("/api/products", json=variant)).json()["product"]
    assert (made["variant_parent_id"], made["name"]) == (MUG, "Mug / XL")
    assert (await product(pos_api, MUG))["has_variants"]
    assert (await pos_api.post("/api/products", json={"sku": "X"})).status_code == 422
    nowhere = {"sku": "MUG", "inventory": [{"outlet_name": "Nowhere", "count": 1}]}
    assert (await pos_api.post("/api/products", json=nowhere)).status_code == 422


async def test_deleting_the_parent_alone_promotes_the_next_variant(
    pos_api: httpx.AsyncClient,
) -> None:
    parent, heir, other = (shop.product_id(f"NB-{r}") for r in ("PLAIN", "LINED", "DOTTED"))
    await pos_api.delete(f"/api/2.0/products/{parent}")
    assert (
        (await product(pos_api, heir))["has_variants"],
        (await product(pos_api, heir))["variant_parent_id"],
    ) == (True, None)
    assert heir == (await product(pos_api, other))["variant_parent_id"]
    await pos_api.delete(f"/api/2.0/products/{other}/all")
    assert (await product(pos_api, heir))["deleted_at"]


async def test_adjustments_add_and_go_all_or_nothing(pos_api: httpx.AsyncClient) -> None:
    path = "/api/2026-07/stock_adjustments"
    row = {"product_id": MUG, "outlet_id": shop.OUTLET_MAIN_ID, "quantity": "-3"}
    damage = {**row, "reason": "DAMAGE"}
    made = await pos_api.post(path, json={"stock_adjustments": [damage, damage]})
    assert (made.status_code, len(made.json()["data"])) == (201, 2)
    assert (await levels(pos_api, MUG))[shop.OUTLET_MAIN_ID] == 6
    for wrong in (
        {**row, "reason": "BORED"},
        {**row, "reason": "CUSTOM"},
        {**damage, "quantity": 1},
    ):
        refused = await pos_api.post(path, json={"stock_adjustments": [damage, wrong]})
        assert refused.status_code == 422
    assert (await pos_api.post(path, json={"stock_adjustments": []})).status_code == 422
    assert (await levels(pos_api, MUG))[shop.OUTLET_MAIN_ID] == 6
