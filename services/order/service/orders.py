"""The RPCs of orders: what a store tells of them, and what an operator asks."""

from collections.abc import Sequence

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.pages import token_after
from services.chassis.reads import SharedReads
from services.chassis.rpc import View, command, query
from services.order.peers import Peers
from services.order.rules import order as order_rules
from services.order.rules.drift import Difference, compared
from services.order.rules.listed import Listed
from services.order.rules.order import Order, OrderKey
from services.order.service.drift import note_found, note_told
from services.order.service.lists import page_of, split
from services.order.service.told import ask_for_document, tell_order
from services.order.store import drift as drift_rows
from services.order.store import order_lists, orders
from services.order.wire import documents
from services.order.wire import drift as drift_wire
from services.order.wire import orders as order_wire
from tillbridge.order.v1 import order_pb2 as pb

INGEST = "tillbridge.order.v1.OrderService.IngestOrder"
REPORT_CHANGE = "tillbridge.order.v1.OrderService.ReportOrderChange"

IngestCall = Call[pb.IngestOrderRequest, pb.IngestOrderResponse]
ReportChangeCall = Call[pb.ReportOrderChangeRequest, pb.ReportOrderChangeResponse]
RetryCall = Call[pb.RetryOrderRequest, pb.RetryOrderResponse]


