"""Online stock over the network, on both databases: buffers, drains, switches, silence, edits."""

import asyncio
import random
from datetime import timedelta

import grpc
import pytest

from services.chassis.database import Database
from services.inventory.service import watch, work
from services.inventory.store import PLUMBING
from tests.harness import Running, eventually, metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Shop, request_id
from tests.inventory.test_what_if import update
from tillbridge.inventory.v1 import channels_pb2, events_pb2, inventory_pb2

pytestmark = pytest.mark.asyncio

OUTLETS = (MAIN, HARBOUR, THIRD)


@pytest.fixture(autouse=True)
def watch_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens by itself does so at once."""
    monkeypatch.setattr(watch, "EVERY_S", 0.05)


async def buffer(
    shop: Shop, channel_id: str, quantity: str, outlet_id: str = "", item_id: str = ""
) -> channels_pb2.SetBufferResponse:
    """Sets what is kept back."""
    return await shop.channels.SetBuffer(
        channels_pb2.SetBufferRequest(
            request_id=request_id(),
            channel_id=channel_id,
            outlet_id=outlet_id,
            item_id=item_id,
            quantity=quantity,
        ),
        metadata=metadata(),
    )


async def drain(
    shop: Shop, channel_id: str, outlet_id: str, *, draining: bool = True
) -> channels_pb2.Channel:
    """Begins to disconnect an outlet, or takes that back."""
    answer = await shop.channels.DrainOutlet(
        channels_pb2.DrainOutletRequest(
            request_id=request_id(),
            channel_id=channel_id,
            outlet_id=outlet_id,
            draining=draining,
        ),
        metadata=metadata(),
    )
    return answer.channel


async def channel_of(shop: Shop, channel_id: str) -> channels_pb2.Channel:
    """The channel as it is."""
    answer = await shop.channels.GetChannel(
        channels_pb2.GetChannelRequest(channel_id=channel_id), metadata=metadata()
    )
    return answer.channel


async def explain(
    shop: Shop, channel_id: str, item_id: str
) -> inventory_pb2.ExplainOnlineStockResponse:
    """How a figure comes about."""
    return await shop.stock.ExplainOnlineStock(
        inventory_pb2.ExplainOnlineStockRequest(channel_id=channel_id, item_id=item_id),
        metadata=metadata(),
    )


async def adjust(shop: Shop, item_id: str, outlet_id: str, quantity: str) -> None:
    """Sells at a till, or takes back there."""
    line = inventory_pb2.Adjustment(item_id=item_id, outlet_id=outlet_id, quantity=quantity)
    sold = quantity.startswith("-")
    kind = inventory_pb2.MOVEMENT_KIND_POS_SALE if sold else inventory_pb2.MOVEMENT_KIND_POS_RETURN
    await shop.stock.AdjustStock(
        inventory_pb2.AdjustStockRequest(request_id=request_id(), kind=kind, lines=[line]),
        metadata=metadata(),
    )


async def told(shop: Shop, since: int) -> list[tuple[str, int]]:
    """Channel and figure of what was told behind the first `since` events."""
    found = []
    for event in (await shop.events())[since:]:
        changed = events_pb2.OnlineStockChanged()
        if event.data.Unpack(changed):
            found.append((changed.channel_id, changed.quantity))
    return found


@pytest.mark.rule("BEY-05")
async def test_what_is_kept_back_is_neither_shown_nor_promised_but_a_till_sells_it(
    shop: Shop,
) -> None:
    channel_id = (await shop.open()).channel_id
    await shop.learn("mug", "rope")
    for item_id in ("mug", "rope"):
        await shop.count(item_id, MAIN, "5")
        await shop.count(item_id, HARBOUR, "3")
    await buffer(shop, channel_id, "1")
    await buffer(shop, channel_id, "2.5", MAIN)
    await buffer(shop, channel_id, "4", MAIN, "mug")

    assert (await shop.online(channel_id, "mug")).quantity == 3
    assert (await shop.online(channel_id, "rope")).quantity == 4
    async with refused("INSUFFICIENT_STOCK") as facts:
        await shop.reserve(channel_id, ("mug", "4"))
    assert facts["available"] == "3"
    await shop.reserve(channel_id, ("mug", "3"))
    await adjust(shop, "mug", MAIN, "-4")
    assert (await shop.online(channel_id, "mug")).quantity == 0
    assert (await shop.level("mug", MAIN)).on_hand == "1"

    listed = await shop.channels.ListBuffers(
        channels_pb2.ListBuffersRequest(channel_id=channel_id, page_size=2), metadata=metadata()
    )
    rest = await shop.channels.ListBuffers(
        channels_pb2.ListBuffersRequest(
            channel_id=channel_id, page_size=2, page_token=listed.next_page_token
        ),
        metadata=metadata(),
    )
    assert [
        (one.outlet_id, one.item_id, one.quantity) for one in [*listed.buffers, *rest.buffers]
    ] == [("", "", "1"), (MAIN, "", "2.5"), (MAIN, "mug", "4")]
    assert not rest.next_page_token
    await buffer(shop, channel_id, "", MAIN, "mug")
    await buffer(shop, channel_id, "", MAIN)
    assert (await shop.online(channel_id, "rope")).quantity == 6


@pytest.mark.rule("BEY-06")
async def test_a_draining_outlet_promises_nothing_and_leaves_with_its_last_order(
    shop: Shop,
) -> None:
    channel_id = (await shop.open()).channel_id
    await shop.learn("mug")
    await shop.count("mug", HARBOUR, "5")
    first = await shop.reserve(channel_id, ("mug", "1"))
    second = await shop.reserve(channel_id, ("mug", "1"))
    channel = await drain(shop, channel_id, HARBOUR)
    assert (list(channel.connected_outlet_ids), list(channel.draining_outlet_ids)) == (
        [MAIN, HARBOUR],
        [HARBOUR],
    )
    assert (await shop.online(channel_id, "mug")).quantity == 0
    for tied in ("", HARBOUR):
        async with refused("INSUFFICIENT_STOCK"):
            await shop.reserve(channel_id, ("mug", "1"), outlet_id=tied)
    await shop.commit(first.reservation_id)
    await asyncio.sleep(0.2)
    assert HARBOUR in (await channel_of(shop, channel_id)).connected_outlet_ids
    await shop.commit(second.reservation_id)

    async def left() -> bool:
        found = await channel_of(shop, channel_id)
        return list(found.connected_outlet_ids) == [MAIN] and not found.draining_outlet_ids

    await eventually(left)
    assert (await shop.level("mug", HARBOUR)).on_hand == "3"


@pytest.mark.rule("BEY-06")
async def test_an_outlet_leaves_once_however_many_processes_watch(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel_id = (await shop.open()).channel_id
    monkeypatch.setattr(watch, "EVERY_S", 3600.0)
    await asyncio.sleep(0.2)  # the service's own watch sleeps from now on
    await shop.learn("mug")
    await shop.count("mug", HARBOUR, "5")
    await drain(shop, channel_id, HARBOUR)
    since = len(await shop.events())
    url = shop.service.settings.database("inventory")
    others = [Database(url, PLUMBING) for _ in range(3)]
    try:
        changed = await asyncio.gather(*(watch.look(other) for other in others))
    finally:
        for other in others:
            await other.close()
    assert sum(changed) == 1
    assert [event.subject for event in (await shop.events())[since:]] == [f"channel/{channel_id}"]
    assert list((await channel_of(shop, channel_id)).connected_outlet_ids) == [MAIN]


@pytest.mark.rule("BEY-06")
async def test_a_drain_can_be_taken_back(shop: Shop) -> None:
    channel_id = (await shop.open()).channel_id
    await shop.learn("mug")
    await shop.count("mug", HARBOUR, "5")
    await shop.reserve(channel_id, ("mug", "1"))
    await drain(shop, channel_id, HARBOUR)
    await drain(shop, channel_id, HARBOUR, draining=False)
    assert (await shop.online(channel_id, "mug")).quantity == 4
    async with refused("OUTLET_LOCKED_BY_REGISTER"):
        await drain(shop, channel_id, MAIN)
    async with refused("OUTLET_NOT_CONNECTED"):
        await drain(shop, channel_id, THIRD)


@pytest.mark.rule("INV-11")
async def test_figures_stand_still_while_the_switch_is_off(shop: Shop) -> None:
    opened = await shop.open(profile=channels_pb2.PROFILE_RETAIL_X_ECWID, connected_outlet_ids=[])
    channel_id = opened.channel_id
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    await update(shop, channel_id, ["update_inventory"], update_inventory=False)
    since = len(await shop.events())
    await adjust(shop, "mug", MAIN, "-2")
    await shop.count("mug", MAIN, "1")
    await buffer(shop, channel_id, "1")
    assert (await shop.online(channel_id, "mug")).quantity == 5
    assert await told(shop, since) == []
    explained = await explain(shop, channel_id, "mug")
    assert (explained.stands_still, explained.sum, explained.online_stock.quantity) == (
        True,
        "0",
        5,
    )
    assert "stand still" in explained.explanation
    async with refused("INSUFFICIENT_STOCK"):  # what is not there is not promised all the same
        await shop.reserve(channel_id, ("mug", "1"))
    await update(shop, channel_id, ["update_inventory"], update_inventory=True)
    assert await told(shop, since) == [(channel_id, 0)]


@pytest.mark.rule("INV-11")
async def test_policies_are_editable_as_the_profile_says(shop: Shop) -> None:
    channel_id = (await shop.open()).channel_id
    async with refused("FIXED_BY_POLICY"):
        await update(shop, channel_id, ["update_inventory"], update_inventory=False)
    async with refused("INVALID_FIELD"):
        await update(
            shop, channel_id, ["allocation"], allocation=channels_pb2.ALLOCATION_POLICY_PRIMARY
        )
    for fixed in ("posting", "fulfillment", "outlets", "external_pos", "disconnected_methods"):
        async with refused("INVALID_FIELD"):  # the profile's for good
            await update(shop, channel_id, [fixed])
    paths = ["allocation", "accept_store_stock_edits", "silent_after_s", "silent_quantity"]
    answer = await update(
        shop,
        channel_id,
        paths,
        allocation=channels_pb2.ALLOCATION_POLICY_FEWEST_SPLITS,
        accept_store_stock_edits=True,
        silent_after_s=600,
        silent_quantity="1.5",
    )
    assert answer.channel == await channel_of(shop, channel_id)
    policies = answer.channel.policies
    assert (policies.allocation, policies.accept_store_stock_edits) == (4, True)
    assert (policies.silent_after_s, policies.silent_quantity) == (600, "1.5")


class Clock:
    """A database's clock that can be put forward."""

    def __init__(self, service: Running) -> None:
        self._now = service.database.clock
        self._ahead = timedelta()
        service.database.clock = lambda: self._now() + self._ahead

    def forward(self, seconds: float) -> None:
        """Lets time pass."""
        self._ahead += timedelta(seconds=seconds)


