"""A till has sold what was promised, and the order's sale is in stock by now all the same: the
incident stays as long as nothing is there for that order, on both databases.
"""

from itertools import permutations

import pytest

from services.inventory.rules import incidents as rules
from services.inventory.rules.incidents import IN_FLIGHT, Sold
from services.inventory.rules.stock import Level
from tests.harness import metadata
from tests.inventory.conftest import HARBOUR, MAIN, Shop, request_id
from tests.inventory.test_incidents import attention_groups, incidents, resolve, sell
from tests.inventory.test_online import Clock
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import audit_pb2 as pb
from tillbridge.inventory.v1 import inventory_pb2


async def take_back(shop: Shop, item_id: str) -> None:
    """A till takes a piece back."""
    line = inventory_pb2.Adjustment(item_id=item_id, outlet_id=MAIN, quantity="1")
    await shop.stock.AdjustStock(
        inventory_pb2.AdjustStockRequest(
            request_id=request_id(), kind=inventory_pb2.MOVEMENT_KIND_POS_RETURN, lines=[line]
        ),
        metadata=metadata(),
    )


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("INV-13")
@pytest.mark.parametrize(
    ("on_hand", "reserved", "sold", "expected"),
    [
        (1, 1, 0, 0),
        (0, 1, 0, 1),
        (-3, 1, 0, 1),  # what tills sell below zero was promised to nobody
        (-3, 0, 0, 0),
        (-1, 0, 1, 1),  # as at (0, 1, 0), once the level includes the order's sale
        (-4, 0, 1, 1),
        (-1, 0, 3, 1),  # two of three are there
        (-1, 1, 1, 2),
        (0, 0, 1, 0),
        (0, 1, 1, 1),
        (2, 1, 1, 0),
    ],
)
def test_what_is_missing_is_the_same_before_and_after_a_level_includes_a_sale(
    on_hand: int, reserved: int, sold: int, expected: int
) -> None:
    assert rules.missing(Level("mug", MAIN, on_hand, reserved), sold) == expected


@pytest.mark.rule("BEY-04")
def test_what_is_sold_is_added_up_by_reservation() -> None:
    before = (Sold("r-1", 1), Sold("r-2", 2))
    assert rules.sold_more(before, {"r-2": 3, "r-3": 4}) == (
        Sold("r-1", 1),
        Sold("r-2", 5),
        Sold("r-3", 4),
    )


@pytest.mark.asyncio
@pytest.mark.rule("BEY-04")
@pytest.mark.parametrize("end", ["level", "return", "operator"])
async def test_an_order_is_hit_though_the_level_includes_its_sale(shop: Shop, end: str) -> None:
    clock = Clock(shop.service)
    channel = await shop.open()
    await shop.learn("mug", "pot")
    await shop.count("pot", MAIN, "5", version=1)
    await shop.count("mug", MAIN, "1", version=1)
    held = await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=MAIN)
    await sell(shop, "mug", MAIN, "1", cause="sale 1708")
    (found,) = await incidents(shop)
    await shop.commit(held.reservation_id, pos_version=10)
    await shop.count("mug", MAIN, "-1", version=11)
    assert (await shop.level("mug", MAIN)).reserved == "0"

    (still,) = await incidents(shop)
    assert (still.incident_id, still.missing, still.cause) == (
        found.incident_id,
        "1",
        "sale 1708",
    )
    assert [(hit.reservation_id, hit.quantity) for hit in still.orders] == [
        (held.reservation_id, "1")
    ]
    assert [one.kind for one in still.orders[0].proposals] == [pb.PROPOSAL_KIND_REFUND]
    (group,) = await attention_groups(shop)
    assert (group.cause, list(group.examples)) == (
        attention_pb2.ATTENTION_CAUSE_OVERSOLD,
        [found.incident_id],
    )
    if end == "level":
        await shop.count("mug", MAIN, "0", version=12)
    elif end == "return":
        await take_back(shop, "mug")
    else:
        after = await resolve(shop, still)
        assert (after.state, after.missing) == (pb.INCIDENT_STATE_ENDED, "0")
    assert not await incidents(shop)
    assert not await attention_groups(shop)
    clock.forward(IN_FLIGHT.total_seconds())
    await sell(shop, "mug", MAIN, "9")  # below zero, and nothing is promised
    assert not await incidents(shop)


