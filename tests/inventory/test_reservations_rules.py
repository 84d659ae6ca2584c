"""Which outlet gives what, and how a hold ends, case by case."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from itertools import count as numbers

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.chassis.errors import DomainError
from services.inventory.rules import transfers
from services.inventory.rules.allocation import (
    STRATEGIES,
    Allocation,
    Free,
    Line,
    allocate,
    candidates,
    explain,
    fewest_splits,
    priority,
    whole_order,
)
from services.inventory.rules.channels import (
    AllocationPolicy,
    Channel,
    Profile,
    Register,
    create,
)
from services.inventory.rules.reservations import (
    Reservation,
    State,
    commit,
    expire,
    extend,
    move,
    put_back,
    release,
    reserve,
    take,
)
from services.inventory.rules.stock import (
    Count,
    Draft,
    Hold,
    Item,
    Kind,
    Level,
    Stock,
    adjust,
    count,
)

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATE = NOON + timedelta(hours=1)
A, B, C = "a", "b", "c"
OUTLETS = (A, B, C)
ITEMS, PLACES = st.sampled_from("xyz"), st.sampled_from(OUTLETS)
THINGS = st.sampled_from(["mug", "rope"])


def channel_of(profile: Profile, register_outlet: str = A) -> Channel:
    """A channel that all outlets feed, as far as its profile allows."""
    primary = profile is Profile.RETAIL_R_ECOM
    only = profile is Profile.RETAIL_X_ECWID
    return create(
        "ch-1",
        "Web",
        profile,
        register=None if primary else Register("till", "Till", register_outlet),
        primary_outlet_id=B if primary else "",
        wanted=[] if only else OUTLETS,
        external_pos=False,
    )


# Profile, the outlet of the register, the outlet that the method is tied to, and who may give.
@pytest.mark.rule("ORD-10")
@pytest.mark.rule("INV-12")
@pytest.mark.parametrize(
    ("profile", "register_outlet", "tied", "expected"),
    [
        (Profile.RETAIL_R_ECOM,  A, "", (B,)),         # the primary
        (Profile.RETAIL_R_ECOM,  A, C,  (C,)),
        (Profile.RETAIL_X_ECOM,  A, "", (A, B, C)),
        (Profile.RETAIL_X_ECOM,  C, "", (C, A, B)),    # the register's first, then the order
        (Profile.RETAIL_X_ECOM,  C, B,  (B,)),         # pickup is always tied
        (Profile.RETAIL_X_ECWID, A, "", (A,)),         # the register's
        (Profile.RETAIL_X_ECWID, A, C,  (C,)),
    ],
)  # fmt: skip
def test_the_outlets_that_may_give(
    profile: Profile, register_outlet: str, tied: str, expected: tuple[str, ...]
) -> None:
    assert expected == candidates(channel_of(profile, register_outlet), tied)


def test_a_channel_that_lost_its_register_says_so() -> None:
    channel = replace(channel_of(Profile.RETAIL_X_ECWID), register_outlet_id="")
    with pytest.raises(DomainError) as found:
        candidates(channel, "")
    assert found.value.reason == "REGISTER_MISSING"


# What is free as {item: (at a, at b, at c)}, the lines as quantity and item, and the allocations as
# line, outlet and quantity, or the facts of the refusal. Outlets are asked in the order a, b, c.
@pytest.mark.rule("ORD-10")
@pytest.mark.parametrize(
    ("free", "asked", "expected"),
    [
        # one outlet has the whole order: the first such
        ({"x": (5, 5, 5)},                  "5x",    "1a5"),
        ({"x": (4, 5, 5)},                  "5x",    "1b5"),
        ({"x": (5, 9, 9), "y": (0, 0, 1)},  "5x 1y", "1c5 2c1"),
        ({"x": (5, 5, 0), "y": (0, 1, 1)},  "5x 1y", "1b5 2b1"),
        # none has: whole lines, each at the first that has it
        ({"x": (5, 0, 0), "y": (0, 1, 1)},  "5x 1y", "1a5 2b1"),
        ({"x": (0, 0, 5), "y": (1, 1, 0)},  "5x 1y", "1c5 2a1"),
        # no outlet has the line: it is divided, in order
        ({"x": (2, 2, 2)},                  "5x",    "1a2 1b2 1c1"),
        ({"x": (2, 0, 3)},                  "5x",    "1a2 1c3"),
        ({"x": (2, 2, 2), "y": (0, 1, 0)},  "1y 5x", "1b1 2a2 2b2 2c1"),
        # two lines of one item draw on the same stock
        ({"x": (5, 5, 0)},                  "3x 2x", "1a3 2a2"),
        ({"x": (4, 5, 0)},                  "3x 2x", "1b3 2b2"),
        ({"x": (3, 2, 0)},                  "2x 3x", "1b2 2a3"),
        ({"x": (3, 2, 0)},                  "4x 1x", "1a2 1b2 2a1"),
        # not enough in all: all or nothing, with the first short item
        ({"x": (2, 2, 2)},                  "7x",    ("x", "0.007", "0.006")),
        ({"x": (2, 2, 2)},                  "4x 3x", ("x", "0.007", "0.006")),
        ({"x": (9, 0, 0)},                  "1x 1y", ("y", "0.001", "0")),
        ({},                                "1x",    ("x", "0.001", "0")),
        # nothing that is tracked is asked
        ({"x": (1, 1, 1)},                  "",      ""),
    ],
)  # fmt: skip
def test_an_order_is_divided_as_little_as_can_be(
    free: dict[str, tuple[int, int, int]],
    asked: str,
    expected: str | tuple[str, str, str],
) -> None:
    lines = [
        Line(str(number), line[1], int(line[0])) for number, line in enumerate(asked.split(), 1)
    ]
    places = {
        (item, outlet): quantity
        for item, row in free.items()
        for outlet, quantity in zip(OUTLETS, row, strict=True)
    }
    if isinstance(expected, tuple):
        with pytest.raises(DomainError) as found:
            allocate(lines, OUTLETS, places, whole_order)
        facts = found.value.facts
        assert found.value.reason == "INSUFFICIENT_STOCK"
        assert expected == (facts["item_id"], facts["asked"], facts["available"])
        return
    assert expected == " ".join(
        f"{given.line_id}{given.outlet_id}{given.quantity}"
        for given in allocate(lines, OUTLETS, places, whole_order)
    )


# What is free as {item: (at a, at b, at c)}, the lines, and who gives what by each strategy.
@pytest.mark.rule("ORD-10")
@pytest.mark.parametrize(
    ("free", "asked", "fewest", "in_order"),
    [
        ({"x": (5, 5, 5)},                 "5x",       "1a5",             "1a5"),
        ({"x": (1, 5, 5)},                 "5x",       "1b5",             "1a1 1b4"),
        ({"x": (2, 2, 4)},                 "5x",       "1a2 1c3",         "1a2 1b2 1c1"),
        ({"x": (1, 2, 4)},                 "5x",       "1a1 1c4",         "1a1 1b2 1c2"),
        ({"x": (1, 3, 3)},                 "5x",       "1b3 1c2",         "1a1 1b3 1c1"),
        ({"x": (9, 0, 9), "y": (0, 9, 9)}, "5x 5y",    "1c5 2c5",         "1a5 2b5"),
        ({"x": (2, 2, 2), "y": (0, 1, 0)}, "4x 1y",    "1a2 1b2 2b1",     "1a2 1b2 2b1"),
        ({"x": (3, 9, 0)},                 "2x 2x",    "1b2 2b2",         "1a2 2a1 2b1"),
        ({"x": (3, 2, 0)},                 "2x 3x",    "1b2 2a3",         "1a2 2a1 2b2"),
    ],
)  # fmt: skip
def test_strategies_divide_in_their_own_ways(
    free: dict[str, tuple[int, int, int]], asked: str, fewest: str, in_order: str
) -> None:
    lines = [
        Line(str(number), line[1], int(line[0])) for number, line in enumerate(asked.split(), 1)
    ]
    places = {
        (item, outlet): quantity
        for item, row in free.items()
        for outlet, quantity in zip(OUTLETS, row, strict=True)
    }
    for divide, expected in ((fewest_splits, fewest), (priority, in_order)):
        assert expected == " ".join(
            f"{given.line_id}{given.outlet_id}{given.quantity}"
            for given in allocate(lines, OUTLETS, places, divide)
        )


@given(
    free=st.dictionaries(st.tuples(ITEMS, st.sampled_from("abcdef")), st.integers(0, 9)),
    asked=st.dictionaries(ITEMS, st.integers(1, 12), min_size=1),
)
def test_no_fewer_outlets_could_fill_an_order(
    free: dict[tuple[str, str], int], asked: dict[str, int]
) -> None:
    lines = [Line(item, item, quantity) for item, quantity in asked.items()]

    def enough(outlets: tuple[str, ...]) -> bool:
        return all(
            sum(free.get((item, outlet), 0) for outlet in outlets) >= quantity
            for item, quantity in asked.items()
        )

    sizes = range(1, 7)
    sets = (chosen for size in sizes for chosen in combinations("abcdef", size) if enough(chosen))
    best = next(sets, None)
    if best is None:
        return
    given_parts = allocate(lines, "abcdef", free, fewest_splits)
    assert {part.outlet_id for part in given_parts} == set(best)


def test_a_strategy_that_gives_something_else_is_not_believed() -> None:
    def wrong(lines: Sequence[Line], outlets: Sequence[str], free: Free) -> list[Allocation]:
        return priority(lines, outlets, free)[1:]

    with pytest.raises(RuntimeError):
        allocate([Line("1", "x", 5)], OUTLETS, {("x", A): 9}, wrong)


# Who gives what, the outlet that the method is tied to, and why these outlets, in words.
@pytest.mark.rule("BEY-02")
@pytest.mark.parametrize(
    ("profile", "tied", "expected"),
    [
        (Profile.RETAIL_R_ECOM,  "", "From b: orders of this channel are filled from its primary"),
        (Profile.RETAIL_X_ECOM,  "", "From a: the first outlet that has the whole order fills it"),
        (Profile.RETAIL_X_ECWID, "", "From a: orders of this channel are filled from its register"),
        (Profile.RETAIL_X_ECOM,  C,  "From c, since the chosen method is tied to it."),
    ],
)  # fmt: skip
def test_an_allocation_says_why(profile: Profile, tied: str, expected: str) -> None:
    channel = channel_of(profile)
    (outlet_id, *_) = candidates(channel, tied)
    told = explain(channel, tied, [Allocation("1", "mug", outlet_id, 2)])
    assert told.startswith(expected)
    assert explain(channel, tied, []).startswith("Nothing is held")


@pytest.mark.rule("BEY-06")
@pytest.mark.parametrize("tied", ["", A])
def test_an_outlet_that_is_being_disconnected_promises_nothing_new(tied: str) -> None:
    channel = replace(channel_of(Profile.RETAIL_X_ECOM), draining_outlet_ids=(A,))
    assert A not in candidates(channel, tied)


@pytest.mark.rule("ORD-10")
@pytest.mark.rule("INV-14")
@pytest.mark.parametrize("policy", list(AllocationPolicy))
@given(
    free=st.dictionaries(
        st.tuples(st.sampled_from("xyz"), st.sampled_from(OUTLETS)), st.integers(0, 9)
    ),
    asked=st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 9)), max_size=6),
)
def test_what_is_allocated_is_exactly_what_was_asked_and_never_more_than_is_free(
    policy: AllocationPolicy, free: dict[tuple[str, str], int], asked: list[tuple[str, int]]
) -> None:
    lines = [Line(str(number), *line) for number, line in enumerate(asked)]
    wanted, there = Counter[str](), Counter[str]()
    for item, quantity in asked:
        wanted[item] += quantity
    for (item, _), quantity in free.items():
        there[item] += quantity
    before = dict(free)
    try:
        given_parts = allocate(lines, OUTLETS, free, STRATEGIES[policy].divide)
    except DomainError:
        assert any(wanted[item] > there[item] for item in wanted)
        return
    finally:
        assert before == free
    assert all(wanted[item] <= there[item] for item in wanted)
    by_line, by_place = Counter[str](), Counter[tuple[str, str]]()
    for part in given_parts:
        assert part.quantity > 0
        by_line[part.line_id] += part.quantity
        by_place[part.item_id, part.outlet_id] += part.quantity
    assert by_line == {line.line_id: line.quantity for line in lines}
    assert all(quantity <= free[place] for place, quantity in by_place.items())
    assert len({(part.line_id, part.outlet_id) for part in given_parts}) == len(given_parts)


def shop(on_hand: int = 5, version: int = 0) -> Stock:
    items = {"mug": Item("mug"), "card": Item("card", tracked=False)}
    levels = {("mug", A): Level("mug", A, on_hand, 0, version)}
    return Stock(items, frozenset(OUTLETS), levels, {})


@pytest.mark.rule("INV-01")
def test_what_is_not_tracked_is_held_nowhere() -> None:
    draft = shop().draft()
    channel = channel_of(Profile.RETAIL_X_ECOM)
    lines = [Line("1", "card", 1000), Line("2", "mug", 2)]
    assert [
        (given.line_id, given.outlet_id, given.quantity)
        for given in reserve(draft, channel, lines, "")
    ] == [("2", A, 2)]


def held(stock: Stock, quantity: int = 2) -> tuple[Reservation, list[Hold]]:
    """A reservation of some mugs at the register's outlet."""
    draft = stock.draft()
    given = reserve(draft, channel_of(Profile.RETAIL_X_ECWID), [Line("1", "mug", quantity)], "")
    stock.accept(draft)
    holds = [Hold("rs-1", one.line_id, one.item_id, one.outlet_id, one.quantity) for one in given]
    return Reservation("rs-1", "ch-1", "order XJ12H", State.HELD, tuple(given)), holds


