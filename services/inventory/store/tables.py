"""The tables. Quantities are thousandths; names are those of the contract."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData, false, text, true
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, Serial, UtcTime
from services.inventory.rules.stock import Kind

_BY_KEY: dict[str, Any] = {"sqlite_with_rowid": False}
"""SQLite keeps the rows themselves by their key, with what belongs together side by side, instead
of in the order in which they came beside an index: with a million items, a batch of counts takes a
fifth less time. For small rows only.
"""
_OFTEN_CHANGED: dict[str, Any] = {"postgresql_with": {"fillfactor": 70}}
"""PostgreSQL leaves room in each page for the next version of its rows, or else each that is
changed for the first time moves to another page, and all indexes have to learn where it is.
"""


IS_HELD = text("held")
"""Of an allocation: whether it still counts as reserved. As text, since SQLite is asked for
`held = 1` else, and finds no index of some rows for that.
"""
IS_POSTED = text("held AND pos_version IS NOT NULL")
"""Of an allocation: whether it waits for a level that includes its sale. An item may be reserved
thousands of times, and few of them are posted: each change of its stock looks for these.
"""
IS_DELTA = text(f"kind NOT IN ({Kind.COUNT:d}, {Kind.CORRECTION:d})")
"""Of a movement: whether it has added or taken something. What a count or a correction has found is
most of what a ledger has, and nobody looks for it by time: an index of all would be a page more
that each count has to write.
"""


class Base(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """A row of this context; its tables live in metadata of their own."""


class Row(Base):
    """A row of a merchant."""

    merchant_id: str = Field(primary_key=True)


class OutletRow(Row, table=True):
    """An outlet."""

    __tablename__ = "outlets"

    outlet_id: str = Field(primary_key=True)
    display_name: str
    create_time: datetime = Field(sa_type=UtcTime)
    cause: str = Field(sa_column_kwargs={"server_default": ""})
    sync_time: datetime | None = Field(sa_type=UtcTime)
    """NULL in rows that are older than this column: never since."""
    heard_time: datetime | None = Field(sa_type=UtcTime)
    """When anything was last told of its stock; to within some seconds. NULL: never."""


class RegisterRow(Row, table=True):
    """A register."""

    __tablename__ = "registers"

    register_id: str = Field(primary_key=True)
    display_name: str
    outlet_id: str
    create_time: datetime = Field(sa_type=UtcTime)


class ChannelRow(Row, table=True):
    """A channel with its policies; the outlets that feed it are a JSON list, in order."""

    __tablename__ = "channels"
    __table_args__ = (Index(None, "channel_id", unique=True),)

    channel_id: str = Field(primary_key=True)
    display_name: str
    profile: int
    outlets: int
    allocation: int
    posting: int
    fulfillment: int
    out_of_stock_label: str
    external_pos: bool
    register_id: str
    register_outlet_id: str
    primary_outlet_id: str
    connected_outlet_ids: str
    create_time: datetime = Field(sa_type=UtcTime)
    update_inventory: bool = Field(sa_column_kwargs={"server_default": true()})
    accept_store_stock_edits: bool = Field(sa_column_kwargs={"server_default": false()})
    silent_after_s: int = Field(sa_column_kwargs={"server_default": "0"})
    silent_quantity: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    draining_outlet_ids: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON."""
    silent_outlet_ids: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON."""
    post_sales: bool = Field(sa_column_kwargs={"server_default": true()})
    shipping_availability: int = Field(sa_column_kwargs={"server_default": "1"})
    delivery_availability: int = Field(sa_column_kwargs={"server_default": "1"})
    pickup_availability: int = Field(sa_column_kwargs={"server_default": "1"})
    disconnected_methods: int = Field(sa_column_kwargs={"server_default": "2"})


class ConnectionRow(Row, table=True):
    """How the gateway reaches one side of a channel; its secrets are sealed."""

    __tablename__ = "connections"
    __table_args__ = (Index(None, "channel_id"),)

    channel_id: str = Field(primary_key=True)
    side: int = Field(primary_key=True)
    platform: str
    base_url: str
    account: str
    access_token: bytes = Field(sa_type=LargeBinary)
    webhook_secret: bytes = Field(sa_type=LargeBinary)


class LeaseRow(Row, table=True):
    """Who works on one of a channel's tasks, and until when."""

    __tablename__ = "leases"

    channel_id: str = Field(primary_key=True)
    lease: str = Field(primary_key=True)
    holder: str
    expire_time: datetime = Field(sa_type=UtcTime)


