"""Zones, rates and hours of shipping methods, case by case."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order.rules.document import Address, Money
from services.order.rules.pickup import Hours, Opening, Schedule
from services.order.rules.rates import Basis, Measures, Rate, Rates, Row, Table, price
from services.order.rules.zones import Reach, Zone, destination

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)  # a Saturday


def eur(cents: int) -> Money:
    return Money("EUR", cents * 10_000_000)


OSLO = Address(postal_code="0152", region_code="03", country_code="NO")
SEATTLE = Address(postal_code="98101", region_code="wa ", country_code="US")
LONDON = Address(postal_code="sw1a 1aa", country_code="GB")
NORWAY, WASHINGTON = Zone("", ("NO",)), Zone("", ("US",), ("WA", "OR"))


def codes(*found: str) -> Zone:
    return Zone(postal_codes=found)


@pytest.mark.rule("SHP-06")
@pytest.mark.parametrize(
    ("zones", "address", "expected"),
    [
        ([], OSLO, True),
        ([NORWAY], None, True),
        ([NORWAY], OSLO, True),
        ([NORWAY], SEATTLE, False),
        ([NORWAY], Address(), False),
        ([NORWAY, WASHINGTON], SEATTLE, True),
        ([WASHINGTON], replace(SEATTLE, region_code="CA"), False),
        ([codes("0150-0199")], OSLO, True),
        ([codes("0153-0199")], OSLO, False),
        ([codes("150-199")], OSLO, False),  # of another length
        ([codes("01*")], OSLO, True),
        ([codes("015?")], OSLO, True),
        ([codes("01?")], OSLO, False),
        ([codes("SW1*")], LONDON, True),
        ([codes("SW1A1A?")], LONDON, True),
        ([codes("E1*", "sw1a 1aa")], LONDON, True),
        ([codes("10001-1234")], Address(postal_code="10001-1234"), True),  # no range: two lengths
        ([codes("1.3")], Address(postal_code="123"), False),
        ([codes("0150-0199")], Address(postal_code="០១៥០"), False),  # digits of another script
        ([Zone("", ("NO",), (), ("98*",))], SEATTLE, False),
    ],
)
def test_a_method_goes_where_one_of_its_zones_is(
    zones: Sequence[Zone], address: Address | None, expected: bool
) -> None:
    place = destination(address) if address else None
    assert expected == Reach(zones).has(place)


CART = Measures("EUR", 50 * 10**9, 5 * 10**9, 3000, 1_500_000_000)
"""Goods for 50 EUR, 5 off, 3 pieces, 1.5 kg."""
KG = 10**9


def rows(*found: tuple[int, int | None, int]) -> tuple[Row, ...]:
    """From, to (in units) and price in cents."""
    return tuple(
        Row(begin * KG, None if end is None else end * KG, Rate(eur(cents)))
        for begin, end, cents in found
    )


@pytest.mark.rule("SHP-06")
@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (None, 0),
        (Rate(eur(490)), 490),
        (Rate(percent_parts=75_000), 375),
        (Rate(percent_parts=1), 0),
        (Rate(percent_parts=100), 1),  # 0.5 cents: the half goes up
        (Rate(per_item=eur(150)), 450),
        (Rate(per_kilogram=eur(333)), 500),  # 4.995
        (Rate(eur(100), 10_000, eur(10), eur(20)), 100 + 50 + 30 + 30),
        (Table(Basis.SUBTOTAL, rows((0, 50, 900), (50, None, 500))), 500),
        (Table(Basis.DISCOUNTED_SUBTOTAL, rows((0, 50, 900), (50, None, 500))), 900),
        (Table(Basis.WEIGHT, rows((0, 1, 300), (1, 2, 600), (1, None, 1))), 600),
        (Table(Basis.WEIGHT, rows((0, 1, 300), (2, None, 600))), None),
    ],
)
def test_what_a_method_costs(rates: Rates | None, expected: int | None) -> None:
    assert price(rates, CART) == (None if expected is None else eur(expected))


def test_a_price_is_rounded_to_what_its_currency_has() -> None:
    cart = replace(CART, currency_code="JPY")
    assert price(Rate(percent_parts=30_000), cart) == Money("JPY", 2 * 10**9)  # of 50: 1.5


def hours(day: int, begin: float, end: float) -> Hours:
    return Hours(day, int(begin * 3600), int(end * 3600))


WEEK = tuple(hours(day, 9, 17) for day in range(1, 6))
OSLO_HOURS = Opening(WEEK, "Europe/Oslo")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.rule("SHP-06")
@pytest.mark.parametrize(
    ("opening", "now", "expected"),
    [
        (Opening(), "2026-07-04T12:00+00:00", "2026-07-04T12:00+00:00"),
        (Opening(preparation_minutes=90), "2026-07-04T12:00+00:00", "2026-07-04T13:30+00:00"),
        # Saturday: they open on Monday at nine, by the clock in Oslo.
        (OSLO_HOURS, "2026-07-04T12:00+00:00", "2026-07-06T09:00+02:00"),
        (OSLO_HOURS, "2026-07-06T12:00+02:00", "2026-07-06T12:00+02:00"),
        (OSLO_HOURS, "2026-07-06T16:59:59+02:00", "2026-07-06T16:59:59+02:00"),
        (OSLO_HOURS, "2026-07-06T17:00+02:00", "2026-07-07T09:00+02:00"),
        # In winter the same clock is an hour later by UTC.
        (OSLO_HOURS, "2026-12-05T12:00+00:00", "2026-12-07T09:00+01:00"),
        (
            replace(OSLO_HOURS, preparation_minutes=120),
            "2026-07-06T16:00+02:00",
            "2026-07-07T09:00+02:00",
        ),
        (
            replace(OSLO_HOURS, closed_dates=frozenset({date(2026, 7, 6), date(2026, 7, 7)})),
            "2026-07-04T12:00+00:00",
            "2026-07-08T09:00+02:00",
        ),
        # Closed on a day, no hours: from midnight there on.
        (
            Opening((), "Europe/Oslo", 0, frozenset({date(2026, 7, 4)})),
            "2026-07-04T12:00+00:00",
            "2026-07-05T00:00+02:00",
        ),
        # The day begins and ends where the shop is: it is Monday already in Auckland.
        (
            Opening((hours(1, 9, 17),), "Pacific/Auckland"),
            "2026-07-05T22:00+00:00",
            "2026-07-06T10:00+12:00",
        ),
        # Open to the end of the day.
        (Opening((hours(6, 22, 24),)), "2026-07-04T23:59+00:00", "2026-07-04T23:59+00:00"),
        # Two stretches of a day, told in any order.
        (
            Opening((hours(6, 15, 18), hours(6, 9, 12))),
            "2026-07-04T12:00+00:00",
            "2026-07-04T15:00+00:00",
        ),
        # The clock is put forward from 2 to 3 on 29 March 2026: half past two is half past three.
        (
            Opening((hours(7, 2.5, 5),), "Europe/Oslo"),
            "2026-03-29T00:00+01:00",
            "2026-03-29T03:30+02:00",
        ),
        # It closes when it does not exist: the shop is not open backwards.
        (
            Opening((hours(7, 1, 2.5),), "Europe/Oslo"),
            "2026-03-29T03:20+02:00",
            "2026-03-29T03:20+02:00",
        ),
        # It is put back from 3 to 2 on 25 October 2026: open from the first to the second.
        (
            Opening((hours(7, 2.5, 2.75),), "Europe/Oslo"),
            "2026-10-25T00:00+02:00",
            "2026-10-25T02:30+02:00",
        ),
        (
            Opening((hours(7, 2.5, 2.75),), "Europe/Oslo"),
            "2026-10-25T02:40+01:00",
            "2026-10-25T02:40+01:00",
        ),
        # Preparation takes as long as it takes, whatever the clock does.
        (
            Opening((hours(7, 0, 24),), "Europe/Oslo", 120),
            "2026-10-25T01:30+02:00",
            "2026-10-25T02:30+01:00",
        ),
        # Nobody can come within a year.
        (
            Opening(
                (hours(6, 9, 10),),
                "",
                0,
                frozenset(date(2026, 7, 4) + timedelta(days=7 * week) for week in range(54)),
            ),
            "2026-07-04T12:00+00:00",
            None,
        ),
    ],
)
def test_when_an_order_is_ready(opening: Opening, now: str, expected: str | None) -> None:
    assert Schedule(opening).ready_time(at(now)) == (None if expected is None else at(expected))


@given(
    st.sets(st.integers(1, 7), min_size=1),
    st.integers(0, 22),
    st.integers(1, 4),
    st.sampled_from(["Europe/Oslo", "America/New_York", "Pacific/Auckland", "Asia/Kathmandu"]),
    st.integers(0, 365 * 24 * 60).map(lambda minutes: NOON + timedelta(minutes=minutes)),
)
@pytest.mark.rule("SHP-06")
def test_an_order_is_ready_within_hours_and_within_a_week(
    days: set[int], begin: int, length: int, zone: str, now: datetime
) -> None:
    end = min(begin + length, 24)
    opening = Opening(tuple(hours(day, begin, end) for day in days), zone)
    schedule = Schedule(opening)
    found = schedule.ready_time(now)
    assert found
    assert now <= found <= now + timedelta(days=8)
    assert schedule.ready_time(found) == found  # then somebody can come


@given(
    st.sets(st.tuples(st.integers(1, 7), st.integers(0, 20), st.integers(1, 4)), min_size=1),
    st.sets(st.integers(0, 9), max_size=3),
    st.sampled_from(["Europe/Oslo", "Pacific/Auckland"]),
    st.lists(st.integers(0, 9 * 24 * 60), min_size=2, max_size=20),
)
@pytest.mark.rule("SHP-06")
def test_a_schedule_says_the_same_whatever_it_was_asked_before(
    open_: set[tuple[int, int, int]], closed: set[int], zone: str, asked: list[int]
) -> None:
    opening = Opening(
        tuple(hours(day, begin, begin + length) for day, begin, length in sorted(open_)),
        zone,
        45,
        frozenset(NOON.date() + timedelta(days=days) for days in closed),
    )
    schedule = Schedule(opening)
    for now in (NOON + timedelta(minutes=minutes) for minutes in asked):
        assert schedule.ready_time(now) == Schedule(opening).ready_time(now)
