"""The RPCs of sales: the sales history and the payment report."""

from collections.abc import Sequence

from services.chassis.database import Call, Transaction
from services.chassis.pages import token_after
from services.chassis.rpc import View, command, query
from services.order.rules import order as order_rules
from services.order.rules import sale as sale_rules
from services.order.rules.order import OrderKey
from services.order.rules.sale import Sale, SaleKey
from services.order.service.lists import page_of, split
from services.order.service.told import tell_order, tell_sale
from services.order.store import orders, sales
from services.order.wire import sales as sale_wire
from tillbridge.order.v1 import order_pb2 as pb

RecordSaleCall = Call[pb.RecordSaleRequest, pb.RecordSaleResponse]
ReportPostedCall = Call[pb.ReportSalePostedRequest, pb.ReportSalePostedResponse]


class Sales:
    """The part of `tillbridge.order.v1.OrderService` that is about sales."""

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
            page_of(request, int, str),
            outlet_id=request.outlet_id,
            origin=request.origin,
        )
        shown, more = split(request, found)
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


def _order_key(sale: Sale) -> OrderKey | None:
    """The order that a sale was made of; a till's sale has none."""
    if not sale.order_id:
        return None
    return OrderKey(sale.key.merchant_id, sale.channel_id, sale.order_id)
