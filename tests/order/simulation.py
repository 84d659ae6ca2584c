"""An order that is run a step at a time against services that remember and fail."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.chassis.errors import DomainError
from services.order.rules.case import Case
from services.order.rules.document import Document, Line, Money
from services.order.rules.money import worth
from services.order.rules.order import (
    Allocation,
    Buyer,
    Committed,
    Held,
    Order,
    OrderKey,
    OrderState,
    Outcome,
    Refused,
    Released,
    Reservation,
    Resolved,
    take,
)
from services.order.rules.progress import Step, in_point_of_sale, settle
from services.order.rules.sale import Channel, Posting, Sale, SaleState, posted
from services.order.rules.stock import stock_changes, taken

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
KEY = OrderKey("mug-shop", "web", "A")
LINES = (
    Line("1", "", "MUG", "Mug", 2000, Money("EUR", 10 * 10**9)),
    Line("2", "", "CUP", "Cup", 1000),
)
ITEMS = {"1": "mug-1", "2": "cup-1"}
PLACES = {("1", "main"): 1500, ("1", "pier"): 500, ("2", "main"): 1000}
"""What each outlet gives of each line."""


@dataclass
class Simulation:
    """An order, and the world as far as it is about it."""

    channel: Channel
    case: Case | None = None
    step: Step | None = None
    tick: int = 0
    held: dict[int, str] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    stock: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What has been taken, by item and outlet; without an outside point of sale."""
    answered: set[tuple[str, str]] = field(default_factory=set)
    """Changes of stock that were made."""
    outside: dict[str, Sale] = field(default_factory=dict)
    """The sales as the outside point of sale has them, by id."""

    @property
    def now(self) -> datetime:
        self.tick += 1
        return NOW + timedelta(seconds=self.tick)

    @property
    def order(self) -> Order:
        assert self.case
        return self.case.order

    def ingest(self, found: Document) -> None:
        known = self.case.order if self.case else None
        order = take(found, known, KEY, self.now)
        if order:
            self.case = replace(self.case, order=order) if self.case else Case(order)

    def go(self, fault: str = "") -> bool:
        """Does the next step, which goes wrong `before` or `after` its effect, or in a `crash`
        after it; tells whether there was one.
        """
        if self.order.due_time is None:
            return False
        self._settle(None)
        if self.step is None:
            return False
        hold = self.order.hold
        if fault == "before":
            self._settle(Refused(DomainError("SERVICE_UNAVAILABLE", "down"), hold=hold))
            return True
        outcome = self._ask(self.step)
        if fault == "after":
            outcome = Refused(DomainError("DEADLINE_PASSED", "lost"), hold=hold)
        if fault != "crash":
            self._settle(outcome)
        return True

    def _settle(self, outcome: Outcome | None) -> None:
        assert self.case
        progress = settle(self.case, outcome, self.channel, self.now)
        self.case, self.step = progress.case, progress.step

    def _ask(self, step: Step) -> Outcome:
        order = self.order
        assert order.document
        if step is Step.RESOLVE:
            return Resolved(order.document.lines, ("mug-1", "cup-1"))
        if step is Step.MATCH:
            address = order.document.address
            return Buyer(address, f"customer of {address}" if address else "")
        assert order.hold
        if step in {Step.RESERVE, Step.TAKE}:
            name = self.held.setdefault(order.hold.number, f"r-{order.hold.number}")
            parts = tuple(
                Allocation(line_id, ITEMS[line_id], outlet_id, quantity)
                for (line_id, outlet_id), quantity in PLACES.items()
            )
            if step is Step.TAKE and name not in self.committed | self.free:
                self._move(parts, 1)
                self.committed.add(name)
            return Held(order.hold, Reservation(name, parts))
        assert order.reservation
        name = order.reservation.reservation_id
        if step is Step.RELEASE:
            assert name not in self.committed
            self.free.add(name)
            return Released(name)
        if step is Step.PUT_BACK:
            assert name in self.committed | self.free
            if name in self.committed:
                self._move(order.reservation.allocations, -1)
                self.committed.remove(name)
            self.free.add(name)
            return Released(name)
        assert name not in self.free
        if name not in self.committed and not self.channel.external_pos:
            self._move(order.reservation.allocations, 1)
        self.committed.add(name)
        return Committed()

    def _move(self, parts: Sequence[Allocation], sign: int) -> None:
        """Takes what an order has been given, or puts it back."""
        for part in parts:
            self.stock[part.item_id, part.outlet_id] += sign * part.quantity

    def move_stock(self) -> None:
        """Makes the changes of stock that sales ask for, each once."""
        assert self.case
        for sale in self._sales():
            if not sale.stock.pending:
                continue
            assert not self.channel.external_pos
            for change in stock_changes(sale):
                if (sale.key.sale_id, change.name) not in self.answered:
                    self.answered.add((sale.key.sale_id, change.name))
                    for move in change.movements:
                        self.stock[move.item_id, move.outlet_id] -= move.quantity
            self._put(taken(sale, sale))

    def post(self) -> None:
        """Writes the sales to the outside point of sale, as they are now."""
        if not self.channel.external_pos or self.case is None:
            return
        for sale in self._sales():
            self.outside[sale.key.sale_id] = sale
            if sale.posting.revision < sale.revision:
                self._put(posted(sale, sale.revision, ""))
                order = in_point_of_sale(self.order, sale, sale.revision, self.tick, self.now)
                self.case = replace(self.case, order=order)

    def _sales(self) -> list[Sale]:
        assert self.case
        return [self.case.sale, *self.case.returns] if self.case.sale else []

    def _put(self, sale: Sale) -> None:
        assert self.case
        if self.case.sale and self.case.sale.key == sale.key:
            self.case = replace(self.case, sale=sale)
        found = tuple(sale if one.key == sale.key else one for one in self.case.returns)
        self.case = replace(self.case, returns=found)

    def taken_in_all(self) -> Counter[str]:
        """What has left stock for good by item, wherever that is kept."""
        found: Counter[str] = Counter()
        if self.channel.external_pos:
            for sale in self.outside.values():
                for line in sale.lines:
                    if sale.state is not SaleState.VOIDED and not line.not_restocked:
                        found[line.item_id] += line.quantity
        else:
            for (item_id, _), quantity in self.stock.items():
                found[item_id] += quantity
        return +found

    def finish(self) -> None:
        """Lets all go on until nothing is left to do."""
        for _ in range(60):
            going = self.go()
            before = self.case
            self.move_stock()
            self.post()
            if not going and before == self.case and self.order.due_time is None:
                return
        raise AssertionError(f"goes on forever at {self.step}: {self.order}")

    def check(self) -> None:
        """What holds at any time (BEY-13)."""
        assert self.case
        order, sale = self.order, self.case.sale
        assert len(set(self.held.values()) - self.free) <= 1
        assert not self.committed & self.free
        if sale is None or order.accounts is None:
            return
        assert all(one.balanced for one in order.accounts.lines)
        paid = order.paid.amount_nanos if order.paid else 0
        refunded = order.refunded.amount_nanos if order.refunded else 0
        assert paid >= refunded
        returned = [one.total.amount_nanos for one in self.case.returns]
        assert refunded == -sum(returned)
        for one in self.case.returns:
            assert worth(one) == one.total.amount_nanos
            assert one.total.amount_nanos == sum(p.amount.amount_nanos for p in one.payments)
        for account in order.accounts.lines:
            back = sum(
                -line.quantity
                for one in self.case.returns
                for line in one.lines
                if line.line_id == account.line_id
            )
            if sale.state is not SaleState.VOIDED:
                assert back == account.canceled + account.returned
            lines = [
                line
                for one in self.case.fulfillments
                for line in one.lines
                if line.line_id == account.line_id
            ]
            if lines:
                assert account.fulfilled == sum(line.fulfilled for line in lines)
                assert account.canceled == sum(line.canceled for line in lines)

    def outcome(self) -> dict[str, Any]:
        """What must not depend on the order of what came. Times and counts of changes may.

        Of an order that the store canceled in the end, that nothing of it is owed, held or taken:
        what was paid before, its last document does not tell.
        """
        assert self.case
        order, sale = self.order, self.case.sale
        assert order.document
        accounts = order.accounts.lines if order.accounts else ()
        found = {
            "document": order.document,
            "state": order.state,
            "waiting": order.waiting,
            "held": set(self.held.values()) - self.free - self.committed,
            "taken": self.taken_in_all(),
            "owed": {one.line_id: one.ordered - one.canceled - one.returned for one in accounts},
        }
        if order.state is OrderState.CANCELED:
            return found | {"owed": sum(found["owed"].values())}  # type: ignore[attr-defined]
        payments = tuple(replace(one, pay_time=NOW) for one in sale.payments) if sale else ()
        refunds = {one.refund_id: one.amount for one in order.refunds if one.amount}
        return found | {
            "buyer": order.buyer,
            "sale": sale
            and replace(sale, revision=0, sale_time=NOW, payments=payments, posting=Posting()),
            "paid": order.paid,
            "refunded": order.refunded,
            "refunds": refunds,
            "store": order.store_update,
        }
