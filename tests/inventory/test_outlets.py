"""Outlets and registers over the network: created once, under the point of sale's ids."""

import pytest

from tests.harness import metadata, refused
from tests.inventory.conftest import MAIN, Shop, request_id
from tillbridge.inventory.v1 import channels_pb2


async def create_outlet(
    shop: Shop, outlet_id: str, name: str, cause: str = ""
) -> channels_pb2.Outlet:
    outlet = channels_pb2.Outlet(outlet_id=outlet_id, display_name=name)
    request = channels_pb2.CreateOutletRequest(request_id=request_id(), outlet=outlet, cause=cause)
    return (await shop.channels.CreateOutlet(request, metadata=metadata())).outlet


async def create_register(
    shop: Shop, register_id: str, name: str, outlet_id: str
) -> channels_pb2.Register:
    register = channels_pb2.Register(
        register_id=register_id, display_name=name, outlet_id=outlet_id
    )
    request = channels_pb2.CreateRegisterRequest(request_id=request_id(), register=register)
    return (await shop.channels.CreateRegister(request, metadata=metadata())).register


async def test_an_outlet_that_exists_is_created_again_only_as_it_is(shop: Shop) -> None:
    first = await create_outlet(shop, "o-1", "Main")
    again = await create_outlet(shop, "o-1", "Main")
    assert again.create_time == first.create_time
    async with refused("OUTLET_EXISTS") as facts:
        await create_outlet(shop, "o-1", "Harbour")
    assert "'Main'" in facts["message"]
    listed = await shop.channels.ListOutlets(channels_pb2.ListOutletsRequest(), metadata=metadata())
    assert list(listed.outlets) == [again]


@pytest.mark.rule("SOR-04")
async def test_an_outlet_tells_what_told_of_it_last_and_when(shop: Shop) -> None:
    by_hand = await create_outlet(shop, "o-1", "Main")
    assert (by_hand.cause, by_hand.sync_time) == ("", by_hand.create_time)
    told = await create_outlet(shop, "o-1", "Main", cause="lightspeed-x")
    assert told.cause == "lightspeed-x"
    assert told.sync_time.ToDatetime() > by_hand.sync_time.ToDatetime()


async def test_a_register_that_exists_is_created_again_only_as_it_is(shop: Shop) -> None:
    await create_outlet(shop, "o-1", "Main")
    await create_outlet(shop, "o-2", "Harbour")
    first = await create_register(shop, "r-1", "Till", "o-1")
    assert first == await create_register(shop, "r-1", "Till", "o-1")
    async with refused("REGISTER_EXISTS"):
        await create_register(shop, "r-1", "Till", "o-2")
    async with refused("OUTLET_NOT_FOUND"):
        await create_register(shop, "r-2", "Till", "o-3")
    listed = await shop.channels.ListRegisters(
        channels_pb2.ListRegistersRequest(), metadata=metadata()
    )
    assert list(listed.registers) == [first]


@pytest.mark.rule("INV-08")
async def test_a_channel_posts_to_a_register_that_exists(shop: Shop) -> None:
    channel = await shop.open()
    async with refused("REGISTER_NOT_FOUND") as facts:
        request = channels_pb2.SetRegisterRequest(
            request_id=request_id(), channel_id=channel.channel_id, register_id="till-nowhere"
        )
        await shop.channels.SetRegister(request, metadata=metadata())
    assert "create it first" in facts["message"]
    found = await shop.channels.GetChannel(
        channels_pb2.GetChannelRequest(channel_id=channel.channel_id), metadata=metadata()
    )
    assert (found.channel.register_id, found.channel.locked_outlet_id) == ("till-main", MAIN)