@pytest.mark.rule("BEY-12")
async def test_a_buffer_that_finds_an_outlet_silent_lowers_all_that_it_gives(shop: Shop) -> None:
    """Also what the buffer is not about: nobody else has noticed the silence yet."""
    channel_id, clock = (await shop.open()).channel_id, Clock(shop.service)
    await shop.learn("mug", "rope")
    await shop.count("mug", HARBOUR, "9")
    await update(shop, channel_id, ["silent_after_s"], silent_after_s=600)
    clock.forward(700)
    await buffer(shop, channel_id, "1", item_id="rope")
    assert (await shop.online(channel_id, "mug")).quantity == 0


@pytest.mark.rule("BEY-12")
async def test_a_silent_outlet_is_lowered_and_comes_back_by_itself(shop: Shop) -> None:
    channel_id, clock = (await shop.open()).channel_id, Clock(shop.service)
    await shop.learn("mug", "rope")
    await shop.count("mug", HARBOUR, "9")
    await shop.count("mug", MAIN, "5")
    await shop.count("rope", HARBOUR, "1")
    await update(
        shop,
        channel_id,
        ["silent_after_s", "silent_quantity"],
        silent_after_s=60,
        silent_quantity="2",
    )
    clock.forward(50)
    await adjust(shop, "mug", MAIN, "-1")  # Main is heard of
    assert (await shop.online(channel_id, "mug")).quantity == 13
    clock.forward(20)

    async def lowered() -> bool:
        return (await shop.online(channel_id, "mug")).quantity == 6

    await eventually(lowered)
    assert list((await channel_of(shop, channel_id)).silent_outlet_ids) == [HARBOUR]
    assert (await shop.online(channel_id, "rope")).quantity == 1
    told = await explain(shop, channel_id, "mug")
    term = told.terms[1]
    assert term.limit == inventory_pb2.TERM_LIMIT_SILENT
    assert term.silent_time.seconds == term.heard_time.seconds + 60
    assert f"since {term.silent_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC" in told.explanation
    await shop.count("rope", HARBOUR, "1")

    async def back() -> bool:
        return (await shop.online(channel_id, "mug")).quantity == 13

    await eventually(back)
    assert not (await channel_of(shop, channel_id)).silent_outlet_ids


