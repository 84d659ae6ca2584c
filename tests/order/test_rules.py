"""What the order service decides, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.errors import DomainError
from services.order.rules import fulfillment as handed
from services.order.rules import order as orders
from services.order.rules import sale as sales
from services.order.rules.case import Case
from services.order.rules.document import (
    ChargeKind,
    DiscountKind,
    Document,
    FulfillmentKind,
    FulfillmentStatus,
    Line,
    Money,
    PaymentStatus,
    newer,
)
from services.order.rules.order import (
    Allocation,
    Buyer,
    Committed,
    FoundItem,
    Held,
    Hold,
    Order,
    OrderKey,
    OrderState,
    Refused,
    Released,
    Reservation,
    Resolved,
)
from services.order.rules.progress import Step, advance, next_step, settle
from services.order.rules.sale import (
    Channel,
    FulfillmentPolicy,
    PostingPolicy,
    SaleOrigin,
    SaleState,
)
from services.order.rules.stock import MovementKind
from services.order.wire import requests
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2 as pb

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
KEY = OrderKey("mug-shop", "web", "A")
AWAITING, PAID = PaymentStatus.AWAITING, PaymentStatus.PAID
CANCELED, REFUNDED = PaymentStatus.CANCELED, PaymentStatus.REFUNDED
TEN = Money("EUR", 10_000_000_000)
MUG = Line("1", "", "MUG", "Mug", 2000)
RESOLVED = Resolved((MUG,), ("mug-1",))
HOLD = Hold(0, RESOLVED, "")
RESERVATION = Reservation("r-1", (Allocation("1", "mug-1", "main", 2000),))
BUYER = Buyer("ann@example.com", "c-1")

X = Channel(PostingPolicy.ON_PLACEMENT, FulfillmentPolicy.POS, False, "till-1", "main")
R = replace(X, posting=PostingPolicy.ON_PAYMENT, fulfillment=FulfillmentPolicy.ECOM)
OUTSIDE = replace(X, external_pos=True)
OFF = replace(X, post_sales=False)


def document(version: int = 1, status: PaymentStatus = AWAITING, **changes: object) -> Document:
    found = Document("A", version, status, (MUG,), TEN, email="Ann@example.com ")
    return replace(found, **changes)  # type: ignore[arg-type]  # fields of a document


def order(found: Document | None = None, **changes: object) -> Order:
    base = Order(KEY, NOW, NOW, document=found or document())
    return replace(base, **changes)  # type: ignore[arg-type]  # fields of an order


MATCHED = order(resolved=RESOLVED, buyer=BUYER)
ASKED = replace(MATCHED, hold=HOLD)
HELD = replace(ASKED, reservation=RESERVATION)
TAKING = replace(MATCHED, hold=replace(HOLD, take=True))
TAKEN = replace(TAKING, reservation=RESERVATION, committed=True)
SALE = sales.post(HELD, X, NOW)
POSTED = replace(HELD, sale_id=SALE.key.sale_id)
COMMITTED = replace(POSTED, committed=True)


@pytest.mark.rule("ORD-11")
@pytest.mark.parametrize(
    ("version", "status", "known_version", "known_status", "expected"),
    [
        (2, AWAITING, 1, PAID, True),
        (1, PAID, 2, AWAITING, False),
        (1, AWAITING, 1, AWAITING, False),
        (1, PAID, 1, AWAITING, True),
        (1, AWAITING, 1, PAID, False),
        (1, REFUNDED, 1, PAID, True),
        (1, CANCELED, 1, REFUNDED, True),
        (0, CANCELED, 1, AWAITING, False),
    ],
)
def test_the_newer_document_holds(
    version: int,
    status: PaymentStatus,
    known_version: int,
    known_status: PaymentStatus,
    expected: bool,
) -> None:
    assert expected == newer(document(version, status), document(known_version, known_status))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (orders.reported(KEY, NOW), OrderState.REPORTED),
        (order(), OrderState.RECEIVED),
        (order(resolved=RESOLVED), OrderState.RESOLVED),
        (MATCHED, OrderState.MATCHED),
        (ASKED, OrderState.MATCHED),
        (HELD, OrderState.HELD),
        (POSTED, OrderState.POSTED),
        (order(document(2, CANCELED)), OrderState.CANCELED),
        (replace(HELD, document=document(2, CANCELED)), OrderState.HELD),
        (replace(POSTED, document=document(2, CANCELED)), OrderState.POSTED),
        (replace(MATCHED, document=document(email="bob@example.com")), OrderState.RESOLVED),
        (
            replace(MATCHED, document=document(lines=(replace(MUG, quantity=1),))),
            OrderState.RECEIVED,
        ),
    ],
)
def test_an_order_s_state_follows_from_what_became_of_its_steps(
    found: Order, expected: OrderState
) -> None:
    assert expected is found.state


@pytest.mark.rule("INV-03")
@pytest.mark.rule("ORD-09")
@pytest.mark.parametrize(
    ("found", "channel", "expected"),
    [
        (document(), X, Step.TAKE),
        (document(), R, Step.RESERVE),  # until it is paid
        (document(1, PAID), R, Step.TAKE),
        (document(1, PAID), OFF, Step.RESERVE),
        (document(1, PAID), OUTSIDE, Step.RESERVE),
    ],
)
def test_stock_is_taken_at_once_where_the_sale_is_posted_here_at_once(
    found: Document, channel: Channel, expected: Step
) -> None:
    case = Case(replace(MATCHED, document=found))
    assert advance(case, channel, NOW).step is expected


@pytest.mark.rule("INV-03")
@pytest.mark.rule("ORD-13")
def test_what_was_taken_and_is_not_posted_is_put_back_and_the_order_may_begin_anew() -> None:
    canceled = Case(replace(TAKEN, document=document(2, CANCELED)))
    ending = settle(canceled, None, X, NOW)
    assert ending.step is Step.PUT_BACK
    ended = settle(ending.case, Released("r-1"), X, NOW)
    found = ended.case.order
    assert (ended.step, found.state, found.committed) == (None, OrderState.CANCELED, False)
    assert ended.case.sale is None
    restored = settle(Case(replace(found, document=document(3))), None, X, NOW)
    assert restored.step is Step.TAKE
    assert restored.case.order.hold == replace(HOLD, number=1, take=True)


@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-02")
@pytest.mark.rule("ORD-03")
@pytest.mark.rule("ORD-08")
@pytest.mark.rule("ORD-09")
@pytest.mark.rule("ORD-13")
@pytest.mark.parametrize(
    ("found", "channel", "expected"),
    [
        (order(), X, Step.RESOLVE),
        (order(resolved=RESOLVED), X, Step.MATCH),
        (MATCHED, X, Step.OPEN_HOLD),
        (ASKED, X, Step.RESERVE),
        (TAKING, X, Step.TAKE),
        (TAKEN, X, Step.POST),
        (TAKEN, R, None),  # it is not paid, so it should not be posted any more: taken, and kept
        (HELD, X, Step.POST),
        (HELD, R, None),
        (replace(HELD, document=document(2, email="bob@example.com")), R, Step.MATCH),
        (replace(HELD, document=document(2, PAID)), R, Step.POST),
        (replace(HELD, document=document(2, REFUNDED)), R, Step.POST),
        (POSTED, X, Step.COMMIT),
        (POSTED, OUTSIDE, None),
        (replace(POSTED, pos_version=0), OUTSIDE, Step.COMMIT),
        (COMMITTED, X, None),
        (replace(POSTED, document=document(2, PAID)), X, Step.FOLLOW),
        (replace(COMMITTED, document=document(2, PAID)), X, Step.FOLLOW),
        (replace(COMMITTED, document=document(2, email="bob@example.com")), X, Step.MATCH),
        (order(document(2, CANCELED)), X, None),
        (replace(ASKED, document=document(2, CANCELED)), X, Step.RESERVE),
        (replace(HELD, document=document(2, CANCELED)), X, Step.CLOSE_HOLD),
        (replace(HELD, hold=replace(HOLD, ending=True)), X, Step.RELEASE),
        (replace(TAKING, document=document(2, CANCELED)), X, Step.TAKE),
        (replace(TAKEN, document=document(2, CANCELED)), X, Step.CLOSE_HOLD),
        (replace(TAKEN, hold=replace(HOLD, take=True, ending=True)), X, Step.PUT_BACK),
        (replace(TAKEN, document=document(2, lines=())), X, "LINES_CHANGED_AFTER_HOLD"),
        (replace(POSTED, document=document(2, CANCELED)), X, Step.COMMIT),
        (replace(COMMITTED, document=document(2, CANCELED)), X, Step.CANCEL),
        (replace(POSTED, document=document(2, CANCELED)), OUTSIDE, Step.CANCEL),
        (HELD, OFF, None),
        (replace(HELD, document=document(2, PAID)), OFF, None),
        (replace(HELD, cancel_time=NOW), X, Step.CLOSE_HOLD),
        (replace(MATCHED, cancel_time=NOW), X, None),
        (replace(HELD, document=document(2, lines=())), X, "LINES_CHANGED_AFTER_HOLD"),
        (replace(HELD, document=document(2, outlet_id="pier")), X, "LINES_CHANGED_AFTER_HOLD"),
        (replace(COMMITTED, document=document(2, lines=())), X, "LINES_CHANGED_AFTER_HOLD"),
        (orders.reported(KEY, NOW), X, "DOCUMENT_MISSING"),
    ],
)
def test_what_an_order_does_next(
    found: Order, channel: Channel, expected: Step | str | None
) -> None:
    sale = SALE if found.sale_id else None
    step = next_step(Case(found, sale), channel, NOW)
    assert expected == (step.reason if isinstance(step, orders.Waiting) else step)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (MUG, True),
        (replace(MUG, name="Big mug", unit_price=TEN), True),
        (replace(MUG, item_id="mug-1", sku=""), True),
        (replace(MUG, item_id="mug-1"), True),
        (replace(MUG, quantity=1999), False),
        (replace(MUG, sku="CUP"), False),
        (replace(MUG, line_id="2"), False),
    ],
)
def test_lines_ask_for_what_was_held_or_not(line: Line, expected: bool) -> None:
    assert expected is RESOLVED.covers([line])


def refusal(reason: str) -> Refused:
    return Refused(DomainError(reason, "no"), hold=HOLD)


@pytest.mark.rule("ORD-12")
@pytest.mark.parametrize(
    ("reason", "still_open"),
    [
        ("INSUFFICIENT_STOCK", False),
        ("OUTLET_NOT_FOUND", False),
        ("SERVICE_UNAVAILABLE", True),
        ("DEADLINE_PASSED", True),
        ("INTERNAL", True),
    ],
)
def test_only_a_refusal_proves_that_nothing_is_held(reason: str, still_open: bool) -> None:
    progress = settle(Case(ASKED), refusal(reason), X, NOW)
    after = progress.case.order
    assert after.waiting
    assert (reason, None) == (after.waiting.reason, progress.step)
    assert still_open is (after.hold is not None)


def test_outcomes_that_come_late_change_nothing() -> None:
    other = Held(replace(HOLD, number=1), Reservation("r-2", ()))
    assert HELD.reservation == orders.apply(HELD, other, NOW).reservation
    assert HELD.reservation == orders.apply(HELD, Released("r-0"), NOW).reservation
    late = Resolved((MUG,), ("mug-9",))
    assert HELD.resolved == orders.apply(HELD, late, NOW).resolved


def test_a_canceled_order_does_not_wait_for_what_it_needs_no_more() -> None:
    canceled = replace(ASKED, document=document(2, CANCELED))
    progress = settle(Case(canceled), refusal("INSUFFICIENT_STOCK"), X, NOW)
    after = progress.case.order
    assert (after.state, after.waiting) == (OrderState.CANCELED, None)


@pytest.mark.rule("ORD-12")
@pytest.mark.parametrize(
    ("attempts", "transient", "expected"),
    [
        (1, True, 1),
        (2, True, 2),
        (6, True, 32),
        (7, True, 60),
        (10_000, True, 60),
        (1, False, 5),
        (2, False, 10),
        (7, False, 300),
        (10_000, False, 300),
    ],
)
def test_tries_become_rarer_up_to_a_limit(attempts: int, transient: bool, expected: int) -> None:
    assert expected == orders.pause_seconds(attempts, transient=transient)


def test_attempts_are_counted_until_the_step_passes() -> None:
    found = order(due_time=NOW)
    for attempts in (1, 2, 3):
        found = settle(Case(found), refusal("SERVICE_UNAVAILABLE"), None, NOW).case.order
        assert found.waiting
        assert attempts == found.waiting.attempts
    assert NOW + timedelta(seconds=4) == found.due_time
    assert not settle(Case(found), RESOLVED, X, NOW).case.order.waiting


@pytest.mark.rule("ORD-12")
@pytest.mark.parametrize(
    ("found", "reason", "words", "awaited"),
    [
        (FoundItem("", "ITEM_NOT_FOUND"), "ITEM_NOT_FOUND", "is in no catalog", {"sku/mug"}),
        (FoundItem("", "SKU_AMBIGUOUS"), "SKU_AMBIGUOUS", "several items carry", {"sku/mug"}),
    ],
)
def test_an_item_that_is_not_found_is_awaited(
    found: FoundItem, reason: str, words: str, awaited: set[str]
) -> None:
    outcome = orders.resolve(document(), [found])
    assert isinstance(outcome, Refused)
    assert (reason, awaited) == (outcome.error.reason, set(outcome.awaited))
    assert words in outcome.error.message


@pytest.mark.rule("ORD-04")
@pytest.mark.parametrize(
    ("channel", "state", "outlets"),
    [
        (X, SaleState.OPEN, ["main"]),
        (R, SaleState.COMPLETED, []),
    ],
)
def test_where_fulfillment_is_managed_decides_when_a_sale_is_complete(
    channel: Channel, state: SaleState, outlets: list[str]
) -> None:
    sale = sales.post(HELD, channel, NOW)
    found = handed.fulfillments(HELD, sale, channel, NOW)
    assert (state, outlets) == (sale.state, [one.outlet_id for one in found])


@pytest.mark.rule("ORD-10")
def test_fulfillments_add_up_to_what_was_ordered_tracked_or_not() -> None:
    card = Line("2", "", "CARD", "Gift card", 1000)
    resolved = Resolved((MUG, card), ("mug-1", "card-1"))
    parts = (Allocation("1", "mug-1", "pier", 500), Allocation("1", "mug-1", "main", 1500))
    found = replace(
        HELD,
        document=document(lines=(MUG, card)),
        hold=replace(HOLD, resolved=resolved),
        reservation=Reservation("r-1", parts),
    )
    sale = sales.post(found, X, NOW)
    by_outlet = {
        one.outlet_id: {line.item_id: line.quantity for line in one.lines}
        for one in handed.fulfillments(found, sale, X, NOW)
    }
    assert by_outlet == {"pier": {"mug-1": 500, "card-1": 1000}, "main": {"mug-1": 1500}}


def test_the_ids_of_a_sale_and_its_fulfillments_are_the_same_every_time() -> None:
    again = sales.post(HELD, X, NOW + timedelta(days=3))
    assert SALE.key == again.key
    other = replace(HELD, key=OrderKey("mug-shop", "web/A", ""))
    assert SALE.key != sales.post(other, X, NOW).key


def test_derived_request_ids_are_told_apart_and_fit() -> None:
    assert requests.request_id("order", "web", "A", "reserve") == "order/web/A/reserve"
    assert requests.request_id("a/b", "c") != requests.request_id("a", "b/c")
    long = requests.request_id("order", "w" * 128, "A" * 128, "reserve")
    assert len(long) <= 128
    assert long != requests.request_id("order", "w" * 128, "A" * 128, "release")


@pytest.mark.parametrize(
    ("mine", "theirs", "prefix"),
    [
        (ChargeKind, pb.ChargeKind, "CHARGE_KIND_"),
        (OrderState, pb.OrderState, "ORDER_STATE_"),
        (PaymentStatus, pb.PaymentStatus, "PAYMENT_STATUS_"),
        (SaleState, pb.SaleState, "SALE_STATE_"),
        (SaleOrigin, pb.SaleOrigin, "SALE_ORIGIN_"),
        (PostingPolicy, channels_pb2.PostingPolicy, "POSTING_POLICY_"),
        (FulfillmentPolicy, channels_pb2.FulfillmentPolicy, "FULFILLMENT_POLICY_"),
        (DiscountKind, pb.DiscountKind, "DISCOUNT_KIND_"),
        (FulfillmentKind, pb.FulfillmentKind, "FULFILLMENT_KIND_"),
        (FulfillmentStatus, pb.FulfillmentStatus, "FULFILLMENT_STATUS_"),
    ],
)
def test_numbers_are_the_contract_s(mine: object, theirs: object, prefix: str) -> None:
    contract = {name.removeprefix(prefix): n for name, n in theirs.items() if n}  # type: ignore[attr-defined]
    assert contract == {one.name: one.value for one in mine if one.value}  # type: ignore[attr-defined]


def test_stock_moves_under_inventory_s_numbers() -> None:
    theirs = inventory_pb2.MovementKind.items()
    named = {name.removeprefix("MOVEMENT_KIND_"): number for name, number in theirs}
    assert {kind.name: kind.value for kind in MovementKind}.items() <= named.items()


def test_an_order_that_is_done_is_due_no_more() -> None:
    progress = advance(Case(replace(COMMITTED, due_time=NOW), SALE), X, NOW)
    assert (progress.step, progress.case.order.due_time) == (None, None)
    assert orders.apply(POSTED, Committed(), NOW).committed
