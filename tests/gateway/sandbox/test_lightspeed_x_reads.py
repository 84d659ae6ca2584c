"""Paging, search and customers of the simulated POS."""

from typing import Any

import httpx
import pytest

from gateway.sandbox import shop


async def everything(api: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Pages as a client does, by version, until a page is empty."""
    rows: list[dict[str, Any]] = []
    after = 0
    for _ in range(200):
        body = (await api.get(path, params={**params, "after": after})).json()
        if not body["data"]:
            assert body["version"] == {"min": None, "max": None}
            return rows
        rows += body["data"]
        after = body["version"]["max"]
    raise AssertionError("paging does not end")


async def test_pages_by_version_give_each_row_once(pos_api: httpx.AsyncClient) -> None:
    rows = await everything(pos_api, "/api/2.0/products", page_size=7)
    versions = [row["version"] for row in rows]
    assert 34 == len({row["id"] for row in rows}) == len(rows)
    assert sorted(versions) == versions


async def test_a_changed_row_comes_again_behind_the_cursor(pos_api: httpx.AsyncClient) -> None:
    rows = await everything(pos_api, "/api/2.0/products")
    cursor = rows[-1]["version"]
    body = {"details": {"sku": "MUG-2"}}
    await pos_api.put(f"/api/2.1/products/{shop.product_id('MUG')}", json=body)
    news = (await pos_api.get("/api/2.0/products", params={"after": cursor})).json()["data"]
    assert [row["sku"] for row in news] == ["MUG-2"]


async def test_before_bounds_the_page(pos_api: httpx.AsyncClient) -> None:
    rows = await everything(pos_api, "/api/2.0/taxes")
    last = rows[-1]["version"]
    body = (await pos_api.get("/api/2.0/taxes", params={"before": last})).json()
    assert [row["id"] for row in rows[:-1]] == [row["id"] for row in body["data"]]


async def test_deleted_rows_show_on_demand_only(pos_api: httpx.AsyncClient) -> None:
    mug = shop.product_id("MUG")
    assert (await pos_api.delete(f"/api/2.0/products/{mug}")).status_code == 200
    assert (await pos_api.delete(f"/api/2.0/products/{mug}")).status_code == 404
    seen = await everything(pos_api, "/api/2.0/products")
    with_deleted = await everything(pos_api, "/api/2.0/products", deleted="true")
    assert mug not in {row["id"] for row in seen}
    assert with_deleted[-1]["id"] == mug
    assert with_deleted[-1]["deleted_at"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"type": "products", "sku": "mug"}, 1),
        ({"type": "products", "tag_id": shop.shop_id("tags", "rain")}, 7),
        ({"type": "products", "-brand_id": shop.shop_id("brands", "Saltmarsh"), "sku": "tote"}, 0),
        ({"type": "products", "variant_parent_id": shop.product_id("SOX-SM")}, 1),
        ({"type": "customers", "email": "tom.okafor@example.com"}, 1),
        ({"type": "customers", "last_name": "nobody"}, 0),
        ({"type": "sales", "status": "CLOSED"}, 0),
        ({"type": "products", "page_size": 5, "offset": 30}, 4),
    ],
)
async def test_search(pos_api: httpx.AsyncClient, params: dict[str, Any], found: int) -> None:
    body = (await pos_api.get("/api/2.0/search", params=params)).json()
    assert found == len(body["data"])


async def test_search_orders_by_what_it_is_asked_to(pos_api: httpx.AsyncClient) -> None:
    params = {"type": "customers", "order_by": "first_name", "order_direction": "desc"}
    body = (await pos_api.get("/api/2.0/search", params=params)).json()
    assert [row["first_name"] for row in body["data"]] == ["Tom", "Mere", None]


async def test_a_customer_is_created_changed_and_deleted(pos_api: httpx.AsyncClient) -> None:
    created = await pos_api.post(
        "/api/2.0/customers", json={"first_name": "Ana", "last_name": "Ray", "email": "a@ray.nz"}
    )
    customer = created.json()["data"]
    path = f"/api/2.0/customers/{customer['id']}"
    assert (created.status_code, customer["name"]) == (201, "Ana Ray")
    assert customer["customer_code"].startswith("Ana-")
    changed = (await pos_api.put(path, json={"last_name": "Rey"})).json()["data"]
    assert (changed["name"], changed["email"]) == ("Ana Rey", "a@ray.nz")
    assert changed["version"] > customer["version"]
    assert (await pos_api.delete(path)).status_code == 204
    assert (await pos_api.put(path, json={})).status_code == 404
    assert (await pos_api.get(path)).json()["data"]["deleted_at"]


async def test_a_nameless_customer_gets_a_code(pos_api: httpx.AsyncClient) -> None:
    created = await pos_api.post("/api/2.0/customers", json={"email": "x@y.nz"})
    customer = created.json()["data"]
    assert (customer["first_name"], customer["name"]) == (None, None)
    assert customer["customer_code"].startswith("UNNAMED-")
    taken = {"customer_code": customer["customer_code"]}
    assert (await pos_api.post("/api/2.0/customers", json=taken)).status_code == 422


async def test_small_lists_can_be_added_to(pos_api: httpx.AsyncClient) -> None:
    created = await pos_api.post("/api/2.0/tags", json={"name": "driftwood"})
    tag = created.json()["data"]
    assert tag == (await pos_api.get(f"/api/2.0/tags/{tag['id']}")).json()["data"]
    assert (await pos_api.post("/api/2.0/tags", json={"name": "driftwood"})).status_code == 422
    assert (await pos_api.post("/api/2.0/tags", json={})).status_code == 422
