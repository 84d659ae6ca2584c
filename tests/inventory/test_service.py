"""The inventory over the network, on both databases."""

import asyncio

import pytest

from tests.harness import MERCHANT, eventually, metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Shop, request_id
from tillbridge.inventory.v1 import channels_pb2, events_pb2, inventory_pb2

pytestmark = pytest.mark.asyncio


@pytest.mark.rule("INV-04")
async def test_online_stock_is_the_sum_over_the_connected_outlets(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    await shop.count("mug", HARBOUR, "3")
    await shop.count("mug", THIRD, "100")

    assert (await shop.online(channel.channel_id, "mug")).quantity == 8


@pytest.mark.rule("INV-02", "BEY-01")
async def test_every_change_of_stock_shows_in_the_channel(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    seen = []

    async def see() -> None:
        seen.append((await shop.online(channel.channel_id, "mug")).quantity)

    await shop.count("mug", MAIN, "10")
    await see()
    for kind, quantity in (
        (inventory_pb2.MOVEMENT_KIND_ADJUSTMENT, "-1"),
        (inventory_pb2.MOVEMENT_KIND_RECEIPT, "5"),
        (inventory_pb2.MOVEMENT_KIND_POS_SALE, "-2"),
        (inventory_pb2.MOVEMENT_KIND_POS_RETURN, "1"),
    ):
        line = inventory_pb2.Adjustment(item_id="mug", outlet_id=MAIN, quantity=quantity)
        await shop.stock.AdjustStock(
            inventory_pb2.AdjustStockRequest(request_id=request_id(), kind=kind, lines=[line]),
            metadata=metadata(),
        )
        await see()
    await shop.stock.TransferStock(
        inventory_pb2.TransferStockRequest(
            request_id=request_id(),
            from_outlet_id=MAIN,
            to_outlet_id=THIRD,
            lines=[inventory_pb2.TransferLine(item_id="mug", quantity="4")],
        ),
        metadata=metadata(),
    )
    await see()

    assert seen == [10, 9, 14, 12, 13, 9]
    ledger = await shop.stock.ListMovements(
        inventory_pb2.ListMovementsRequest(item_id="mug"), metadata=metadata()
    )
    assert [row.quantity for row in ledger.movements] == ["4", "-4", "1", "-2", "5", "-1", "10"]


@pytest.mark.rule("INV-05")
@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-07")
async def test_an_outlet_leaves_and_comes_back_as_if_it_had_never_left(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug", "rope")
    await shop.count("mug", MAIN, "5")
    await shop.count("mug", HARBOUR, "3")
    await shop.count("rope", HARBOUR, "9")

    await shop.connect(channel.channel_id, MAIN)
    rope = await shop.online(channel.channel_id, "rope")
    assert (
        (await shop.online(channel.channel_id, "mug")).quantity,
        rope.quantity,
        rope.label,
    ) == (5, 0, "Sold out")

    await shop.count("rope", HARBOUR, "7")
    assert (await shop.online(channel.channel_id, "rope")).quantity == 0

    await shop.connect(channel.channel_id, MAIN, HARBOUR)
    rope = await shop.online(channel.channel_id, "rope")
    assert (
        (await shop.online(channel.channel_id, "mug")).quantity,
        rope.quantity,
        rope.label,
    ) == (8, 7, "")


@pytest.mark.rule("INV-08")
async def test_the_outlet_of_the_register_is_locked_until_the_register_changes(shop: Shop) -> None:
    channel = await shop.open()
    assert (channel.locked_outlet_id, list(channel.connected_outlet_ids)) == (MAIN, [MAIN, HARBOUR])

    async with refused("OUTLET_LOCKED_BY_REGISTER") as facts:
        await shop.connect(channel.channel_id, HARBOUR)
    assert "SetRegister" in facts["message"]

    answer = await shop.channels.SetRegister(
        channels_pb2.SetRegisterRequest(
            request_id=request_id(), channel_id=channel.channel_id, register_id="till-harbour"
        ),
        metadata=metadata(),
    )
    assert answer.channel.locked_outlet_id == HARBOUR
    assert (await shop.connect(channel.channel_id, HARBOUR)).connected_outlet_ids == [HARBOUR]


@pytest.mark.rule("INV-09")
async def test_the_primary_outlet_cannot_be_disconnected(shop: Shop) -> None:
    channel = await shop.open(
        profile=channels_pb2.PROFILE_RETAIL_R_ECOM, register_id="", primary_outlet_id=MAIN
    )
    async with refused("OUTLET_IS_PRIMARY"):
        await shop.connect(channel.channel_id, HARBOUR)
    await shop.channels.SetPrimaryOutlet(
        channels_pb2.SetPrimaryOutletRequest(
            request_id=request_id(), channel_id=channel.channel_id, outlet_id=HARBOUR
        ),
        metadata=metadata(),
    )
    assert (await shop.connect(channel.channel_id, HARBOUR)).connected_outlet_ids == [HARBOUR]


@pytest.mark.rule("INV-13")
async def test_stock_goes_below_zero_and_online_stock_does_not(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "-2")
    await shop.count("mug", HARBOUR, "1.5")

    assert (await shop.level("mug", MAIN)).on_hand == "-2"
    assert (await shop.online(channel.channel_id, "mug")).quantity == 1


@pytest.mark.rule("INV-01")
async def test_an_item_that_is_not_tracked_is_sold_without_limit(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("card", tracked=False)

    figure = await shop.online(channel.channel_id, "card")
    assert (figure.unlimited, figure.label) == (True, "")
    held = await shop.reserve(channel.channel_id, ("card", "1000"))
    assert list(held.allocations) == []


async def test_an_item_that_becomes_tracked_is_told(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("card", tracked=False)
    await shop.count("card", MAIN, "4")
    await shop.learn("card", tracked=True, revision=2)

    async def tracked() -> bool:
        return not (await shop.online(channel.channel_id, "card")).unlimited

    await eventually(tracked)
    told = events_pb2.OnlineStockChanged()
    (await shop.events())[-1].data.Unpack(told)
    assert (told.quantity, told.unlimited) == (4, False)


@pytest.mark.rule("BEY-08")
async def test_what_is_told_late_of_an_item_changes_nothing_and_is_not_told_on(shop: Shop) -> None:
    """As when its event was a dead letter, and is requeued when younger ones have been handled."""
    channel = await shop.open()
    await shop.learn("card", tracked=True, revision=2)
    await shop.count("card", MAIN, "4")
    told = len(await shop.events())
    await shop.catalog.tell(["card"], tracked=False, revision=1)
    await shop.learn("mug")  # which comes behind it
    figure = await shop.online(channel.channel_id, "card")
    assert (figure.quantity, figure.unlimited) == (4, False)
    assert len(await shop.events()) == told


async def test_a_product_that_is_gone_takes_its_items_along(shop: Shop) -> None:
    await shop.open()
    await shop.catalog.tell(["red", "blue"], product_id="shirt", revision=1)
    await shop.catalog.tell(["red"], product_id="shirt", revision=2)

    async def blue_is_gone() -> None:
        await shop.count("red", MAIN, "1")
        async with refused("ITEM_NOT_FOUND"):
            await shop.count("blue", MAIN, "1")

    await eventually(blue_is_gone)


@pytest.mark.parametrize("end", ["commit", "commit outside", "release"])
async def test_a_hold_can_be_ended_when_its_product_is_gone(shop: Shop, end: str) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.catalog.tell(["shirt"], product_id="shirt", revision=1)
    await eventually(lambda: shop.count("shirt", MAIN, "4", version=1))
    await shop.count("mug", MAIN, "5", version=1)
    held = await shop.reserve(channel.channel_id, ("mug", "2"), ("shirt", "3"))
    await shop.catalog.tell([], product_id="shirt", revision=2)

    async def gone() -> None:
        async with refused("ITEM_NOT_FOUND"):
            await shop.reserve(channel.channel_id, ("shirt", "1"))

    await eventually(gone)
    told = len(await shop.events())
    if end == "release":
        await shop.stock.ReleaseReservation(
            inventory_pb2.ReleaseReservationRequest(
                request_id=request_id(), reservation_id=held.reservation_id
            ),
            metadata=metadata(),
        )
    else:
        await shop.commit(held.reservation_id, pos_version=0 if end == "commit outside" else None)
    on_hand = "3" if end == "commit" else "5"
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == (on_hand, "0")
    assert "item/shirt" not in {event.subject for event in (await shop.events())[told:]}


async def test_a_clock_that_is_ahead_makes_no_later_count_lose(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug")
    ahead = inventory_pb2.Count(item_id="mug", outlet_id=MAIN, quantity="9")
    ahead.observe_time.FromJsonString("9999-12-31T23:59:59Z")
    await shop.stock.RecordCounts(
        inventory_pb2.RecordCountsRequest(request_id=request_id(), counts=[ahead]),
        metadata=metadata(),
    )
    assert (await shop.count("mug", MAIN, "5")).changed
    assert (await shop.level("mug", MAIN)).on_hand == "5"


@pytest.mark.rule("INV-03")
async def test_an_online_sale_takes_stock_once(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    held = await shop.reserve(channel.channel_id, ("mug", "2"))
    level = await shop.level("mug", MAIN)
    assert (level.on_hand, level.reserved, level.available) == ("5", "2", "3")
    assert (await shop.online(channel.channel_id, "mug")).quantity == 3

    for _ in range(2):
        after = await shop.commit(held.reservation_id)
        assert after.state == inventory_pb2.RESERVATION_STATE_COMMITTED
    level = await shop.level("mug", MAIN)
    assert (level.on_hand, level.reserved, level.available) == ("3", "0", "3")
    async with refused("RESERVATION_ENDED"):
        await shop.stock.ReleaseReservation(
            inventory_pb2.ReleaseReservationRequest(
                request_id=request_id(), reservation_id=held.reservation_id
            ),
            metadata=metadata(),
        )


async def test_a_hold_stays_until_the_outside_level_includes_the_sale(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5", version=100)
    held = await shop.reserve(channel.channel_id, ("mug", "2"))

    after = await shop.commit(held.reservation_id, pos_version=110)
    assert after.state == inventory_pb2.RESERVATION_STATE_POSTED
    await shop.count("mug", MAIN, "4", version=105)  # a till's sale, before ours
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == ("4", "2")
    await shop.count("mug", MAIN, "2", version=111)
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == ("2", "0")
    assert (await shop.online(channel.channel_id, "mug")).quantity == 2
    assert (
        await shop.commit(held.reservation_id)
    ).state == inventory_pb2.RESERVATION_STATE_COMMITTED


async def test_a_level_that_comes_before_the_news_of_its_sale_ends_the_hold_too(
    shop: Shop,
) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5", version=100)
    held = await shop.reserve(channel.channel_id, ("mug", "2"))
    await shop.count("mug", MAIN, "3", version=111)
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == ("3", "2")

    after = await shop.commit(held.reservation_id, pos_version=110)
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == ("3", "0")
    assert after.state in {
        inventory_pb2.RESERVATION_STATE_POSTED,
        inventory_pb2.RESERVATION_STATE_COMMITTED,
    }


@pytest.mark.rule("INV-03")
async def test_each_outlet_s_hold_ends_with_a_level_of_that_outlet(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "2", version=100)
    await shop.count("mug", HARBOUR, "1", version=100)
    held = await shop.reserve(channel.channel_id, ("mug", "3"))
    assert {part.outlet_id: part.quantity for part in held.allocations} == {MAIN: "2", HARBOUR: "1"}

    await shop.commit(held.reservation_id, pos_version=110)
    await shop.count("mug", HARBOUR, "0", version=112)
    assert _on_hand_and_reserved(await shop.level("mug", HARBOUR)) == ("0", "0")
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == ("2", "2")
    await shop.count("mug", MAIN, "0", version=111)
    assert _on_hand_and_reserved(await shop.level("mug", MAIN)) == ("0", "0")
    after = await shop.commit(held.reservation_id)
    assert after.state == inventory_pb2.RESERVATION_STATE_COMMITTED


def _on_hand_and_reserved(level: inventory_pb2.StockLevel) -> tuple[str, str]:
    return level.on_hand, level.reserved


async def test_a_released_hold_is_free_again(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    held = await shop.reserve(channel.channel_id, ("mug", "5"))
    async with refused("INSUFFICIENT_STOCK") as facts:
        await shop.reserve(channel.channel_id, ("mug", "1"))
    assert (facts["item_id"], facts["asked"], facts["available"]) == ("mug", "1", "0")
    await shop.stock.ReleaseReservation(
        inventory_pb2.ReleaseReservationRequest(
            request_id=request_id(), reservation_id=held.reservation_id
        ),
        metadata=metadata(),
    )
    assert (await shop.online(channel.channel_id, "mug")).quantity == 5
    async with refused("RESERVATION_ENDED"):
        await shop.commit(held.reservation_id)
    async with refused("RESERVATION_NOT_FOUND"):
        await shop.commit("rs-nobody")


@pytest.mark.rule("INV-14", "BEY-04")
async def test_two_hundred_buyers_get_no_more_than_there_is(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "30")
    await shop.count("mug", HARBOUR, "20")

    async def buy() -> int:
        async with refused("INSUFFICIENT_STOCK"):
            await shop.reserve(channel.channel_id, ("mug", "1"))
            return 1
        return 0

    async def try_to_buy() -> int:
        try:
            return await buy()
        except AssertionError:
            return 1

    assert sum(await asyncio.gather(*(try_to_buy() for _ in range(200)))) == 50
    assert (await shop.online(channel.channel_id, "mug")).quantity == 0


async def test_one_bad_call_never_spoils_its_neighbors(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug")

    async def bad() -> None:
        async with refused("ITEM_NOT_FOUND"):
            await shop.count("no such item", MAIN, "1")

    await asyncio.gather(
        *(bad() for _ in range(10)),
        *(shop.count("mug", MAIN, "5", version=n) for n in range(1, 20)),
    )
    assert (await shop.level("mug", MAIN)).on_hand == "5"


async def test_all_counts_of_a_call_are_recorded_or_none(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug")
    told = [
        inventory_pb2.Count(item_id="mug", outlet_id=MAIN, quantity="5"),
        inventory_pb2.Count(item_id="mug", outlet_id="nowhere", quantity="5"),
    ]
    async with refused("OUTLET_NOT_FOUND"):
        await shop.stock.RecordCounts(
            inventory_pb2.RecordCountsRequest(request_id=request_id(), counts=told),
            metadata=metadata(),
        )
    assert (await shop.level("mug", MAIN)).on_hand == "0"


async def test_the_same_request_is_answered_the_same_and_done_once(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug")
    line = inventory_pb2.Adjustment(item_id="mug", outlet_id=MAIN, quantity="1")
    request = inventory_pb2.AdjustStockRequest(
        request_id=request_id(), kind=inventory_pb2.MOVEMENT_KIND_RECEIPT, lines=[line]
    )
    answers = await asyncio.gather(
        *(shop.stock.AdjustStock(request, metadata=metadata()) for _ in range(64))
    )
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert (await shop.level("mug", MAIN)).on_hand == "1"

    request.lines[0].quantity = "2"
    async with refused("REQUEST_ID_REUSED"):
        await shop.stock.AdjustStock(request, metadata=metadata())


async def test_a_refused_request_may_be_sent_again(shop: Shop) -> None:
    await shop.open()
    told = inventory_pb2.Count(item_id="mug", outlet_id=MAIN, quantity="5")
    request = inventory_pb2.RecordCountsRequest(request_id=request_id(), counts=[told])
    async with refused("ITEM_NOT_FOUND"):
        await shop.stock.RecordCounts(request, metadata=metadata())
    await shop.learn("mug")
    answer = await shop.stock.RecordCounts(request, metadata=metadata())
    assert answer.results[0].changed


@pytest.mark.parametrize(
    ("quantity", "passes"),
    [
        ("7", True),
        ("7.5", True),
        ("-0.125", True),
        ("999999999.999", True),
        ("", False),
        ("7.1234", False),
        ("1e3", False),
        ("NaN", False),
        ("+1", False),
        ("9999999999", False),
        ("1\x00", False),
    ],
)
async def test_quantities_are_decimal_text(shop: Shop, quantity: str, passes: bool) -> None:
    await shop.open()
    await shop.learn("mug")
    if passes:
        assert quantity == (await shop.count("mug", MAIN, quantity)).level.on_hand
        return
    async with refused("INVALID_FIELD") as facts:
        await shop.count("mug", MAIN, quantity)
    assert "counts[0].quantity" in facts


@pytest.mark.rule("BEY-11")
async def test_another_merchant_sees_and_changes_nothing(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    other = metadata("other-shop")
    async with refused("ITEM_NOT_FOUND"):
        await shop.stock.GetStockLevel(
            inventory_pb2.GetStockLevelRequest(item_id="mug", outlet_id=MAIN), metadata=other
        )
    async with refused("CHANNEL_NOT_FOUND"):
        await shop.channels.GetChannel(
            channels_pb2.GetChannelRequest(channel_id=channel.channel_id), metadata=other
        )
    levels = await shop.stock.ListStockLevels(
        inventory_pb2.ListStockLevelsRequest(), metadata=other
    )
    assert list(levels.levels) == []


async def test_lists_come_in_pages(shop: Shop) -> None:
    channel = await shop.open()
    items = [f"item-{number}" for number in range(7)]
    await shop.learn(*items)
    for item_id in items:
        await shop.count(item_id, MAIN, "1")
    seen: list[str] = []
    request = inventory_pb2.ListOnlineStockRequest(channel_id=channel.channel_id, page_size=3)
    while True:
        answer = await shop.stock.ListOnlineStock(request, metadata=metadata())
        seen += [figure.item_id for figure in answer.online_stock]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert items == seen

    request.channel_id, request.page_token = "another", request.page_token
    async with refused("INVALID_PAGE_TOKEN"):
        await shop.stock.ListOnlineStock(request, metadata=metadata())


async def test_a_lease_has_one_holder(shop: Shop) -> None:
    channel = await shop.open()

    async def acquire(holder: str, duration_ms: int) -> None:
        await shop.channels.AcquireLease(
            channels_pb2.AcquireLeaseRequest(
                channel_id=channel.channel_id,
                lease="writer",
                holder=holder,
                duration_ms=duration_ms,
            ),
            metadata=metadata("", ["service"], acts_for=MERCHANT),
        )

    await acquire("first", 60_000)
    await acquire("first", 60_000)
    async with refused("LEASE_HELD"):
        await acquire("second", 60_000)
    await acquire("first", 0)
    await acquire("second", 60_000)


async def test_secrets_are_sealed_and_only_a_service_reads_them(shop: Shop) -> None:
    channel = await shop.open()
    told = channels_pb2.Connection(
        side=channels_pb2.CONNECTION_SIDE_STORE,
        platform="ecwid",
        base_url="http://127.0.0.1:8092",
        account="1003",
        access_token="secret_token",
        webhook_secret="a webhook secret",
    )
    answer = await shop.channels.SetConnection(
        channels_pb2.SetConnectionRequest(
            request_id=request_id(), channel_id=channel.channel_id, connection=told
        ),
        metadata=metadata(),
    )
    assert f"/webhooks/ecwid/{channel.channel_id}" == answer.webhook_path
    request = channels_pb2.ListConnectionsRequest(channel_id=channel.channel_id)
    async with refused("ROLE_NOT_ALLOWED"):
        await shop.channels.ListConnections(request, metadata=metadata())
    found = await shop.channels.ListConnections(request, metadata=metadata("", ["service"]))
    assert [
        (one.merchant_id, one.access_token, one.webhook_secret) for one in found.connections
    ] == [(MERCHANT, "secret_token", "a webhook secret")]
    sealed = await shop.service.database.read(
        lambda connection: connection.exec_driver_sql("SELECT * FROM connections").one()
    )
    assert not any("secret" in str(column) for column in sealed[-2:])