class PollCursorRow(Row, table=True):
    """How far polling a platform has got."""

    __tablename__ = "poll_cursors"

    channel_id: str = Field(primary_key=True)
    resource: str = Field(primary_key=True)
    cursor: str


class ItemRow(Row, table=True):
    """An item as the catalog tells it. On PostgreSQL its row is the lock on its stock."""

    __tablename__ = "items"
    __table_args__ = (Index(None, "merchant_id", "product_id"), _BY_KEY)

    item_id: str = Field(primary_key=True)
    product_id: str
    tracked: bool
    deleted: bool
    revision: int = Field(sa_type=BigInteger)


class LevelRow(Row, table=True):
    """What an outlet has of an item: the sums of its movements and of its holds."""

    __tablename__ = "levels"
    __table_args__ = (
        Index(None, "merchant_id", "outlet_id", "item_id"),
        _BY_KEY | _OFTEN_CHANGED,
    )

    item_id: str = Field(primary_key=True)
    outlet_id: str = Field(primary_key=True)
    on_hand: int = Field(sa_type=BigInteger)
    reserved: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)
    observe_time: datetime | None = Field(sa_type=UtcTime)
    in_transit: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    """What is on its way here."""
    count_time: datetime | None = Field(sa_type=UtcTime)
    """When the last count was observed; NULL when a version or its arrival has decided for it."""


class MovementRow(Base, table=True):
    """The ledger; rows are added and never changed."""

    __tablename__ = "movements"
    __table_args__ = (
        Index(None, "merchant_id", "item_id", "movement_id"),
        Index(
            "ix_movements_deltas",
            *("merchant_id", "item_id", "outlet_id", "observe_time"),
            sqlite_where=IS_DELTA,
            postgresql_where=IS_DELTA,
        ),
    )

    movement_id: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    merchant_id: str
    item_id: str
    outlet_id: str
    kind: int
    quantity: int = Field(sa_type=BigInteger)
    on_hand: int = Field(sa_type=BigInteger)
    cause: str
    request_id: str
    observe_time: datetime = Field(sa_type=UtcTime)
    record_time: datetime = Field(sa_type=UtcTime)
    reason: int = Field(sa_column_kwargs={"server_default": "0"})


class OnlineStockRow(Row, table=True):
    """What a channel may sell of an item; a missing row is a figure that was never but zero."""

    __tablename__ = "online_stock"
    __table_args__ = _BY_KEY | _OFTEN_CHANGED

    channel_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    quantity: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)
    update_time: datetime = Field(sa_type=UtcTime)


class ReservationRow(Row, table=True):
    """Stock held for an order."""

    __tablename__ = "reservations"
    __table_args__ = (
        Index(
            "ix_reservations_expire_time",
            "expire_time",
            sqlite_where=text("expire_time IS NOT NULL"),
            postgresql_where=text("expire_time IS NOT NULL"),
        ),
    )

    reservation_id: str = Field(primary_key=True)
    channel_id: str
    cause: str
    state: int
    create_time: datetime = Field(sa_type=UtcTime)
    expire_time: datetime | None = Field(sa_type=UtcTime)
    """NULL when it does not end by itself, or has ended."""
    explanation: str = Field(sa_column_kwargs={"server_default": ""})


class HoldRow(Row, table=True):
    """An allocation of a reservation; `held` while it still counts as reserved."""

    __tablename__ = "holds"
    __table_args__ = (
        Index(
            "ix_holds_held_item",
            "merchant_id",
            "item_id",
            sqlite_where=IS_HELD,
            postgresql_where=IS_HELD,
        ),
        Index(
            "ix_holds_held_outlet",
            "merchant_id",
            "outlet_id",
            sqlite_where=IS_HELD,
            postgresql_where=IS_HELD,
        ),
        Index(
            "ix_holds_posted",
            "merchant_id",
            "item_id",
            sqlite_where=IS_POSTED,
            postgresql_where=IS_POSTED,
        ),
    )

    reservation_id: str = Field(primary_key=True)
    line_id: str = Field(primary_key=True)
    outlet_id: str = Field(primary_key=True)
    item_id: str
    quantity: int = Field(sa_type=BigInteger)
    held: bool
    pos_version: int | None = Field(sa_type=BigInteger)


class BufferRow(Row, table=True):
    """Stock that is kept back from a channel; an empty outlet or item means each."""

    __tablename__ = "buffers"
    __table_args__ = (Index(None, "merchant_id", "item_id"),)

    channel_id: str = Field(primary_key=True)
    outlet_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    quantity: int = Field(sa_type=BigInteger)
    update_time: datetime = Field(sa_type=UtcTime)


