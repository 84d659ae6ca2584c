"""Changing the product table: families, options, prices, images, and the levels given along."""

from collections.abc import Iterable
from itertools import count

from gateway.sandbox.lightspeed_x.products import NEW_PRODUCT, full_name
from gateway.sandbox.lightspeed_x.retailer import Retailer, not_found
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.values import FieldError, Row, tidy


class ProductEditor:
    """Writes products from fields that were checked, and fires `product.update`."""

    def __init__(self, retailer: Retailer, stock: Stock) -> None:
        self._retailer = retailer
        self._stock = stock

    def live_product(self, product_id: str) -> Row:
        """A product that is not deleted.

        Raises:
            ApiError: 404 otherwise.
        """
        row = self._retailer.get("products", product_id)
        if row["deleted_at"] is not None:
            raise not_found(f"products/{product_id}")
        return row

    def members(self, row: Row) -> list[Row]:
        """All live products of the family of this one, itself included."""
        root = row["variant_parent_id"] or row["id"]
        rows = self._retailer.live("products")
        return [p for p in rows if root in (p["id"], p["variant_parent_id"])]

    def add(self, fields: Row, parent: Row | None) -> Row:
        """Makes a product from checked fields; with a parent it becomes its variant."""
        now = self._retailer.now()
        row = {**NEW_PRODUCT, "id": self._retailer.new_id(), "created_at": now}
        row["sku"] = self._next_sku()
        row["variant_parent_id"] = parent["id"] if parent else None
        row["deleted_at"] = None
        self._apply(row, fields)
        if parent is not None and not parent["has_variants"]:
            self._write(parent, {"has_variants": True})
        self._save(row)
        self._stock.open_rows(row)
        self._count(row, fields.get("inventory", []))
        return row

    def change(self, row: Row, fields: Row) -> None:
        """Changes a product; levels among the fields overwrite the counted ones."""
        levels = fields.pop("inventory", [])
        if fields:
            self._apply(row, fields)
            self._save(row)
        self._stock.open_rows(row)
        self._count(row, levels)

    def _write(self, row: Row, values: Row) -> None:
        row.update(values)
        self._save(row)

    def _save(self, row: Row) -> None:
        row["variant_name"] = full_name(row)
        row["updated_at"] = self._retailer.now()
        self._retailer.emit("product.update", self._retailer.put("products", row))

    def _apply(self, row: Row, fields: Row) -> None:
        """Puts checked fields, by their wire names, into a stored row."""
        values = {k: v for k, v in fields.items() if k not in ("inventory", "track_inventory")}
        for wire, stored in (("is_active", "active"), ("product_category_id", "product_type_id")):
            if wire in values:
                values[stored] = values.pop(wire)
        if "track_inventory" in fields:
            values["has_inventory"] = fields["track_inventory"]
        definitions = values.pop("variant_definitions", None)
        if definitions is not None:
            values["variant_options"] = [self._option(d) for d in definitions]
        if "images" in values:
            values["images"] = self._images(row, values["images"])
        row.update(with_both_prices(values, self._tax_rate()))

    def _option(self, definition: Row) -> Row:
        attribute = self._retailer.get("variant_attributes", definition["attribute_id"])
        return {"id": attribute["id"], "name": attribute["name"], "value": definition["value"]}

    def _images(self, row: Row, wanted: Iterable[Row]) -> list[Row]:
        known = {image["url"]: image for image in row["images"]}
        return [
            known.get(image["url"])
            or {
                "id": self._retailer.new_id(),
                "url": image["url"],
                "version": self._retailer.stamp(),
            }
            for image in wanted
        ]

    def _count(self, row: Row, levels: Iterable[Row]) -> None:
        for level in levels:
            outlet_id = level["outlet_id"]
            amount = level.get("current_amount", self._stock.level(row["id"], outlet_id))
            names = ("reorder_point", "reorder_amount")
            reorder = {name: level[name] for name in names if name in level}
            self._stock.set_level(row, outlet_id, amount, reorder)

    def delete(self, row: Row, *, family: bool) -> None:
        """Deletes one product, or its whole family.

        When a parent goes alone, the next variant takes its place.
        """
        heirs = [member for member in self.members(row) if member is not row]
        for doomed in [row, *heirs] if family else [row]:
            self._retailer.remove("products", doomed)
            self._retailer.emit("product.update", doomed)
        if heirs and row["has_variants"] and not family:
            self._promote(heirs)

    def _promote(self, heirs: list[Row]) -> None:
        """Makes the oldest variant the parent after the old parent was deleted alone."""
        parent, *others = heirs
        self._write(parent, {"variant_parent_id": None, "has_variants": bool(others)})
        for other in others:
            self._write(other, {"variant_parent_id": parent["id"]})

    def check_skus(self, pieces: list[Row], besides: Row | None = None) -> None:
        """Refuses SKUs that are given twice, or held by another live product.

        Raises:
            FieldError: on `sku`.
        """
        skus = [piece["sku"] for piece in pieces if "sku" in piece]
        rows = self._retailer.live("products")
        taken = {row["sku"] for row in rows if row is not besides}
        if len(set(skus)) < len(skus) or taken.intersection(skus):
            raise FieldError({"sku": "must be unique"})

    def _next_sku(self) -> str:
        taken = {row["sku"] for row in self._retailer.tables["products"].values()}
        return next(sku for n in count(10_000 + len(taken)) if (sku := str(n)) not in taken)

    def _tax_rate(self) -> float:
        default = next(row for row in self._retailer.live("taxes") if row["is_default"])
        return float(sum(rate["rate"] for rate in default["rates"]))


def with_both_prices(values: Row, tax_rate: float) -> Row:
    """Adds the price that was not given: the other one with or without tax."""
    if "price_excluding_tax" in values and "price_including_tax" not in values:
        including = tidy(values["price_excluding_tax"] * (1 + tax_rate))
        return {**values, "price_including_tax": including}
    if "price_including_tax" in values and "price_excluding_tax" not in values:
        excluding = tidy(values["price_including_tax"] / (1 + tax_rate))
        return {**values, "price_excluding_tax": excluding}
    return values
