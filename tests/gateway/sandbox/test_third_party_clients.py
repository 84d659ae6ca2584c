"""Clients that other people wrote for the real platforms talk to the simulators unchanged."""

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from lightspeed_x import LightspeedX as LightspeedXClient
from pyecwid import Ecwid as EcwidClient

from gateway.sandbox import shop
from gateway.sandbox.server import SandboxServer
from tests.gateway.sandbox.conftest import POS_TOKEN, STORE_TOKEN


@pytest.fixture
async def ecwid_client(store_server: SandboxServer) -> EcwidClient:
    base_url = f"{store_server.url}/api/v3/{{0}}/"
    # It fetches the profile at once, and it blocks.
    return await asyncio.to_thread(EcwidClient, STORE_TOKEN, 1003, base_url=base_url)


class _ToSandbox(httpx.HTTPTransport):
    """Sends what is meant for the platform's own host to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._target = httpx.URL(url)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == f"{shop.DOMAIN_PREFIX}.vendhq.com"
        request.url = request.url.copy_with(
            scheme="http", host=self._target.host, port=self._target.port
        )
        return super().handle_request(request)


@pytest.fixture
def lightspeed_client(pos_server: SandboxServer) -> Iterator[LightspeedXClient]:
    client = LightspeedXClient(POS_TOKEN, shop.DOMAIN_PREFIX)
    headers = {"Authorization": f"Bearer {POS_TOKEN}"}
    with httpx.Client(headers=headers, transport=_ToSandbox(pos_server.url)) as rerouted:
        # The client's address is fixed in its code: this is the only thing that is patched.
        client._client = rerouted  # noqa: SLF001 - see above
        yield client


async def test_pyecwid_lists_gets_creates_updates_and_deletes(ecwid_client: EcwidClient) -> None:
    def story() -> None:
        products = ecwid_client.products
        mug = products.add({"name": "Mug", "sku": "MUG", "price": 23, "quantity": 4})
        assert products.get_by_id(mug)["sku"] == "MUG"
        assert products.update(mug, {"quantity": 9}).json() == {"updateCount": 1}
        assert [(p["id"], p["quantity"]) for p in products.get()] == [(mug, 9)]
        assert [p["id"] for p in products.get_by_keyword("mug")] == [mug]
        orders = ecwid_client.orders
        order = {"subtotal": 46, "total": 46, "email": "jo@example.com"}
        orders.add({**order, "items": [{"productId": mug, "quantity": 2}]})
        (found,) = orders.get_by_params({"email": "jo@example.com"})
        assert found["items"][0]["sku"] == "MUG"
        assert products.get_by_id(mug)["quantity"] == 7
        customers = ecwid_client.customers
        (customer,) = customers.get_by_email("jo@example.com")
        customers.update(customer["id"], {"name": "Jo"})
        assert customers.get_by_id(customer["id"])["name"] == "Jo"
        assert products.delete(mug) == 1
        with pytest.raises(Exception, match="404"):
            products.get_by_id(mug)

    await asyncio.to_thread(story)


async def test_pyecwid_pages_through_more_than_a_hundred(ecwid_client: EcwidClient) -> None:
    def story() -> None:
        for number in range(101):
            ecwid_client.customers.add({"email": f"{number}@example.com"})
        assert len(ecwid_client.customers.get()) == 101

    await asyncio.to_thread(story)


async def test_lightspeed_x_lists_gets_creates_and_updates(
    lightspeed_client: LightspeedXClient,
) -> None:
    def story() -> None:
        client = lightspeed_client
        assert [o["name"] for o in client.get("outlets")["data"]] == ["Main", "Harbour"]
        mug = f"products/{shop.product_id('MUG')}"
        assert client.get(mug)["data"]["sku"] == "MUG"
        made: dict[str, Any] = client.post("customers", data={"first_name": "Ana"})["data"]
        client.put(f"customers/{made['id']}", data={"last_name": "Ray"})
        assert client.get(f"customers/{made['id']}")["data"]["name"] == "Ana Ray"
        level = {"outlet_id": shop.OUTLET_MAIN_ID, "current_amount": 3}
        client.put(mug, data={"details": {"inventory": [level]}}, api_version="2.1")
        levels = client.get(f"{mug}/inventory")["data"]
        assert [row["inventory_level"] for row in levels] == [5, 3]
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            client.get("products/nope")

    await asyncio.to_thread(story)


async def test_lightspeed_x_posts_a_sale_with_the_old_version(
    lightspeed_client: LightspeedXClient,
) -> None:
    body = {
        "register_id": shop.REGISTER_ONLINE_ID,
        "status": "AWAITING_PICKUP",
        "register_sale_products": [
            {"product_id": shop.product_id("MUG"), "quantity": 1, "price": 20, "tax": 3}
        ],
    }

    def story() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sale = lightspeed_client.post("register_sales", data=body, api_version="0.9")
        shown = lightspeed_client.get(f"sales/{sale['register_sale']['id']}")["data"]
        assert (shown["state"], shown["total_price"]) == ("pending", 20)

    await asyncio.to_thread(story)
