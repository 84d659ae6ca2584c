"""The state of the simulated store: rows by table and id, and the events their changes fire."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.sandbox.simulator import ApiError
from gateway.sandbox.values import Clock, Row

TABLES = ("products", "orders", "customers", "categories", "shipping_options")

FIRST_ID = 500_000_000
"""Ids look like those of a store in a busy shard; all kinds share one counter."""

Fire = Callable[[str, Any, Row | None], None]
"""Fires a webhook: event type, entity id, and `data` where the event has any."""


class Store:
    """Rows of the store by table and id (as text, so that they survive JSON).

    Attributes:
        tables: table name to rows by id.
        deleted: table name to `{"id", "date"}` of what was deleted.
        order_stock: order id to the units that the order holds, see `order_stock.py`.
        profile: what was changed in the store profile.
    """

    def __init__(self, *, clock: Clock, changed: Callable[[], None], fire: Fire) -> None:
        self._clock = clock
        self._changed = changed
        self._fire = fire
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in TABLES}
        self.deleted: dict[str, list[Row]] = {name: [] for name in TABLES}
        self.order_stock: dict[str, list[Row]] = {}
        self.profile: Row = {}
        self._last_id = FIRST_ID

    def next_id(self) -> int:
        """A number no other entity of the store has."""
        self._last_id += 1
        return self._last_id

    def add(self, table: str, row: Row) -> Row:
        """Writes a new row; it is given its timestamps."""
        now = self.now()
        row.setdefault("createTimestamp", now)
        return self.put(table, row)

    def put(self, table: str, row: Row) -> Row:
        """Writes a row and stamps the time of the change."""
        row["updateTimestamp"] = self.now()
        self.tables[table][str(row["id"])] = row
        self._changed()
        return row

    def remove(self, table: str, row: Row) -> None:
        """Deletes a row and leaves a tombstone."""
        del self.tables[table][str(row["id"])]
        self.deleted[table].append({"id": row["id"], "date": date_text(self.now())})
        self._changed()

    def rows(self, table: str) -> Iterator[Row]:
        """All rows, in the order in which they were made."""
        return iter(self.tables[table].values())

    def find(self, table: str, row_id: Any) -> Row | None:
        """The row with this id, or None."""
        return self.tables[table].get(str(row_id))

    def get(self, table: str, row_id: Any) -> Row:
        """The row with this id.

        Raises:
            ApiError: 404 with the error code of this kind of entity.
        """
        row = self.find(table, row_id)
        if row is None:
            raise not_found(table)
        return row

    def fire(self, event_type: str, entity_id: Any, data: Row | None = None) -> None:
        """Fires a webhook event."""
        self._fire(event_type, entity_id, data)

    def now(self) -> int:
        """The present time in unix seconds."""
        return int(self._clock().timestamp())

    def snapshot(self) -> Row:
        """Everything, as one JSON object."""
        return {
            "tables": self.tables,
            "deleted": self.deleted,
            "order_stock": self.order_stock,
            "profile": self.profile,
            "last_id": self._last_id,
        }

    def restore(self, state: Row) -> None:
        """Takes back a snapshot."""
        self.tables = {name: state["tables"].get(name, {}) for name in TABLES}
        self.deleted = {name: state["deleted"].get(name, []) for name in TABLES}
        self.order_stock = state["order_stock"]
        self.profile = state["profile"]
        self._last_id = state["last_id"]


_NOT_FOUND = {
    "products": ("PRODUCT_NOT_FOUND", "Product not found"),
    "combinations": ("COMBINATION_NOT_FOUND", "Product variation not found"),
    "orders": ("ORDER_NOT_FOUND", "Order not found"),
    # The documented list has no code of its own for customers.
    "customers": ("CUSTOMER_NOT_FOUND", "Customer not found"),
    "categories": ("CATEGORIES_NOT_FOUND", "Category not found"),
    "shipping_options": ("SHIPPING_NOT_FOUND", "Shipping option not found"),
    "images": ("IMAGE_NOT_FOUND", "Image not found"),
}


def refusal(status: int, code: str, message: str) -> ApiError:
    """The store's error body, with its code."""
    return ApiError(status, {"errorMessage": message, "errorCode": code})


def wrong_parameter(message: str) -> ApiError:
    """The store's answer to input that it does not understand."""
    return refusal(400, "WRONG_PARAMETER", message)


def not_found(kind: str) -> ApiError:
    """The store's answer for an id it does not know."""
    code, message = _NOT_FOUND[kind]
    return refusal(404, code, message)


def date_text(timestamp: int) -> str:
    """Unix seconds as the store writes them: `2026-07-04 07:22:09 +0000`."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S +0000")
