"""What a change of a channel would do, and that it then does exactly that, on both databases."""

import random
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from services.inventory.service import watch
from tests.harness import metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Shop, request_id
from tillbridge.inventory.v1 import channels_pb2, events_pb2, impact_pb2, inventory_pb2

pytestmark = pytest.mark.asyncio

ITEMS = [f"item-{number}" for number in range(8)]
OUTLETS = (MAIN, HARBOUR, THIRD)
STEPS = 25


@pytest.fixture(autouse=True)
def nothing_happens_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No outlet leaves or falls silent between the question and the change."""
    monkeypatch.setattr(watch, "EVERY_S", 3600.0)


async def figures(shop: Shop, channel_id: str) -> dict[str, int]:
    """What the channel shows, by item."""
    answer = await shop.stock.ListOnlineStock(
        inventory_pb2.ListOnlineStockRequest(channel_id=channel_id), metadata=metadata()
    )
    return {one.item_id: one.quantity for one in answer.online_stock}


async def told(shop: Shop, channel_id: str, since: int) -> dict[str, int]:
    """The figures that were told behind the first `since` events; each item at most once."""
    found: dict[str, int] = {}
    for event in (await shop.events())[since:]:
        changed = events_pb2.OnlineStockChanged()
        if event.data.Unpack(changed) and changed.channel_id == channel_id:
            assert changed.item_id not in found
            found[changed.item_id] = changed.quantity
    return found


def any_change(channel_id: str, chance: random.Random) -> tuple[str, Any]:
    """An RPC's name, and a request that may or may not be refused."""
    some = chance.sample(OUTLETS[1:], chance.randrange(3))
    outlet_id = chance.choice(OUTLETS)
    asked: list[tuple[str, Any]] = [
        (
            "SetConnectedOutlets",
            channels_pb2.SetConnectedOutletsRequest(outlet_ids=[MAIN, *some]),
        ),
        ("SetRegister", channels_pb2.SetRegisterRequest(register_id="till-main")),
        ("SetRegister", channels_pb2.SetRegisterRequest(register_id="till-harbour")),
        (
            "DrainOutlet",
            channels_pb2.DrainOutletRequest(outlet_id=outlet_id, draining=chance.random() < 0.6),
        ),
        (
            "SetBuffer",
            channels_pb2.SetBufferRequest(
                outlet_id=chance.choice(["", outlet_id]),
                item_id=chance.choice(["", chance.choice(ITEMS)]),
                quantity=chance.choice(["", "0", "1", "2.5"]),
            ),
        ),
    ]
    name, request = chance.choice(asked)
    request.channel_id = channel_id
    return name, request


async def call(shop: Shop, name: str, request: Any, *, validate_only: bool) -> Any:
    """Answers, or the reason of the refusal."""
    request.request_id, request.validate_only = request_id(), validate_only
    try:
        return await getattr(shop.channels, name)(request, metadata=metadata())
    except grpc.aio.AioRpcError as refusal:  # the same for both, whatever it is
        return str(refusal.details())