# The version of the posted sale (None: no outside point of sale) or "release"; the version of the
# level; and (state, on hand, held, units sold in the ledger) afterwards, of 5 with 2 held.
@pytest.mark.rule("INV-03")
@pytest.mark.parametrize(
    ("end", "level_version", "expected"),
    [
        (None,      0,   (State.COMMITTED, 3, 0, [-2])),
        (110,       100, (State.POSTED,    5, 2, [])),     # no level includes it yet
        (110,       110, (State.POSTED,    5, 2, [])),
        (110,       111, (State.COMMITTED, 5, 0, [])),     # the level came before the news
        ("release", 0,   (State.RELEASED,  5, 0, [])),
    ],
)  # fmt: skip
def test_a_hold_ends_once_with_what_its_end_means(
    end: int | str | None, level_version: int, expected: tuple[State, int, int, list[int]]
) -> None:
    stock = shop(version=level_version)
    reservation, holds = held(stock)
    draft = stock.draft()
    if isinstance(end, str):
        after = release(draft, reservation, holds)
    else:
        after = commit(draft, reservation, holds, end, NOON)
    level = draft.level("mug", A)
    moved = [one.quantity for one in draft.movements]
    assert expected == (after.state, level.on_hand, level.reserved, moved)


@pytest.mark.rule("INV-03")
def test_what_is_taken_at_once_is_never_held_and_can_be_put_back() -> None:
    stock = shop()
    reservation, _ = held(stock)
    draft = stock.draft()
    taken = take(draft, channel_of(Profile.RETAIL_X_ECWID), reservation, NOON)
    level = draft.level("mug", A)
    assert (taken.state, level.on_hand, level.reserved) == (State.TAKEN, 3, 0)
    stock.accept(draft)
    back = stock.draft()
    assert put_back(back, taken, LATE).state is State.RELEASED
    level = back.level("mug", A)
    assert (level.on_hand, level.reserved) == (5, 0)
    moves = [(one.kind, one.quantity) for one in (*draft.movements, *back.movements)]
    assert moves == [(Kind.ONLINE_SALE, -2), (Kind.RESTOCK, 2)]


