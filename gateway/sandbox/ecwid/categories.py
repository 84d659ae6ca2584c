"""`/categories`, as much of it as products need."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.ecwid.listing import TIME_FILTERS, Filter, answer, equals, listing
from gateway.sandbox.ecwid.store import Store, wrong_parameter
from gateway.sandbox.values import Kind, Row, flag, json_object, mapping, read, text, whole

FIELDS: dict[str, Kind] = {
    "name": text,
    "nameTranslated": mapping,
    "description": text,
    "parentId": whole,
    "enabled": flag,
    "orderBy": whole,
}

FILTERS: dict[str, Filter] = {
    **TIME_FILTERS,
    # 0 asks for the root categories, which have no parent.
    "parent": lambda row, text: str(row.get("parentId", 0)) == text,
    "keyword": lambda row, text: text.lower() in row["name"].lower(),
    "name": equals("name"),
}
"""Search parameters of `GET /categories`."""


class Categories:
    """Categories over HTTP."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base."""
        one = "/categories/{category_id:int}"
        return [
            Route("/categories", self._search, methods=["GET"]),
            Route("/categories", self._create, methods=["POST"]),
            Route(one, self._get, methods=["GET"]),
            Route(one, self._update, methods=["PUT"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]

    async def _search(self, request: Request) -> Response:
        return listing(request, self._store.rows("categories"), FILTERS, self._view)

    async def _create(self, request: Request) -> Response:
        fields = read(await json_object(request), FIELDS)
        if not fields.get("name"):
            raise wrong_parameter("name is required")
        row = {"description": "", "enabled": True, "orderBy": 0, **fields}
        row["id"] = self._store.next_id()
        self._store.add("categories", row)
        self._store.fire("category.created", row["id"])
        return JSONResponse({"id": row["id"]})

    async def _get(self, request: Request) -> Response:
        return answer(request, self._view(self._category(request)))

    async def _update(self, request: Request) -> Response:
        category = self._category(request)
        fields = read(await json_object(request), FIELDS)
        self._store.put("categories", {**category, **fields})
        self._store.fire("category.updated", category["id"])
        return JSONResponse({"updateCount": 1})

    async def _delete(self, request: Request) -> Response:
        category = self._category(request)
        self._store.remove("categories", category)
        self._store.fire("category.deleted", category["id"])
        return JSONResponse({"deleteCount": 1})

    def _category(self, request: Request) -> Row:
        return self._store.get("categories", request.path_params["category_id"])

    def _view(self, category: Row) -> Row:
        products = self._store.rows("products")
        count = sum(category["id"] in product["categoryIds"] for product in products)
        shown = {k: v for k, v in category.items() if not k.endswith("Timestamp")}
        return {**shown, "productCount": count}
