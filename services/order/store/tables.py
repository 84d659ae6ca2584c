"""The tables of orders, sales and fulfillments."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, MetaData, false, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, UtcTime


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """What all rows of this context share: their metadata."""


OPEN = text("state = 1")
"""Drift that is not healed: little of much."""

UNPOSTED = text("origin = 2 AND posted_revision < revision")
"""Online orders' sales that an outside point of sale does not have as they are: few of many."""

TROUBLED = text("post_error <> '' OR stock_error <> '' OR difference <> 'null'")
"""Sales that somebody should look at: few of many."""

WAITING = text("waiting_reason > ''")
"""Orders that cannot go on now: few of many."""

GOING = text("state < 6")
"""Orders that are neither posted nor canceled yet: few of many."""

DUE = text("due_time IS NOT NULL")
"""What goes on by itself, now or later: few of many."""

HELD = text("state = 5")
"""Orders whose stock is held and that are not posted: they wait for their channel or a payment."""


class OrderRow(Row, table=True):
    """An order and what became of its steps; nested values are JSON."""

    __tablename__ = "orders"
    __table_args__ = (
        Index(None, "merchant_id", "create_time", "channel_id", "order_id"),
        Index(None, "merchant_id", "channel_id", "create_time", "order_id"),
        Index(None, "merchant_id", "payment_status", "create_time"),
        Index(
            "ix_orders_begins",
            "merchant_id",
            "order_id",
            "create_time",
            "channel_id",
            postgresql_ops={"order_id": "text_pattern_ops"},
        ),
        Index(None, "merchant_id", "email", "create_time"),
        Index(None, "merchant_id", "customer_id", "create_time"),
        Index(
            "ix_orders_reason",
            "merchant_id",
            "waiting_reason",
            "waiting_key",
            sqlite_where=WAITING,
            postgresql_where=WAITING,
        ),
        Index("ix_orders_due", "due_time", sqlite_where=DUE, postgresql_where=DUE),
        Index(
            "ix_orders_waiting",
            "merchant_id",
            "create_time",
            sqlite_where=WAITING,
            postgresql_where=WAITING,
        ),
        Index(
            "ix_orders_going",
            "merchant_id",
            "state",
            "create_time",
            sqlite_where=GOING,
            postgresql_where=GOING,
        ),
        Index(
            "ix_orders_held", "merchant_id", "channel_id", sqlite_where=HELD, postgresql_where=HELD
        ),
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
    wait_time: datetime | None = Field(sa_type=UtcTime)
    """Since when it waits for its reason; NULL when it does not, and for older rows."""
    awaited: str
    due_time: datetime | None = Field(sa_type=UtcTime)
    lease_time: datetime | None = Field(sa_type=UtcTime)
    """Until when a process has taken its run."""
    create_time: datetime = Field(sa_type=UtcTime)
    update_time: datetime = Field(sa_type=UtcTime)
    sync_time: datetime | None = Field(sa_type=UtcTime)
    """When the document was read from the store; NULL before, and for older rows."""
    email: str = Field(sa_column_kwargs={"server_default": ""})
    """The document's e-mail address as addresses are compared."""
    payment_status: int = Field(sa_column_kwargs={"server_default": "0"})
    waiting_key: str = Field(sa_column_kwargs={"server_default": ""})
    """What the reason is about, such as a SKU: orders of one key wait for one thing."""
    cancel_time: datetime | None = Field(sa_type=UtcTime)
    """When it was canceled here; NULL when it was not."""
    cancel_reason: str = Field(sa_column_kwargs={"server_default": ""})
    gone: bool = Field(sa_column_kwargs={"server_default": false()})
    """Whether its store has it no more, and an operator knows."""
    accounts: str | None
    """What became of each line, JSON; NULL until its stock is held."""
    refunds: str = Field(sa_column_kwargs={"server_default": "[]"})
    """What came back or was given back, JSON."""
    paid: str = Field(sa_column_kwargs={"server_default": "null"})
    refunded: str = Field(sa_column_kwargs={"server_default": "null"})
    store_update: str = Field(sa_column_kwargs={"server_default": "null"})
    """What the store does not show yet and should, JSON."""
    document_message: bytes | None
    """The document as a message, without its source, for lists and for stores that tell it again;
    NULL while there is none, and for older rows.
    """


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
        Index(None, "merchant_id", "order_id"),
        Index("ix_sales_due", "due_time", sqlite_where=DUE, postgresql_where=DUE),
        Index(
            "ix_sales_unposted",
            "merchant_id",
            "channel_id",
            "sale_time",
            sqlite_where=UNPOSTED,
            postgresql_where=UNPOSTED,
        ),
        Index(
            "ix_sales_troubled",
            "merchant_id",
            "sale_id",
            sqlite_where=TROUBLED,
            postgresql_where=TROUBLED,
        ),
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
    return_for: str = Field(sa_column_kwargs={"server_default": ""})
    refund_id: str = Field(sa_column_kwargs={"server_default": ""})
    discounts: str = Field(sa_column_kwargs={"server_default": "[]"})
    charges: str = Field(sa_column_kwargs={"server_default": "[]"})
    shipping_tax: str = Field(sa_column_kwargs={"server_default": "null"})
    difference: str = Field(sa_column_kwargs={"server_default": "null"})
    """By how much the total differs from the sum of its parts."""


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


class RefusedSaleRow(Row, table=True):
    """A sale of the outside point of sale that could not be copied here."""

    __tablename__ = "refused_sales"

    merchant_id: str = Field(primary_key=True)
    sale_id: str = Field(primary_key=True)
    version: int = Field(sa_type=BigInteger)
    reason: str
    message: str
    refuse_time: datetime = Field(sa_type=UtcTime)


class RefusedUpdateRow(Row, table=True):
    """What a store refused to show of an order. It counts while the order's `store_update` is the
    same; what does not count any more stays until the store refuses something again.
    """

    __tablename__ = "refused_updates"

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    store_update: str
    message: str
    refuse_time: datetime = Field(sa_type=UtcTime)


class FulfillmentRow(Row, table=True):
    """A fulfillment; its lines are JSON."""

    __tablename__ = "fulfillments"
    __table_args__ = (
        Index(None, "merchant_id", "create_time"),
        Index(None, "merchant_id", "order_id"),
        Index(None, "merchant_id", "state", "create_time"),
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
    version: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "1"})
    tracking_number: str = Field(sa_column_kwargs={"server_default": ""})
    carrier: str = Field(sa_column_kwargs={"server_default": ""})
    update_time: datetime | None = Field(sa_type=UtcTime)
    """When it last changed; NULL for older rows that never did."""
    ship_to: str = Field(sa_column_kwargs={"server_default": "null"})
    pickup_time: datetime | None = Field(sa_type=UtcTime)


