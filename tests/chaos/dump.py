"""What the databases of a run hold: read past the services, by SQL of our own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pysqlite3.dbapi2 as sqlite
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from tests.chaos.history import History
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.customer.v1 import events_pb2 as customer_events_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2
from tillbridge.order.v1 import events_pb2 as order_events_pb2

Query = Callable[[str], list[tuple[Any, ...]]]

ROWS: Mapping[str, Mapping[str, str]] = {
    "inventory": {
        "movements": "SELECT movement_id, item_id, outlet_id, kind, quantity, on_hand, cause,"
        " request_id FROM movements ORDER BY movement_id",
        "levels": "SELECT item_id, outlet_id, on_hand, reserved FROM levels",
        "reservations": "SELECT reservation_id, cause, state FROM reservations",
        "holds": "SELECT reservation_id, item_id, outlet_id, quantity, held FROM holds",
        "online_stock": "SELECT channel_id, item_id, quantity, version FROM online_stock",
    },
    "order": {
        "orders": "SELECT order_id, state, sale_id, customer_id, waiting_reason FROM orders",
        "sales": "SELECT sale_id, order_id, customer_id, stock_pending FROM sales",
        "payments": "SELECT sale_id, amount_nanos FROM sale_payments",
    },
    "customer": {
        "customers": "SELECT customer_id, email_key FROM customers",
        "matches": "SELECT order_id, customer_id FROM matches",
    },
    "catalog": {"products": "SELECT product_id, version FROM products"},
}
"""What is dumped of each service beside its outbox and its consumers' cursors."""

_EVENTS = {
    found.full_name: GetMessageClass(found)
    for contract in (
        catalog_events_pb2,
        customer_events_pb2,
        inventory_events_pb2,
        order_events_pb2,
    )
    for found in contract.DESCRIPTOR.message_types_by_name.values()
}
_COLUMNS = {
    name: [column.strip() for column in query.partition("FROM")[0][len("SELECT ") :].split(",")]
    for tables in ROWS.values()
    for name, query in tables.items()
}


def dump(folder: Path, database_url: str, history: History) -> None:
    """Writes what all databases hold into the history."""
    for service, tables in ROWS.items():
        with opened(folder, database_url, service) as query:
            for name, statement in tables.items():
                for row in query(statement):
                    facts = dict(zip(_COLUMNS[name], row, strict=True))
                    history.write("row", of=name, **facts)
            for cursor, event_id, kind, data in query(
                "SELECT cursor, event_id, type, data FROM outbox ORDER BY cursor"
            ):
                said = {"id": event_id, "type": kind, "data": _message(kind, data)}
                history.write("row", of="outbox", feed=service, cursor=cursor, **said)
            for consumer, cursor in query("SELECT consumer, cursor FROM consumers"):
                history.write("row", of="consumers", feed=service, consumer=consumer, cursor=cursor)
            if not database_url:
                said = {"says": query("PRAGMA integrity_check")[0][0]}
                history.write("integrity", database=service, **said)


@contextmanager
def opened(folder: Path, database_url: str, service: str) -> Iterator[Query]:
    """A service's database, to be asked with SQL."""
    if not database_url:
        with closing(sqlite.connect(str(folder / f"{service}.sqlite3"), timeout=10)) as file:
            yield lambda statement: file.execute(statement).fetchall()
        return
    url = database_url.replace("{service}", service)
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda statement: connection.execute(statement.encode()).fetchall()


def _message(kind: str, data: bytes) -> dict[str, Any]:
    message = _EVENTS[kind].FromString(bytes(data))
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
