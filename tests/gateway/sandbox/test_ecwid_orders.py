"""Orders, customers and settings of the simulated store."""

from typing import Any

import httpx
import pytest

from gateway.sandbox import shop


async def make_mug(api: httpx.AsyncClient, **fields: Any) -> int:
    body = {"name": "Mug", "sku": "MUG", "price": 23, "quantity": 10, **fields}
    return int((await api.post("products", json=body)).json()["id"])


def order_of(product_id: int, quantity: int = 2, **fields: Any) -> dict[str, Any]:
    items = [{"productId": product_id, "quantity": quantity}]
    return {"subtotal": 46, "total": 46, "email": "jo@example.com", "items": items, **fields}


async def place(api: httpx.AsyncClient, body: dict[str, Any]) -> str:
    response = await api.post("orders", json=body)
    assert response.status_code == 200, response.text
    assert set(response.json()) == {"id", "orderid"}
    return str(response.json()["orderid"])


async def quantity(api: httpx.AsyncClient, product_id: int) -> int:
    return int((await api.get(f"products/{product_id}")).json()["quantity"])


async def test_an_order_takes_stock_and_canceling_gives_it_back_once(
    store_api: httpx.AsyncClient,
) -> None:
    mug = await make_mug(store_api)
    order_id = await place(store_api, order_of(mug))
    assert await quantity(store_api, mug) == 8
    for status, left in (
        ("PAID", 8),
        ("PARTIALLY_REFUNDED", 8),
        ("REFUNDED", 8),
        ("CANCELLED", 10),
        ("CANCELLED", 10),
        ("PAID", 8),
    ):
        reply = await store_api.put(f"orders/{order_id}", json={"paymentStatus": status})
        assert reply.json() == {"updateCount": 1}
        assert await quantity(store_api, mug) == left, status


async def test_an_unfinished_order_takes_no_stock_until_it_is_placed(
    store_api: httpx.AsyncClient,
) -> None:
    mug = await make_mug(store_api)
    order_id = await place(store_api, order_of(mug, paymentStatus="INCOMPLETE"))
    assert await quantity(store_api, mug) == 10
    await store_api.put(f"orders/{order_id}", json={"paymentStatus": "AWAITING_PAYMENT"})
    assert await quantity(store_api, mug) == 8


async def test_changed_items_move_the_difference(store_api: httpx.AsyncClient) -> None:
    mug = await make_mug(store_api)
    order_id = await place(store_api, order_of(mug, 4))
    items = [{"productId": mug, "quantity": 1}, {"name": "Engraving", "price": 5}]
    await store_api.put(f"orders/{order_id}", json={"items": items})
    assert await quantity(store_api, mug) == 9
    assert (await store_api.delete(f"orders/{order_id}")).json() == {"deleteCount": 1}
    assert await quantity(store_api, mug) == 9


async def test_an_order_of_a_combination_takes_its_stock(store_api: httpx.AsyncClient) -> None:
    option = {"type": "SELECT", "name": "Size", "choices": [{"text": "S"}, {"text": "L"}]}
    combinations = [
        {
            "options": [{"name": "Size", "value": size}],
            "sku": f"MUG-{size}",
            "quantity": 5,
            "externalReferenceId": f"pos-{size}",
        }
        for size in ("S", "L")
    ]
    body = {"name": "Mug", "sku": "MUG", "options": [option], "combinations": combinations}
    made = await store_api.post("products?saveCombinations=true", json=body)
    mug = made.json()["id"]
    items = [{"productId": mug, "selectedOptions": [{"name": "Size", "value": "L"}]}]
    order_id = await place(store_api, {**order_of(mug), "items": items})
    (item,) = (await store_api.get(f"orders/{order_id}")).json()["items"]
    listed = (await store_api.get(f"products/{mug}/combinations")).json()
    assert [c["quantity"] for c in listed] == [5, 4]
    assert item["combinationId"] == listed[1]["id"]
    assert (item["sku"], item["externalReferenceId"]) == ("MUG-L", "pos-L")
    assert (item["trackQuantity"], item["quantityInStock"]) == (True, 5)


async def test_stock_by_location_leaves_the_location_of_the_order(
    store_api: httpx.AsyncClient,
) -> None:
    stock = {shop.OUTLET_MAIN_ID: 7, shop.OUTLET_HARBOUR_ID: 5}
    mug = await make_mug(store_api, quantity=None, locationInventory=stock)
    pickup = {"fulfillmentType": "PICKUP", "locationId": shop.OUTLET_HARBOUR_ID}
    await place(store_api, order_of(mug, 3, shippingOption=pickup))
    await place(store_api, order_of(mug, 1))
    product = (await store_api.get(f"products/{mug}")).json()
    left = {shop.OUTLET_MAIN_ID: 6, shop.OUTLET_HARBOUR_ID: 2}
    assert (product["locationInventory"], product["quantity"]) == (left, 8)


