"""The same documents in any order, any number of times, end in the same state (BEY-08)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import cmp_to_key

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.order.rules import fulfillment as handed
from services.order.rules import order as orders
from services.order.rules import returns
from services.order.rules.accounting import Asked, AskedLine
from services.order.rules.document import (
    Document,
    FulfillmentKind,
    FulfillmentStatus,
    Money,
    OrderPayment,
    OrderRefund,
    PaymentStatus,
    newer,
)
from services.order.rules.fulfillment import Handling
from services.order.rules.sale import Channel, FulfillmentPolicy, PostingPolicy
from tests.harness import eventually, metadata
from tests.order.fakes import ON_PAYMENT, Fault
from tests.order.shop import AWAITING, CANCELED, PAID, REFUNDED, Shop, document, eur, request_id
from tests.order.simulation import LINES, NOW, Simulation
from tillbridge.order.v1 import order_pb2 as pb


def euros(units: int) -> Money:
    return Money("EUR", units * 10**9)


CHANNELS = [
    Channel(posting, fulfillment, external_pos, register_id="till-1", outlet_id="main")
    for posting in PostingPolicy
    for fulfillment in FulfillmentPolicy
    for external_pos in (False, True)
]
REFUNDS = tuple(
    OrderRefund(name, euros(units), NOW + timedelta(days=number))
    for number, (name, units) in enumerate([("x", 4), ("y", 1), ("z", 15)])
)
"""What the store gave back: a later document may tell more of it, or take it back."""

later = st.builds(
    Document,
    order_id=st.just("A"),
    version=st.integers(0, 4),
    payment_status=st.sampled_from(
        [one for one in PaymentStatus if one is not PaymentStatus.CANCELED]
    ),
    lines=st.just(LINES),
    total=st.sampled_from([euros(20), euros(21)]),
    email=st.sampled_from(["ann@example.com", "ANN@example.com", "bob@example.com", ""]),
    payment_processor=st.sampled_from(["Stripe", ""]),
    payments=st.sampled_from([(), (OrderPayment(euros(7), "Card", "", NOW),)]),
    refunds=st.integers(0, len(REFUNDS)).map(lambda count: REFUNDS[:count]),
    fulfillment_status=st.sampled_from(
        [FulfillmentStatus.UNSPECIFIED, FulfillmentStatus.PROCESSING]
    ),
    fulfillment_kind=st.just(FulfillmentKind.PICKUP),
)
histories = st.lists(later, min_size=1, max_size=5)
faults = st.sampled_from(["", "before", "after", "crash"])


def _older_first(one: Document, other: Document) -> int:
    return 1 if newer(one, other) else -1 if newer(other, one) else 0


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("ORD-11")
@settings(max_examples=400, deadline=None)
@given(
    data=st.data(),
    history=histories,
    channel=st.sampled_from(CHANNELS),
    canceled=st.booleans(),
)
def test_any_order_of_documents_and_faults_ends_the_same(
    data: st.DataObject, history: list[Document], channel: Channel, canceled: bool
) -> None:
    """Late by any time: what a document is worth is its version, not when it comes."""
    if canceled:  # as its last word; one that the store restores is another story
        last = max(history, key=lambda one: one.version)
        history = [*history, replace(last, payment_status=PaymentStatus.CANCELED)]
    expected = Simulation(channel)
    for found in sorted(history, key=cmp_to_key(_older_first)):
        expected.ingest(found)
        expected.finish()
        expected.check()
    doubled = history + data.draw(st.lists(st.sampled_from(history), max_size=4))
    simulation = Simulation(channel)
    for found in data.draw(st.permutations(doubled)):
        simulation.ingest(found)
        for fault in data.draw(st.lists(faults, max_size=6)):
            simulation.go(fault)
            simulation.check()
        if data.draw(st.booleans()):
            simulation.post()
        simulation.tick += data.draw(st.sampled_from([0, 30 * 24 * 3600]))
    simulation.finish()
    simulation.check()
    # Where posting waits for payment, an order that was paid once is posted, and stays so.
    assert expected.case
    assert simulation.case
    one, other = expected.outcome(), simulation.outcome()
    if canceled or (expected.case.sale is None) == (simulation.case.sale is None):
        assert one == other
    else:
        assert channel.posting is PostingPolicy.ON_PAYMENT
        assert one["document"] == other["document"]
        assert not one["document"].paid


@pytest.mark.rule("ORD-13")
@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=histories, channel=st.sampled_from(CHANNELS))
def test_whatever_happens_stock_is_held_for_an_order_at_most_once(
    data: st.DataObject, history: list[Document], channel: Channel
) -> None:
    statuses = st.sampled_from(list(PaymentStatus))
    documents = [replace(one, payment_status=data.draw(statuses)) for one in history]
    simulation = Simulation(channel)
    for found in data.draw(st.permutations(documents)):
        simulation.ingest(found)
        for _ in range(data.draw(st.integers(0, 5))):
            simulation.go(data.draw(faults))
            simulation.check()
    simulation.finish()
    simulation.check()
    order = simulation.order
    held = set(simulation.held.values()) - simulation.free
    if order.sale_id:
        accounts = order.accounts
        assert accounts
        kept = {one.item_id: one.ordered - one.canceled for one in accounts.lines}
        assert {item: count for item, count in kept.items() if count} == simulation.taken_in_all()
    else:
        assert held == ({order.reservation.reservation_id} if order.reservation else set())


def _refund(simulation: Simulation, data: st.DataObject) -> None:
    """RefundOrder, with anything that its contract lets through."""
    case = simulation.case
    assert case
    lines = st.builds(
        AskedLine,
        st.sampled_from(["1", "2", "9"]),
        st.sampled_from([250, 500, 1000, 2000]),
        st.sampled_from([0, 0, 250]),
    )
    asked = Asked(
        tuple(data.draw(st.lists(lines, max_size=2))),
        data.draw(st.sampled_from(["", "main", "dock"])),
        data.draw(st.sampled_from([None, euros(1), euros(5), euros(20)])),
        data.draw(st.sampled_from(["", "Cash"])),
    )
    wanted = returns.Return(data.draw(st.sampled_from(["x", "r1", "r2", "r3"])), asked, NOW)
    if case.sale:
        now = simulation.now
        ready = returns.followed(returns.with_accounts(case, simulation.channel), now)
        after = returns.refund(ready, wanted, simulation.channel, now)
        simulation.case = returns.tallied(after)
        again = returns.refund(after, wanted, simulation.channel, now)
        assert again is after  # the same refund twice is once
        order = replace(simulation.order, due_time=now)
        simulation.case = replace(simulation.case, order=order)


def _hand_over(simulation: Simulation, data: st.DataObject) -> None:
    """Pick, pack or complete of one of its fulfillments."""
    case = simulation.case
    assert case
    if not case.sale or not case.fulfillments:
        return
    before = data.draw(st.sampled_from(case.fulfillments))
    steps = st.tuples(st.sampled_from(["1", "2"]), st.sampled_from([250, 500, 1500, 3000]))
    handling = Handling(
        data.draw(st.sampled_from([0, before.version])),
        tuple(data.draw(st.lists(steps, max_size=2))),
    )
    now = simulation.now
    does = data.draw(st.sampled_from([handed.pick, handed.pack, None]))
    after = (
        does(before, handling, now) if does else handed.complete(before, handling, case.sale, now)
    )
    simulation.case = returns.handled(case, before, after)


def _cancel(simulation: Simulation, _data: st.DataObject) -> None:
    case = simulation.case
    assert case
    simulation.case = replace(case, order=orders.cancel(case.order, "", simulation.now))


@pytest.mark.rule("BEY-13")
@pytest.mark.rule("ORD-13")
@settings(max_examples=500, deadline=None)
@given(data=st.data(), channel=st.sampled_from(CHANNELS))
def test_any_sequence_of_calls_and_documents_keeps_the_books_balanced(
    data: st.DataObject, channel: Channel
) -> None:
    simulation = Simulation(channel)
    simulation.ingest(replace(data.draw(later), version=0))
    if data.draw(st.booleans()):
        simulation.finish()
    for version in range(1, 1 + data.draw(st.integers(1, 12))):
        does = data.draw(st.sampled_from([_refund, _refund, _hand_over, _cancel, None, "run"]))
        if does is None:
            status = data.draw(st.sampled_from(list(PaymentStatus)))
            found = replace(data.draw(later), version=version, payment_status=status)
            simulation.ingest(found)
        elif isinstance(does, str):
            simulation.go(data.draw(faults))
            simulation.move_stock()
            simulation.post()
        else:
            try:
                does(simulation, data)
            except DomainError as refusal:
                assert refusal.reason in {  # noqa: PT017  (a refusal is one of the right answers)
                    "INVALID_FIELD",
                    "REFUND_EXISTS",
                    "REFUND_EXCEEDS_PAID",
                    "QUANTITY_EXCEEDS_ORDERED",
                    "FULFILLMENT_ENDED",
                    "SALE_UNPAID",
                    "NOTHING_TO_CANCEL",
                }
        simulation.check()
    simulation.finish()
    simulation.check()
    accounts = simulation.order.accounts
    if accounts:
        lost = sum(
            part.quantity
            for refund in simulation.order.refunds
            for part in refund.parts
            if part.canceled and not part.restocked
        )
        gone = sum(one.ordered - one.canceled - one.restocked for one in accounts.lines)
        assert gone + lost == sum(simulation.taken_in_all().values())


@pytest.mark.rule("BEY-13")
@settings(max_examples=300, deadline=None)
@given(data=st.data(), channel=st.sampled_from(CHANNELS))
def test_money_given_back_counts_once_whoever_tells_it_and_when(
    data: st.DataObject, channel: Channel
) -> None:
    """What RefundOrder gives back is written to the store, which shows it among its own, under a
    name of its own, at some time; until then and after that it is the same money.
    """
    simulation = Simulation(channel)
    first = replace(data.draw(later), version=0, payments=(), refunds=(), total=euros(20))
    paid = replace(first, payment_status=PaymentStatus.PAID)
    simulation.ingest(paid)
    simulation.finish()
    here: list[OrderRefund] = []
    by_store: list[OrderRefund] = []
    shown: list[OrderRefund] = []
    calls = st.sampled_from(["here", "store", "show", "tell", "run"])
    for version, does in enumerate([*data.draw(st.lists(calls, max_size=12)), "all"], start=1):
        left = 20 - sum(one.amount.amount_nanos // 10**9 for one in here + by_store)
        if does in {"here", "store"} and left:
            given_back = euros(data.draw(st.integers(1, left)))
            if does == "here":
                _give_back(simulation, f"ours-{version}", given_back)
                here.append(OrderRefund(f"echo-{version}", given_back))
            else:
                by_store.append(OrderRefund(f"store-{version}", given_back))
                shown.append(by_store[-1])
        elif does == "show":
            shown += [one for one in here if one not in shown][: data.draw(st.integers(0, 2))]
        elif does == "run":
            simulation.go(data.draw(faults))
        elif does == "all":
            shown += [one for one in here if one not in shown]
        if does not in {"here", "run"}:
            partly = PaymentStatus.PARTIALLY_REFUNDED if shown else PaymentStatus.PAID
            found = replace(paid, version=version, payment_status=partly, refunds=tuple(shown))
            simulation.ingest(found)
            simulation.finish()
        simulation.check()
        at_least, more = (_sum_of(refunds) for refunds in (here, by_store))
        assert at_least <= _refunded(simulation) <= at_least + more
    assert _refunded(simulation) == _sum_of(here) + _sum_of(by_store)


def _give_back(simulation: Simulation, refund_id: str, amount: Money) -> None:
    case, now = simulation.case, simulation.now
    assert case
    wanted = returns.Return(refund_id, Asked(amount=amount), now)
    ready = returns.followed(returns.with_accounts(case, simulation.channel), now)
    simulation.case = returns.tallied(returns.refund(ready, wanted, simulation.channel, now))


def _sum_of(refunds: Iterable[OrderRefund]) -> int:
    return sum(one.amount.amount_nanos for one in refunds)


def _refunded(simulation: Simulation) -> int:
    refunded = simulation.order.refunded
    return refunded.amount_nanos if refunded else 0


@pytest.mark.rule("BEY-08")
@settings(
    max_examples=16,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    arrivals=st.permutations([1, 1, 2, 2, 3, 3]),
    faulty=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "ResolveItems",
                    "MatchCustomer",
                    "ReserveStock",
                    "TakeStock",
                    "PutBackStock",
                    "CommitReservation",
                    "AdjustStock",
                ]
            ),
            st.booleans(),
        ),
        max_size=4,
    ),
    on_payment=st.booleans(),
    last=st.sampled_from([REFUNDED, CANCELED]),
)
async def test_the_running_service_ends_the_same(
    shop: Shop,
    arrivals: list[int],
    faulty: list[tuple[str, bool]],
    on_payment: bool,
    last: "pb.PaymentStatus.ValueType",
) -> None:
    channel = "paid-only" if on_payment else "web"
    if "web" not in shop.world.channels:
        shop.stock()
        shop.world.add_channel("paid-only", posting=ON_PAYMENT)
        shop.world.on_hand["mug-1", "main"] += 1000
    order_id = request_id()  # one that no other example has
    statuses = {1: AWAITING, 2: PAID, 3: last}
    before = shop.world.available("mug-1")
    for method, after_effect in faulty:
        shop.world.fail(method, 1, Fault(after_effect=after_effect))
    for version in arrivals:
        await shop.ingest(document(order_id, version, statuses[version]), channel)
    gone = 0 if last == CANCELED else 1

    async def settled() -> bool:
        order = await shop.order(order_id, channel)
        expected = pb.ORDER_STATE_POSTED if gone else pb.ORDER_STATE_CANCELED
        assert (order.document.version, order.state) == (3, expected)
        assert not order.waiting_reason
        assert before - gone == shop.world.available("mug-1")
        if gone:
            sale = await shop.sale(order.sale_id)
            assert [("Stripe", eur(10))] == [(one.method, one.amount) for one in sale.payments]
            assert (order.paid, order.refunded) == (eur(10), eur(10))
            assert len(order.return_sale_ids) == 1
        return True

    await eventually(settled)
    listed = await shop.orders.ListSales(pb.ListSalesRequest(page_size=1000), metadata=metadata())
    made = [one for one in listed.sales if one.order_id == order_id and not one.return_for]
    assert len(made) <= 1
    assert made or not gone
    shop.world.faults.clear()
