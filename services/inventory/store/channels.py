"""Outlets, registers, channels, connections, leases and cursors."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    insert,
    or_,
    select,
    true,
    tuple_,
    update,
)

from services.chassis.database import Transaction
from services.chassis.errors import DomainError
from services.chassis.plumbing import UtcTime
from services.chassis.statements import Lookup, among, keys, upsert
from services.inventory.rules.channels import (
    AllocationPolicy,
    AvailabilityMode,
    Channel,
    DisconnectedMethods,
    FulfillmentPolicy,
    KnownOutlet,
    Outlet,
    OutletPolicy,
    Policies,
    PostingPolicy,
    Profile,
    Register,
)
from services.inventory.store.tables import (
    CHANNELS,
    CONNECTIONS,
    LEASES,
    OUTLETS,
    POLL_CURSORS,
    REGISTERS,
)


def lock_channels(transaction: Transaction, merchants: Iterable[str], *, shared: bool) -> None:
    """Holds still which outlets feed which channel, for these merchants.

    Whoever changes stock shares the lock; whoever changes channels has it alone, and so sees every
    level at rest while all figures of a channel are recalculated.
    """
    transaction.lock((f"channels/{merchant}" for merchant in merchants), shared=shared)


def load_outlets(
    connection: Connection, merchant: str, after: str = "", limit: int | None = None
) -> list[KnownOutlet]:
    """The merchant's outlets by id."""
    rows = connection.execute(
        select(OUTLETS)
        .where(OUTLETS.c.merchant_id == merchant, OUTLETS.c.outlet_id > after)
        .order_by(OUTLETS.c.outlet_id)
        .limit(limit)
    )
    return [_known_outlet(row) for row in rows]


def find_outlet(connection: Connection, merchant: str, outlet_id: str) -> KnownOutlet | None:
    """The outlet, if it is known."""
    row = connection.execute(
        select(OUTLETS).where(OUTLETS.c.merchant_id == merchant, OUTLETS.c.outlet_id == outlet_id)
    ).first()
    return _known_outlet(row) if row else None


def save_outlet(connection: Connection, merchant: str, known: KnownOutlet) -> None:
    """Adds an outlet, or notes that it was told of again."""
    row = {
        "merchant_id": merchant,
        "outlet_id": known.outlet.outlet_id,
        "display_name": known.outlet.display_name,
        "create_time": known.create_time,
        "cause": known.cause,
        "sync_time": known.sync_time,
    }
    upsert(connection, OUTLETS, [row])


def _known_outlet(row: Any) -> KnownOutlet:
    outlet = Outlet(row.outlet_id, row.display_name)
    return KnownOutlet(outlet, row.cause, row.create_time, row.sync_time or row.create_time)


def load_registers(
    connection: Connection, merchant: str, after: str = "", limit: int | None = None
) -> list[tuple[Register, datetime]]:
    """The merchant's registers by id, with the time of their creation."""
    rows = connection.execute(
        select(REGISTERS)
        .where(REGISTERS.c.merchant_id == merchant, REGISTERS.c.register_id > after)
        .order_by(REGISTERS.c.register_id)
        .limit(limit)
    )
    return [
        (Register(row.register_id, row.display_name, row.outlet_id), row.create_time)
        for row in rows
    ]


def insert_register(
    connection: Connection, merchant: str, register: Register, now: datetime
) -> None:
    """Adds a register."""
    connection.execute(
        insert(REGISTERS).values(
            merchant_id=merchant,
            register_id=register.register_id,
            display_name=register.display_name,
            outlet_id=register.outlet_id,
            create_time=now,
        )
    )


def find_register(connection: Connection, merchant: str, register_id: str) -> Register:
    """One register.

    Raises:
        DomainError: REGISTER_NOT_FOUND.
    """
    row = connection.execute(
        select(REGISTERS).where(
            REGISTERS.c.merchant_id == merchant, REGISTERS.c.register_id == register_id
        )
    ).first()
    if not row:
        raise DomainError(
            "REGISTER_NOT_FOUND",
            f"there is no register {register_id!r}; create it first",
            field="register_id",
            register_id=register_id,
        )
    return Register(row.register_id, row.display_name, row.outlet_id)


