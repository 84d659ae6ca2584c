"""The 0.9 product write, `POST /api/products`: creates or changes one product."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.lightspeed_x.legacy import ORDINALS, legacy_product
from gateway.sandbox.lightspeed_x.product_editor import ProductEditor
from gateway.sandbox.lightspeed_x.product_fields import PIECE, family_fields, handle_of
from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.values import (
    FieldError,
    Kind,
    Row,
    json_object,
    list_of,
    loose_flag,
    number,
    one_of,
    read,
    record_of,
)


class LegacyProductWrites:
    """Finds the product by `id`, or by SKU and handle; else a known handle gets a variant."""

    def __init__(self, retailer: Retailer, stock: Stock, editor: ProductEditor) -> None:
        self._retailer = retailer
        self._stock = stock
        self._editor = editor
        self._fields: dict[str, Kind] = {
            **family_fields(retailer),
            **PIECE,
            "retail_price": number,
            "active": loose_flag,
            "track_inventory": loose_flag,
        }

    def routes(self) -> list[BaseRoute]:
        """Where 0.9 clients write; those that always send a version use the second path."""
        return [
            Route("/api/products", self._post, methods=["POST"]),
            Route("/api/0.9/products", self._post, methods=["POST"]),
        ]

    async def _post(self, request: Request) -> Response:
        body = await json_object(request)
        fields = self._read(body)
        existing = self._match(body)
        self._editor.check_skus([fields], besides=existing)
        if existing is None:
            row = self._add(fields)
        else:
            row = existing
            self._editor.change(row, fields)
        return JSONResponse({"product": legacy_product(self._retailer, self._stock, row)})

    def _add(self, fields: Row) -> Row:
        handle = fields.setdefault("handle", handle_of(fields.get("name", "")))
        same = (p for p in self._retailer.live("products") if p["handle"] == handle)
        parent = next((p for p in same if p["variant_parent_id"] is None), None)
        if parent is None and not fields.get("name"):
            raise FieldError({"name": "is required"})
        return self._editor.add({**_family_of(parent), **fields}, parent)

    def _match(self, body: Row) -> Row | None:
        if body.get("id"):
            return self._editor.live_product(body["id"])
        rows = self._retailer.live("products")
        return next(
            (
                row
                for row in rows
                if row["sku"] == body.get("sku") and body.get("handle") in (None, "", row["handle"])
            ),
            None,
        )

    def _read(self, body: Row) -> Row:
        """Reads a 0.9 body: names instead of ids, options by number, text for numbers."""
        fields = read(body, self._fields)
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
        definitions = self._definitions(body)
        if definitions:
            fields["variant_definitions"] = definitions
        if "inventory" in body:
            fields["inventory"] = self._inventory(body["inventory"])
        return fields

    def _definitions(self, body: Row) -> list[Row]:
        definitions = []
        for ordinal in ORDINALS:
            name = body.get(f"variant_option_{ordinal}_name")
            if name:
                attribute = self._retailer.named("variant_attributes", str(name))
                value = str(body.get(f"variant_option_{ordinal}_value", ""))
                definitions.append({"attribute_id": attribute["id"], "value": value})
        return definitions

    def _inventory(self, rows: object) -> list[Row]:
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


def _family_of(parent: Row | None) -> Row:
    """What a new variant takes over from its family."""
    names = ("name", "description", "brand_id", "supplier_id", "product_type_id", "tag_ids")
    return {name: parent[name] for name in names} if parent else {}