@pytest.mark.rule("BEY-03")
@pytest.mark.parametrize("seed", range(3))
async def test_the_change_does_exactly_what_was_said(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    channel_id = (await shop.open()).channel_id
    await shop.learn(*ITEMS)
    for item_id in ITEMS:
        for outlet_id in OUTLETS:
            if chance.random() < 0.7:
                await shop.count(item_id, outlet_id, str(chance.randrange(-2, 12) / 2))
    for _ in range(STEPS):
        if chance.random() < 0.4:
            try:
                await shop.reserve(channel_id, (chance.choice(ITEMS), "1"))
            except grpc.aio.AioRpcError:  # nothing left of it
                await shop.count(chance.choice(ITEMS), chance.choice(OUTLETS), "5")
        name, request = any_change(channel_id, chance)
        before, since = await figures(shop, channel_id), len(await shop.events())
        said = await call(shop, name, request, validate_only=True)
        assert before == await figures(shop, channel_id)
        assert since == len(await shop.events())
        done = await call(shop, name, request, validate_only=False)
        if isinstance(done, str):
            assert said == done
            assert before == await figures(shop, channel_id)
            continue
        assert said == done
        after = await figures(shop, channel_id)
        check(done.impact, before, after)
        changed = {
            item_id: after[item_id] for item_id in ITEMS if before[item_id] != after[item_id]
        }
        assert changed == await told(shop, channel_id, since)


def check(impact: impact_pb2.Impact, before: dict[str, int], after: dict[str, int]) -> None:
    """Compares an impact with what happened."""
    pairs = [(item_id, before[item_id], after[item_id]) for item_id in sorted(before)]
    changed = [one for one in pairs if one[1] != one[2]]
    assert [(one.item_id, one.before, one.after) for one in impact.changes] == changed
    assert impact.changed_items == len(changed)
    assert impact.sold_out_items == sum(one[2] == 0 for one in changed)
    assert impact.restored_items == sum(one[1] == 0 for one in changed)
    assert impact.units_added == sum(max(0, one[2] - one[1]) for one in changed)
    assert impact.units_removed == sum(max(0, one[1] - one[2]) for one in changed)


@pytest.mark.rule("BEY-03")
@pytest.mark.rule("BEY-06")
async def test_open_orders_that_are_affected_are_named(shop: Shop) -> None:
    channel_id = (await shop.open()).channel_id
    await shop.learn("mug")
    await shop.count("mug", MAIN, "1")
    await shop.count("mug", HARBOUR, "5")
    await shop.reserve(channel_id, ("mug", "3"))
    released = await shop.reserve(channel_id, ("mug", "2"))
    await shop.stock.ReleaseReservation(
        inventory_pb2.ReleaseReservationRequest(
            request_id=request_id(), reservation_id=released.reservation_id
        ),
        metadata=metadata(),
    )
    for name, request in (
        ("SetConnectedOutlets", channels_pb2.SetConnectedOutletsRequest(outlet_ids=[MAIN])),
        ("DrainOutlet", channels_pb2.DrainOutletRequest(outlet_id=HARBOUR, draining=True)),
    ):
        request.channel_id = channel_id
        answer = await call(shop, name, request, validate_only=True)
        impact = answer.impact
        assert (impact.affected_reservations, list(impact.affected_causes)) == (1, ["order XJ12H"])
        assert (impact.changed_items, impact.units_removed) == (1, 2)
    buffer = channels_pb2.SetBufferRequest(channel_id=channel_id, quantity="1")
    answer = await call(shop, "SetBuffer", buffer, validate_only=True)
    assert (answer.impact.affected_reservations, answer.impact.units_removed) == (0, 2)


@pytest.mark.rule("BEY-03")
@pytest.mark.rule("INV-09")
async def test_another_primary_outlet_changes_no_figure(shop: Shop) -> None:
    opened = await shop.open(
        profile=channels_pb2.PROFILE_RETAIL_R_ECOM, register_id="", primary_outlet_id=MAIN
    )
    await shop.learn("mug")
    await shop.count("mug", HARBOUR, "5")
    request = channels_pb2.SetPrimaryOutletRequest(channel_id=opened.channel_id, outlet_id=HARBOUR)
    said = await call(shop, "SetPrimaryOutlet", request, validate_only=True)
    found = await shop.channels.GetChannel(
        channels_pb2.GetChannelRequest(channel_id=opened.channel_id), metadata=metadata()
    )
    assert (found.channel.primary_outlet_id, said.channel.primary_outlet_id) == (MAIN, HARBOUR)
    assert said == await call(shop, "SetPrimaryOutlet", request, validate_only=False)
    assert said.impact == impact_pb2.Impact()


async def update(
    shop: Shop, channel_id: str, paths: Sequence[str], *, validate_only: bool = False, **values: Any
) -> channels_pb2.UpdateChannelResponse:
    """Changes policies."""
    channel = channels_pb2.Channel(
        channel_id=channel_id, policies=channels_pb2.ChannelPolicies(**values)
    )
    request = channels_pb2.UpdateChannelRequest(
        request_id=request_id(), channel=channel, validate_only=validate_only
    )
    request.update_mask.paths.extend(f"policies.{path}" for path in paths)
    return await shop.channels.UpdateChannel(request, metadata=metadata())


@pytest.mark.rule("BEY-03")
@pytest.mark.rule("INV-11")
async def test_a_switch_says_what_catching_up_will_change(shop: Shop) -> None:
    opened = await shop.open(profile=channels_pb2.PROFILE_RETAIL_X_ECWID, connected_outlet_ids=[])
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    off = await update(shop, opened.channel_id, ["update_inventory"], update_inventory=False)
    assert (off.channel.policies.update_inventory, off.impact.changed_items) == (False, 0)
    await shop.count("mug", MAIN, "2")
    said = await update(
        shop, opened.channel_id, ["update_inventory"], validate_only=True, update_inventory=True
    )
    assert [(one.before, one.after) for one in said.impact.changes] == [(5, 2)]
    assert (await shop.online(opened.channel_id, "mug")).quantity == 5
    done = await update(shop, opened.channel_id, ["update_inventory"], update_inventory=True)
    assert said == done
    assert (await shop.online(opened.channel_id, "mug")).quantity == 2


async def test_what_would_be_refused_is_refused(shop: Shop) -> None:
    channel_id = (await shop.open()).channel_id
    async with refused("OUTLET_LOCKED_BY_REGISTER"):
        await shop.channels.SetConnectedOutlets(
            channels_pb2.SetConnectedOutletsRequest(
                request_id=request_id(),
                channel_id=channel_id,
                outlet_ids=[HARBOUR],
                validate_only=True,
            ),
            metadata=metadata(),
        )
    async with refused("ITEM_NOT_FOUND"):
        await shop.channels.SetBuffer(
            channels_pb2.SetBufferRequest(
                request_id=request_id(), channel_id=channel_id, item_id="rope", quantity="1"
            ),
            metadata=metadata(),
        )
