"""Products, combinations, images and categories of the simulated store."""

from typing import Any

import httpx
import pytest

SIZES = {"type": "SELECT", "name": "Size", "choices": [{"text": "S"}, {"text": "L"}]}


def of_size(size: str, **fields: Any) -> dict[str, Any]:
    return {"options": [{"name": "Size", "value": size}], **fields}


async def make(api: httpx.AsyncClient, **fields: Any) -> int:
    response = await api.post("products", json={"name": "Tee", **fields})
    assert response.status_code == 200, response.text
    return int(response.json()["id"])


async def make_family(api: httpx.AsyncClient, **fields: Any) -> int:
    combinations = [of_size("S", sku="TEE-S", quantity=4), of_size("L", sku="TEE-L", quantity=0)]
    body = {"name": "Tee", "sku": "TEE", "options": [SIZES], "combinations": combinations}
    response = await api.post("products?saveCombinations=true", json={**body, **fields})
    return int(response.json()["id"])


async def get(api: httpx.AsyncClient, product_id: int) -> dict[str, Any]:
    product: dict[str, Any] = (await api.get(f"products/{product_id}")).json()
    return product


@pytest.mark.parametrize(
    ("fields", "unlimited", "quantity", "in_stock"),
    [
        ({}, True, None, True),
        ({"quantity": 3}, False, 3, True),
        ({"quantity": 0}, False, 0, False),
        ({"quantity": 3, "unlimited": True}, True, None, True),
        ({"unlimited": False}, False, 0, False),
        ({"locationInventory": {"a": 2, "b": 5}}, False, 7, True),
    ],
)
async def test_quantity_is_there_only_when_stock_is_tracked(
    store_api: httpx.AsyncClient,
    fields: dict[str, Any],
    unlimited: bool,
    quantity: int | None,
    in_stock: bool,
) -> None:
    product = await get(store_api, await make(store_api, **fields))
    assert (product["unlimited"], product.get("quantity"), product["inStock"]) == (
        unlimited,
        quantity,
        in_stock,
    )


async def test_an_update_is_partial_and_null_takes_a_field_away(
    store_api: httpx.AsyncClient,
) -> None:
    product_id = await make(store_api, price=10, compareToPrice=12, subtitle="nice", quantity=1)
    changes = {"compareToPrice": None, "price": 9.5, "unlimited": True}
    reply = await store_api.put(f"products/{product_id}", json=changes)
    assert reply.json() == {"updateCount": 1}
    product = await get(store_api, product_id)
    assert "compareToPrice" not in product
    assert "quantity" not in product
    assert (product["price"], product["subtitle"]) == (9.5, "nice")


async def test_scripts_in_descriptions_are_taken_out(store_api: httpx.AsyncClient) -> None:
    text = "<p>Soft</p><SCRIPT src='x'>alert(1)</script > <b>tee</b>"
    product_id = await make(store_api, description=text)
    assert (await get(store_api, product_id))["description"] == "<p>Soft</p> <b>tee</b>"


async def test_a_delta_adds_and_warns_below_zero(store_api: httpx.AsyncClient) -> None:
    product_id = await make(store_api, quantity=3)
    path = f"products/{product_id}/inventory"
    first = (await store_api.put(path, json={"quantityDelta": -2})).json()
    second = (await store_api.put(path, json={"quantityDelta": -2})).json()
    assert first == {"updateCount": 1}
    assert (second["updateCount"], "warning" in second) == (1, True)
    assert (await get(store_api, product_id))["quantity"] == -1
    boundless = await make(store_api)
    reply = await store_api.put(f"products/{boundless}/inventory", json={"quantityDelta": 1})
    assert reply.json() == {"updateCount": 0}
    assert (await store_api.put(path, json={})).status_code == 400


async def test_combinations_are_saved_only_when_asked(store_api: httpx.AsyncClient) -> None:
    product_id = await make_family(store_api)
    before = (await get(store_api, product_id))["combinations"]
    body = {"combinations": [of_size("L", sku="TEE-L", quantity=8)]}
    await store_api.put(f"products/{product_id}", json=body)
    assert (await get(store_api, product_id))["combinations"] == before
    await store_api.put(f"products/{product_id}?saveCombinations=true", json=body)
    (kept,) = (await get(store_api, product_id))["combinations"]
    assert (kept["id"], kept["quantity"]) == (before[1]["id"], 8)


