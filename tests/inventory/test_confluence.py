"""Counts and deltas that come twice, late and in any order (BEY-08)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.rules.stock import (
    NEVER,
    Count,
    Item,
    Kind,
    Level,
    Movement,
    Place,
    Stock,
    adjust,
    count,
    waits_for_deltas,
)

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
MAIN = "main"
PLACE: Place = ("mug", MAIN)

Event = Count | tuple[int, datetime]
"""A count, or a delta with the time that it was observed."""


class Outlet:
    """One place, with its ledger, as the store keeps it."""

    def __init__(self) -> None:
        self.level = Level(*PLACE)
        self.ledger: list[Movement] = []

    def take_in(self, event: Event) -> None:
        """Decides one event."""
        stock = Stock({"mug": Item("mug")}, frozenset({MAIN}), {PLACE: self.level}, {})
        draft = stock.draft()
        if isinstance(event, Count):
            if waits_for_deltas(self.level, event):
                stock.deltas = {
                    PLACE: [
                        (row.observe_time, row.quantity)
                        for row in self.ledger
                        if row.kind not in {Kind.COUNT, Kind.CORRECTION}
                    ]
                }
            count(draft, event)
        else:
            adjust(draft, PLACE, Kind.POS_SALE, event[0], event[1], timed=True)
        stock.accept(draft)
        self.ledger += draft.movements
        self.level = stock.levels[PLACE]
        assert sum(row.quantity for row in self.ledger) == self.level.on_hand


def after(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


MINUTES = st.integers(0, 9).map(after)
COUNTS = st.builds(
    Count, st.just("mug"), st.just(MAIN), st.integers(-3, 9), st.just(0), MINUTES, st.just(True)
)
DELTAS = st.tuples(st.integers(-4, 4).filter(bool), MINUTES)


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """The same events in two orders, counts of them up to three times."""
    events: list[Event] = draw(st.lists(COUNTS | DELTAS, min_size=1, max_size=8))
    counts = [one for one in events if isinstance(one, Count)]
    again = draw(st.lists(st.sampled_from(counts), max_size=4)) if counts else []
    return draw(st.permutations(events)), draw(st.permutations([*events, *again]))


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("BEY-01")
@given(shuffled())
def test_what_was_observed_at_a_time_may_come_in_any_order(
    orders: tuple[list[Event], list[Event]],
) -> None:
    once, again = Outlet(), Outlet()
    for event in orders[0]:
        once.take_in(event)
    for event in orders[1]:
        again.take_in(event)
    assert once.level.on_hand == again.level.on_hand == truth(orders[0])


def truth(events: list[Event]) -> int:
    """The latest count, and what was observed since; of two counts at one time the lower one."""
    counts = [one for one in events if isinstance(one, Count)]
    latest = max((one.observe_time for one in counts), default=NEVER)
    counted = min((one.quantity for one in counts if one.observe_time == latest), default=0)
    return counted + sum(one[0] for one in events if isinstance(one, tuple) and one[1] >= latest)


@pytest.mark.rule("BEY-08")
@given(
    st.lists(st.integers(1, 50), unique=True, min_size=1, max_size=6).flatmap(
        lambda versions: st.permutations([*versions, *versions])
    )
)
def test_counts_with_versions_may_come_in_any_order(versions: list[int]) -> None:
    outlet = Outlet()
    for version in versions:
        outlet.take_in(Count("mug", MAIN, version * 7 % 11, version, after(-version)))
    highest = max(versions)
    assert (outlet.level.on_hand, outlet.level.version) == (highest * 7 % 11, highest)


# The level as it is, a delta of -2 with its time, and the quantities that the ledger gets.
@pytest.mark.parametrize(
    ("counted_at", "when", "timed", "expected"),
    [
        (NOON,  after(1),  True,  [-2]),
        (NOON,  NOON,      True,  [-2]),
        (NOON,  after(-1), True,  [-2, 2]),   # the count has seen it already
        (NOON,  after(-1), False, [-2]),      # nobody knows when: it is new
        (NEVER, after(-1), True,  [-2]),
        (None,  after(-1), True,  [-2]),      # a version has decided: its time says nothing
    ],
)  # fmt: skip
def test_a_delta_from_before_the_last_count_is_in_that_count(
    counted_at: datetime | None, when: datetime, timed: bool, expected: list[int]
) -> None:
    level = Level("mug", MAIN, 5, observe_time=NOON, count_time=counted_at)
    draft = Stock({"mug": Item("mug")}, frozenset({MAIN}), {PLACE: level}, {}).draft()
    adjust(draft, PLACE, Kind.POS_SALE, -2, when, timed=timed)
    assert [row.quantity for row in draft.movements] == expected
    assert draft.level(*PLACE).on_hand == 5 + sum(expected)


def test_a_count_without_a_time_is_newest_whatever_the_clocks_say() -> None:
    level = Level("mug", MAIN, 5, observe_time=after(10), count_time=after(10))
    draft = Stock({"mug": Item("mug")}, frozenset({MAIN}), {PLACE: level}, {}).draft()
    assert count(draft, Count("mug", MAIN, 3, 0, NOON, timed=False))
    assert draft.level(*PLACE).on_hand == 3
