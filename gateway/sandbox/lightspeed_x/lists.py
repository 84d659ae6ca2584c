"""The small lists a client reads to find its way: outlets, registers, taxes and the like."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.paging import page
from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.simulator import created
from gateway.sandbox.values import FieldError, json_object, read, text

READABLE = (
    "outlets",
    "registers",
    "users",
    "taxes",
    "payment_types",
    "suppliers",
    "brands",
    "tags",
    "product_types",
    "variant_attributes",
)
"""Tables that are shown as they are stored."""

NAMEABLE = ("suppliers", "brands", "tags", "variant_attributes")
"""Tables whose rows are little more than a name, and can be added to."""

Handler = Callable[[Request], Awaitable[Response]]


class Lists:
    """`/api/2.0/{table}` and `/api/2.0/{table}/{id}`."""

    def __init__(self, retailer: Retailer) -> None:
        self._retailer = retailer

    def routes(self) -> list[BaseRoute]:
        """Where the lists are."""
        routes: list[BaseRoute] = []
        for table in READABLE:
            base = f"/api/2.0/{table}"
            routes.append(Route(base, self._list(table), methods=["GET"]))
            routes.append(Route(f"{base}/{{id}}", self._get(table), methods=["GET"]))
        creations = (
            Route(f"/api/2.0/{table}", self._create(table), methods=["POST"]) for table in NAMEABLE
        )
        return [*routes, *creations]

    def _list(self, table: str) -> Handler:
        async def handler(request: Request) -> Response:
            rows = self._retailer.tables[table].values()
            return JSONResponse(page(rows, request.query_params))

        return handler

    def _get(self, table: str) -> Handler:
        async def handler(request: Request) -> Response:
            return JSONResponse({"data": self._retailer.get(table, request.path_params["id"])})

        return handler

    def _create(self, table: str) -> Handler:
        async def handler(request: Request) -> Response:
            fields = read(await json_object(request), {"name": text, "description": text})
            if not fields.get("name"):
                raise FieldError({"name": "is required"})
            if any(row["name"] == fields["name"] for row in self._retailer.live(table)):
                raise FieldError({"name": "is already taken"})
            return created({"data": self._retailer.add(table, fields)})

        return handler
