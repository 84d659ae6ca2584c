"""Orders of an older version, after an upgrade."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.chassis import migrate
from services.chassis.engines import open_engine
from services.order.rules.filters import Filters
from services.order.store import order_lists
from services.order.store.statements import Page
from tests.harness import settings

_DOCUMENT: dict[str, Any] = {
    "version": 1,
    "lines": [{"line_id": "1", "item_id": "", "sku": "MUG", "name": "Mug", "quantity": 1000}],
    "total": {"currency_code": "EUR", "amount_nanos": 10**10},
}


def order(order_id: str, status: int | None, email: str, address: str | None) -> dict[str, Any]:
    """A row as the older version wrote it; without a status, of an order that was only reported."""
    told = _DOCUMENT | {"order_id": order_id, "payment_status": status, "email": email}
    return {
        "merchant_id": "m",
        "channel_id": "web",
        "order_id": order_id,
        "state": 6,
        "document": json.dumps(told) if status else None,
        "address": address,
        "customer_id": "",
        "holds_ended": 0,
        "reservation_id": "",
        "sale_id": "",
        "committed": False,
        "waiting_reason": "",
        "waiting_message": "",
        "attempts": 0,
        "awaited": "[]",
        "create_time": 5,
        "update_time": 5,
    }


@pytest.mark.rule("ORD-01")
def test_orders_of_an_older_version_are_found_by_what_is_looked_for(
    tmp_path: Path, database_url: str
) -> None:
    url = settings(tmp_path, database_url).database("order")
    migrate.upgrade("order", url, "0002_sync_time")
    rows = [
        order("matched", 2, "Ann@Example.com", "ann@example.com"),
        order("unmatched", 1, " Bob@Example.com ", None),
        order("umlaut", 2, "J\u00d6RG@example.com", None),
        order("nobody", 3, "", ""),
        order("reported", None, "", None),
    ]
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        connection.execute(sa.text(f"INSERT INTO orders ({names}) VALUES ({marks})"), rows)

    migrate.upgrade("order", url)

    def found(**filters: Any) -> list[str]:
        listed = order_lists.list_orders(connection, "m", Page(9, None), Filters(**filters))
        return [one.key.order_id for one in listed]

    with engine.begin() as connection:
        assert found() == ["unmatched", "umlaut", "reported", "nobody", "matched"]
        assert found(query="ann@example.com") == ["matched"]
        assert found(query="BOB@example.com") == ["unmatched"]
        assert found(query="j\u00f6rg@example.com") == ["umlaut"]
        assert found(payment_status=2) == ["umlaut", "matched"]
        assert found(payment_status=1) == ["unmatched"]
    engine.dispose()
