"""`/products` and what lies below it: combinations, stock deltas, images."""

import json
from copy import deepcopy

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.ecwid.catalog import Catalog
from gateway.sandbox.ecwid.catalog_fields import COMBINATION, PRODUCT
from gateway.sandbox.ecwid.item_stock import change_stock, has_stock
from gateway.sandbox.ecwid.listing import (
    TIME_FILTERS,
    Filter,
    answer,
    any_of,
    equals,
    flagged,
    listing,
    number,
)
from gateway.sandbox.ecwid.store import Store, wrong_parameter
from gateway.sandbox.values import (
    FieldError,
    Row,
    json_object,
    list_of,
    mapping,
    read,
    whole,
)

SORTINGS = {
    "NAME": lambda row: row["name"].lower(),
    "PRICE": lambda row: row["price"],
    "UPDATED_TIME": lambda row: row["updateTimestamp"],
    "ADDED_TIME": lambda row: row["createTimestamp"],
}
"""`sortBy` without its `_ASC` or `_DESC` to the key; other values keep the order of making."""


class Products:
    """Products and combinations over HTTP."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base."""
        one = "/products/{product_id:int}"
        variations = f"{one}/combinations"
        variation = f"{variations}/{{combination_id:int}}"
        return [
            Route("/products", self._search, methods=["GET"]),
            Route("/products", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._update, methods=["PUT"]),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/inventory", self._adjust, methods=["PUT"]),
            Route(variations, self._list_combinations, methods=["GET"]),
            Route(variations, self._create_combination, methods=["POST"]),
            Route(variations, self._delete_combinations, methods=["DELETE"]),
            Route(variation, self._get_combination, methods=["GET"]),
            Route(variation, self._update_combination, methods=["PUT"]),
            Route(variation, self._delete_combination, methods=["DELETE"]),
            Route(f"{variation}/inventory", self._adjust_combination, methods=["PUT"]),
        ]

    async def _search(self, request: Request) -> Response:
        rows = list(self._store.rows("products"))
        name, _, direction = request.query_params.get("sortBy", "").rpartition("_")
        if name in SORTINGS:
            rows.sort(key=SORTINGS[name], reverse=direction == "DESC")
        return listing(request, rows, FILTERS, self._catalog.view)

    async def _create(self, request: Request) -> Response:
        body = await json_object(request)
        if not body.get("name"):
            raise wrong_parameter("name is required")
        combinations = _combinations(request, body) or []
        product = self._catalog.create(read(body, PRODUCT), combinations)
        return JSONResponse({"id": product["id"]})

    async def _get(self, request: Request) -> Response:
        return answer(request, self._catalog.view(self._product(request)))

    async def _update(self, request: Request) -> Response:
        body = await json_object(request)
        combinations = _combinations(request, body)
        self._catalog.update(self._product(request), read(body, PRODUCT), combinations)
        return JSONResponse({"updateCount": 1})

    async def _delete(self, request: Request) -> Response:
        self._catalog.delete(self._product(request))
        return JSONResponse({"deleteCount": 1})

    async def _adjust(self, request: Request) -> Response:
        # A copy, so that a refused change leaves nothing behind.
        product = deepcopy(self._product(request))
        return self._adjusted(product, product, await _delta(request))

    async def _list_combinations(self, request: Request) -> Response:
        product = self._product(request)
        views = [self._catalog.combination_view(product, c) for c in product["combinations"]]
        return answer(request, views)

    async def _create_combination(self, request: Request) -> Response:
        fields = read(await json_object(request), COMBINATION)
        if not fields.get("options"):
            raise wrong_parameter("options is required")
        made = self._catalog.write_combination(self._product(request), None, fields)
        return JSONResponse({"id": made["id"]})

    async def _get_combination(self, request: Request) -> Response:
        product, combination = self._combination(request)
        return answer(request, self._catalog.combination_view(product, combination))

    async def _update_combination(self, request: Request) -> Response:
        fields = read(await json_object(request), COMBINATION)
        self._catalog.write_combination(*self._combination(request), fields)
        return JSONResponse({"updateCount": 1})

    async def _delete_combination(self, request: Request) -> Response:
        product, combination = self._combination(request)
        rest = [c for c in product["combinations"] if c is not combination]
        self._catalog.save({**product, "combinations": rest})
        return JSONResponse({"deleteCount": 1})

    async def _delete_combinations(self, request: Request) -> Response:
        product = self._product(request)
        self._catalog.save({**product, "combinations": []})
        return JSONResponse({"deleteCount": len(product["combinations"])})

    async def _adjust_combination(self, request: Request) -> Response:
        product = deepcopy(self._product(request))
        item = self._catalog.combination(product, request.path_params["combination_id"])
        return self._adjusted(product, item, await _delta(request))

    def _adjusted(self, product: Row, item: Row, delta: int) -> Response:
        """Adds to the stock of a product or of one of its combinations."""
        if not change_stock(item, delta):
            return JSONResponse({"updateCount": 0})
        self._catalog.save(product)
        body: Row = {"updateCount": 1}
        if item["quantity"] < 0:
            body["warning"] = f"The stock is now negative: {item['quantity']}"
        return JSONResponse(body)

    def _product(self, request: Request) -> Row:
        return self._store.get("products", request.path_params["product_id"])

    def _combination(self, request: Request) -> tuple[Row, Row]:
        product = self._product(request)
        combination_id = request.path_params["combination_id"]
        return product, self._catalog.combination(product, combination_id)


def _combinations(request: Request, body: Row) -> list[Row] | None:
    """The combinations of a body, which count with `?saveCombinations=true` only."""
    if request.query_params.get("saveCombinations", "").lower() != "true":
        return None
    found = read(body, {"combinations": list_of(mapping)}).get("combinations")
    return list(found) if found is not None else None


async def _delta(request: Request) -> int:
    fields = read(await json_object(request), {"quantityDelta": whole})
    if "quantityDelta" not in fields:
        raise FieldError({"quantityDelta": "is required"})
    return int(fields["quantityDelta"])


def _keyword(row: Row, text: str) -> bool:
    names = [row["name"], row["sku"], row["description"]]
    names += [c.get("sku", "") for c in row["combinations"]]
    return text.lower() in json.dumps(names, ensure_ascii=False).lower()


def _in_stock(row: Row) -> bool:
    return any(map(has_stock, (row, *row["combinations"])))


def _sku(row: Row, text: str) -> bool:
    return text in [row["sku"], *(c.get("sku") for c in row["combinations"])]


def _category(row: Row, text: str) -> bool:
    return bool({part.strip() for part in text.split(",")} & set(map(str, row["categoryIds"])))


FILTERS: dict[str, Filter] = {
    **TIME_FILTERS,
    "productId": any_of("id"),
    "sku": _sku,
    "keyword": _keyword,
    # Products only: the ids of variations are not searched.
    "externalReferenceId": equals("externalReferenceId"),
    "category": _category,
    "categories": _category,
    "enabled": flagged("enabled"),
    "inStock": lambda row, text: _in_stock(row) is (text.lower() == "true"),
    "inventory": lambda row, text: _in_stock(row) is (text == "instock"),
    "onsale": lambda row, text: ("compareToPrice" in row) is (text == "onsale"),
    "priceFrom": lambda row, text: bool(row["price"] >= number(text)),
    "priceTo": lambda row, text: bool(row["price"] <= number(text)),
    "visibleInStorefront": lambda row, text: row["enabled"] is (text.lower() == "true"),
}
"""Search parameters of `GET /products`."""
