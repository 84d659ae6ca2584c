"""What a store has of an order, compared with what is known of it, case by case (BEY-07)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.order.rules import drift
from services.order.rules import order as orders
from services.order.rules.accounting import Account, Accounts, StoreUpdate
from services.order.rules.case import Case
from services.order.rules.document import FulfillmentStatus, Money, PaymentStatus
from services.order.rules.drift import Cause, Difference, Drift, Field, Remedy, Seen, State
from services.order.rules.order import Order
from services.order.rules.sale import Posting, Sale, SaleState
from tests.order.test_rules import (
    AWAITING,
    CANCELED,
    COMMITTED,
    KEY,
    NOW,
    PAID,
    POSTED,
    SALE,
    document,
    order,
)

LONG_AGO = NOW - timedelta(minutes=2)
HINTED = orders.reported(KEY, LONG_AGO)
SHIPPED, PROCESSING = FulfillmentStatus.SHIPPED, FulfillmentStatus.PROCESSING
LOST, ON_ITS_WAY = Cause.LOST_EVENT, Cause.IN_FLIGHT
EDITED = Cause.EDITED_IN_POINT_OF_SALE
OVER = replace(POSTED, accounts=Accounts((Account("1", "mug", 7, fulfilled=7),), by_store=False))


def seen(version: int = 1, status: PaymentStatus = AWAITING, **more: object) -> Seen:
    return replace(Seen(False, version, status), **more)  # type: ignore[arg-type]  # its fields


def differs(field: Field, own: str, there: str, cause: Cause) -> Difference:
    return Difference(field, own, there, cause)


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (order(), seen(), []),
        (order(), seen(fulfillment_status=FulfillmentStatus.UNSPECIFIED), []),
        (order(document(2)), seen(1, PAID), []),
        (order(), seen(2), [differs(Field.VERSION, "1", "2", LOST)]),
        (
            order(),
            seen(2, PAID),
            [differs(Field.PAYMENT_STATUS, "AWAITING", "PAID", LOST)],
        ),
        (
            order(),
            seen(2, PAID, fulfillment_status=SHIPPED, change_time=NOW),
            [
                differs(Field.PAYMENT_STATUS, "AWAITING", "PAID", ON_ITS_WAY),
                differs(Field.FULFILLMENT_STATUS, "UNSPECIFIED", "SHIPPED", ON_ITS_WAY),
            ],
        ),
        (order(), seen(2, change_time=LONG_AGO), [differs(Field.VERSION, "1", "2", LOST)]),
        (None, seen(1, PAID), [differs(Field.ORDER, "", "PAID", LOST)]),
        (None, seen(1, PAID, change_time=NOW), [differs(Field.ORDER, "", "PAID", ON_ITS_WAY)]),
        (None, Seen(version=3), [differs(Field.ORDER, "", "3", LOST)]),
        (HINTED, seen(1, PAID), [differs(Field.ORDER, "REPORTED", "PAID", ON_ITS_WAY)]),
        (orders.reported(KEY, NOW), seen(1, PAID), []),
        (None, Seen(gone=True), []),
        (POSTED, Seen(gone=True), [differs(Field.ORDER, "POSTED", "", Cause.DELETED_IN_STORE)]),
        (order(document(2, CANCELED)), Seen(gone=True), []),
        (replace(POSTED, gone=True), Seen(gone=True), []),
        (orders.cancel(order(), "", NOW), Seen(gone=True), []),
    ],
)
def test_what_differs_and_why(known: Order | None, found: Seen, expected: list[Difference]) -> None:
    assert drift.compared(known, found, NOW) == expected


SHOWS = Case(COMMITTED, SALE)
WANTS = StoreUpdate(PaymentStatus.REFUNDED, SHIPPED, "1Z")


def wanting(case: Case, update: StoreUpdate = WANTS, **changes: object) -> Case:
    changed = replace(case.order, store_update=update, **changes)  # type: ignore[arg-type]
    return replace(case, order=changed)


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (SHOWS, SHOWS, []),
        (wanting(SHOWS), wanting(SHOWS), []),
        (wanting(SHOWS), SHOWS, []),
        (Case(COMMITTED), wanting(SHOWS), []),
        (SHOWS, wanting(SHOWS, cancel_time=NOW), []),
        (
            SHOWS,
            wanting(SHOWS),
            [
                differs(Field.PAYMENT_STATUS, "REFUNDED", "AWAITING", Cause.MANUAL_EDIT),
                differs(Field.FULFILLMENT_STATUS, "SHIPPED", "UNSPECIFIED", Cause.MANUAL_EDIT),
                differs(Field.TRACKING_NUMBER, "1Z", "", Cause.MANUAL_EDIT),
            ],
        ),
        (
            SHOWS,
            wanting(SHOWS, StoreUpdate(tracking_number="1Z")),
            [differs(Field.TRACKING_NUMBER, "1Z", "", Cause.MANUAL_EDIT)],
        ),
    ],
    ids=["shows", "waits", "is shown", "is posted", "done here", "all", "one"],
)
def test_what_was_changed_in_the_store(
    before: Case, after: Case, expected: list[Difference]
) -> None:
    assert drift.edited(before, after) == expected


def found(cause: Cause) -> Drift:
    return drift.observed(None, differs(Field.ORDER, "a", "b", cause), KEY, NOW)


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("cause", "known", "expected"),
    [
        (Cause.LOST_EVENT, POSTED, Remedy.FETCH),
        (Cause.IN_FLIGHT, HINTED, Remedy.FETCH),
        (Cause.MANUAL_EDIT, POSTED, Remedy.SHOW),
        (Cause.DELETED_IN_STORE, POSTED, Remedy.CANCEL),
        (Cause.DELETED_IN_STORE, HINTED, Remedy.CANCEL),
        (Cause.DELETED_IN_STORE, orders.cancel(order(), "", NOW), Remedy.KEEP),
        (Cause.VOIDED_IN_POINT_OF_SALE, POSTED, Remedy.CANCEL),
        (Cause.EDITED_IN_POINT_OF_SALE, POSTED, Remedy.POST),
        (Cause.EDITED_IN_POINT_OF_SALE, OVER, Remedy.KEEP),
        (Cause.EDITED_IN_POINT_OF_SALE, orders.cancel(POSTED, "", NOW), Remedy.KEEP),
    ],
)
def test_each_cause_has_its_remedy(cause: Cause, known: Order, expected: Remedy) -> None:
    assert drift.remedy(found(cause), known) is expected


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("known", "told", "expected"),
    [
        (SaleState.OPEN, SaleState.VOIDED, True),
        (SaleState.COMPLETED, SaleState.VOIDED, True),
        (SaleState.VOIDED, SaleState.VOIDED, False),
        (SaleState.OPEN, SaleState.COMPLETED, False),
        (SaleState.VOIDED, SaleState.OPEN, False),
    ],
)
def test_only_what_was_voided_in_the_point_of_sale_is_drift(
    known: SaleState, told: SaleState, expected: bool
) -> None:
    found = drift.in_point_of_sale(replace(SALE, state=known), replace(SALE, state=told))
    cause = Cause.VOIDED_IN_POINT_OF_SALE
    assert found == [differs(Field.SALE_STATE, known.name, told.name, cause)] * expected


@pytest.mark.rule("BEY-07")
def test_drift_is_counted_each_time_that_it_comes_again() -> None:
    first = found(Cause.LOST_EVENT)
    later = NOW + timedelta(hours=1)
    again = drift.observed(first, differs(Field.ORDER, "a", "c", LOST), KEY, later)
    assert (again.times, again.observe_time, again.last_observe_time) == (1, NOW, later)
    assert again.found.store_value == "c"
    done = drift.healed(again, later)
    assert (done.state, done.heal_time) == (State.HEALED, later)
    anew = drift.observed(done, again.found, KEY, later)
    assert (anew.times, anew.state, anew.heal_time, anew.observe_time) == (2, State.OPEN, None, NOW)


@pytest.mark.rule("BEY-07")
def test_what_heals_depends_on_the_cause() -> None:
    known = [found(cause) for cause in Cause]
    told = {one.found.cause for one in drift.told(known, NOW)}
    assert told == {Cause.LOST_EVENT, Cause.IN_FLIGHT, Cause.DELETED_IN_STORE}
    assert {one.found.cause for one in drift.shown(known, NOW)} == {Cause.MANUAL_EDIT}
    assert not drift.stands(known, {KEY: []}, NOW)


@pytest.mark.rule("BEY-07")
def test_what_the_point_of_sale_has_as_it_is_here_again_is_healed() -> None:
    voided = differs(Field.SALE_STATE, "OPEN", "VOIDED", Cause.VOIDED_IN_POINT_OF_SALE)
    lines = differs(Field.SALE_LINES, "mug: 2", "mug: 1", EDITED)
    taken_back = differs(Field.SALE_RETURN, "mug: 0", "mug: 1", EDITED)
    known = [drift.observed(None, one, KEY, NOW) for one in (voided, lines, taken_back)]
    agreed = drift.stands(known, {KEY: [lines]}, NOW)
    assert [(one.field, one.state) for one in agreed] == [(Field.SALE_STATE, State.HEALED)]
    assert {one.field for one in drift.stands(known, {KEY: []}, NOW)} == {voided.field, lines.field}


TOLD = replace(SALE, posting=Posting(SALE.revision), difference=None)
ITEM = SALE.lines[0].item_id


def sold(quantity: int = SALE.lines[0].quantity, **changes: object) -> Sale:
    """The sale as the point of sale tells it, with so much of its first item."""
    lines = (replace(TOLD.lines[0], quantity=quantity), *TOLD.lines[1:])
    return replace(TOLD, **{"lines": lines} | changes)  # type: ignore[arg-type]  # its fields


def dearer(nanos: int) -> Sale:
    return sold(total=replace(TOLD.total, amount_nanos=TOLD.total.amount_nanos + nanos))


CENT = 10_000_000


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    ("told", "fields"),
    [
        (TOLD, []),
        (sold(state=SaleState.COMPLETED), []),
        (sold(lines=(*TOLD.lines, replace(TOLD.lines[0], item_id="shipping"))), []),
        (dearer(CENT * len(TOLD.lines)), []),
        (dearer(-CENT * len(TOLD.lines) - 1), [Field.SALE_TOTAL]),
        (sold(total=Money("USD", 1)), []),
        (sold(7000), [Field.SALE_LINES]),
        (sold(lines=()), [Field.SALE_LINES]),
        (replace(dearer(9 * CENT), lines=()), [Field.SALE_LINES, Field.SALE_TOTAL]),
        (replace(dearer(9 * CENT), state=SaleState.VOIDED), [Field.SALE_STATE]),
    ],
)
def test_what_was_edited_in_the_point_of_sale(told: Sale, fields: list[Field]) -> None:
    found = drift.in_point_of_sale(TOLD, told)
    assert [one.field for one in found] == fields
    going = replace(TOLD, revision=TOLD.revision + 1)  # it has yet to be told of something
    left = [one for one in drift.in_point_of_sale(going, told) if one.cause is EDITED]
    assert left == []
    apart = replace(TOLD, difference=Money("EUR", 1))  # its parts do not make its total here either
    assert Field.SALE_TOTAL not in {one.field for one in drift.in_point_of_sale(apart, told)}


@pytest.mark.rule("BEY-07")
def test_what_was_edited_is_said_in_both_ways() -> None:
    [lines, total] = drift.in_point_of_sale(TOLD, replace(dearer(CENT * 100), lines=()))
    count = TOLD.lines[0].quantity // 1000
    assert (lines.own_value, lines.store_value) == (f"{ITEM}: {count}", f"{ITEM}: 0")
    units = TOLD.total.amount_nanos // 1_000_000_000
    assert (total.own_value, total.store_value) == (f"{units} EUR", f"{units + 1} EUR")
