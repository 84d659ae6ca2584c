"""What must be true of what became of an order: of each line and each cent (BEY-13), by what people
have asked for and were told.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from google.type.money_pb2 import Money

from tests.simulation.auditor import RESTOCK, Ledger, thousandths
from tests.simulation.book import Sent
from tests.simulation.shop import Shop
from tillbridge.order.v1 import fulfillment_pb2, order_pb2

CANCEL_ID = "cancel"
"""The refund that stands for what a cancellation takes back."""
_NANOS = 1_000_000_000

STALE_S = 9.0
"""What a run knows of a channel is not older than that: it asks every two seconds, and may be at a
step meanwhile.
"""

Lines = Counter[str]
"""Quantities by line, in thousandths."""


class KeptBack:
    """Follows the databases from commit to commit: no order is posted while its channel keeps them
    back (ORD-09).
    """

    def __init__(self, inventory: Any, orders: Any, now_s: Callable[[], float]) -> None:
        self._inventory = inventory
        self._orders = orders
        self._now_s = now_s
        self._since: dict[str, float] = {}
        self._known: set[str] = set()
        self.findings: list[str] = []

    def look_at_channels(self) -> None:
        """Notes since when which channels keep orders back."""
        rows = self._inventory.execute("SELECT channel_id FROM channels WHERE NOT post_sales")
        now_s = self._now_s()
        self._since = {channel: self._since.get(channel, now_s) for (channel,) in rows.fetchall()}

    def look_at_sales(self) -> None:
        """Looks at the sales that are new."""
        rows = self._orders.execute(
            "SELECT sale_id, channel_id, order_id FROM sales WHERE origin = 2 AND return_for = ''"
        )
        for sale_id, channel, number in rows.fetchall():
            if sale_id not in self._known:
                self._known.add(sale_id)
                if self._now_s() - self._since.get(channel, self._now_s()) > STALE_S:
                    self.findings.append(f"order {number} was posted, though {channel} is off")


class Accounts:
    """One look at the books of one shop's orders."""

    def __init__(
        self,
        shop: Shop,
        ledger: Ledger,
        sales: Iterable[order_pb2.Sale],
        fulfillments: Iterable[fulfillment_pb2.Fulfillment],
    ) -> None:
        self._shop = shop
        self._ledger = ledger
        self._findings: list[str] = []
        self._sales: dict[str, list[order_pb2.Sale]] = defaultdict(list)
        for sale in sales:
            self._sales[sale.order_id].append(sale)
        self._fulfillments: dict[str, list[fulfillment_pb2.Fulfillment]] = defaultdict(list)
        for one in fulfillments:
            self._fulfillments[one.order_id].append(one)

    async def run(self, orders: Iterable[order_pb2.Order]) -> list[str]:
        """What is wrong with these orders, as they are listed; where anything was done about one,
        all of it is asked for.
        """
        for method in ("CancelOrder", "RefundOrder"):
            for sent in self._shop.book.of(method):
                for answer in sent.answers:
                    told: Any = _ANSWERS[method].FromString(answer)
                    self._check_balance(f"answer of {sent.request.request_id!r}", told.order)
        for listed in orders:
            number, order = listed.document.order_id, listed
            if self._is_touched(listed):
                request = order_pb2.GetOrderRequest(channel_id=listed.channel_id, order_id=number)
                found = await self._shop.book.ask(self._shop.services.orders.GetOrder, request)
                order = found.order
            where = f"order {number}"
            self._check_balance(where, order)
            self._check_canceled(where, order)
            sales, going = self._sales[number], self._fulfillments[number]
            if sales:
                self._check_money(where, order, sales)
                self._check_refunds(where, number, sales)
                self._check_lines(where, order, sales, going)
                self._check_void(where, number, sales)
            for one in going:
                self._check_handing_over(f"fulfillment {one.fulfillment_id}", one)
        return self._findings

    def _say(self, text: str) -> None:
        self._findings.append(text)

    def _is_touched(self, order: order_pb2.Order) -> bool:
        number = order.document.order_id
        return bool(order.sale_id) and bool(
            order.document.payment_status == order_pb2.PAYMENT_STATUS_CANCELED
            or any(self._asked(method, number) for method in ("CancelOrder", "RefundOrder"))
            or any(one.version > 1 for one in self._fulfillments[number])
        )

    def _asked(self, method: str, number: str) -> list[Sent]:
        return [one for one in self._shop.book.of(method) if one.request.order_id == number]

    def _check_balance(self, where: str, order: order_pb2.Order) -> None:
        """Ordered ≥ canceled + fulfilled, fulfilled ≥ returned ≥ restocked, paid ≥ refunded."""
        for one in order.line_accounts:
            ordered, canceled, fulfilled, returned, restocked = map(
                thousandths, (one.ordered, one.canceled, one.fulfilled, one.returned, one.restocked)
            )
            right = fulfilled >= returned >= restocked >= 0 and canceled >= 0
            if not right or canceled + fulfilled > ordered:
                self._say(f"{where} does not balance: {one}")
        if _nanos(order.refunded) > _nanos(order.paid):
            self._say(f"{where} gave back {order.refunded} of {order.paid}")

    def _check_canceled(self, where: str, order: order_pb2.Order) -> None:
        """What somebody was told is canceled has nothing left to hand over (ORD-13)."""
        number = order.document.order_id
        if not any(sent.done for sent in self._asked("CancelOrder", number)):
            return
        if not order.sale_id:
            if order.state != order_pb2.ORDER_STATE_CANCELED:
                self._say(f"{where} was canceled, and is {order.state}")
            return
        for one in order.line_accounts:
            over = thousandths(one.canceled) + thousandths(
                one.fulfilled if self._fulfillments[number] else one.returned
            )
            if over != thousandths(one.ordered):
                self._say(f"{where} was canceled, and goes on: {one}")

    def _check_money(
        self, where: str, order: order_pb2.Order, sales: Sequence[order_pb2.Sale]
    ) -> None:
        """What was paid and given back is what its sales say."""
        paid = refunded = 0
        for sale in sales:
            if sale.return_for:
                refunded -= _nanos(sale.total)
            elif sale.state != order_pb2.SALE_STATE_VOIDED:
                paid += sum(_nanos(one.amount) for one in sale.payments)
        if (_nanos(order.paid), _nanos(order.refunded)) != (paid, refunded):
            told = (_nanos(order.paid), _nanos(order.refunded))
            self._say(f"{where} says {told} of money, its sales say {(paid, refunded)}")

    def _check_refunds(self, where: str, number: str, sales: Sequence[order_pb2.Sale]) -> None:
        """Each refund that was confirmed is there once, as it was asked for, and no other is."""
        asked: dict[str, list[Sent]] = defaultdict(list)
        for sent in self._asked("RefundOrder", number):
            asked[sent.request.refund_id].append(sent)
        found = Counter(sale.refund_id for sale in sales if sale.return_for)
        for refund_id, count in found.items():
            if count > 1 or refund_id not in {CANCEL_ID, *asked}:
                self._say(f"{where} has refund {refund_id!r} {count} times")
        for refund_id, sents in asked.items():
            done = [sent for sent in sents if sent.done]
            if done and refund_id not in found:
                self._say(f"{where} has lost refund {refund_id!r}")
            for sale in sales:
                if sale.refund_id == refund_id:
                    told = [_asked_for(sent.request) for sent in done or sents]
                    got = (_lines([sale]), _nanos(sale.total))
                    if (any if not done else all)(one == got for one in told):
                        continue
                    self._say(f"{where} gave {got} back of {told}")

    def _check_lines(
        self,
        where: str,
        order: order_pb2.Order,
        sales: Sequence[order_pb2.Sale],
        going: Sequence[fulfillment_pb2.Fulfillment],
    ) -> None:
        """The books of each line say what its sales and fulfillments say."""
        sold = _lines(sale for sale in sales if not sale.return_for)
        back = _lines(sale for sale in sales if sale.return_for)
        void = any(sale.state == order_pb2.SALE_STATE_VOIDED for sale in sales)
        handed, given_up = Counter[str](), Counter[str]()
        for one in going:
            for line in one.lines:
                handed[line.line_id] += thousandths(line.fulfilled)
                given_up[line.line_id] += thousandths(line.canceled)
        for account in order.line_accounts:
            line_id, ordered = account.line_id, thousandths(account.ordered)
            canceled, fulfilled = thousandths(account.canceled), thousandths(account.fulfilled)
            gone = canceled + thousandths(account.returned)
            if ordered != sold[line_id]:
                self._say(f"{where} sold {sold[line_id]} of {account}")
            if gone != (ordered if void else -back[line_id]):
                self._say(f"{where} took {-back[line_id]} back: {account}")
            right = (
                (given_up[line_id], handed[line_id]) if going else (canceled, ordered - canceled)
            )
            if (canceled, fulfilled) != right:
                self._say(f"{where} has canceled and handed over {right}: {account}")

    def _check_void(self, where: str, number: str, sales: Sequence[order_pb2.Sale]) -> None:
        """Of a sale that is void all that was taken is put back once, and nothing of another; where
        an outside point of sale has the stock, its levels say so.
        """
        found = Counter[str]()
        for one in self._ledger.movements:
            mine = one.place[0] == self._shop.merchant and one.cause == f"order {number}"
            if mine and one.kind == RESTOCK:
                found[one.place[1]] += one.quantity
        right = Counter[str]()
        for sale in sales:
            if sale.state == order_pb2.SALE_STATE_VOIDED and not self._shop.outside_pos:
                for line in sale.lines:
                    right[line.item_id] += thousandths(line.quantity) * (not line.not_restocked)
        found -= self._ledger.put_back.get((self._shop.merchant, f"order {number}"), Counter())
        if found != +right and not any(sale.stock_pending for sale in sales):
            self._say(f"{where} is void and put {found} back of {right}")

    def _check_handing_over(self, where: str, found: fulfillment_pb2.Fulfillment) -> None:
        """What was confirmed to be handed over is, once; nothing is beyond what was asked for."""
        sure, perhaps = Counter[str](), Counter[str]()
        for sent in self._shop.book.of("CompleteFulfillment"):
            if sent.request.fulfillment_id == found.fulfillment_id:
                for step in sent.request.lines:
                    sure[step.line_id] += thousandths(step.quantity) * sent.done
                    perhaps[step.line_id] += thousandths(step.quantity)
        for line in found.lines:
            quantity, picked, packed, fulfilled, canceled = map(
                thousandths,
                (line.quantity, line.picked, line.packed, line.fulfilled, line.canceled),
            )
            if not quantity - canceled >= picked >= packed >= fulfilled >= 0:
                self._say(f"{where} does not add up: {line}")
            if not sure[line.line_id] <= fulfilled <= perhaps[line.line_id]:
                self._say(f"{where} handed over {line}, asked were {sure} to {perhaps}")


_ANSWERS: dict[str, Any] = {
    "CancelOrder": order_pb2.CancelOrderResponse,
    "RefundOrder": order_pb2.RefundOrderResponse,
}


def _asked_for(request: order_pb2.RefundOrderRequest) -> tuple[Lines, int]:
    lines = Counter({one.line_id: -thousandths(one.quantity) for one in request.lines})
    return lines, -_nanos(request.amount)


def _lines(sales: Iterable[order_pb2.Sale]) -> Lines:
    found: Lines = Counter()
    for line_id, quantity in _quantities(sales):
        found[line_id] += quantity
    return found


def _quantities(sales: Iterable[order_pb2.Sale]) -> Iterator[tuple[str, int]]:
    for sale in sales:
        for line in sale.lines:
            yield line.line_id, thousandths(line.quantity)


def _nanos(amount: Money) -> int:
    return int(amount.units) * _NANOS + int(amount.nanos)
