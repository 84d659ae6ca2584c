"""The tables of orders, sales and fulfillments."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, UtcTime


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """What all rows of this context share: their metadata."""


class OrderRow(Row, table=True):
    """An order and what became of its steps; nested values are JSON."""

    __tablename__ = "orders"
    __table_args__ = (
        Index(None, "merchant_id", "create_time"),
        Index(None, "due_time"),
    )

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    state: int
    document: str | None
    resolved: str | None
    address: str | None
    """The e-mail address that was matched; NULL while none was, empty where the order has none."""
    customer_id: str
    hold: str | None
    holds_ended: int
    reservation_id: str
    allocations: str | None
    sale_id: str
    pos_version: int | None = Field(sa_type=BigInteger)
    committed: bool
    waiting_reason: str
    waiting_message: str
    attempts: int
    next_try_time: datetime | None = Field(sa_type=UtcTime)
    awaited: str
    due_time: datetime | None = Field(sa_type=UtcTime)
    lease_time: datetime | None = Field(sa_type=UtcTime)
    """Until when a process has taken its run."""
    create_time: datetime = Field(sa_type=UtcTime)
    update_time: datetime = Field(sa_type=UtcTime)
    sync_time: datetime | None = Field(sa_type=UtcTime)
    """When the document was read from the store; NULL before, and for older rows."""


class SourceDocumentRow(Row, table=True):
    """The store's own document of an order, apart since it is large and rarely read."""

    __tablename__ = "source_documents"

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    source_document: str


class AwaitedItemRow(Row, table=True):
    """An item that an order waits for, by `rules.order.references`."""

    __tablename__ = "awaited_items"

    merchant_id: str = Field(primary_key=True)
    reference: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)


class SaleRow(Row, table=True):
    """A sale; nested values are JSON."""

    __tablename__ = "sales"
    __table_args__ = (
        Index(None, "merchant_id", "sale_time"),
        Index(None, "due_time"),
    )

    merchant_id: str = Field(primary_key=True)
    sale_id: str = Field(primary_key=True)
    origin: int
    state: int
    channel_id: str
    order_id: str
    outlet_id: str
    register_id: str
    customer_id: str
    lines: str
    total: str
    shipping_price: str
    discount: str
    tax: str
    prices_include_tax: bool
    note: str
    sale_time: datetime = Field(sa_type=UtcTime)
    revision: int = Field(sa_type=BigInteger)
    mirrored: bool
    version: int = Field(sa_type=BigInteger)
    posted_revision: int = Field(sa_type=BigInteger)
    post_error: str
    stock_pending: bool
    stock_error: str
    attempts: int
    due_time: datetime | None = Field(sa_type=UtcTime)
    lease_time: datetime | None = Field(sa_type=UtcTime)
    """Until when a process is taking its stock."""


class SalePaymentRow(Row, table=True):
    """One payment of a sale; `number` counts from 0."""

    __tablename__ = "sale_payments"
    __table_args__ = (Index(None, "merchant_id", "pay_time"),)

    merchant_id: str = Field(primary_key=True)
    sale_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    method: str
    currency_code: str
    amount_nanos: int = Field(sa_type=BigInteger)
    pay_time: datetime = Field(sa_type=UtcTime)


class FulfillmentRow(Row, table=True):
    """A fulfillment; its lines are JSON."""

    __tablename__ = "fulfillments"
    __table_args__ = (
        Index(None, "merchant_id", "create_time"),
        Index(None, "merchant_id", "order_id"),
    )

    merchant_id: str = Field(primary_key=True)
    fulfillment_id: str = Field(primary_key=True)
    channel_id: str
    order_id: str
    sale_id: str
    outlet_id: str
    kind: int
    state: int
    lines: str
    create_time: datetime = Field(sa_type=UtcTime)


PLUMBING = Plumbing(Row.metadata)
ORDERS = Row.metadata.tables["orders"]
SOURCE_DOCUMENTS = Row.metadata.tables["source_documents"]
AWAITED_ITEMS = Row.metadata.tables["awaited_items"]
SALES = Row.metadata.tables["sales"]
PAYMENTS = Row.metadata.tables["sale_payments"]
FULFILLMENTS = Row.metadata.tables["fulfillments"]
