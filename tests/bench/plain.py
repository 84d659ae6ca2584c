"""The same rows by plain batched SQL: what the database itself can do, as the limit.

The rows are those that a call of RecordCounts leaves behind: levels, the ledger, the figures of the
channel, their events in the outbox, and the remembered answer.
"""

import time
from uuid import uuid4

from sqlalchemy import Engine

from services.chassis.engines import open_engine
from tests.bench import stock
from tillbridge.inventory.v1 import events_pb2

_LEVEL = """
INSERT INTO levels (merchant_id, item_id, outlet_id, on_hand, reserved, version, observe_time)
VALUES ({}) ON CONFLICT (merchant_id, item_id, outlet_id)
DO UPDATE SET on_hand = excluded.on_hand, observe_time = excluded.observe_time
"""
_MOVEMENT = """
INSERT INTO movements (merchant_id, item_id, outlet_id, kind, quantity, on_hand, cause, request_id,
observe_time, record_time) VALUES ({})
"""
_FIGURE = """
INSERT INTO online_stock (merchant_id, channel_id, item_id, quantity, version, update_time)
VALUES ({}) ON CONFLICT (merchant_id, channel_id, item_id)
DO UPDATE SET quantity = excluded.quantity, version = excluded.version,
update_time = excluded.update_time
"""
_EVENT = """
INSERT INTO outbox (event_id, merchant_id, channel_id, type, subject, time, data) VALUES ({})
"""
_ANSWER = """
INSERT INTO requests (merchant_id, method, request_id, digest, answer, record_time) VALUES ({})
"""
_CHANNEL = "channel"
_TYPE = events_pb2.OnlineStockChanged.DESCRIPTOR.full_name
_DATA = events_pb2.OnlineStockChanged(
    channel_id=f"ch-{uuid4().hex[:20]}", item_id="item-0000", quantity=5000, version=9
).SerializeToString()
_LEVEL_BYTES = 60
"""About what one level takes in a remembered answer."""


class Plain:
    """Writes what 100 counts leave behind, in one transaction, with nothing around it."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = open_engine(url, writing=True)
        mark = "%s" if self._engine.dialect.name == "postgresql" else "?"
        self._level, self._movement, self._figure, self._event, self._answer = (
            text.format(", ".join([mark] * count))
            for text, count in (
                (_LEVEL, 7),
                (_MOVEMENT, 10),
                (_FIGURE, 6),
                (_EVENT, 7),
                (_ANSWER, 6),
            )
        )

    def run(self, seconds: float) -> float:
        """Rows (a level and its movement are one) per second."""
        begin = time.monotonic()
        rows = 0
        while time.monotonic() - begin < seconds:
            self._write()
            rows += stock.BATCH
        return rows / (time.monotonic() - begin)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def _write(self) -> None:
        now, merchant = stock.now_us(), stock.MERCHANT
        levels, movements = [], []
        figures, events = {}, {}
        for item_id, outlet_id in stock.places(stock.BATCH):
            place = (merchant, item_id, outlet_id)
            quantity = stock.quantity() * 1000
            levels.append((*place, quantity, 0, 0, now))
            movements.append((*place, 1, quantity, quantity, "bench", "request", now, now))
            if outlet_id in stock.CONNECTED:
                figures[item_id] = (merchant, _CHANNEL, item_id, quantity, 1, now)
                about = (_CHANNEL, _TYPE, f"item/{item_id}", now, _DATA)
                events[item_id] = (uuid4().hex, merchant, *about)
        answer = (merchant, stock.PATH, uuid4().hex, bytes(16), bytes(_LEVEL_BYTES * 100), now)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(self._level, levels)
            connection.exec_driver_sql(self._movement, movements)
            connection.exec_driver_sql(self._figure, list(figures.values()))
            connection.exec_driver_sql(self._event, list(events.values()))
            connection.exec_driver_sql(self._answer, answer)
