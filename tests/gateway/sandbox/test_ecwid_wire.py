"""The simulated store answers in the shapes of the examples the platform publishes."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

PRODUCT = {
    "name": "Toys",
    "sku": "123123",
    "price": 10,
    "quantity": 4,
    "description": "For <b>play</b>",
    "options": [{"type": "SELECT", "name": "Mark", "choices": [{"text": "I"}, {"text": "II"}]}],
    "attributes": [{"alias": "UPC", "value": "1234"}, {"alias": "BRAND", "value": "Acme"}],
}
COMBINATION = {"options": [{"name": "Mark", "value": "II"}], "price": 12.5}


def kinds(value: Any) -> str:
    """The JSON type of a value; JSON knows one kind of number."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def mismatches(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Where our value has another JSON type than the example; only shared keys are compared."""
    if kinds(ours) != kinds(theirs):
        return [f"{where}: {kinds(ours)}, the example has {kinds(theirs)}"]
    if isinstance(ours, dict):
        shared = ours.keys() & theirs.keys()
        return [m for k in sorted(shared) for m in mismatches(ours[k], theirs[k], f"{where}.{k}")]
    if isinstance(ours, list) and ours and theirs:
        return mismatches(ours[0], theirs[0], f"{where}[]")
    return []


def example(data: Path, name: str) -> Any:
    return json.loads((data / "ecwid" / f"{name}.json").read_text(encoding="utf-8"))


async def make_shop(api: httpx.AsyncClient) -> tuple[int, int, str]:
    """A product with a combination and an image, and an order of it."""
    product_id = (await api.post("products", json=PRODUCT)).json()["id"]
    await api.post(f"products/{product_id}/image?externalUrl=https://images.example/toy.jpg")
    made = await api.post(f"products/{product_id}/combinations", json=COMBINATION)
    person = {"name": "Jo Doe", "street": "1 Road", "city": "Oslo", "countryCode": "NO"}
    order = {
        "subtotal": 25,
        "total": 25,
        "email": "jo@example.com",
        "paymentMethod": "Offline",
        "billingPerson": person,
        "items": [{"productId": product_id, "combinationId": made.json()["id"], "quantity": 2}],
    }
    order_id = (await api.post("orders", json=order)).json()["orderid"]
    return product_id, made.json()["id"], order_id


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("products/{product}", "products__get-product"),
        ("products", "products__search-products"),
        (
            "products/{product}/combinations/{combination}",
            "products__product-variations__get-product-variation",
        ),
        (
            "products/{product}/combinations",
            "products__product-variations__search-product-variations",
        ),
        ("orders/{order}", "orders__get-order"),
        ("orders/last", "orders__get-last-order"),
        ("orders", "orders__search-orders"),
        ("customers", "customers__search-customers"),
        ("profile", "store-profile__get-store-profile"),
        ("profile/order_statuses", "orders__order-statuses__search-order-statuses"),
    ],
)
async def test_shared_keys_have_the_types_of_the_example(
    store_api: httpx.AsyncClient, data: Path, path: str, name: str
) -> None:
    product, combination, order = await make_shop(store_api)
    url = path.format(product=product, combination=combination, order=order)
    ours = (await store_api.get(url)).json()
    theirs = example(data, name)
    assert mismatches(ours, theirs) == []
    # Not vacuous: most of what the sandbox says is in the example too.
    first = (ours[0], theirs[0]) if isinstance(ours, list) else (ours, theirs)
    assert len(first[0].keys() & first[1].keys()) >= len(first[0]) * 0.4


async def test_a_customer_has_the_types_of_the_example(
    store_api: httpx.AsyncClient, data: Path
) -> None:
    made = await store_api.post("customers", json={"email": "a@b.nz", "name": "A"})
    ours = (await store_api.get(f"customers/{made.json()['id']}")).json()
    assert mismatches(ours, example(data, "customers__get-customer")) == []


async def test_the_ids_of_an_order_relate_as_in_the_example(
    store_api: httpx.AsyncClient, data: Path
) -> None:
    *_, order_id = await make_shop(store_api)
    for order in (
        (await store_api.get(f"orders/{order_id}")).json(),
        example(data, "orders__get-order"),
    ):
        assert order["id"] == order["vendorOrderNumber"] == order["publicUid"]
        assert order["internalId"] == order["orderNumber"]


