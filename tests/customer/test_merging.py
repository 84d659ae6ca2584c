"""Merging profiles and taking it back, case by case."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.customer.rules import merging
from services.customer.rules.merging import Hidden
from services.customer.rules.profiles import Customer, Origin

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def profile(
    customer_id: str,
    email: str = "",
    *,
    name: str = "",
    phone: str = "",
    pos: str = "",
    into: str = "",
    survivor: str = "",
) -> Customer:
    return Customer(
        merchant_id="mug-shop",
        customer_id=customer_id,
        pos_customer_id=pos,
        pos_version=0,
        email=email,
        name=name,
        phone=phone,
        origin=Origin.POS if pos else Origin.ORDER,
        create_time=NOON,
        update_time=NOON,
        merged_into=into,
        survivor_id=survivor or into,
        merge_time=NOON if into else None,
    )


def merge(known: dict[str, Customer], survivor_id: str, *ids: str) -> merging.Merge:
    """A merge as the service asks for it."""
    named = [(one, known.get(one)) for one in ids]
    family = [one for one in known.values() if one.customer_id in ids or one.survivor_id in ids]
    return merging.merge(known.get(survivor_id), named, family, survivor_id=survivor_id, now=LATER)


def unmerge(known: dict[str, Customer], customer_id: str) -> merging.Merge:
    """The end of a merge as the service asks for it."""
    customer = known.get(customer_id)
    root = customer.survivor_key[1] if customer else ""
    family = [one for one in known.values() if root in (one.customer_id, one.survivor_id)]
    return merging.unmerge(customer, family, customer_id=customer_id, now=LATER)


def shop(*known: Customer) -> dict[str, Customer]:
    return {one.customer_id: one for one in known}


# Whom each profile was merged into before -> the merge -> whom its orders belong to afterwards.
@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize(
    ("before", "survivor", "ids", "expected"),
    [
        ("a b", "a", ["b"], "a=a b=a"),
        ("a b c", "a", ["b", "c"], "a=a b=a c=a"),
        ("a b>a c", "c", ["a"], "a=c b=c c=c"),
        ("a b>a c d>c", "c", ["a"], "a=c b=c c=c d=c"),
        ("a b>a c", "a", ["c"], "a=a b=a c=a"),
        ("a b>a", "b", ["a"], "CUSTOMER_MERGED"),
        ("a b>a c", "c", ["b"], "CUSTOMER_MERGED"),
        ("a b>a c", "b", ["c"], "CUSTOMER_MERGED"),
        ("a", "a", ["a"], "INVALID_FIELD"),
        ("a", "a", ["x"], "CUSTOMER_NOT_FOUND"),
        ("a", "x", ["a"], "CUSTOMER_NOT_FOUND"),
    ],
)
def test_a_merge_gives_all_to_the_profile_that_stays(
    before: str, survivor: str, ids: list[str], expected: str
) -> None:
    known = shop(
        *(profile(one, into=into) for one, _, into in (n.partition(">") for n in before.split()))
    )
    if expected.isupper():
        with pytest.raises(DomainError) as refusal:
            merge(known, survivor, *ids)
        assert expected == refusal.value.reason
        return
    merged = merge(known, survivor, *ids)
    after = known | {one.customer_id: one for one in merged.moved}
    assert expected == " ".join(f"{k}={v.survivor_key[1]}" for k, v in sorted(after.items()))
    assert ids == [one.customer_id for one in merged.named]
    assert {survivor} == {one.merged_into for one in merged.named}
    assert {LATER} == {one.merge_time for one in merged.named}
    assert known[survivor] == merged.survivor


def test_a_refusal_says_whom_a_profile_was_merged_into() -> None:
    with pytest.raises(DomainError) as refusal:
        merge(shop(profile("a"), profile("b", into="a"), profile("c")), "c", "b")
    assert (
        refusal.value.facts["merged_into"],
        refusal.value.violations[0][0],
    ) == ("a", "merged_customer_ids[0]")


@pytest.mark.rule("BEY-14")
def test_a_merge_says_which_values_are_not_shown_any_more() -> None:
    known = shop(
        profile("a", "ann@example.com", name="Ann", pos="p-1"),
        profile("b", "ANN@example.com", name="Ann Lee", phone="1", pos="p-2"),
        profile("c", "lee@example.com", name="Ann"),
    )
    assert (
        Hidden("b", "pos_customer_id", "p-2", "p-1"),
        Hidden("b", "name", "Ann Lee", "Ann"),
        Hidden("b", "phone", "1", ""),
        Hidden("c", "email", "lee@example.com", "ann@example.com"),
    ) == merge(known, "a", "b", "c").hidden


@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize(
    ("known", "customer_id", "expected"),
    [
        (shop(profile("a"), profile("b", into="a")), "b", "b=b former=a"),
        (
            shop(
                profile("a"),
                profile("b", into="a"),
                profile("c", into="b", survivor="a"),
                profile("d", into="c", survivor="a"),
                profile("e", into="a"),
            ),
            "b",
            "b=b c=b d=b former=a",
        ),
        (
            shop(profile("a"), profile("b", into="a"), profile("c", into="b", survivor="a")),
            "c",
            "c=c former=b",
        ),
        (shop(profile("a")), "a", "CUSTOMER_NOT_MERGED"),
        (shop(profile("a")), "x", "CUSTOMER_NOT_FOUND"),
    ],
)
def test_taking_a_merge_back_gives_everything_back(
    known: dict[str, Customer], customer_id: str, expected: str
) -> None:
    if expected.isupper():
        with pytest.raises(DomainError) as refusal:
            unmerge(known, customer_id)
        assert expected == refusal.value.reason
        return
    found = unmerge(known, customer_id)
    moved = " ".join(f"{one.customer_id}={one.survivor_key[1]}" for one in found.moved)
    assert expected == f"{moved} former={found.survivor.customer_id}"
    (stands,) = found.named
    assert (customer_id, "", None) == (stands.customer_id, stands.merged_into, stands.merge_time)


@pytest.mark.rule("BEY-14")
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=12))
def test_merges_taken_back_in_any_order_leave_no_trace(steps: list[tuple[str, str]]) -> None:
    known = start = shop(*(profile(one) for one in "abcdef"))
    for survivor, other in steps:
        try:
            done = merge(known, survivor, other)
        except DomainError:
            continue
        known = known | {one.customer_id: one for one in done.moved}
        for one in known.values():  # whom all belongs to stands for itself, and is the chain's end
            end = one
            while end.merged_into:
                end = known[end.merged_into]
            assert end.customer_id == one.survivor_key[1]
    for customer_id in "fbdace":
        if known[customer_id].merged_into:
            done = unmerge(known, customer_id)
            known = known | {one.customer_id: one for one in done.moved}
    ends = {one: (value.merged_into, value.survivor_id) for one, value in known.items()}
    assert dict.fromkeys(start, ("", "")) == ends