class ShippingMethodRow(Row, table=True):
    """A shipping, delivery or pickup method; what is never asked for by itself is JSON."""

    __tablename__ = "shipping_methods"
    __table_args__ = (Index(None, "merchant_id", "channel_id", "position", "method_id"),)

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    method_id: str = Field(primary_key=True)
    name: str
    kind: int
    outlet_id: str
    enabled: bool
    disabled_reason: str
    position: int
    terms: str
    """Zones, minimum, rate, hours and the like, JSON."""
    version: int = Field(sa_type=BigInteger)
    create_time: datetime = Field(sa_type=UtcTime)
    update_time: datetime = Field(sa_type=UtcTime)


class OrderDriftRow(Row, table=True):
    """A difference that was found between an order and its store."""

    __tablename__ = "order_drift"
    __table_args__ = (
        Index(
            "ix_order_drift_open",
            "merchant_id",
            "channel_id",
            "order_id",
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
    )

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    field: int = Field(primary_key=True)
    own_value: str
    store_value: str
    cause: int
    state: int
    observe_time: datetime = Field(sa_type=UtcTime)
    last_observe_time: datetime = Field(sa_type=UtcTime)
    heal_time: datetime | None = Field(sa_type=UtcTime)
    times: int


PLUMBING = Plumbing(Row.metadata)
ORDERS = Row.metadata.tables["orders"]
SOURCE_DOCUMENTS = Row.metadata.tables["source_documents"]
AWAITED_ITEMS = Row.metadata.tables["awaited_items"]
SALES = Row.metadata.tables["sales"]
PAYMENTS = Row.metadata.tables["sale_payments"]
REFUSED_SALES = Row.metadata.tables["refused_sales"]
REFUSED_UPDATES = Row.metadata.tables["refused_updates"]
FULFILLMENTS = Row.metadata.tables["fulfillments"]
SHIPPING_METHODS = Row.metadata.tables["shipping_methods"]
ORDER_DRIFT = Row.metadata.tables["order_drift"]