async def test_a_refused_replacement_changes_nothing(store_api: httpx.AsyncClient) -> None:
    product_id = await make_family(store_api)
    before = await get(store_api, product_id)
    url = f"products/{product_id}?saveCombinations=true"
    for body, code in (
        ({"name": "X", "combinations": [of_size("XL")]}, 409),
        ({"name": "X", "options": []}, 409),
        ({"name": "X", "combinations": [of_size("S")] * 201}, 400),
    ):
        assert (await store_api.put(url, json=body)).status_code == code
    assert await get(store_api, product_id) == before


async def test_combinations_one_by_one(store_api: httpx.AsyncClient) -> None:
    product_id = await make(store_api, sku="TEE", quantity=0, options=[SIZES])
    base = f"products/{product_id}/combinations"
    made = await store_api.post(base, json=of_size("S", quantity=2, externalReferenceId="v1"))
    one = f"{base}/{made.json()['id']}"
    await store_api.put(f"{one}/inventory", json={"quantityDelta": 3})
    await store_api.put(one, json={"price": 31, "locationInventory": {"main": 4, "harbour": 2}})
    combination = (await store_api.get(one)).json()
    assert (combination["quantity"], combination["price"]) == (6, 31)
    assert combination["combinationNumber"] == 1
    assert (await get(store_api, product_id))["inStock"] is True
    assert (await store_api.delete(one)).json() == {"deleteCount": 1}
    assert (await store_api.delete(base)).json() == {"deleteCount": 0}
    assert (await get(store_api, product_id))["inStock"] is False


async def test_external_ids_are_unique_and_searched_among_products(
    store_api: httpx.AsyncClient,
) -> None:
    first = await make_family(store_api, externalReferenceId="pos-1")
    body = {"name": "Other", "externalReferenceId": "pos-1"}
    refused = await store_api.post("products", json=body)
    assert refused.json()["errorCode"] == "EXTERNAL_ID_ALREADY_USED"
    variation = f"products/{first}/combinations"
    listed = (await store_api.get(variation)).json()
    # A family and its first variant may have the same POS id.
    own = await store_api.put(
        f"{variation}/{listed[0]['id']}", json={"externalReferenceId": "pos-1"}
    )
    await store_api.put(f"{variation}/{listed[1]['id']}", json={"externalReferenceId": "pos-2"})
    assert own.status_code == 200
    found = [
        (await store_api.get("products", params={"externalReferenceId": value})).json()["total"]
        for value in ("pos-1", "pos-2")
    ]
    assert found == [1, 0]
    await store_api.delete(f"products/{first}")
    assert (await store_api.post("products", json=body)).status_code == 200


async def test_attributes_are_merged_by_their_kind(store_api: httpx.AsyncClient) -> None:
    attributes = [{"alias": "UPC", "value": "123"}, {"name": "Origin", "value": "Nelson"}]
    product_id = await make(store_api, attributes=attributes)
    changes = [{"alias": "BRAND", "value": "Acme"}, {"alias": "UPC", "value": ""}]
    await store_api.put(f"products/{product_id}", json={"attributes": changes})
    product = await get(store_api, product_id)
    assert [(a["type"], a["name"], a["value"]) for a in product["attributes"]] == [
        ("CUSTOM", "Origin", "Nelson"),
        ("BRAND", "Brand", "Acme"),
    ]


async def test_images_are_recorded_listed_and_deleted(store_api: httpx.AsyncClient) -> None:
    product_id = await make(store_api)
    base = f"products/{product_id}"
    for path, name in (("gallery", "b"), ("image", "a"), ("gallery", "c"), ("image", "main")):
        url = f"https://images.example/{name}.jpg"
        made = await store_api.post(f"{base}/{path}", params={"externalUrl": url}, json={})
        assert isinstance(made.json()["id"], int)
    images = (await get(store_api, product_id))["media"]["images"]
    names = [image["imageOriginalUrl"].rsplit("/", 1)[-1] for image in images]
    assert names == ["main.jpg", "b.jpg", "c.jpg"]
    assert [image["isMain"] for image in images] == [True, False, False]
    gone = await store_api.delete(f"{base}/gallery/{images[1]['id']}")
    again = await store_api.delete(f"{base}/gallery/{images[1]['id']}")
    assert (gone.json(), again.status_code) == ({"deleteCount": 1}, 404)
    assert (await store_api.delete(f"{base}/image")).json() == {"deleteCount": 1}
    assert (await store_api.delete(f"{base}/gallery")).json() == {"deleteCount": 1}
    assert (await get(store_api, product_id))["media"]["images"] == []


