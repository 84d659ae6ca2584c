"""Levels that are typed in a store, over the network, on both databases (INV-10)."""

import asyncio
from typing import Any

import pytest

from tests.harness import metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, Shop, request_id
from tests.inventory.test_online import told
from tests.inventory.test_what_if import update
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2

pytestmark = pytest.mark.asyncio


async def report(
    shop: Shop, channel_id: str, store_quantity: int, version: int
) -> inventory_pb2.ReportStockEditResponse:
    """Tells what the store shows of mugs."""
    return await shop.stock.ReportStockEdit(
        inventory_pb2.ReportStockEditRequest(
            request_id=request_id(),
            channel_id=channel_id,
            item_id="mug",
            store_quantity=store_quantity,
            version=version,
        ),
        metadata=metadata(),
    )


@pytest.mark.rule("INV-10")
async def test_an_edit_in_a_store_is_undone_and_recorded(shop: Shop) -> None:
    channel_id = (await shop.open()).channel_id
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    version = (await shop.online(channel_id, "mug")).version
    since = len(await shop.events())
    assert (await report(shop, channel_id, 5, version)).outcome == (
        inventory_pb2.STOCK_EDIT_OUTCOME_UNCHANGED
    )
    answer = await report(shop, channel_id, 99, version)
    assert answer.outcome == inventory_pb2.STOCK_EDIT_OUTCOME_RESTORED
    assert (answer.online_stock.quantity, answer.online_stock.version) == (5, version + 1)
    assert await shop.online(channel_id, "mug") == answer.online_stock
    assert await told(shop, since) == [(channel_id, 5)]  # so that it is written again
    again = await report(shop, channel_id, 99, version)  # before that has happened
    assert again.outcome == inventory_pb2.STOCK_EDIT_OUTCOME_IN_FLIGHT
    assert (await shop.level("mug", MAIN)).on_hand == "5"
    listed = await list_edits(shop, channel_id)
    assert [(one.item_id, one.own_quantity, one.store_quantity) for one in listed.edits] == [
        ("mug", 5, 99)
    ]
    async with refused("ITEM_NOT_FOUND"):
        await shop.stock.ReportStockEdit(
            inventory_pb2.ReportStockEditRequest(
                request_id=request_id(), channel_id=channel_id, item_id="rope", store_quantity=1
            ),
            metadata=metadata(),
        )


@pytest.mark.rule("INV-10")
async def test_an_edit_becomes_an_adjustment_where_the_policy_says_so(shop: Shop) -> None:
    channel_id = (await shop.open(connected_outlet_ids=[HARBOUR])).channel_id
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    await shop.count("mug", HARBOUR, "3")
    await update(shop, channel_id, ["accept_store_stock_edits"], accept_store_stock_edits=True)
    version = (await shop.online(channel_id, "mug")).version
    answers = await asyncio.gather(*(report(shop, channel_id, 6, version) for _ in range(4)))
    assert sorted(answer.outcome for answer in answers) == [
        *[inventory_pb2.STOCK_EDIT_OUTCOME_UNCHANGED] * 3,
        inventory_pb2.STOCK_EDIT_OUTCOME_ADJUSTED,
    ]
    assert (await shop.level("mug", MAIN)).on_hand == "3"
    figure = await shop.online(channel_id, "mug")
    assert (figure.quantity, figure.version) == (6, version + 1)
    ledger = await shop.stock.ListMovements(
        inventory_pb2.ListMovementsRequest(item_id="mug", outlet_id=MAIN), metadata=metadata()
    )
    moved = ledger.movements[0]
    assert (moved.quantity, moved.reason) == (
        "-2",
        inventory_pb2.ADJUSTMENT_REASON_STORE_EDIT,
    )
    for shown in (9, 1):
        version = (await shop.online(channel_id, "mug")).version
        await report(shop, channel_id, shown, version)
    pages, token = [], ""
    for _ in range(3):
        listed = await list_edits(shop, channel_id, page_size=1, page_token=token)
        pages += [one.store_quantity for one in listed.edits]
        token = listed.next_page_token
    assert (pages, token) == ([1, 9, 6], "")


async def list_edits(
    shop: Shop, channel_id: str, **page: Any
) -> inventory_pb2.ListStockEditsResponse:
    """What was typed in the store."""
    return await shop.stock.ListStockEdits(
        inventory_pb2.ListStockEditsRequest(channel_id=channel_id, **page), metadata=metadata()
    )


@pytest.mark.rule("INV-10")
@pytest.mark.rule("INV-11")
async def test_a_store_on_its_own_may_show_what_it_likes(shop: Shop) -> None:
    opened = await shop.open(profile=channels_pb2.PROFILE_RETAIL_X_ECWID, connected_outlet_ids=[])
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    await update(shop, opened.channel_id, ["update_inventory"], update_inventory=False)
    answer = await report(shop, opened.channel_id, 9, 1)
    assert answer.outcome == inventory_pb2.STOCK_EDIT_OUTCOME_UNCHANGED
    assert not (await list_edits(shop, opened.channel_id)).edits
