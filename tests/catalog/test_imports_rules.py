"""How far a run got, whether it may go on, and how it is undone: the rules as tables."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.catalog.rules import imports
from services.catalog.rules.imports import Before, Place, Run, State, Undoing
from services.catalog.rules.products import Known, Outcome, Product, Stamp, Variant
from services.catalog.rules.provenance import Source
from services.catalog.rules.shelf import Shelf
from services.chassis.errors import DomainError
from tests.catalog.samples import LATER, NOON, PRICE, plain

RUN = imports.begun("mug-shop", "run", ("shop.csv", "digest"), 10, (0, 0), now=NOON)
SOURCE = Source("undo of import shop.csv", "r", LATER)


def reason(call: object) -> str:
    """The reason that something is refused for; empty when it passes."""
    assert callable(call)
    try:
        call()
    except DomainError as error:
        return error.violations[0][0] if error.violations else error.reason
    return ""


def test_a_run_begins_at_the_first_row_with_the_usual_limit() -> None:
    assert (RUN.next_row, RUN.state, RUN.cause) == (1, State.RUNNING, "import shop.csv")
    assert (RUN.breaker_share_percent, RUN.breaker_items_min) == (20, 20)


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    ("first_row", "next_row", "places", "refused", "said"),
    [
        (5, 6, [(5, 1)], [], ""),
        (1, 6, [(2, 1), (3, 3)], [1], ""),
        (2, 3, [], [], ""),
        (6, 7, [], [], "first_row"),
        (5, 5, [], [], "next_row"),
        (5, 6, [(6, 1)], [], "products[0].row"),
        (5, 6, [(4, 1)], [], "products[0].row"),
        (5, 7, [(5, 1), (6, 2)], [], "products[1].row"),
        (5, 6, [], [6], "refused[0].row"),
        (1, 20_000, [(1, 9_999), (2, 2)], [], "products"),
    ],
)
def test_rows_follow_those_that_were_taken(
    first_row: int, next_row: int, places: Sequence[tuple[int, int]], refused: list[int], said: str
) -> None:
    run = replace(RUN, next_row=5)
    listed = [Place(*place) for place in places]
    assert said == reason(lambda: imports.check_rows(run, first_row, next_row, listed, refused))


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("so_far", "more", "active", "approved", "allowed"),
    [
        (0, 0, 0, False, True),
        (0, 20, 0, False, True),
        (0, 21, 105, False, True),
        (0, 21, 104, False, False),
        (10, 11, 104, False, False),
        (10, 11, 105, False, True),
        (0, 100, 100, True, True),
    ],
)
def test_deactivations_beyond_the_share_and_the_minimum_are_not_allowed(
    so_far: int, more: int, active: int, approved: bool, allowed: bool
) -> None:
    run = replace(RUN, deactivated_count=so_far, approved=approved)
    assert allowed == imports.allows(run, more, lambda: active)


@pytest.mark.parametrize(
    ("state", "move", "finish", "decide"),
    [
        (State.RUNNING, "", "import_id", ""),
        (State.HELD, "CIRCUIT_OPEN", "CIRCUIT_OPEN", ""),
        (State.DONE, "IMPORT_ENDED", "", "IMPORT_ENDED"),
        (State.CANCELED, "IMPORT_ENDED", "IMPORT_ENDED", "IMPORT_ENDED"),
        (State.UNDONE, "IMPORT_ENDED", "IMPORT_ENDED", "IMPORT_ENDED"),
    ],
)
def test_what_a_run_may_do_depends_on_where_it_stands(
    state: State, move: str, finish: str, decide: str
) -> None:
    run = replace(RUN, state=state)
    assert move == reason(lambda: imports.check_moving(run))
    assert finish == reason(lambda: imports.finished(run, LATER))
    assert decide == reason(lambda: imports.decided(run, LATER, approved=True))


def test_a_yes_lets_a_held_run_go_on_and_a_no_ends_it() -> None:
    held = imports.held(RUN, 30, LATER)
    assert (held.state, held.held_count) == (State.HELD, 30)
    yes = imports.decided(held, LATER, approved=True)
    assert (yes.state, yes.approved, yes.held_count) == (State.RUNNING, True, 0)
    no = imports.decided(held, LATER, approved=False)
    assert (no.state, no.held_count, no.end_time) == (State.CANCELED, 0, LATER)


def test_a_run_counts_what_it_did() -> None:
    outcomes = [Outcome.CREATED, Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED]
    run = imports.moved(RUN, 6, "c", outcomes, LATER)
    assert (run.next_row, run.cursor, run.update_time) == (6, "c", LATER)
    assert (run.created_count, run.updated_count, run.unchanged_count) == (2, 1, 1)


@pytest.mark.parametrize(
    ("state", "remaining", "expected"),
    [
        (State.DONE, 1, State.DONE),
        (State.RUNNING, 1, State.CANCELED),
        (State.HELD, 1, State.CANCELED),
        (State.DONE, 0, State.UNDONE),
        (State.RUNNING, 0, State.UNDONE),
    ],
)
def test_a_run_is_undone_once_nothing_remains(
    state: State, remaining: int, expected: State
) -> None:
    undoings = [Undoing("a", ""), Undoing("b", "it was changed since")]
    run = imports.undone(replace(RUN, state=state), undoings, remaining, LATER)
    assert (run.state, run.undone_count, run.kept_count) == (expected, 1, 1)


def shelf(product: Product | None, revision: int, version: int = 7) -> Shelf:
    known = Known("mug-shop", "mug", product, Stamp(version, NOON), revision, NOON)
    return Shelf.of({("mug-shop", "mug"): known}, {("mug-shop", "taken"): "other"})


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    ("before", "revision", "after", "kept"),
    [
        (plain(), 3, plain(), ""),
        (None, 3, None, ""),
        (plain(), 4, plain(name="New"), "it was changed since"),
        (
            plain(variants=(Variant("taken", retail_price=PRICE),)),
            3,
            plain(name="New"),
            "variants[0].item_id: 'taken' belongs",
        ),
    ],
    ids=["as it was", "there was none", "changed since", "its item is another's now"],
)
def test_undo_brings_back_what_nobody_changed_since(
    before: Product | None, revision: int, after: Product | None, kept: str
) -> None:
    found = shelf(plain(name="New"), revision)
    undoing = imports.undo(found, RUN, Before("mug", before, 2, 5, 3), SOURCE, LATER)
    known = found.get("mug-shop", "mug")
    assert known is not None
    assert known.product == after
    assert undoing.kept_because.startswith(kept)
    assert bool(undoing.kept_because) == bool(kept)
    if not kept:
        assert known.stamp == Stamp(2 if before is None else 7, NOON)
        assert known.revision == 4


def test_the_cause_of_a_run_fits_its_field() -> None:
    run: Run = replace(RUN, source_name="x" * 200)
    assert len(run.cause) == 200
