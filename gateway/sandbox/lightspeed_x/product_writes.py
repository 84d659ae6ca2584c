"""Creating (2.0), changing (2.1 and later) and deleting products."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.product_editor import ProductEditor
from gateway.sandbox.lightspeed_x.product_fields import family_fields, handle_of, piece_fields
from gateway.sandbox.lightspeed_x.products import Products
from gateway.sandbox.lightspeed_x.retailer import Retailer, not_found
from gateway.sandbox.values import FieldError, Row, flag, json_object, list_of, mapping, read


class ProductWrites:
    """Products over HTTP, as today's clients write them."""

    def __init__(self, retailer: Retailer, editor: ProductEditor, products: Products) -> None:
        self._retailer = retailer
        self._editor = editor
        self._products = products
        self._family = family_fields(retailer)
        self._piece = piece_fields(retailer)

    def routes(self) -> list[BaseRoute]:
        """Where products are written."""
        return [
            Route("/api/2.0/products", self._create, methods=["POST"]),
            Route("/api/{version}/products/{product_id}", self._update, methods=["PUT"]),
            Route("/api/2.0/products/{product_id}", self._delete_one, methods=["DELETE"]),
            Route("/api/2.0/products/{product_id}/all", self._delete_all, methods=["DELETE"]),
        ]

    async def _create(self, request: Request) -> Response:
        body = await json_object(request)
        if not body.get("name"):
            raise FieldError({"name": "is required"})
        if body.get("composite"):
            raise FieldError({"composite": "composite products are not simulated"})
        kinds = {**self._family, **self._piece, "is_active": flag, "variants": list_of(mapping)}
        shared = read(body, kinds)
        pieces = [read(piece, self._piece) for piece in shared.pop("variants", [])] or [{}]
        handle = shared.setdefault("handle", handle_of(shared["name"]))
        if any(row["handle"] == handle for row in self._retailer.live("products")):
            raise FieldError({"handle": "is already taken"})
        self._editor.check_skus([{**shared, **piece} for piece in pieces])
        parent: Row | None = None
        ids: list[str] = []
        for piece in pieces:
            row = self._editor.add({**shared, **piece}, parent)
            parent = parent or row
            ids.append(row["id"])
        return JSONResponse({"data": ids})

    async def _update(self, request: Request) -> Response:
        version = request.path_params["version"]
        if version != "2.1" and not re.fullmatch(r"\d{4}-\d{2}", version):
            raise not_found(request.url.path)
        row = self._editor.live_product(request.path_params["product_id"])
        body = read(await json_object(request), {"common": mapping, "details": mapping})
        common = read(body.get("common", {}), self._family)
        kinds = {**self._piece, "is_active": flag, "variant_attribute_values": list_of(mapping)}
        details = read(_with_definitions(body.get("details", {})), kinds)
        self._editor.check_skus([details], besides=row)
        for member in self._editor.members(row):
            self._editor.change(member, {**common, **(details if member is row else {})})
        return JSONResponse({"data": self._products.view(row)})

    async def _delete_one(self, request: Request) -> Response:
        return self._deleted(request, family=False)

    async def _delete_all(self, request: Request) -> Response:
        return self._deleted(request, family=True)

    def _deleted(self, request: Request, *, family: bool) -> Response:
        row = self._editor.live_product(request.path_params["product_id"])
        self._editor.delete(row, family=family)
        return JSONResponse({"data": {"id": row["id"]}})


def _with_definitions(details: Row) -> Row:
    """Renames the newer `variant_attribute_values` to what creation calls it."""
    values = details.get("variant_attribute_values")
    return details if values is None else {**details, "variant_definitions": values}
