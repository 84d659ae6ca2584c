"""The same rows by plain batched SQL: what the database itself can do, as the limit."""

import time

from sqlalchemy import Engine

from services.chassis.engines import open_engine
from tests.bench import stock

_LEVEL = """
INSERT INTO levels (merchant_id, item_id, outlet_id, on_hand, reserved, version, observe_time)
VALUES ({}) ON CONFLICT (merchant_id, item_id, outlet_id)
DO UPDATE SET on_hand = excluded.on_hand, observe_time = excluded.observe_time
"""
_MOVEMENT = """
INSERT INTO movements (merchant_id, item_id, outlet_id, kind, quantity, on_hand, cause, request_id,
observe_time, record_time) VALUES ({})
"""


class Plain:
    """Writes levels and ledger rows, 100 each in a transaction, with nothing around it."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = open_engine(url, writing=True)
        mark = "%s" if self._engine.dialect.name == "postgresql" else "?"
        self._level = _LEVEL.format(", ".join([mark] * 7))
        self._movement = _MOVEMENT.format(", ".join([mark] * 10))

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
        now = stock.now_us()
        levels, movements = [], []
        for item_id, outlet_id in stock.places(stock.BATCH):
            place = (stock.MERCHANT, item_id, outlet_id)
            quantity = stock.quantity() * 1000
            levels.append((*place, quantity, 0, 0, now))
            movements.append((*place, 1, quantity, quantity, "bench", "request", now, now))
        with self._engine.begin() as connection:
            connection.exec_driver_sql(self._level, levels)
            connection.exec_driver_sql(self._movement, movements)
