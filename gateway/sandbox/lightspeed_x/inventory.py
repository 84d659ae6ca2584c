"""Levels as the API shows them, and stock adjustments (API 2026-07)."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.paging import page
from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.simulator import created
from gateway.sandbox.values import (
    FieldError,
    Row,
    json_object,
    list_of,
    number,
    one_of,
    read,
    record_of,
    text,
)

ADJUSTMENTS_MAX = 1000
"""Rows per call."""

REASONS = (
    "DAMAGE",
    "EXPIRY",
    "INTERNAL_USE",
    "THEFT",
    "DONATION",
    "STOCK_FOUND",
    "SAMPLE_FOR_SALE",
    "CUSTOM",
)


class Inventory:
    """`/api/2.0/inventory` and `/api/2026-07/stock_adjustments`."""

    def __init__(self, retailer: Retailer, stock: Stock) -> None:
        self._retailer = retailer
        self._stock = stock
        row = record_of(
            {
                "product_id": retailer.reference("products"),
                "outlet_id": retailer.reference("outlets"),
                "quantity": decimal_text,
                "reason": one_of(*REASONS),
                "custom_inventory_adjustment_reason_id": text,
            },
            required=("product_id", "outlet_id", "quantity", "reason"),
        )
        self._adjustments = {"stock_adjustments": list_of(row)}

    def routes(self) -> list[BaseRoute]:
        """Where levels are read and adjusted."""
        return [
            Route("/api/2.0/inventory", self._list, methods=["GET"]),
            Route("/api/2026-07/stock_adjustments", self._adjust, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        rows = self._retailer.tables["inventory"].values()
        return JSONResponse(page(rows, request.query_params))

    async def _adjust(self, request: Request) -> Response:
        """Adds to levels; all rows or none, as they are checked before the first one moves."""
        rows = read(await json_object(request), self._adjustments).get("stock_adjustments", [])
        if not 1 <= len(rows) <= ADJUSTMENTS_MAX:
            raise FieldError({"stock_adjustments": f"must have 1 to {ADJUSTMENTS_MAX} rows"})
        for row in rows:
            custom = "custom_inventory_adjustment_reason_id" in row
            if custom != (row["reason"] == "CUSTOM"):
                raise FieldError({"custom_inventory_adjustment_reason_id": "goes with CUSTOM only"})
        return created({"data": [self._apply(row) for row in rows]})

    def _apply(self, row: Row) -> Row:
        now = self._retailer.now()
        adjustment = self._retailer.add(
            "stock_adjustments",
            {**row, "user_id": shop.USER_ID, "created_at": now, "updated_at": now},
        )
        self._stock.change_level(row["product_id"], row["outlet_id"], number(row["quantity"]))
        return {k: v for k, v in adjustment.items() if k != "deleted_at"}


def decimal_text(value: object) -> str:
    """A field kind: a signed decimal number as text, such as `-3` or `7.5`."""
    if not isinstance(value, str) or not re.fullmatch(r"[+-]?\d{1,26}(\.\d{1,5})?", value):
        raise ValueError('must be a numeric string, such as "-3"')
    return value
