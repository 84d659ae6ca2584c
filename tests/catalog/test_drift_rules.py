"""What a store shows and should not, and what becomes of it, case by case."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.catalog.rules import drift, listings, mapping
from services.catalog.rules.drift import Cause, Drift, Edit, EditKind, Seen, State
from services.catalog.rules.listings import Placement, StoreFields
from services.catalog.rules.mapping import Option, Shown
from services.catalog.rules.products import Money
from services.catalog.rules.provenance import Source
from services.chassis.errors import DomainError
from tests.catalog.samples import LATER, NOON, SHIRT

STORE = Source("store", "r-1", LATER)
MINUTE = timedelta(minutes=1)
NAME = Edit(EditKind.FIELD_CHANGED, "name", "", "Cup", "Mug")
PRICE = Edit(EditKind.FIELD_CHANGED, "price", "mug-item", "1 EUR", "12.5 EUR")
ADDED = Edit(EditKind.VARIANT_ADDED, store_value="SKU-X")
REMOVED = Edit(EditKind.VARIANT_REMOVED, item_id="mug-item")
DELETED = Edit(EditKind.LISTING_DELETED)

PLACE = Placement(
    "mug-shop",
    "web",
    "mug",
    sell_online=True,
    version=5,
    deleted=False,
    update_time=NOON,
    push_time=NOON,
    pushed_version=5,
    own=StoreFields(subtitle="Soft"),
)


def seen(*edits: Edit, **changes: object) -> Seen:
    one = Seen(5, edits, own=None, image_urls=(), store_update_time=None)
    return replace(one, **changes)  # type: ignore[arg-type]  # fields of Seen


def row(edit: Edit = NAME, **changes: object) -> Drift:
    one = Drift(
        "mug-shop",
        "web",
        "mug",
        edit.item_id,
        edit.field,
        edit.kind,
        edit.own_value,
        edit.store_value,
        Cause.MANUAL_EDIT,
        State.OPEN,
        observe_time=NOON,
        last_observe_time=NOON,
        heal_time=None,
        times=1,
    )
    return replace(one, **changes)  # type: ignore[arg-type]  # fields of Drift


def judged(report: Seen, *known: Drift, place: Placement = PLACE) -> drift.Verdict:
    return drift.judged(place, {one.key: one for one in known}, report, STORE, LATER)


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("CAT-09")
@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-11")
@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("edit", "store_update_time", "cause"),
    [
        (NAME, LATER, Cause.MANUAL_EDIT),
        (NAME, NOON, Cause.LOST_WRITE),
        (NAME, NOON - MINUTE, Cause.LOST_WRITE),
        (NAME, None, Cause.MANUAL_EDIT),
        (PRICE, LATER, Cause.MANUAL_EDIT),
        (ADDED, LATER, Cause.MANUAL_EDIT),
        (REMOVED, NOON, Cause.LOST_WRITE),
        (DELETED, LATER, Cause.DELETED_IN_STORE),
        (DELETED, None, Cause.DELETED_IN_STORE),
    ],
)
def test_a_difference_is_recorded_with_its_cause_and_the_listing_written_again(
    edit: Edit, store_update_time: datetime | None, cause: Cause
) -> None:
    verdict = judged(seen(edit, store_update_time=store_update_time))
    expected = row(edit, cause=cause, observe_time=LATER, last_observe_time=LATER)
    assert verdict.drift == (expected,)
    assert (verdict.placement.version, verdict.placement.update_time) == (6, LATER)
    assert not verdict.in_flight


@pytest.mark.rule("BEY-07")
@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize(
    ("version", "at", "pushed", "in_flight"),
    [
        (5, 5, 5, False),
        (5, 6, 5, True),
        (5, 6, 6, True),
        (6, 6, 5, True),
        (0, 1, 0, True),
    ],
)
def test_a_difference_from_what_is_not_written_is_in_flight(
    version: int, at: int, pushed: int, in_flight: bool
) -> None:
    place = replace(PLACE, version=at, pushed_version=pushed)
    own = StoreFields(subtitle="Softer")
    verdict = judged(seen(NAME, version=version, own=own), row(PRICE), place=place)
    assert verdict.in_flight == in_flight
    if in_flight:
        assert (verdict.placement, verdict.drift, verdict.taken) == (place, (), ())


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("before", "edits", "expected"),
    [
        # drift before, edits reported -> (state, times, first seen, last seen, healed)
        (None, [NAME], (State.OPEN, 1, LATER, LATER, None)),
        ((State.OPEN, 1), [NAME], (State.OPEN, 1, NOON, LATER, None)),
        ((State.HEALED, 1), [NAME], (State.OPEN, 2, NOON, LATER, None)),
        ((State.REFUSED, 2), [NAME], (State.OPEN, 3, NOON, LATER, None)),
        ((State.OPEN, 2), [], (State.HEALED, 2, NOON, NOON, LATER)),
        ((State.OPEN, 2), [PRICE], (State.HEALED, 2, NOON, NOON, LATER)),
        ((State.HEALED, 2), [], None),
        ((State.REFUSED, 2), [], None),
    ],
)
def test_drift_is_opened_seen_again_and_healed(
    before: tuple[State, int] | None, edits: list[Edit], expected: object
) -> None:
    known = [row(state=before[0], times=before[1])] if before else []
    verdict = judged(seen(*edits), *known)
    found = [one for one in verdict.drift if one.key == NAME.key]
    told = [
        (one.state, one.times, one.observe_time, one.last_observe_time, one.heal_time)
        for one in found
    ]
    assert told == ([expected] if expected else [])
    assert verdict.placement.version == (6 if edits else 5)


@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize(
    ("times", "since_push", "version"),
    [
        # how often it was restored before, and the last write was so long ago -> version
        (0, timedelta(0), 6),
        (2, timedelta(0), 6),
        (3, timedelta(0), 5),
        (3, MINUTE, 6),
        (4, MINUTE, 5),
        (4, 2 * MINUTE, 6),
        (10, 100 * MINUTE, 5),
        (10, 128 * MINUTE, 6),
        (100, timedelta(hours=23), 5),
        (100, timedelta(days=1), 6),
    ],
)
def test_a_store_that_keeps_nothing_is_written_ever_less_often(
    times: int, since_push: timedelta, version: int
) -> None:
    place = replace(PLACE, push_time=LATER - since_push)
    known = [row(state=State.HEALED, times=times)] if times else []
    verdict = judged(seen(NAME), *known, place=place)
    assert verdict.placement.version == version
    assert [one.state for one in verdict.drift] == [State.OPEN]


def test_one_report_is_one_new_version() -> None:
    verdict = judged(seen(NAME, PRICE, ADDED))
    assert (verdict.placement.version, len(verdict.drift)) == (6, 3)


@pytest.mark.rule("CAT-09")
def test_variants_that_were_added_stand_together() -> None:
    other = replace(ADDED, store_value="SKU-Y")
    (found,) = judged(seen(ADDED, other, ADDED)).drift
    assert found.store_value == "SKU-X; SKU-Y; SKU-X"
    long = replace(ADDED, store_value="x" * 9_999)
    (found,) = judged(seen(long, other)).drift
    assert len(found.store_value) == drift.VALUE_MAX


@pytest.mark.rule("CAT-05")
def test_own_fields_are_taken_over_beside_drift() -> None:
    verdict = judged(seen(NAME, own=StoreFields(subtitle="Softer"), image_urls=("https://s/1",)))
    assert verdict.taken == ("subtitle", "store_image_urls")
    assert verdict.placement.own.subtitle == "Softer"
    assert verdict.placement.version == 6
    quiet = judged(seen(own=StoreFields(subtitle="Softer")))
    assert (quiet.taken, quiet.placement.version) == (("subtitle",), 5)


@pytest.mark.rule("CAT-11")
@pytest.mark.rule("CAT-05")
def test_a_listing_that_was_deleted_is_made_again_with_its_own_fields() -> None:
    verdict = judged(seen(DELETED, own=StoreFields()))
    assert verdict.taken == ()
    assert verdict.placement.own.subtitle == "Soft"
    assert verdict.placement.unpushed == (("subtitle", 6),)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (NAME, ""),
        (Edit(EditKind.FIELD_CHANGED, "available"), ""),
        (Edit(EditKind.FIELD_CHANGED, "weight_kg", "mug-item"), ""),
        (Edit(EditKind.FIELD_CHANGED, ""), "must be one of available, brand"),
        (Edit(EditKind.FIELD_CHANGED, "price"), "must be one of available, brand"),
        (Edit(EditKind.FIELD_CHANGED, "name", "mug-item"), "must be one of dimensions_cm"),
        (Edit(EditKind.FIELD_CHANGED, "subtitle"), "store_fields"),
        (Edit(EditKind.FIELD_CHANGED, "sell_online"), "must be one of"),
        (Edit(EditKind.FIELD_CHANGED, "handle"), "must be one of"),
        (Edit(EditKind.VARIANT_ADDED, "name"), "must be empty"),
    ],
)
def test_an_edit_is_about_a_field_that_a_store_may_not_change(edit: Edit, expected: str) -> None:
    if not expected:
        drift.check_edits([edit])
        return
    with pytest.raises(DomainError) as refusal:
        drift.check_edits([NAME, edit])
    ((path, message),) = refusal.value.violations
    assert (path, expected in message) == ("edits[1].field", True)


def test_a_version_that_is_none_yet_is_refused() -> None:
    with pytest.raises(DomainError) as refusal:
        judged(seen(version=6))
    assert refusal.value.violations[0][0] == "version"


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("CAT-09")
@pytest.mark.rule("CAT-10")
@pytest.mark.rule("CAT-11")
@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (NAME, "change it there"),
        (Edit(EditKind.FIELD_CHANGED, "available"), "SetSellOnline"),
        (ADDED, "add it in the point of sale"),
        (REMOVED, "deactivate it in the point of sale"),
        (DELETED, "SetSellOnline"),
    ],
)
def test_who_edits_a_store_is_told_what_to_do_instead(edit: Edit, expected: str) -> None:
    assert expected in drift.message(edit)


# --- Attempts that are refused --------------------------------------------------------------------


def asked(**changes: object) -> Shown:
    shown = replace(mapping.shown_of(SHIRT), active=False)
    return replace(shown, **changes)  # type: ignore[arg-type]  # fields of Shown


SHOWN = mapping.shown_of(SHIRT)
LISTING = listings.listing_of(SHIRT, replace(PLACE, sell_online=False))


@pytest.mark.rule("CAT-07")
@pytest.mark.rule("CAT-09")
@pytest.mark.rule("CAT-10")
@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        (asked(name="Cup"), ["name"], [("FIELD_CHANGED", "name", "", "Cup", "Shirt")]),
        (asked(name="Cup"), ["brand"], []),
        (asked(), ["available"], []),
        (
            asked(active=True),
            ["available"],
            [("FIELD_CHANGED", "available", "", "true", "false")],
        ),
        (
            asked(options=(Option("Size", ("L",)),)),
            ["options"],
            [("FIELD_CHANGED", "options", "", "Size: L", "Size: L, S; Color: Red")],
        ),
        (
            asked(variants=(*SHOWN.variants, replace(SHOWN.variants[0], item_id="", sku="X"))),
            ["variants"],
            [("VARIANT_ADDED", "", "", "X", "")],
        ),
        (
            asked(variants=SHOWN.variants[1:]),
            ["variants"],
            [("VARIANT_REMOVED", "", "shirt-l-red", "", "S-L-R")],
        ),
        (
            asked(
                variants=(
                    replace(SHOWN.variants[0], price=Money("EUR", 10**9), weight_kg="2"),
                    SHOWN.variants[1],
                )
            ),
            ["variants"],
            [
                ("FIELD_CHANGED", "price", "shirt-l-red", "1 EUR", "12.5 EUR"),
                ("FIELD_CHANGED", "weight_kg", "shirt-l-red", "2", "0.226796"),
            ],
        ),
        (
            asked(image_urls=()),
            ["image_urls"],
            [
                (
                    "FIELD_CHANGED",
                    "image_urls",
                    "",
                    "",
                    "https://img.example/1.jpg, https://img.example/2.jpg",
                )
            ],
        ),
    ],
)
def test_an_attempt_is_told_with_both_values(
    wanted: Shown, names: list[str], expected: list[tuple[str, ...]]
) -> None:
    found = [
        (str(one.kind), one.field, one.item_id, one.store_value, one.own_value)
        for one in drift.attempts(LISTING, wanted, names)
    ]
    assert found == expected


@pytest.mark.rule("CAT-07")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        # (state, times) before -> (state, cause, times)
        (None, (State.REFUSED, Cause.REFUSED_EDIT, 1)),
        ((State.OPEN, 2), (State.OPEN, Cause.MANUAL_EDIT, 2)),
        ((State.HEALED, 2), (State.REFUSED, Cause.REFUSED_EDIT, 3)),
        # the same attempt again
        ((State.REFUSED, 2), (State.REFUSED, Cause.REFUSED_EDIT, 2)),
    ],
)
def test_a_refused_attempt_is_recorded_and_hides_no_open_drift(
    before: tuple[State, int] | None, expected: object
) -> None:
    known = row(state=before[0], times=before[1]) if before else None
    found = drift.refused(known, NAME, PLACE, LATER)
    assert (found.state, found.cause, found.times) == expected


@pytest.mark.rule("CAT-07")
def test_a_refused_attempt_at_another_value_is_another_one() -> None:
    known = row(state=State.REFUSED, times=2)
    other = replace(NAME, store_value=f"{NAME.store_value} again")
    found = drift.refused(known, other, PLACE, LATER)
    assert (found.store_value, found.times) == (other.store_value, 3)


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("version", "error", "expected"),
    [(6, "", True), (5, "", False), (4, "", False), (6, "no", False)],
)
def test_a_newer_version_in_the_store_answers_all_drift(
    version: int, error: str, expected: bool
) -> None:
    before = replace(PLACE, version=6)
    after = listings.pushed(before, version, error, LATER)
    assert drift.is_answered(before, after) == expected
