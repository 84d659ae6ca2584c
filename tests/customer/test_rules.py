"""Whom an order belongs to, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.errors import DomainError
from services.customer.rules import addresses, matches, profiles
from services.customer.rules.matches import Buyer, Found, Match, Rule
from services.customer.rules.profiles import Customer, Origin, PosCustomer, Profiles

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ADDRESS = ("mug-shop", "ann@example.com")


def profile(
    customer_id: str,
    email: str = "ann@example.com",
    *,
    name: str = "Ann",
    pos: str = "",
    version: int = 0,
    create_time: datetime = NOON,
    into: str = "",
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
        merged_into=into,
        survivor_id=into,
        merge_time=LATER if into else None,
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
        ("ann@\u65e5\u672c\u3002example", "ann@xn--wgv71a.example", True),
        ("ann@\uff45\uff58ample.com", "ann@example.com", True),
        ("ann@bu\u0308cher.example", "ann@xn--bcher-kva.example", True),
        ("ann@fa\u00df.example", "ann@xn--fa-hia.example", True),
        ("ann@fa\u00df.example", "ann@fass.example", False),
        ("\uff41nn@example.com", "ann@example.com", False),
        ("ann@example.com", "bob@example.com", False),
        ("ann@example.com", "ann@example.org", False),
        ("ann@example.com", "ann+shop@example.com", False),
        ("ann.lee@example.com", "annlee@example.com", False),
        ("jos\u00e9@example.com", "jose@example.com", False),
    ],
)
def test_two_spellings_are_one_address(one: str, other: str, same: bool) -> None:
    assert same == (addresses.email_key(one) == addresses.email_key(other))


@pytest.mark.parametrize(
    "text", ["", " ", "ann", "@", "ann@", "@example.com", "ann@b@c", " @ ", "ann@ ", "\u00a0@c"]
)
def test_what_is_no_address_is_refused_with_what_would_pass(text: str) -> None:
    with pytest.raises(DomainError) as refusal:
        addresses.email_key(text)
    assert (refusal.value.reason, refusal.value.violations[0][0]) == ("INVALID_FIELD", "email")
    assert "one @" in refusal.value.message
    assert addresses.key_if_any(text) == ""


def test_a_domain_that_cannot_exist_is_still_equal_to_itself() -> None:
    name = "ann@" + "\u00fc" * 70 + ".example"
    assert addresses.email_key(name.upper()) == addresses.email_key(name)


# Profiles with the address, and whom they were merged into -> whom the order belongs to, and who
# carries the address.
@pytest.mark.rule("CUS-02")
@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, None),
        ({"a": ""}, ("a", "a")),
        ({"a": "", "b": ""}, "a,b"),
        ({"a": "", "b": "", "c": ""}, "a,b,c"),
        ({"a": "", "b": "a"}, ("a", "a")),
        ({"b": "", "a": "b"}, ("b", "b")),
        ({"b": "other"}, ("other", "b")),
        ({"b": "other", "c": "other"}, ("other", "b")),
        ({"a": "", "b": "other"}, "a,other"),
        ({"a": "other", "b": "another"}, "another,other"),
    ],
)
def test_an_order_belongs_to_the_one_whose_address_it_has(
    known: dict[str, str], expected: str | tuple[str, str] | None
) -> None:
    others = [profile(one, "x@example.com") for one in ("other", "another")]
    all_known = Profiles.of([*others, *(profile(one, into=into) for one, into in known.items())])
    refusal = matches.ambiguity(all_known.owners(ADDRESS))
    if isinstance(expected, str):
        assert refusal
        assert ("CUSTOMER_AMBIGUOUS", expected) == (refusal.reason, refusal.facts["customer_ids"])
    else:
        found = matches.find(all_known, ADDRESS)
        seen = (found.customer.customer_id, found.carrier.customer_id) if found else None
        assert (expected, None) == (seen, refusal)


def test_a_refusal_names_some_of_very_many_profiles() -> None:
    refusal = matches.ambiguity([("mug-shop", f"c-{number:04}") for number in range(5000)])
    assert refusal
    assert "5000 profiles" in refusal.message
    assert len(refusal.facts["customer_ids"].split(",")) == matches.NAMED_MAX


# What was kept before (rule, profile, address), what is found now -> the rule that is kept.
@pytest.mark.rule("BEY-02")
@pytest.mark.parametrize(
    ("before", "found", "expected"),
    [
        (None, ("c-1", True), (Rule.CREATED, "c-1")),
        (None, ("c-1", False), (Rule.EMAIL, "c-1")),
        (None, None, (Rule.AMBIGUOUS, "")),
        ((Rule.CREATED, "c-1", ADDRESS[1]), ("c-1", False), (Rule.CREATED, "c-1")),
        ((Rule.CREATED, "c-2", ADDRESS[1]), ("c-1", False), (Rule.EMAIL, "c-1")),
        ((Rule.CREATED, "c-1", "b@example.com"), ("c-1", False), (Rule.EMAIL, "c-1")),
        ((Rule.AMBIGUOUS, "", ADDRESS[1]), ("c-1", False), (Rule.EMAIL, "c-1")),
        ((Rule.CREATED, "c-1", ADDRESS[1]), None, (Rule.AMBIGUOUS, "")),
    ],
)
def test_what_is_kept_of_a_match(
    before: tuple[Rule, str, str] | None,
    found: tuple[str, bool] | None,
    expected: tuple[Rule, str],
) -> None:
    buyer = Buyer(" Ann@example.com", "", "", "web", "7")
    known = before and Match("mug-shop", "web", "7", before[1], before[0], "a", before[2], NOON)
    one = profile(found[0]) if found else None
    matched = Found(one, one, created=found[1]) if found and one else None
    kept = matches.record(ADDRESS, buyer, matched, known or None, LATER)
    assert expected == (kept.rule, kept.customer_id)
    assert (
        kept.email,
        kept.email_key,
        kept.match_time,
    ) == (" Ann@example.com", "ann@example.com", LATER)


ANN, BOB = profile("c-1"), profile("c-2", "bob@example.com", name="Bob")


@pytest.mark.rule("BEY-02")
@pytest.mark.parametrize(
    ("rule", "carrier", "customer", "owners", "expected"),
    [
        (
            Rule.EMAIL,
            ANN,
            ANN,
            1,
            (
                "Order 7 belongs to Ann (c-1), since Ann (c-1) carried ann@example.com at"
                " 2026-07-04 12:00 UTC."
            ),
        ),
        (
            Rule.CREATED,
            ANN,
            ANN,
            1,
            (
                "Order 7 belongs to Ann (c-1), since nobody carried ann@example.com, and the"
                " profile"
                " was"
                " made of this order at 2026-07-04 12:00 UTC."
            ),
        ),
        (
            Rule.EMAIL,
            profile("c-1", into="c-2"),
            BOB,
            1,
            (
                "Order 7 belongs to Bob (c-2), since Ann (c-1) carried ann@example.com at"
                " 2026-07-04 12:00 UTC, and c-1 was merged at 2026-07-04 13:00 UTC."
            ),
        ),
        (
            Rule.CREATED,
            profile("c-1", into="c-2"),
            BOB,
            1,
            (
                "Order 7 belongs to Bob (c-2), since nobody carried ann@example.com, and the"
                " profile"
                " was"
                " made of this order at 2026-07-04 12:00 UTC, and that profile was merged at"
                " 2026-07-04 13:00 UTC."
            ),
        ),
        (
            Rule.EMAIL,
            BOB,
            BOB,
            0,
            (
                "Order 7 belongs to Bob (c-2), since Bob (c-2) carried ann@example.com at"
                " 2026-07-04 12:00 UTC; the profile carries another address by now."
            ),
        ),
        (
            Rule.AMBIGUOUS,
            None,
            None,
            2,
            (
                "Order 7 waits, since two profiles carry ann@example.com and none is guessed;"
                " it was"
                " last"
                " tried at 2026-07-04 12:00 UTC."
            ),
        ),
        (
            Rule.AMBIGUOUS,
            None,
            None,
            12,
            (
                "Order 7 waits, since 12 profiles carry ann@example.com and none is guessed; it was"
                " last"
                " tried at 2026-07-04 12:00 UTC."
            ),
        ),
        (
            Rule.AMBIGUOUS,
            None,
            None,
            1,
            (
                "Order 7 was last tried at 2026-07-04 12:00 UTC, when several profiles carried"
                " ann@example.com, and goes on by itself."
            ),
        ),
    ],
)
def test_why_this_customer_is_said_in_one_sentence(
    rule: Rule, carrier: Customer | None, customer: Customer | None, owners: int, expected: str
) -> None:
    carrier_id = carrier.customer_id if carrier else ""
    match = Match("mug-shop", "web", "7", carrier_id, rule, ADDRESS[1], ADDRESS[1], NOON)
    assert expected == matches.explanation(match, carrier, customer, owners)


@pytest.mark.rule("BEY-09")
@pytest.mark.parametrize(
    ("count", "orders", "expected"),
    [
        (2, 0, "Two profiles carry x@y"),
        (2, 1, "Two profiles carry x@y: 1 order waits"),
        (3, 41, "Three profiles carry x@y: 41 orders wait"),
        (12, 2, "12 profiles carry x@y: 2 orders wait"),
    ],
)
def test_what_is_the_matter_is_said_in_plain_words(count: int, orders: int, expected: str) -> None:
    assert expected == matches.collision_title("x@y", count, orders)


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
    created = matches.from_order("mug-shop", "c-1", Buyer(email, name, ""), NOON)
    assert expected == (created.email, created.name)
    assert (
        created.origin,
        created.pos_customer_id,
        created.create_time,
    ) == (Origin.ORDER, "", NOON)


@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize(
    ("carriers", "expected"),
    [
        ([], None),
        ([profile("of-an-order")], "of-an-order"),
        ([profile("of-pos", pos="p")], None),
        ([profile("of-pos", pos="p"), profile("of-an-order")], None),
        ([profile("first"), profile("second")], None),
        ([profile("first"), profile("second", into="first")], "first"),
        ([profile("merged", into="of-pos")], None),
        ([profile("first"), profile("merged", into="of-pos")], None),
    ],
)
def test_the_point_of_sale_adopts_what_an_order_had_brought_unless_it_is_a_guess(
    carriers: list[Customer], expected: str | None
) -> None:
    found = profiles.adoptable(carriers)
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
    after = profiles.updated(before, report, LATER)
    assert expected == after.name
    assert (LATER if expected == "New" else NOON) == after.update_time
    assert max(known, reported) == after.pos_version


def test_an_adopted_profile_becomes_the_point_of_sales() -> None:
    after = profiles.updated(
        profile("c-1"), PosCustomer("p-1", "ann@example.com", "", "1", 3), LATER
    )
    assert (after.customer_id, after.pos_customer_id, after.origin) == ("c-1", "p-1", Origin.POS)
    assert (after.name, after.phone, after.create_time) == ("ann@example.com", "1", NOON)


def test_a_mere_version_is_kept_and_is_no_news() -> None:
    before = profile("c-1", pos="p-1", version=3)
    known = Profiles.of([before])
    report = PosCustomer("p-1", before.email, before.name, before.phone, 4)
    known.put(profiles.updated(before, report, LATER))
    (written,) = known.written
    assert known.news == []
    assert (written.pos_version, written.update_time, written.sync_time) == (4, NOON, LATER)


@pytest.mark.rule("SOR-04")
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (7, LATER),
        (0, LATER),
        (6, NOON),
    ],
)
def test_a_profile_tells_when_the_point_of_sale_last_reported_it(
    version: int, expected: datetime
) -> None:
    report = PosCustomer("p-1", "ann@example.com", "Ann", "", 7)
    before = profiles.from_pos("mug-shop", "c-1", report, NOON)
    again = PosCustomer("p-1", "ann@example.com", "Ann", "", version)
    assert expected == profiles.updated(before, again, LATER).sync_time


@pytest.mark.rule("BEY-14")
def test_addresses_that_come_to_be_shared_and_that_do_not_any_more_are_known() -> None:
    known = Profiles.of(
        [profile("c-1", pos="p-1"), profile("c-2", pos="p-2"), profile("c-3", "b@example.com")]
    )
    moved = PosCustomer("p-2", "B@example.com", "Ann", "", 0)
    known.put(profiles.updated(profile("c-2", pos="p-2"), moved, LATER))
    assert (known.collided, known.cleared) == ([("mug-shop", "b@example.com")], [ADDRESS])
    back = PosCustomer("p-2", "ann@example.com", "Ann", "", 0)
    known.put(profiles.updated(profile("c-2", pos="p-2"), back, LATER))
    assert (known.collided, known.cleared) == ([], [])


def test_profiles_are_found_as_the_calls_so_far_left_them() -> None:
    known = Profiles.of([profile("c-1", pos="p-1")])
    moved = PosCustomer("p-1", "new@example.com", "Ann", "", 0)
    known.put(profiles.updated(profile("c-1", pos="p-1"), moved, LATER))
    known.put(profile("c-2", "new@example.com"))
    assert known.carriers(("mug-shop", "ann@example.com")) == []
    assert [one.customer_id for one in known.carriers(("mug-shop", "new@example.com"))] == [
        "c-1",
        "c-2",
    ]
    assert known.carriers(("other-shop", "new@example.com")) == []
    assert (
        [one.customer_id for one in known.created],
        [one.customer_id for one in known.written],
    ) == (["c-2"], ["c-1"])


def test_profiles_without_an_address_have_nothing_in_common() -> None:
    known = Profiles.of([profile("c-1", "", pos="p-1"), profile("c-2", "-", pos="p-2")])
    assert known.carriers(("mug-shop", "")) == []
