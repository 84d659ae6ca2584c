"""Holds that end by themselves, strategies and the ledger's causes, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from services.chassis import database
from services.chassis.database import Database
from services.inventory.rules.channels import AllocationPolicy
from services.inventory.service import build
from services.inventory.service.reservations import expire_due
from services.inventory.store import PLUMBING
from services.inventory.store.tables import CHANNELS, RESERVATIONS
from tests import harness
from tests.conftest import new_database
from tests.harness import eventually, metadata, refused, running
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Shop, catalog_feed, request_id
from tests.inventory.test_check import check
from tillbridge.inventory.v1 import channels_pb2, events_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

pytestmark = pytest.mark.asyncio

HOUR_S = 3600


async def reserve_for(shop: Shop, channel_id: str, seconds: int, *items: str) -> pb.Reservation:
    """Holds one of each of these items for a time."""
    answer = await shop.stock.ReserveStock(
        pb.ReserveStockRequest(
            request_id=request_id(),
            channel_id=channel_id,
            cause="cart 1",
            time_to_live_s=seconds,
            lines=[
                pb.ReservationLine(line_id=item_id, item_id=item_id, quantity="1")
                for item_id in items
            ],
        ),
        metadata=metadata(),
    )
    return answer.reservation


async def extend(shop: Shop, reservation_id: str, seconds: int) -> pb.Reservation:
    """Takes a hold on to another time."""
    answer = await shop.stock.ExtendReservation(
        pb.ExtendReservationRequest(
            request_id=request_id(), reservation_id=reservation_id, time_to_live_s=seconds
        ),
        metadata=metadata(),
    )
    return answer.reservation


async def let_time_pass(shop: Shop, reservation_id: str) -> None:
    """As if its time were over; the background task may end it from now on."""
    await shop.service.database.apply(
        "let time pass",
        lambda transaction: transaction.connection.execute(
            update(RESERVATIONS)
            .where(RESERVATIONS.c.reservation_id == reservation_id)
            .values(expire_time=datetime(2020, 1, 1, tzinfo=UTC))
        ),
    )


@pytest.mark.rule("INV-14")
async def test_a_hold_ends_by_itself_when_its_time_is_up(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "1")
    held = await reserve_for(shop, channel.channel_id, 1, "mug")
    left = held.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=1)
    assert (await shop.online(channel.channel_id, "mug")).quantity == 0
    told = len(await shop.events())

    async def free() -> bool:
        return (await shop.level("mug", MAIN)).available == "1"

    await eventually(free)
    assert (await shop.online(channel.channel_id, "mug")).quantity == 1
    (event,) = (await shop.events())[told:]
    figure = events_pb2.OnlineStockChanged()
    assert event.data.Unpack(figure)
    assert figure.quantity == 1
    async with refused("RESERVATION_ENDED") as facts:
        await shop.commit(held.reservation_id)
    assert facts["state"] == "EXPIRED"
    async with refused("RESERVATION_ENDED"):
        await extend(shop, held.reservation_id, HOUR_S)
    await reserve_for(shop, channel.channel_id, 0, "mug")


@pytest.mark.rule("INV-14")
async def test_a_hold_without_an_end_stays_and_one_that_goes_on_too(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "3")
    for_good = await reserve_for(shop, channel.channel_id, 0, "mug")
    assert not for_good.HasField("expire_time")
    short = await reserve_for(shop, channel.channel_id, HOUR_S, "mug")
    longer = await extend(shop, short.reservation_id, 2 * HOUR_S)
    assert longer.expire_time.seconds - short.expire_time.seconds >= HOUR_S
    assert not (await extend(shop, short.reservation_id, 0)).HasField("expire_time")
    posted = await reserve_for(shop, channel.channel_id, HOUR_S, "mug")
    after = await shop.commit(posted.reservation_id, pos_version=9)
    assert after.state == pb.RESERVATION_STATE_POSTED
    assert not after.HasField("expire_time")
    assert await expire_due(shop.service.database) == 0
    assert (await shop.level("mug", MAIN)).reserved == "3"
    async with refused("RESERVATION_ENDED"):
        await extend(shop, posted.reservation_id, HOUR_S)
    async with refused("RESERVATION_NOT_FOUND"):
        await extend(shop, "rs-nobody", HOUR_S)


@pytest.mark.rule("INV-14")
async def test_a_hold_ends_once_however_many_see_that_it_is_over(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug", "pot")
    await shop.count("mug", MAIN, "9")
    await shop.count("pot", MAIN, "9")
    held = [
        (await reserve_for(shop, channel.channel_id, HOUR_S, "mug", "pot")).reservation_id
        for _ in range(5)
    ]
    for reservation_id in held[:4]:
        await let_time_pass(shop, reservation_id)
    database = shop.service.database
    url = shop.service.settings.database("inventory")
    others = [Database(url, PLUMBING) for _ in range(3 if "postgresql" in url else 0)]
    try:
        await asyncio.gather(*(expire_due(one) for one in [database, database, *others]))
    finally:
        for one in others:
            await one.close()
    assert (await shop.level("mug", MAIN)).reserved == "1"
    assert await check(shop) == []
    assert await expire_due(database) == 0


@pytest.mark.rule("INV-14")
async def test_holds_end_by_the_clock_of_the_database_that_processes_share(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose clock is ten minutes ahead neither ends a hold early nor gives it longer."""
    ahead = timedelta(minutes=10)
    monkeypatch.setattr(database, "utc_now", lambda: datetime.now(UTC) + ahead)
    async for shop in _late_shop(postgres, tmp_path):
        channel = await shop.open()
        await shop.learn("mug")
        await shop.count("mug", MAIN, "1")
        held = await reserve_for(shop, channel.channel_id, 300, "mug")
        left = held.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
        assert timedelta(seconds=240) < left <= timedelta(seconds=301)
        assert await expire_due(shop.service.database) == 0
        assert (await shop.level("mug", MAIN)).reserved == "1"


