"""Counts that would empty too much of an outlet are held until somebody says yes (BEY-10)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from services.inventory.rules import held as held_rules
from services.inventory.rules.breaker import WINDOW, Breaker, Breakers, Limit
from services.inventory.rules.held import Held, HeldCounts
from services.inventory.rules.stock import Count, Item, Level, Stock, empties
from tests.harness import eventually, metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, Shop, request_id
from tests.inventory.test_check import check
from tests.inventory.test_incidents import audit, sell
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import audit_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
KEY = ("shop", MAIN)


# How many are emptied, how many had stock, and whether that is allowed: a fifth, or twenty.
@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("count", "stocked", "expected"),
    [
        (20,       0, True),
        (21,      20, False),
        (21,     104, False),
        (21,     105, True),
        (200,  1_000, True),
        (201,  1_000, False),
        (201,  1_005, True),
    ],
)  # fmt: skip
def test_a_fifth_of_an_outlet_may_be_emptied_or_twenty_items(
    count: int, stocked: int, expected: bool
) -> None:
    assert Limit().allows(count, lambda needed: min(needed, stocked)) == expected


@pytest.mark.rule("BEY-10")
def test_items_that_were_emptied_before_count_and_had_stock_before() -> None:
    limit = Limit(share_percent=50, items_min=1)
    breakers = Breakers({KEY: Breaker(emptied_count=3)}, lambda *_: 5, limit)  # 3 of 8 are empty
    assert [breakers.allows(*KEY, item) for item in "abc"] == [True, False, False]
    assert breakers.emptied == {KEY: {"a"}}


# What is known of the outlet, and whether one more may be emptied.
@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("breaker", "expected"),
    [
        (Breaker(),                                            True),
        (Breaker(emptied_count=20),                            False),
        (Breaker(holds=True),                                  False),  # until somebody decides
        (Breaker(emptied_count=99, approved=True),             True),
        (Breaker(emptied_count=99, holds=True, approved=True), True),
    ],
)  # fmt: skip
def test_a_breaker_stays_open_until_somebody_decides(breaker: Breaker, expected: bool) -> None:
    breakers = Breakers({KEY: breaker}, lambda *_: 0)
    trial = breakers.copy()
    assert trial.allows(*KEY, "mug") == expected
    assert breakers.emptied == {}


def counted(quantity: int = 0, version: int = 0, minutes: int = 0, *, timed: bool = True) -> Count:
    return Count("mug", MAIN, quantity, version, NOON + timedelta(minutes=minutes), timed)


# The level, whether its item is tracked, the count, and whether it empties the item.
@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("level", "tracked", "told", "expected"),
    [
        (Level("mug", MAIN, 5),            True,  counted(),           True),
        (Level("mug", MAIN, 5),            True,  counted(-2),         True),
        (Level("mug", MAIN, 5),            True,  counted(1),          False),
        (Level("mug", MAIN, 5),            False, counted(),           False),
        (Level("mug", MAIN, 0),            True,  counted(),           False),
        (Level("mug", MAIN, 5, version=9), True,  counted(version=8),  False),
        (Level("mug", MAIN, 5, version=9), True,  counted(version=10), True),
    ],
)  # fmt: skip
def test_a_count_empties_where_something_was(
    level: Level, tracked: bool, told: Count, expected: bool
) -> None:
    stock = Stock({"mug": Item("mug", tracked)}, frozenset({MAIN}), {("mug", MAIN): level}, {})
    assert empties(stock.draft(), told) == expected


# What waits, what comes, and what waits then: if the newcomer is held, and if it passes.
@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("waiting", "told", "kept", "left"),
    [
        (counted(version=5), counted(version=6),            "new", ""),
        (counted(version=5), counted(version=5, minutes=9), "old", ""),
        (counted(version=5), counted(version=4, minutes=9), "old", "old"),
        (counted(minutes=5), counted(minutes=6),            "new", ""),
        (counted(minutes=5), counted(minutes=4),            "old", "old"),
        (counted(version=5), counted(minutes=1),            "new", ""),
        (counted(version=5), counted(minutes=-1),           "old", "old"),
    ],
)  # fmt: skip
def test_the_newest_count_of_a_place_waits(
    waiting: Count, told: Count, kept: str, left: str
) -> None:
    key = ("shop", "mug", MAIN)
    before = HeldCounts({key: Held(waiting, "old", "r-1", NOON)})
    held, passed = before.copy(), before.copy()
    held.hold("shop", Held(told, "new", "r-2", NOON + WINDOW))
    found = held.get(key)
    assert found
    assert (found.cause, found.record_time) == (kept, NOON)
    passed.take_in("shop", told)
    found = passed.get(key)
    assert (found.cause if found else "") == left


# The level when the operator says yes, what was held, what has moved since, and what is there then.
@pytest.mark.rule("BEY-08")
@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("level", "told", "moved", "expected"),
    [
        (Level("mug", MAIN, 5),                                  counted(),            [],   0),
        (Level("mug", MAIN, 5),                                  counted(timed=False), [],   0),
        (Level("mug", MAIN, 5, version=8),                       counted(version=9),   [],   0),
        (Level("mug", MAIN, 5, version=9),                       counted(version=9),   [],   5),
        (Level("mug", MAIN, 3, observe_time=NOON + WINDOW),      counted(),            [-2], -2),
        (Level("mug", MAIN, 3, observe_time=NOON + WINDOW),      counted(timed=False), [-2], -2),
        (Level("mug", MAIN, 9, 0, 8, NOON + WINDOW),             counted(version=9),   [4],  4),
        (Level("mug", MAIN, 3, 0, 8, NOON + WINDOW, 0, None),    counted(),            [-2], -2),
    ],
)  # fmt: skip
def test_a_held_count_is_taken_in_as_it_came(
    level: Level, told: Count, moved: list[int], expected: int
) -> None:
    deltas = [(NOON + WINDOW, quantity) for quantity in moved]
    before = [(NOON - WINDOW, 7)]  # is in the count
    place = ("mug", MAIN)
    stock = Stock({"mug": Item("mug")}, frozenset({MAIN}), {place: level}, {})
    stock.deltas = {place: [*before, *deltas]}
    draft = stock.draft()
    held_rules.take_in(draft, told, stock.deltas[place])
    assert draft.level(*place).on_hand == expected


ITEMS = [f"mug-{number:03}" for number in range(120)]


class Outlets(Shop):
    """A shop with 120 kinds of mugs, five of each at Main and one at Harbour."""

    async def fill(self) -> str:
        """Fills it; gives its channel."""
        channel = await self.open()
        await self.learn(*ITEMS)
        for outlet_id, quantity in ((MAIN, "5"), (HARBOUR, "1")):
            await self.tell(ITEMS, quantity, 1, outlet_id)
        return channel.channel_id

    async def tell(
        self, items: Iterable[str], quantity: str, version: int, outlet_id: str = MAIN
    ) -> list[pb.CountResult]:
        """Tells levels of these items in one call."""
        answer = await self.stock.RecordCounts(
            pb.RecordCountsRequest(
                request_id=request_id(),
                cause="lightspeed_x",
                counts=[
                    pb.Count(
                        item_id=item_id, outlet_id=outlet_id, quantity=quantity, version=version
                    )
                    for item_id in items
                ],
            ),
            metadata=metadata(),
        )
        return list(answer.results)

    async def held(self) -> list[attention_pb2.AttentionGroup]:
        """The groups of held counts."""
        answer = await audit(self).ListAttention(
            audit_pb2.ListAttentionRequest(), metadata=metadata()
        )
        return [
            one for one in answer.groups if one.cause == attention_pb2.ATTENTION_CAUSE_COUNTS_HELD
        ]

    async def decide(
        self, outlet_id: str, *, go_on: bool = True, validate_only: bool = False
    ) -> int:
        """Decides on an outlet's held counts; how many went on or were dropped."""
        decision = "GO_ON" if go_on else "DISCARD"
        answer = await audit(self).ResolveAttention(
            audit_pb2.ResolveAttentionRequest(
                request_id=request_id(),
                cause=attention_pb2.ATTENTION_CAUSE_COUNTS_HELD,
                key=outlet_id,
                decision=attention_pb2.AttentionDecision.Value(f"ATTENTION_DECISION_{decision}"),
                validate_only=validate_only,
            ),
            metadata=metadata(),
        )
        return answer.resolved_count

    async def empty(self, outlet_id: str = MAIN) -> int:
        """How many items an outlet has nothing of."""
        answer = await self.stock.ListStockLevels(
            pb.ListStockLevelsRequest(outlet_id=outlet_id, page_size=1000), metadata=metadata()
        )
        return sum(level.on_hand == "0" for level in answer.levels)


