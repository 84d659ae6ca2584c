"""Rows of customer, and the only SQL."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, Index, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, UtcTime
from services.chassis.statements import among, append, keys, upsert
from services.customer.rules.matches import Match, Rule
from services.customer.rules.profiles import Customer, Key, Origin

EXAMPLES_MAX = 10
_MERGED = sa.text("survivor_id IS NOT NULL")
_WAITS = sa.text("rule = 'AMBIGUOUS'")


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """What all rows of this context share: their metadata."""


class CustomerRow(Row, table=True):
    """A profile."""

    __tablename__ = "customers"
    __table_args__ = (
        Index(None, "merchant_id", "email_key"),
        Index(None, "merchant_id", "pos_customer_id", unique=True),
        Index(
            "ix_customers_merged",
            "merchant_id",
            "survivor_id",
            sqlite_where=_MERGED,
            postgresql_where=_MERGED,
        ),
    )

    merchant_id: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True)
    pos_customer_id: str | None
    """NULL until the point of sale has the profile, so that the index takes many of them."""
    pos_version: int = Field(sa_type=BigInteger)
    email: str
    email_key: str
    name: str
    phone: str
    origin: str
    create_time: datetime = Field(sa_type=UtcTime)
    update_time: datetime = Field(sa_type=UtcTime)
    sync_time: datetime | None = Field(sa_type=UtcTime)
    merged_into: str | None
    """NULL where it stands for itself, and so are the next two."""
    survivor_id: str | None
    merge_time: datetime | None = Field(sa_type=UtcTime)


class MatchRow(Row, table=True):
    """An order, and the profile that it was matched to."""

    __tablename__ = "matches"
    __table_args__ = (
        Index(None, "merchant_id", "customer_id", "channel_id", "order_id"),
        Index(
            "ix_matches_waiting",
            "merchant_id",
            "email_key",
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        ),
    )

    merchant_id: str = Field(primary_key=True)
    channel_id: str = Field(primary_key=True)
    order_id: str = Field(primary_key=True)
    customer_id: str
    """The profile that carried the address; empty while the order waits."""
    rule: str
    email: str
    email_key: str
    match_time: datetime = Field(sa_type=UtcTime)


class CollisionRow(Row, table=True):
    """An address that several profiles carry."""

    __tablename__ = "collisions"

    merchant_id: str = Field(primary_key=True)
    email_key: str = Field(primary_key=True)
    since: datetime = Field(sa_type=UtcTime)


PLUMBING = Plumbing(Row.metadata)
CUSTOMERS = Row.metadata.tables["customers"]
MATCHES = Row.metadata.tables["matches"]
COLLISIONS = Row.metadata.tables["collisions"]
_c, _m, _k = CUSTOMERS.c, MATCHES.c, COLLISIONS.c

_BY_ADDRESS = sa.select(CUSTOMERS).where(among(keys(), _c.merchant_id, _c.email_key))
_BY_POS_ID = sa.select(CUSTOMERS).where(among(keys(), _c.merchant_id, _c.pos_customer_id))
_BY_ID = sa.select(CUSTOMERS).where(among(keys(), _c.merchant_id, _c.customer_id))
_MERGED_INTO = sa.select(CUSTOMERS).where(
    among(keys(), _c.merchant_id, _c.survivor_id), _c.survivor_id.is_not(None)
)

_MATCHES = sa.select(MATCHES).where(among(keys(), _m.merchant_id, _m.channel_id, _m.order_id))
_MATCHED = among(keys(), _m.merchant_id, _m.customer_id)
_COUNT_MATCHED = sa.select(sa.func.count()).select_from(MATCHES).where(_MATCHED)
_OF_ADDRESS = (
    _m.rule == sa.literal_column("'AMBIGUOUS'"),
    among(keys(), _m.merchant_id, _m.email_key),
)
_WAITING = sa.select(_m.merchant_id, _m.channel_id, _m.order_id).where(*_OF_ADDRESS)
_COUNT_WAITING = (
    sa.select(_m.email_key, sa.func.count().label("orders"))
    .where(*_OF_ADDRESS)
    .group_by(_m.email_key)
)
_FORGET_COLLISIONS = sa.delete(COLLISIONS).where(among(keys(), _k.merchant_id, _k.email_key))

_owners = (
    sa.select(_c.email_key, sa.func.coalesce(_c.survivor_id, _c.customer_id).label("customer_id"))
    .where(among(keys(), _c.merchant_id, _c.email_key))
    .distinct()
    .subquery()
)
_ranked = sa.select(
    _owners,
    sa.func.count().over(partition_by=_owners.c.email_key).label("profiles"),
    sa.func.row_number()
    .over(partition_by=_owners.c.email_key, order_by=_owners.c.customer_id)
    .label("number"),
).subquery()
_OWNERS = (
    sa.select(_ranked)
    .where(_ranked.c.number <= EXAMPLES_MAX)
    .order_by(_ranked.c.email_key, _ranked.c.number)
)


@dataclass(frozen=True, slots=True)
class Collision:
    """An address that several profiles carry, and what waits for it."""

    email_key: str
    since: datetime
    profiles: int
    examples: tuple[str, ...]
    """Ids of the profiles, at most ten."""
    orders: int
    """How many wait."""


def carriers(connection: Connection, addresses: Collection[Key]) -> dict[Key, Customer]:
    """All profiles that have one of the addresses (merchant, key), and those whom they were merged
    into, by key.
    """
    found = _customers(connection, _BY_ADDRESS, addresses)
    return found | by_id(connection, {one.survivor_key for one in found.values()} - found.keys())


def by_pos_id(connection: Connection, pos_ids: Collection[Key]) -> dict[Key, Customer]:
    """The profiles that the point of sale knows by these ids (merchant, id), by key."""
    return _customers(connection, _BY_POS_ID, pos_ids)


def by_id(connection: Connection, wanted: Collection[Key]) -> dict[Key, Customer]:
    """The profiles with these keys (merchant, customer id), by key."""
    return _customers(connection, _BY_ID, wanted)


def merged_into(connection: Connection, survivors: Collection[Key]) -> dict[Key, Customer]:
    """All profiles whose orders belong to these ones since a merge, by key."""
    return _customers(connection, _MERGED_INTO, survivors)


def family(connection: Connection, customer: Customer) -> dict[Key, Customer]:
    """The one whom a profile's orders belong to, and all that were merged into that one, by key."""
    survivor = {customer.survivor_key}
    return by_id(connection, survivor) | merged_into(connection, survivor)