def check_outlets(connection: Connection, merchant: str, wanted: Iterable[str]) -> None:
    """Finds each of these outlets.

    Raises:
        DomainError: OUTLET_NOT_FOUND.
    """
    known = set(
        connection.execute(
            select(OUTLETS.c.outlet_id).where(OUTLETS.c.merchant_id == merchant)
        ).scalars()
    )
    for outlet_id in wanted:
        if outlet_id not in known:
            raise DomainError(
                "OUTLET_NOT_FOUND",
                f"there is no outlet {outlet_id!r}; create it first",
                outlet_id=outlet_id,
            )


_CHANNEL = CHANNELS.c.keys()
_MERCHANT = _CHANNEL.index("merchant_id")
_CREATE_TIME = _CHANNEL.index("create_time")
_LOAD_CHANNELS = Lookup(
    select(CHANNELS).where(among(keys(), CHANNELS.c.merchant_id)).order_by(CHANNELS.c.channel_id)
)


def load_channels(
    connection: Connection, merchants: Sequence[str]
) -> dict[str, list[tuple[Channel, datetime]]]:
    """The channels of these merchants by id, with the time of their creation."""
    return read_channels(ask_channels(connection, merchants), merchants)


def ask_channels(connection: Connection, merchants: Sequence[str]) -> Iterator[Any]:
    """What `load_channels` tells, as rows."""
    return _LOAD_CHANNELS.ask(connection, keys=[(merchant,) for merchant in merchants])


def channels_before(connection: Connection) -> dict[str, Sequence[str]]:
    """By merchant, the channels there were when this connection last looked: a guess at those there
    are, whose figures can be asked for before that is known. For whoever looks to keep up. SQLite
    is waited for anyway, so there nothing is guessed, and no figure read that nobody needs.
    """
    if connection.dialect.name == "sqlite":
        return {}
    found: dict[str, Sequence[str]] = connection.info.setdefault("channels_before", {})
    return found


def read_channels(
    rows: Iterable[Any], merchants: Sequence[str]
) -> dict[str, list[tuple[Channel, datetime]]]:
    """As `load_channels`, from what `ask_channels` gave."""
    found: dict[str, list[tuple[Channel, datetime]]] = {merchant: [] for merchant in merchants}
    for row in rows:
        told = dict(zip(_CHANNEL, row, strict=True))
        found[told["merchant_id"]].append((_kept_channel(row), told["create_time"]))
    return found


@lru_cache(maxsize=1000)
def _kept_channel(row: tuple[Any, ...]) -> Channel:
    """A channel is read with every change of stock, and hardly ever another one."""
    return _channel(SimpleNamespace(**dict(zip(_CHANNEL, row, strict=True))))


_FIND_CHANNEL = Lookup(
    select(CHANNELS).where(
        CHANNELS.c.merchant_id == bindparam("merchant_id"),
        CHANNELS.c.channel_id == bindparam("channel_id"),
    )
)


def find_channel(
    connection: Connection, merchant: str, channel_id: str
) -> tuple[Channel, datetime]:
    """One channel, with the time of its creation.

    Raises:
        DomainError: CHANNEL_NOT_FOUND.
    """
    rows = _FIND_CHANNEL.rows(connection, merchant_id=merchant, channel_id=channel_id)
    if not rows:
        raise no_channel(channel_id)
    return _kept_channel(rows[0]), rows[0][_CREATE_TIME]


def no_channel(channel_id: str) -> DomainError:
    """That there is no such channel."""
    return DomainError(
        "CHANNEL_NOT_FOUND", f"there is no channel {channel_id!r}", channel_id=channel_id
    )


