"""What an order holds is moved to another outlet, or given free, by an operator (BEY-04)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.chassis.errors import DomainError
from services.order.rules import fulfillment as handed
from services.order.rules import moved, returns
from services.order.rules import order as orders
from services.order.rules import sale as sales
from services.order.rules.case import Case, opened
from services.order.rules.document import PaymentStatus
from services.order.rules.fulfillment import Handling
from services.order.rules.moved import Told
from services.order.rules.order import Allocation, Order, OrderState, Reservation
from services.order.rules.progress import Step, advance, in_point_of_sale
from services.order.service.followers import InventoryFollower
from services.order.wire import requests
from tests.harness import eventually, metadata, service_metadata
from tests.order.fakes import Fault
from tests.order.shop import CHANNEL, Shop, document, line, request_id
from tests.order.test_rules import ASKED, HELD, NOW, OUTSIDE, POSTED, SALE, X
from tests.order.test_rules import document as ordered
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.order.v1 import events_pb2, fulfillment_pb2
from tillbridge.order.v1 import order_pb2 as pb

LATER = datetime(2026, 7, 4, 13, tzinfo=UTC)
WAITS = replace(POSTED, accounts=opened(POSTED, by_store=False))
CASE = Case(WAITS, SALE, handed.fulfillments(POSTED, SALE, OUTSIDE, NOW))
"""An order of two mugs from Main that is posted here, and not in the outside point of sale."""
PICKED = replace(CASE, fulfillments=(handed.pick(CASE.fulfillments[0], Handling(), NOW),))


def told(*given: tuple[str, int], cursor: int = 7, held: bool = True, of: str = "r-1") -> Told:
    """That so many mugs are held at these outlets now."""
    parts = tuple(Allocation("1", "mug-1", outlet_id, units * 1000) for outlet_id, units in given)
    return Told(Reservation(of, parts), held, "in-1", cursor)


def to_hand_over(case: Case) -> dict[str, tuple[str, int]]:
    """State, and what is left to hand over, by outlet."""
    return {
        one.outlet_id: (one.state.name, sum(part.left for part in one.lines))
        for one in case.fulfillments
    }


@pytest.mark.rule("BEY-04")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("harbour", 2)], {"main": ("CANCELED", 0), "harbour": ("NEW", 2000)}),
        ([("main", 1), ("pier", 1)], {"main": ("NEW", 1000), "pier": ("NEW", 1000)}),
        (
            [("pier", 1), ("harbour", 1)],
            {"main": ("CANCELED", 0), "pier": ("NEW", 1000), "harbour": ("NEW", 1000)},
        ),
        ([("main", 2)], {"main": ("NEW", 2000)}),
    ],
)
def test_what_nobody_has_begun_goes_to_the_outlet_that_gives_it_now(
    given: list[tuple[str, int]], expected: dict[str, tuple[str, int]]
) -> None:
    after = moved.follow(CASE, told(*given), LATER)
    assert expected == to_hand_over(after)
    assert after.order.hold
    assert after.order.hold.left is None
    run = advance(after, OUTSIDE, LATER).case
    assert run.order.waiting is None
    assert run.sale
    assert [(one.outlet_id or run.sale.outlet_id, one.quantity) for one in run.sale.lines] == [
        (outlet_id, units * 1000) for outlet_id, units in given
    ]


@pytest.mark.rule("BEY-08")
def test_moves_that_come_in_any_order_and_again_end_the_same() -> None:
    first, last = told(("harbour", 2), cursor=7), told(("pier", 2), cursor=8)
    in_order = moved.follow(moved.follow(CASE, first, LATER), last, LATER)
    for arrivals in ([last, first], [last], [first, last, first], [last, last]):
        case = CASE
        for one in arrivals:
            case = moved.follow(case, one, LATER)
        assert but_for_revision(case.order) == but_for_revision(in_order.order)
        assert {one for one in to_hand_over(case).items() if one[1][1]} == {("pier", ("NEW", 2000))}
    back = moved.follow(in_order, told(("main", 2), cursor=9), LATER)
    assert to_hand_over(back)["main"] == ("NEW", 2000)


def but_for_revision(order: Order) -> Order:
    """The order, whatever the revision is that its sale has come to."""
    assert order.hold
    return replace(order, hold=replace(order.hold, revision=0))


@pytest.mark.parametrize(
    "case", [Case(HELD), CASE, Case(ASKED), Case(orders.reported(HELD.key, NOW))]
)
def test_what_another_reservation_holds_is_none_of_an_order_s_business(case: Case) -> None:
    assert moved.follow(case, told(("pier", 2), of="r-2"), LATER) == case


@pytest.mark.rule("ORD-12")
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (PICKED, "the fulfillment at main was begun: see"),
        (
            replace(CASE, order=replace(WAITS, pos_version=9)),
            "the point of sale has its sale as it was: see",
        ),
        (
            replace(PICKED, order=replace(WAITS, pos_version=9)),
            "the fulfillment at main was begun and the point of sale has its sale as it was: see",
        ),
    ],
)
def test_what_stays_behind_is_said_until_an_operator_has_seen_to_it(
    case: Case, expected: str
) -> None:
    after = moved.follow(case, told(("harbour", 2)), LATER)
    order = replace(after.order, committed=True)
    waits = advance(replace(after, order=order), OUTSIDE, LATER).case
    assert waits.order.waiting
    assert waits.order.waiting.reason == "MOVED_AFTER_POSTING"
    assert expected in waits.order.waiting.message
    assert "item mug-1 from main to harbour" in waits.order.waiting.message
    again = replace(waits, order=orders.retried(waits.order, LATER))
    assert advance(again, OUTSIDE, LATER).case.order.waiting is None


@pytest.mark.rule("BEY-04")
@pytest.mark.parametrize(
    ("moves", "reports", "expected"),
    [
        ([], [(1, 9)], 9),
        ([("harbour", 2)], [(1, 9)], None),
        ([("harbour", 2)], [(1, 9), (2, 12)], 12),
        ([("harbour", 2)], [(2, 12), (1, 9)], 12),
        ([("harbour", 1), ("main", 1)], [(1, 9)], None),
        ([("harbour", 2)], [(2, 12), (3, 15)], 12),
    ],
)
def test_the_version_of_a_sale_counts_from_when_on_it_names_the_outlets_that_give_it(
    moves: list[tuple[str, int]], reports: list[tuple[int, int]], expected: int | None
) -> None:
    after = moved.follow(CASE, told(*moves), LATER) if moves else CASE
    assert after.sale
    order, sale = after.order, replace(after.sale, revision=3)
    for revision, pos_version in reports:
        sale = sales.posted(sale, revision, "")
        order = in_point_of_sale(order, sale, revision, pos_version, LATER)
    assert order.pos_version == expected


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("ORD-12")
def test_a_hold_that_was_moved_after_posting_ends_when_an_operator_has_seen_to_it() -> None:
    """The version is that of a sale at another outlet, so it does not end the hold by itself."""
    there = replace(CASE, order=replace(WAITS, pos_version=9))
    assert advance(there, OUTSIDE, LATER).step is Step.COMMIT
    run = advance(moved.follow(there, told(("harbour", 2)), LATER), OUTSIDE, LATER)
    assert run.step is None
    assert run.case.order.waiting
    assert run.case.order.waiting.reason == "MOVED_AFTER_POSTING"
    seen = replace(run.case, order=orders.retried(run.case.order, LATER))
    assert advance(seen, OUTSIDE, LATER).step is Step.COMMIT


@pytest.mark.rule("ORD-13")
def test_a_hold_that_was_moved_after_posting_ends_when_its_order_is_canceled() -> None:
    there = replace(CASE, order=replace(WAITS, pos_version=9))
    after = moved.follow(there, told(("harbour", 2)), LATER)
    canceled = replace(after, order=orders.cancel(after.order, "", LATER))
    assert advance(canceled, OUTSIDE, LATER).step is Step.COMMIT


def test_a_sale_that_the_point_of_sale_has_stays_at_its_outlets() -> None:
    there = replace(CASE, order=replace(WAITS, pos_version=9, committed=True))
    after = moved.follow(there, told(("harbour", 2)), LATER)
    assert to_hand_over(after) == {"main": ("CANCELED", 0), "harbour": ("NEW", 2000)}
    paid = replace(after.order, document=ordered(2, PaymentStatus.PAID))
    sale = advance(replace(after, order=paid), OUTSIDE, LATER).case.sale
    assert sale
    assert (sale.outlet_id, sale.lines, sale.paid) == (SALE.outlet_id, SALE.lines, True)


@pytest.mark.rule("BEY-13")
def test_what_was_moved_is_canceled_at_the_outlet_that_would_have_given_it() -> None:
    after = advance(moved.follow(CASE, told(("harbour", 2)), LATER), OUTSIDE, LATER).case
    canceled = returns.cancel(after, OUTSIDE, LATER)
    assert set(to_hand_over(canceled).values()) == {("CANCELED", 0)}
    (refund,) = canceled.order.refunds
    assert [(part.given_by, part.outlet_id, part.quantity) for part in refund.parts] == [
        ("harbour", "harbour", 2000)
    ]


@pytest.mark.rule("ORD-12")
def test_an_order_whose_stock_was_given_free_waits_for_somebody_to_decide() -> None:
    after = moved.follow(Case(HELD), told(held=False), LATER).order
    assert (after.state, after.due_time) == (OrderState.MATCHED, None)
    assert after.waiting
    assert (after.waiting.reason, after.waiting.next_try_time) == ("RESERVATION_ENDED", None)
    anew = advance(Case(orders.retried(after, LATER)), X, LATER).case.order
    assert anew.hold
    assert anew.hold.number == 1
    gone = moved.follow(Case(replace(HELD, cancel_time=NOW)), told(held=False), LATER).order
    assert (gone.state, gone.waiting) == (OrderState.CANCELED, None)


def test_a_posted_order_whose_stock_was_given_free_is_not_committed_any_more() -> None:
    after = advance(moved.follow(CASE, told(held=False), LATER), OUTSIDE, LATER)
    assert after.step is None
    assert after.case.order.waiting
    assert after.case.order.waiting.reason == "RESERVATION_ENDED"
    posted = replace(after.case, order=replace(after.case.order, pos_version=9))
    assert advance(posted, OUTSIDE, LATER).step is None


async def move(shop: Shop, order: pb.Order, outlet_id: str = "harbour") -> None:
    """An operator moves the mugs of an order."""
    shop.world.move(order.reservation_id, "mug-1", outlet_id)


@pytest.mark.rule("BEY-04")
async def test_an_order_that_is_not_posted_yet_is_posted_where_its_stock_is_now(shop: Shop) -> None:
    shop.stock(post_sales=False)
    await shop.ingest(document("A"))
    before = await shop.becomes("A", pb.ORDER_STATE_HELD)
    await move(shop, before)

    async def followed() -> bool:
        return (await shop.order("A")).update_time != before.update_time

    await eventually(followed)
    shop.world.switch_post_sales(CHANNEL, on=True)
    sale = await shop.posted("A")
    assert sale.outlet_id == "harbour"
    assert [one.outlet_id for one in await shop.fulfillments("A")] == ["harbour"]
    await shop.stands(2, outlet_id="harbour")


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("ORD-10")
async def test_a_posted_order_follows_what_it_holds_while_the_point_of_sale_does_not_have_it(
    shop: Shop,
) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(document("A", lines=[line("MUG", "2")]))
    first = await shop.posted("A")
    order = await shop.order("A")
    await move(shop, order)

    async def followed() -> bool:
        return (await shop.sale(order.sale_id)).outlet_id == "harbour"

    await eventually(followed)
    sale = await shop.sale(order.sale_id)
    assert sale.revision == first.revision + 1
    states = {one.outlet_id: one.state for one in await shop.fulfillments("A")}
    assert states == {
        "main": fulfillment_pb2.FULFILLMENT_STATE_CANCELED,
        "harbour": fulfillment_pb2.FULFILLMENT_STATE_NEW,
    }
    handled = [message for _, message in await shop.events(events_pb2.FulfillmentChanged)]
    assert len({one.fulfillment_id for one in handled}) == 2
    assert len(handled) == 3  # one new, one changed, one more new
    await shop.becomes("A", pb.ORDER_STATE_POSTED)


@pytest.mark.rule("BEY-04")
@pytest.mark.rule("ORD-12")
async def test_what_is_moved_while_the_point_of_sale_takes_the_sale_is_held_until_it_is_seen_to(
    shop: Shop,
) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(document("A"))
    sale = await shop.posted("A")
    order = await shop.order("A")
    shop.world.move_untold(order.reservation_id, "mug-1", "harbour")
    report = pb.ReportSalePostedRequest(
        request_id=request_id(), sale_id=sale.sale_id, revision=1, pos_version=9
    )
    await shop.orders.ReportSalePosted(report, metadata=service_metadata())
    await shop.becomes("A", pb.ORDER_STATE_POSTED, "VERSION_CONFLICT")
    shop.world.tell_of(order.reservation_id)
    waits = await shop.becomes("A", pb.ORDER_STATE_POSTED, "MOVED_AFTER_POSTING")
    assert "the point of sale has its sale as it was" in waits.waiting_message
    assert not shop.world.pos_versions
    retry = pb.RetryOrderRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.RetryOrder(retry, metadata=metadata())

    async def committed() -> bool:
        return list(shop.world.pos_versions.values()) == [9]

    await eventually(committed)
    await shop.becomes("A", pb.ORDER_STATE_POSTED)


@pytest.mark.rule("ORD-12")
async def test_a_fulfillment_that_was_begun_stays_and_an_operator_is_told(shop: Shop) -> None:
    shop.stock(external_pos=True)
    await shop.ingest(document("A"))
    await shop.posted("A")
    (begun,) = await shop.fulfillments("A")
    pick = fulfillment_pb2.PickFulfillmentRequest(
        request_id=request_id(), fulfillment_id=begun.fulfillment_id
    )
    await shop.handing.PickFulfillment(pick, metadata=metadata())
    await move(shop, await shop.order("A"))
    waits = await shop.becomes("A", pb.ORDER_STATE_POSTED, "MOVED_AFTER_POSTING")
    assert "the fulfillment at main was begun" in waits.waiting_message
    assert [one.outlet_id for one in await shop.fulfillments("A")] == ["main"]
    retry = pb.RetryOrderRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.RetryOrder(retry, metadata=metadata())
    await shop.becomes("A", pb.ORDER_STATE_POSTED)


@pytest.mark.rule("ORD-12")
async def test_an_order_whose_stock_was_given_free_waits_and_holds_anew_when_retried(
    shop: Shop,
) -> None:
    shop.stock(post_sales=False)
    await shop.ingest(document("A"))
    order = await shop.becomes("A", pb.ORDER_STATE_HELD)
    shop.world.free(order.reservation_id)
    waits = await shop.becomes("A", pb.ORDER_STATE_MATCHED, "RESERVATION_ENDED")
    assert "incident in-1" in waits.waiting_message
    retry = pb.RetryOrderRequest(request_id=request_id(), channel_id=CHANNEL, order_id="A")
    await shop.orders.RetryOrder(retry, metadata=metadata())
    anew = await shop.becomes("A", pb.ORDER_STATE_HELD)
    assert anew.reservation_id != order.reservation_id


@pytest.mark.rule("BEY-08")
async def test_a_move_that_is_told_before_the_hold_is_known_comes_again(shop: Shop) -> None:
    shop.stock(post_sales=False)
    shop.world.fail("ReserveStock", 1000, Fault("SERVICE_UNAVAILABLE", after_effect=True))
    await shop.ingest(document("A"))

    async def held() -> bool:
        return bool(shop.world.reservations)

    await eventually(held)
    shop.world.move("reservation-1", "mug-1", "harbour")
    (event,) = shop.world.inventory_events[-1:]
    follower = InventoryFollower(shop.service.database, None)  # type: ignore[arg-type]  # unused
    with pytest.raises(DomainError, match="has not taken in yet"):
        await follower.handle([event])
    shop.world.faults["ReserveStock"].clear()
    await shop.becomes("A", pb.ORDER_STATE_HELD)
    await follower.handle([event])
    shop.world.switch_post_sales(CHANNEL, on=True)
    assert (await shop.posted("A")).outlet_id == "harbour"


def test_what_is_held_for_no_order_is_not_followed() -> None:
    event = feed_pb.Event(merchant_id="mug-shop", cursor=1)
    event.data.Pack(
        inventory_events_pb2.ReservationChanged(
            reservation=inventory_pb2.Reservation(reservation_id="r-1", cause="cart 7")
        )
    )
    assert requests.reservation_told(event) is None
