"""Whom an order belongs to, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.errors import DomainError
from services.customer import rules
from services.customer.rules import Buyer, Customer, Origin, PosCustomer, Profiles

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def profile(
    customer_id: str,
    email: str = "ann@example.com",
    *,
    name: str = "Ann",
    pos: str = "",
    version: int = 0,
    create_time: datetime = NOON,
) -> Customer:
    return Customer(
        merchant_id="mug-shop",
        customer_id=customer_id,
        pos_customer_id=pos,
        pos_version=version,
        email=email,
        name=name,
        phone="",
        origin=Origin.POS if pos else Origin.ORDER,
        create_time=create_time,
        update_time=create_time,
    )


@pytest.mark.rule("CUS-01")
@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ann@example.com", "ann@example.com", True),
        ("ann@example.com", "ANN@Example.COM", True),
        ("ann@example.com", "  ann@example.com\t", True),
        ("ann@example.com", "\u00a0ann@example.com", True),
        ("jos\u00e9@example.com", "jose\u0301@example.com", True),
        ("\u0130pek@example.com", "i\u0307pek@example.com", True),
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example", True),
        ("ann@B\u00dcCHER.example", "ann@xn--bcher-kva.example", True),
        ("ann@\u65e5\u672c.example", "ann@XN--WGV71A.example", True),
        ("ann@example.com", "bob@example.com", False),
        ("ann@example.com", "ann@example.org", False),
        ("ann@example.com", "ann+shop@example.com", False),
        ("ann.lee@example.com", "annlee@example.com", False),
        ("jos\u00e9@example.com", "jose@example.com", False),
    ],
)
def test_two_spellings_are_one_address(one: str, other: str, same: bool) -> None:
    assert same == (rules.email_key(one) == rules.email_key(other))


@pytest.mark.parametrize(
    "text", ["", " ", "ann", "@", "ann@", "@example.com", "ann@b@c", " @ ", "ann@ ", "\u00a0@c"]
)
def test_what_is_no_address_is_refused_with_what_would_pass(text: str) -> None:
    with pytest.raises(DomainError) as refusal:
        rules.email_key(text)
    assert (refusal.value.reason, refusal.value.violations[0][0]) == ("INVALID_FIELD", "email")
    assert "one @" in refusal.value.message
    assert rules.key_if_any(text) == ""


def test_a_domain_that_cannot_exist_is_still_equal_to_itself() -> None:
    name = "ann@" + "\u00fc" * 70 + ".example"
    assert rules.email_key(name.upper()) == rules.email_key(name)


@pytest.mark.rule("CUS-02")
@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ([], None),
        (["a"], "a"),
        (["a", "b"], "CUSTOMER_AMBIGUOUS"),
        (["a", "b", "c"], "CUSTOMER_AMBIGUOUS"),
    ],
)
def test_an_order_belongs_to_the_one_profile_with_its_address(
    profiles: list[str], expected: str | None
) -> None:
    known = [profile(one, pos=f"p-{one}") for one in profiles]
    if expected == "CUSTOMER_AMBIGUOUS":
        with pytest.raises(DomainError) as refusal:
            rules.match(known)
        assert expected == refusal.value.reason
        assert ",".join(profiles) == refusal.value.facts["customer_ids"]
    else:
        found = rules.match(known)
        assert expected == (found.customer_id if found else None)


@pytest.mark.rule("CUS-03")
@pytest.mark.rule("CUS-04")
@pytest.mark.parametrize(
    ("email", "name", "expected"),
    [
        ("ann@example.com", "Ann Lee", ("ann@example.com", "Ann Lee")),
        ("ann@example.com", "", ("ann@example.com", "ann@example.com")),
        ("ann@example.com", "   ", ("ann@example.com", "ann@example.com")),
        (" Ann@Example.com ", "", ("Ann@Example.com", "Ann@Example.com")),
        (" Ann@Example.com ", " Ann ", ("Ann@Example.com", "Ann")),
    ],
)
def test_a_new_buyer_gets_a_profile_named_by_the_order(
    email: str, name: str, expected: tuple[str, str]
) -> None:
    created = rules.from_order("mug-shop", "c-1", Buyer(email, name, ""), NOON)
    assert expected == (created.email, created.name)
    assert (
        created.origin,
        created.pos_customer_id,
        created.create_time,
    ) == (Origin.ORDER, "", NOON)


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ([], None),
        ([profile("of-an-order")], "of-an-order"),
        ([profile("of-pos", pos="p")], None),
        ([profile("of-pos", pos="p"), profile("of-an-order")], "of-an-order"),
        ([profile("second", create_time=LATER), profile("first")], "first"),
    ],
)
def test_the_point_of_sale_adopts_what_an_order_had_brought(
    profiles: list[Customer], expected: str | None
) -> None:
    found = rules.adoptable(profiles)
    assert expected == (found.customer_id if found else None)


@pytest.mark.parametrize(
    ("known", "reported", "expected"),
    [
        # version known, version reported -> name afterwards
        (0, 0, "New"),
        (0, 7, "New"),
        (7, 8, "New"),
        (7, 7, "New"),
        (7, 0, "New"),
        (7, 6, "Old"),
    ],
)
def test_an_older_report_changes_nothing(known: int, reported: int, expected: str) -> None:
    before = profile("c-1", name="Old", pos="p-1", version=known)
    report = PosCustomer("p-1", "ann@example.com", "New", "", reported)
    after = rules.updated(before, report, LATER)
    assert expected == after.name
    assert (LATER if expected == "New" else NOON) == after.update_time
    assert max(known, reported) == after.pos_version


def test_an_adopted_profile_becomes_the_point_of_sales() -> None:
    after = rules.updated(profile("c-1"), PosCustomer("p-1", "ann@example.com", "", "1", 3), LATER)
    assert (after.customer_id, after.pos_customer_id, after.origin) == ("c-1", "p-1", Origin.POS)
    assert (after.name, after.phone, after.create_time) == ("ann@example.com", "1", NOON)


def test_a_mere_version_is_kept_and_is_no_news() -> None:
    before = profile("c-1", pos="p-1", version=3)
    profiles = Profiles.of([before])
    report = PosCustomer("p-1", before.email, before.name, before.phone, 4)
    profiles.put(rules.updated(before, report, LATER))
    assert (
        profiles.news,
        profiles.written[0].pos_version,
        profiles.written[0].update_time,
    ) == ([], 4, NOON)


def test_profiles_are_found_as_the_calls_so_far_left_them() -> None:
    profiles = Profiles.of([profile("c-1", pos="p-1")])
    moved = PosCustomer("p-1", "new@example.com", "Ann", "", 0)
    profiles.put(rules.updated(profile("c-1", pos="p-1"), moved, LATER))
    profiles.put(profile("c-2", "new@example.com"))
    assert profiles.with_key("mug-shop", "ann@example.com") == []
    assert [one.customer_id for one in profiles.with_key("mug-shop", "new@example.com")] == [
        "c-1",
        "c-2",
    ]
    assert profiles.with_key("other-shop", "new@example.com") == []
    assert (
        [one.customer_id for one in profiles.created],
        [one.customer_id for one in profiles.written],
    ) == (["c-2"], ["c-1"])


def test_profiles_without_an_address_have_nothing_in_common() -> None:
    profiles = Profiles.of([profile("c-1", "", pos="p-1"), profile("c-2", "-", pos="p-2")])
    assert profiles.with_key("mug-shop", "") == []