@pytest.mark.rule("BEY-12")
async def test_every_figure_says_how_old_it_is(shop: Shop) -> None:
    channel_id, clock = (await shop.open()).channel_id, Clock(shop.service)
    await shop.learn("mug")
    assert not (await shop.online(channel_id, "mug")).HasField("heard_time")
    await shop.count("mug", MAIN, "5")
    assert not (await shop.online(channel_id, "mug")).HasField("heard_time")  # Harbour never was
    await shop.count("mug", HARBOUR, "3")
    first = (await shop.online(channel_id, "mug")).heard_time.ToDatetime()
    clock.forward(10)
    await shop.count("mug", MAIN, "5")
    assert (await shop.online(channel_id, "mug")).heard_time.ToDatetime() >= first
    await shop.channels.CreateOutlet(
        channels_pb2.CreateOutletRequest(
            request_id=request_id(),
            outlet=channels_pb2.Outlet(outlet_id=HARBOUR, display_name=HARBOUR),
            cause="lightspeed-x",
        ),
        metadata=metadata(),
    )
    listed = await shop.stock.ListOnlineStock(
        inventory_pb2.ListOnlineStockRequest(channel_id=channel_id), metadata=metadata()
    )
    assert listed.online_stock[0].heard_time.ToDatetime() >= first + timedelta(seconds=10)


