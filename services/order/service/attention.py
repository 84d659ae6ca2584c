"""The RPCs of what waits for an operator."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from services.chassis import pages
from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.rpc import View, command, query
from services.order.rules import attention as rules
from services.order.rules import order as order_rules
from services.order.rules import refused as refusals
from services.order.rules.attention import Cause
from services.order.rules.order import OrderKey, retried
from services.order.rules.sale import SaleKey
from services.order.service.told import ask_for_document, tell_order, tell_sale
from services.order.store import attention as store
from services.order.store import orders, refused, sales
from services.order.wire import attention as wire
from services.order.wire import orders as order_wire
from tillbridge.order.v1 import order_pb2 as pb

RETRY_ALL = "tillbridge.order.v1.OrderService.RetryOrders"
RETRY_MAX = 200
"""How many of a group one transaction lets go on, so that calls need not wait for all of it."""

RetryAllCall = Call[pb.RetryOrdersRequest, pb.RetryOrdersResponse]
ReportRefusedCall = Call[pb.ReportStoreUpdateRefusedRequest, pb.ReportStoreUpdateRefusedResponse]


class Attention:
    """The part of `tillbridge.order.v1.OrderService` that is about what waits for an operator
    (BEY-09).
    """

    _database: Database

    @query
    def list_attention(
        self, view: View, request: pb.ListAttentionRequest
    ) -> pb.ListAttentionResponse:
        """What waits, by cause and key."""
        begin, after = pages.key_before(request, int, str) or (0, "")
        size = pages.page_size(request)
        found: list[rules.Group] = []
        for cause in Cause:
            missing = size + 1 - len(found)
            if cause >= begin and missing:
                behind = after if cause == begin else None
                found += store.groups(view.connection, view.merchant, cause, behind, missing)
        last = found[size - 1] if found[size:] else None
        token = pages.token_after(request, int(last.cause), last.key) if last else ""
        return wire.page(found[:size], token)

    @command
    def report_store_update_refused(
        self, transaction: Transaction, calls: Sequence[ReportRefusedCall]
    ) -> None:
        """Keeps that a store refuses to show how an order stands here (BEY-09)."""
        connection = transaction.connection
        keys = [order_wire.order_key(call.merchant, call.request) for call in calls]
        known = orders.orders(connection, keys, lock=True)
        saved: list[refusals.RefusedUpdate] = []
        for call, key in zip(calls, keys, strict=True):
            with call:
                if key not in known:
                    raise order_rules.order_not_found(key)
                told = order_wire.refused_update(call.request, key, transaction.now)
                if kept := refusals.refuse_update(told, known[key]):
                    saved.append(kept)
                call.reply(pb.ReportStoreUpdateRefusedResponse())
        refused.save_refused_updates(connection, saved)

    async def retry_orders(
        self, caller: Caller, request: pb.RetryOrdersRequest
    ) -> pb.RetryOrdersResponse:
        """Lets all of a group go on now, some at a time, once the answer is kept: a repeat changes
        nothing. Should this process die half-way, the rest of the group is still listed.
        """
        fresh: list[bool] = []
        call: RetryAllCall = Call(caller, request)
        count = partial(_count, fresh)
        answer = await self._database.write(RETRY_ALL, count, call)
        if fresh:
            cause = wire.cause(request.cause)
            assert cause is not None
            retry = self._retry_orders if cause in _ORDER_RETRIES else self._retry_sales
            await retry(caller.merchant, cause, request.key)
        return pb.RetryOrdersResponse.FromString(answer)

    async def _retry_orders(self, merchant: str, cause: Cause, key: str) -> None:
        after = ("", "")
        find, retry = _ORDER_RETRIES[cause]
        while found := await self._database.read(
            partial(find, merchant_id=merchant, key=key, after=after, count=RETRY_MAX)
        ):
            after = found[-1][1:]
            change = partial(retry, keys=found, group=key)
            await self._database.apply("retry orders", change)

    async def _retry_sales(self, merchant: str, cause: Cause, key: str) -> None:
        after = ""
        retry = _SALE_RETRIES[cause]
        while found := await self._database.read(
            partial(
                store.troubled_sales,
                merchant_id=merchant,
                cause=cause,
                key=key,
                page=(after, RETRY_MAX),
            )
        ):
            after = found[-1].sale_id
            await self._database.apply("retry sales", partial(retry, keys=found))


def _count(fresh: list[bool], transaction: Transaction, calls: Sequence[RetryAllCall]) -> None:
    """Answers how many are in a group; only a call that has not come before gets here."""
    for call in calls:
        with call:
            cause, key = wire.cause(call.request.cause), call.request.key
            if cause is None:
                raise rules.not_here()
            if cause is Cause.SALE_DIFFERS:
                raise rules.no_action()
            count = store.group_size(transaction.connection, call.merchant, cause, key)
            if not count:
                raise rules.nothing_waits(cause, key)
            call.reply(pb.RetryOrdersResponse(retried_count=count))
            fresh.append(True)


def _retry_orders(transaction: Transaction, keys: Sequence[OrderKey], group: str) -> None:
    """Lets those of these orders go on that still wait for what the group waits for."""
    known = orders.orders(transaction.connection, keys, lock=True)
    waiting = [
        order
        for order in known.values()
        if order.waiting and rules.key_of(order.waiting.reason, order.waiting.about) == group
    ]
    saved = [retried(order, transaction.now) for order in waiting]
    orders.save_orders(transaction.connection, saved, known, keep_leases=True)
    for order in saved:
        tell_order(transaction, order)
        if order.document is None:
            ask_for_document(transaction, order.key)


def _show_again(transaction: Transaction, keys: Sequence[OrderKey], group: str) -> None:
    """Has the gateway show orders in their store once more; a refusal is told again."""
    del group  # what the store complained of does not matter any more
    refused.forget_refused_updates(transaction.connection, keys)
    for order in orders.orders(transaction.connection, keys).values():
        tell_order(transaction, order)


def _post_again(transaction: Transaction, keys: Sequence[SaleKey]) -> None:
    """Has the gateway write sales once more; until it has, nothing is known to be in the way."""
    known = sales.sales(transaction.connection, keys, lock=True)
    saved = [
        replace(sale, posting=replace(sale.posting, error=""))
        for sale in known.values()
        if sale.posting.error and sale.posting.revision < sale.revision
    ]
    sales.save_sales(transaction.connection, saved, known)
    for sale in saved:
        tell_sale(transaction, sale)


def _take_again(transaction: Transaction, keys: Sequence[SaleKey]) -> None:
    """Has the stock of sales taken now, instead of at its next try."""
    known = sales.sales(transaction.connection, keys, lock=True)
    saved = [
        replace(sale, stock=replace(sale.stock, attempts=0, due_time=transaction.now))
        for sale in known.values()
        if sale.stock.pending
    ]
    sales.save_sales(transaction.connection, saved, known)


def _let_go(transaction: Transaction, keys: Sequence[SaleKey]) -> None:
    """Forgets that sales could not be copied; one that is refused again is told again."""
    refused.forget_refused(transaction.connection, keys)


_ORDER_RETRIES = {
    Cause.ORDER_WAITING: (store.waiting_orders, _retry_orders),
    Cause.STORE_UPDATE_REFUSED: (store.unshown_orders, _show_again),
}
_SALE_RETRIES = {
    Cause.SALE_NOT_POSTED: _post_again,
    Cause.SALE_STOCK_NOT_TAKEN: _take_again,
    Cause.SALE_REFUSED: _let_go,
}
