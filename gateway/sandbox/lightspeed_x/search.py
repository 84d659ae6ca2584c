"""`GET /api/2.0/search`: products, customers and sales by their documented attributes."""

from collections.abc import Callable

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.paging import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, integer
from gateway.sandbox.lightspeed_x.products import Products
from gateway.sandbox.lightspeed_x.retailer import Retailer, refusal
from gateway.sandbox.values import Row

ATTRIBUTES = {
    "products": (
        "sku",
        "supplier_id",
        "brand_id",
        "tag_id",
        "product_type_id",
        "variant_parent_id",
    ),
    "customers": (
        "customer_code",
        "email",
        "first_name",
        "last_name",
        "company_name",
        "mobile",
        "phone",
    ),
    "sales": ("status", "invoice_number", "customer_id", "user_id", "outlet_id"),
}
"""Type to the attributes that it can be searched by; `_id` goes with every type."""


class Search:
    """Exact matches, letter case aside; a leading `-` excludes; a repeated name is an or."""

    def __init__(self, retailer: Retailer, products: Products) -> None:
        self._retailer = retailer
        self._views: dict[str, Callable[[Row], Row]] = {"products": products.view}

    def routes(self) -> list[BaseRoute]:
        """Where one searches."""
        return [Route("/api/2.0/search", self._search, methods=["GET"])]

    async def _search(self, request: Request) -> Response:
        query = request.query_params
        table = query.get("type", "")
        if table not in ATTRIBUTES:
            raise refusal(400, f"type must be one of {', '.join(ATTRIBUTES)}")
        found = [row for row in self._rows(table, query) if _matches(row, table, query)]
        order_by = query.get("order_by")
        if order_by:
            backwards = query.get("order_direction") == "desc"
            found.sort(key=lambda row: str(row.get(order_by) or ""), reverse=backwards)
        offset = integer(query, "offset", 0)
        size = min(integer(query, "page_size", PAGE_SIZE_DEFAULT), PAGE_SIZE_MAX)
        view = self._views.get(table, dict)
        return JSONResponse({"data": [view(row) for row in found[offset : offset + size]]})

    def _rows(self, table: str, query: QueryParams) -> list[Row]:
        if query.get("deleted") in ("true", "1"):
            return list(self._retailer.tables[table].values())
        return list(self._retailer.live(table))


def _matches(row: Row, table: str, query: QueryParams) -> bool:
    for name in ("_id", *ATTRIBUTES[table]):
        values = _values(row, name)
        wanted = {value.lower() for value in query.getlist(name)}
        unwanted = {value.lower() for value in query.getlist(f"-{name}")}
        if (wanted and not wanted & values) or unwanted & values:
            return False
    return table != "sales" or _within_dates(row["sale_date"], query)


def _values(row: Row, name: str) -> set[str]:
    if name == "tag_id":
        return set(row["tag_ids"])
    value = row.get("id" if name == "_id" else name)
    return {str(value).lower()} if value else set()


def _within_dates(sale_date: str, query: QueryParams) -> bool:
    # All times are UTC and begin alike, down to the second, so text compares as time does.
    moment = sale_date[:19]
    latest = query.get("date_to") or moment
    return (query.get("date_from") or "")[:19] <= moment <= latest[:19]