@pytest.mark.rule("BEY-02")
async def test_a_figure_is_explained_with_its_orders_and_its_last_movements(shop: Shop) -> None:
    channel_id = (await shop.open()).channel_id
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    await adjust(shop, "mug", MAIN, "-1")
    await shop.count("mug", HARBOUR, "3.5")
    await shop.count("mug", THIRD, "7")
    held = await shop.reserve(channel_id, ("mug", "2"))
    await buffer(shop, channel_id, "1", HARBOUR)

    found = await explain(shop, channel_id, "mug")
    main, harbour, third = found.terms
    assert (main.on_hand, main.reserved, main.available, main.given) == ("4", "2", "2", "2")
    assert [(one.reservation_id, one.cause, one.quantity) for one in main.holds] == [
        (held.reservation_id, "order XJ12H", "2")
    ]
    assert (main.last_movement.kind, main.last_movement.quantity) == (
        inventory_pb2.MOVEMENT_KIND_POS_SALE,
        "-1",
    )
    assert (harbour.buffer, harbour.given, harbour.buffer_rule.outlet_id) == ("1", "2.5", HARBOUR)
    assert (third.given, third.limit) == ("0", inventory_pb2.TERM_LIMIT_NOT_CONNECTED)
    assert (found.sum, found.online_stock.quantity) == ("4.5", 4)
    assert "2 of it held for orders" in found.explanation
    assert all(term.HasField("heard_time") for term in found.terms)
    async with refused("ITEM_NOT_FOUND"):
        await explain(shop, channel_id, "rope")
    async with refused("CHANNEL_NOT_FOUND"):
        await explain(shop, "ch-nowhere", "mug")