async def test_an_order_is_named_by_its_text_id_only(store_api: httpx.AsyncClient) -> None:
    order_id = await place(store_api, order_of(await make_mug(store_api)))
    order = (await store_api.get(f"orders/{order_id}")).json()
    assert (await store_api.get(f"orders/{order['internalId']}")).status_code == 404
    found = await store_api.get("orders", params={"ids": str(order["internalId"])})
    assert [row["id"] for row in found.json()["items"]] == [order_id]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["second", "first"]),
        ({"email": "JO@"}, ["first"]),
        ({"paymentStatus": "PAID,CANCELLED"}, ["second"]),
        ({"fulfillmentStatus": "AWAITING_PROCESSING"}, ["second", "first"]),
        ({"paymentMethod": "Cash"}, ["first"]),
        ({"totalFrom": 50}, ["second"]),
        ({"totalTo": 50}, ["first"]),
        ({"createdTo": "2021-01-01"}, ["second"]),
        ({"updatedFrom": "2021-01-01"}, ["second", "first"]),
        ({"keywords": "Lighthouse"}, ["second"]),
        ({"shippingMethod": "Courier"}, ["first"]),
        ({"pickupTimeFrom": "2026-01-01"}, ["second"]),
        ({"pickupTimeTo": "2026-01-01"}, []),
        ({"containsPreorderItems": "true"}, []),
        ({"limit": 1}, ["second"]),
    ],
)
async def test_orders_are_searched(
    store_api: httpx.AsyncClient, params: dict[str, Any], found: list[str]
) -> None:
    mug = await make_mug(store_api)
    shipping = {"shippingMethodName": "Courier", "fulfillmentType": "SHIPPING"}
    first = order_of(mug, refererId="first", paymentMethod="Cash", shippingOption=shipping)
    second = {
        **order_of(mug, refererId="second", paymentStatus="PAID"),
        "email": "ann@example.com",
        "total": 99,
        "createDate": "2020-06-01 10:00:00 +0000",
        "pickupTime": "2026-03-01 10:00:00 +0000",
        "shippingPerson": {"street": "2 Lighthouse Road"},
    }
    for body in (first, second):
        await place(store_api, body)
    body = (await store_api.get("orders", params=params)).json()
    assert [row["refererId"] for row in body["items"]] == found


async def test_an_order_makes_one_customer_per_address(store_api: httpx.AsyncClient) -> None:
    mug = await make_mug(store_api)
    person = {"name": "Jo Doe"}
    await place(store_api, order_of(mug, billingPerson=person))
    await place(store_api, {**order_of(mug), "email": " JO@example.com"})
    body = (await store_api.get("customers?email=jo@example.com&useExactEmailMatch=true")).json()
    (customer,) = body["items"]
    assert (customer["name"], body["allCustomerCount"]) == ("Jo Doe", 1)
    assert customer["stats"] == {
        "numberOfOrders": 2,
        "salesValue": 92,
        "averageOrderValue": 46,
    }


async def test_customers_are_changed_searched_and_deleted(store_api: httpx.AsyncClient) -> None:
    made = (await store_api.post("customers", json={"email": "a@b.nz", "name": "Ana"})).json()
    one = f"customers/{made['id']}"
    await store_api.put(one, json={"billingPerson": {"city": "Nelson"}})
    totals = [
        (await store_api.get("customers", params=params)).json()["total"]
        for params in ({"keyword": "nelson"}, {"email": "a@b"}, {"name": "zoe"})
    ]
    assert totals == [1, 1, 0]
    assert (await store_api.delete(one)).json() == {"deleteCount": 1}
    assert (await store_api.get(one)).status_code == 404


async def test_shipping_options_are_a_bare_array(store_api: httpx.AsyncClient) -> None:
    path = "profile/shippingOptions"
    before = (await store_api.get(path)).json()
    assert [o["title"] for o in before if o.get("locationId")] == [
        "Pickup at Main",
        "Pickup at Harbour",
    ]
    body = {"title": "Boat", "fulfilmentType": "delivery", "orderBy": 5}
    made = (await store_api.post(path, json=body)).json()["id"]
    change = {"enabled": False, "locationId": shop.OUTLET_HARBOUR_ID}
    await store_api.put(f"{path}/{made}", json=change)
    boat = (await store_api.get(f"{path}/{made}")).json()
    assert (boat["orderby"], boat["enabled"], boat["locationId"]) == (
        5,
        False,
        shop.OUTLET_HARBOUR_ID,
    )
    await store_api.put(f"{path}/{made}", json={"locationId": None})
    assert "locationId" not in (await store_api.get(f"{path}/{made}")).json()
    profile = (await store_api.get("profile")).json()
    assert [o["title"] for o in profile["shippingOptions"]][:2] == ["Courier", "Boat"]
    assert (await store_api.delete(f"{path}/{made}")).json() == {"deleteCount": 1}
    assert (await store_api.get(path)).json() == before


async def test_the_profile_is_changed_in_part(store_api: httpx.AsyncClient) -> None:
    change = {"settings": {"hideOutOfStockProductsInStorefront": True}}
    assert (await store_api.put("profile", json=change)).json() == {"updateCount": 1}
    profile = (await store_api.get("profile")).json()
    assert profile["settings"]["hideOutOfStockProductsInStorefront"] is True
    assert profile["settings"]["storeName"] == shop.SHOP_NAME
    assert profile["formatsAndUnits"]["weightUnit"] == "KILOGRAM"
    assert profile["generalInfo"]["storeId"] == 1003