async def test_a_combination_has_an_image_of_its_own(store_api: httpx.AsyncClient) -> None:
    product_id = await make_family(store_api)
    combination = (await get(store_api, product_id))["combinations"][0]
    one = f"products/{product_id}/combinations/{combination['id']}"
    url = "https://images.example/s.jpg"
    await store_api.post(f"{one}/image", params={"externalUrl": url})
    assert (await store_api.get(one)).json()["imageUrl"] == url
    counts = [(await store_api.delete(f"{one}/image")).json()["deleteCount"] for _ in range(2)]
    assert counts == [1, 0]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["Anchor", "Buoy", "Tee"]),
        ({"sku": "BUOY"}, ["Buoy"]),
        ({"sku": "TEE-L"}, ["Tee"]),
        ({"keyword": "anch"}, ["Anchor"]),
        ({"enabled": "false"}, ["Buoy"]),
        ({"inStock": "false"}, ["Anchor"]),
        ({"inventory": "instock"}, ["Buoy", "Tee"]),
        ({"priceFrom": 6, "priceTo": 20}, ["Buoy"]),
        ({"sortBy": "NAME_DESC"}, ["Tee", "Buoy", "Anchor"]),
        ({"offset": 1, "limit": 1}, ["Buoy"]),
        ({"updatedFrom": 4_000_000_000}, []),
        ({"createdFrom": "2020-01-01 00:00:00 +0000"}, ["Anchor", "Buoy", "Tee"]),
        ({"createdTo": "2020-01-01"}, []),
    ],
)
async def test_search(
    store_api: httpx.AsyncClient, params: dict[str, Any], names: list[str]
) -> None:
    await make(store_api, name="Anchor", sku="ANC", price=5, quantity=0)
    await make(store_api, name="Buoy", sku="BUOY", price=15, enabled=False)
    await make_family(store_api, price=25)
    body = (await store_api.get("products", params=params)).json()
    assert [item["name"] for item in body["items"]] == names
    assert body["count"] == len(names)


async def test_only_the_fields_asked_for_are_answered(store_api: httpx.AsyncClient) -> None:
    product_id = await make_family(store_api)
    fields = "total,items(id,combinations(sku,options(value)))"
    body = (await store_api.get("products", params={"responseFields": fields})).json()
    combinations = [{"sku": f"TEE-{s}", "options": [{"value": s}]} for s in ("S", "L")]
    assert body == {"total": 1, "items": [{"id": product_id, "combinations": combinations}]}


async def test_pages_end_where_the_total_says(store_api: httpx.AsyncClient) -> None:
    for number in range(105):
        await make(store_api, name=f"Shell {number}", sku=f"SH-{number}")
    pages = [
        (await store_api.get("products", params={"offset": offset, "limit": 500})).json()
        for offset in (0, 100)
    ]
    assert [(p["total"], p["count"], p["limit"]) for p in pages] == [
        (105, 100, 100),
        (105, 5, 100),
    ]


async def test_categories_count_their_products(store_api: httpx.AsyncClient) -> None:
    made = (await store_api.post("categories", json={"name": "Kitchen"})).json()
    await make(store_api, categoryIds=[made["id"]])
    (category,) = (await store_api.get("categories")).json()["items"]
    assert (category["name"], category["productCount"]) == ("Kitchen", 1)
    (product,) = (await store_api.get(f"products?category={made['id']}")).json()["items"]
    assert product["categories"] == [{"id": made["id"], "name": "Kitchen", "enabled": True}]
    one = f"categories/{made['id']}"
    assert (await store_api.put(one, json={"name": "Pantry"})).json() == {"updateCount": 1}
    assert (await store_api.get(one)).json()["name"] == "Pantry"
    assert (await store_api.delete(one)).json() == {"deleteCount": 1}


async def test_deleted_products_leave_tombstones(store_api: httpx.AsyncClient) -> None:
    product_id = await make(store_api)
    assert (await store_api.delete(f"products/{product_id}")).json() == {"deleteCount": 1}
    deleted = (await store_api.get("products/deleted?from_date=2020-01-01")).json()
    assert [row["id"] for row in deleted["items"]] == [product_id]
    stats = (await store_api.get("latest-stats")).json()
    assert stats["productsUpdated"] == deleted["items"][0]["date"]
