"""CheckStock: errors that were planted are found, planned and set right, on both databases."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import grpc
import pytest
from sqlalchemy import Table, update
from typer.testing import CliRunner

from services import cli
from services.inventory.store.tables import HOLDS, LEVELS, ONLINE
from services.inventory.wire import stock as wire
from tests.harness import KEY, MERCHANT, metadata
from tests.inventory.conftest import HARBOUR, MAIN, THIRD, Client, Shop, request_id
from tests.inventory.test_incidents import audit, sell
from tests.inventory.test_transfers import Transfers
from tillbridge.inventory.v1 import audit_pb2 as pb
from tillbridge.inventory.v1 import inventory_pb2

pytestmark = pytest.mark.asyncio

LEVEL, RESERVED, FIGURE, TRANSIT = (
    pb.FINDING_KIND_LEVEL,
    pb.FINDING_KIND_RESERVED,
    pb.FINDING_KIND_ONLINE_STOCK,
    pb.FINDING_KIND_IN_TRANSIT,
)


async def check(shop: Client, *, repair: bool = False, page_size: int = 0) -> list[pb.Finding]:
    """All that CheckStock finds."""
    found: list[pb.Finding] = []
    request = pb.CheckStockRequest(repair=repair, page_size=page_size)
    while True:
        request.request_id = request_id()
        answer = await audit(shop).CheckStock(request, metadata=metadata())
        found += answer.findings
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def plant(shop: Shop, table: Table, item_id: str, **values: int) -> None:
    """Writes past the service."""
    place = [table.c.outlet_id == MAIN] if "outlet_id" in table.c else []
    await shop.service.database.apply(
        "plant",
        lambda transaction: transaction.connection.execute(
            update(table).where(table.c.item_id == item_id, *place).values(**values)
        ),
    )


async def prepare(shop: Shop) -> str:
    """Five mugs at Main, two of them held, one on its way there; returns the channel."""
    channel = await shop.open()
    await shop.learn("mug", "pot")
    await shop.count("mug", MAIN, "5")
    await shop.count("pot", MAIN, "5")
    await shop.count("mug", HARBOUR, "3")
    await shop.reserve(channel.channel_id, ("mug", "2"))
    await Transfers(shop).send(("mug", "1"), outlets=(HARBOUR, MAIN))
    assert await check(shop) == []
    return channel.channel_id


# What is planted, what is found as (kind, kept, expected), and (on hand, held, in transit) of mugs
# at Main and the figure once it is set right.
@pytest.mark.rule("BEY-01")
@pytest.mark.parametrize(
    ("table", "values", "expected"),
    [
        (LEVELS, {"on_hand": 9000},    {(LEVEL, "9", "5")}),
        (LEVELS, {"on_hand": 1000},    {(LEVEL, "1", "5")}),
        (LEVELS, {"reserved": -2000},  {(RESERVED, "-2", "2")}),
        (LEVELS, {"reserved": 4000},   {(RESERVED, "4", "2")}),
        (LEVELS, {"in_transit": 0},    {(TRANSIT, "0", "1")}),
        (ONLINE, {"quantity": 4},      {(FIGURE, "4", "5")}),
        (LEVELS, {"on_hand": 0, "reserved": 0, "in_transit": 0},
            {(LEVEL, "0", "5"), (RESERVED, "0", "2"), (TRANSIT, "0", "1")}),
    ],
    ids=["more", "less", "repair_negative_reserved", "held", "transit", "figure", "all"],
)  # fmt: skip
async def test_a_planted_error_is_found_and_set_right(
    shop: Shop,
    table: Table,
    values: dict[str, int],
    expected: set[tuple[pb.FindingKind.ValueType, str, str]],
) -> None:
    channel_id = await prepare(shop)
    await plant(shop, table, "mug", **values)
    for repair in (False, False, True):
        found = await check(shop, repair=repair)
        assert expected == {(one.kind, one.kept, one.expected) for one in found}
        assert {(one.item_id, one.repaired) for one in found} == {("mug", repair)}
    assert await check(shop) == []
    level = await shop.level("mug", MAIN)
    assert (level.on_hand, level.reserved, level.in_transit) == ("5", "2", "1")
    assert (await shop.online(channel_id, "mug")).quantity == 5
    moved = await shop.stock.ListMovements(
        inventory_pb2.ListMovementsRequest(item_id="mug", outlet_id=MAIN), metadata=metadata()
    )
    kinds = [one.kind for one in moved.movements]
    assert (inventory_pb2.MOVEMENT_KIND_CORRECTION in kinds) == ("on_hand" in values)


async def test_a_hold_that_was_lost_is_missed(shop: Shop) -> None:
    channel_id = await prepare(shop)
    await plant(shop, HOLDS, "mug", held=False)
    found = await check(shop, repair=True)
    assert [(one.kind, one.kept, one.expected) for one in found] == [
        (RESERVED, "2", "0"),
        (FIGURE, "5", "7"),
    ]
    assert (await shop.online(channel_id, "mug")).quantity == 7


async def test_items_are_checked_some_at_a_time(shop: Shop) -> None:
    channel = await shop.open()
    items = [f"item-{number}" for number in range(7)]
    await shop.learn(*items)
    for item_id in items:
        await shop.count(item_id, MAIN, "2")
    for item_id in items[::3]:
        await plant(shop, LEVELS, item_id, on_hand=3000)
    found = await check(shop, page_size=2, repair=True)
    assert [one.item_id for one in found] == items[::3]
    assert await check(shop, page_size=3) == []
    assert (await shop.online(channel.channel_id, items[0])).quantity == 2


@pytest.mark.rule("BEY-01")
@pytest.mark.rule("BEY-04")
@pytest.mark.parametrize("seed", [1, 2])
async def test_after_anything_the_sums_agree_and_the_past_can_be_asked_for(
    shop: Shop, seed: int
) -> None:
    channel = await shop.open()
    await shop.learn("mug", "pot")
    draw = random.Random(seed)
    transfers, sent, held = Transfers(shop), [""], [""]

    async def send() -> None:
        outlets = draw.sample([MAIN, HARBOUR, THIRD], 2)
        one = await transfers.send(("mug", "1"), outlets=(outlets[0], outlets[1]))
        sent.append(one.transfer_id)

    def release() -> Awaitable[object]:
        return shop.stock.ReleaseReservation(
            inventory_pb2.ReleaseReservationRequest(
                request_id=request_id(), reservation_id=held.pop()
            ),
            metadata=metadata(),
        )

    async def reserve() -> None:
        found = await shop.reserve(channel.channel_id, ("mug", "1"), ("pot", "2"))
        held.append(found.reservation_id)

    ways: list[Callable[[], Awaitable[object]]] = [
        lambda: shop.count(draw.choice(["mug", "pot"]), MAIN, str(draw.randint(-1, 6))),
        lambda: shop.count("pot", HARBOUR, f"{draw.randint(0, 6)}.5"),
        lambda: sell(shop, "mug", draw.choice([MAIN, HARBOUR]), "1"),
        send,
        lambda: transfers.receive(sent.pop(), ("mug", str(draw.randint(1, 2)))),
        lambda: transfers.close(sent.pop(), return_rest=draw.random() < 0.5),
        reserve,
        reserve,
        lambda: shop.commit(held.pop(), pos_version=draw.choice([None, 3])),
        release,
    ]
    now = shop.service.database.clock  # by which movements are recorded: not quite this machine's
    past: list[tuple[datetime, list[str]]] = []
    for _ in range(60):
        try:
            await draw.choice(ways)()
        except (grpc.aio.AioRpcError, IndexError):  # refused, or nothing there: nothing happened
            continue
        past.append((now(), await on_hand(shop)))
    assert await check(shop) == []
    for when, expected in draw.sample(past, 8):
        assert expected == await on_hand(shop, when)
    assert await on_hand(shop, datetime(2020, 1, 1, tzinfo=UTC)) == ["0"] * 6


async def on_hand(shop: Shop, as_of: datetime | None = None) -> list[str]:
    """What is on hand of every item at every outlet, asked for one by one and all at once."""
    found = []
    time = wire.time(as_of)
    request = inventory_pb2.ListStockLevelsRequest(as_of_time=time, page_size=1000)
    answer = await shop.stock.ListStockLevels(request, metadata=metadata())
    listed = {(one.item_id, one.outlet_id): one for one in answer.levels}
    for place in [(item, outlet) for item in ("mug", "pot") for outlet in (MAIN, HARBOUR, THIRD)]:
        one = await shop.stock.GetStockLevel(
            inventory_pb2.GetStockLevelRequest(
                item_id=place[0], outlet_id=place[1], as_of_time=time
            ),
            metadata=metadata(),
        )
        found.append(one.level.on_hand)
        assert place not in listed or listed[place] == one.level
        assert not as_of or not one.level.reserved
    return found


@pytest.mark.rule("BEY-01")
@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_levels_of_a_past_time_are_listed_page_by_page(shop: Shop, size: int) -> None:
    await shop.open()
    items = [f"item-{number}" for number in range(6)]
    await shop.learn(*items)
    for item_id in items[1::2]:
        await shop.count(item_id, HARBOUR, "3")
        await shop.count(item_id, MAIN, "2")
    last = await shop.stock.ListMovements(
        inventory_pb2.ListMovementsRequest(item_id=items[5], page_size=1), metadata=metadata()
    )
    then = last.movements[0].record_time
    for item_id in items:  # of which the list of that time knows nothing
        await shop.count(item_id, MAIN, "9")
    request = inventory_pb2.ListStockLevelsRequest(as_of_time=then, page_size=size)
    found: list[tuple[str, str, str]] = []
    while True:
        page = await shop.stock.ListStockLevels(request, metadata=metadata())
        assert len(page.levels) <= size
        found += [(one.item_id, one.outlet_id, one.on_hand) for one in page.levels]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    expected = [(item_id, *one) for item_id in items[1::2] for one in ((HARBOUR, "3"), (MAIN, "2"))]
    assert expected == found


async def test_a_time_that_there_is_not_is_refused(shop: Shop) -> None:
    await shop.open()
    request = inventory_pb2.ListStockLevelsRequest()
    request.as_of_time.seconds = 10**15
    with pytest.raises(grpc.aio.AioRpcError):
        await shop.stock.ListStockLevels(request, metadata=metadata())


@pytest.mark.rule("BEY-01")
async def test_an_operator_checks_and_repairs_by_a_command(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(shop)
    monkeypatch.setenv("TILLBRIDGE_TOKEN_KEY", KEY)
    monkeypatch.setenv("TILLBRIDGE_INVENTORY_ADDRESS", shop.service.address)

    async def tillbridge(*arguments: str, says: str = "") -> tuple[int, str]:
        command = ["check", "--merchant", MERCHANT, *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, command, input=says)
        return result.exit_code, result.output

    code, told = await tillbridge()
    assert (code, "stock is what its ledger says" in told) == (0, True)
    await plant(shop, LEVELS, "mug", on_hand=9000)
    code, told = await tillbridge("--repair", says="n\n")
    assert (code, "mug at outlet-main: on hand is 9, should be 5" in told) == (1, True)
    assert len(await check(shop)) == 1
    code, told = await tillbridge("--repair", says="y\n")
    assert (code, "1 were set right" in told) == (0, True)
    assert await check(shop) == []
    await plant(shop, LEVELS, "mug", reserved=0)
    assert (await tillbridge("--repair", "--yes"))[0] == 0
