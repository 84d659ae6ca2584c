"""What a channel may sell: what each outlet gives, case by case and for whatever may be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.inventory.rules.channels import (
    Channel,
    Profile,
    Register,
    connect,
    create,
    drain,
    end_drain,
    heard_every,
    listen,
    set_policies,
    set_primary,
    set_register,
)
from services.inventory.rules.online import (
    Buffers,
    EditOutcome,
    Feed,
    Limit,
    Online,
    edited_outlet,
    explain,
    heard_time,
    judge_edit,
    label,
    outlets_left,
    sentences,
)
from services.inventory.rules.stock import UNIT, Level
from tillbridge.inventory.v1 import inventory_pb2

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
MAIN, HARBOUR, THIRD = "main", "harbour", "third"
OUTLETS = (MAIN, HARBOUR, THIRD)
TILL = Register("till-main", "Till", MAIN)
R, X, ECWID = Profile.RETAIL_R_ECOM, Profile.RETAIL_X_ECOM, Profile.RETAIL_X_ECWID


def channel(*connected: str, profile: Profile = X) -> Channel:
    """A channel at Main, fed by these outlets beside it."""
    primary = profile is R
    return create(
        "ch-1",
        "Web",
        profile,
        register=None if primary else TILL,
        primary_outlet_id=MAIN if primary else "",
        wanted=connected,
        external_pos=True,
    )


def outcome(change: Callable[[], Channel]) -> Channel | str:
    """The channel then, or the reason of the refusal."""
    try:
        return change()
    except DomainError as refusal:
        return refusal.reason


def mugs(*outlets: tuple[int, int]) -> dict[tuple[str, str], Level]:
    """Thousandths (on hand, held) at Main, Harbour and the third outlet, as far as given."""
    return {
        ("mug", outlet_id): Level("mug", outlet_id, *one)
        for outlet_id, one in zip(OUTLETS, outlets, strict=False)
    }


# Thousandths (on hand, held) at each connected outlet, and the whole units that may be sold.
@pytest.mark.rule("INV-04")
@pytest.mark.rule("INV-13")
@pytest.mark.parametrize(
    ("outlets", "expected"),
    [
        ([],                                   0),
        ([(5000, 0)],                          5),
        ([(5000, 0), (3000, 0)],               8),
        ([(5000, 2000), (3000, 3000)],         3),   # what is held is not sold again
        ([(5000, 0), (-2000, 0)],              5),   # who owes stock takes none from the others
        ([(-2000, 0)],                         0),
        ([(1000, 3000), (4000, 0)],            4),   # more held than there: the same
        ([(999, 0)],                           0),
        ([(1999, 0)],                          1),
        ([(1500, 0), (1500, 0)],               3),   # rounded down after the sum
        ([(500, 0), (499, 0)],                 0),
    ],
)  # fmt: skip
def test_online_stock_is_the_whole_units_of_the_sum(
    outlets: list[tuple[int, int]], expected: int
) -> None:
    assert expected == Feed(channel(HARBOUR), {}).figure("mug", mugs(*outlets))


# Connected outlets, and the figure of 5 at Main, 3 at Harbour and 100 at the third.
@pytest.mark.rule("INV-04")
@pytest.mark.rule("INV-05")
@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-07")
@pytest.mark.parametrize(
    ("connected", "expected"),
    [
        ([MAIN],                  5),
        ([MAIN, HARBOUR],         8),
        ([HARBOUR, MAIN],         8),
        ([MAIN, HARBOUR, THIRD],  108),
        ([MAIN, THIRD],           105),
    ],
)  # fmt: skip
def test_only_connected_outlets_give(connected: list[str], expected: int) -> None:
    feed = Feed(connect(channel(), connected), {})
    levels = mugs((5 * UNIT, 0), (3 * UNIT, 0), (100 * UNIT, 0))
    assert expected == feed.figure("mug", levels)


# Buffers by (outlet, item), and the figure of 5 at Main and 3 at Harbour.
@pytest.mark.rule("BEY-05")
@pytest.mark.parametrize(
    ("buffers", "expected"),
    [
        ({},                                                       8),
        ({("", ""): 1},                                            6),   # at each outlet
        ({(MAIN, ""): 1},                                          7),
        ({("", "mug"): 2},                                         4),
        ({(MAIN, "mug"): 4},                                       4),
        ({("", ""): 5, (MAIN, ""): 1},                             4),   # outlet before channel
        ({(MAIN, ""): 5, ("", "mug"): 1},                          6),   # item before outlet
        ({("", "mug"): 5, (MAIN, "mug"): 1},                       4),   # both before item
        ({("", ""): 9, (MAIN, "mug"): 0},                          5),   # zero keeps nothing back
        ({("", ""): 9},                                            0),   # never below zero
        ({(MAIN, ""): 9},                                          3),   # takes none from others
        ({("", "rope"): 9, (THIRD, "mug"): 9, (THIRD, ""): 9},     8),   # concerns others
    ],
)  # fmt: skip
def test_the_most_specific_buffer_is_kept_back(buffers: Buffers, expected: int) -> None:
    feed = Feed(channel(HARBOUR), {key: units * UNIT for key, units in buffers.items()})
    assert expected == feed.figure("mug", mugs((5 * UNIT, 0), (3 * UNIT, 0)))


# What Harbour is, its level (on hand, held), and what it gives and why; 2 are kept back, and a
# silent outlet gives 3 at most.
@pytest.mark.rule("BEY-02")
@pytest.mark.rule("BEY-06")
@pytest.mark.rule("BEY-12")
@pytest.mark.parametrize(
    ("state", "level", "expected"),
    [
        ("connected", (9, 0),  (7, Limit.UNSPECIFIED)),
        ("connected", (9, 4),  (3, Limit.UNSPECIFIED)),
        ("connected", (2, 2),  (0, Limit.UNSPECIFIED)),
        ("connected", (1, 2),  (0, Limit.OWES)),
        ("connected", (-1, 0), (0, Limit.OWES)),
        ("draining",  (9, 4),  (0, Limit.DRAINING)),
        ("silent",    (9, 0),  (3, Limit.SILENT)),
        ("silent",    (4, 0),  (2, Limit.SILENT)),
        ("away",      (9, 0),  (0, Limit.NOT_CONNECTED)),
    ],
)  # fmt: skip
def test_what_an_outlet_gives_has_its_reason(
    state: str, level: tuple[int, int], expected: tuple[int, Limit]
) -> None:
    found = channel(*([] if state == "away" else [HARBOUR]))
    found = set_policies(found, {"silent_quantity": 3})
    if state == "draining":
        found = drain(found, HARBOUR, draining=True)
    if state == "silent":
        found = replace(found, silent_outlet_ids=(HARBOUR,))
    assert expected == Feed(found, {("", ""): 2}).given(Level("mug", HARBOUR, *level))


@pytest.mark.rule("INV-14")
@pytest.mark.rule("BEY-06")
def test_an_online_order_takes_what_the_channel_is_given_and_no_more() -> None:
    """One that is away is asked when a method is tied to it; its buffer holds all the same."""
    feed = Feed(drain(channel(HARBOUR), HARBOUR, draining=True), {("", ""): 2 * UNIT})
    nine = [Level("mug", outlet_id, 9 * UNIT) for outlet_id in OUTLETS]
    assert [feed.promised(level) for level in nine] == [7 * UNIT, 0, 7 * UNIT]


quantities = st.integers(-5 * UNIT, 20 * UNIT)
buffers_of = st.dictionaries(
    st.tuples(st.sampled_from(["", *OUTLETS]), st.sampled_from(["", "mug", "rope"])),
    st.integers(0, 8 * UNIT),
    max_size=5,
)


@st.composite
def feeds(draw: st.DrawFn) -> Feed:
    """A channel in any state, with any buffers."""
    some = st.lists(st.sampled_from([HARBOUR, THIRD]), unique=True)
    found = channel(*draw(some), profile=draw(st.sampled_from([R, X])))
    policies = {
        "silent_quantity": draw(st.integers(0, 9 * UNIT)),
        "out_of_stock_label": draw(st.sampled_from(["", "Sold out"])),
    }
    found = set_policies(found, policies)
    others = [one for one in found.connected_outlet_ids if one != MAIN]
    for outlet_id in draw(some):
        if outlet_id in others:
            found = drain(found, outlet_id, draining=True)
    silent = tuple(one for one in found.connected_outlet_ids if draw(st.booleans()))
    still = replace(found.policies, update_inventory=draw(st.booleans()))
    return Feed(replace(found, silent_outlet_ids=silent, policies=still), draw(buffers_of))


@pytest.mark.rule("BEY-02")
@given(
    feed=feeds(),
    levels=st.lists(st.tuples(quantities, st.integers(0, 9 * UNIT)), min_size=3, max_size=3),
    tracked=st.booleans(),
)
def test_the_terms_add_up_to_the_figure_always(
    feed: Feed, levels: list[tuple[int, int]], tracked: bool
) -> None:
    known = mugs(*levels)
    terms = explain(feed, known.values(), {})
    figure = feed.figure("mug", known)
    assert figure == sum(term.given for term in terms) // UNIT >= 0
    for term in terms:
        left = term.level.available - term.buffer
        assert 0 <= term.given <= left
        assert feed.promised(term.level) <= left
        if term.limit in {Limit.UNSPECIFIED, Limit.OWES}:
            assert term.given == left
        assert (term.limit is Limit.NOT_CONNECTED) == (
            term.level.outlet_id not in feed.channel.connected_outlet_ids
        )
    told = sentences(feed, terms, Online("ch-1", "mug", figure), {MAIN: "Main St"}, tracked=tracked)
    if not tracked:
        assert "without limit" in told
    else:
        assert f"{figure} in whole units" in told
        assert ("stand still" in told) == feed.channel.stands_still


@pytest.mark.rule("BEY-02")
def test_a_figure_is_explained_in_plain_words() -> None:
    feed = Feed(drain(channel(HARBOUR), HARBOUR, draining=True), {("", "mug"): 2 * UNIT})
    terms = explain(feed, mugs((5 * UNIT, UNIT), (3 * UNIT, 0), (4500, 0)).values(), {})
    names = {MAIN: "Main", HARBOUR: "Harbour", THIRD: "Depot"}
    assert sentences(feed, terms, Online("ch-1", "mug", 2), names, tracked=True) == (
        "Main has 5, 1 of it held for orders, 2 kept back for the shop, and gives 2."
        " Harbour has 3, and is being disconnected: it gives nothing new."
        " Depot has 4.5, and does not feed this channel."
        " That is 2 in all, 2 in whole units."
    )


@pytest.mark.rule("BEY-02")
@pytest.mark.rule("BEY-12")
def test_a_silent_outlet_is_explained_with_since_when() -> None:
    found = set_policies(channel(HARBOUR), {"silent_after_s": 1800, "silent_quantity": UNIT})
    feed = Feed(replace(found, silent_outlet_ids=(HARBOUR,)), {})
    heard = {HARBOUR: datetime(2026, 7, 4, 12, 5, tzinfo=UTC)}
    main, silent, _ = explain(feed, mugs((5 * UNIT, 0), (3 * UNIT, 0), (0, 0)).values(), heard)
    assert silent.silent_time == datetime(2026, 7, 4, 12, 35, tzinfo=UTC)
    assert (main.silent_time, main.limit) == (None, Limit.UNSPECIFIED)
    assert sentences(
        feed, [silent], Online("ch-1", "mug", 1), {HARBOUR: "Harbour"}, tracked=True
    ) == (
        "Harbour has 3; nothing was heard of it since 2026-07-04 12:05:00 UTC, so since"
        " 2026-07-04 12:35:00 UTC it gives 1 until it is heard of again."
        " That is 1 in all, 1 in whole units."
    )


# Whole units left, whether the item is tracked, and what the store shows.
@pytest.mark.rule("INV-06")
@pytest.mark.parametrize(
    ("quantity", "tracked", "expected"),
    [
        (1,  True,  ""),
        (0,  True,  "Sold out"),
        (0,  False, ""),
    ],
)  # fmt: skip
def test_a_variant_left_with_nothing_gets_the_label(
    quantity: int, tracked: bool, expected: str
) -> None:
    assert expected == label(quantity, "Sold out", tracked=tracked)


# Profile, the outlet that is to be drained, and those that drain then, or the refusal.
@pytest.mark.rule("BEY-06")
@pytest.mark.parametrize(
    ("profile", "outlet_id", "expected"),
    [
        (X,     HARBOUR, (HARBOUR,)),
        (X,     MAIN,    "OUTLET_LOCKED_BY_REGISTER"),
        (X,     THIRD,   "OUTLET_NOT_CONNECTED"),
        (R,     HARBOUR, (HARBOUR,)),
        (R,     MAIN,    "OUTLET_IS_PRIMARY"),
        (ECWID, MAIN,    "FIXED_BY_POLICY"),
    ],
)  # fmt: skip
def test_an_outlet_drains_unless_it_is_locked(
    profile: Profile, outlet_id: str, expected: tuple[str, ...] | str
) -> None:
    before = channel(*([] if profile is ECWID else [HARBOUR]), profile=profile)
    after = outcome(lambda: drain(before, outlet_id, draining=True))
    if isinstance(after, str):
        assert expected == after
        return
    assert (expected, before.connected_outlet_ids) == (
        after.draining_outlet_ids,
        after.connected_outlet_ids,
    )
    assert drain(after, outlet_id, draining=True) == after
    assert drain(after, outlet_id, draining=False) == before


@pytest.mark.rule("BEY-06")
def test_a_drained_outlet_leaves_and_one_that_is_locked_meanwhile_stays() -> None:
    draining = drain(channel(HARBOUR, THIRD), HARBOUR, draining=True)
    after = end_drain(draining, [HARBOUR])
    assert (after.connected_outlet_ids, after.draining_outlet_ids) == ((MAIN, THIRD), ())
    assert end_drain(draining, []) == draining
    swapped = set_register(draining, Register("till-harbour", "Till", HARBOUR))
    assert (swapped.draining_outlet_ids, swapped.locked_outlet_id) == ((), HARBOUR)
    primary = drain(channel(HARBOUR, profile=R), HARBOUR, draining=True)
    assert set_primary(primary, HARBOUR).draining_outlet_ids == ()


@pytest.mark.rule("BEY-06")
def test_an_outlet_that_leaves_at_once_drains_no_more() -> None:
    draining = drain(channel(HARBOUR), HARBOUR, draining=True)
    assert connect(draining, [MAIN]).draining_outlet_ids == ()
    again = connect(connect(draining, [MAIN]), [MAIN, HARBOUR])
    assert again.draining_outlet_ids == ()
    assert outlets_left(channel(HARBOUR), draining) == [HARBOUR]
    assert outlets_left(channel(HARBOUR), channel()) == [HARBOUR]


# After how many seconds an outlet is silent, when Main and Harbour were heard of (seconds ago), and
# who is silent.
@pytest.mark.rule("BEY-12")
@pytest.mark.parametrize(
    ("after_s", "main", "harbour", "expected"),
    [
        (60, 10,   20,   ()),
        (60, 10,   61,   (HARBOUR,)),
        (60, 61,   61,   (MAIN, HARBOUR)),
        (60, 60,   60,   ()),
        (0,  9999, 9999, ()),              # never
        (60, None, 61,   (HARBOUR,)),      # nobody ever told of Main
    ],
)  # fmt: skip
def test_an_outlet_without_any_word_is_silent(
    after_s: int, main: int | None, harbour: int, expected: tuple[str, ...]
) -> None:
    heard = {
        outlet_id: None if ago is None else NOON - timedelta(seconds=ago)
        for outlet_id, ago in ((MAIN, main), (HARBOUR, harbour))
    }
    found = set_policies(channel(HARBOUR), {"silent_after_s": after_s})
    assert expected == listen(found, heard, NOON).silent_outlet_ids
    known = [moment for moment in heard.values() if moment]
    assert heard_time(found, heard) == (min(known) if main is not None else None)
    assert heard_every([found]) <= timedelta(seconds=5)


# Profile, what may change, and the refusal.
@pytest.mark.rule("INV-10")
@pytest.mark.rule("INV-11")
@pytest.mark.parametrize(
    ("profile", "change", "expected"),
    [
        (ECWID, {"update_inventory": False},          ""),
        (X,     {"update_inventory": False},          "FIXED_BY_POLICY"),
        (R,     {"update_inventory": False},          "FIXED_BY_POLICY"),
        (X,     {"accept_store_stock_edits": True},   ""),
        (R,     {"silent_after_s": 60},               ""),
        (ECWID, {"silent_quantity": 5},               ""),
    ],
)  # fmt: skip
def test_a_profile_says_what_is_a_switch(
    profile: Profile, change: dict[str, int], expected: str
) -> None:
    after = outcome(lambda: set_policies(channel(profile=profile), change))
    if isinstance(after, str):
        assert expected == after
        return
    assert not expected
    assert after == replace(channel(profile=profile), policies=after.policies)
    for name, value in change.items():
        assert value == getattr(after.policies, name)


# Whether edits are accepted, figures stand still, and the item is tracked; what the store shows and
# the version it was written with, where 5 is the figure of version 3; and what becomes of it.
@pytest.mark.rule("INV-10")
@pytest.mark.parametrize(
    ("accept", "still", "tracked", "shown", "version", "expected"),
    [
        (False, False, True,  9, 3, EditOutcome.RESTORED),
        (True,  False, True,  9, 3, EditOutcome.ADJUSTED),
        (True,  False, True, -2, 3, EditOutcome.ADJUSTED),
        (False, False, True,  9, 2, EditOutcome.IN_FLIGHT),
        (True,  False, True,  9, 0, EditOutcome.IN_FLIGHT),
        (False, False, True,  5, 3, EditOutcome.UNCHANGED),
        (False, False, True,  5, 2, EditOutcome.UNCHANGED),
        (True,  False, False, 9, 3, EditOutcome.UNCHANGED),   # sold without limit
        (True,  True,  True,  9, 3, EditOutcome.UNCHANGED),   # the store is on its own
    ],
)  # fmt: skip
def test_an_edit_in_a_store_is_undone_or_taken(
    *, accept: bool, still: bool, tracked: bool, shown: int, version: int, expected: EditOutcome
) -> None:
    found = set_policies(channel(), {"accept_store_stock_edits": accept})
    found = replace(found, policies=replace(found.policies, update_inventory=not still))
    figure = Online("ch-1", "mug", 5, 3)
    assert expected == judge_edit(Feed(found, {}), figure, shown, version, tracked=tracked)


@pytest.mark.rule("INV-10")
def test_an_edit_is_taken_at_the_outlet_that_decides() -> None:
    assert edited_outlet(channel(HARBOUR)) == MAIN
    assert edited_outlet(set_primary(channel(HARBOUR, profile=R), HARBOUR)) == HARBOUR
    with pytest.raises(DomainError) as found:
        edited_outlet(replace(channel(), register_outlet_id=""))
    assert found.value.reason == "REGISTER_MISSING"


@pytest.mark.parametrize(
    ("values", "contract", "prefix"),
    [
        (Limit, inventory_pb2.TermLimit, "TERM_LIMIT_"),
        (EditOutcome, inventory_pb2.StockEditOutcome, "STOCK_EDIT_OUTCOME_"),
    ],
)
def test_the_numbers_are_those_of_the_contract(
    values: type[Limit], contract: type, prefix: str
) -> None:
    for value in values:
        assert contract.Value(prefix + value.name) == value  # type: ignore[attr-defined]  # enum
