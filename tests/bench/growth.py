"""What it costs with 1,000, 100,000 and 1,000,000 items, and to recalculate a whole channel.

The limit of a recalculation is the same in plain SQL, set-wise: the figures by one statement, and
their events by one more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa

from services.chassis.client import Metadata
from services.chassis.engines import open_engine
from services.chassis.plumbing import batches
from services.chassis.statements import append
from services.inventory.store.tables import LEVELS
from tests.bench import stock
from tests.bench.plain import Plain
from tests.bench.processes import Loader, calling, database, serving, token
from tillbridge.inventory.v1 import channels_pb2, events_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub

if TYPE_CHECKING:
    from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceAsyncStub

DEADLINE_S = 300.0
_LEVEL = ("merchant_id", "item_id", "outlet_id", "on_hand", "reserved", "version", "in_transit")
_ON_HAND = 1_000_000_000
_BATCH = 10_000

_FIGURES = """
INSERT INTO online_stock (merchant_id, channel_id, item_id, quantity, version, update_time)
SELECT merchant_id, :channel, item_id, sum(on_hand - reserved) / 1000, 2, :now FROM levels
WHERE merchant_id = :merchant AND outlet_id IN (:first, :second, :third) AND on_hand > reserved
GROUP BY merchant_id, item_id
ON CONFLICT (merchant_id, channel_id, item_id) DO UPDATE SET quantity = excluded.quantity,
version = online_stock.version + 1, update_time = excluded.update_time
WHERE online_stock.quantity <> excluded.quantity
"""
_EVENTS = """
INSERT INTO outbox (event_id, merchant_id, channel_id, type, subject, time, data)
SELECT {new_id}, merchant_id, channel_id, :type, 'item/' || item_id, :now, :data
FROM online_stock WHERE merchant_id = :merchant AND channel_id = :channel
AND update_time = :now
"""
_NEW_ID = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "replace(gen_random_uuid()::text, '-', '')",
}


@dataclass(slots=True)
class Shop:
    """A served shop with so many items at three outlets, of which two feed its channel."""

    items: int
    url: str
    stub: "ChannelServiceAsyncStub"
    loader: Loader

    async def recompute_s(self) -> float:
        """Connects the third outlet, until the last figure and event is written; the outlet is
        taken off the channel again before that is looked at.
        """
        begin = time.monotonic()
        await self._connect(stock.OUTLETS)
        took_s = time.monotonic() - begin
        await self._connect(stock.CONNECTED)
        return took_s

    async def _connect(self, outlet_ids: Sequence[str]) -> None:
        await self.stub.SetConnectedOutlets(
            channels_pb2.SetConnectedOutletsRequest(
                request_id=uuid4().hex,
                channel_id=self.loader.channel_id,
                outlet_ids=outlet_ids,
            ),
            metadata=_metadata(),
            timeout=DEADLINE_S,
        )

    def plain_s(self) -> float:
        """The same in plain SQL, then undone."""
        engine = open_engine(self.url, writing=True)
        told = {
            "merchant": stock.MERCHANT,
            "channel": self.loader.channel_id,
            "now": stock.now_us(),
            "type": events_pb2.OnlineStockChanged.DESCRIPTOR.full_name,
            "data": events_pb2.OnlineStockChanged(
                channel_id=self.loader.channel_id, item_id=stock.ITEMS[0], quantity=3, version=9
            ).SerializeToString(),
        }
        outlets = dict(zip(("first", "second", "third"), stock.OUTLETS, strict=True))
        begin = time.monotonic()
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL statement_timeout = 300000")
            connection.execute(sa.text(_FIGURES), told | outlets)
            events = _EVENTS.format(new_id=_NEW_ID[connection.dialect.name])
            connection.execute(sa.text(events), told)
        took_s = time.monotonic() - begin
        with engine.begin() as connection:  # as it was: of two outlets
            undone = sa.text(
                "UPDATE online_stock SET quantity = quantity - :given"
                " WHERE merchant_id = :merchant AND channel_id = :channel"
            )
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL statement_timeout = 300000")
            connection.execute(undone, told | {"given": _ON_HAND // 1000})
        engine.dispose()
        return took_s


@asynccontextmanager
async def shop(kind: str, items: int, folder: Path) -> AsyncIterator[Shop]:
    """A shop of this size on a fresh database of this kind."""
    with database(kind, folder) as (url, _):
        stock.ITEMS.how_many = items
        address = url.replace("{service}", "inventory")
        stock.prepare(address)
        _stock_up(address)
        async with (
            serving("inventory", url, folder) as service,
            calling(service.address, folder) as loader,
        ):
            await stock.open_shop(service.channel, _metadata(), DEADLINE_S)
            loader.items = items
            stub = ChannelServiceStub(service.channel)
            loader.channel_id = await _channel_id(stub)
            yield Shop(items, address, stub, loader)


def _stock_up(url: str) -> None:
    """Puts the same on hand of every item at every outlet."""
    engine = open_engine(url, writing=True)
    for some in batches(stock.ITEMS, _BATCH):
        with engine.begin() as connection:
            rows = [
                (stock.MERCHANT, item_id, outlet_id, _ON_HAND, 0, 0, 0)
                for item_id in some
                for outlet_id in sorted(stock.OUTLETS)
            ]
            append(connection, LEVELS, rows, _LEVEL)
    engine.dispose()


async def _channel_id(stub: "ChannelServiceAsyncStub") -> str:
    request = channels_pb2.ListChannelsRequest()
    answer = await stub.ListChannels(request, metadata=_metadata())
    return str(answer.channels[0].channel_id)


def _metadata() -> Metadata:
    return (("authorization", f"Bearer {token()}"),)


KINDS = ("count", "batch", "reserve_random", "read")
"""By 32 callers each, but for `batch`: by one."""
PLAIN = "plain_batch"
"""The rows of `batch` by plain SQL, which has as many more pages to read and to write."""


async def rates(shops: Sequence[Shop], turns: int, seconds: float) -> dict[tuple[str, int], float]:
    """Rows or calls a second by (kind, items), measured in turns over all shops."""
    found: dict[tuple[str, int], list[float]] = {}
    for turn in range(-1, turns):  # the first one warms up
        for kind in (*KINDS, PLAIN):
            for one in shops:
                rate = await _rate(one, kind, seconds)
                if turn >= 0:
                    found.setdefault((kind, one.items), []).append(rate)
    return {key: median(values) for key, values in found.items()}


async def _rate(one: Shop, kind: str, seconds: float) -> float:
    if kind == PLAIN:
        return await asyncio.to_thread(_plain_rate, one, seconds)
    batch = kind == "batch"
    rate = await one.loader.run(kind, 1 if batch else 32, seconds)
    return rate * stock.BATCH if batch else rate


def _plain_rate(one: Shop, seconds: float) -> float:
    stock.ITEMS.how_many = one.items
    plain = Plain(one.url)
    try:
        return plain.run(seconds)
    finally:
        plain.close()
