"""Stock: counts, adjustments, transfers, reservations, and what a channel may sell."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from services.chassis import pages
from services.chassis.database import Call, Calls, Database, Transaction
from services.chassis.errors import DomainError, invalid
from services.chassis.rpc import View, command, query
from services.inventory.rules import reservations, stock
from services.inventory.rules.channels import Channel
from services.inventory.rules.reservations import Reservation
from services.inventory.rules.stock import Cause, Draft, Item, Online
from services.inventory.store import channels as channel_store
from services.inventory.store import stock as store
from services.inventory.store.stock import Changes
from services.inventory.wire import stock as wire
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import inventory_pb2 as pb


class InventoryService:
    """Serves `tillbridge.inventory.v1.InventoryService`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @command
    def record_counts(
        self,
        transaction: Transaction,
        calls: Calls[pb.RecordCountsRequest, pb.RecordCountsResponse],
    ) -> None:
        """Records levels that were counted or read in the point of sale."""
        work = Work(transaction, calls, lambda request: (row.item_id for row in request.counts))
        for call in calls:
            with call:
                draft = work.draft(call)
                results = []
                for told in wire.counts(call.request, transaction.now):
                    changed = stock.count(draft, told)
                    level = draft.level(told.item_id, told.outlet_id)
                    results.append(pb.CountResult(level=wire.level(level), changed=changed))
                work.accept(call, draft, call.request.cause)
                call.reply(pb.RecordCountsResponse(results=results))
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
                levels = []
                for line in request.lines:
                    place = (line.item_id, line.outlet_id)
                    quantity = _not_zero(wire.quantity(line.quantity), line.quantity)
                    kind = stock.Kind(request.kind)
                    levels.append(stock.adjust(draft, place, kind, quantity, when))
                work.accept(call, draft, request.cause)
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
                    quantity = _not_zero(wire.quantity(line.quantity), line.quantity)
                    levels += stock.transfer(
                        draft, line.item_id, outlets, quantity, transaction.now
                    )
                work.accept(call, draft, request.cause)
                call.reply(pb.TransferStockResponse(levels=map(wire.level, levels)))
        work.save()

    @command
    def reserve_stock(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReserveStockRequest, pb.ReserveStockResponse],
    ) -> None:
        """Holds stock for an order, all of its lines or nothing."""
        work = Work(transaction, calls, lambda request: (line.item_id for line in request.lines))
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                lines = wire.lines(request)
                if len({line.line_id for line in lines}) < len(lines):
                    raise invalid("lines", "line_id must be unique in the call")
                for line in lines:
                    _not_zero(line.quantity, "0")
                channel = work.channel(call.merchant, request.channel_id)
                given = reservations.reserve(draft, channel, lines, request.outlet_id)
                reservation = Reservation(
                    f"rs-{uuid4().hex}",
                    channel.channel_id,
                    request.cause,
                    reservations.State.HELD,
                    tuple(given),
                )
                work.accept(call, draft, request.cause)
                work.changes.held += store.hold_rows(call.merchant, reservation)
                work.keep(call.merchant, reservation)
                call.reply(pb.ReserveStockResponse(reservation=wire.reservation(reservation)))
        work.save()

    @command
    def commit_reservation(
        self,
        transaction: Transaction,
        calls: Calls[pb.CommitReservationRequest, pb.CommitReservationResponse],
    ) -> None:
        """Ends holds because their sales are posted."""
        work = ReservationWork(transaction, calls)
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                reservation, holds = work.find(call.merchant, request.reservation_id)
                version = request.pos_version if request.HasField("pos_version") else None
                after = reservations.commit(draft, reservation, holds, version, transaction.now)
                work.accept(call, draft, reservation.cause)
                if after is not reservation:
                    left = [hold for hold in holds if hold not in draft.ended]
                    work.keep(call.merchant, after, left)
                call.reply(pb.CommitReservationResponse(reservation=wire.reservation(after)))
        work.save()

    @command
    def release_reservation(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReleaseReservationRequest, pb.ReleaseReservationResponse],
    ) -> None:
        """Ends holds because their orders were canceled."""
        work = ReservationWork(transaction, calls)
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                reservation, holds = work.find(call.merchant, request.reservation_id)
                after = reservations.release(draft, reservation, holds)
                work.accept(call, draft, reservation.cause)
                if after is not reservation:
                    work.keep(call.merchant, after)
                call.reply(pb.ReleaseReservationResponse(reservation=wire.reservation(after)))
        work.save()

    @query
    def get_stock_level(
        self, view: View, request: pb.GetStockLevelRequest
    ) -> pb.GetStockLevelResponse:
        """Returns the level of one item at one outlet."""
        connection, key = view.connection, (view.merchant, request.item_id)
        _find_item(view, request.item_id)
        channel_store.check_outlets(connection, view.merchant, [request.outlet_id])
        found = stock.Level(request.item_id, request.outlet_id)
        for _, level in store.load_levels(connection, [key]):
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
        filters = (request.outlet_id, request.item_id)
        found = store.list_levels(
            view.connection, view.merchant, filters, (after_item, after_outlet), size + 1
        )
        answer = pb.ListStockLevelsResponse(levels=map(wire.level, found[:size]))
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
        found = store.load_entries(
            view.connection, view.merchant, (request.outlet_id, request.item_id), before, size + 1
        )
        answer = pb.ListMovementsResponse(movements=map(wire.movement, found[:size]))
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, found[size - 1].movement_id)
        return answer

    @query
    def get_online_stock(
        self, view: View, request: pb.GetOnlineStockRequest
    ) -> pb.GetOnlineStockResponse:
        """Returns what a channel may sell of one item."""
        channel, _ = channel_store.find_channel(view.connection, view.merchant, request.channel_id)
        item = _find_item(view, request.item_id)
        return pb.GetOnlineStockResponse(online_stock=_figures(view, channel, [item])[0])

    @query
    def list_online_stock(
        self, view: View, request: pb.ListOnlineStockRequest
    ) -> pb.ListOnlineStockResponse:
        """Lists what a channel may sell, by item."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        channel, _ = channel_store.find_channel(view.connection, view.merchant, request.channel_id)
        items = store.list_items(view.connection, view.merchant, request.item_ids, after, size + 1)
        answer = pb.ListOnlineStockResponse(online_stock=_figures(view, channel, items[:size]))
        if len(items) > size:
            answer.next_page_token = pages.token_after(request, items[size - 1].item_id)
        return answer

    async def learn_products(self, events: Sequence[events_pb2.Event]) -> None:
        """Takes over what the catalog tells of its items; telling it again changes nothing."""
        latest: dict[tuple[str, str], catalog_events_pb2.ProductChanged] = {}
        for event in events:
            told = catalog_events_pb2.ProductChanged()
            if event.data.Unpack(told):
                latest[event.merchant_id, told.product_id] = told
        rows = [row for (owner, _), told in latest.items() for row in wire.item_rows(owner, told)]
        products = [
            {"merchant_id": owner, "product_id": product_id, "revision": told.revision}
            for (owner, product_id), told in latest.items()
        ]
        await self._database.apply(
            "learn products",
            lambda transaction: _learn(transaction, rows, products),
        )


class Work:
    """A group of calls being decided: what they are decided from, and what they change."""

    def __init__(
        self,
        transaction: Transaction,
        calls: Calls[Any, Any],
        items_of: Callable[[Any], Iterable[str]],
    ) -> None:
        self._transaction = transaction
        merchants = sorted({call.merchant for call in calls})
        channel_store.lock_channels(transaction, merchants, shared=True)
        keys = {(call.merchant, item) for call in calls for item in items_of(call.request)}
        self._stocks = store.load_stock(transaction.connection, keys, merchants)
        self._channels = channel_store.load_channels(transaction.connection, merchants)
        self.changes = Changes(transaction.now)

    def draft(self, call: Call[Any, Any]) -> Draft:
        """What a call may change, on top of what the calls before it have."""
        return self._stocks[call.merchant].draft()

    def accept(self, call: Call[Any, Any], draft: Draft, cause: str) -> None:
        """Takes over what a call has decided."""
        self._stocks[call.merchant].accept(draft)
        self.changes.add(call.merchant, draft, Cause(cause, call.request_id))

    def channel(self, merchant: str, channel_id: str) -> Channel:
        """A channel of the merchant.

        Raises:
            DomainError: CHANNEL_NOT_FOUND.
        """
        for channel, _ in self._channels[merchant]:
            if channel.channel_id == channel_id:
                return channel
        raise DomainError(
            "CHANNEL_NOT_FOUND", f"there is no channel {channel_id!r}", channel_id=channel_id
        )

    def keep(self, merchant: str, reservation: Reservation) -> None:
        """Saves a reservation with the rest."""
        self.changes.reservations[merchant, reservation.reservation_id] = reservation

    def save(self) -> None:
        """Saves everything, and tells which figures of which channels are different."""
        connection = self._transaction.connection
        store.save(connection, self.changes)
        touched = self.changes.touched()
        known = store.load_figures(
            connection,
            [
                (merchant, channel.channel_id, item_id)
                for merchant, item_ids in touched.items()
                for channel, _ in self._channels[merchant]
                for item_id in item_ids
            ],
        )
        figures = [
            (merchant, figure)
            for merchant, item_ids in touched.items()
            for channel, _ in self._channels[merchant]
            for figure in self._changed(merchant, channel, item_ids, known)
        ]
        store.save_figures(connection, figures)
        for merchant, figure in figures:
            self._tell(merchant, figure)

    def _changed(
        self,
        merchant: str,
        channel: Channel,
        item_ids: Sequence[str],
        known: Mapping[store.FigureKey, Online],
    ) -> Iterable[Online]:
        """The channel's figures that are different now, each with its next version."""
        before = {
            item_id: known.get((merchant, channel.channel_id, item_id))
            or Online(channel.channel_id, item_id)
            for item_id in item_ids
        }
        changes = stock.online_changes(
            self._stocks[merchant],
            item_ids,
            channel.connected_outlet_ids,
            {item_id: figure.quantity for item_id, figure in before.items()},
        )
        for item_id, quantity in changes.items():
            version = before[item_id].version + 1
            yield Online(channel.channel_id, item_id, quantity, version, self._transaction.now)

    def _tell(self, merchant: str, figure: Online) -> None:
        item = self._stocks[merchant].items[figure.item_id]
        if item.deleted:
            return
        self._transaction.emit(
            merchant,
            f"item/{figure.item_id}",
            wire.online_stock_changed(figure, tracked=item.tracked),
            figure.channel_id,
        )


