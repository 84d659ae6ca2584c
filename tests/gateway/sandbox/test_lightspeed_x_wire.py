"""The simulated POS answers in the shapes that the platform publishes."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.sandbox import shop
from tests.gateway.sandbox.swagger import Swagger

# The documented examples themselves show these where their own schema says otherwise.
KNOWN_DEPARTURES = (
    "product_codes[].type",  # written in capitals, read in small letters
    ".customer_id: null",  # a sale without customer
    ".source_id: null",  # a sale of a till
)


@pytest.fixture
def swagger(data: Path) -> Swagger:
    return Swagger(data / "lightspeed-x" / "api-2.0.swagger.json")


def sale_body(**changes: Any) -> dict[str, Any]:
    line = {"product_id": shop.product_id("MUG"), "quantity": 2, "price": 20, "tax": 3}
    payment = {"retailer_payment_type_id": shop.PAYMENT_CASH_ID, "amount": 46}
    return {
        "register_id": shop.REGISTER_ONLINE_ID,
        "status": "CLOSED",
        "register_sale_products": [line],
        "register_sale_payments": [payment],
        **changes,
    }


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("outlets", "OutletCollection"),
        ("registers", "RegisterCollection"),
        ("products", "ProductCollection"),
        ("inventory", "InventoryCollection"),
        ("customers", "CustomerCollection"),
        ("payment_types", "PaymentTypeCollection"),
        ("taxes", "TaxCollection"),
        ("tags", "TagCollection"),
        ("brands", "BrandCollection"),
        ("suppliers", "SupplierCollection"),
        ("product_types", "ProductTypeCollection"),
        ("users", "UserCollection"),
        ("sales", "SaleCollection"),
    ],
)
async def test_lists_follow_the_published_schema(
    pos_api: httpx.AsyncClient, swagger: Swagger, path: str, schema: str
) -> None:
    await pos_api.post("/api/register_sales", json=sale_body())
    body = (await pos_api.get(f"/api/2.0/{path}", params={"page_size": 500})).json()
    complaints = swagger.complaints(schema, body)
    unexpected = [c for c in complaints if not any(known in c for known in KNOWN_DEPARTURES)]
    assert unexpected == []
    assert body["data"]
    assert {"min", "max"} == set(body["version"])


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (f"products/{shop.product_id('MUG')}", "ProductResponse"),
        (f"customers/{shop.CUSTOMER_TOM_ID}", "CustomerResponse"),
        (f"outlets/{shop.OUTLET_MAIN_ID}", "OutletResponse"),
        (f"registers/{shop.REGISTER_MAIN_ID}", "RegisterResponse"),
    ],
)
async def test_single_entities_follow_the_published_schema(
    pos_api: httpx.AsyncClient, swagger: Swagger, path: str, schema: str
) -> None:
    body = (await pos_api.get(f"/api/2.0/{path}")).json()
    complaints = swagger.complaints(schema, body)
    assert [c for c in complaints if not any(known in c for known in KNOWN_DEPARTURES)] == []


async def test_a_sale_shows_what_the_schema_requires_and_both_spellings(
    pos_api: httpx.AsyncClient, swagger: Swagger
) -> None:
    charges = [{"name": "Shipping", "source_id": "ship", "total": 5, "total_tax": 0.75}]
    posted = await pos_api.post("/api/register_sales", json=sale_body(ecom_custom_charges=charges))
    sale_id = posted.json()["register_sale"]["id"]
    sale = (await pos_api.get(f"/api/2.0/sales/{sale_id}")).json()["data"]
    line = sale["line_items"][0]
    assert (line["price"], line["unit_price"]) == (20, 20)
    assert (line["price_total"], line["total_price"]) == (40, 40)
    assert (sale["total_price"], sale["total_tax"]) == (45, 6.75)
    assert sale["ecom_custom_charges"]["total_incl"] == 5.75
    charge = sale["ecom_custom_charges"]["charges"][0]
    assert set(swagger.required("EcomCustomCharge")) <= set(charge)


async def test_a_call_without_token_or_user_agent_is_refused(
    pos_server: Any, pos_api: httpx.AsyncClient
) -> None:
    async with httpx.AsyncClient(base_url=pos_server.url) as stranger:
        assert (await stranger.get("/api/2.0/outlets")).status_code == 401
    assert (await pos_api.get("/api/2.0/outlets", headers={"User-Agent": ""})).status_code == 400


async def test_every_answer_tells_the_rate_limit(pos_api: httpx.AsyncClient) -> None:
    first = await pos_api.get("/api/2.0/outlets")
    second = await pos_api.get("/api/2.0/outlets")
    assert first.headers["X-RateLimit-Limit"] == "950"
    assert [r.headers["X-RateLimit-Remaining"] for r in (first, second)] == ["949", "948"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/2.0/products/nope", 404),
        ("GET", "/api/2.0/nothing", 404),
        ("DELETE", "/api/2.0/outlets", 405),
        ("GET", "/api/2.0/products?after=soon", 400),
        ("GET", "/api/2.0/search?type=planets", 400),
    ],
)
async def test_errors_have_the_platforms_body(
    pos_api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await pos_api.request(method, path)
    assert (status, ["error"]) == (response.status_code, list(response.json()))


async def test_field_errors_name_the_fields(pos_api: httpx.AsyncClient) -> None:
    response = await pos_api.post("/api/2.0/customers", json={"email": 5, "enable_loyalty": "so"})
    assert response.status_code == 422
    assert {"email", "enable_loyalty"} == set(response.json()["errors"])
    assert (await pos_api.post("/api/2.0/customers", content=b"{")).status_code == 422
