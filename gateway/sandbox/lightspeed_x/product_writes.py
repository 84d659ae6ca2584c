"""Creating, changing and deleting products, through all three generations of the API."""

import re
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.legacy import legacy_product
from gateway.sandbox.lightspeed_x.products import NEW_PRODUCT, Products, full_name
from gateway.sandbox.lightspeed_x.retailer import Retailer, not_found
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.values import (
    FieldError,
    Kind,
    Row,
    flag,
    json_object,
    list_of,
    loose_flag,
    mapping,
    nullable,
    number,
    one_of,
    read,
    record_of,
    text,
    tidy,
)

VARIANT_ATTRIBUTES_MAX = 3

CODE = record_of(
    {"type": one_of("CUSTOM", "EAN", "ISBN", "ITF", "JAN", "UPC"), "code": text},
    required=("type", "code"),
)

PIECE: dict[str, Kind] = {
    "supply_price": number,
    "price_excluding_tax": number,
    "price_including_tax": number,
    "loyalty_amount": nullable(number),
    "weight": number,
    "weight_unit": one_of("CT", "G", "OZ", "LB", "KG"),
    "length": number,
    "width": number,
    "height": number,
    "dimensions_unit": one_of("IN", "CM", "MM", "YD"),
    "sku": text,
    "supplier_code": nullable(text),
    "product_codes": list_of(CODE),
    "images": list_of(record_of({"url": text}, required=("url",))),
}
"""What may differ between the variants of a family."""