class ReservationWork(Work):
    """A group of calls that end reservations."""

    def __init__(self, transaction: Transaction, calls: Calls[Any, Any]) -> None:
        connection = transaction.connection
        wanted = [(call.merchant, call.request.reservation_id) for call in calls]
        named = store.load_reservations(connection, wanted)
        items = {
            key: [given.item_id for given in reservation.allocations]
            for key, (reservation, _) in named.items()
        }
        by_id = {key[1]: found for key, found in items.items()}
        super().__init__(transaction, calls, lambda request: by_id.get(request.reservation_id, ()))
        # What an order holds never changes its items; its state may have, before its items were
        # locked.
        self._reservations = store.load_reservations(connection, wanted)

    def find(self, merchant: str, reservation_id: str) -> tuple[Reservation, list[stock.Hold]]:
        """A reservation, with what it still holds, as the calls before have left it.

        Raises:
            DomainError: RESERVATION_NOT_FOUND.
        """
        found = self._reservations.get((merchant, reservation_id))
        if not found:
            raise DomainError(
                "RESERVATION_NOT_FOUND",
                f"there is no reservation {reservation_id!r}",
                reservation_id=reservation_id,
            )
        return found

    def keep(
        self, merchant: str, reservation: Reservation, holds: Sequence[stock.Hold] = ()
    ) -> None:
        """Saves a reservation with the rest; `holds` are what it still holds."""
        super().keep(merchant, reservation)
        self._reservations[merchant, reservation.reservation_id] = (reservation, list(holds))


