"""What reported sales become, and which stock they move."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.errors import DomainError
from services.order.rules import sale as sales
from services.order.rules.document import Money
from services.order.rules.recorded import UNTOLD, record
from services.order.rules.sale import (
    Payment,
    Posting,
    Sale,
    SaleKey,
    SaleLine,
    SaleOrigin,
    SaleState,
    StockTake,
)
from services.order.rules.stock import not_taken, stock_changes, taken

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
TEN, OTHER = Money("EUR", 10_000_000_000), Money("EUR", 1)
OPEN, COMPLETED, PARKED = SaleState.OPEN, SaleState.COMPLETED, SaleState.PARKED
VOIDED, LAYBY, ON_ACCOUNT = SaleState.VOIDED, SaleState.LAYBY, SaleState.ON_ACCOUNT

TILL = Sale(
    SaleKey("mug-shop", "S"),
    SaleOrigin.TILL,
    COMPLETED,
    (SaleLine("mug-1", 1000),),
    (Payment("Cash", TEN, UNTOLD),),
    TEN,
    UNTOLD,
    outlet_id="main",
)
ONLINE = replace(
    TILL, origin=SaleOrigin.ONLINE, state=OPEN, channel_id="web", order_id="A", sale_time=NOW
)
MIRRORED = replace(TILL, mirrored=True, version=5)


def known(told: Sale) -> Sale:
    """A sale as it is kept when it was told for the first time."""
    found = record(told, None, NOW)
    assert found
    return found


@pytest.mark.rule("ORD-05")
@pytest.mark.parametrize(
    ("told", "before", "expected"),
    [
        (TILL, None, 1),
        (TILL, known(TILL), None),
        (replace(TILL, total=OTHER), known(TILL), "SALE_EXISTS"),
        (replace(TILL, outlet_id=""), None, "INVALID_FIELD"),
        (replace(TILL, outlet_id="", lines=(SaleLine("mug-1", 1, outlet_id="pier"),)), None, 1),
        (replace(TILL, outlet_id="", state=PARKED), None, 1),
        (replace(MIRRORED, outlet_id=""), None, 1),
        (MIRRORED, known(MIRRORED), None),
        (replace(MIRRORED, total=OTHER), known(MIRRORED), 2),
        (replace(MIRRORED, version=6), known(MIRRORED), 1),
        (replace(MIRRORED, version=4, total=OTHER), known(MIRRORED), None),
        (replace(MIRRORED, version=6, state=VOIDED), known(MIRRORED), 2),
        (replace(MIRRORED, version=7), known(replace(MIRRORED, version=6, state=VOIDED)), 2),
        (replace(MIRRORED, total=OTHER), known(TILL), "SALE_EXISTS"),
        (replace(TILL, total=OTHER), known(MIRRORED), "SALE_EXISTS"),
        (replace(MIRRORED, total=OTHER), ONLINE, None),
        (replace(TILL, total=OTHER), ONLINE, "SALE_EXISTS"),
    ],
)
def test_what_a_reported_sale_becomes(
    told: Sale, before: Sale | None, expected: int | str | None
) -> None:
    if isinstance(expected, str):
        with pytest.raises(DomainError) as refused:
            record(told, before, LATER)
        assert expected == refused.value.reason
        return
    found = record(told, before, LATER)
    assert expected == (found.revision if found else None)
    if found and before:
        assert before.sale_time == found.sale_time


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (PARKED, PARKED, None),
        (PARKED, COMPLETED, "taken"),
        (PARKED, OPEN, "taken"),
        (PARKED, LAYBY, "taken"),
        (PARKED, ON_ACCOUNT, "taken"),
        (PARKED, VOIDED, "nothing"),
        (LAYBY, COMPLETED, "taken"),
        (ON_ACCOUNT, COMPLETED, "taken"),
        (OPEN, COMPLETED, "taken"),
        (OPEN, VOIDED, "given back"),
        (LAYBY, VOIDED, "given back"),
        (COMPLETED, VOIDED, "given back"),
        (COMPLETED, OPEN, "SALE_EXISTS"),
        (COMPLETED, PARKED, "SALE_EXISTS"),
        (LAYBY, PARKED, "SALE_EXISTS"),
        (LAYBY, ON_ACCOUNT, "SALE_EXISTS"),
        (VOIDED, COMPLETED, "SALE_EXISTS"),
        (VOIDED, VOIDED, None),
    ],
)
def test_a_till_s_sale_goes_its_way_and_no_other(
    before: SaleState, after: SaleState, expected: str | None
) -> None:
    first = known(replace(TILL, state=before))
    if expected == "SALE_EXISTS":
        with pytest.raises(DomainError) as refused:
            record(replace(TILL, state=after), first, LATER)
        assert refused.value.reason == expected
        return
    found = record(replace(TILL, state=after), first, LATER)
    assert (expected is None) is (found is None)
    if found is None:
        return
    assert (found.state, found.revision) == (after, 2)
    moved = [
        (change.name, movement.quantity)
        for change in stock_changes(found)
        for movement in change.movements
        if found.stock.pending
    ]
    told: dict[str | None, list[tuple[str, int]]] = {
        "nothing": [],
        "taken": [("sold", -1000)],
        "given back": [("sold", -1000), ("unsold", 1000)],
    }
    assert told[expected] == moved


def test_what_was_put_by_may_be_paid_and_not_become_another_sale() -> None:
    layby = known(replace(TILL, state=LAYBY, payments=()))
    half = (Payment("Cash", Money("EUR", 5_000_000_000), LATER),)
    paid = record(replace(TILL, state=LAYBY, payments=half, sale_time=LATER), layby, LATER)
    assert paid
    assert (paid.payments, paid.paid, paid.sale_time) == (half, False, NOW)
    with pytest.raises(DomainError) as refused:
        record(replace(TILL, state=LAYBY, lines=(SaleLine("cup-1", 1000),)), layby, LATER)
    assert "lines" in refused.value.message


def test_a_parked_sale_is_filled_before_it_is_one() -> None:
    parked = known(replace(TILL, state=PARKED))
    more = replace(TILL, state=PARKED, lines=(SaleLine("mug-1", 2000), SaleLine("cup-1", 1000)))
    filled = record(more, parked, LATER)
    assert filled
    assert (filled.lines, filled.stock.pending) == (more.lines, False)


LINES = (
    SaleLine("mug-1", 2000),
    SaleLine("cup-1", -1000, outlet_id="pier"),
    SaleLine("pot-1", -1000, not_restocked=True),
)


@pytest.mark.rule("ORD-13")
@pytest.mark.parametrize(
    ("sale", "expected"),
    [
        (
            replace(TILL, lines=LINES),
            [
                ("sold", "POS_SALE", True, ("mug-1", "main", -2000)),
                ("returned", "POS_RETURN", True, ("cup-1", "pier", 1000)),
            ],
        ),
        (
            replace(TILL, lines=LINES, state=VOIDED),
            [
                ("sold", "POS_SALE", True, ("mug-1", "main", -2000)),
                ("returned", "POS_RETURN", True, ("cup-1", "pier", 1000)),
                ("unsold", "POS_RETURN", False, ("mug-1", "main", 2000)),
                ("unreturned", "POS_SALE", False, ("cup-1", "pier", -1000)),
            ],
        ),
        (replace(ONLINE, lines=LINES[:1]), []),
        (
            replace(ONLINE, lines=LINES[:1], state=VOIDED),
            [("voided", "RESTOCK", False, ("mug-1", "main", 2000))],
        ),
        (
            replace(ONLINE, lines=LINES[1:], refund_id="r", return_for="S"),
            [("restocked", "RESTOCK", False, ("cup-1", "pier", 1000))],
        ),
        (replace(ONLINE, lines=LINES[2:], refund_id="r", return_for="S"), []),
    ],
)
def test_which_stock_a_sale_moves_by_itself(
    sale: Sale, expected: list[tuple[str, str, bool, tuple[str, str, int]]]
) -> None:
    found = [
        (change.name, change.kind.name, change.dated, tuple(movement))
        for change in stock_changes(sale)
        for movement in change.movements
    ]
    assert found == expected


def test_what_moved_for_one_state_does_not_end_what_the_next_one_asks_for() -> None:
    moved = known(TILL)
    voided = record(replace(TILL, state=VOIDED), moved, LATER)
    assert voided
    assert taken(moved, moved).stock == StockTake()
    assert taken(voided, moved).stock.pending
    error = DomainError("ITEM_NOT_FOUND", "no item 'mug-1'", item_id="mug-1")
    assert not_taken(voided, moved, error, LATER) is voided
    failed = not_taken(moved, moved, error, LATER).stock
    assert (failed.pending, failed.attempts) == (True, 1)
    assert failed.error.startswith("ITEM_NOT_FOUND: no item")


@pytest.mark.parametrize(
    ("revision", "error", "before", "expected"),
    [
        (1, "", (0, ""), (1, "")),
        (1, "closed", (0, ""), (0, "closed")),
        (1, "", (0, "closed"), (1, "")),
        (2, "closed", (1, ""), (1, "closed")),
        (1, "closed", (1, ""), (1, "")),
        (1, "", (2, ""), (2, "")),
    ],
)
def test_what_the_outside_point_of_sale_has_never_goes_back(
    revision: int, error: str, before: tuple[int, str], expected: tuple[int, str]
) -> None:
    sale = replace(ONLINE, revision=2, posting=Posting(*before))
    found = sales.posted(sale, revision, error).posting
    assert expected == (found.revision, found.error)


@pytest.mark.parametrize(
    ("state", "total", "amounts", "expected"),
    [
        (COMPLETED, 10, [10], True),
        (COMPLETED, 10, [4, 6], True),
        (COMPLETED, 10, [4], False),
        (LAYBY, 10, [4], False),
        (COMPLETED, 10, [], False),
        (COMPLETED, 0, [], True),
        (COMPLETED, -10, [], False),
        (COMPLETED, -10, [-10], True),
        (PARKED, 10, [10], False),
        (VOIDED, 10, [10], False),
    ],
)
def test_a_sale_is_paid_when_its_payments_cover_it(
    state: SaleState, total: int, amounts: list[int], expected: bool
) -> None:
    payments = tuple(Payment("Cash", Money("EUR", amount), NOW) for amount in amounts)
    found = replace(TILL, state=state, total=Money("EUR", total), payments=payments)
    assert expected is found.paid