async def _late_shop(postgres: str, folder: Path) -> AsyncIterator[Shop]:
    with new_database(postgres) as url:
        async with catalog_feed(folder) as catalog:
            configured = harness.settings(folder, url, catalog_address=catalog.address)
            async with running("inventory", PLUMBING, build, configured) as service:
                yield Shop(service, catalog)


async def test_two_holds_in_one_moment_and_their_ends_leave_one_truth(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    held = await reserve_for(shop, channel.channel_id, HOUR_S, "mug")
    await let_time_pass(shop, held.reservation_id)

    async def commit() -> str:
        async with refused("RESERVATION_ENDED"):
            await shop.commit(held.reservation_id)
            return "committed"
        return "expired"

    async def commit_or_not() -> str:
        try:
            return await commit()
        except AssertionError:
            return "committed"

    ended, _ = await asyncio.gather(commit_or_not(), expire_due(shop.service.database))
    level = await shop.level("mug", MAIN)
    assert (level.on_hand, level.reserved) == ("4" if ended == "committed" else "5", "0")
    assert await check(shop) == []


# The policy, what is on hand at Main, Harbour and the third, and who gives five of it.
@pytest.mark.rule("ORD-10")
@pytest.mark.rule("BEY-02")
@pytest.mark.parametrize(
    ("policy", "there", "expected"),
    [
        (AllocationPolicy.FEWEST_SPLITS, "1 2 4", {MAIN: "1", THIRD: "4"}),
        (AllocationPolicy.PRIORITY,      "1 2 4", {MAIN: "1", HARBOUR: "2", THIRD: "2"}),
        (AllocationPolicy.WHOLE_ORDER,   "1 5 9", {HARBOUR: "5"}),
    ],
)  # fmt: skip
async def test_the_policy_of_the_channel_decides_which_outlet_gives(
    shop: Shop, policy: AllocationPolicy, there: str, expected: dict[str, str]
) -> None:
    channel = await shop.open(connected_outlet_ids=[HARBOUR, THIRD])
    await shop.service.database.apply(
        "set policy",
        lambda transaction: transaction.connection.execute(
            update(CHANNELS).values(allocation=int(policy))
        ),
    )
    await shop.learn("mug")
    for outlet_id, quantity in zip((MAIN, HARBOUR, THIRD), there.split(), strict=True):
        await shop.count("mug", outlet_id, quantity)
    held = await shop.reserve(channel.channel_id, ("mug", "5"))
    assert expected == {one.outlet_id: one.quantity for one in held.allocations}
    assert held.explanation.startswith(f"From {', '.join(expected)}: ")
    assert (await shop.commit(held.reservation_id)).explanation == held.explanation


@pytest.mark.rule("INV-12")
@pytest.mark.rule("INV-03")
async def test_a_posted_sale_takes_its_stock_from_the_outlet_of_the_register(shop: Shop) -> None:
    channel = await shop.open(
        profile=channels_pb2.PROFILE_RETAIL_X_ECWID,
        register_id="till-harbour",
        connected_outlet_ids=[],
    )
    await shop.learn("mug")
    await shop.count("mug", MAIN, "9")
    await shop.count("mug", HARBOUR, "5")
    held = await shop.reserve(channel.channel_id, ("mug", "2"))
    await shop.commit(held.reservation_id)
    assert (await shop.level("mug", HARBOUR)).on_hand == "3"
    assert (await shop.level("mug", MAIN)).on_hand == "9"
    moved = await shop.stock.ListMovements(
        pb.ListMovementsRequest(item_id="mug", page_size=1), metadata=metadata()
    )
    assert [(one.kind, one.outlet_id, one.cause) for one in moved.movements] == [
        (pb.MOVEMENT_KIND_ONLINE_SALE, HARBOUR, "order XJ12H")
    ]
    async with refused("INSUFFICIENT_STOCK"):
        await shop.reserve(channel.channel_id, ("mug", "4"))


@pytest.mark.rule("BEY-01")
async def test_a_movement_keeps_why_it_was_made(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug")

    async def adjust(
        kind: pb.MovementKind.ValueType,
        reason: pb.AdjustmentReason.ValueType = pb.ADJUSTMENT_REASON_UNSPECIFIED,
    ) -> None:
        line = pb.Adjustment(item_id="mug", outlet_id=MAIN, quantity="1.5")
        await shop.stock.AdjustStock(
            pb.AdjustStockRequest(
                request_id=request_id(), kind=kind, reason=reason, lines=[line], cause="shelf 3"
            ),
            metadata=metadata(),
        )

    await adjust(pb.MOVEMENT_KIND_ADJUSTMENT, pb.ADJUSTMENT_REASON_FOUND)
    await adjust(pb.MOVEMENT_KIND_RESTOCK)
    async with refused("INVALID_FIELD"):
        await adjust(pb.MOVEMENT_KIND_RECEIPT, pb.ADJUSTMENT_REASON_FOUND)
    async with refused("INVALID_FIELD"):
        await adjust(pb.MOVEMENT_KIND_CORRECTION)
    answer = await shop.stock.ListMovements(
        pb.ListMovementsRequest(item_id="mug"), metadata=metadata()
    )
    assert [(one.kind, one.reason, one.on_hand, one.cause) for one in answer.movements] == [
        (pb.MOVEMENT_KIND_RESTOCK, pb.ADJUSTMENT_REASON_UNSPECIFIED, "3", "shelf 3"),
        (pb.MOVEMENT_KIND_ADJUSTMENT, pb.ADJUSTMENT_REASON_FOUND, "1.5", "shelf 3"),
    ]


@pytest.mark.rule("BEY-08")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
async def test_counts_and_sales_of_the_past_may_come_in_any_order(
    shop: Shop, order: tuple[int, ...]
) -> None:
    """Nine were there at ten, one was sold at a quarter past, and one before it was counted."""
    await shop.open()
    await shop.learn("mug")

    def sale(when: str) -> pb.AdjustStockRequest:
        line = pb.Adjustment(item_id="mug", outlet_id=MAIN, quantity="-1")
        request = pb.AdjustStockRequest(
            request_id=request_id(), kind=pb.MOVEMENT_KIND_POS_SALE, lines=[line]
        )
        request.observe_time.FromJsonString(when)
        return request

    counted = pb.Count(item_id="mug", outlet_id=MAIN, quantity="9")
    counted.observe_time.FromJsonString("2026-07-04T10:00:00Z")
    count = pb.RecordCountsRequest(request_id=request_id(), counts=[counted])
    told = (sale("2026-07-04T09:45:00Z"), count, sale("2026-07-04T10:15:00Z"))
    for _ in range(2):
        for number in order:
            request = told[number]
            if isinstance(request, pb.RecordCountsRequest):
                await shop.stock.RecordCounts(request, metadata=metadata())
            else:
                await shop.stock.AdjustStock(request, metadata=metadata())
        assert (await shop.level("mug", MAIN)).on_hand == "8"
    assert await check(shop) == []


@pytest.mark.rule("INV-03")
@pytest.mark.rule("BEY-04")
async def test_stock_is_taken_at_once_all_of_it_or_nothing_and_put_back_once(shop: Shop) -> None:
    channel = await shop.open()
    channel_id = channel.channel_id
    await shop.learn("mug", "cup")
    for item_id in ("mug", "cup"):
        await shop.count(item_id, MAIN, "5")
    async with refused("INSUFFICIENT_STOCK"):
        await shop.take(channel_id, ("mug", "2"), ("cup", "6"))
    again = request_id()
    taken = await shop.take(channel_id, ("mug", "2"), ("cup", "1"), id_of_request=again)
    assert taken.state == pb.RESERVATION_STATE_TAKEN
    assert taken == await shop.take(channel_id, ("mug", "2"), ("cup", "1"), id_of_request=again)
    level = await shop.level("mug", MAIN)
    assert (level.on_hand, level.reserved) == ("3", "0")
    assert (await shop.online(channel_id, "mug")).quantity == 3
    release = pb.ReleaseReservationRequest(
        request_id=request_id(), reservation_id=taken.reservation_id
    )
    async with refused("RESERVATION_ENDED"):
        await shop.stock.ReleaseReservation(release, metadata=metadata())
    assert (await shop.commit(taken.reservation_id)).state == pb.RESERVATION_STATE_TAKEN
    for _ in range(2):
        back = await shop.put_back(taken.reservation_id)
        assert back.state == pb.RESERVATION_STATE_RELEASED
    assert (await shop.level("mug", MAIN)).on_hand == "5"
    assert (await shop.online(channel_id, "mug")).quantity == 5
    assert not await check(shop)
    held = await shop.reserve(channel_id, ("mug", "1"))
    async with refused("RESERVATION_ENDED"):
        await shop.put_back(held.reservation_id)
    async with refused("RESERVATION_NOT_FOUND"):
        await shop.put_back("rs-nowhere")


@pytest.mark.rule("INV-03")
async def test_stock_of_an_outside_point_of_sale_is_not_taken_here(shop: Shop) -> None:
    channel = await shop.open(external_pos=True)
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    async with refused("INVALID_FIELD") as found:
        await shop.take(channel.channel_id, ("mug", "1"))
    assert "ReserveStock" in found["channel_id"]
    assert (await shop.level("mug", MAIN)).on_hand == "5"
