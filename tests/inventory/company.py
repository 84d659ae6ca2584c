"""A shop whose inventory is served several times on one database, and a day of its sales."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from services.chassis.status import from_rpc_error
from tests.harness import metadata
from tests.inventory.conftest import HARBOUR, MAIN, Client, request_id
from tests.inventory.test_incidents import incidents, resolve
from tillbridge.inventory.v1 import inventory_pb2 as pb

SEED, BUYERS, TILLS = 7, 200, 10
STOCK = {MAIN: 30, HARBOUR: 20}
PIECES = sum(STOCK.values())


@dataclass(frozen=True, slots=True)
class Company:
    """A shop whose inventory is served several times on one database."""

    shops: Sequence[Client]
    channel_id: str

    @property
    def shop(self) -> Client:
        """One of them."""
        return self.shops[0]

    async def reserve(self, shop: Client, *lines: tuple[str, str]) -> pb.Reservation | None:
        """Buys; None when there is not enough. What is held is what was asked for."""
        request = pb.ReserveStockRequest(
            request_id=request_id(),
            channel_id=self.channel_id,
            cause="order",
            lines=[
                pb.ReservationLine(line_id=str(number), item_id=item_id, quantity=quantity)
                for number, (item_id, quantity) in enumerate(lines)
            ],
        )
        try:
            answer = await _taken(shop.stock.ReserveStock, request)
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error).reason != "INSUFFICIENT_STOCK":
                raise
            return None
        held: pb.Reservation = answer.reservation
        asked = sum(float(quantity) for _, quantity in lines)
        assert sum(float(one.quantity) for one in held.allocations) == asked
        return held

    async def pay(self, shop: Client, held: pb.Reservation) -> pb.Reservation:
        """Takes what an order holds, all of it."""
        request = pb.CommitReservationRequest(
            request_id=request_id(), reservation_id=held.reservation_id
        )
        answer = await _taken(shop.stock.CommitReservation, request)
        paid: pb.Reservation = answer.reservation
        assert (paid.state, [*paid.allocations]) == (
            pb.RESERVATION_STATE_COMMITTED,
            [*held.allocations],
        )
        return paid

    async def sell(self, shop: Client, item_id: str, outlet_id: str) -> None:
        """Sells one at a till, which is never refused."""
        line = pb.Adjustment(item_id=item_id, outlet_id=outlet_id, quantity="-1")
        request = pb.AdjustStockRequest(
            request_id=request_id(), kind=pb.MOVEMENT_KIND_POS_SALE, lines=[line]
        )
        await _taken(shop.stock.AdjustStock, request)

    async def count(
        self, shop: Client, item_id: str, outlet_id: str, quantity: int, when: datetime
    ) -> None:
        """Tells what was counted at a time."""
        told = pb.Count(item_id=item_id, outlet_id=outlet_id, quantity=str(quantity))
        told.observe_time.FromDatetime(when)
        request = pb.RecordCountsRequest(request_id=request_id(), counts=[told])
        await _taken(shop.stock.RecordCounts, request)

    async def levels(self, item_id: str) -> dict[str, tuple[int, int]]:
        """What is on hand and held at each outlet."""
        found = {}
        for outlet_id in STOCK:
            level = await self.shop.level(item_id, outlet_id)
            found[outlet_id] = int(level.on_hand), int(level.reserved)
        return found


async def _taken(call: Any, request: Any) -> Any:
    """The answer to a call, which is repeated with its request id if the database did not take it,
    as every caller does.
    """
    while True:
        try:
            return await call(request, metadata=metadata())
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error).reason != "SERVICE_UNAVAILABLE":
                raise


async def one_round(found: Company, item_id: str, draw: random.Random) -> None:
    """200 buyers, 10 tills and 10 late stocktakes at 50 pieces; when all is over and paid for,
    exactly 50 are sold.
    """
    counted = datetime.now(UTC) - timedelta(minutes=1)
    for outlet_id, pieces in STOCK.items():
        await found.count(found.shop, item_id, outlet_id, pieces, counted)
    kept: dict[str, pb.Reservation] = {}

    async def buy(shop: Client, basket: Sequence[tuple[str, str]]) -> None:
        held = await found.reserve(shop, *basket)
        if held:
            kept[held.reservation_id] = held

    jobs = [buy(draw.choice(found.shops), basket) for basket in _baskets(item_id, draw)]
    jobs += _tills(found, item_id, counted, draw)
    draw.shuffle(jobs)
    await asyncio.gather(*jobs)

    await _check_incidents(found, item_id)
    while opened := await incidents(found.shop):
        newest = opened[0].orders[0].reservation_id
        await resolve(found.shop, opened[0], newest)  # the money is given back
        del kept[newest]
    while held := await found.reserve(found.shop, (item_id, "1")):
        kept[held.reservation_id] = held
    for on_hand, reserved in (await found.levels(item_id)).values():
        assert reserved <= on_hand

    paid = await asyncio.gather(
        *(found.pay(draw.choice(found.shops), held) for held in kept.values())
    )
    sold = sum(
        int(one.quantity) for order in paid for one in order.allocations if one.item_id == item_id
    )
    assert sold + TILLS == PIECES
    assert set((await found.levels(item_id)).values()) == {(0, 0)}


def _baskets(item_id: str, draw: random.Random) -> list[list[tuple[str, str]]]:
    kinds = [
        [(item_id, "1")],
        [(item_id, "1"), (item_id, "1")],  # one SKU on two lines
        [(item_id, "1"), ("plate", "1")],  # a bundle
    ]
    return draw.choices(kinds, weights=[8, 1, 1], k=BUYERS)


def _tills(
    found: Company, item_id: str, counted: datetime, draw: random.Random
) -> list[Coroutine[Any, Any, None]]:
    """Sales at tills, and stocktakes from before them that are told late, and change nothing."""
    jobs = []
    for number in range(TILLS):
        outlet_id = draw.choice(list(STOCK))
        when = counted + timedelta(seconds=number)
        jobs.append(found.sell(draw.choice(found.shops), item_id, outlet_id))
        jobs.append(
            found.count(draw.choice(found.shops), item_id, outlet_id, STOCK[outlet_id], when)
        )
    return jobs


async def _check_incidents(found: Company, item_id: str) -> None:
    """What is promised is there, but for what a till has taken, which is an incident, and exactly
    as large.
    """
    missing = {
        outlet_id: reserved - on_hand
        for outlet_id, (on_hand, reserved) in (await found.levels(item_id)).items()
        if reserved > on_hand
    }
    opened = await incidents(found.shop)
    assert Counter({one.outlet_id: int(one.missing) for one in opened}) == Counter(missing)
    assert all(one.item_id == item_id for one in opened)
