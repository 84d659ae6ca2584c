"""The RPCs of sales: the sales history and the payment report."""

from collections.abc import Sequence

from services.chassis.database import Call, Transaction
from services.chassis.errors import invalid
from services.chassis.pages import key_before, token_after
from services.chassis.rpc import View, command, query
from services.order.rules import drift, over_the_counter, progress, recorded
from services.order.rules import refused as refusals
from services.order.rules import sale as sale_rules
from services.order.rules.drift import Difference
from services.order.rules.order import OrderKey
from services.order.rules.sale import Sale, SaleKey, SaleState
from services.order.service.cases import Cases
from services.order.service.drift import note_found, note_in_point_of_sale
from services.order.service.lists import page_of, split
from services.order.service.told import tell_order, tell_sale
from services.order.store import orders, refused, sales
from services.order.store.statements import Page
from services.order.wire import sales as sale_wire
from tillbridge.order.v1 import order_pb2 as pb

SUMS_DEFAULT = 1000
"""Sums on a page of the payment report where it is not asked otherwise."""

RecordSaleCall = Call[pb.RecordSaleRequest, pb.RecordSaleResponse]
ReportPostedCall = Call[pb.ReportSalePostedRequest, pb.ReportSalePostedResponse]
ReportRefusedCall = Call[pb.ReportSaleRefusedRequest, pb.ReportSaleRefusedResponse]


