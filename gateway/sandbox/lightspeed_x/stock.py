"""Levels per product and outlet, and what each sale takes from them."""

from collections.abc import Mapping

from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.values import Row, tidy

Taken = dict[str, dict[str, float]]
"""Outlet id to product id to units; negative units came back."""


class Stock:
    """The inventory table: one row per tracked product and outlet."""

    def __init__(self, retailer: Retailer) -> None:
        self._retailer = retailer
        self._row_ids: dict[tuple[str, str], str] = {}
        self.reindex()

    def reindex(self) -> None:
        """Learns the rows anew, after the tables have been replaced."""
        rows = self._retailer.tables["inventory"].values()
        self._row_ids = {(row["product_id"], row["outlet_id"]): row["id"] for row in rows}

    def rows(self, product_id: str) -> list[Row]:
        """The rows of one product, in the order of their versions."""
        keys = ((product_id, outlet_id) for outlet_id in self._retailer.tables["outlets"])
        ids = (self._row_ids[key] for key in keys if key in self._row_ids)
        rows = [self._retailer.get("inventory", row_id) for row_id in ids]
        return sorted(rows, key=lambda row: int(row["version"]))

    def open_rows(self, product: Row) -> None:
        """Gives a tracked product a row at every outlet where it has none, at level 0."""
        if not product["has_inventory"]:
            return
        for outlet in self._retailer.live("outlets"):
            if (product["id"], outlet["id"]) not in self._row_ids:
                self.set_level(product, outlet["id"], 0)

    def set_level(
        self, product: Row, outlet_id: str, level: float, reorder: Row | None = None
    ) -> None:
        """Overwrites a level, as a count does, and fires `inventory.update`.

        Products that are not tracked have no levels: nothing happens.
        """
        if not product["has_inventory"]:
            return
        key = (product["id"], outlet_id)
        row = self._retailer.find("inventory", self._row_ids.get(key)) or {
            "id": self._retailer.new_id(),
            "product_id": product["id"],
            "outlet_id": outlet_id,
            "reorder_point": 0,
            "reorder_amount": 0,
        }
        amount = tidy(level)
        row.update(reorder or {}, inventory_level=amount, current_amount=amount)
        self._row_ids[key] = row["id"]
        self._retailer.emit("inventory.update", self._retailer.put("inventory", row))

    def change_level(self, product_id: str, outlet_id: str, delta: float) -> None:
        """Adds to a level, which may end below zero."""
        product = self._retailer.find("products", product_id)
        if product is not None and delta:
            self.set_level(product, outlet_id, self.level(product_id, outlet_id) + delta)

    def level(self, product_id: str, outlet_id: str) -> float:
        """Units on hand; 0 where nothing was ever counted."""
        row = self._retailer.find("inventory", self._row_ids.get((product_id, outlet_id)))
        return float(row["inventory_level"]) if row else 0.0

    def settle_sale(self, sale: Row, takes: bool) -> None:
        """Makes the stock reflect a sale exactly once, however often it is written.

        What the sale held before is compared with what it holds now, and only the difference
        moves. The sale has its version already, so a level that includes the sale always has
        a higher version than the sale.

        Args:
            sale: the sale as just written.
            takes: whether a sale of this status takes its lines from stock.
        """
        outlets = self._retailer.line_outlets
        before = self._retailer.sale_stock.get(sale["id"], {})
        after = taken(sale, outlets) if takes else {}
        self._retailer.sale_stock[sale["id"]] = after
        deltas: dict[tuple[str, str], float] = {}
        for held, sign in ((before, 1), (after, -1)):
            for outlet_id, products in held.items():
                for product_id, units in products.items():
                    key = (product_id, outlet_id)
                    deltas[key] = deltas.get(key, 0) + sign * units
        for (product_id, outlet_id), delta in deltas.items():
            self.change_level(product_id, outlet_id, tidy(delta))


def taken(sale: Row, line_outlets: Mapping[str, str]) -> Taken:
    """What the lines of a sale take, at the outlet that fulfills each: the one that it names, else
    the sale's. Voided lines take nothing.
    """
    found: Taken = {}
    for line in sale["line_items"]:
        if line["status"] != "VOIDED":
            outlet_id = line_outlets.get(line["id"], sale["outlet_id"])
            at_outlet = found.setdefault(outlet_id, {})
            product_id = line["product_id"]
            at_outlet[product_id] = tidy(at_outlet.get(product_id, 0) + line["quantity"])
    return found
