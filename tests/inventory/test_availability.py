"""What GetAvailability says is what ReserveStock gives, on both databases."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.inventory.rules.allocation import Line, candidates
from services.inventory.rules.availability import offers, preferred
from services.inventory.rules.channels import (
    PRESETS,
    AllocationPolicy,
    Channel,
    Profile,
)
from services.inventory.rules.online import Feed
from services.inventory.rules.reservations import reserve
from services.inventory.rules.stock import Item, Level, Stock
from tests.harness import metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Shop, request_id
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

OUTLETS, ITEMS = ("main", "harbour", "third", "depot"), ("mug", "plate")
some = st.integers(0, 6).map(lambda number: number * 500)


@st.composite
def feeds(draw: st.DrawFn) -> tuple[Feed, dict[tuple[str, str], Level]]:
    """A channel with any allocation, drained, silent and buffered outlets, and levels."""
    connected = draw(st.permutations(OUTLETS[:3]).map(tuple))
    allocation = draw(st.sampled_from(AllocationPolicy))
    policies = replace(PRESETS[Profile.RETAIL_X_ECOM], allocation=allocation, silent_quantity=1000)
    channel = Channel(
        "web",
        "Web",
        Profile.RETAIL_X_ECOM,
        policies,
        external_pos=False,
        register_id="till",
        register_outlet_id="main",
        primary_outlet_id="main",
        connected_outlet_ids=connected,
        draining_outlet_ids=draw(st.sampled_from([(), ("harbour",)])),
        silent_outlet_ids=draw(st.sampled_from([(), ("third",), ("main", "third")])),
    )
    keys = st.tuples(st.sampled_from(["", *OUTLETS]), st.sampled_from(["", *ITEMS]))
    buffers = draw(st.dictionaries(keys, some, max_size=3))
    levels = {}
    for item_id in ITEMS:
        for outlet_id in draw(st.sets(st.sampled_from(OUTLETS))):
            on_hand = draw(st.integers(-2, 6)) * 500
            levels[item_id, outlet_id] = Level(item_id, outlet_id, on_hand, draw(some))
    return Feed(channel, buffers), levels


def _gives(feed: Feed, levels: dict[tuple[str, str], Level], outlet_id: str, quantity: int) -> bool:
    """Whether ReserveStock would hold so much of the mug there; there is only one refusal."""
    stock = Stock({name: Item(name) for name in ITEMS}, frozenset(OUTLETS), dict(levels), {})
    line = Line("1", "mug", quantity)
    try:
        reserve(stock.draft(), feed.channel, [line], outlet_id, feed.promised)
    except DomainError:
        return False
    return True


@pytest.mark.rule("SHP-03")
@given(feeds())
def test_an_outlet_can_give_exactly_what_is_said(
    found: tuple[Feed, dict[tuple[str, str], Level]],
) -> None:
    feed, levels = found
    for offer in offers(feed, ITEMS, levels, OUTLETS):
        mugs = offer.quantities[0]
        assert mugs == 0 or _gives(feed, levels, offer.outlet_id, mugs)
        assert not _gives(feed, levels, offer.outlet_id, mugs + 1)


@pytest.mark.rule("SHP-04")
@given(feeds())
def test_those_that_an_order_may_take_from_can_give_what_is_said_together(
    found: tuple[Feed, dict[tuple[str, str], Level]],
) -> None:
    feed, levels = found
    may = candidates(feed.channel, "")
    mugs = sum(one.quantities[0] for one in offers(feed, ITEMS, levels) if one.outlet_id in may)
    assert mugs == 0 or _gives(feed, levels, "", mugs)
    assert not _gives(feed, levels, "", mugs + 1)
    assert [one for one in preferred(feed.channel) if one in may] == list(may)


async def _available(
    shop: Shop, channel_id: str, *item_ids: str, outlet_ids: tuple[str, ...] = ()
) -> tuple[dict[str, list[str]], pb.GetAvailabilityResponse]:
    answer = await shop.stock.GetAvailability(
        pb.GetAvailabilityRequest(channel_id=channel_id, item_ids=item_ids, outlet_ids=outlet_ids),
        metadata=metadata(),
    )
    return {one.outlet_id: list(one.quantities) for one in answer.outlets}, answer


@pytest.mark.asyncio
@pytest.mark.rule("SHP-02")
async def test_what_each_outlet_could_give_now(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug", "plate")
    await shop.learn("voucher", tracked=False)
    await shop.count("mug", MAIN, "2")
    await shop.count("mug", HARBOUR, "3.5")
    await shop.count("mug", THIRD, "9")
    await shop.reserve(channel.channel_id, ("mug", "1"))  # at Main: the register's outlet is first
    await shop.channels.SetBuffer(
        channels_pb2.SetBufferRequest(
            request_id=request_id(),
            channel_id=channel.channel_id,
            outlet_id=HARBOUR,
            quantity="1",
        ),
        metadata=metadata(),
    )

    found, answer = await _available(
        shop, channel.channel_id, "plate", "mug", "voucher", outlet_ids=(THIRD,)
    )

    assert found == {MAIN: ["0", "1", "0"], HARBOUR: ["0", "2.5", "0"], THIRD: ["0", "9", "0"]}
    assert [one.connected for one in answer.outlets] == [True, True, False]
    assert answer.untracked_item_ids == ["voucher"]
    assert answer.default_outlet_id == MAIN
    assert answer.HasField("read_time")


@pytest.mark.asyncio
@pytest.mark.rule("BEY-06")
async def test_an_outlet_that_is_being_disconnected_gives_nothing_more(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    for outlet_id in (MAIN, HARBOUR):
        await shop.count("mug", outlet_id, "2")
    await shop.reserve(channel.channel_id, ("mug", "1"), outlet_id=HARBOUR)  # so it stays a while
    await shop.channels.DrainOutlet(
        channels_pb2.DrainOutletRequest(
            request_id=request_id(),
            channel_id=channel.channel_id,
            outlet_id=HARBOUR,
            draining=True,
        ),
        metadata=metadata(),
    )

    found, answer = await _available(shop, channel.channel_id, "mug")

    assert found == {MAIN: ["2"], HARBOUR: ["0"]}
    assert [one.connected for one in answer.outlets] == [True, False]


@pytest.mark.asyncio
async def test_what_is_not_known_is_refused(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    async with refused("CHANNEL_NOT_FOUND"):
        await _available(shop, "other", "mug")
    async with refused("ITEM_NOT_FOUND"):
        await _available(shop, channel.channel_id, "mug", "plate")
    async with refused("OUTLET_NOT_FOUND"):
        await _available(shop, channel.channel_id, "mug", outlet_ids=("nowhere",))