@pytest.mark.rule("INV-03")
def test_an_outside_point_of_sale_takes_stock_itself() -> None:
    stock = shop()
    reservation, _ = held(stock)
    channel = replace(channel_of(Profile.RETAIL_X_ECWID), external_pos=True)
    with pytest.raises(DomainError) as found:
        take(stock.draft(), channel, reservation, NOON)
    assert (found.value.reason, found.value.violations[0][0]) == ("INVALID_FIELD", "channel_id")


# Whether the time was set, how far it is over, the state before, and the state afterwards.
@pytest.mark.rule("INV-14")
@pytest.mark.parametrize(
    ("over", "before", "expected"),
    [
        (timedelta(0),         State.HELD,      State.EXPIRED),
        (timedelta(hours=1),   State.HELD,      State.EXPIRED),
        (-timedelta(seconds=1), State.HELD,     State.HELD),
        (None,                 State.HELD,      State.HELD),       # it never ends by itself
        (timedelta(hours=1),   State.POSTED,    State.POSTED),     # its sale is posted
        (timedelta(hours=1),   State.COMMITTED, State.COMMITTED),
        (timedelta(hours=1),   State.RELEASED,  State.RELEASED),
        (timedelta(hours=1),   State.EXPIRED,   State.EXPIRED),    # once
    ],
)  # fmt: skip
def test_a_hold_ends_when_its_time_is_up(
    over: timedelta | None, before: State, expected: State
) -> None:
    stock = shop()
    reservation, holds = held(stock)
    end = None if over is None else NOON - over
    reservation = replace(reservation, state=before, expire_time=end)
    draft = stock.draft()
    after = expire(draft, reservation, holds, NOON)
    assert after.state is expected
    ends = before is State.HELD and expected is State.EXPIRED
    assert (draft.level("mug", A).reserved, after.expire_time) == ((0, None) if ends else (2, end))