class StockEditRow(Base, table=True):
    """A level that was typed in a store (INV-10)."""

    __tablename__ = "stock_edits"
    __table_args__ = (Index(None, "merchant_id", "channel_id", "edit_id"),)

    edit_id: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    merchant_id: str
    channel_id: str
    item_id: str
    own_quantity: int = Field(sa_type=BigInteger)
    store_quantity: int = Field(sa_type=BigInteger)
    outcome: int
    record_time: datetime = Field(sa_type=UtcTime)


class TransferRow(Row, table=True):
    """Stock on its way from one outlet to another."""

    __tablename__ = "transfers"
    __table_args__ = (Index(None, "merchant_id", "create_time", "transfer_id"),)

    transfer_id: str = Field(primary_key=True)
    from_outlet_id: str
    to_outlet_id: str
    state: int
    cause: str
    create_time: datetime = Field(sa_type=UtcTime)
    update_time: datetime = Field(sa_type=UtcTime)


class TransferLineRow(Row, table=True):
    """An item of a transfer."""

    __tablename__ = "transfer_lines"
    __table_args__ = (Index(None, "merchant_id", "item_id"),)

    transfer_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    sent: int = Field(sa_type=BigInteger)
    received: int = Field(sa_type=BigInteger)
    returned: int = Field(sa_type=BigInteger)
    lost: int = Field(sa_type=BigInteger)


class IncidentRow(Row, table=True):
    """A till has sold what was promised; at most one is open at a place."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index(None, "merchant_id", "create_time", "incident_id"),
        Index(
            "ix_incidents_open",
            "merchant_id",
            "item_id",
            "outlet_id",
            unique=True,
            sqlite_where=text("state = 1"),
            postgresql_where=text("state = 1"),
        ),
    )

    incident_id: str = Field(primary_key=True)
    item_id: str
    outlet_id: str
    cause: str
    state: int
    create_time: datetime = Field(sa_type=UtcTime)
    show_time: datetime = Field(sa_type=UtcTime, sa_column_kwargs={"server_default": "0"})
    """From when on it is listed."""
    end_time: datetime | None = Field(sa_type=UtcTime)
    sold: str = Field(sa_column_kwargs={"server_default": "[]"})
    """JSON: pairs of a reservation and how much its sale has taken."""


class HeldCountRow(Row, table=True):
    """A count that was not taken in, as it came: the newest one of its place (BEY-10)."""

    __tablename__ = "held_counts"

    outlet_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    quantity: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)
    observe_time: datetime = Field(sa_type=UtcTime)
    timed: bool
    cause: str
    request_id: str
    record_time: datetime = Field(sa_type=UtcTime)


class EmptiedItemRow(Row, table=True):
    """An item that a count has emptied a short time ago; older rows go."""

    __tablename__ = "emptied_items"

    outlet_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    empty_time: datetime = Field(sa_type=UtcTime)


class BreakerRow(Row, table=True):
    """When an operator last said yes to what an outlet's counts empty."""

    __tablename__ = "breakers"

    outlet_id: str = Field(primary_key=True)
    approve_time: datetime = Field(sa_type=UtcTime)


PLUMBING = Plumbing(Row.metadata)
ITEMS = Row.metadata.tables["items"]
LEVELS = Row.metadata.tables["levels"]
MOVEMENTS = Row.metadata.tables["movements"]
ONLINE = Row.metadata.tables["online_stock"]
OUTLETS = Row.metadata.tables["outlets"]
RESERVATIONS = Row.metadata.tables["reservations"]
HOLDS = Row.metadata.tables["holds"]
REGISTERS = Row.metadata.tables["registers"]
CHANNELS = Row.metadata.tables["channels"]
CONNECTIONS = Row.metadata.tables["connections"]
LEASES = Row.metadata.tables["leases"]
POLL_CURSORS = Row.metadata.tables["poll_cursors"]
BUFFERS = Row.metadata.tables["buffers"]
STOCK_EDITS = Row.metadata.tables["stock_edits"]
TRANSFERS = Row.metadata.tables["transfers"]
TRANSFER_LINES = Row.metadata.tables["transfer_lines"]
INCIDENTS = Row.metadata.tables["incidents"]
HELD_COUNTS = Row.metadata.tables["held_counts"]
EMPTIED_ITEMS = Row.metadata.tables["emptied_items"]
BREAKERS = Row.metadata.tables["breakers"]

ItemKey = tuple[str, str]
"""(merchant, item)."""
FigureKey = tuple[str, str, str]
"""(merchant, channel, item)."""
