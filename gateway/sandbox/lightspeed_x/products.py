"""Products as API 2.0 shows them."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.paging import envelope, page
from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.values import Row

PLACEHOLDER_IMAGE = "https://images.saltmarsh.example/placeholder.png"

IMAGE_SIZES = {
    "ss": 50,
    "sm": 100,
    "sl": 150,
    "thumb": 160,
    "standard": 350,
    "original": 1920,
}
"""Name of an image size to its edge in pixels."""

NEW_PRODUCT: Row = {
    "description": "",
    "source": "USER",
    "source_id": None,
    "source_variant_id": None,
    "active": True,
    "has_inventory": True,
    "is_composite": False,
    "composite_bom": [],
    "has_variants": False,
    "variant_parent_id": None,
    "variant_options": [],
    "supply_price": 0,
    "price_excluding_tax": 0,
    "price_including_tax": 0,
    "brand_id": None,
    "supplier_id": None,
    "supplier_code": None,
    "product_type_id": None,
    "tag_ids": [],
    "product_codes": [],
    "product_suppliers": [],
    "images": [],
    "account_code": None,
    "account_code_purchase": None,
    "attributes": [],
    "button_order": 0,
    "loyalty_amount": None,
    "weight": 0,
    "weight_unit": "KG",
    "length": 0,
    "width": 0,
    "height": 0,
    "dimensions_unit": "CM",
}
"""What a product is before anything is said about it."""


class Products:
    """The read side: `/api/2.0/products` and its inventory."""

    def __init__(self, retailer: Retailer, stock: Stock) -> None:
        self._retailer = retailer
        self._stock = stock

    def routes(self) -> list[BaseRoute]:
        """Where products are read."""
        return [
            Route("/api/2.0/products", self._list, methods=["GET"]),
            Route("/api/2.0/products/{product_id}", self._get, methods=["GET"]),
            Route("/api/2.0/products/{product_id}/inventory", self._inventory, methods=["GET"]),
        ]

    def view(self, row: Row) -> Row:
        """The product on the wire: the stored row with its references spelled out."""
        retailer = self._retailer
        images = [_image(image) for image in row["images"]]
        kind = retailer.find("product_types", row["product_type_id"])
        return {
            **row,
            "is_active": row["active"],
            "product_category_id": row["product_type_id"],
            "type": _type(kind) if kind else {},
            "brand": _named(retailer.find("brands", row["brand_id"])),
            "supplier": _named(retailer.find("suppliers", row["supplier_id"])),
            "categories": [_named(retailer.find("tags", tag_id)) for tag_id in row["tag_ids"]],
            # Written in capitals, read in small letters: so does the platform.
            "product_codes": [{**c, "type": c["type"].lower()} for c in row["product_codes"]],
            "images": images,
            "image_url": images[0]["sizes"]["standard"] if images else PLACEHOLDER_IMAGE,
            "image_thumbnail_url": images[0]["sizes"]["thumb"] if images else PLACEHOLDER_IMAGE,
        }

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        rows = self._retailer.tables["products"].values()
        wanted = (
            row
            for row in rows
            if query.get("sku") in (None, row["sku"])
            and query.get("name") in (None, row["name"], row["variant_name"])
            and query.get("family_name") in (None, row["name"])
        )
        return JSONResponse(page(wanted, query, self.view))

    async def _get(self, request: Request) -> Response:
        row = self._retailer.get("products", request.path_params["product_id"])
        return JSONResponse({"data": self.view(row)})

    async def _inventory(self, request: Request) -> Response:
        row = self._retailer.get("products", request.path_params["product_id"])
        return JSONResponse(envelope(self._stock.rows(row["id"])))


def full_name(row: Row) -> str:
    """The name of one variant, such as `Tee / S / Navy`."""
    return " / ".join([row["name"], *(option["value"] for option in row["variant_options"])])


def _named(row: Row | None) -> Row:
    if row is None:
        return {}
    return {key: row[key] for key in ("id", "name", "deleted_at", "version")}


def _type(row: Row) -> Row:
    path = [{"id": row["id"], "name": row["name"]}]
    return {**_named(row), "leaf_category": True, "category_path": path}


def _image(image: Row) -> Row:
    base = image["url"]
    sizes = {name: f"{base}?width={edge}" for name, edge in IMAGE_SIZES.items()}
    return {**image, "sizes": {**sizes, "original": base}}
