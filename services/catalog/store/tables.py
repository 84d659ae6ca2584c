"""The tables. Names are those of the contract."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, UtcTime

Key = tuple[str, str]
"""A merchant and something of theirs."""


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """What all rows of this context share: their metadata."""


class ProductRow(Row, table=True):
    """A product, or its tombstone. Lists are JSON text, since nothing searches them."""

    __tablename__ = "products"

    merchant_id: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)
    deleted: bool
    name: str
    description: str
    category: str
    brand: str
    active: bool
    attribute_names: str
    images: str
    handle: str
    tags: str
    supplier: str
    version: int = Field(sa_type=BigInteger)
    observe_time: datetime = Field(sa_type=UtcTime)
    revision: int = Field(sa_type=BigInteger)
    update_time: datetime = Field(sa_type=UtcTime)


class VariantRow(Row, table=True):
    """A variant of a product that is not deleted; amounts of money are billionths of the unit."""

    __tablename__ = "variants"
    __table_args__ = (
        Index(None, "merchant_id", "product_id", "position"),
        Index(None, "merchant_id", "sku"),
    )

    merchant_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    product_id: str
    position: int
    sku: str
    upc: str
    attribute_values: str
    retail_price_currency_code: str | None
    retail_price_amount_nanos: int | None = Field(sa_type=BigInteger)
    weight_value: str | None
    weight_unit: str | None
    dimensions_length: str | None
    dimensions_width: str | None
    dimensions_height: str | None
    dimensions_unit: str | None
    track_inventory: bool
    supply_price_currency_code: str | None
    supply_price_amount_nanos: int | None = Field(sa_type=BigInteger)
    supplier_code: str
    active: bool | None


class ChannelRow(Row, table=True):
    """A channel that is known to exist."""

    __tablename__ = "channels"

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)


class ListingRow(Row, table=True):
    """A product's place in a channel. What is shown there is made from the product when read."""

    __tablename__ = "listings"
    __table_args__ = (Index(None, "merchant_id", "product_id"),)

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)
    sell_online: bool
    version: int = Field(sa_type=BigInteger)
    deleted: bool
    update_time: datetime = Field(sa_type=UtcTime)
    push_time: datetime | None = Field(sa_type=UtcTime)
    pushed_version: int = Field(sa_type=BigInteger)
    push_error: str


PLUMBING = Plumbing(Row.metadata)
PRODUCTS = Row.metadata.tables["products"]
VARIANTS = Row.metadata.tables["variants"]
CHANNELS = Row.metadata.tables["channels"]
LISTINGS = Row.metadata.tables["listings"]
