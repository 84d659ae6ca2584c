"""How the stock of tills' sales is taken."""

from collections.abc import Sequence
from typing import Any, cast

from services.chassis import failpoints
from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.order.peers import Peers
from services.order.pool import Pool
from services.order.rules import sale as sale_rules
from services.order.rules.sale import Sale, SaleKey
from services.order.service.runs import LEASE, RUNS_MAX
from services.order.store import sales, statements, tables

_ITSELF = Caller("order", "", frozenset())


class StockTakes:
    """Takes the stock of tills' sales."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self.pool = Pool("sales", RUNS_MAX, self._take, self._run)

    async def _take(self, count: int) -> Sequence[Sale]:
        now = self._database.clock()
        if not await self._database.read(lambda c: statements.is_due(c, tables.SALES, now)):
            return ()
        return await self._database.apply(
            "take sales",
            lambda t: sales.claim_sales(t.connection, t.now, t.now + LEASE, count),
        )

    async def _run(self, sale: Sale) -> None:
        error = None
        try:
            for change in sale_rules.stock_changes(sale):
                await self._peers.adjust(sale, change)
                failpoints.at("sale.taken")
        except DomainError as refusal:
            error = refusal
        job: Call[Any, Any] = Call(_ITSELF, cast("Any", (sale.key, error)))
        await self._database.write("settle sales", self._settle_all, job)

    def _settle_all(self, transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
        connection = transaction.connection
        jobs: list[tuple[SaleKey, DomainError | None]] = [call.request for call in calls]
        known = sales.sales(connection, [key for key, _ in jobs], lock=True)
        settled = {
            key: sale_rules.not_taken(known[key], error, transaction.now)
            if error
            else sale_rules.taken(known[key])
            for key, error in jobs
        }
        sales.save_sales(connection, list(settled.values()), known)
        for call in calls:
            call.answer = b""
