"""The RPCs of levels and of the ledger."""

from services.chassis import pages
from services.chassis.database import Calls, Transaction
from services.chassis.errors import invalid
from services.chassis.rpc import View, command, query
from services.inventory.rules import stock
from services.inventory.service.held import Gate
from services.inventory.service.online import find_item
from services.inventory.service.work import Work, not_zero
from services.inventory.store import channels as channel_store
from services.inventory.store import stock as stock_store
from services.inventory.wire import stock as wire
from tillbridge.inventory.v1 import inventory_pb2 as pb


class StockRpcs:
    """The RPCs of `InventoryService` that move stock and tell what there is."""

    @command
    def record_counts(
        self,
        transaction: Transaction,
        calls: Calls[pb.RecordCountsRequest, pb.RecordCountsResponse],
    ) -> None:
        """Records levels that were counted or read in the point of sale."""
        work = Work(transaction, calls, lambda request: (row.item_id for row in request.counts))
        counts: dict[int, list[stock.Count]] = {}
        for number, call in enumerate(calls):
            with call:
                counts[number] = wire.counts(call.request, transaction.now)
        everything = [
            (calls[number].merchant, told) for number, found in counts.items() for told in found
        ]
        work.await_deltas(everything)
        gate = Gate.open(transaction, work, everything)
        for number, found in counts.items():
            call = calls[number]
            with call:
                draft, trial = work.draft(call), gate.trial()
                answer = pb.RecordCountsResponse()
                for told in found:
                    passes = trial.passes(call, draft, told)
                    changed = passes and stock.count(draft, told)
                    result = answer.results.add(changed=changed, held=not passes)
                    wire.put_level(result.level, draft.level(told.item_id, told.outlet_id))
                gate = trial
                work.accept(call, draft, call.request.cause)
                work.hear(call.merchant, {told.outlet_id for told in found})
                call.reply(answer)
        gate.close()
        work.save()

    @command
    def adjust_stock(
        self,
        transaction: Transaction,
        calls: Calls[pb.AdjustStockRequest, pb.AdjustStockResponse],
    ) -> None:
        """Adds to or takes from stock."""
        work = Work(transaction, calls, lambda request: (line.item_id for line in request.lines))
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                when = wire.moment(request, transaction.now)
                kind, reason = stock.Kind(request.kind), stock.Reason(request.reason)
                if reason and kind is not stock.Kind.ADJUSTMENT:
                    raise invalid("reason", "is for kind ADJUSTMENT alone")
                levels = []
                for line in request.lines:
                    place = (line.item_id, line.outlet_id)
                    quantity = not_zero(wire.quantity(line.quantity), line.quantity)
                    timed = when < transaction.now
                    levels.append(
                        stock.adjust(draft, place, kind, quantity, when, timed=timed, reason=reason)
                    )
                work.accept(call, draft, request.cause)
                work.hear(call.merchant, (line.outlet_id for line in request.lines))
                call.reply(pb.AdjustStockResponse(levels=map(wire.level, levels)))
        work.save()

    @command
    def transfer_stock(
        self,
        transaction: Transaction,
        calls: Calls[pb.TransferStockRequest, pb.TransferStockResponse],
    ) -> None:
        """Moves stock from one outlet to another."""
        work = Work(transaction, calls, lambda request: (line.item_id for line in request.lines))
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                outlets = (request.from_outlet_id, request.to_outlet_id)
                if outlets[0] == outlets[1]:
                    raise invalid("to_outlet_id", "must be another outlet than from_outlet_id")
                levels: list[stock.Level] = []
                for line in request.lines:
                    quantity = not_zero(wire.quantity(line.quantity), line.quantity)
                    levels += stock.transfer(
                        draft, line.item_id, outlets, quantity, transaction.now
                    )
                work.accept(call, draft, request.cause)
                work.hear(call.merchant, outlets)
                call.reply(pb.TransferStockResponse(levels=map(wire.level, levels)))
        work.save()

    @query
    def get_stock_level(
        self, view: View, request: pb.GetStockLevelRequest
    ) -> pb.GetStockLevelResponse:
        """Returns the level of one item at one outlet."""
        connection, key = view.connection, (view.merchant, request.item_id)
        find_item(view, request.item_id)
        channel_store.check_outlets(connection, view.merchant, [request.outlet_id])
        filters, as_of = (request.outlet_id, request.item_id), wire.as_of(request)
        if as_of:
            past = stock_store.list_levels_as_of(
                connection, view.merchant, filters, ("", ""), 1, as_of
            )
            nothing = stock.Level(request.item_id, request.outlet_id)
            return pb.GetStockLevelResponse(level=wire.past_level(past[0] if past else nothing))
        found = stock.Level(request.item_id, request.outlet_id)
        for _, level in stock_store.load_levels(connection, [key]):
            if level.outlet_id == request.outlet_id:
                found = level
        return pb.GetStockLevelResponse(level=wire.level(found))

    @query
    def list_stock_levels(
        self, view: View, request: pb.ListStockLevelsRequest
    ) -> pb.ListStockLevelsResponse:
        """Lists levels by item, then outlet."""
        after_item, after_outlet = pages.key_before(request, str, str) or ("", "")
        size = pages.page_size(request)
        filters, as_of = (request.outlet_id, request.item_id), wire.as_of(request)
        key = (after_item, after_outlet)
        if as_of:
            found = stock_store.list_levels_as_of(
                view.connection, view.merchant, filters, key, size + 1, as_of
            )
        else:
            found = stock_store.list_levels(view.connection, view.merchant, filters, key, size + 1)
        print_level = wire.past_level if as_of else wire.level
        answer = pb.ListStockLevelsResponse(levels=map(print_level, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = pages.token_after(request, last.item_id, last.outlet_id)
        return answer

    @query
    def list_movements(
        self, view: View, request: pb.ListMovementsRequest
    ) -> pb.ListMovementsResponse:
        """Lists the ledger of an item, newest first."""
        (before,) = pages.key_before(request, int) or (0,)
        size = pages.page_size(request)
        found = stock_store.load_entries(
            view.connection, view.merchant, (request.outlet_id, request.item_id), before, size + 1
        )
        answer = pb.ListMovementsResponse(movements=map(wire.movement, found[:size]))
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, found[size - 1].movement_id)
        return answer