def _channel(row: Any) -> Channel:
    return Channel(
        channel_id=row.channel_id,
        display_name=row.display_name,
        profile=Profile(row.profile),
        policies=Policies(
            OutletPolicy(row.outlets),
            AllocationPolicy(row.allocation),
            PostingPolicy(row.posting),
            FulfillmentPolicy(row.fulfillment),
            row.out_of_stock_label,
            DisconnectedMethods(row.disconnected_methods),
            row.update_inventory,
            row.accept_store_stock_edits,
            row.silent_after_s,
            row.silent_quantity,
            row.post_sales,
            AvailabilityMode(row.shipping_availability),
            AvailabilityMode(row.delivery_availability),
            AvailabilityMode(row.pickup_availability),
        ),
        external_pos=row.external_pos,
        register_id=row.register_id,
        register_outlet_id=row.register_outlet_id,
        primary_outlet_id=row.primary_outlet_id,
        connected_outlet_ids=tuple(json.loads(row.connected_outlet_ids)),
        draining_outlet_ids=tuple(json.loads(row.draining_outlet_ids)),
        silent_outlet_ids=tuple(json.loads(row.silent_outlet_ids)),
    )


def _channel_columns(channel: Channel) -> dict[str, Any]:
    return {
        "display_name": channel.display_name,
        "profile": int(channel.profile),
        "outlets": int(channel.policies.outlets),
        "allocation": int(channel.policies.allocation),
        "posting": int(channel.policies.posting),
        "fulfillment": int(channel.policies.fulfillment),
        "out_of_stock_label": channel.policies.out_of_stock_label,
        "external_pos": channel.external_pos,
        "register_id": channel.register_id,
        "register_outlet_id": channel.register_outlet_id,
        "primary_outlet_id": channel.primary_outlet_id,
        "connected_outlet_ids": json.dumps(channel.connected_outlet_ids),
        "update_inventory": channel.policies.update_inventory,
        "accept_store_stock_edits": channel.policies.accept_store_stock_edits,
        "silent_after_s": channel.policies.silent_after_s,
        "silent_quantity": channel.policies.silent_quantity,
        "post_sales": channel.policies.post_sales,
        "shipping_availability": int(channel.policies.shipping_availability),
        "delivery_availability": int(channel.policies.delivery_availability),
        "pickup_availability": int(channel.policies.pickup_availability),
        "disconnected_methods": int(channel.policies.disconnected_methods),
        "draining_outlet_ids": json.dumps(channel.draining_outlet_ids),
        "silent_outlet_ids": json.dumps(channel.silent_outlet_ids),
    }


def insert_channel(connection: Connection, merchant: str, channel: Channel, now: datetime) -> None:
    """Adds a channel."""
    connection.execute(
        insert(CHANNELS).values(
            merchant_id=merchant,
            channel_id=channel.channel_id,
            create_time=now,
            **_channel_columns(channel),
        )
    )


def update_channel(connection: Connection, merchant: str, channel: Channel) -> None:
    """Saves a channel as it is now."""
    connection.execute(
        update(CHANNELS)
        .where(CHANNELS.c.merchant_id == merchant, CHANNELS.c.channel_id == channel.channel_id)
        .values(**_channel_columns(channel))
    )


_WATCHED = Lookup(
    select(CHANNELS)
    .where(
        or_(
            CHANNELS.c.silent_after_s > 0,
            CHANNELS.c.silent_outlet_ids != "[]",
            CHANNELS.c.draining_outlet_ids != "[]",
        )
    )
    .order_by(CHANNELS.c.merchant_id, CHANNELS.c.channel_id)
)


def load_watched(connection: Connection) -> list[tuple[str, Channel]]:
    """The channels of all merchants that may change by themselves, with their merchants."""
    return [(row[_MERCHANT], _kept_channel(row)) for row in _WATCHED.rows(connection)]


_LOAD_HEARD = Lookup(
    select(OUTLETS.c.outlet_id, OUTLETS.c.heard_time).where(
        OUTLETS.c.merchant_id == bindparam("merchant_id")
    )
)