@pytest.mark.asyncio
@pytest.mark.rule("BEY-04")
@pytest.mark.rule("BEY-08")
async def test_an_order_that_a_till_was_faster_than_is_hit_in_whatever_order_that_is_told(
    shop: Shop,
) -> None:
    """One piece, one order and one till: levels and the news of the order's sale come in every
    order, and levels may be lost.
    """
    clock = Clock(shop.service)
    channel = await shop.open()
    kinds = ["level 2", "level 11", "news 10"]
    orders = [*permutations(kinds), *permutations(kinds[1:])]
    items = [f"mug-{number}" for number in range(len(orders))]
    await shop.learn(*items, *(f"pot-{number}" for number in range(40)))
    for number in range(40):  # so that nothing looks like an outlet that is emptied
        await shop.count(f"pot-{number}", MAIN, "5", version=1)
    held = {}
    for item_id, arrivals in zip(items, orders, strict=True):
        await shop.count(item_id, MAIN, "1", version=1)
        held[item_id] = await shop.reserve(channel.channel_id, (item_id, "1"), outlet_id=MAIN)
        for arrival in arrivals:
            if arrival == "level 2":
                await shop.count(item_id, MAIN, "0", version=2)
            elif arrival == "level 11":
                await shop.count(item_id, MAIN, "-1", version=11)
            else:
                await shop.commit(held[item_id].reservation_id, pos_version=10)
        level = await shop.level(item_id, MAIN)
        assert (level.on_hand, level.reserved) == ("-1", "0")
    assert not await incidents(shop)  # the next levels may say that all is well
    clock.forward(IN_FLIGHT.total_seconds())
    found = {one.item_id: one for one in await incidents(shop)}
    assert {item_id: one.missing for item_id, one in found.items()} == dict.fromkeys(items, "1")
    for item_id, one in found.items():
        assert [hit.reservation_id for hit in one.orders] == [held[item_id].reservation_id]


@pytest.mark.asyncio
@pytest.mark.rule("BEY-04")
async def test_what_is_taken_here_and_not_there_hits_its_order_and_what_is_given_free_does_not(
    shop: Shop,
) -> None:
    """Without an outside point of sale: the sale of an order takes the stock when it is posted."""
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "2")
    older = await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=MAIN)
    newer = await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=MAIN)
    await sell(shop, "mug", MAIN, "2")
    await shop.commit(older.reservation_id)
    (found,) = await incidents(shop)
    assert [(hit.reservation_id, hit.quantity) for hit in found.orders] == [
        (newer.reservation_id, "1"),
        (older.reservation_id, "1"),
    ]
    after = await resolve(shop, found, newer.reservation_id)  # its money is given back
    assert [hit.reservation_id for hit in after.orders] == [older.reservation_id]
    assert (after.state, after.missing) == (pb.INCIDENT_STATE_OPEN, "1")
    await shop.count("mug", MAIN, "0")
    assert not await incidents(shop)


@pytest.mark.asyncio
@pytest.mark.rule("INV-13")
async def test_tills_that_sell_below_zero_what_nobody_was_promised_make_no_incident(
    shop: Shop,
) -> None:
    """Not even where orders were posted before, or an order is canceled in time."""
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "2")
    await shop.count("mug", HARBOUR, "9")
    sold = await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=MAIN)
    await shop.commit(sold.reservation_id)
    await sell(shop, "mug", MAIN, "1")
    await sell(shop, "mug", MAIN, "3")
    await take_back(shop, "mug")
    assert not await incidents(shop, pb.INCIDENT_STATE_UNSPECIFIED)
    await shop.count("mug", MAIN, "1")
    held = await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=MAIN)
    await sell(shop, "mug", MAIN, "2")
    assert len(await incidents(shop)) == 1
    await shop.stock.ReleaseReservation(
        inventory_pb2.ReleaseReservationRequest(
            request_id=request_id(), reservation_id=held.reservation_id
        ),
        metadata=metadata(),
    )
    assert not await incidents(shop)
