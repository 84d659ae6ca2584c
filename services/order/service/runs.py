"""How an order goes on by itself.

A run is taken with a lease, goes step by step, and saves what became of each step before it takes
the next. Outcomes of many runs are saved in one transaction. A process that dies loses its leases
in a while, and whoever takes a run next repeats at most one step, under the same request id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import structlog

from services.chassis import failpoints
from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.order.peers import Peers
from services.order.pool import Pool
from services.order.rules.document import FulfillmentKind
from services.order.rules.fulfillment import Fulfillment
from services.order.rules.order import (
    Committed,
    Held,
    Order,
    OrderKey,
    Outcome,
    Refused,
    Released,
    resolve,
)
from services.order.rules.progress import Progress, Step, advance, settle
from services.order.rules.sale import Channel, Sale, SaleKey
from services.order.service.told import tell_order, tell_sale
from services.order.store import fulfillments, orders, sales, statements, tables

RUNS_MAX = 32
"""Orders that one process runs at once."""
LEASE = timedelta(seconds=10)
"""How long a run stays taken without a step: longer than a call may last."""
STEPS_MAX = 20

_ITSELF = Caller("order", "", frozenset())

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Settling:
    """A run's outcome on its way into the database, and what it comes to there."""

    key: OrderKey
    outcome: Outcome | None
    channel: Channel | None
    progress: Progress | None = None


class OrderRuns:
    """Runs orders that are due."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self.pool = Pool("orders", RUNS_MAX, self._take, self._run)

    async def _take(self, count: int) -> Sequence[Order]:
        now = self._database.clock()
        if not await self._database.read(lambda c: statements.is_due(c, tables.ORDERS, now)):
            return ()
        return await self._database.apply(
            "take orders",
            lambda t: orders.claim_orders(t.connection, t.now, t.now + LEASE, count),
        )

    async def _run(self, order: Order) -> None:
        failpoints.at("order.taken")
        key = order.key
        try:
            channel = await self._peers.channel(key.merchant_id, key.channel_id)
        except DomainError as error:
            await self._settle(key, Refused(error), None)
            return
        progress = None
        if not order.sale_id:
            progress = advance(order, None, channel, self._database.clock())
        if progress is None or progress.step is None or progress.order != order:
            progress = await self._settle(key, None, channel)
        for _ in range(STEPS_MAX):
            if progress.step is None:
                return
            failpoints.at("order.step.due")
            outcome = await self._do(progress.order, progress.step)
            failpoints.at("order.step.done")
            progress = await self._settle(key, outcome, channel)
        log.warning("a long run; it goes on when its lease ends", order_id=key.order_id)

    async def _do(self, order: Order, step: Step) -> Outcome:
        """Asks another service; what it refuses, or a fault of ours, is an outcome too."""
        asked = order.hold if step is Step.RESERVE else None
        try:
            return await self._ask(order, step)
        except DomainError as error:
            return Refused(error, hold=asked)
        except Exception:
            log.exception("step failed", step=step.name, order_id=order.key.order_id)
            return Refused(DomainError("INTERNAL", f"a fault on our side: {step.value}"))

    async def _ask(self, order: Order, step: Step) -> Outcome:
        key, document = order.key, order.document
        assert document
        if step is Step.RESOLVE:
            return resolve(document, await self._peers.resolve(key, document))
        if step is Step.MATCH:
            return await self._peers.match(key, document)
        hold = order.hold
        assert hold
        if step is Step.RESERVE:
            return Held(hold, await self._peers.reserve(key, hold))
        assert order.reservation
        reservation_id = order.reservation.reservation_id
        if step is Step.RELEASE:
            await self._peers.release(key, reservation_id)
            return Released(reservation_id)
        await self._peers.commit(key, reservation_id, order.pos_version)
        return Committed()

    async def _settle(
        self, key: OrderKey, outcome: Outcome | None, channel: Channel | None
    ) -> Progress:
        settling = _Settling(key, outcome, channel)
        # Not a message, but all that a command without a request id needs of one.
        call: Call[Any, Any] = Call(_ITSELF, cast("Any", settling))
        await self._database.write("settle orders", self._settle_all, call)
        assert settling.progress
        return settling.progress

    def _settle_all(self, transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
        connection, now = transaction.connection, transaction.now
        jobs: list[_Settling] = [call.request for call in calls]
        known = orders.orders(connection, [job.key for job in jobs], lock=True)
        of_orders = [_sale_key(order) for order in known.values() if order.sale_id]
        known_sales = sales.sales(connection, of_orders, lock=True)
        going = dict(known)
        going_sales = dict(known_sales)
        added: list[Fulfillment] = []
        for call, job in zip(calls, jobs, strict=True):
            order = going[job.key]
            sale = going_sales.get(_sale_key(order))
            progress = settle(order, sale, job.outcome, job.channel, now)
            job.progress = progress
            going[job.key] = progress.order
            if progress.sale:
                going_sales[progress.sale.key] = progress.sale
            added += progress.fulfillments
            call.answer = b""
        _save_orders(transaction, known, going, jobs)
        changed = [sale for key, sale in going_sales.items() if known_sales.get(key) != sale]
        sales.save_sales(connection, changed, known_sales)
        fulfillments.add_fulfillments(connection, added)
        fulfillments.set_fulfillment_kinds(connection, _kinds(going, known_sales, changed))
        for sale in changed:
            tell_sale(transaction, sale)


def _sale_key(order: Order) -> SaleKey:
    return SaleKey(order.key.merchant_id, order.sale_id)


def _save_orders(
    transaction: Transaction,
    known: dict[OrderKey, Order],
    going: dict[OrderKey, Order],
    jobs: Sequence[_Settling],
) -> None:
    """Saves orders and tells what is new of them; a run that ends gives back its lease."""
    connection = transaction.connection
    on = {job.key for job in jobs if job.progress and job.progress.step}
    lease_time = transaction.now + LEASE
    running = [going[key] for key in going if key in on]
    ended = [going[key] for key in going if key not in on]
    orders.save_orders(connection, running, known, lease_time=lease_time)
    orders.save_orders(connection, ended, known, lease_time=None)
    awaited = [order for key, order in going.items() if order.awaited != known[key].awaited]
    orders.set_awaited(connection, awaited)
    for key, order in going.items():
        before = known[key]
        reason = order.waiting.reason if order.waiting else ""
        reason_before = before.waiting.reason if before.waiting else ""
        if (order.state, reason) != (before.state, reason_before):
            tell_order(transaction, order)


def _kinds(
    going: dict[OrderKey, Order], known: dict[SaleKey, Sale], changed: Sequence[Sale]
) -> dict[SaleKey, FulfillmentKind]:
    """How what belongs to the sales that followed their orders is handed over now."""
    followed = {sale.key for sale in changed if sale.key in known}
    return {
        _sale_key(order): order.document.fulfillment_kind
        for order in going.values()
        if order.document and _sale_key(order) in followed
    }
