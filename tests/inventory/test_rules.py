"""Levels, counts and what a channel may sell of them, case by case."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.inventory.rules.stock import (
    NEVER,
    QUANTITY_MAX,
    Count,
    Hold,
    Item,
    Kind,
    Level,
    Stock,
    adjust,
    count,
    text,
    transfer,
)

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
EARLY, LATE = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
MAIN, HARBOUR = "main", "harbour"
PLACE = ("mug", MAIN)


def hold(number: int, quantity: int, pos_version: int | None = None) -> Hold:
    return Hold(f"rs-{number}", "1", "mug", MAIN, quantity, pos_version)


def stock_of(*levels: Level, posted: tuple[Hold, ...] = ()) -> Stock:
    return Stock(
        items={"mug": Item("mug"), "card": Item("card", tracked=False)},
        outlets=frozenset({MAIN, HARBOUR}),
        levels={(level.item_id, level.outlet_id): level for level in levels},
        posted={PLACE: posted} if posted else {},
    )


def mugs(
    on_hand: int = 0, reserved: int = 0, version: int = 0, at: datetime | None = None
) -> Level:
    return Level("mug", MAIN, on_hand, reserved, version, at, count_time=at or NEVER)


@pytest.mark.rule("INV-01")
def test_an_item_is_tracked_unless_the_catalog_says_otherwise() -> None:
    assert Item("mug").tracked


# What is known, what is told, and (changed, on hand, version, observed) afterwards.
@pytest.mark.rule("INV-02")
@pytest.mark.parametrize(
    ("known", "told", "expected"),
    [
        # the first that is ever told
        (mugs(),                Count("mug", MAIN, 5, 0, NOON),   (True,  5, 0, NOON)),
        (mugs(),                Count("mug", MAIN, 5, 9, NOON),   (True,  5, 9, NOON)),
        (mugs(),                Count("mug", MAIN, 0, 9, NOON),   (False, 0, 9, NOON)),
        # both have a version: it decides, whatever the clocks say
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 5, 9, LATE),   (True,  5, 9, LATE)),
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 5, 9, EARLY),  (True,  5, 9, NOON)),
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 5, 8, LATE),   (False, 7, 8, NOON)),
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 5, 7, LATE),   (False, 7, 8, NOON)),
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 7, 9, LATE),   (False, 7, 9, LATE)),
        # one of them has none: time decides
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 5, 0, LATE),   (True,  5, 8, LATE)),
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, 5, 0, EARLY),  (False, 7, 8, NOON)),
        (mugs(7, 0, 0, NOON),   Count("mug", MAIN, 5, 9, LATE),   (True,  5, 9, LATE)),
        (mugs(7, 0, 0, NOON),   Count("mug", MAIN, 5, 9, EARLY),  (False, 7, 0, NOON)),
        # neither has one: time decides, and of two at one time the one that came last
        (mugs(7, 0, 0, NOON),   Count("mug", MAIN, 5, 0, LATE),   (True,  5, 0, LATE)),
        (mugs(7, 0, 0, NOON),   Count("mug", MAIN, 5, 0, EARLY),  (False, 7, 0, NOON)),
        (mugs(7, 0, 0, NOON),   Count("mug", MAIN, 5, 0, NOON),   (True,  5, 0, NOON)),
        (mugs(7, 0, 0, NOON),   Count("mug", MAIN, 7, 0, LATE),   (False, 7, 0, LATE)),
        # below zero is what a shop may have counted (INV-13)
        (mugs(7, 0, 8, NOON),   Count("mug", MAIN, -2, 9, LATE),  (True, -2, 9, LATE)),
    ],
)  # fmt: skip
def test_an_older_count_changes_nothing(
    known: Level, told: Count, expected: tuple[bool, int, int, datetime]
) -> None:
    draft = stock_of(known).draft()
    changed = count(draft, told)
    level = draft.level(*PLACE)
    assert expected == (changed, level.on_hand, level.version, level.observe_time)
    assert level.on_hand - known.on_hand == sum(moved.quantity for moved in draft.movements)


# Mugs on hand and held, posted holds (quantity, version of the sale), the count's quantity and
# version, and (changed, reserved, quantities that still wait) afterwards.
@pytest.mark.rule("INV-03")
@pytest.mark.parametrize(
    ("known", "posted", "told", "expected"),
    [
        (mugs(5, 2, 100), ((2, 110),),           (3, 111), (True,  0, ())),
        (mugs(5, 2, 100), ((2, 110),),           (5, 111), (True,  0, ())),     # same figure, newer
        (mugs(5, 2, 100), ((2, 110),),           (3, 110), (True,  2, (2,))),   # no proof yet
        (mugs(5, 2, 100), ((2, 110),),           (4, 105), (True,  2, (2,))),   # a till's sale
        (mugs(5, 2, 100), ((2, 110),),           (9,  99), (False, 2, (2,))),   # older: nothing
        (mugs(5, 5, 100), ((2, 110), (3, 120)),  (3, 115), (True,  3, (3,))),   # one of two
        (mugs(5, 5, 100), ((2, 110), (3, 120)),  (0, 121), (True,  0, ())),
        (mugs(5, 4, 100), ((2, 110),),           (3, 111), (True,  2, ())),     # 2 held, not posted
        (mugs(5, 2, 100), ((2, 0),),             (5, 101), (True,  0, ())),     # no version: any
    ],
)  # fmt: skip
def test_a_posted_hold_ends_with_the_first_level_that_is_newer_than_its_sale(
    known: Level,
    posted: tuple[tuple[int, int], ...],
    told: tuple[int, int],
    expected: tuple[bool, int, tuple[int, ...]],
) -> None:
    holds = tuple(hold(number, *one) for number, one in enumerate(posted))
    draft = stock_of(known, posted=holds).draft()
    changed = count(draft, Count("mug", MAIN, *told, LATE))
    left = draft.waiting(PLACE)
    assert expected == (
        changed,
        draft.level(*PLACE).reserved,
        tuple(one.quantity for one in left),
    )
    assert {*draft.ended, *left} == set(holds)


@pytest.mark.rule("BEY-08")
@given(
    versions=st.lists(st.integers(1, 30), min_size=1, max_size=12, unique=True).flatmap(
        lambda found: st.permutations(found * 2)
    ),
    sales=st.lists(st.integers(0, 30), max_size=4),
)
def test_versioned_counts_end_in_the_same_level_in_any_order(
    versions: list[int], sales: list[int]
) -> None:
    """Whatever the order and however often each comes: the newest holds, and no hold is left that
    it includes.
    """
    holds = tuple(hold(number, 1, version) for number, version in enumerate(sales))
    known = mugs(0, len(holds))

    def after(order: list[int]) -> tuple[Level, frozenset[Hold]]:
        stock = stock_of(known, posted=holds)
        for version in order:
            draft = stock.draft()
            at = NOON + timedelta(minutes=version)
            count(draft, Count("mug", MAIN, version * 7 % 11, version, at))
            stock.accept(draft)
        return stock.levels[PLACE], frozenset(stock.posted.get(PLACE, ()))

    assert after(sorted(set(versions))) == after(versions)


# Mugs on hand before, the movement, and mugs on hand after.
@pytest.mark.rule("INV-02")
@pytest.mark.rule("INV-13")
@pytest.mark.parametrize(
    ("before", "kind", "quantity", "after"),
    [
        (5, Kind.ADJUSTMENT, -1, 4),
        (5, Kind.RECEIPT,    12, 17),
        (5, Kind.POS_SALE,   -2, 3),
        (5, Kind.POS_SALE,   -7, -2),   # a shop sells what it holds in its hand
        (0, Kind.POS_RETURN,  1, 1),
        (-2, Kind.RECEIPT,    2, 0),
    ],
)  # fmt: skip
def test_movements_add_up(before: int, kind: Kind, quantity: int, after: int) -> None:
    draft = stock_of(mugs(before)).draft()
    assert after == adjust(draft, PLACE, kind, quantity, NOON).on_hand
    (moved,) = draft.movements
    assert (moved.kind, moved.quantity, moved.on_hand) == (kind, quantity, after)


@pytest.mark.rule("INV-02")
@given(st.integers(-100, 100), st.integers(-100, 100), st.lists(st.integers(1, 50), max_size=5))
def test_a_transfer_moves_stock_and_makes_none(main: int, harbour: int, sent: list[int]) -> None:
    draft = stock_of(mugs(main), Level("mug", HARBOUR, harbour)).draft()
    for quantity in sent:
        transfer(draft, "mug", (MAIN, HARBOUR), quantity, NOON)
    after = draft.level("mug", MAIN).on_hand, draft.level("mug", HARBOUR).on_hand
    assert after == (main - sum(sent), harbour + sum(sent))
    assert sum(moved.quantity for moved in draft.movements) == 0


# A level, what is added to it, and whether a level can hold that.
@pytest.mark.parametrize(
    ("on_hand", "quantity", "passes"),
    [
        (QUANTITY_MAX - 2,    1, True),
        (QUANTITY_MAX - 2,    2, False),
        (2 - QUANTITY_MAX,   -1, True),
        (2 - QUANTITY_MAX,   -2, False),
        (QUANTITY_MAX - 1,    0, True),
    ],
)  # fmt: skip
def test_a_level_never_grows_beyond_what_a_row_can_hold(
    on_hand: int, quantity: int, passes: bool
) -> None:
    draft = stock_of(mugs(on_hand)).draft()
    if passes:
        adjust(draft, PLACE, Kind.ADJUSTMENT, quantity, NOON)
        return
    with pytest.raises(DomainError) as found:
        adjust(draft, PLACE, Kind.ADJUSTMENT, quantity, NOON)
    assert found.value.reason == "QUANTITY_OUT_OF_RANGE"
    assert (draft.levels, draft.movements) == ({}, [])


# Item, outlet, and why there can be no stock of it there.
@pytest.mark.parametrize(
    ("item_id", "outlet_id", "reason"),
    [
        ("rope", MAIN,      "ITEM_NOT_FOUND"),
        ("mug",  "nowhere", "OUTLET_NOT_FOUND"),
        ("rope", "nowhere", "ITEM_NOT_FOUND"),
    ],
)  # fmt: skip
def test_stock_is_of_a_known_item_at_a_known_outlet(
    item_id: str, outlet_id: str, reason: str
) -> None:
    with pytest.raises(DomainError) as found:
        stock_of().find(item_id, outlet_id)
    assert reason == found.value.reason


def test_a_draft_that_is_not_accepted_leaves_no_trace() -> None:
    stock = stock_of(mugs(5, 2, 100), posted=(hold(1, 2, 110),))
    count(stock.draft(), Count("mug", MAIN, 1, 200, LATE))
    assert (stock.levels[PLACE], stock.posted[PLACE]) == (mugs(5, 2, 100), (hold(1, 2, 110),))


# Thousandths, and how people and the wire write them.
@pytest.mark.parametrize(
    ("thousandths", "expected"),
    [
        (0,              "0"),
        (1,              "0.001"),
        (7000,           "7"),
        (7500,           "7.5"),
        (-2000,          "-2"),
        (-1,             "-0.001"),
        (-125,           "-0.125"),
        (10_000,         "10"),
        (999_999_999_999, "999999999.999"),
    ],
)  # fmt: skip
def test_quantities_are_written_without_needless_zeros(thousandths: int, expected: str) -> None:
    assert expected == text(thousandths)