def load_heard(connection: Connection, merchant: str) -> dict[str, datetime | None]:
    """When anything was last told of each of the merchant's outlets (BEY-12)."""
    return dict(_LOAD_HEARD.rows(connection, merchant_id=merchant))


_HEARD = (
    select(OUTLETS.c.merchant_id, OUTLETS.c.outlet_id)
    .where(among(keys(), OUTLETS.c.merchant_id, OUTLETS.c.outlet_id))
    .with_for_update(skip_locked=True)
)
_HEAR = (
    update(OUTLETS)
    .where(tuple_(OUTLETS.c.merchant_id, OUTLETS.c.outlet_id).in_(_HEARD))
    .values(heard_time=bindparam("now", type_=UtcTime))
)


def save_heard(connection: Connection, heard: Iterable[tuple[str, str]], now: datetime) -> None:
    """Notes that something was told of these outlets, by (merchant, outlet). Another process that
    is about to note the same is not waited for.
    """
    connection.execute(_HEAR, {"keys": sorted(heard), "now": now})


def put_connection(connection: Connection, row: dict[str, Any]) -> None:
    """Sets how one side of a channel is reached; the row has the columns of `connections`."""
    key = [CONNECTIONS.c[name] == row[name] for name in ("merchant_id", "channel_id", "side")]
    connection.execute(delete(CONNECTIONS).where(*key))
    connection.execute(insert(CONNECTIONS).values(**row))


def load_connections(connection: Connection, merchant: str, channel_id: str) -> list[Any]:
    """Rows of `connections`, of all merchants and channels where these are empty."""
    table = CONNECTIONS.c
    return list(
        connection.execute(
            select(CONNECTIONS)
            .where(
                table.merchant_id == merchant if merchant else true(),
                table.channel_id == channel_id if channel_id else true(),
            )
            .order_by(table.merchant_id, table.channel_id, table.side)
        )
    )


def acquire_lease(  # noqa: PLR0917  (a key, a holder and a time)
    connection: Connection,
    merchant: str,
    channel_id: str,
    lease: str,
    holder: str,
    times: tuple[datetime, datetime],
) -> datetime | None:
    """Takes or prolongs a lease until the second of `times`, if it is free at the first.

    Returns until when somebody else has it; None when it was taken.
    """
    now, expire_time = times
    table = LEASES.c
    key = (
        table.merchant_id == merchant,
        table.channel_id == channel_id,
        table.lease == lease,
    )
    row = connection.execute(select(LEASES).where(*key).with_for_update()).first()
    if row and row.holder != holder and row.expire_time > now:
        until: datetime = row.expire_time
        return until
    if row:
        connection.execute(
            update(LEASES).where(*key).values(holder=holder, expire_time=expire_time)
        )
    else:
        connection.execute(
            insert(LEASES).values(
                merchant_id=merchant,
                channel_id=channel_id,
                lease=lease,
                holder=holder,
                expire_time=expire_time,
            )
        )
    return None


def put_poll_cursor(
    connection: Connection, merchant: str, channel_id: str, resource: str, cursor: str
) -> None:
    """Keeps how far polling has got."""
    table = POLL_CURSORS.c
    key = (
        table.merchant_id == merchant,
        table.channel_id == channel_id,
        table.resource == resource,
    )
    connection.execute(delete(POLL_CURSORS).where(*key))
    connection.execute(
        insert(POLL_CURSORS).values(
            merchant_id=merchant, channel_id=channel_id, resource=resource, cursor=cursor
        )
    )


def poll_cursor(connection: Connection, merchant: str, channel_id: str, resource: str) -> str:
    """How far polling has got; empty when it never ran."""
    table = POLL_CURSORS.c
    return (
        connection.execute(
            select(table.cursor).where(
                table.merchant_id == merchant,
                table.channel_id == channel_id,
                table.resource == resource,
            )
        ).scalar()
        or ""
    )