@pytest.mark.rule("BEY-02")
@pytest.mark.rule("BEY-11")
@pytest.mark.rule("INV-04")
@pytest.mark.parametrize("seed", range(2))
async def test_the_terms_add_up_whatever_has_happened(
    shop: Shop, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two channels that share outlets; and never is more promised than there is."""
    chance = random.Random(seed)
    channels = [
        (await shop.open()).channel_id,
        (await shop.open(register_id="till-harbour", connected_outlet_ids=[THIRD])).channel_id,
    ]
    items = ["mug", "rope", "card"]
    await shop.learn("mug", "rope")
    await shop.learn("card", tracked=False)
    for _ in range(40):
        await any_step(shop, chance, chance.choice(channels), chance.choice(items))
        for channel_id in channels:
            for item_id in items:
                found = await explain(shop, channel_id, item_id)
                units = sum(thousandths(term.given) for term in found.terms) // 1000
                assert units == thousandths(found.sum) // 1000
                assert found.online_stock.unlimited or units == found.online_stock.quantity
                for term in found.terms:
                    assert thousandths(term.reserved) == sum(
                        thousandths(one.quantity) for one in term.holds
                    )


async def any_step(shop: Shop, chance: random.Random, channel_id: str, item_id: str) -> None:
    """Something that may happen to a shop."""
    outlet_id = chance.choice(OUTLETS)
    kind = chance.randrange(6)
    try:
        if kind == 0:
            await shop.count(item_id, outlet_id, str(chance.randrange(-4, 20) / 2))
        elif kind == 1:
            await adjust(shop, item_id, outlet_id, chance.choice(["-1", "-0.5", "2"]))
        elif kind == 2:
            await shop.reserve(channel_id, (item_id, "1"))
        elif kind == 3:
            quantity = chance.choice(["", "0", "1", "2.5"])
            where = (chance.choice(["", one]) for one in (outlet_id, item_id))
            await buffer(shop, channel_id, quantity, *where)
        elif kind == 4:
            await drain(shop, channel_id, outlet_id, draining=chance.random() < 0.5)
        else:
            await shop.connect(channel_id, *chance.sample(OUTLETS, chance.randrange(1, 4)))
    except grpc.aio.AioRpcError as refusal:
        if refusal.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}:
            raise  # refusals are part of a shop's life; faults are not


def thousandths(text: str) -> int:
    """Decimal text as the wire has it."""
    return round(float(text) * 1000)


@pytest.mark.rule("BEY-11")
async def test_several_channels_of_one_outlet_never_promise_a_piece_twice(shop: Shop) -> None:
    first = (await shop.open(connected_outlet_ids=[])).channel_id
    second = (await shop.open(connected_outlet_ids=[])).channel_id
    await shop.learn("mug")
    await shop.count("mug", MAIN, "10")
    await shop.count("mug", THIRD, "50")  # feeds no channel
    assert [(await shop.online(one, "mug")).quantity for one in (first, second)] == [10, 10]

    async def buy(channel_id: str) -> int:
        try:
            await shop.reserve(channel_id, ("mug", "1"))
        except grpc.aio.AioRpcError:  # sold out
            return 0
        return 1

    sold = await asyncio.gather(*(buy(one) for one in (first, second) for _ in range(15)))
    assert sum(sold) == 10
    assert [(await shop.online(one, "mug")).quantity for one in (first, second)] == [0, 0]
    since = len(await shop.events())
    await shop.count("mug", THIRD, "60")
    assert await told(shop, since) == []


@pytest.mark.rule("BEY-11")
async def test_a_change_of_one_channel_is_none_of_the_other(shop: Shop) -> None:
    first = (await shop.open()).channel_id
    second = (await shop.open()).channel_id
    await shop.learn("mug")
    await shop.count("mug", HARBOUR, "8")
    since = len(await shop.events())
    await buffer(shop, first, "3")
    await shop.connect(first, MAIN)
    assert await told(shop, since) == [(first, 5), (first, 0)]
    assert (await shop.online(second, "mug")).quantity == 8
    async with refused("CHANNEL_NOT_FOUND"):
        await shop.channels.SetBuffer(
            channels_pb2.SetBufferRequest(request_id=request_id(), channel_id=first, quantity="1"),
            metadata=metadata("another-shop"),
        )
    for name, request in (
        ("ExplainOnlineStock", inventory_pb2.ExplainOnlineStockRequest(item_id="mug")),
        ("ListStockEdits", inventory_pb2.ListStockEditsRequest()),
    ):
        request.channel_id = first
        async with refused("CHANNEL_NOT_FOUND"):
            await getattr(shop.stock, name)(request, metadata=metadata("another-shop"))


async def test_figures_go_on_however_many_channels_there_come_to_be(shop: Shop) -> None:
    """They are asked for by the channels there were a moment ago."""
    channels = [await shop.open(connected_outlet_ids=[MAIN])]
    await shop.learn("mug")
    for number in range(1, work.GUESSED_MAX + 3):
        await shop.count("mug", MAIN, str(10 * number))
        for age, channel in enumerate(channels):
            found = await shop.online(channel.channel_id, "mug")
            assert (found.quantity, found.version) == (10 * number, number - max(0, age - 1))
        asked = channels_pb2.CreateChannelRequest(
            request_id=request_id(),
            display_name=f"Web {number}",
            profile=channels_pb2.PROFILE_RETAIL_X_ECOM,
            register_id="till-main",
            connected_outlet_ids=[MAIN],
        )
        channels.append((await shop.channels.CreateChannel(asked, metadata=metadata())).channel)
