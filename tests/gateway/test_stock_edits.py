"""Stock that people type in the store: recorded, put right, and told from what buyers take."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.ecom import Figure, OrderSeen, Shelf, Slot
from gateway.owners import Owners
from gateway.push.shelves import Shelves
from gateway.push.stock_edits import StockEdits
from gateway.sandbox.chaos import ChaosSettings
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.errors import DomainError
from tests.gateway.installation import MAIN, MUG, Installation, gateway, installation
from tests.gateway.served import Served, served
from tests.gateway.test_drift import LISTINGS, edit, in_pos, listings, quiet, settled, swept
from tests.harness import KEY, eventually
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

WITHIN_S = 20.0
RESTORED = inventory_pb2.STOCK_EDIT_OUTCOME_RESTORED
ADJUSTED = inventory_pb2.STOCK_EDIT_OUTCOME_ADJUSTED


@pytest.fixture
async def selling(tmp_path: Path) -> AsyncIterator[Installation]:
    """An installation whose store offers mugs, and shows as many as there are."""
    async with installation(tmp_path) as installed, gateway(installed):
        await installed.connect()

        async def has_listings() -> None:
            assert len(await listings(installed)) == LISTINGS

        await eventually(has_listings, WITHIN_S)
        await installed.sell_online(MUG)
        await settled(installed, MUG)
        await shows(installed, await figure(installed))
        await quiet(installed)
        yield installed


async def figure(installed: Installation) -> int:
    owners = installed.owners
    request = inventory_pb2.GetOnlineStockRequest(channel_id=installed.channel_id, item_id=MUG)
    return (await owners.call(owners.inventory.GetOnlineStock, request)).online_stock.quantity


async def shows(installed: Installation, wanted: int) -> None:
    async def is_shown() -> None:
        assert await installed.shown(MUG) == wanted

    await eventually(is_shown, WITHIN_S)


async def recorded(installed: Installation) -> list[tuple[int, int, int]]:
    """The edits that the inventory knows of: what was right, what the store showed, the outcome."""
    owners = installed.owners
    request = inventory_pb2.ListStockEditsRequest(channel_id=installed.channel_id)
    edits = (await owners.call(owners.inventory.ListStockEdits, request)).edits
    return [(one.own_quantity, one.store_quantity, one.outcome) for one in edits]


@pytest.mark.rule("INV-10")
@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize("told", [True, False])
async def test_stock_typed_in_the_store_is_recorded_and_undone_and_never_reaches_the_till(
    selling: Installation, told: bool
) -> None:
    till, own = await in_pos(selling), await figure(selling)
    if not told:
        selling.store.chaos.set(ChaosSettings(drop=1))

    await edit(selling, quantity=own + 70)
    if not told:
        assert (await swept(selling))["edited"] == 1

    async def is_recorded() -> None:
        assert await recorded(selling) == [(own, own + 70, RESTORED)]

    await eventually(is_recorded, WITHIN_S)
    await shows(selling, own)
    assert await in_pos(selling) == till


@pytest.mark.rule("INV-10")
async def test_a_channel_may_take_stock_that_is_typed_in_its_store(selling: Installation) -> None:
    owners, own = selling.owners, await figure(selling)
    policies = channels_pb2.ChannelPolicies(accept_store_stock_edits=True)
    request = channels_pb2.UpdateChannelRequest(
        request_id="accept",
        channel=channels_pb2.Channel(channel_id=selling.channel_id, policies=policies),
        update_mask=FieldMask(paths=["policies.accept_store_stock_edits"]),
    )
    await owners.call(owners.channels.UpdateChannel, request)

    await edit(selling, quantity=own - 3)

    async def is_taken() -> None:
        assert await recorded(selling) == [(own, own - 3, ADJUSTED)]
        assert await figure(selling) == own - 3

    await eventually(is_taken, WITHIN_S)
    assert await selling.shown(MUG) == own - 3


@pytest.mark.rule("INV-03")
@pytest.mark.rule("INV-10")
async def test_what_an_order_takes_in_the_store_is_no_edit(selling: Installation) -> None:
    own = await figure(selling)

    await selling.order(MUG, 2)
    await swept(selling)

    async def is_held() -> None:
        assert await figure(selling) == own - 2

    await eventually(is_held, WITHIN_S)
    await shows(selling, own - 2)
    await quiet(selling)
    await swept(selling)
    assert (await recorded(selling), await selling.shown(MUG)) == ([], own - 2)


# The same, case by case.

AT_S = 1000.0
"""When the store was last told its stock."""


class Orders:
    """A store that has these orders of the mug."""

    def __init__(self, *orders: OrderSeen) -> None:
        self.orders = orders

    async def orders_of(self, _shelf_id: str, since_s: float) -> Sequence[OrderSeen]:
        assert since_s == AT_S
        return self.orders


def seen(version: int) -> OrderSeen:
    return OrderSeen("o", version, order_pb2.PAYMENT_STATUS_PAID)


async def looked(
    backends: Served,
    shown: Figure,
    *orders: OrderSeen,
    told: Figure | None,
    at_s: Sequence[float] = (0.0,),
) -> list[str]:
    """What is written again after looks, at these times, at a mug that shows this."""
    channels = {name: connect(one.address) for name, one in backends.backends.items()}
    owners = Owners.reached_by(channels, Identity(Tokens(KEY), "test"), "mug-shop")
    store: Any = Orders(*orders)
    shelves = Shelves("ch", owners, store, lambda: AT_S)
    variant = catalog_pb2.ListingVariant(item_id="mug-item")
    shelves.learn(catalog_pb2.Listing(product_id="mug", variants=[variant]))
    if told is not None:
        shelves.tell("mug-item", told)
    again: list[str] = []
    edits = StockEdits(owners, store, shelves, again.extend, lambda: now_s)
    try:
        for now_s in at_s:  # noqa: B007  (the clock tells it)
            await edits.look(Shelf("1", "mug", True, {"mug": Slot("1", "", shown)}))
    finally:
        for channel in channels.values():
            await channel.close()
    return again


def reports(backends: Served) -> list[tuple[str, int, int]]:
    return [
        (call.request.item_id, call.request.store_quantity, call.request.version)
        for call in backends.calls
        if call.method == "ReportStockEdit"
    ]


EIGHT, SIX = Figure(8, version=5), Figure(6)
ENDLESS = Figure(0, unlimited=True)
POSTED, WAITS = order_pb2.ORDER_STATE_POSTED, order_pb2.ORDER_STATE_MATCHED
BEFORE, AFTER = int(AT_S) - 1, int(AT_S)


ORDER = order_pb2.OrderDocument(order_id="o", version=BEFORE)
NEWER = order_pb2.OrderDocument(order_id="o", version=AFTER)


@pytest.mark.rule("INV-10")
@pytest.mark.parametrize(
    ("told", "shown", "expected"),
    [
        (EIGHT, Figure(8), ([], [])),
        (None, SIX, ([], [])),  # nobody knows what it was: the sweep writes it
        (EIGHT, SIX, ([("mug-item", 6, 5)], [])),
        (EIGHT, Figure(-3), ([("mug-item", -3, 5)], [])),
        (EIGHT, Figure(10**12), ([("mug-item", 10**9, 5)], [])),
        (EIGHT, ENDLESS, ([], ["mug-item"])),
        (ENDLESS, SIX, ([], ["mug-item"])),
    ],
)
async def test_another_stock_than_was_told_was_typed(
    told: Figure | None, shown: Figure, expected: tuple[Any, Any]
) -> None:
    async with served() as backends:
        outcome = inventory_pb2.ReportStockEditResponse(outcome=RESTORED)
        backends.answer("ReportStockEdit", outcome)

        again = await looked(backends, shown, told=told)
        assert (reports(backends), again) == expected


@pytest.mark.rule("INV-10")
@pytest.mark.parametrize(
    ("changed", "known", "expected"),
    [
        # when the store changed the order, what is known of it here; what is reported and rewritten
        (BEFORE, order_pb2.Order(document=ORDER, state=POSTED), ([("mug-item", 6, 5)], [])),
        (BEFORE, order_pb2.Order(document=ORDER, state=WAITS), ([], [])),
        (AFTER, order_pb2.Order(document=ORDER, state=POSTED), ([], [])),
        (BEFORE, None, ([], [])),
        # Its stock is none of the figure's, such as that of an outlet that does not feed it.
        (AFTER, order_pb2.Order(document=NEWER, state=POSTED), ([], ["mug-item"])),
    ],
)
async def test_what_an_order_explains_was_not(
    changed: int, known: order_pb2.Order | None, expected: tuple[Any, Any]
) -> None:
    async with served() as backends:
        missing = DomainError("ORDER_NOT_FOUND", "none")
        answer = order_pb2.GetOrderResponse(order=known) if known else missing
        backends.answer("GetOrder", answer)
        outcome = inventory_pb2.ReportStockEditResponse(outcome=RESTORED)
        backends.answer("ReportStockEdit", outcome)

        again = await looked(backends, SIX, seen(changed), told=EIGHT)
        assert (reports(backends), again) == expected


@pytest.mark.rule("INV-10")
@pytest.mark.parametrize(
    "answer",
    [
        inventory_pb2.ReportStockEditResponse(outcome=inventory_pb2.STOCK_EDIT_OUTCOME_UNCHANGED),
        DomainError("REGISTER_MISSING", "no register"),
    ],
)
async def test_what_the_inventory_does_not_take_is_written_again(answer: Any) -> None:
    async with served() as backends:
        backends.answer("ReportStockEdit", answer)

        assert await looked(backends, SIX, told=EIGHT) == ["mug-item"]


@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize(
    ("at_s", "times"),
    [
        ([0, 1, 2], 3),
        ([0, 1, 2, 3, 61], 3),
        ([0, 1, 2, 62, 63, 181], 4),
        ([0, 1, 2, 62, 182], 5),
        ([0, 1, 2, 2 + 24 * 3600, 3 + 24 * 3600, 4 + 24 * 3600, 5 + 24 * 3600], 6),
    ],
)
async def test_a_store_that_keeps_no_stock_is_not_written_without_end(
    at_s: list[float], times: int
) -> None:
    async with served() as backends:
        outcome = inventory_pb2.ReportStockEditResponse(outcome=RESTORED)
        backends.answer("ReportStockEdit", outcome)

        await looked(backends, SIX, told=EIGHT, at_s=at_s)

        assert len(reports(backends)) == times


async def test_an_inventory_that_is_down_is_told_later() -> None:
    async with served() as backends:
        backends.answer("ReportStockEdit", DomainError("SERVICE_UNAVAILABLE", "down"))

        with pytest.raises(DomainError, match="down"):
            await looked(backends, SIX, told=EIGHT)


@pytest.mark.rule("INV-10")
async def test_a_stock_that_is_in_step_when_work_begins_is_known_from_then_on(
    selling: Installation,
) -> None:
    """A gateway that is started again has told the store nothing yet."""
    own = await figure(selling)
    assert selling.workers is not None
    selling.store.chaos.set(ChaosSettings(drop=1))
    await selling.workers._stop([selling.channel_id])  # noqa: SLF001  (its worker is begun anew)

    async def works() -> None:
        assert (await swept(selling))["stocks"] == 0

    await eventually(works, WITHIN_S)
    await edit(selling, quantity=own + 1)
    await swept(selling)

    async def is_recorded() -> None:
        assert await recorded(selling) == [(own, own + 1, RESTORED)]

    await eventually(is_recorded, WITHIN_S)
    await selling.count(MUG, MAIN, 1)
    await shows(selling, await figure(selling))