def _not_zero(quantity: int, given: str) -> int:
    """The contract refuses `0`; this refuses `0.0` and `-0.000` too."""
    if quantity == 0:
        raise invalid("quantity", f"must not be zero, got {given!r}")
    return quantity


def _find_item(view: View, item_id: str) -> Item:
    found = store.list_items(view.connection, view.merchant, [item_id], "", 1)
    if not found:
        raise DomainError("ITEM_NOT_FOUND", f"the catalog has no item {item_id!r}", item_id=item_id)
    return found[0]


def _figures(view: View, channel: Channel, items: Sequence[Item]) -> list[pb.OnlineStock]:
    known = store.load_online(
        view.connection, view.merchant, channel.channel_id, [item.item_id for item in items]
    )
    return [
        wire.online_stock(
            known.get(item.item_id) or Online(channel.channel_id, item.item_id), item, channel
        )
        for item in items
    ]


def _learn(
    transaction: Transaction, rows: list[dict[str, Any]], products: list[dict[str, Any]]
) -> None:
    """Items that are new, different or gone. A channel shows one that is tracked or not tracked
    from now on in another way, so that is told.
    """
    connection = transaction.connection
    merchants = sorted({product["merchant_id"] for product in products})
    named = [(row["merchant_id"], row["item_id"]) for row in rows]
    before = store.lock_items(connection, named)
    store.learn_items(connection, rows, products)
    channels = channel_store.load_channels(connection, merchants)
    for row in rows:
        merchant, item_id = row["merchant_id"], row["item_id"]
        known = before.get((merchant, item_id))
        if known is None or known.deleted or known.tracked == row["tracked"]:
            continue
        for channel, _ in channels[merchant]:
            figures = store.load_online(connection, merchant, channel.channel_id, [item_id])
            figure = figures.get(item_id) or Online(channel.channel_id, item_id)
            transaction.emit(
                merchant,
                f"item/{item_id}",
                wire.online_stock_changed(figure, tracked=row["tracked"]),
                channel.channel_id,
            )
