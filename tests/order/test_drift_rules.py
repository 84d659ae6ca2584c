"""What a store has of an order, compared with what is known of it, case by case (BEY-07)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.order.rules import drift
from services.order.rules import order as orders
from services.order.rules.accounting import StoreUpdate
from services.order.rules.case import Case
from services.order.rules.document import FulfillmentStatus, PaymentStatus
from services.order.rules.drift import Cause, Difference, Drift, Field, Remedy, Seen, State
from services.order.rules.order import Order
from services.order.rules.sale import SaleState
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
    found = drift.voided(replace(SALE, state=known), replace(SALE, state=told))
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
    assert not drift.stands(known, NOW)
    sale = differs(Field.SALE_STATE, "OPEN", "VOIDED", Cause.VOIDED_IN_POINT_OF_SALE)
    assert len(drift.stands([drift.observed(None, sale, KEY, NOW)], NOW)) == 1
