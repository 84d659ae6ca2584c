"""The tables. Names are those of the contract."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, UtcTime

Key = tuple[str, str]
"""A merchant and something of theirs."""


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """What all rows of this context share: their metadata."""


class ProductRow(Row, table=True):
    """A product, or its tombstone. Lists are JSON text, since hardly anything searches them."""

    __tablename__ = "products"
    __table_args__ = (
        Index(
            None,
            "merchant_id",
            "category",
            "product_id",
            sqlite_where=text("category <> ''"),
            postgresql_where=text("category <> ''"),
        ),
        Index(
            None,
            "merchant_id",
            "brand",
            "product_id",
            sqlite_where=text("brand <> ''"),
            postgresql_where=text("brand <> ''"),
        ),
    )

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
    provenance: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON: which call brought which value, see `rules.provenance`."""


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
    """A product's place in a channel. What is shown there is made from the product when read; only
    what belongs to the store itself is kept here (CAT-05).
    """

    __tablename__ = "listings"
    __table_args__ = (
        Index(None, "merchant_id", "product_id"),
        Index(
            "ix_listings_sell_online",
            "merchant_id",
            "channel_id",
            "product_id",
            sqlite_where=text("sell_online"),
            postgresql_where=text("sell_online"),
        ),
        Index(
            "ix_listings_push_error",
            "merchant_id",
            "channel_id",
            "product_id",
            sqlite_where=text("push_error <> ''"),
            postgresql_where=text("push_error <> ''"),
        ),
    )

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
    compare_to_price_currency_code: str | None
    compare_to_price_amount_nanos: int | None = Field(sa_type=BigInteger)
    subtitle: str = Field(sa_column_kwargs={"server_default": ""})
    low_stock_threshold: int | None
    unpushed_fields: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON."""
    store_image_urls: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON."""
    images_version: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    provenance: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON: of the store's own fields and of the switch."""
    switch_version: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    """The product's version in the point of sale when the switch was last set."""


class DriftRow(Row, table=True):
    """A difference that was found between a listing and its store."""

    __tablename__ = "drift"
    __table_args__ = (
        Index(
            "ix_drift_open",
            "merchant_id",
            "channel_id",
            "product_id",
            sqlite_where=text("state = 'OPEN'"),
            postgresql_where=text("state = 'OPEN'"),
        ),
    )

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    field: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    own_value: str
    store_value: str
    cause: str
    state: str
    observe_time: datetime = Field(sa_type=UtcTime)
    last_observe_time: datetime = Field(sa_type=UtcTime)
    heal_time: datetime | None = Field(sa_type=UtcTime)
    times: int


class HeldReportRow(Row, table=True):
    """A report of a product that was not taken in, as it came; the last one of each product."""

    __tablename__ = "held_reports"
    __table_args__ = (Index(None, "merchant_id", "reason", "key"),)

    merchant_id: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)
    reason: str
    """Why it was not taken in: of the contract's reasons."""
    key: str
    """Groups what waits for the same cause."""
    message: str
    report: bytes | None = Field(sa_type=LargeBinary)
    """The product's message; NULL: its deletion."""
    version: int = Field(sa_type=BigInteger)
    observe_time: datetime = Field(sa_type=UtcTime)
    cause: str
    request_id: str
    record_time: datetime = Field(sa_type=UtcTime)


class BreakerRow(Row, table=True):
    """How much of a merchant's catalog one source has deleted or deactivated lately (BEY-10)."""

    __tablename__ = "breakers"

    merchant_id: str = Field(primary_key=True)
    cause: str = Field(primary_key=True)
    window_time: datetime = Field(sa_type=UtcTime)
    """When the count began."""
    deactivated_count: int
    previous_count: int
    """Of the window before, which ended when this one began."""
    approved: bool
    """Whether an operator has said yes to more within this window."""


class ImportRunRow(Row, table=True):
    """A run of an import."""

    __tablename__ = "imports"
    __table_args__ = (Index(None, "merchant_id", "source_digest"),)

    merchant_id: str = Field(primary_key=True)
    import_id: str = Field(primary_key=True)
    source_name: str
    source_digest: str
    state: str
    row_count: int = Field(sa_type=BigInteger)
    next_row: int = Field(sa_type=BigInteger)
    cursor: str
    created_count: int = Field(sa_type=BigInteger)
    updated_count: int = Field(sa_type=BigInteger)
    unchanged_count: int = Field(sa_type=BigInteger)
    refused_count: int = Field(sa_type=BigInteger)
    deactivated_count: int = Field(sa_type=BigInteger)
    breaker_share_percent: int
    breaker_items_min: int
    approved: bool
    held_count: int = Field(sa_type=BigInteger)
    """How many products the rows that it is held for would deactivate."""
    undone_count: int = Field(sa_type=BigInteger)
    kept_count: int = Field(sa_type=BigInteger)
    create_time: datetime = Field(sa_type=UtcTime)
    update_time: datetime = Field(sa_type=UtcTime)
    end_time: datetime | None = Field(sa_type=UtcTime)


class ImportLineRow(Row, table=True):
    """A row of a source that was not taken as it stood."""

    __tablename__ = "import_rows"

    merchant_id: str = Field(primary_key=True)
    import_id: str = Field(primary_key=True)
    row: int = Field(primary_key=True, sa_type=BigInteger)
    product_id: str
    outcome: str
    message: str


class ImportChangeRow(Row, table=True):
    """What a product was before an import, to undo it by."""

    __tablename__ = "import_changes"
    __table_args__ = (Index(None, "merchant_id", "import_id", "row"),)

    merchant_id: str = Field(primary_key=True)
    import_id: str = Field(primary_key=True)
    product_id: str = Field(primary_key=True)
    before: bytes | None = Field(sa_type=LargeBinary)
    """The product's message; NULL: there was none."""
    before_version: int = Field(sa_type=BigInteger)
    """The point of sale's version of it, or of its deletion."""
    row: int = Field(sa_type=BigInteger)
    """Where the run first changed it: what was changed last is undone first."""
    revision: int = Field(sa_type=BigInteger)
    """That the import gave it: while it has it, nobody has changed it since."""


PLUMBING = Plumbing(Row.metadata)
PRODUCTS = Row.metadata.tables["products"]
VARIANTS = Row.metadata.tables["variants"]
CHANNELS = Row.metadata.tables["channels"]
LISTINGS = Row.metadata.tables["listings"]
DRIFT = Row.metadata.tables["drift"]
HELD_REPORTS = Row.metadata.tables["held_reports"]
BREAKERS = Row.metadata.tables["breakers"]
IMPORTS = Row.metadata.tables["imports"]
IMPORT_ROWS = Row.metadata.tables["import_rows"]
IMPORT_CHANGES = Row.metadata.tables["import_changes"]
