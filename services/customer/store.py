"""Rows of customer, and the only SQL."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, Index, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.chassis.plumbing import NAMING, Plumbing, UtcTime
from services.chassis.statements import among, append, keys, upsert
from services.customer.rules import Customer, Origin

Key = tuple[str, str]
"""A merchant and something of theirs."""


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """What all rows of this context share: their metadata."""


class CustomerRow(Row, table=True):
    """A profile."""

    __tablename__ = "customers"
    __table_args__ = (
        Index(None, "merchant_id", "email_key"),
        Index(None, "merchant_id", "pos_customer_id", unique=True),
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


PLUMBING = Plumbing(Row.metadata)
CUSTOMERS = Row.metadata.tables["customers"]
_c = CUSTOMERS.c

_BY_ADDRESS = sa.select(CUSTOMERS).where(among(keys(), _c.merchant_id, _c.email_key))
_BY_POS_ID = sa.select(CUSTOMERS).where(among(keys(), _c.merchant_id, _c.pos_customer_id))


def by_address_or_pos_id(
    connection: Connection, email_keys: Collection[Key], pos_ids: Collection[Key]
) -> list[Customer]:
    """All profiles that have one of the addresses, or that the point of sale knows by one of the
    ids.
    """
    found: dict[Key, Customer] = {}
    for statement, wanted in ((_BY_ADDRESS, email_keys), (_BY_POS_ID, pos_ids)):
        for row in connection.execute(statement, {"keys": sorted(wanted)}) if wanted else ():
            found[row.merchant_id, row.customer_id] = _customer(row)
    return list(found.values())


def get(connection: Connection, merchant_id: str, customer_id: str) -> Customer | None:
    """The profile, if it is known."""
    row = connection.execute(
        sa.select(CUSTOMERS).where(_c.merchant_id == merchant_id, _c.customer_id == customer_id)
    ).first()
    return _customer(row) if row else None


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


def _values(customer: Customer) -> dict[str, Any]:
    return asdict(customer) | {
        "email_key": customer.email_key,
        "pos_customer_id": customer.pos_customer_id or None,
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
    )
