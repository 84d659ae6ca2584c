"""How an order goes on by itself.

A run is taken with a lease, goes step by step, and saves what became of each step before it takes
the next. What many runs ask of a service at the same moment travels as one call, and their outcomes
are saved in one transaction: runs that began together stay together. A process that dies loses its
leases in a while, and whoever takes a run next repeats what was not kept, under the same request
ids.
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
from services.chassis.values import replace
from services.order.peers import Peers
from services.order.pool import Pool
from services.order.rules.case import Case
from services.order.rules.order import (
    Committed,
    Held,
    Order,
    OrderKey,
    Outcome,
    Refused,
    Released,
    apply,
    resolve,
)
from services.order.rules.progress import Progress, Step, advance, settle
from services.order.rules.sale import Channel
from services.order.service.cases import Cases
from services.order.store import orders

RUNS_MAX = 256
"""Orders that one process runs at once."""
LEASE = timedelta(seconds=10)
"""How long a run stays taken without a step: longer than a call may last."""
STEPS_MAX = 20

_ITSELF = Caller("order", "", frozenset())

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Settling:
    """A run's outcomes on their way into the database, and what they come to there."""

    key: OrderKey
    outcomes: Sequence[Outcome]
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
        if not await self._database.read(lambda c: orders.is_due(c, now)):
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
            await self._settle(key, (Refused(error),), None)
            return
        progress = None
        if not order.sale_id:
            progress = advance(Case(order), channel, self._database.clock())
        if progress is None or progress.step is None or progress.case.order != order:
            progress = await self._settle(key, (), channel)
        for _ in range(STEPS_MAX):
            if progress.step is None:
                return
            failpoints.at("order.step.due")
            outcomes = await self._outcomes(progress.case, progress.step, channel)
            failpoints.at("order.step.done")
            progress = await self._settle(key, outcomes, channel)
        log.warning("a long run; it goes on when its lease ends", order_id=key.order_id)

    async def _outcomes(self, case: Case, step: Step, channel: Channel) -> Sequence[Outcome]:
        """What becomes of a step. Where it only looks something up and the next one finds out the
        buyer, that is done too before both are kept: a commit for each would cost as much again.
        """
        outcome = await self._do(case.order, step)
        if step is not Step.RESOLVE or isinstance(outcome, Refused):
            return (outcome,)
        ahead = settle(case, outcome, channel, self._database.clock())
        if ahead.step is not Step.MATCH:
            return (outcome,)
        return outcome, await self._do(ahead.case.order, Step.MATCH)

    async def _do(self, order: Order, step: Step) -> Outcome:
        """Asks another service; what it refuses, or a fault of ours, is an outcome too."""
        asked = order.hold if step in {Step.RESERVE, Step.TAKE} else None
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
        if step in {Step.RESERVE, Step.TAKE}:
            begin = self._peers.take if hold.take else self._peers.reserve
            return Held(hold, await begin(key, hold))
        assert order.reservation
        reservation_id = order.reservation.reservation_id
        if step in {Step.RELEASE, Step.PUT_BACK}:
            end = self._peers.put_back if hold.take else self._peers.release
            await end(key, reservation_id)
            return Released(reservation_id)
        await self._peers.commit(key, order.reservation, order.pos_version)
        return Committed()

    async def _settle(
        self, key: OrderKey, outcomes: Sequence[Outcome], channel: Channel | None
    ) -> Progress:
        settling = _Settling(key, outcomes, channel)
        # Not a message, but all that a command without a request id needs of one.
        call: Call[Any, Any] = Call(_ITSELF, cast("Any", settling))
        await self._database.write("settle orders", self._settle_all, call)
        assert settling.progress
        return settling.progress

    def _settle_all(self, transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
        jobs: list[_Settling] = [call.request for call in calls]
        cases = Cases(transaction, [job.key for job in jobs])
        for call, job in zip(calls, jobs, strict=True):
            case = cases.going[job.key]
            for outcome in job.outcomes[:-1]:
                case = replace(case, order=apply(case.order, outcome, transaction.now))
            last = job.outcomes[-1] if job.outcomes else None
            job.progress = settle(case, last, job.channel, transaction.now)
            cases.going[job.key] = job.progress.case
            call.answer = b""
        _save_orders(transaction, cases, jobs)
        cases.save_rest()
        cases.tell_orders()


def _save_orders(transaction: Transaction, cases: Cases, jobs: Sequence[_Settling]) -> None:
    """Saves the orders; a run that ends gives back its lease."""
    connection, known = transaction.connection, cases.orders
    on = {job.key for job in jobs if job.progress and job.progress.step}
    lease_time = transaction.now + LEASE
    going = {key: case.order for key, case in cases.going.items()}
    running = [going[key] for key in going if key in on]
    ended = [going[key] for key in going if key not in on]
    orders.save_orders(connection, running, known, lease_time=lease_time)
    orders.save_orders(connection, ended, known, lease_time=None)
    awaited = [order for key, order in going.items() if order.awaited != known[key].awaited]
    orders.set_awaited(connection, awaited)
