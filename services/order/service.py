"""The RPCs of orders, sales and fulfillments: read, decide, write, tell."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.follow import follow
from services.chassis.pages import key_before, page_size, token_after
from services.chassis.rpc import View, command, query
from services.chassis.run import Parts, Wiring
from services.order.peers import Peers
from services.order.rules import order as order_rules
from services.order.rules import sale as sale_rules
from services.order.rules.order import Order, OrderKey
from services.order.rules.sale import Sale, SaleKey
from services.order.run import (
    CatalogFollower,
    CustomerFollower,
    OrderRuns,
    StockTakes,
    tell_order,
    tell_sale,
)
from services.order.store import orders, sales
from services.order.store.statements import Page
from services.order.wire import orders as order_wire
from services.order.wire import sales as sale_wire
from tillbridge.order.v1 import fulfillment_pb2
from tillbridge.order.v1 import order_pb2 as pb

INGEST = "tillbridge.order.v1.OrderService.IngestOrder"
REPORT_CHANGE = "tillbridge.order.v1.OrderService.ReportOrderChange"

IngestCall = Call[pb.IngestOrderRequest, pb.IngestOrderResponse]
ReportChangeCall = Call[pb.ReportOrderChangeRequest, pb.ReportOrderChangeResponse]
RetryCall = Call[pb.RetryOrderRequest, pb.RetryOrderResponse]
RecordSaleCall = Call[pb.RecordSaleRequest, pb.RecordSaleResponse]
ReportPostedCall = Call[pb.ReportSalePostedRequest, pb.ReportSalePostedResponse]


class OrderService:
    """Implements `tillbridge.order.v1.OrderService`."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers

    async def ingest_order(
        self, caller: Caller, request: pb.IngestOrderRequest
    ) -> pb.IngestOrderResponse:
        """Keeps an order as the store has it; its run goes on by itself (ORD-01, ORD-11)."""
        await self._check_channel(caller.merchant, request.channel_id)
        call: IngestCall = Call(caller, request)
        answer = await self._database.write(INGEST, self._ingest, call)
        return pb.IngestOrderResponse.FromString(answer)

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
        keys = [
            OrderKey(call.merchant, call.request.channel_id, call.request.document.order_id)
            for call in calls
        ]
        known = orders.orders(transaction.connection, keys, lock=True)
        going = dict(known)
        sources: dict[OrderKey, str] = {}
        for call, key in zip(calls, keys, strict=True):
            with call:
                document = order_wire.document(call.request.document)
                taken = order_rules.take(document, going.get(key), key, transaction.now)
                if taken:
                    going[key] = taken
                    sources[key] = call.request.document.source_document
                message = order_wire.order_message(going[key])
                call.reply(pb.IngestOrderResponse(order=message, changed=taken is not None))
        saved = [going[key] for key in sources]
        connection = transaction.connection
        orders.save_orders(connection, saved, known, keep_leases=True)
        orders.set_source_documents(connection, sources)
        orders.set_awaited(
            connection, [o for o in saved if o.key in known and known[o.key].awaited]
        )
        for order in saved:
            tell_order(transaction, order)

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
        new = {key: order_rules.reported(key, transaction.now) for key in keys if key not in known}
        orders.save_orders(transaction.connection, list(new.values()), known, keep_leases=True)
        for order in new.values():
            tell_order(transaction, order)
        for key in dict.fromkeys(keys):
            _ask_for_document(transaction, key)
        for call in calls:
            call.reply(pb.ReportOrderChangeResponse())

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
                _ask_for_document(transaction, key)

    @query
    def get_order(self, view: View, request: pb.GetOrderRequest) -> pb.GetOrderResponse:
        """One order, with its source document."""
        key = order_wire.order_key(view.merchant, request)
        found = orders.orders(view.connection, [key])
        if key not in found:
            raise order_rules.order_not_found(key)
        source = orders.source_document(view.connection, key)
        return pb.GetOrderResponse(order=order_wire.order_message(found[key], source))

    @query
    def list_orders(self, view: View, request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        """Orders, newest first, without their source documents."""
        found = orders.list_orders(
            view.connection,
            view.merchant,
            _page(request, int, str, str),
            channel_id=request.channel_id,
            state=request.state,
            waiting=request.waiting,
        )
        shown, more = _split(request, found)
        return pb.ListOrdersResponse(
            orders=[order_wire.order_message(order) for order in shown],
            next_page_token=token_after(request, *orders.order_position(shown[-1])) if more else "",
        )

    @command
    def record_sale(self, transaction: Transaction, calls: Sequence[RecordSaleCall]) -> None:
        """Records sales of tills, and copies those of an outside point of sale (ORD-05)."""
        keys = [SaleKey(call.merchant, call.request.sale.sale_id) for call in calls]
        known = sales.sales(transaction.connection, keys, lock=True)
        going = dict(known)
        for call, key in zip(calls, keys, strict=True):
            with call:
                told = sale_wire.sale(call.request, call.merchant)
                before = going.get(key)
                after = sale_rules.record(told, before, transaction.now)
                going[key] = after or going[key]
                message = sale_wire.sale_message(going[key])
                call.reply(pb.RecordSaleResponse(sale=message, created=before is None))
        changed = [sale for key, sale in going.items() if known.get(key) != sale]
        sales.save_sales(transaction.connection, changed, known)
        for sale in changed:
            if sale.key not in known or sale.revision != known[sale.key].revision:
                tell_sale(transaction, sale)

    @command
    def report_sale_posted(
        self, transaction: Transaction, calls: Sequence[ReportPostedCall]
    ) -> None:
        """Notes what the outside point of sale has of online orders' sales; a sale's hold then
        ends by itself.
        """
        connection, now = transaction.connection, transaction.now
        keys = [SaleKey(call.merchant, call.request.sale_id) for call in calls]
        unlocked = sales.sales(connection, keys)  # orders are locked before sales, everywhere
        order_keys = [found for sale in unlocked.values() if (found := _order_key(sale))]
        known_orders = orders.orders(connection, order_keys, lock=True)
        known = sales.sales(connection, keys, lock=True)
        going, going_orders = dict(known), dict(known_orders)
        for call, key in zip(calls, keys, strict=True):
            with call:
                request = call.request
                if key not in going:
                    raise sale_rules.sale_not_found(key.sale_id)
                sale = sale_rules.posted(going[key], request.revision, request.error)
                going[key] = sale
                order_key = _order_key(sale)
                if order_key in going_orders and not request.error:
                    going_orders[order_key] = order_rules.in_point_of_sale(
                        going_orders[order_key], request.pos_version, now
                    )
                call.reply(pb.ReportSalePostedResponse(sale=sale_wire.sale_message(sale)))
        changed = [sale for key, sale in going.items() if sale != known[key]]
        sales.save_sales(connection, changed, known)
        further = [order for key, order in going_orders.items() if order != known_orders[key]]
        orders.save_orders(connection, further, known_orders, keep_leases=True)
        for order in further:
            tell_order(transaction, order)

    @query
    def get_sale(self, view: View, request: pb.GetSaleRequest) -> pb.GetSaleResponse:
        """One sale."""
        key = SaleKey(view.merchant, request.sale_id)
        found = sales.sales(view.connection, [key])
        if key not in found:
            raise sale_rules.sale_not_found(request.sale_id)
        return pb.GetSaleResponse(sale=sale_wire.sale_message(found[key]))

    @query
    def list_sales(self, view: View, request: pb.ListSalesRequest) -> pb.ListSalesResponse:
        """The sales history, newest first."""
        found = sales.list_sales(
            view.connection,
            view.merchant,
            _page(request, int, str),
            outlet_id=request.outlet_id,
            origin=request.origin,
        )
        shown, more = _split(request, found)
        return pb.ListSalesResponse(
            sales=[sale_wire.sale_message(sale) for sale in shown],
            next_page_token=token_after(request, *sales.sale_position(shown[-1])) if more else "",
        )

    @query
    def get_payment_report(
        self, view: View, request: pb.GetPaymentReportRequest
    ) -> pb.GetPaymentReportResponse:
        """Payments summed by day, method, outlet and currency (ORD-06)."""
        begin, end = sale_wire.days(request)
        found = sales.payment_sums(view.connection, view.merchant, begin, end)
        return pb.GetPaymentReportResponse(
            sums=[sale_wire.payment_sum_message(one) for one in found]
        )


class FulfillmentService:
    """Implements `tillbridge.order.v1.FulfillmentService`."""

    @query
    def list_fulfillments(
        self, view: View, request: fulfillment_pb2.ListFulfillmentsRequest
    ) -> fulfillment_pb2.ListFulfillmentsResponse:
        """Fulfillments, newest first."""
        found = sales.list_fulfillments(
            view.connection,
            view.merchant,
            _page(request, int, str),
            outlet_id=request.outlet_id,
            order_id=request.order_id,
        )
        shown, more = _split(request, found)
        position = sales.fulfillment_position(shown[-1]) if more else ()
        return fulfillment_pb2.ListFulfillmentsResponse(
            fulfillments=[sale_wire.fulfillment_message(one) for one in shown],
            next_page_token=token_after(request, *position) if more else "",
        )


def _order_key(sale: Sale) -> OrderKey | None:
    """The order that a sale was made of; a till's sale has none."""
    if not sale.order_id:
        return None
    return OrderKey(sale.key.merchant_id, sale.channel_id, sale.order_id)


def _ask_for_document(transaction: Transaction, key: OrderKey) -> None:
    """Has the gateway fetch an order from its store."""
    subject = order_wire.order_subject(key)
    message = order_wire.order_change_reported(key)
    transaction.emit(key.merchant_id, subject, message, channel_id=key.channel_id)


def _page(request: Message, *kinds: type) -> Page:
    """The page that a list request asks for, and one row more, which tells whether there is one.

    Raises:
        DomainError: INVALID_PAGE_TOKEN.
    """
    return Page(page_size(request) + 1, key_before(request, *kinds))


def _split(request: Message, found: Sequence[Any]) -> tuple[Sequence[Any], bool]:
    """The rows of the page, and whether there are more."""
    size = page_size(request)
    return found[:size], len(found) > size


def build(parts: Parts) -> Wiring:
    """The order service, its runs, and what it follows."""
    peers = Peers(parts.connect, parts.identity)
    runs = OrderRuns(parts.database, peers)
    takes = StockTakes(parts.database, peers)
    parts.database.on_commit += [runs.pool.wake, takes.pool.wake]
    items, customers = CatalogFollower(parts.database), CustomerFollower(parts.database)
    contracts = {
        pb.DESCRIPTOR.services_by_name["OrderService"]: OrderService(parts.database, peers),
        fulfillment_pb2.DESCRIPTOR.services_by_name["FulfillmentService"]: FulfillmentService(),
    }
    following = [
        partial(follow, parts.connect("catalog"), parts.identity, items.request, items.handle),
        partial(
            follow, parts.connect("customer"), parts.identity, customers.request, customers.handle
        ),
    ]
    return Wiring(contracts, [runs.pool.run, takes.pool.run, *following])
