"""Putting the sample shop into an empty account."""

from typing import Any

from gateway.sandbox import shop
from gateway.sandbox.lightspeed_x.customers import NEW_CUSTOMER
from gateway.sandbox.lightspeed_x.products import NEW_PRODUCT, full_name
from gateway.sandbox.lightspeed_x.retailer import Retailer
from gateway.sandbox.lightspeed_x.stock import Stock
from gateway.sandbox.shop_products import FAMILIES, Family, Variant, barcode, image_url
from gateway.sandbox.values import Row, tidy


def seed_shop(retailer: Retailer, stock: Stock) -> None:
    """Fills the tables; every row gets a version, in the order in which a shop is set up."""
    _seed_taxes_and_payments(retailer)
    _seed_places(retailer)
    _seed_customers(retailer)
    for family in FAMILIES:
        _seed_family(retailer, stock, family)


def _seed_taxes_and_payments(retailer: Retailer) -> None:
    for tax_id, rate_id, name, rate, default in (
        (shop.TAX_NONE_ID, shop.TAX_NONE_RATE_ID, "No Tax", 0, False),
        (shop.TAX_GST_ID, shop.TAX_GST_RATE_ID, "GST", shop.GST_RATE, True),
    ):
        rate_row = {"id": rate_id, "name": name, "rate": rate, "display_name": name}
        row = {"name": name, "display_name": name, "is_default": default, "rates": [rate_row]}
        retailer.add("taxes", {"id": tax_id, **row})
    for kind in shop.PAYMENT_TYPES:
        row = {"id": kind.id, "name": kind.name, "type_id": kind.type_id, "config": None}
        retailer.add("payment_types", row)


def _seed_places(retailer: Retailer) -> None:
    user = {
        "id": shop.USER_ID,
        "username": "owner",
        "display_name": "Shop owner",
        "email": "owner@saltmarsh.example",
        "account_type": "admin",
        "is_primary_user": True,
        "created_at": retailer.now(),
        "updated_at": retailer.now(),
    }
    retailer.add("users", user)
    for outlet in shop.OUTLETS:
        retailer.add("outlets", _outlet_row(outlet))
    for register in shop.REGISTERS:
        retailer.add("registers", _register_row(register, retailer.now()))


def _outlet_row(outlet: shop.Outlet) -> Row:
    return {
        "id": outlet.id,
        "name": outlet.name,
        "time_zone": shop.TIME_ZONE,
        "default_tax_id": shop.TAX_GST_ID,
        "currency": shop.CURRENCY,
        "currency_symbol": shop.CURRENCY_SYMBOL,
        "display_prices": "inclusive",
        "email": outlet.email,
        "physical_address_1": outlet.street,
        "physical_address_2": "",
        "physical_suburb": outlet.suburb,
        "physical_city": outlet.city,
        "physical_postcode": outlet.postcode,
        "physical_state": "Wellington",
        "physical_country_id": "NZ",
        "attributes": [],
    }


def _register_row(register: shop.Register, opened_at: str) -> Row:
    return {
        "id": register.id,
        "name": register.name,
        "outlet_id": register.outlet_id,
        "ask_for_note_on_save": 1,
        "print_note_on_receipt": False,
        "ask_for_user_on_sale": False,
        "show_discounts_on_receipts": True,
        "print_receipt": True,
        "email_receipt": False,
        "invoice_prefix": register.invoice_prefix,
        "invoice_suffix": "",
        "invoice_sequence": 1000,
        "button_layout_id": None,
        "is_open": True,
        "receipt_template_id": shop.shop_id("receipt_template", "standard"),
        "register_open_time": opened_at,
        "register_close_time": None,
        "register_open_sequence_id": shop.shop_id("register_sequence", register.name),
        "cash_managed_payment_type_id": shop.PAYMENT_CASH_ID,
    }


def _seed_customers(retailer: Retailer) -> None:
    for customer in shop.CUSTOMERS:
        names = [part for part in (customer.first_name, customer.last_name) if part]
        row: Row = {
            **NEW_CUSTOMER,
            "id": customer.id,
            "customer_code": customer.code,
            "first_name": customer.first_name,
            "last_name": customer.last_name,
            "name": " ".join(names) or None,
            "email": customer.email,
            "phone": customer.phone,
            "physical_address_1": customer.street or None,
            "physical_city": customer.city or None,
            "physical_postcode": customer.postcode or None,
            "physical_country_id": "NZ" if customer.city else None,
            "created_at": retailer.now(),
            "updated_at": retailer.now(),
        }
        retailer.add("customers", row)


def _seed_family(retailer: Retailer, stock: Stock, family: Family) -> None:
    shared = _family_row(retailer, family)
    parent_id = shop.product_id(family.variants[0].sku)
    for variant in family.variants:
        row = {**shared, **_variant_row(retailer, family, variant)}
        row["has_variants"] = row["id"] == parent_id and len(family.variants) > 1
        row["variant_parent_id"] = None if row["id"] == parent_id else parent_id
        row["variant_name"] = full_name(row)
        product = retailer.add("products", row)
        for outlet, level in zip(shop.OUTLETS, variant.stock, strict=True):
            reorder = {"reorder_point": 2, "reorder_amount": 10}
            stock.set_level(product, outlet.id, level, reorder)


def _named(retailer: Retailer, table: str, name: str, **more: Any) -> str:
    row_id = shop.shop_id(table, name)
    if retailer.find(table, row_id) is None:
        retailer.add(table, {"id": row_id, "name": name, **more})
    return row_id


def _family_row(retailer: Retailer, family: Family) -> Row:
    supplier = {"source": "USER", "description": ""}
    return {
        **NEW_PRODUCT,
        "name": family.name,
        "handle": family.handle,
        "description": family.description,
        "active": family.active,
        "has_inventory": family.tracked,
        "brand_id": _named(retailer, "brands", family.brand),
        "supplier_id": _named(retailer, "suppliers", family.supplier, **supplier),
        "supplier_code": family.supplier_code,
        "product_type_id": _named(retailer, "product_types", family.category),
        "tag_ids": [_named(retailer, "tags", tag) for tag in family.tags],
        "supply_price": family.supply_price,
        "weight": family.weight,
        "weight_unit": family.weight_unit,
        "length": family.size[0],
        "width": family.size[1],
        "height": family.size[2],
        "dimensions_unit": family.size_unit,
        "created_at": retailer.now(),
        "updated_at": retailer.now(),
    }


def _variant_row(retailer: Retailer, family: Family, variant: Variant) -> Row:
    code_type, code = barcode(variant.barcode)
    price = family.price + variant.extra
    product_id = shop.product_id(variant.sku)
    options = zip(family.attributes, variant.options, strict=True)
    return {
        "id": product_id,
        "sku": variant.sku,
        "price_excluding_tax": price,
        "price_including_tax": tidy(price * (1 + shop.GST_RATE)),
        "product_codes": [{"type": code_type, "code": code}],
        "product_suppliers": [
            {
                "id": shop.shop_id("product_supplier", variant.sku),
                "product_id": product_id,
                "supplier_id": shop.shop_id("suppliers", family.supplier),
                "supplier_name": family.supplier,
                "code": family.supplier_code,
                "price": family.supply_price,
            }
        ],
        "variant_options": [
            {"id": _named(retailer, "variant_attributes", name), "name": name, "value": value}
            for name, value in options
        ],
        "images": [
            {
                "id": shop.shop_id("image", f"{variant.sku}/{name}"),
                "url": image_url(name),
                "version": retailer.stamp(),
            }
            for name in family.images
        ],
    }
