"""The RPCs of online stock."""

from services.chassis import pages
from services.chassis.database import Calls, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command, query, query_together
from services.inventory.rules import online as rules
from services.inventory.rules import stock
from services.inventory.rules.channels import Channel
from services.inventory.rules.online import EditOutcome, Feed, Online, StockEdit
from services.inventory.rules.stock import UNIT, Entry, Item, Level
from services.inventory.service.work import Work
from services.inventory.store import buffers as buffer_store
from services.inventory.store import channels as channel_store
from services.inventory.store import items as item_store
from services.inventory.store import online as online_store
from services.inventory.store import stock as stock_store
from services.inventory.wire import online as wire
from tillbridge.inventory.v1 import inventory_pb2 as pb


class OnlineStockRpcs:
    """The RPCs of `InventoryService` that say what a channel may sell."""

    @query_together
    def get_online_stock(
        self,
        view: View,
        calls: Calls[pb.GetOnlineStockRequest, pb.GetOnlineStockResponse],
    ) -> None:
        """Returns what a channel may sell of one item."""
        connection = view.connection
        merchants = sorted({call.merchant for call in calls})
        known = channel_store.load_channels(connection, merchants)
        channels = {
            (merchant, channel.channel_id): channel
            for merchant, found in known.items()
            for channel, _ in found
        }
        heard = {merchant: channel_store.load_heard(connection, merchant) for merchant in merchants}
        items = item_store.find_items(
            connection, ((call.merchant, call.request.item_id) for call in calls)
        )
        figures = online_store.load_figures(
            connection,
            [(call.merchant, call.request.channel_id, call.request.item_id) for call in calls],
        )
        for call in calls:
            with call:
                request = call.request
                channel = channels.get((call.merchant, request.channel_id))
                if channel is None:
                    raise channel_store.no_channel(request.channel_id)
                item = items.get((call.merchant, request.item_id))
                if item is None:
                    raise _no_item(request.item_id)
                figure = figures.get((call.merchant, channel.channel_id, item.item_id)) or Online(
                    channel.channel_id, item.item_id
                )
                since = rules.heard_time(channel, heard[call.merchant])
                shown = wire.online_stock(figure, item, channel, since)
                call.reply(pb.GetOnlineStockResponse(online_stock=shown))

    @query
    def list_online_stock(
        self, view: View, request: pb.ListOnlineStockRequest
    ) -> pb.ListOnlineStockResponse:
        """Lists what a channel may sell, by item."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        channel, _ = channel_store.find_channel(view.connection, view.merchant, request.channel_id)
        found = online_store.list_figures(
            view.connection, view.merchant, channel.channel_id, request.item_ids, after, size + 1
        )
        heard = rules.heard_time(channel, channel_store.load_heard(view.connection, view.merchant))
        answer = pb.ListOnlineStockResponse()
        for item, figure in found[:size]:
            wire.put_online_stock(answer.online_stock.add(), figure, item, channel, heard)
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, found[size - 1][0].item_id)
        return answer

    @query
    def explain_online_stock(
        self, view: View, request: pb.ExplainOnlineStockRequest
    ) -> pb.ExplainOnlineStockResponse:
        """Says how a figure comes about, term by term (BEY-02)."""
        connection, merchant, item_id = view.connection, view.merchant, request.item_id
        channel, _ = channel_store.find_channel(connection, merchant, request.channel_id)
        item = find_item(view, item_id)
        rows = online_store.load_online(connection, merchant, channel.channel_id, [item_id])
        figure = rows.get(item_id) or Online(channel.channel_id, item_id)
        kept = buffer_store.find_buffers(connection, merchant, channel.channel_id, [item_id, ""])
        feed = Feed(channel, {key: one.quantity for key, one in kept.items()})
        names = {
            known.outlet.outlet_id: known.outlet.display_name
            for known in channel_store.load_outlets(connection, merchant)
        }
        heard = channel_store.load_heard(connection, merchant)
        terms = rules.explain(feed, _levels(view, channel, item_id, list(names)), heard)
        held = online_store.load_held(connection, merchant, item_id)
        last = _last_movements(view, item_id)
        return pb.ExplainOnlineStockResponse(
            online_stock=wire.online_stock(figure, item, channel, rules.heard_time(channel, heard)),
            terms=[
                wire.term(
                    term,
                    holds=[one for one in held if one.outlet_id == term.level.outlet_id],
                    rule=kept.get(term.buffer_key) if term.buffer_key else None,
                    last=last.get(term.level.outlet_id),
                )
                for term in terms
            ],
            sum=stock.text(sum(term.given for term in terms)),
            explanation=rules.sentences(feed, terms, figure, names, tracked=item.tracked),
            stands_still=channel.stands_still,
        )

    @command
    def report_stock_edit(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReportStockEditRequest, pb.ReportStockEditResponse],
    ) -> None:
        """Takes in levels that stores show and should not (INV-10)."""
        work = Work(transaction, calls, lambda request: [request.item_id])
        edits: list[tuple[str, StockEdit]] = []
        for call in calls:
            with call:
                request, draft = call.request, work.draft(call)
                feed = work.feed(call.merchant, request.channel_id)
                item, figure = work.figure(call.merchant, feed, request.item_id)
                outcome = rules.judge_edit(
                    feed,
                    figure,
                    request.store_quantity,
                    request.version,
                    tracked=item.tracked,
                )
                edit = StockEdit(
                    figure.channel_id,
                    item.item_id,
                    figure.quantity,
                    request.store_quantity,
                    outcome,
                    transaction.now,
                )
                if outcome is EditOutcome.ADJUSTED:
                    _adjust(draft, feed, edit)
                work.accept(call, draft, f"typed in the store: {edit.store_quantity}")
                if outcome in {EditOutcome.ADJUSTED, EditOutcome.RESTORED}:
                    edits.append((call.merchant, edit))
                    work.tell_again(call.merchant, figure.channel_id, item.item_id)
                    _, figure = work.figure(call.merchant, feed, item.item_id)
                call.reply(
                    pb.ReportStockEditResponse(
                        outcome=wire.outcome(outcome),
                        online_stock=wire.online_stock(
                            figure, item, feed.channel, work.heard_time(call.merchant, feed)
                        ),
                    )
                )
        online_store.append_edits(transaction.connection, edits)
        work.save()

    @query
    def list_stock_edits(
        self, view: View, request: pb.ListStockEditsRequest
    ) -> pb.ListStockEditsResponse:
        """Lists levels that were typed in a store, newest first (INV-10)."""
        (before,) = pages.key_before(request, int) or (0,)
        size = pages.page_size(request)
        channel, _ = channel_store.find_channel(view.connection, view.merchant, request.channel_id)
        filters = (channel.channel_id, request.item_id)
        found = online_store.list_edits(view.connection, view.merchant, filters, before, size + 1)
        answer = pb.ListStockEditsResponse(edits=[wire.edit(edit) for _, edit in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, found[size - 1][0])
        return answer


def _adjust(draft: stock.Draft, feed: Feed, edit: StockEdit) -> None:
    """Takes what was typed in a store as an adjustment (INV-10)."""
    place = (edit.item_id, rules.edited_outlet(feed.channel))
    difference = (edit.store_quantity - edit.own_quantity) * UNIT
    reason = stock.Reason.STORE_EDIT
    stock.adjust(draft, place, stock.Kind.ADJUSTMENT, difference, edit.record_time, reason=reason)


def find_item(view: View, item_id: str) -> Item:
    """The item.

    Raises:
        DomainError: ITEM_NOT_FOUND.
    """
    found = item_store.list_items(view.connection, view.merchant, [item_id], "", 1)
    if not found:
        raise _no_item(item_id)
    return found[0]


def _no_item(item_id: str) -> DomainError:
    return DomainError("ITEM_NOT_FOUND", f"the catalog has no item {item_id!r}", item_id=item_id)


def _levels(view: View, channel: Channel, item_id: str, outlet_ids: list[str]) -> list[Level]:
    """The item's levels at every outlet: those that feed the channel first, in its order."""
    found = {
        level.outlet_id: level
        for _, level in stock_store.load_levels(view.connection, [(view.merchant, item_id)])
    }
    order = dict.fromkeys([*channel.connected_outlet_ids, *outlet_ids])
    return [found.get(outlet_id) or Level(item_id, outlet_id) for outlet_id in order]


def _last_movements(view: View, item_id: str) -> dict[str, Entry]:
    """The last movement of an item, by outlet."""
    connection, merchant = view.connection, view.merchant
    last = {}
    for movement_id in online_store.last_movements(connection, merchant, item_id):
        (entry,) = stock_store.load_entries(connection, merchant, ("", item_id), movement_id + 1, 1)
        last[entry.movement.outlet_id] = entry
    return last
