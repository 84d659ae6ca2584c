"""How the stock that sales move by themselves is moved."""

from collections.abc import Sequence
from typing import Any, cast

from services.chassis import failpoints
from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.order.peers import Peers
from services.order.pool import Pool
from services.order.rules import stock
from services.order.rules.sale import Sale
from services.order.service.runs import LEASE, RUNS_MAX
from services.order.store import sales

_ITSELF = Caller("order", "", frozenset())


class StockTakes:
    """Moves the stock that sales move by themselves: tills' sales, and what comes back."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self.pool = Pool("sales", RUNS_MAX, self._take, self._run)

    async def _take(self, count: int) -> Sequence[Sale]:
        now = self._database.clock()
        if not await self._database.read(lambda c: sales.is_due(c, now)):
            return ()
        return await self._database.apply(
            "take sales",
            lambda t: sales.claim_sales(t.connection, t.now, t.now + LEASE, count),
        )

    async def _run(self, sale: Sale) -> None:
        error = None
        try:
            for change in stock.stock_changes(sale):
                await self._peers.adjust(sale, change)
                failpoints.at("sale.taken")
        except DomainError as refusal:
            error = refusal
        job: Call[Any, Any] = Call(_ITSELF, cast("Any", (sale, error)))
        await self._database.write("settle sales", self._settle_all, job)

    def _settle_all(self, transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
        connection = transaction.connection
        jobs: list[tuple[Sale, DomainError | None]] = [call.request for call in calls]
        known = sales.sales(connection, [moved.key for moved, _ in jobs], lock=True)
        settled = {
            moved.key: stock.not_taken(known[moved.key], moved, error, transaction.now)
            if error
            else stock.taken(known[moved.key], moved)
            for moved, error in jobs
        }
        sales.save_sales(connection, list(settled.values()), known)
        for call in calls:
            call.answer = b""