@pytest.fixture
def outlets(shop: Shop) -> Outlets:
    return Outlets(shop.service, shop.catalog)


ALLOWED = 24
"""A fifth of 120."""


@pytest.mark.rule("BEY-10")
@pytest.mark.rule("BEY-09")
async def test_a_page_of_zeros_is_held_and_one_yes_lets_all_of_it_go_on(outlets: Outlets) -> None:
    channel_id = await outlets.fill()
    results = await outlets.tell(ITEMS, "0", 2)
    assert [one.held for one in results] == [False] * ALLOWED + [True] * (120 - ALLOWED)
    assert [one.changed for one in results] == [True] * ALLOWED + [False] * (120 - ALLOWED)
    assert (results[-1].level.on_hand, results[-1].level.version) == ("5", 1)
    assert await outlets.empty() == ALLOWED
    (group,) = await outlets.held()
    assert (group.key, group.waiting_count) == (MAIN, 120 - ALLOWED)
    assert list(group.examples) == ITEMS[ALLOWED : ALLOWED + 10]
    assert "96 items at outlet outlet-main" in group.title

    assert await outlets.decide(MAIN, validate_only=True) == 120 - ALLOWED
    assert await outlets.empty() == ALLOWED
    assert await outlets.decide(MAIN) == 120 - ALLOWED
    assert (await outlets.empty(), await outlets.held()) == (120, [])
    level = await outlets.level(ITEMS[-1], MAIN)
    assert (level.on_hand, level.version) == ("0", 2)
    assert (await outlets.online(channel_id, ITEMS[-1])).quantity == 1  # at Harbour
    assert await check(outlets) == []
    # The outlet's counts pass for an hour.
    await outlets.tell(ITEMS, "5", 3)
    assert not any(one.held for one in await outlets.tell(ITEMS, "0", 4))