class Orders:
    """The part of `tillbridge.order.v1.OrderService` that is about online orders."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self._known = SharedReads(
            database, lambda connection, calls: self._answer_known(View(connection, ""), calls)
        )

    async def ingest_order(
        self, caller: Caller, request: pb.IngestOrderRequest
    ) -> pb.IngestOrderResponse:
        """Keeps an order as the store has it; its run goes on by itself (ORD-01, ORD-11). Stores
        tell the same again and again: what is known already is answered without writing anything.
        """
        await self._check_channel(caller.merchant, request.channel_id)
        answer = await self._known.ask(Call(caller, request))
        if not answer:
            call: IngestCall = Call(caller, request)
            answer = await self._database.write(INGEST, self._ingest, call)
        return pb.IngestOrderResponse.FromString(answer)

    def _answer_known(self, view: View, calls: Sequence[IngestCall]) -> None:
        """Answers the calls whose orders are known exactly so, and the others by nothing: those
        whose request id came before are answered as then, or refused.
        """
        keys = [_key(call) for call in calls]
        found = order_lists.listed(view.connection, keys)
        known: list[tuple[IngestCall, OrderKey, pb.IngestOrderResponse]] = []
        for call, key in zip(calls, keys, strict=True):
            call.answer = b""
            order = found.get(key)
            if order and not order.gone and (answer := _known(call.request, order)):
                known.append((call, key, answer))
        if not known:
            return  # as where all orders are new
        told = [(call.merchant, INGEST, call.request_id) for call, _, _ in known]
        before = self._database.plumbing.answers(view.connection, told)
        drifting = drift_rows.open_of_orders(view.connection, [key for _, key, _ in known])
        for (call, key, answer), request in zip(known, told, strict=True):
            if request not in before and key not in drifting:
                call.reply(answer)

    async def _check_channel(self, merchant_id: str, channel_id: str) -> None:
        """Refuses an order of a channel that is known not to exist. Where that cannot be found
        out now the order is kept, since no order is ever dropped (ORD-12).
        """
        try:
            await self._peers.channel(merchant_id, channel_id)
        except DomainError as error:
            if error.reason == "CHANNEL_NOT_FOUND":
                raise

    def _ingest(self, transaction: Transaction, calls: Sequence[IngestCall]) -> None:
        keys = [_key(call) for call in calls]
        known = orders.orders(transaction.connection, keys, lock=True)
        going = dict(known)
        sources: dict[OrderKey, str] = {}
        messages: dict[OrderKey, bytes] = {}
        agreed: list[OrderKey] = []
        for call, key in zip(calls, keys, strict=True):
            with call:
                document = documents.document(call.request.document)
                taken = order_rules.take(document, going.get(key), key, transaction.now)
                if taken:
                    going[key] = taken
                    sources[key] = call.request.document.source_document
                if taken or going[key].document == document:
                    agreed.append(key)
                message = order_wire.order_message(going[key])
                if taken:
                    messages[key] = order_wire.kept_message(message.document)
                call.reply(pb.IngestOrderResponse(order=message, changed=taken is not None))
        saved = [going[key] for key in sources]
        connection = transaction.connection
        orders.save_orders(connection, saved, known, keep_leases=True, messages=messages)
        orders.set_source_documents(connection, sources, known)
        orders.set_awaited(
            connection, [o for o in saved if o.key in known and known[o.key].awaited]
        )
        for order in saved:
            tell_order(transaction, order)
        note_told(transaction, [key for key in agreed if key in known])

    async def report_order_change(
        self, caller: Caller, request: pb.ReportOrderChangeRequest
    ) -> pb.ReportOrderChangeResponse:
        """Keeps the hint that an order was placed or changed, for the gateway to fetch it."""
        await self._check_channel(caller.merchant, request.channel_id)
        call: ReportChangeCall = Call(caller, request)
        answer = await self._database.write(REPORT_CHANGE, self._report_change, call)
        return pb.ReportOrderChangeResponse.FromString(answer)

    def _report_change(self, transaction: Transaction, calls: Sequence[ReportChangeCall]) -> None:
        keys = [order_wire.order_key(call.merchant, call.request) for call in calls]
        known = orders.orders(transaction.connection, keys, lock=True)
        found: dict[OrderKey, Sequence[Difference]] = {}
        asked: dict[OrderKey, None] = {}
        same: list[OrderKey] = []
        for call, key in zip(calls, keys, strict=True):
            with call:
                seen = drift_wire.seen(call.request)
                order = known.get(key)
                differs = compared(order, seen, transaction.now) if seen else ()
                if differs:
                    found[key] = differs
                elif seen and not seen.gone and order and order.document:
                    same.append(key)
                if not seen or (differs and not seen.gone):
                    asked[key] = None
                call.reply(pb.ReportOrderChangeResponse())
        new = {key: order_rules.reported(key, transaction.now) for key in asked if key not in known}
        orders.save_orders(transaction.connection, list(new.values()), known, keep_leases=True)
        for one in new.values():
            tell_order(transaction, one)
        for key in asked:
            ask_for_document(transaction, key)
        note_told(transaction, same)
        note_found(transaction, found)

    @command
    def retry_order(self, transaction: Transaction, calls: Sequence[RetryCall]) -> None:
        """Lets a waiting order go on now (ORD-12)."""
        keys = [order_wire.order_key(call.merchant, call.request) for call in calls]
        known = orders.orders(transaction.connection, keys, lock=True)
        retried: dict[OrderKey, Order] = {}
        for call, key in zip(calls, keys, strict=True):
            with call:
                if key not in known:
                    raise order_rules.order_not_found(key)
                retried[key] = order_rules.retried(known[key], transaction.now)
                call.reply(pb.RetryOrderResponse(order=order_wire.order_message(retried[key])))
        orders.save_orders(transaction.connection, list(retried.values()), known, keep_leases=True)
        for key, order in retried.items():
            tell_order(transaction, order)
            if order.document is None:
                ask_for_document(transaction, key)

    @query
    def get_order(self, view: View, request: pb.GetOrderRequest) -> pb.GetOrderResponse:
        """One order, with its source document."""
        key = order_wire.order_key(view.merchant, request)
        found = orders.orders(view.connection, [key])
        if key not in found:
            raise order_rules.order_not_found(key)
        source = orders.source_document(view.connection, key)
        return pb.GetOrderResponse(order=order_wire.whole_order_message(found[key], source))

    @query
    def list_orders(self, view: View, request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        """Orders, newest first, without their source documents."""
        page = page_of(request, int, str, str)
        filters = order_wire.order_filters(request)
        found = order_lists.list_orders(view.connection, view.merchant, page, filters)
        shown, more = split(request, found)
        return pb.ListOrdersResponse(
            orders=map(order_wire.listed_message, shown),
            next_page_token=token_after(request, *order_lists.position(shown[-1])) if more else "",
        )


def _key(call: IngestCall) -> OrderKey:
    return OrderKey(call.merchant, call.request.channel_id, call.request.document.order_id)


def _known(request: pb.IngestOrderRequest, order: Listed) -> pb.IngestOrderResponse | None:
    """The answer to an order that comes again just as it is known; None where anything differs."""
    told = pb.OrderDocument()
    told.CopyFrom(request.document)
    told.ClearField("source_document")
    message = order_wire.known_message(order, told)
    return pb.IngestOrderResponse(order=message, changed=False) if message else None