@pytest.mark.parametrize(
    ("request_line", "body", "refusal"),
    [
        ("GET products/7", None, "404 PRODUCT_NOT_FOUND"),
        ("GET products/{product}/combinations/7", None, "404 COMBINATION_NOT_FOUND"),
        ("GET orders/NOPE1", None, "404 ORDER_NOT_FOUND"),
        ("GET categories/7", None, "404 CATEGORIES_NOT_FOUND"),
        ("PUT profile/shippingOptions/7", {}, "404 SHIPPING_NOT_FOUND"),
        ("GET planets", None, "422 WRONG_URL"),
        ("DELETE products", None, "405 METHOD_NOT_ALLOWED"),
        ("POST products", {"sku": "X"}, "400 WRONG_PARAMETER"),
        ("POST products", {"name": "X", "price": "dear"}, "400 WRONG_PARAMETER"),
        ("POST products", {"name": "X", "sku": "123123"}, "409 SKU_ALREADY_EXISTS"),
        ("POST orders", {"total": 1, "subtotal": 1}, "400 WRONG_PARAMETER"),
        ("PUT orders/{order}", {"paymentStatus": "MAYBE"}, "400 WRONG_PARAMETER"),
        ("GET orders?updatedFrom=soon", None, "400 WRONG_PARAMETER"),
        ("GET products?limit=many", None, "400 WRONG_PARAMETER"),
        ("GET products?responseFields=items(id", None, "400 WRONG_PARAMETER"),
        ("POST customers", {}, "400 WRONG_PARAMETER"),
        ("POST customers", {"email": "JO@example.com"}, "409 CONSTRAINT_VIOLATION"),
        ("POST profile/shippingOptions", {}, "400 SHIPPING_OPTION_TITLE_REQUIRED"),
        ("POST products/{product}/image", None, "400 WRONG_PARAMETER"),
        ("POST products/{product}/image?externalUrl=mug", None, "422 WRONG_URL"),
        ("POST products/{product}/combinations", COMBINATION, "409 COMBINATION_DUPLICATED"),
        (
            "POST products/{product}/combinations",
            {"options": [{"name": "Size", "value": "II"}]},
            "409 COMBINATION_CONTAINS_REMOVED_OPTION",
        ),
        (
            "POST products/{product}/combinations",
            {"options": [{"name": "Mark", "value": "IX"}]},
            "409 COMBINATION_CONTAINS_REMOVED_OPTION_VALUE",
        ),
        (
            "POST products/{product}/combinations",
            {"options": [{"name": "Mark", "value": "I"}], "sku": "123123", "quantity": 9},
            "400 DIFFERENT_COMBINATION_STOCK",
        ),
    ],
)
async def test_errors_have_the_documented_codes(
    store_api: httpx.AsyncClient, request_line: str, body: Any, refusal: str
) -> None:
    product, _, order = await make_shop(store_api)
    method, path = request_line.format(product=product, order=order).split()
    response = await store_api.request(method, path, json=body)
    assert f"{response.status_code} {response.json().get('errorCode')}" == refusal
    assert set(response.json()) == {"errorMessage", "errorCode"}


async def test_the_token_is_taken_from_either_place(
    store_api: httpx.AsyncClient, store_server: Any
) -> None:
    async with httpx.AsyncClient(base_url=f"{store_server.url}/api/v3") as stranger:
        good = await stranger.get("1003/profile?token=secret_store_token")
        bad = await stranger.get("1003/profile?token=secret_other")
        none = await stranger.get("1003/profile")
    elsewhere = await store_api.get(f"{store_server.url}/api/v3/1004/profile")
    assert good.status_code == 200
    for refused in (bad, none):
        assert (refused.status_code, refused.json()["errorCode"]) == (403, "INVALID_API_TOKEN")
    assert (elsewhere.status_code, elsewhere.json()["errorCode"]) == (404, "STORE_NOT_FOUND")
    entries = (await store_api.get(f"{store_server.url}/sandbox/log")).json()["entries"]
    assert "secret_" not in json.dumps(entries)
