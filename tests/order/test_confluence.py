"""The same documents in any order, any number of times, end in the same state (BEY-08)."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.order.rules.document import Document, Line, Money, PaymentStatus
from services.order.rules.order import (
    Allocation,
    Buyer,
    Committed,
    Held,
    Order,
    OrderKey,
    Outcome,
    Refused,
    Released,
    Reservation,
    Resolved,
    take,
)
from services.order.rules.progress import Step, settle
from services.order.rules.sale import Channel, FulfillmentPolicy, PostingPolicy, Sale
from tests.harness import eventually, metadata
from tests.order.fakes import ON_PAYMENT, Fault
from tests.order.shop import AWAITING, PAID, REFUNDED, Shop, document, eur
from tillbridge.order.v1 import order_pb2 as pb

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
KEY = OrderKey("mug-shop", "web", "A")
LINES = (Line("1", "", "MUG", "Mug", 2000), Line("2", "", "CUP", "Cup", 1000))
CHANNELS = [
    Channel(posting, fulfillment, external_pos=False, register_id="till-1", outlet_id="main")
    for posting in PostingPolicy
    for fulfillment in FulfillmentPolicy
]

later = st.builds(
    Document,
    order_id=st.just("A"),
    version=st.integers(0, 6),
    payment_status=st.sampled_from(
        [PaymentStatus.AWAITING, PaymentStatus.PAID, PaymentStatus.REFUNDED]
    ),
    lines=st.just(LINES),
    total=st.sampled_from([Money("EUR", 5_000_000_000), Money("EUR", 6_000_000_000)]),
    email=st.sampled_from(["ann@example.com", "ANN@example.com", "bob@example.com", ""]),
    payment_processor=st.sampled_from(["Stripe", ""]),
)
histories = st.lists(
    later, min_size=1, max_size=5, unique_by=lambda one: (one.version, one.payment_status)
)


@dataclass
class Simulation:
    """An order that is run a step at a time against services that remember and fail."""

    channel: Channel
    order: Order | None = None
    sale: Sale | None = None
    step: Step | None = None
    tick: int = 0
    held: dict[int, str] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)

    @property
    def now(self) -> datetime:
        self.tick += 1
        return NOW + timedelta(seconds=self.tick)

    def ingest(self, found: Document) -> None:
        self.order = take(found, self.order, KEY, self.now) or self.order

    def go(self, fault: str = "") -> bool:
        """Does the next step, which goes wrong `before` or `after` its effect, or in a `crash`
        after it; tells whether there was one.
        """
        assert self.order
        if self.order.due_time is None:
            return False
        self._settle(None)
        if self.step is None:
            return False
        if fault == "before":
            self._settle(Refused(DomainError("SERVICE_UNAVAILABLE", "down"), hold=self.order.hold))
            return True
        outcome = self._ask(self.step)
        if fault == "after":
            outcome = Refused(DomainError("DEADLINE_PASSED", "lost"), hold=self.order.hold)
        if fault != "crash":
            self._settle(outcome)
        return True

    def _settle(self, outcome: Outcome | None) -> None:
        assert self.order
        progress = settle(self.order, self.sale, outcome, self.channel, self.now)
        self.order, self.sale, self.step = progress.order, progress.sale, progress.step

    def _ask(self, step: Step) -> Outcome:
        order = self.order
        assert order
        assert order.document
        if step is Step.RESOLVE:
            return Resolved(order.document.lines, ("mug-1", "cup-1"))
        if step is Step.MATCH:
            address = order.document.address
            return Buyer(address, f"customer of {address}" if address else "")
        assert order.hold
        if step is Step.RESERVE:
            name = self.held.setdefault(order.hold.number, f"r-{order.hold.number}")
            parts = tuple(
                Allocation(line.line_id, item, "main", line.quantity)
                for line, item in zip(
                    order.hold.resolved.lines, order.hold.resolved.item_ids, strict=True
                )
            )
            return Held(order.hold, Reservation(name, parts))
        assert order.reservation
        if step is Step.RELEASE:
            self.free.add(order.reservation.reservation_id)
            return Released(order.reservation.reservation_id)
        self.committed.add(order.reservation.reservation_id)
        return Committed()

    def outcome(self) -> dict[str, Any]:
        """What must not depend on the order of what came; times and counts of changes may."""
        order, sale = self.order, self.sale
        assert order
        payments = tuple(replace(one, pay_time=NOW) for one in sale.payments) if sale else ()
        kept = sale and replace(sale, revision=0, sale_time=NOW, payments=payments)
        return {
            "document": order.document,
            "state": order.state,
            "buyer": order.buyer,
            "waiting": order.waiting,
            "sale": kept,
            "held": set(self.held.values()) - self.free,
            "committed": self.committed,
        }

    def finish(self) -> dict[str, Any]:
        for _ in range(40):
            if not self.go():
                return self.outcome()
        raise AssertionError(f"goes on forever at {self.step}")


@pytest.mark.rule("BEY-08")
@pytest.mark.rule("ORD-11")
@settings(max_examples=400, deadline=None)
@given(data=st.data(), history=histories, channel=st.sampled_from(CHANNELS))
def test_any_order_of_documents_and_faults_ends_the_same(
    data: st.DataObject, history: list[Document], channel: Channel
) -> None:
    expected = Simulation(channel)
    for found in sorted(history, key=lambda one: (one.version, one.payment_status)):
        expected.ingest(found)
        expected.finish()
    doubled = history + data.draw(st.lists(st.sampled_from(history), max_size=4))
    simulation = Simulation(channel)
    for found in data.draw(st.permutations(doubled)):
        simulation.ingest(found)
        faults = st.lists(st.sampled_from(["", "before", "after", "crash"]), max_size=6)
        for fault in data.draw(faults):
            simulation.go(fault)
    # Where posting waits for payment, an order that was paid once is posted, and stays so.
    was_posted = expected.sale is not None
    found_outcome, expected_outcome = simulation.finish(), expected.outcome()
    if was_posted == (simulation.sale is not None):
        assert expected_outcome == found_outcome
    else:
        assert channel.posting is PostingPolicy.ON_PAYMENT
        assert expected_outcome["document"] == found_outcome["document"]
        assert not found_outcome["document"].paid


@pytest.mark.rule("ORD-13")
@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=histories, channel=st.sampled_from(CHANNELS))
def test_whatever_happens_stock_is_held_for_an_order_at_most_once(
    data: st.DataObject, history: list[Document], channel: Channel
) -> None:
    statuses = st.sampled_from(list(PaymentStatus))
    documents = [replace(one, payment_status=data.draw(statuses)) for one in history]
    simulation = Simulation(channel)
    faults = st.sampled_from(["", "before", "after", "crash"])
    for found in data.draw(st.permutations(documents)):
        simulation.ingest(found)
        for _ in range(data.draw(st.integers(0, 5))):
            simulation.go(data.draw(faults))
            assert len(set(simulation.held.values()) - simulation.free) <= 1
    simulation.finish()
    order = simulation.order
    assert order
    held = set(simulation.held.values()) - simulation.free
    assert held == ({order.reservation.reservation_id} if order.reservation else set())
    assert not simulation.committed & simulation.free


@pytest.mark.rule("BEY-08")
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    arrivals=st.permutations([1, 1, 2, 2, 3, 3]),
    faulty=st.lists(
        st.tuples(
            st.sampled_from(["ResolveItems", "MatchCustomer", "ReserveStock", "CommitReservation"]),
            st.booleans(),
        ),
        max_size=4,
    ),
    on_payment=st.booleans(),
)
async def test_the_running_service_ends_the_same(
    shop: Shop, arrivals: list[int], faulty: list[tuple[str, bool]], on_payment: bool
) -> None:
    channel = "paid-only" if on_payment else "web"
    if "web" not in shop.world.channels:
        shop.stock()
        shop.world.add_channel("paid-only", posting=ON_PAYMENT)
        shop.world.on_hand["mug-1", "main"] += 1000
    order_id = f"A{len(shop.world.reservations)}"
    statuses = {1: AWAITING, 2: PAID, 3: REFUNDED}
    before = shop.world.available("mug-1")
    for method, after_effect in faulty:
        shop.world.fail(method, 1, Fault(after_effect=after_effect))
    for version in arrivals:
        await shop.ingest(document(order_id, version, statuses[version]), channel)

    async def settled() -> bool:
        order = await shop.order(order_id, channel)
        assert (order.document.version, order.state) == (3, pb.ORDER_STATE_POSTED)
        sale = await shop.sale(order.sale_id)
        assert [("Stripe", eur(10))] == [(one.method, one.amount) for one in sale.payments]
        assert before - 1 == shop.world.available("mug-1")
        assert not order.waiting_reason
        return True

    await eventually(settled)
    listed = await shop.orders.ListSales(pb.ListSalesRequest(page_size=1000), metadata=metadata())
    assert sum(sale.order_id == order_id for sale in listed.sales) == 1
    shop.world.faults.clear()