def page(
    connection: Connection, merchant_id: str, email_key: str, after: str, count: int
) -> list[Customer]:
    """Up to `count` profiles behind the id `after`, by id; of one address where one is given."""
    found = sa.select(CUSTOMERS).where(_c.merchant_id == merchant_id, _c.customer_id > after)
    if email_key:
        found = found.where(_c.email_key == email_key)
    return [
        _customer(row) for row in connection.execute(found.order_by(_c.customer_id).limit(count))
    ]


def save(connection: Connection, new: Sequence[Customer], old: Sequence[Customer]) -> None:
    """Writes profiles: new ones, and ones that are there already."""
    append(connection, CUSTOMERS, [_values(customer) for customer in new])
    upsert(connection, CUSTOMERS, [_values(customer) for customer in old])


def matches(
    connection: Connection, wanted: Collection[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Match]:
    """What is kept of these orders (merchant, channel, order), by the same."""
    rows = connection.execute(_MATCHES, {"keys": sorted(wanted)}) if wanted else ()
    return {(row.merchant_id, row.channel_id, row.order_id): _match(row) for row in rows}


def save_matches(connection: Connection, saved: Iterable[Match]) -> None:
    """Keeps matches of different orders, in place of what was kept before."""
    rows = [_columns(one) | {"rule": one.rule.value} for one in saved]
    upsert(connection, MATCHES, rows, distinct=True)


def count_matches(connection: Connection, customers: Collection[Key]) -> int:
    """How many orders were matched to these profiles."""
    if not customers:
        return 0
    return int(connection.execute(_COUNT_MATCHED, {"keys": sorted(customers)}).scalar_one())


def match_page(
    connection: Connection, customers: Collection[Key], after: tuple[str, str], count: int
) -> list[Match]:
    """Up to `count` orders of these profiles behind `after` (channel, order), by the same."""
    (merchant_id, customer_id), *others = sorted(customers)
    of_one = (_m.merchant_id == merchant_id, _m.customer_id == customer_id)
    found = sa.select(MATCHES).where(*((_MATCHED,) if others else of_one))
    found = found.where(sa.tuple_(_m.channel_id, _m.order_id) > sa.tuple_(*map(sa.literal, after)))
    found = found.order_by(_m.channel_id, _m.order_id).limit(count)
    given = {"keys": sorted(customers)} if others else {}
    return [_match(row) for row in connection.execute(found, given)]


def waiting(connection: Connection, addresses: Collection[Key]) -> list[tuple[str, str, str]]:
    """Merchant, channel and id of the orders that wait for one of these addresses, in order."""
    rows = connection.execute(_WAITING, {"keys": sorted(addresses)}) if addresses else ()
    return sorted((row.merchant_id, row.channel_id, row.order_id) for row in rows)


def save_collisions(
    connection: Connection, begun: Collection[Key], ended: Collection[Key], now: datetime
) -> None:
    """Notes which addresses several profiles carry since now, and which not any more."""
    if ended:
        connection.execute(_FORGET_COLLISIONS, {"keys": sorted(ended)})
    rows = [
        {"merchant_id": merchant_id, "email_key": email_key, "since": now}
        for merchant_id, email_key in begun
    ]
    upsert(connection, COLLISIONS, rows)


def collision_page(
    connection: Connection, merchant_id: str, after: str, count: int
) -> list[Collision]:
    """Up to `count` addresses behind `after` that several profiles carry, by address."""
    begun = connection.execute(
        sa.select(_k.email_key, _k.since)
        .where(_k.merchant_id == merchant_id, _k.email_key > after)
        .order_by(_k.email_key)
        .limit(count)
    ).all()
    if not begun:
        return []
    given = {"keys": [(merchant_id, row.email_key) for row in begun]}
    orders = {row.email_key: row.orders for row in connection.execute(_COUNT_WAITING, given)}
    owners: dict[str, list[str]] = {}
    profiles: dict[str, int] = {}
    for row in connection.execute(_OWNERS, given):
        owners.setdefault(row.email_key, []).append(row.customer_id)
        profiles[row.email_key] = row.profiles
    return [
        Collision(
            email_key=row.email_key,
            since=row.since,
            profiles=profiles.get(row.email_key, 0),
            examples=tuple(owners.get(row.email_key, ())),
            orders=orders.get(row.email_key, 0),
        )
        for row in begun
    ]


def _customers(
    connection: Connection, statement: sa.Select[Any], wanted: Collection[Key]
) -> dict[Key, Customer]:
    rows = connection.execute(statement, {"keys": sorted(wanted)}) if wanted else ()
    return {(row.merchant_id, row.customer_id): _customer(row) for row in rows}


def _columns(found: Customer | Match) -> dict[str, Any]:
    """The fields as they are, which asdict would copy one by one."""
    return {field.name: getattr(found, field.name) for field in fields(found)}


def _values(customer: Customer) -> dict[str, Any]:
    return _columns(customer) | {
        "email_key": customer.email_key,
        "pos_customer_id": customer.pos_customer_id or None,
        "merged_into": customer.merged_into or None,
        "survivor_id": customer.survivor_id or None,
        "origin": customer.origin.value,
    }


def _customer(row: sa.Row[Any]) -> Customer:
    return Customer(
        merchant_id=row.merchant_id,
        customer_id=row.customer_id,
        pos_customer_id=row.pos_customer_id or "",
        pos_version=row.pos_version,
        email=row.email,
        name=row.name,
        phone=row.phone,
        origin=Origin(row.origin),
        create_time=row.create_time,
        update_time=row.update_time,
        sync_time=row.sync_time,
        merged_into=row.merged_into or "",
        survivor_id=row.survivor_id or "",
        merge_time=row.merge_time,
    )


def _match(row: sa.Row[Any]) -> Match:
    return Match(
        merchant_id=row.merchant_id,
        channel_id=row.channel_id,
        order_id=row.order_id,
        customer_id=row.customer_id,
        rule=Rule(row.rule),
        email=row.email,
        email_key=row.email_key,
        match_time=row.match_time,
    )
