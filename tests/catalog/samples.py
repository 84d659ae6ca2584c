"""Products to test with, as values and as messages."""

from datetime import UTC, datetime, timedelta

from google.type import money_pb2

from services.catalog.rules.products import (
    Dimensions,
    Image,
    Known,
    LengthUnit,
    Money,
    Product,
    Stamp,
    Variant,
    Weight,
    WeightUnit,
)
from tillbridge.catalog.v1 import catalog_pb2 as pb

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
PRICE = Money("EUR", 12_500_000_000)

SHIRT = Product(
    product_id="shirt",
    name="Shirt",
    description="<p>Linen</p>",
    category="Clothes",
    brand="Fjord",
    active=True,
    attribute_names=("Size", "Color"),
    variants=(
        Variant(
            item_id="shirt-l-red",
            sku="S-L-R",
            upc="0001",
            attribute_values=("L", "Red"),
            retail_price=PRICE,
            weight=Weight("8", WeightUnit.OZ),
            dimensions=Dimensions("10", "8", "0.5", LengthUnit.IN),
            supply_price=Money("EUR", 4_000_000_000),
            supplier_code="SECRET-CODE",
        ),
        Variant("shirt-s-red", "S-S-R", "", ("S", "Red"), PRICE, track_inventory=False),
        Variant("shirt-l-blue", "S-L-B", "", ("L", "Blue"), PRICE, active=False),
    ),
    images=(Image("1", "https://img.example/1.jpg"), Image("", "https://img.example/2.jpg")),
    handle="secret-handle",
    tags=("secret-tag",),
    supplier="Secret Supplier",
)


def plain(product_id: str = "mug", **changes: object) -> Product:
    """A product with one variant and as little else as possible."""
    fields: dict[str, object] = {
        "product_id": product_id,
        "name": product_id.title(),
        "variants": (Variant(f"{product_id}-item", f"SKU-{product_id}", retail_price=PRICE),),
    }
    return Product(**fields | changes)  # type: ignore[arg-type]  # fields of Product


def known(product: Product | None, version: int = 0, observe_time: datetime = NOON) -> Known:
    """A product as it was last taken in; a mug's tombstone for None."""
    product_id = product.product_id if product else "mug"
    return Known("mug-shop", product_id, product, Stamp(version, observe_time), 1, NOON)


def money(text: str = "12.50") -> money_pb2.Money:
    """An amount in euros."""
    units, _, cents = text.partition(".")
    return money_pb2.Money(
        currency_code="EUR", units=int(units), nanos=int(cents.ljust(9, "0")) if cents else 0
    )


def mug(product_id: str = "mug", **changes: object) -> pb.Product:
    """A product with one variant, as a message."""
    variant = pb.Variant(
        item_id=f"{product_id}-item", sku=f"SKU-{product_id}", retail_price=money()
    )
    fields: dict[str, object] = {
        "product_id": product_id,
        "name": product_id.title(),
        "active": True,
        "variants": [variant],
    }
    return pb.Product(**fields | changes)  # type: ignore[arg-type]  # fields of Product


def shirt(**changes: object) -> pb.Product:
    """A product with everything that a product can have, as a message."""
    variants = [
        pb.Variant(
            item_id="shirt-l-red",
            sku="S-L-R",
            upc="0001",
            attribute_values=["L", "Red"],
            retail_price=money("25"),
            weight=pb.Weight(value="8", unit=pb.WEIGHT_UNIT_OZ),
            dimensions=pb.Dimensions(length="10", width="8", height="0.5", unit=pb.LENGTH_UNIT_IN),
            supply_price=money("4.20"),
            supplier_code="SECRET-CODE",
        ),
        pb.Variant(
            item_id="shirt-s-red",
            sku="S-S-R",
            attribute_values=["S", "Red"],
            retail_price=money("24.99"),
            track_inventory=False,
        ),
        pb.Variant(
            item_id="shirt-l-blue",
            sku="S-L-B",
            attribute_values=["L", "Blue"],
            retail_price=money("24.99"),
            active=False,
        ),
    ]
    fields: dict[str, object] = {
        "product_id": "shirt",
        "name": "Shirt",
        "description": "<p>Linen</p>",
        "category": "Clothes",
        "brand": "Fjord",
        "active": True,
        "attribute_names": ["Size", "Color"],
        "variants": variants,
        "images": [
            pb.Image(image_id="1", url="https://img.example/1.jpg"),
            pb.Image(url="https://img.example/2.jpg"),
        ],
        "handle": "secret-handle",
        "tags": ["secret-tag"],
        "supplier": "Secret Supplier",
        "version": 3,
    }
    return pb.Product(**fields | changes)  # type: ignore[arg-type]  # fields of Product