class Sales:
    """The part of `tillbridge.order.v1.OrderService` that is about sales."""

    @command
    def record_sale(self, transaction: Transaction, calls: Sequence[RecordSaleCall]) -> None:
        """Records sales of tills, and copies those of an outside point of sale (ORD-05)."""
        counter = _Counter(transaction, calls)
        keys = [SaleKey(call.merchant, call.request.sale.sale_id) for call in calls]
        known = sales.sales(transaction.connection, keys, lock=True)
        going = dict(known)
        echoes: list[tuple[Sale, Sale]] = []
        for call, key in zip(calls, keys, strict=True):
            with call:
                told = sale_wire.sale(call.request, call.merchant)
                before = going.get(key)
                if before and recorded.is_echo(told, before):
                    echoes.append((before, told))
                after = recorded.record(told, before, transaction.now)
                going[key] = after or going[key]
                message = sale_wire.sale_message(going[key])
                call.reply(pb.RecordSaleResponse(sale=message, created=before is None))
        changed = [sale for key, sale in going.items() if known.get(key) != sale]
        sales.save_sales(transaction.connection, changed, known)
        _end_refusals(transaction, [going[key] for key in keys if key in going])
        _note_echoes(transaction, echoes)
        counter.hand_over(echoes)
        counter.take_back([going[key] for key in keys if known.get(key) != going.get(key)])
        counter.save()
        for sale in changed:
            if sale.key not in known or sale.revision != known[sale.key].revision:
                tell_sale(transaction, sale)

    @command
    def report_sale_refused(
        self, transaction: Transaction, calls: Sequence[ReportRefusedCall]
    ) -> None:
        """Keeps that sales of the outside point of sale could not be copied (BEY-09)."""
        connection = transaction.connection
        keys = [SaleKey(call.merchant, call.request.sale_id) for call in calls]
        copied = sales.sales(connection, keys, lock=True)
        known = refused.refused_sales(connection, keys)
        going = dict(known)
        for call, key in zip(calls, keys, strict=True):
            with call:
                told = sale_wire.refused_sale(call.request, key, transaction.now)
                kept = refusals.refuse(told, going.get(key), copied.get(key))
                if kept:
                    going[key] = kept
                call.reply(pb.ReportSaleRefusedResponse())
        changed = [one for key, one in going.items() if known.get(key) != one]
        refused.save_refused(connection, changed, known)

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
                    going_orders[order_key] = progress.in_point_of_sale(
                        going_orders[order_key], sale, request.revision, request.pos_version, now
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
        if request.order_id and not request.channel_id:
            raise invalid("channel_id", "name the channel of the order")
        only = sales.SaleFilter(
            outlet_id=request.outlet_id,
            origin=request.origin,
            channel_id=request.channel_id,
            order_id=request.order_id,
            unposted=request.unposted,
        )
        page = page_of(request, int, str)
        found = sales.list_sales(view.connection, view.merchant, page, only)
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
        size = request.page_size or SUMS_DEFAULT
        page = Page(size + 1, key_before(request, int, str, str, str))
        found = sales.payment_sums(view.connection, view.merchant, page, begin, end)
        shown, more = found[:size], len(found) > size
        return pb.GetPaymentReportResponse(
            sums=[sale_wire.payment_sum_message(one) for one in shown],
            next_page_token=token_after(request, *sales.sum_position(shown[-1])) if more else "",
        )


def _end_refusals(transaction: Transaction, told: Sequence[Sale]) -> None:
    """Forgets that sales could not be copied, once they are."""
    copied = {sale.key: sale for sale in told if sale.mirrored}
    found = refused.refused_sales(transaction.connection, copied)
    ended = [key for key, one in found.items() if refusals.ends(one, copied[key])]
    refused.forget_refused(transaction.connection, ended)


def _note_echoes(transaction: Transaction, echoes: Sequence[tuple[Sale, Sale]]) -> None:
    """Keeps what became, in the outside point of sale, of sales that were posted from here."""
    found = {
        key: drift.in_point_of_sale(known, told)
        for known, told in echoes
        if (key := _order_key(known)) and not known.return_for
    }
    note_in_point_of_sale(transaction, found)


class _Counter:
    """The orders that the outside point of sale has handed over, or taken something back of."""

    def __init__(self, transaction: Transaction, calls: Sequence[RecordSaleCall]) -> None:
        self._transaction = transaction
        told = [(call.merchant, call.request.sale) for call in calls if call.request.mirrored]
        returned = {
            SaleKey(merchant, sale.return_for) for merchant, sale in told if sale.return_for
        }
        closed = {
            SaleKey(merchant, sale.sale_id)
            for merchant, sale in told
            if sale.state == pb.SALE_STATE_COMPLETED and not sale.return_for
        }
        self._sold = sales.sales(transaction.connection, returned | closed)
        # Orders are locked before sales, everywhere.
        found = {
            key
            for sale in self._sold.values()
            if (key := _order_key(sale)) and (sale.key in returned or sale.state is SaleState.OPEN)
        }
        self._cases = Cases(transaction, found)
        self._misfits: dict[OrderKey, Sequence[Difference]] = {}

    def hand_over(self, echoes: Sequence[tuple[Sale, Sale]]) -> None:
        """Notes as handed over what was closed there."""
        for known, told in echoes:
            key, going = _order_key(known), self._cases.going
            if key in going and over_the_counter.is_closed(known, told):
                going[key] = over_the_counter.handed_over(going[key], self._transaction.now)

    def take_back(self, told: Sequence[Sale]) -> None:
        """Books returns into the accounts of their orders (BEY-13)."""
        for sale in told:
            sold = self._sold.get(SaleKey(sale.key.merchant_id, sale.return_for))
            key = _order_key(sold) if sold and sale.mirrored else None
            if key in self._cases.going:
                case = over_the_counter.taken_back(self._cases.going[key], sale)
                self._cases.going[key] = case
                if found := drift.misfit(over_the_counter.unaccounted(case, sale)):
                    self._misfits[key] = found

    def save(self) -> None:
        """Saves what became of the orders, and what does not fit their accounts."""
        self._cases.save()
        note_found(self._transaction, self._misfits)


def _order_key(sale: Sale) -> OrderKey | None:
    """The order that a sale was made of; a till's sale has none."""
    if not sale.order_id:
        return None
    return OrderKey(sale.key.merchant_id, sale.channel_id, sale.order_id)