def test_only_what_is_held_goes_on() -> None:
    reservation, _ = held(shop())
    assert extend(reservation, LATE).expire_time == LATE
    assert extend(replace(reservation, expire_time=NOON), None).expire_time is None
    for state in set(State) - {State.HELD}:
        with pytest.raises(DomainError) as found:
            extend(replace(reservation, state=state), LATE)
        assert (found.value.reason, found.value.facts["state"]) == (
            "RESERVATION_ENDED",
            state.name,
        )


# The state that a reservation is in, what is asked of it, and the state or reason that answers.
@pytest.mark.parametrize(
    ("state", "ask", "expected"),
    [
        (State.HELD,      "commit",  State.COMMITTED),
        (State.POSTED,    "commit",  State.POSTED),        # again: nothing
        (State.COMMITTED, "commit",  State.COMMITTED),
        (State.RELEASED,  "commit",  "RESERVATION_ENDED"),
        (State.EXPIRED,   "commit",  "RESERVATION_ENDED"),
        (State.EXPIRED,   "release", "RESERVATION_ENDED"),
        (State.HELD,      "release", State.RELEASED),
        (State.POSTED,    "release", "RESERVATION_ENDED"),
        (State.COMMITTED, "release", "RESERVATION_ENDED"),
        (State.TAKEN,     "commit",  State.TAKEN),         # as good as done
        (State.TAKEN,     "release", "RESERVATION_ENDED"),  # its sale may be posted
        (State.RELEASED,  "release", State.RELEASED),      # again: nothing
        (State.RELEASED,  "put back", State.RELEASED),
        (State.HELD,      "put back", "RESERVATION_ENDED"),
        (State.POSTED,    "put back", "RESERVATION_ENDED"),
        (State.COMMITTED, "put back", "RESERVATION_ENDED"),
    ],
)  # fmt: skip
def test_a_reservation_ends_once(state: State, ask: str, expected: State | str) -> None:
    stock = shop()
    reservation, holds = held(stock)
    reservation = replace(reservation, state=state)
    draft = stock.draft()

    def answer() -> Reservation:
        if ask == "commit":
            return commit(draft, reservation, holds, None, NOON)
        if ask == "put back":
            return put_back(draft, reservation, NOON)
        return release(draft, reservation, holds)

    if isinstance(expected, str):
        with pytest.raises(DomainError) as found:
            answer()
        assert (expected, state.name) == (found.value.reason, found.value.facts["state"])
    else:
        assert expected is answer().state
    if expected is state or isinstance(expected, str):
        assert (draft.levels, draft.movements, draft.ended) == ({}, [], [])


