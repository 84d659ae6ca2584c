"""What must be true at a quiet moment: nothing is on its way, and everybody has heard it all."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.simulation.accounts import Accounts
from tests.simulation.auditor import LIVE, Ledger, Place, thousandths
from tests.simulation.book import Sent
from tests.simulation.people import AWAITING, CANCELED, PAID, Scene
from tests.simulation.shelves import Shelves
from tests.simulation.shop import Placed, Shop
from tillbridge.customer.v1 import customer_pb2
from tillbridge.errors.v1 import errors_pb2
from tillbridge.inventory.v1 import audit_pb2, channels_pb2, inventory_pb2
from tillbridge.order.v1 import fulfillment_pb2, order_pb2

MAY_WAIT_FOR = {
    "INSUFFICIENT_STOCK",
    "ITEM_NOT_FOUND",
    "CANCELED_AFTER_POSTING",
    "LINES_CHANGED_AFTER_HOLD",
    "MOVED_AFTER_POSTING",
}
HANDING_OVER = {"FULFILLMENT_ENDED", "VERSION_CONFLICT", "QUANTITY_EXCEEDS_ORDERED"}
MAY_REFUSE = {
    "RecordCounts": {"ITEM_NOT_FOUND"},
    "AdjustStock": {"ITEM_NOT_FOUND"},
    "TransferStock": {"ITEM_NOT_FOUND"},
    "ReserveStock": {"INSUFFICIENT_STOCK", "ITEM_NOT_FOUND"},
    "SetConnectedOutlets": {"OUTLET_LOCKED_BY_REGISTER", "OUTLET_IS_PRIMARY", "FIXED_BY_POLICY"},
    "SetRegister": {"FIXED_BY_POLICY"},
    "ReleaseReservation": {"RESERVATION_ENDED"},
    "CommitReservation": {"RESERVATION_ENDED"},
    "SendTransfer": {"ITEM_NOT_FOUND"},
    "ReceiveTransfer": {"TRANSFER_ENDED", "ITEM_NOT_FOUND"},
    "SetBuffer": {"ITEM_NOT_FOUND"},
    "SetPrimaryOutlet": {"FIXED_BY_POLICY", "OUTLET_NOT_CONNECTED"},
    "UpdateChannel": {"FIXED_BY_POLICY"},
    "ReportStockEdit": {"ITEM_NOT_FOUND"},
    "CancelOrder": {"ORDER_NOT_FOUND", "NOTHING_TO_CANCEL"},
    "RefundOrder": {
        "ORDER_NOT_FOUND",
        "ORDER_NOT_POSTED",
        "QUANTITY_EXCEEDS_ORDERED",
        "REFUND_EXCEEDS_PAID",
        "REFUND_EXISTS",
    },
    "PickFulfillment": HANDING_OVER,
    "PackFulfillment": HANDING_OVER,
    "CompleteFulfillment": {*HANDING_OVER, "SALE_UNPAID"},
    "ResolveIncident": {"RESERVATION_ENDED", "RESERVATION_NOT_FOUND", "INSUFFICIENT_STOCK"},
    "DrainOutlet": {
        "OUTLET_NOT_CONNECTED",
        "OUTLET_LOCKED_BY_REGISTER",
        "OUTLET_IS_PRIMARY",
        "FIXED_BY_POLICY",
    },
}
"""Reasons that actors may run into."""
_UNIT = 1000


class Audit:
    """One look at one shop."""

    def __init__(self, scene: Scene, ledger: Ledger, raw: Any) -> None:
        self._scene = scene
        self._shop: Shop = scene.shop
        self._ledger = ledger
        self._raw = raw
        self._kept_back: set[str] = set()
        """Channels whose orders are not to be posted now (ORD-09)."""
        self.findings: list[str] = []

    async def run(self) -> list[str]:
        """What is wrong."""
        self._check_calls()
        self.findings += await Shelves(self._scene, self._ledger, self._raw).run()
        await self._check_orders()
        await self._check_till_sales()
        await self._check_customers()
        self._check_outside_pos()
        return [f"{self._shop.merchant}: {finding}" for finding in self.findings]

    def _say(self, text: str) -> None:
        self.findings.append(text)

    def _places(self) -> Iterable[Place]:
        return (
            (self._shop.merchant, item, outlet)
            for item in self._shop.items
            for outlet in self._shop.outlets
        )

    def _check_calls(self) -> None:
        """Every request took effect once if anybody was told so, and was always answered alike."""
        done = self._effects()
        for (method, request_id), sent in self._shop.book.sent.items():
            if len(sent.answers) > 1:
                self._say(f"{method} {request_id!r} was answered in {len(sent.answers)} ways")
            odd = sent.refusals - MAY_REFUSE.get(method, set())
            if odd:
                self._say(f"{method} {request_id!r} was refused for {sorted(odd)}")
            found = done.get(request_id, Counter())
            if method == "ReportStockEdit":
                self._check_edit(sent, found)
            elif method == "CheckStock":
                self._check_proof(sent)
            wanted = _wanted(method, sent.request)
            if wanted is None:
                continue
            if found and found != wanted:
                self._say(f"{method} {request_id!r} did {found} instead of {wanted}")
            if sent.done and not found:
                self._say(f"{method} {request_id!r} was confirmed and did nothing")

    def _check_edit(self, sent: Sent, found: Counter[tuple[str, str, int]]) -> None:
        """A level that was typed in a store moves stock once where that is accepted, and else never
        (INV-10).
        """
        where = f"edit {sent.request.request_id!r}"
        accepted = [
            inventory_pb2.ReportStockEditResponse.FromString(one).outcome
            == inventory_pb2.STOCK_EDIT_OUTCOME_ADJUSTED
            for one in sent.answers
        ]
        times = sum(found.values())
        if found and sent.request.channel_id not in self._shop.accepting:
            self._say(f"{where} moved {found}, and its channel takes none")
        if times > 1 or (accepted and times != sum(accepted)):
            self._say(f"{where} was accepted {sum(accepted)} times and moved {found}")

    def _check_proof(self, sent: Sent) -> None:
        """The service finds nothing wrong with itself, whatever it was at."""
        for answer in sent.answers:
            wrong = audit_pb2.CheckStockResponse.FromString(answer).findings
            if wrong:
                self._say(f"{sent.request.request_id!r} found {wrong}")

    def _effects(self) -> dict[str, Counter[tuple[str, str, int]]]:
        done: dict[str, Counter[tuple[str, str, int]]] = defaultdict(Counter)
        for one in self._ledger.movements:
            if one.place[0] == self._shop.merchant:
                done[one.request_id][one.place[1], one.place[2], one.quantity] += 1
        return done

    async def _check_orders(self) -> None:
        """Every order is posted once, or canceled, or waits with a reason; none is lost."""
        services, book = self._shop.services, self._shop.book
        found = await book.ask(
            services.orders.ListOrders, order_pb2.ListOrdersRequest(page_size=1000)
        )
        orders = {one.document.order_id: one for one in found.orders}
        await self._look_at_channels()
        sales: dict[str, list[order_pb2.Sale]] = defaultdict(list)
        listed = await book.ask(
            services.orders.ListSales,
            order_pb2.ListSalesRequest(page_size=1000, origin=order_pb2.SALE_ORIGIN_ONLINE),
        )
        for sale in listed.sales:
            sales[sale.order_id].append(sale)
        going = await book.ask(
            services.fulfillments.ListFulfillments,
            fulfillment_pb2.ListFulfillmentsRequest(page_size=1000),
        )
        accounts = Accounts(self._shop, self._ledger, listed.sales, going.fulfillments)
        self.findings += await accounts.run(found.orders)
        for number, placed in self._shop.orders.items():
            order = orders.pop(number, None)
            if order is None:
                self._say(f"order {number} is lost")
            else:
                self._check_order(number, placed, order, sales.pop(number, []))
        if orders or sales:
            self._say(f"orders {sorted(orders)} and sales of {sorted(sales)} came from nowhere")

    async def _look_at_channels(self) -> None:
        found = await self._shop.book.ask(
            self._shop.services.channels.ListChannels, channels_pb2.ListChannelsRequest()
        )
        self._kept_back = {one.channel_id for one in found.channels if not one.policies.post_sales}

    def _check_order(
        self, number: str, placed: Placed, order: order_pb2.Order, sales: list[order_pb2.Sale]
    ) -> None:
        reason = errors_pb2.ErrorReason.Name(order.waiting_reason).removeprefix("ERROR_REASON_")
        state = order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_")
        where = f"order {number} ({state} {reason})"
        if order.document.version != placed.latest.version:
            self._say(f"{where} is at version {order.document.version} of {placed.latest.version}")
            return
        held = self._held(number)
        returns = [one for one in sales if one.return_for]
        sales = [one for one in sales if not one.return_for]
        if len(sales) > 1:
            self._say(f"{where} has {len(sales)} sales")
        for one in returns:
            self._check_restock(where, one)
        freed = self._freed(number)
        if freed and not held and reason == "RESERVATION_ENDED":
            return  # an operator gave its stock to others, and that is said
        if state == "POSTED":
            self._check_sale(where, placed, order, sales, returns)
            if held != _ordered(sales[0] if sales else None) and not freed:
                self._say(f"{where} holds or took {held}")
            return
        if sales and state == "CANCELED":
            self._check_canceled(where, placed, held, [*sales, *returns])
            return
        if sales:
            self._say(f"{where} has a sale")
        self._check_waiting(where, placed, order, held)

    def _check_canceled(
        self, where: str, placed: Placed, held: Counter[str], sales: list[order_pb2.Sale]
    ) -> None:
        """What was sold before its order was canceled is returned, all of it and once, or its sale
        is void (ORD-13).
        """
        if not self._may_be_canceled(placed):
            self._say(f"{where} is canceled, and nobody has done that")
        if sales[0].state == order_pb2.SALE_STATE_VOIDED:
            if len(sales) > 1:
                self._say(f"{where} is void, and returned too")
            return
        if held != _ordered(sales[0]):
            self._say(f"{where} holds {held}")
        self._check_all_came_back(where, sales)

    def _check_all_came_back(self, where: str, sales: list[order_pb2.Sale]) -> None:
        kept = Counter[str]()
        for sale in sales:
            kept.update(_ordered(sale))
        if any(kept.values()):
            self._say(f"{where} has sold {kept} after all returns")

    def _may_be_canceled(self, placed: Placed) -> bool:
        """Whether its store has canceled an order, somebody here, or who took all of it back."""
        number = placed.latest.order_id
        return placed.latest.payment_status == CANCELED or any(
            sent.request.order_id == number
            for method in ("CancelOrder", "RefundOrder")
            for sent in self._shop.book.of(method)
        )

    def _check_restock(self, where: str, sale: order_pb2.Sale) -> None:
        """What came back of an order is in stock again, once; where an outside point of sale has
        the stock, its levels say so.
        """
        found = Counter[str]()
        cause = f"order {sale.order_id}, refund {sale.refund_id}"
        for one in self._ledger.movements:
            if one.place[0] == self._shop.merchant and one.cause == cause:
                found[one.place[1]] += one.quantity
        right = Counter[str]()
        for line in sale.lines:
            if not (line.not_restocked or self._shop.outside_pos):
                right[line.item_id] -= thousandths(line.quantity)
        if found != right and not sale.stock_pending:
            self._say(f"{where} put {found} back of {right}")

    def _check_waiting(
        self, where: str, placed: Placed, order: order_pb2.Order, held: Counter[str]
    ) -> None:
        state = order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_")
        reason = errors_pb2.ErrorReason.Name(order.waiting_reason).removeprefix("ERROR_REASON_")
        if state == "CANCELED":
            if held or not self._may_be_canceled(placed):
                self._say(f"{where} holds {held}")
        elif reason != "UNSPECIFIED":
            if reason not in MAY_WAIT_FOR or not order.waiting_message:
                self._say(f"{where} waits: {order.waiting_message}")
        elif state != "HELD" or not (
            placed.latest.payment_status == AWAITING or placed.channel_id in self._kept_back
        ):
            self._say(f"{where} stands still")

    def _check_sale(
        self,
        where: str,
        placed: Placed,
        order: order_pb2.Order,
        sales: list[order_pb2.Sale],
        returns: list[order_pb2.Sale],
    ) -> None:
        if len(sales) != 1:
            self._say(f"{where} has no sale")
            return
        sale, document = sales[0], placed.latest
        if order.waiting_reason:
            return  # the document went on without the sale, and that is said
        if document.payment_status == CANCELED:
            self._check_all_came_back(where, [sale, *returns])
        elif sale.paid != (document.payment_status == PAID):
            self._say(f"{where} is paid: {sale.paid}, the store says {document.payment_status}")
        if len(sale.payments) > 1:
            self._say(f"{where} has {len(sale.payments)} payments")

    def _freed(self, number: str) -> bool:
        """Whether an operator may have given free what an order held, on account of an incident."""
        return any(
            method == "ResolveIncident"
            and sent.request.reservation_id
            and not sent.request.to_outlet_id
            and self._cause(sent.request.reservation_id) == f"order {number}"
            for (method, _), sent in self._shop.book.sent.items()
        )

    def _cause(self, reservation_id: str) -> str:
        return self._ledger.reservations.get((self._shop.merchant, reservation_id), ("", 0))[0]

    def _held(self, number: str) -> Counter[str]:
        """What live reservations of an order hold or have taken, by item."""
        found: Counter[str] = Counter()
        for key, hold in self._ledger.holds.items():
            cause, state = self._ledger.reservations[key[:2]]
            if cause == f"order {number}" and state in LIVE:
                found[hold.place[1]] += hold.quantity
        return found

    async def _check_till_sales(self) -> None:
        """Each sale of a till is in the history once, and its stock is taken once."""
        taken: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for one in self._ledger.movements:
            if one.place[0] == self._shop.merchant:
                taken[one.cause][one.place[1], one.place[2]] -= one.quantity
        found = await self._shop.book.ask(
            self._shop.services.orders.ListSales,
            order_pb2.ListSalesRequest(page_size=1000, origin=order_pb2.SALE_ORIGIN_TILL),
        )
        sales = {sale.sale_id: sale for sale in found.sales}
        for sale_id, told in self._shop.sales.items():
            sent = self._shop.book.sent["RecordSale", f"sell {sale_id}"]
            if sale_id not in sales:
                if sent.done:
                    self._say(f"sale {sale_id} is lost")
                continue
            if sales[sale_id].stock_pending:
                if "ITEM_NOT_FOUND" not in sales[sale_id].stock_error:
                    self._say(f"sale {sale_id} waits: {sales[sale_id].stock_error!r}")
                continue
            right = Counter(
                {(line.item_id, told.outlet_id): thousandths(line.quantity) for line in told.lines}
            )
            if taken[f"sale {sale_id}"] != right:
                self._say(f"sale {sale_id} took {taken[f'sale {sale_id}']} of {right}")

    async def _check_customers(self) -> None:
        """Each address has one profile."""
        found = await self._shop.book.ask(
            self._shop.services.customers.ListCustomers,
            customer_pb2.ListCustomersRequest(page_size=1000),
        )
        emails = Counter(one.email.strip().casefold() for one in found.customers)
        twice = [email for email, number in emails.items() if number > 1]
        if twice:
            self._say(f"several profiles have {twice}")

    def _check_outside_pos(self) -> None:
        """What is known is what the outside point of sale has, and every hold has its evidence."""
        pos = self._scene.pos
        if pos is None:
            return
        for place in self._places():
            if place[1] in self._shop.gone:
                continue
            real, known = pos.levels[place[1:]], self._ledger.on_hand.get(place, 0)
            if real * _UNIT != known:
                self._say(f"{place} is {known}, the point of sale has {real * _UNIT}")
        for key, hold in self._ledger.holds.items():
            merchant, item, outlet = hold.place
            if merchant != self._shop.merchant or not hold.held or hold.pos_version is None:
                continue
            if item not in self._shop.gone and pos.versions[item, outlet] > hold.pos_version:
                self._say(f"hold {key} stays, though its sale is counted: {hold}")


def _wanted(method: str, request: Any) -> Counter[tuple[str, str, int]] | None:
    """What a request moves, where it says so itself."""
    wanted: Counter[tuple[str, str, int]] = Counter()
    if method == "AdjustStock":
        for line in request.lines:
            wanted[line.item_id, line.outlet_id, thousandths(line.quantity)] += 1
        return wanted
    if method == "TransferStock":
        for line in request.lines:
            quantity = thousandths(line.quantity)
            wanted[line.item_id, request.from_outlet_id, -quantity] += 1
            wanted[line.item_id, request.to_outlet_id, quantity] += 1
        return wanted
    return None


def _ordered(sale: order_pb2.Sale | None) -> Counter[str]:
    """What an order's sale sells, by item."""
    found: Counter[str] = Counter()
    for line in sale.lines if sale else ():
        found[line.item_id] += thousandths(line.quantity)
    return found