@pytest.mark.rule("BEY-10")
async def test_a_no_leaves_the_levels_as_they_are(outlets: Outlets) -> None:
    await outlets.fill()
    await outlets.tell(ITEMS, "0", 2)
    assert await outlets.decide(MAIN, go_on=False) == 120 - ALLOWED
    assert (await outlets.empty(), await outlets.held()) == (ALLOWED, [])
    async with refused("ATTENTION_NOT_FOUND"):
        await outlets.decide(MAIN)
    async with refused("INVALID_FIELD"):
        await audit(outlets).ResolveAttention(
            audit_pb2.ResolveAttentionRequest(
                request_id=request_id(),
                cause=attention_pb2.ATTENTION_CAUSE_OVERSOLD,
                key=MAIN,
                decision=attention_pb2.ATTENTION_DECISION_GO_ON,
            ),
            metadata=metadata(),
        )
    assert (await outlets.tell(ITEMS[-1:], "0", 3))[0].held  # it is still one too many


@pytest.mark.rule("BEY-10")
async def test_many_small_calls_are_one_burst_and_other_outlets_are_not_concerned(
    outlets: Outlets,
) -> None:
    await outlets.fill()
    told = [(await outlets.tell([item_id], "0", 2))[0] for item_id in ITEMS[:40]]
    assert [one.held for one in told] == [False] * ALLOWED + [True] * (40 - ALLOWED)
    assert not (await outlets.tell(ITEMS[:1], "0", 2, HARBOUR))[0].held
    ahead = outlets.service.database.clock
    outlets.service.database.clock = lambda: ahead() + 2 * WINDOW
    assert (await outlets.tell(ITEMS[40:41], "0", 2))[0].held  # time alone lets nothing pass
    await outlets.decide(MAIN, go_on=False)
    assert not (await outlets.tell(ITEMS[40:41], "0", 3))[0].held  # and what was is forgotten


@pytest.mark.rule("BEY-10")
async def test_items_that_come_and_go_count_once(outlets: Outlets) -> None:
    await outlets.fill()
    for version in range(2, 32):
        quantity = "0" if version % 2 == 0 else "5"
        assert not any(one.held for one in await outlets.tell(ITEMS[:10], quantity, version))


@pytest.mark.rule("BEY-10")
async def test_a_newer_count_takes_the_place_of_a_held_one_and_an_older_one_does_not(
    outlets: Outlets,
) -> None:
    await outlets.fill()
    await outlets.tell(ITEMS, "0", 5)
    newer, older, sold = ITEMS[-1], ITEMS[-2], ITEMS[-3]
    assert (await outlets.tell([newer], "4", 6))[0].changed
    assert (await outlets.tell([older], "4", 4))[0].changed
    await sell(outlets, sold, MAIN, "2")
    (group,) = await outlets.held()
    assert group.waiting_count == 120 - ALLOWED - 1
    await outlets.decide(MAIN)
    levels = [(await outlets.level(one, MAIN)).on_hand for one in (newer, older, sold)]
    assert levels == ["4", "0", "-2"]
    assert await check(outlets) == []


@pytest.mark.rule("BEY-10")
async def test_missing_is_not_zero(outlets: Outlets) -> None:
    """An item that a run of counts does not name stays as it is."""
    await outlets.fill()
    assert not any(one.held for one in await outlets.tell(ITEMS[:2], "7", 2))
    assert await outlets.empty() == 0
    assert [(await outlets.level(one, MAIN)).on_hand for one in ITEMS[1:3]] == ["7", "5"]


@pytest.mark.rule("BEY-10")
async def test_a_held_count_of_an_item_that_is_gone_is_dropped(outlets: Outlets) -> None:
    await outlets.fill()
    await outlets.tell(ITEMS, "0", 2)
    gone = f"product-{ITEMS[-1]}"
    await outlets.catalog.tell([], product_id=gone, revision=2)

    async def deleted() -> None:
        async with refused("ITEM_NOT_FOUND"):
            await outlets.level(ITEMS[-1], MAIN)

    await eventually(deleted)
    assert await outlets.decide(MAIN) == 120 - ALLOWED
    assert await outlets.held() == []


@pytest.mark.rule("BEY-10")
async def test_a_call_that_is_refused_leaves_nothing_held(outlets: Outlets) -> None:
    await outlets.fill()
    async with refused("ITEM_NOT_FOUND"):
        await outlets.tell([*ITEMS, "unknown"], "0", 2)
    assert (await outlets.empty(), await outlets.held()) == (0, [])
    results = await outlets.tell(ITEMS, "0", 2)
    assert sum(one.held for one in results) == 120 - ALLOWED