class Holding(RuleBasedStateMachine):
    """Buyers, tills and an outside point of sale, in any order.

    Never is more promised than an outlet has, what is held adds up, and the ledger is the level.
    """

    held = Bundle("held")
    posted = Bundle("posted")

    def __init__(self) -> None:
        super().__init__()
        items = {name: Item(name) for name in ("mug", "rope")}
        self.stock = Stock(items, frozenset(OUTLETS), {}, {})
        self.channel = channel_of(Profile.RETAIL_X_ECOM)
        self.holds: dict[str, list[Hold]] = {}
        self.ledger = Counter[tuple[str, str]]()
        self.versions = numbers(1)
        self.ids = numbers(1)
        self.on_their_way: list[transfers.Transfer] = []

    def take(self, draft: Draft) -> None:
        for moved in draft.movements:
            self.ledger[moved.item_id, moved.outlet_id] += moved.quantity
        ended = {(one.reservation_id, one.line_id, one.outlet_id) for one in draft.ended}
        for reservation_id, holds in self.holds.items():
            self.holds[reservation_id] = [
                one for one in holds if (reservation_id, one.line_id, one.outlet_id) not in ended
            ]
        self.stock.accept(draft)

    @rule(
        item=st.sampled_from(["mug", "rope"]),
        outlet=st.sampled_from(OUTLETS),
        told=st.integers(-3, 9),
    )
    def count(self, item: str, outlet: str, told: int) -> None:
        draft = self.stock.draft()
        count(draft, Count(item, outlet, told, next(self.versions), NOON))
        self.take(draft)

    @rule(
        item=st.sampled_from(["mug", "rope"]),
        outlet=st.sampled_from(OUTLETS),
        sold=st.integers(-3, 4),
    )
    def sell_at_the_till(self, item: str, outlet: str, sold: int) -> None:
        draft = self.stock.draft()
        adjust(draft, (item, outlet), Kind.POS_SALE, -sold, NOON)
        self.take(draft)

    @rule(
        target=held,
        asked=st.lists(st.tuples(THINGS, st.integers(1, 6)), min_size=1, max_size=3),
        tied=st.sampled_from(["", *OUTLETS]),
    )
    def reserve(self, asked: list[tuple[str, int]], tied: str) -> Reservation | None:
        draft = self.stock.draft()
        before = {place: level.available for place, level in self.stock.levels.items()}
        lines = [Line(str(number), *line) for number, line in enumerate(asked)]
        try:
            given_parts = reserve(draft, self.channel, lines, tied)
        except DomainError as refusal:
            if refusal.reason != "INSUFFICIENT_STOCK":
                raise
            return None
        promised = Counter[tuple[str, str]]()
        for part in given_parts:
            promised[part.item_id, part.outlet_id] += part.quantity
        assert all(quantity <= before[place] for place, quantity in promised.items())
        reservation_id = f"rs-{next(self.ids)}"
        self.holds[reservation_id] = [
            Hold(reservation_id, one.line_id, one.item_id, one.outlet_id, one.quantity)
            for one in given_parts
        ]
        self.take(draft)
        return Reservation(reservation_id, "ch-1", "", State.HELD, tuple(given_parts))

    @rule(target=posted, reservation=consumes(held), outside=st.booleans())
    def commit(self, reservation: Reservation | None, outside: bool) -> Reservation | None:
        if reservation is None:
            return None
        draft = self.stock.draft()
        version = next(self.versions) if outside else None
        holds = self.holds[reservation.reservation_id]
        after = commit(draft, reservation, holds, version, NOON)
        self.take(draft)
        return after

    @rule(reservation=consumes(held))
    def release(self, reservation: Reservation | None) -> None:
        if reservation is None:
            return
        draft = self.stock.draft()
        release(draft, reservation, self.holds[reservation.reservation_id])
        self.take(draft)

    @rule(reservation=consumes(held), late=st.booleans())
    def expire(self, reservation: Reservation | None, late: bool) -> None:
        if reservation is None:
            return
        draft = self.stock.draft()
        due = replace(reservation, expire_time=NOON)
        after = expire(draft, due, self.holds[reservation.reservation_id], LATE)
        assert after.state is State.EXPIRED
        self.take(draft)

    @rule(target=held, reservation=consumes(held), outlet=PLACES)
    def move_to_another_outlet(
        self, reservation: Reservation | None, outlet: str
    ) -> Reservation | None:
        holds = self.holds[reservation.reservation_id] if reservation else []
        if reservation is None or not holds or holds[0].outlet_id == outlet:
            return reservation
        draft = self.stock.draft()
        place = (holds[0].item_id, holds[0].outlet_id)
        asked = Counter({one.line_id: 0 for one in holds})
        for one in holds:
            asked[one.line_id] += one.quantity
        try:
            after, left = move(draft, reservation, holds, place, outlet)
        except DomainError as refusal:
            if refusal.reason != "INSUFFICIENT_STOCK":
                raise
            return reservation
        for part in after.allocations:
            asked[part.line_id] -= part.quantity
        assert not any(asked.values())
        self.holds[reservation.reservation_id] = left
        self.take(draft)
        return after

    @rule(item=THINGS, outlets=st.permutations(OUTLETS), sent=st.integers(1, 4))
    def send(self, item: str, outlets: list[str], sent: int) -> None:
        draft = self.stock.draft()
        number = str(next(self.ids))
        lines = (transfers.Line(item, sent),)
        on_its_way = transfers.Transfer(
            number, outlets[0], outlets[1], transfers.State.SENT, lines, "", NOON, NOON
        )
        transfers.send(draft, on_its_way, NOON)
        self.take(draft)
        self.on_their_way.append(on_its_way)

    @precondition(lambda self: self.on_their_way)
    @rule(arrived=st.integers(1, 5), end=st.sampled_from(["", "lost", "returned"]))
    def arrive(self, arrived: int, end: str) -> None:
        draft = self.stock.draft()
        on_its_way = self.on_their_way.pop(0)
        if end:
            after = transfers.close(draft, on_its_way, NOON, return_rest=end == "returned")
        else:
            item = on_its_way.lines[0].item_id
            after = transfers.receive(draft, on_its_way, [(item, arrived)], NOON)
        self.take(draft)
        if after.state is transfers.State.SENT:
            self.on_their_way.append(after)

    @invariant()
    def what_is_on_its_way_adds_up(self) -> None:
        way = Counter[tuple[str, str]]()
        for one in self.on_their_way:
            way[one.lines[0].item_id, one.to_outlet_id] += one.lines[0].in_transit
        for place, level in self.stock.levels.items():
            assert way[place] == level.in_transit

    @rule(reservation=posted)
    def commit_again(self, reservation: Reservation | None) -> None:
        if reservation is None:
            return
        draft = self.stock.draft()
        commit(draft, reservation, self.holds[reservation.reservation_id], None, NOON)
        assert (draft.levels, draft.movements) == ({}, [])

    @invariant()
    def what_is_held_adds_up(self) -> None:
        kept = Counter[tuple[str, str]]()
        for holds in self.holds.values():
            for one in holds:
                kept[one.item_id, one.outlet_id] += one.quantity
        for place, level in self.stock.levels.items():
            assert kept[place] == level.reserved >= 0

    @invariant()
    def the_ledger_is_the_level(self) -> None:
        assert all(
            self.ledger[place] == level.on_hand for place, level in self.stock.levels.items()
        )


@pytest.mark.rule("INV-14")
@pytest.mark.rule("BEY-01")
@pytest.mark.rule("BEY-04")
def test_no_more_is_ever_promised_than_an_outlet_has() -> None:
    run_state_machine_as_test(
        Holding, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
