"""What is kept of where values came from, what changed, what waits, and how much may go at once."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from services.catalog.rules import barcodes, held
from services.catalog.rules import shelf as shelves
from services.catalog.rules.breaker import ITEMS_MIN, WINDOW, Breaker, Breakers, Limit
from services.catalog.rules.changes import FieldChange, amount, changes
from services.catalog.rules.held import Held, HeldReports
from services.catalog.rules.products import (
    Image,
    Known,
    Money,
    Outcome,
    Product,
    Stamp,
    Variant,
)
from services.catalog.rules.provenance import Source, carried, source_of
from services.catalog.rules.shelf import Shelf
from services.catalog.store.provenance import packed, unpacked
from services.chassis.errors import DomainError, invalid
from tests.catalog.samples import LATER, NOON, SHIRT, known, plain

SHOP = "mug-shop"
HALF_PAST = NOON + timedelta(minutes=30)
FIRST = Source("lightspeed_x", "r-1", NOON)
SECOND = Source("till 3", "r-2", LATER)
THIRD = Source("import mugs.csv", "r-3", LATER)


# --- Provenance (SOR-04) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("name", SECOND),
        ("brand", FIRST),
        ("", FIRST),
        ("variants[a]", SECOND),
        ("variants[a].sku", SECOND),
        ("variants[a].retail_price", THIRD),
        ("variants[b].retail_price", FIRST),
        ("variants[a.b].sku", FIRST),
        ("variants[x]y].sku", THIRD),
    ],
)
def test_a_value_came_from_where_the_longest_path_above_it_says(
    path: str, expected: Source
) -> None:
    noted = {
        "": FIRST,
        "name": SECOND,
        "variants[a]": SECOND,
        "variants[a].retail_price": THIRD,
        "variants[x]y]": THIRD,
    }
    assert source_of(noted, path) == expected
    assert source_of({}, path) is None


@pytest.mark.parametrize(
    ("before", "paths", "expected"),
    [
        ({}, ["name"], {"name": SECOND}),
        ({"": FIRST}, [], {"": FIRST}),
        ({"": FIRST, "name": FIRST}, ["name"], {"": FIRST, "name": SECOND}),
        (
            {"": FIRST, "variants[a].sku": FIRST, "variants[b].sku": FIRST},
            ["variants[a]"],
            {"": FIRST, "variants[b].sku": FIRST, "variants[a]": SECOND},
        ),
        ({"": FIRST, "name": FIRST, "variants[a].sku": FIRST}, [""], {"": SECOND}),
    ],
)
def test_what_a_call_changes_comes_from_it_and_the_rest_stays(
    before: Mapping[str, Source], paths: list[str], expected: Mapping[str, Source]
) -> None:
    assert carried(before, paths, SECOND) == expected


def test_provenance_is_kept_as_text() -> None:
    noted = {"": FIRST, "name": SECOND, "variants[ä].sku": SECOND}
    assert unpacked(packed(noted)) == noted
    assert unpacked("[]") == {}


def test_a_product_tells_which_call_brought_which_value() -> None:
    shelf = Shelf.of({}, {})
    news = replace(
        SHIRT,
        name="Linen shirt",
        variants=(replace(SHIRT.variants[0], retail_price=Money("EUR", 1)), SHIRT.variants[1]),
    )
    for number, (product, source) in enumerate([(SHIRT, FIRST), (news, SECOND), (news, THIRD)], 1):
        stamp = Stamp(number, NOON)
        shelf.put(shelves.upserted(shelf, SHOP, product, stamp, source, now=NOON).after)
    last = shelf.get(SHOP, "shirt")
    assert last is not None
    assert last.provenance == {
        "": FIRST,
        "name": SECOND,
        "variants[shirt-l-red].retail_price": SECOND,
    }


# --- Changes, field by field --------------------------------------------------------------------

ONE, OTHER = SHIRT.variants[0], SHIRT.variants[1]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (SHIRT, SHIRT, []),
        (None, None, []),
        (SHIRT, replace(SHIRT, name="Top"), [("name", "Shirt", "Top")]),
        (SHIRT, replace(SHIRT, active=False), [("active", "true", "false")]),
        (SHIRT, replace(SHIRT, tags=("a", "b")), [("tags", "secret-tag", "a, b")]),
        (
            SHIRT,
            replace(SHIRT, images=(Image("7", "https://a"),)),
            [
                (
                    "images",
                    "1 https://img.example/1.jpg, https://img.example/2.jpg",
                    "7 https://a",
                )
            ],
        ),
        (
            replace(SHIRT, variants=(ONE,)),
            replace(SHIRT, variants=(replace(ONE, retail_price=Money("EUR", 5), weight=None),)),
            [
                ("variants[shirt-l-red].retail_price", "12.5 EUR", "0.000000005 EUR"),
                ("variants[shirt-l-red].weight", "8 OZ", ""),
            ],
        ),
        (
            replace(SHIRT, variants=(ONE,)),
            replace(SHIRT, variants=(OTHER,)),
            [
                ("variants[shirt-l-red]", "S-L-R, L / Red, 12.5 EUR", ""),
                ("variants[shirt-s-red]", "", "S-S-R, S / Red, 12.5 EUR"),
            ],
        ),
        (
            replace(SHIRT, variants=(ONE, OTHER)),
            replace(SHIRT, variants=(OTHER, ONE)),
            [("variants", "shirt-l-red, shirt-s-red", "shirt-s-red, shirt-l-red")],
        ),
        (
            None,
            plain(),
            [
                ("name", "", "Mug"),
                ("active", "", "true"),
                ("variants[mug-item]", "", "SKU-mug, 12.5 EUR"),
            ],
        ),
        (
            plain(variants=(Variant("bare"),), active=False),
            None,
            [("name", "Mug", ""), ("active", "false", ""), ("variants[bare]", "bare", "")],
        ),
    ],
)
def test_changes_are_told_field_by_field(
    before: Product | None, after: Product | None, expected: list[tuple[str, str, str]]
) -> None:
    assert changes(before, after) == [FieldChange(*one) for one in expected]


@pytest.mark.parametrize(
    ("money", "expected"),
    [
        (None, ""),
        (Money("EUR", 0), "0 EUR"),
        (Money("JPY", 1500 * 10**9), "1500 JPY"),
        (Money("KWD", 1_234_000_000), "1.234 KWD"),
        (Money("EUR", -1_500_000_000), "-1.5 EUR"),
    ],
)
def test_money_is_read_in_any_currency(money: Money | None, expected: str) -> None:
    assert amount(money) == expected


# --- Bar codes ----------------------------------------------------------------------------------


@pytest.mark.rule("CAT-03")
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("", ""),
        ("4006381333931", ""),
        ("036000291452", ""),
        ("96385074", ""),
        ("10614141000415", ""),
        ("4006381333932", "it would be 1"),
        ("036000291453", "it would be 2"),
        ("96385075", "it would be 4"),
        ("10614141000416", "it would be 5"),
        ("36000291452", "reads 036000291452"),
        ("03600029145", "would be 036000291452"),
        ("6385070", "would be 6385070"),
        ("0001", ""),
        ("MUG-1", ""),
        ("123456789", ""),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", ""),
    ],
)
def test_a_bar_code_that_cannot_be_right_is_warned_of(code: str, hint: str) -> None:
    found = barcodes.warning(code)
    assert hint in found
    assert bool(found) == bool(hint)


# --- The circuit breaker (BEY-10) ---------------------------------------------------------------


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("count", "active", "allowed"),
    [
        (1, 1, True),
        (20, 20, True),
        (21, 20, False),
        (21, 100, False),
        (21, 105, True),
        (200, 1000, True),
        (201, 1000, False),
    ],
)
def test_the_set_share_may_go_and_a_few_always_may(count: int, active: int, allowed: bool) -> None:
    assert Limit().allows(count, lambda: active) == allowed


@pytest.mark.rule("BEY-10")
def test_active_products_are_counted_only_when_it_matters() -> None:
    def never() -> int:
        raise AssertionError

    assert Limit().allows(ITEMS_MIN, never)


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        (None, 20),
        (Breaker(SHOP, "x", NOON, 15), 5),
        (Breaker(SHOP, "x", NOON, 20), 0),
        (Breaker(SHOP, "x", NOON, 20, approved=True), 30),
        (Breaker(SHOP, "x", HALF_PAST - WINDOW, 20), 0),
        (Breaker(SHOP, "x", NOON - WINDOW, 20), 10),
        (Breaker(SHOP, "x", NOON, 5, previous_count=20), 5),
        (Breaker(SHOP, "x", HALF_PAST - 2 * WINDOW, 20), 20),
        (Breaker(SHOP, "x", HALF_PAST - WINDOW, 20, approved=True), 20),
        (Breaker(SHOP, "y", NOON, 20), 20),
        (Breaker(SHOP, "x", HALF_PAST + timedelta(seconds=1), 15), 5),  # who waited for a lock
        (Breaker(SHOP, "x", HALF_PAST + timedelta(seconds=1), 15, previous_count=3), 2),
        (Breaker(SHOP, "x", HALF_PAST + 2 * WINDOW, 20), 20),  # a clock was set back
    ],
)
def test_each_source_is_counted_for_an_hour_and_fades_over_the_next(
    before: Breaker | None, allowed: int
) -> None:
    entries = {(before.merchant_id, before.cause): before} if before else {}
    breakers = Breakers(entries, lambda _: 50, HALF_PAST)
    assert sum(breakers.allows(SHOP, "x") for _ in range(30)) == allowed


@pytest.mark.rule("BEY-10")
def test_what_was_active_before_counts_and_not_what_is_left() -> None:
    breakers = Breakers({(SHOP, "x"): Breaker(SHOP, "x", NOON, 150)}, lambda _: 850, NOON)
    assert sum(breakers.allows(SHOP, "x") for _ in range(100)) == 50
    afresh = Breakers({}, lambda _: 150, NOON)
    assert sum(afresh.allows(SHOP, "x") for _ in range(100)) == 30


@pytest.mark.rule("BEY-10")
def test_a_yes_counts_for_an_hour_from_then_on() -> None:
    before = {(SHOP, "x"): Breaker(SHOP, "x", NOON - 3 * WINDOW, 20)}
    breakers = Breakers(before, lambda _: 0, NOON, lambda *_: True)
    breakers.approve(SHOP, "x")
    assert all(breakers.allows(SHOP, "x") for _ in range(30))
    for later, allowed in [(NOON + WINDOW / 2, 30), (NOON + WINDOW, ITEMS_MIN)]:
        after = Breakers(breakers.changed, lambda _: 0, later)
        assert sum(after.allows(SHOP, "x") for _ in range(30)) == allowed


@pytest.mark.rule("BEY-10")
def test_while_something_of_a_source_is_held_nothing_more_of_it_passes() -> None:
    breakers = Breakers({}, lambda _: 1000, NOON, lambda *key: key == (SHOP, "x"))
    assert not breakers.allows(SHOP, "x")
    assert breakers.allows(SHOP, "y")


ON, OFF = plain(), plain(active=False)
NO_VARIANT_ON = plain(variants=(replace(plain().variants[0], active=False),))


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ON, OFF, True),
        (ON, None, True),
        (ON, NO_VARIANT_ON, True),
        (ON, plain(name="New"), False),
        (OFF, None, False),
        (NO_VARIANT_ON, OFF, False),
        (OFF, ON, False),
        (None, OFF, False),
    ],
)
def test_what_takes_a_product_out_of_sale_is_a_deactivation(
    before: Product | None, after: Product | None, expected: bool
) -> None:
    first = known(before, 1)
    shelf = Shelf.of({(SHOP, "mug"): first}, {})
    stamp = Stamp(2, LATER)
    step = (
        shelves.upserted(shelf, SHOP, after, stamp, FIRST, now=LATER)
        if after
        else shelves.deleted(shelf, SHOP, "mug", stamp, FIRST, now=LATER)
    )
    assert step.deactivates == expected
    assert shelf.get(SHOP, "mug") == first


def test_what_is_tried_on_a_copy_leaves_the_shelf_as_it_was() -> None:
    shelf = Shelf.of({(SHOP, "mug"): known(plain(), 1)}, {})
    trial = shelf.copy()
    stamp = Stamp(2, LATER)
    trial.put(shelves.deleted(trial, SHOP, "mug", stamp, FIRST, now=LATER).after)
    assert (len(trial.changes()), trial.owner(SHOP, "mug-item")) == (1, "")
    assert (shelf.changes(), shelf.owner(SHOP, "mug-item")) == ([], "mug")


# --- Held reports (BEY-09) ----------------------------------------------------------------------


def waiting(version: int, reason: str = "INVALID_FIELD") -> Held:
    return Held(SHOP, "mug", reason, "name", "is blank", b"", Stamp(version, NOON), "", "r", NOON)


@pytest.mark.rule("BEY-09")
@pytest.mark.parametrize(
    ("before", "reported", "expected"),
    [(None, 1, 1), (1, 2, 2), (2, 1, 2), (2, 2, 2)],
)
def test_the_newest_report_of_a_product_waits(
    before: int | None, reported: int, expected: int
) -> None:
    reports = HeldReports({(SHOP, "mug"): waiting(before)} if before else {})
    reports.hold(waiting(reported))
    found = reports.get((SHOP, "mug"))
    assert found is not None
    assert found.stamp.version == expected


@pytest.mark.rule("BEY-09")
@pytest.mark.parametrize(("taken", "waits"), [(1, True), (2, False), (3, False)])
def test_it_waits_until_a_report_at_least_as_new_is_taken_in(taken: int, waits: bool) -> None:
    reports = HeldReports({(SHOP, "mug"): waiting(2)})
    reports.take_in((SHOP, "mug"), Stamp(taken, NOON))
    assert bool(reports.get((SHOP, "mug"))) == waits


def test_it_waits_since_it_first_did() -> None:
    reports = HeldReports({(SHOP, "mug"): waiting(1)})
    reports.hold(replace(waiting(2), record_time=LATER))
    assert reports.changed[SHOP, "mug"] == waiting(2)
    other = replace(waiting(3, held.CIRCUIT_OPEN), record_time=LATER)
    reports.hold(other)
    assert reports.changed[SHOP, "mug"] == other


@pytest.mark.parametrize(
    ("error", "group", "text"),
    [
        (invalid("name", "is blank"), "name", "name: is blank"),
        (
            invalid("variants[12].item_id", "'a' belongs to 'b'"),
            "variants[].item_id",
            "variants[12].item_id: 'a' belongs to 'b'",
        ),
        (DomainError("CIRCUIT_OPEN", "too many"), "CIRCUIT_OPEN", "too many"),
    ],
)
def test_refusals_of_the_same_field_wait_together(
    error: DomainError, group: str, text: str
) -> None:
    assert (held.group(error), held.text(error)) == (group, text)


def test_an_older_report_leaves_no_step() -> None:
    first: Known = known(plain(), 5)
    shelf = Shelf.of({(SHOP, "mug"): first}, {})
    step = shelves.upserted(shelf, SHOP, OFF, Stamp(4, LATER), FIRST, now=LATER)
    assert (step.outcome, step.after, step.changes) == (Outcome.UNCHANGED, first, [])
