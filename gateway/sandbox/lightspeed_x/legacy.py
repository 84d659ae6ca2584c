"""The 0.9 shapes: what old writes answer and what webhooks carry."""

from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.values import Row

ORDINALS = ("one", "two", "three")


def legacy_product(retailer: Retailer, stock: Stock, row: Row) -> Row:
    """A product in the 0.9 shape, with its levels per outlet."""
    options: Row = {}
    for index, ordinal in enumerate(ORDINALS):
        option = row["variant_options"][index] if index < len(row["variant_options"]) else {}
        options[f"variant_option_{ordinal}_name"] = option.get("name", "")
        options[f"variant_option_{ordinal}_value"] = option.get("value", "")
    image = row["images"][0]["url"] if row["images"] else ""
    return {
        "id": row["id"],
        "source_id": row["source_id"] or "",
        "handle": row["handle"],
        "type": _name(retailer, "product_types", row["product_type_id"]),
        "has_variants": row["has_variants"],
        "variant_parent_id": row["variant_parent_id"] or "",
        **options,
        "active": row["active"],
        "name": row["variant_name"],
        "base_name": row["name"],
        "description": row["description"] or "",
        "image": image,
        "images": [{"id": i["id"], "url": i["url"]} for i in row["images"]],
        "sku": row["sku"],
        "tags": ", ".join(_name(retailer, "tags", tag_id) for tag_id in row["tag_ids"]),
        "brand_id": row["brand_id"] or "",
        "brand_name": _name(retailer, "brands", row["brand_id"]),
        "supplier_name": _name(retailer, "suppliers", row["supplier_id"]),
        "supplier_code": row["supplier_code"] or "",
        "supply_price": f"{row['supply_price']:.2f}",
        "price": row["price_excluding_tax"],
        "tax": row["price_including_tax"] - row["price_excluding_tax"],
        "track_inventory": row["has_inventory"],
        "inventory": [_level(retailer, level) for level in stock.rows(row["id"])],
        "updated_at": _old_time(row["updated_at"]),
        "deleted_at": _old_time(row["deleted_at"] or ""),
        "version": row["version"],
    }


def legacy_inventory(retailer: Retailer, row: Row) -> Row:
    """A level in the shape of the `inventory.update` webhook; amounts are decimal text."""
    product = retailer.get("products", row["product_id"])
    outlet = retailer.get("outlets", row["outlet_id"])
    return {
        "id": row["id"],
        "product_id": row["product_id"],
        "outlet_id": row["outlet_id"],
        "count": f"{row['inventory_level']:.5f}",
        "attributed_cost": f"{row['inventory_level'] * product['supply_price']:.5f}",
        "reorder_point": f"{row['reorder_point'] or 0:.5f}",
        "restock_level": f"{row['reorder_amount'] or 0:.5f}",
        "version": row["version"],
        "product": {"id": product["id"], "sku": product["sku"], "handle": product["handle"]},
        "outlet": {"id": outlet["id"], "name": outlet["name"]},
    }


def legacy_customer(row: Row) -> Row:
    """A customer in the 0.9 shape, whose name stands in a contact of its own."""
    contact = ("first_name", "last_name", "company_name", "phone", "mobile", "fax", "email")
    return {
        "id": row["id"],
        "customer_code": row["customer_code"],
        "name": row["name"] or "",
        "first_name": row["first_name"] or "",
        "last_name": row["last_name"] or "",
        "email": row["email"] or "",
        "customer_group_id": row["customer_group_id"],
        "note": row["note"] or "",
        "year_to_date": f"{row['year_to_date']:.5f}",
        "balance": f"{row['balance']:.5f}",
        "contact": {name: row[name] or "" for name in contact},
        "updated_at": _old_time(row["updated_at"]),
        "deleted_at": _old_time(row["deleted_at"] or ""),
        "version": row["version"],
    }


def legacy_sale(retailer: Retailer, row: Row) -> Row:
    """A sale in the 0.9 shape, as `POST /api/register_sales` answers and webhooks carry it."""
    customer = retailer.find("customers", row["customer_id"])
    user = retailer.find("users", row["user_id"])
    paid = sum(payment["amount"] for payment in row["payments"])
    due = row["total_price"] + row["total_tax"]
    return {
        "id": row["id"],
        "source": row["source"],
        "source_id": row["source_id"],
        "sale_date": _old_time(row["sale_date"]),
        "status": row["status"],
        "register_sale_attributes": row["attributes"],
        "user_id": row["user_id"],
        "customer_id": row["customer_id"] or "",
        "register_id": row["register_id"],
        "invoice_number": row["invoice_number"],
        "invoice_sequence": row["invoice_sequence"],
        "short_code": row["short_code"],
        "note": row["note"],
        "return_for": row["return_for"],
        "total_price": row["total_price"],
        "total_tax": row["total_tax"],
        "totals": {
            "total_price": f"{row['total_price']:.2f}",
            "total_tax": f"{row['total_tax']:.2f}",
            "total_payment": f"{paid:.2f}",
            "total_to_pay": f"{due - paid:.2f}",
        },
        "customer": legacy_customer(customer) if customer else {},
        "user": {"id": user["id"], "name": user["display_name"]} if user else {},
        "register_sale_products": [_legacy_line(line) for line in row["line_items"]],
        "register_sale_payments": row["payments"],
        "taxes": row["taxes"],
        "created_at": _old_time(row["created_at"]),
        "updated_at": _old_time(row["updated_at"]),
        "version": row["version"],
    }


def _legacy_line(line: Row) -> Row:
    names = ("id", "product_id", "quantity", "price", "discount", "cost", "tax", "tax_id")
    more = ("loyalty_value", "price_set", "sequence", "status", "tax_total", "price_total", "note")
    return {name: line[name] for name in (*names, *more)}


def _level(retailer: Retailer, row: Row) -> Row:
    return {
        "outlet_id": row["outlet_id"],
        "outlet_name": retailer.get("outlets", row["outlet_id"])["name"],
        "count": f"{row['inventory_level']:.5f}",
        "reorder_point": f"{row['reorder_point'] or 0}",
        "restock_level": f"{row['reorder_amount'] or 0}",
    }


def _name(retailer: Retailer, table: str, row_id: str | None) -> str:
    row = retailer.find(table, row_id)
    return str(row["name"]) if row else ""


def _old_time(moment: str) -> str:
    """`2026-07-04T07:22:09+00:00` as 0.9 writes it: `2026-07-04 07:22:09`."""
    return moment[:19].replace("T", " ")
