"""P8: 10,000 counts and sales that come twice, late and out of order, on both databases."""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import pytest
from sqlalchemy import Connection, func, select

from services.chassis.plumbing import batches
from services.inventory.rules.stock import Kind
from services.inventory.store.tables import LEVELS, MOVEMENTS, ONLINE
from tests.deliveries import (
    BEGIN,
    EVENTS,
    EVERY,
    Clock,
    Deliveries,
    Delivery,
)
from tests.harness import eventually, metadata
from tests.inventory.conftest import HARBOUR, MAIN, Shop
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

SEED = 8
ITEMS = [f"mug-{number}" for number in range(1000)]
BATCH = 200
"""How many are told at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a point of sale has told: a level, or something sold (below zero) or returned."""

    number: int
    item_id: str
    outlet_id: str
    quantity: int
    version: int
    """Of the level; 0 where the point of sale gives none, and tells what it sells."""
    sold: bool
    time: datetime

    @property
    def place(self) -> tuple[str, str]:
        """What it is about."""
        return self.item_id, self.outlet_id


def history() -> list[Told]:
    """Main tells levels with versions, as X-Series does; Harbour what it counts and what it sells,
    with the time.
    """
    draw = random.Random(SEED)
    found = []
    for number in range(EVENTS):
        item_id, time = draw.choice(ITEMS), BEGIN + number * EVERY
        if draw.random() < 0.6:
            found.append(Told(number, item_id, MAIN, draw.randint(-1, 40), number + 1, False, time))
        elif draw.random() < 0.5:
            found.append(Told(number, item_id, HARBOUR, draw.randint(0, 40), 0, False, time))
        else:
            quantity = draw.choice([-3, -2, -1, -1, -1, 1])
            found.append(Told(number, item_id, HARBOUR, quantity, 0, True, time))
    return found


@dataclass(slots=True)
class Merchant:
    """A merchant to whom all of it happens."""

    name: str
    shop: Shop
    clock: Clock

    async def open(self) -> None:
        """Opens the shops and a channel."""
        who = metadata(self.name)
        channels = self.shop.channels
        for outlet_id in (MAIN, HARBOUR):
            outlet = channels_pb2.Outlet(outlet_id=outlet_id, display_name=outlet_id)
            await channels.CreateOutlet(
                channels_pb2.CreateOutletRequest(request_id=outlet_id, outlet=outlet), metadata=who
            )
        await channels.CreateChannel(
            channels_pb2.CreateChannelRequest(
                request_id="channel",
                display_name="Web",
                profile=channels_pb2.PROFILE_RETAIL_R_ECOM,
                primary_outlet_id=MAIN,
                connected_outlet_ids=[HARBOUR],
            ),
            metadata=who,
        )
        await self.shop.catalog.tell(ITEMS, merchant=self.name)

        async def known() -> None:
            last = pb.GetStockLevelRequest(item_id=ITEMS[-1], outlet_id=MAIN)
            await self.shop.stock.GetStockLevel(last, metadata=who)

        await eventually(known, 30.0)

    async def hear(self, calls: Iterable[Sequence[Delivery[Told]]]) -> None:
        """Is told of it, as it arrives; what comes together is told at once."""
        for run in calls:
            self.clock.move(run)
            told = [one.event for one in run]
            counts = [one for one in told if not one.sold]
            sales = [one for one in told if one.sold]
            await asyncio.gather(
                *([self._count(counts)] if counts else []), *map(self._sell, sales)
            )

    async def _count(self, told: Sequence[Told]) -> None:
        counts = []
        for one in told:
            count = pb.Count(
                item_id=one.item_id,
                outlet_id=one.outlet_id,
                quantity=str(one.quantity),
                version=one.version,
            )
            count.observe_time.FromDatetime(one.time)
            counts.append(count)
        request = pb.RecordCountsRequest(counts=counts, cause="pos")
        request.request_id = sha256(request.SerializeToString()).hexdigest()
        answer = await self.shop.stock.RecordCounts(request, metadata=metadata(self.name))
        assert not any(one.held for one in answer.results)

    async def _sell(self, told: Told) -> None:
        line = pb.Adjustment(
            item_id=told.item_id, outlet_id=told.outlet_id, quantity=str(told.quantity)
        )
        sold = pb.MOVEMENT_KIND_POS_SALE if told.quantity < 0 else pb.MOVEMENT_KIND_POS_RETURN
        request = pb.AdjustStockRequest(request_id=f"sale-{told.number}", kind=sold, lines=[line])
        request.observe_time.FromDatetime(told.time)
        await self.shop.stock.AdjustStock(request, metadata=metadata(self.name))

    async def state(self) -> set[tuple[object, ...]]:
        """Levels with their versions, and what the channel may sell."""
        level, figure = LEVELS.c, ONLINE.c
        levels = select(level.item_id, level.outlet_id, level.on_hand, level.version)
        figures = select(figure.item_id, figure.quantity).where(figure.quantity > 0)

        def read(connection: Connection) -> set[tuple[object, ...]]:
            rows = [
                *connection.execute(levels.where(level.merchant_id == self.name)),
                *connection.execute(figures.where(figure.merchant_id == self.name)),
            ]
            return {tuple(row) for row in rows}

        return await self.shop.service.database.read(read)

    async def movements(self) -> int:
        """How many rows the ledger has; each sale has made one."""
        rows = select(func.count()).where(MOVEMENTS.c.merchant_id == self.name)
        sales = rows.where(MOVEMENTS.c.kind.in_([int(Kind.POS_SALE), int(Kind.POS_RETURN)]))
        told = sum(one.sold for one in history())
        assert told == await self.shop.service.database.read(lambda c: c.execute(sales).scalar())
        return await self.shop.service.database.read(lambda c: c.execute(rows).scalar_one())


def one_at_a_place(deliveries: Iterable[Delivery[Told]]) -> Iterator[list[Delivery[Told]]]:
    """The deliveries in their order, in runs in which it makes no difference."""
    run: dict[tuple[str, str], Delivery[Told]] = {}
    for one in deliveries:
        if one.event.place in run:
            yield list(run.values())
            run = {}
        run[one.event.place] = one
    yield list(run.values())


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("BEY-01")
async def test_p8_counts_and_sales_that_come_twice_late_and_in_any_order_end_the_same(
    shop: Shop,
) -> None:
    clock = Clock(shop.service.database, shop.catalog.database)
    ordered, scattered = (Merchant(name, shop, clock) for name in ("in-order", "scattered"))
    await ordered.open()
    await scattered.open()
    deliveries = Deliveries(history(), SEED)
    arrived = deliveries.scattered()
    await ordered.hear(one_at_a_place(deliveries.in_order()))
    clock.now = BEGIN
    await scattered.hear(batches(arrived, BATCH))
    expected = await ordered.state()
    assert expected == await scattered.state()

    movements = await scattered.movements()
    await scattered.hear(batches(deliveries.in_order(), BATCH))  # once more, all of it
    assert (await scattered.movements(), await scattered.state()) == (movements, expected)
    print(f"P8 inventory seed={SEED} events={EVENTS} deliveries={len(arrived)} rows={movements}")
