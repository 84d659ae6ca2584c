"""Customers of an older version, after an upgrade."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.chassis import migrate
from services.chassis.engines import open_engine
from services.customer import store
from services.customer.rules.profiles import Customer
from tests.harness import settings

_SHARED = {"merchant_id": "mug-shop", "pos_version": 0, "name": "", "phone": "", "create_time": 5}


def customer(customer_id: str, email: str, email_key: str, pos: str | None) -> Mapping[str, Any]:
    """A row as the older version wrote it."""
    return _SHARED | {
        "customer_id": customer_id,
        "email": email,
        "email_key": email_key,
        "pos_customer_id": pos,
        "origin": "POS" if pos else "ORDER",
        "update_time": 7,
    }


@pytest.mark.rule("CUS-01")
@pytest.mark.rule("BEY-14")
def test_customers_of_an_older_version_are_found_and_collide_as_new_ones(
    tmp_path: Path, database_url: str
) -> None:
    url = settings(tmp_path, database_url).database("customer")
    migrate.upgrade("customer", url, "0001_spine")
    rows = [
        customer("a", "Ann@example.com", "ann@example.com", "p-1"),
        customer("b", "ann@example.com", "ann@example.com", None),
        customer("c", "cid@fa\u00df.example", "cid@fass.example", "p-3"),
        customer("d", "cid@fass.example", "cid@fass.example", None),
        customer("e", "eve@b\u00fccher.example", "eve@xn--bcher-kva.example", None),
        customer("f", "", "", "p-6"),
        customer("g", "-", "", "p-7"),
    ]
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        connection.execute(sa.text(f"INSERT INTO customers ({names}) VALUES ({marks})"), rows)
    migrate.upgrade("customer", url)
    with engine.begin() as connection:
        found = {one.customer_id: one for one in store.page(connection, "mug-shop", "", "", 9)}
        listed = connection.execute(sa.text("SELECT customer_id, email_key FROM customers"))
        keys = {row.customer_id: row.email_key for row in listed}
        collisions = store.collision_page(connection, "mug-shop", "", 9)
    engine.dispose()
    assert {one: value.email_key for one, value in found.items()} == keys
    assert [(one.email_key, one.profiles, one.examples) for one in collisions] == [
        ("ann@example.com", 2, ("a", "b"))
    ]
    assert {"a", "c", "f", "g"} == {one for one, value in found.items() if value.sync_time}
    assert all(map(_stands, found.values()))


def _stands(one: Customer) -> bool:
    return one.survivor_key == one.key and not one.merged_into
