"""The tables. Quantities are thousandths; names are those of the contract."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, Serial, UtcTime


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
    __table_args__ = (Index(None, "merchant_id", "product_id"),)

    item_id: str = Field(primary_key=True)
    product_id: str
    tracked: bool
    deleted: bool
    revision: int = Field(sa_type=BigInteger)


class LevelRow(Row, table=True):
    """What an outlet has of an item: the sums of its movements and of its holds."""

    __tablename__ = "levels"
    __table_args__ = (Index(None, "merchant_id", "outlet_id", "item_id"),)

    item_id: str = Field(primary_key=True)
    outlet_id: str = Field(primary_key=True)
    on_hand: int = Field(sa_type=BigInteger)
    reserved: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)
    observe_time: datetime | None = Field(sa_type=UtcTime)


class MovementRow(Base, table=True):
    """The ledger; rows are added and never changed."""

    __tablename__ = "movements"
    __table_args__ = (Index(None, "merchant_id", "item_id", "movement_id"),)

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


class OnlineStockRow(Row, table=True):
    """What a channel may sell of an item; a missing row is a figure that was never but zero."""

    __tablename__ = "online_stock"

    channel_id: str = Field(primary_key=True)
    item_id: str = Field(primary_key=True)
    quantity: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)
    update_time: datetime = Field(sa_type=UtcTime)


class ReservationRow(Row, table=True):
    """Stock held for an order."""

    __tablename__ = "reservations"

    reservation_id: str = Field(primary_key=True)
    channel_id: str
    cause: str
    state: int
    create_time: datetime = Field(sa_type=UtcTime)


class HoldRow(Row, table=True):
    """An allocation of a reservation; `held` while it still counts as reserved."""

    __tablename__ = "holds"
    __table_args__ = (Index(None, "merchant_id", "item_id", "held"),)

    reservation_id: str = Field(primary_key=True)
    line_id: str = Field(primary_key=True)
    outlet_id: str = Field(primary_key=True)
    item_id: str
    quantity: int = Field(sa_type=BigInteger)
    held: bool
    pos_version: int | None = Field(sa_type=BigInteger)


PLUMBING = Plumbing(Row.metadata)
