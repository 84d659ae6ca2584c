"""The state of the simulated account: tables of rows under one growing version number."""

from collections.abc import Callable, Iterator
from typing import Any

from gateway.sandbox.simulator import ApiError
from gateway.sandbox.values import Clock, Kind, Row

TABLES = (
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
    "customers",
    "products",
    "inventory",
    "sales",
    "fulfillments",
    "stock_adjustments",
    "webhooks",
)

Emit = Callable[[str, Row], None]
"""Tells the outside that a row of the named webhook type has changed."""


class Retailer:
    """Rows by table and id. Each write gives the row the next version of the account.

    A table's rows stand in the order of their versions, because a row that is written moves to
    the end; paging by version is therefore a walk through the table.

    Attributes:
        tables: table name to rows by id.
        sale_stock: sale id to what that sale holds of the stock, see `stock.py`.
        line_outlets: sale line id to the outlet that fulfills it, where that is not the sale's.
        version: the number given out last.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        changed: Callable[[], None],
        emit: Emit,
    ) -> None:
        self.new_id = new_id
        self._clock = clock
        self._changed = changed
        self._emit = emit
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in TABLES}
        self.sale_stock: dict[str, Row] = {}
        self.line_outlets: dict[str, str] = {}
        self.version = self._version_floor()

    def put(self, table: str, row: Row) -> Row:
        """Writes a row (which carries its `id`) under the next version and returns it."""
        row["version"] = self.stamp()
        rows = self.tables[table]
        rows.pop(row["id"], None)
        rows[row["id"]] = row
        self._changed()
        return row

    def stamp(self) -> int:
        """Takes the next version."""
        self.version += 1
        return self.version

    def add(self, table: str, row: Row) -> Row:
        """Writes a new row; an `id` is made where it has none."""
        return self.put(table, {"id": self.new_id(), **row, "deleted_at": None})

    def remove(self, table: str, row: Row) -> None:
        """Marks a row as deleted; lists show it with `deleted=true` only."""
        row["deleted_at"] = self.now()
        self.put(table, row)

    def find(self, table: str, row_id: Any) -> Row | None:
        """The row with this id, deleted ones included, or None."""
        return self.tables[table].get(row_id) if isinstance(row_id, str) else None

    def get(self, table: str, row_id: str) -> Row:
        """The row with this id, deleted ones included.

        Raises:
            ApiError: 404 when there is none.
        """
        row = self.find(table, row_id)
        if row is None:
            raise not_found(f"{table}/{row_id}")
        return row

    def live(self, table: str) -> Iterator[Row]:
        """The rows that are not deleted, oldest version first."""
        return (row for row in self.tables[table].values() if row["deleted_at"] is None)

    def named(self, table: str, name: str) -> Row:
        """The live row with this name, made if there is none (0.9 writes brands so)."""
        found = next((row for row in self.live(table) if row["name"] == name), None)
        return found or self.add(table, {"name": name})

    def emit(self, event_type: str, row: Row) -> None:
        """Fires a webhook event about a row as it is now."""
        self._emit(event_type, row)

    def now(self) -> str:
        """The present time as the API writes it, such as `2026-07-04T07:22:09+00:00`."""
        return self._clock().isoformat(timespec="seconds")

    def reference(self, table: str, *, deleted_too: bool = False) -> Kind:
        """A field kind: the id of a row of the table, by default one that is not deleted."""

        def check(value: Any) -> Any:
            row = self.find(table, value)
            if row is None or (row["deleted_at"] is not None and not deleted_too):
                raise ValueError(f"is not the id of one of the {table.replace('_', ' ')}")
            return value

        return check

    def snapshot(self) -> Row:
        """Everything, as one JSON object."""
        return {
            "version": self.version,
            "tables": self.tables,
            "sale_stock": self.sale_stock,
            "line_outlets": self.line_outlets,
        }

    def restore(self, state: Row) -> None:
        """Takes back a snapshot; versions go on above both the saved one and the clock."""
        self.tables = {name: state["tables"].get(name, {}) for name in TABLES}
        self.sale_stock = {
            # Older files know one outlet for each sale.
            sale_id: {held["outlet_id"]: held["taken"]} if "outlet_id" in held else held
            for sale_id, held in state["sale_stock"].items()
        }
        self.line_outlets = state.get("line_outlets", {})
        self.version = max(state["version"], self._version_floor())

    def _version_floor(self) -> int:
        # Unix milliseconds: an account that starts again from nothing never goes backwards.
        return int(self._clock().timestamp() * 1000)


def refusal(status: int, detail: str) -> ApiError:
    """The platform's answer for a call it cannot serve."""
    return ApiError(status, {"error": detail})


def not_found(what: str) -> ApiError:
    """The platform's answer for an id it does not know."""
    return refusal(404, f"{what} does not exist")