class ProductWrites:
    """The write side: 2.0 create and delete, 2.1 update, 0.9 create-or-update."""

    def __init__(self, retailer: Retailer, stock: Stock, products: Products) -> None:
        self._retailer = retailer
        self._stock = stock
        self._products = products
        stock_rows = list_of(
            record_of(
                {
                    "outlet_id": retailer.reference("outlets"),
                    "current_amount": number,
                    "reorder_point": nullable(number),
                    "reorder_amount": nullable(number),
                },
                required=("outlet_id",),
            )
        )
        definitions = list_of(
            record_of(
                {"attribute_id": retailer.reference("variant_attributes"), "value": text},
                required=("attribute_id", "value"),
            )
        )
        self._piece: dict[str, Kind] = {
            **PIECE,
            "inventory": stock_rows,
            "variant_definitions": definitions,
        }
        self._family: dict[str, Kind] = {
            "name": text,
            "description": nullable(text),
            "handle": text,
            "source": text,
            "source_id": nullable(text),
            "source_variant_id": nullable(text),
            "brand_id": nullable(retailer.reference("brands")),
            "supplier_id": nullable(retailer.reference("suppliers")),
            "product_type_id": nullable(retailer.reference("product_types")),
            "product_category_id": nullable(retailer.reference("product_types")),
            "tag_ids": list_of(retailer.reference("tags")),
            "track_inventory": flag,
        }

    def routes(self) -> list[BaseRoute]:
        """Where products are written."""
        return [
            Route("/api/2.0/products", self._create, methods=["POST"]),
            Route("/api/{v:str}/products/{product_id}", self._update, methods=["PUT"]),
            Route("/api/2.0/products/{product_id}", self._delete_one, methods=["DELETE"]),
            Route("/api/2.0/products/{product_id}/all", self._delete_all, methods=["DELETE"]),
            Route("/api/products", self._legacy, methods=["POST"]),
            Route("/api/0.9/products", self._legacy, methods=["POST"]),
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
        handle = shared.setdefault("handle", _handle_of(shared["name"]))
        if any(row["handle"] == handle for row in self._retailer.live("products")):
            raise FieldError({"handle": "is already taken"})
        self._check_skus([{**shared, **piece} for piece in pieces])
        parent: Row | None = None
        ids: list[str] = []
        for piece in pieces:
            row = self._add({**shared, **piece}, parent)
            parent = parent or row
            ids.append(row["id"])
        return JSONResponse({"data": ids})

    async def _update(self, request: Request) -> Response:
        version = request.path_params["v"]
        if version != "2.1" and not re.fullmatch(r"\d{4}-\d{2}", version):
            raise not_found(request.url.path)
        row = self._live_product(request.path_params["product_id"])
        body = read(await json_object(request), {"common": mapping, "details": mapping})
        common = read(body.get("common", {}), self._family)
        kinds = {**self._piece, "is_active": flag, "variant_attribute_values": list_of(mapping)}
        details = read(_with_definitions(body.get("details", {})), kinds)
        self._check_skus([details], besides=row)
        for member in self._members(row):
            self._change(member, {**common, **(details if member is row else {})})
        return JSONResponse({"data": self._products.view(row)})

    async def _legacy(self, request: Request) -> Response:
        body = await json_object(request)
        fields = self._legacy_fields(body)
        existing = self._legacy_match(body)
        if existing is None:
            handle = fields.setdefault("handle", _handle_of(fields.get("name", "")))
            same = (p for p in self._retailer.live("products") if p["handle"] == handle)
            parent = next((p for p in same if p["variant_parent_id"] is None), None)
            if parent is None and not fields.get("name"):
                raise FieldError({"name": "is required"})
            self._check_skus([fields])
            existing = self._add({**_family_of(parent), **fields}, parent)
        else:
            self._check_skus([fields], besides=existing)
            self._change(existing, fields)
        return JSONResponse({"product": legacy_product(self._retailer, self._stock, existing)})

    async def _delete_one(self, request: Request) -> Response:
        row = self._live_product(request.path_params["product_id"])
        heirs = [member for member in self._members(row) if member is not row]
        self._delete(row)
        if heirs and row["has_variants"]:
            self._promote(heirs)
        return JSONResponse({"data": {"id": row["id"]}})

    async def _delete_all(self, request: Request) -> Response:
        row = self._live_product(request.path_params["product_id"])
        for member in self._members(row):
            self._delete(member)
        return JSONResponse({"data": {"id": row["id"]}})

    def _live_product(self, product_id: str) -> Row:
        row = self._retailer.get("products", product_id)
        if row["deleted_at"] is not None:
            raise not_found(f"products/{product_id}")
        return row

    def _members(self, row: Row) -> list[Row]:
        root = row["variant_parent_id"] or row["id"]
        rows = self._retailer.live("products")
        return [p for p in rows if root in (p["id"], p["variant_parent_id"])]

    def _add(self, fields: Row, parent: Row | None) -> Row:
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

    def _change(self, row: Row, fields: Row) -> None:
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
            values["variant_options"] = [self._option(d) for d in _few(definitions)]
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

    def _delete(self, row: Row) -> None:
        self._retailer.remove("products", row)
        self._retailer.emit("product.update", row)

    def _promote(self, heirs: list[Row]) -> None:
        """Makes the oldest variant the parent after the old parent was deleted alone."""
        parent, *others = heirs
        self._write(parent, {"variant_parent_id": None, "has_variants": bool(others)})
        for other in others:
            self._write(other, {"variant_parent_id": parent["id"]})

    def _check_skus(self, pieces: list[Row], besides: Row | None = None) -> None:
        skus = [piece["sku"] for piece in pieces if "sku" in piece]
        rows = self._retailer.live("products")
        taken = {row["sku"] for row in rows if row is not besides}
        if len(set(skus)) < len(skus) or taken.intersection(skus):
            raise FieldError({"sku": "must be unique"})

    def _next_sku(self) -> str:
        return str(10_000 + len(self._retailer.tables["products"]))

    def _tax_rate(self) -> float:
        default = next(row for row in self._retailer.live("taxes") if row["is_default"])
        return float(sum(rate["rate"] for rate in default["rates"]))

    def _legacy_match(self, body: Row) -> Row | None:
        if body.get("id"):
            return self._live_product(body["id"])
        rows = self._retailer.live("products")
        return next(
            (
                row
                for row in rows
                if row["sku"] == body.get("sku")
                and body.get("handle") in (None, "", row["handle"])
            ),
            None,
        )

    def _legacy_fields(self, body: Row) -> Row:
        """Reads a 0.9 body: names instead of ids, options by number, text for numbers."""
        kinds = {**self._family, **PIECE, "retail_price": number, "active": loose_flag}
        kinds["track_inventory"] = loose_flag
        fields = read(body, {**kinds, "images": list_of(record_of({"url": text}))})
        if "retail_price" in fields:
            fields["price_excluding_tax"] = fields.pop("retail_price")
        for field, table, stored in (
            ("brand_name", "brands", "brand_id"),
            ("supplier_name", "suppliers", "supplier_id"),
            ("type", "product_types", "product_type_id"),
        ):
            if body.get(field):
                fields[stored] = self._retailer.named(table, str(body[field]))["id"]
        if "tags" in body:
            names = [name.strip() for name in str(body["tags"]).split(",") if name.strip()]
            fields["tag_ids"] = [self._retailer.named("tags", name)["id"] for name in names]
        definitions = self._legacy_definitions(body)
        if definitions:
            fields["variant_definitions"] = definitions
        if "inventory" in body:
            fields["inventory"] = self._legacy_inventory(body["inventory"])
        return fields

    def _legacy_definitions(self, body: Row) -> list[Row]:
        definitions = []
        for ordinal in ("one", "two", "three"):
            name = body.get(f"variant_option_{ordinal}_name")
            if name:
                attribute = self._retailer.named("variant_attributes", str(name))
                value = str(body.get(f"variant_option_{ordinal}_value", ""))
                definitions.append({"attribute_id": attribute["id"], "value": value})
        return definitions

    def _legacy_inventory(self, rows: object) -> list[Row]:
        outlets = {row["name"]: row["id"] for row in self._retailer.live("outlets")}
        kinds: dict[str, Kind] = {
            "outlet_id": self._retailer.reference("outlets"),
            "outlet_name": one_of(*outlets),
            "count": number,
            "reorder_point": number,
            "restock_level": number,
        }
        names = {
            "count": "current_amount",
            "reorder_point": "reorder_point",
            "restock_level": "reorder_amount",
        }
        levels = []
        for row in read({"inventory": rows}, {"inventory": list_of(record_of(kinds))})["inventory"]:
            outlet_id = row.get("outlet_id") or outlets.get(row.get("outlet_name"))
            if outlet_id is None:
                raise FieldError({"inventory": "outlet_id is required"})
            level = {new: row[old] for old, new in names.items() if old in row}
            levels.append({"outlet_id": outlet_id, **level})
        return levels


def with_both_prices(values: Row, tax_rate: float) -> Row:
    """Adds the price that was not given: the other one with or without tax."""
    if "price_excluding_tax" in values and "price_including_tax" not in values:
        including = tidy(values["price_excluding_tax"] * (1 + tax_rate))
        return {**values, "price_including_tax": including}
    if "price_including_tax" in values and "price_excluding_tax" not in values:
        excluding = tidy(values["price_including_tax"] / (1 + tax_rate))
        return {**values, "price_excluding_tax": excluding}
    return values


def _handle_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _few(definitions: list[Row]) -> list[Row]:
    if len(definitions) > VARIANT_ATTRIBUTES_MAX:
        raise FieldError({"variant_definitions": f"at most {VARIANT_ATTRIBUTES_MAX}"})
    return definitions


def _with_definitions(details: Row) -> Row:
    """Renames the newer `variant_attribute_values` to what creation calls it."""
    values = details.get("variant_attribute_values")
    return details if values is None else {**details, "variant_definitions": values}


def _family_of(parent: Row | None) -> Row:
    """What a new variant takes over from its family."""
    names = ("name", "description", "brand_id", "supplier_id", "product_type_id", "tag_ids")
    return {name: parent[name] for name in names} if parent else {}
