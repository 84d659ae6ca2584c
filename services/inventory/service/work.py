"""A group of calls being decided: what all commands on stock have in common."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from services.chassis.database import Call, Calls, Transaction
from services.chassis.driver import together
from services.chassis.errors import DomainError, invalid
from services.chassis.statements import Keys
from services.inventory.rules import incidents, stock
from services.inventory.rules.channels import heard_every
from services.inventory.rules.online import Change, Feed, Online, heard_time
from services.inventory.rules.reservations import Reservation
from services.inventory.rules.stock import Cause, Count, Draft, Item, Level
from services.inventory.service.figures import keep_figures
from services.inventory.store import buffers as buffer_store
from services.inventory.store import channels as channel_store
from services.inventory.store import incidents as incident_store
from services.inventory.store import online as online_store
from services.inventory.store import reservations as reservation_store
from services.inventory.store import stock as stock_store
from services.inventory.store.stock import Changes, PlaceKey
from services.inventory.store.tables import FigureKey

Fed = tuple[str, Feed, Sequence[str]]
"""A merchant, a channel with what feeds it, and items of it."""

GUESSED_MAX = 4
"""Figures of a merchant with more channels than that are asked for once it is known which of them
are concerned.
"""


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
        keys = Keys({(call.merchant, item) for call in calls for item in items_of(call.request)})
        connection = transaction.connection
        channels_before = channel_store.channels_before(connection)
        self._asked = {
            (merchant, channel_id, item_id)
            for merchant, item_id in keys
            for channel_id in channels_before.get(merchant, ())
        }
        """Which figures were asked for; `_kept` has those of them that there are."""
        keys.extend((merchant, "") for merchant in merchants)  # buffers of each item
        with together(connection):
            channel_store.lock_channels(transaction, merchants, shared=True)
            channels = channel_store.ask_channels(connection, merchants)
            buffers = buffer_store.ask_buffers(connection, keys)
            asked = stock_store.ask_stock(connection, keys, merchants)
            figures = online_store.ask_figures(connection, list(self._asked)) if self._asked else ()
        self._stocks = stock_store.read_stock(asked, merchants)
        kept_back = buffer_store.read_buffers(buffers)
        self._feeds = {
            merchant: [
                Feed(channel, kept_back.get((merchant, channel.channel_id), {}))
                for channel, _ in found
            ]
            for merchant, found in channel_store.read_channels(channels, merchants).items()
        }
        for merchant, feeds in self._feeds.items():
            ids = [feed.channel.channel_id for feed in feeds]
            channels_before[merchant] = ids if len(ids) <= GUESSED_MAX else []
        self._kept = online_store.read_figures(figures)
        self._heard: set[tuple[str, str]] = set()
        self._told_again: set[FigureKey] = set()
        self.changes = Changes(transaction.now)

    def draft(self, call: Call[Any, Any]) -> Draft:
        """What a call may change, on top of what the calls before it have."""
        return self._stocks[call.merchant].draft()

    def accept(self, call: Call[Any, Any], draft: Draft, cause: str) -> None:
        """Takes over what a call has decided."""
        self._stocks[call.merchant].accept(draft)
        self.changes.add(call.merchant, draft, Cause(cause, call.request_id))

    def hear(self, merchant: str, outlet_ids: Iterable[str]) -> None:
        """Notes that something was told of these outlets (BEY-12)."""
        self._heard.update((merchant, outlet_id) for outlet_id in outlet_ids)

    def tell_again(self, merchant: str, channel_id: str, item_id: str) -> None:
        """Lets a figure be told, with its next version, even if it is as it was."""
        self._told_again.add((merchant, channel_id, item_id))

    def feed(self, merchant: str, channel_id: str) -> Feed:
        """A channel of the merchant, with what feeds it.

        Raises:
            DomainError: CHANNEL_NOT_FOUND.
        """
        for feed in self._feeds[merchant]:
            if feed.channel.channel_id == channel_id:
                return feed
        raise DomainError(
            "CHANNEL_NOT_FOUND", f"there is no channel {channel_id!r}", channel_id=channel_id
        )

    def figure(self, merchant: str, feed: Feed, item_id: str) -> tuple[Item, Online]:
        """An item, and what the channel may sell of it, as the calls before have left it.

        Raises:
            DomainError: ITEM_NOT_FOUND.
        """
        item = self._stocks[merchant].item(item_id)
        key = (merchant, feed.channel.channel_id, item_id)
        known = self._figures([key]).get(key) or Online(feed.channel.channel_id, item_id)
        if feed.channel.stands_still:
            return item, known
        quantity = feed.figure(item_id, self._stocks[merchant].levels)
        if quantity == known.quantity and key not in self._told_again:
            return item, known
        version = known.version + 1
        return item, Online(known.channel_id, item_id, quantity, version, self._transaction.now)

    def heard_time(self, merchant: str, feed: Feed) -> datetime | None:
        """When anything was last told of the outlets that feed a channel."""
        return heard_time(feed.channel, self._stocks[merchant].heard)

    def open(self, merchant: str, reservation: Reservation) -> None:
        """Saves a new reservation with the rest, and what it holds."""
        self.changes.held += reservation_store.hold_rows(merchant, reservation)
        self.changes.reservations[merchant, reservation.reservation_id] = reservation

    def levels(self, merchant: str) -> Mapping[stock.Place, Level]:
        """The merchant's levels, as the calls before have left them."""
        return self._stocks[merchant].levels

    def holding(self, merchant: str) -> Collection[str]:
        """The merchant's outlets where counts are held (BEY-10)."""
        return self._stocks[merchant].holding

    def await_deltas(self, counts: Iterable[tuple[str, Count]]) -> None:
        """Loads what was added and taken since these counts, each with its merchant, as far as they
        come behind it.
        """
        late = {
            (merchant, told.item_id, told.outlet_id): told.observe_time
            for merchant, told in counts
            if told.timed
            and (level := self._stocks[merchant].levels.get((told.item_id, told.outlet_id)))
            and stock.waits_for_deltas(level, told)
        }
        if late:
            since = min(late.values())
            found = stock_store.load_deltas(self._transaction.connection, list(late), since)
            for merchant, deltas in found.items():
                self._stocks[merchant].deltas = deltas

    def deltas_since(
        self, merchant: str, counts: Iterable[Count]
    ) -> Mapping[stock.Place, Sequence[tuple[datetime, int]]]:
        """What was added and taken at the places of these counts, since the first of them was
        observed at least; what is decided next knows it too.
        """
        told = list(counts)
        places = [(merchant, one.item_id, one.outlet_id) for one in told]
        since = min(one.observe_time for one in told)
        found = stock_store.load_deltas(self._transaction.connection, places, since)
        deltas = self._stocks[merchant].deltas = found.get(merchant, {})
        return deltas

    def wrong_figures(self, merchant: str) -> list[tuple[Online, int]]:
        """Figures that are not what their terms make, each with what it should be."""
        items = [item for item in self._stocks[merchant].items.values() if not item.deleted]
        feeds = [feed for feed in self._feeds[merchant] if not feed.channel.stands_still]
        keys = [
            (merchant, feed.channel.channel_id, item.item_id) for feed in feeds for item in items
        ]
        known = self._figures(keys)
        found = []
        for feed in feeds:
            for item in items:
                channel_id = feed.channel.channel_id
                key = (merchant, channel_id, item.item_id)
                figure = known.get(key) or Online(channel_id, item.item_id)
                expected = feed.figure(item.item_id, self._stocks[merchant].levels)
                if figure.quantity != expected:
                    found.append((figure, expected))
        return found

    def save(self) -> None:
        """Saves everything, most of it at the end of the transaction, and tells which figures of
        which channels are different.
        """
        connection = self._transaction.connection
        reservation_store.forget_holds(connection, self.changes.moved)
        fed = list(self._fed())
        self._figures(_figure_keys(fed))
        self._save_incidents()
        self._save_heard()
        self._transaction.save_at_end(lambda: self._save_decided(fed))

    def _save_decided(self, fed: Sequence[Fed]) -> None:
        stock_store.save(self._transaction.connection, self.changes)
        self._save_figures(fed)

    def _figures(self, wanted: Sequence[FigureKey]) -> Mapping[FigureKey, Online]:
        """What is kept of figures, among them these; those that were not asked for with the stock
        are now.
        """
        if more := [key for key in wanted if key not in self._asked]:
            self._asked.update(more)
            self._kept |= online_store.load_figures(self._transaction.connection, more)
        return self._kept

    def _save_incidents(self) -> None:
        """Opens an incident where more of what is promised has gone missing, one at a place, and
        ends those of places that have enough again (BEY-04). A hold that ends since the level
        includes its sale leaves its order hit where that takes the level below zero.
        """
        changes, sold = self.changes, self._sold()
        opened: list[PlaceKey] = []
        over: list[PlaceKey] = []
        below: list[PlaceKey] = []
        for key, level in changes.levels.items():
            before, taken = changes.before[key], sold.get(key)
            if not (
                level.reserved or taken or (before and (before.reserved or before.on_hand < 0))
            ):
                continue  # nothing is promised there
            if incidents.opens(before, level, sum(taken.values()) if taken else 0):
                opened.append(key)
            elif before and not taken and incidents.may_end(before, level):
                (over if level.on_hand >= 0 else below).append(key)
        connection, now = self._transaction.connection, self._transaction.now
        if over:
            incident_store.end_incidents(connection, over, now)
        if below:
            incident_store.end_unsold(connection, below, now)
        if opened or sold:
            self._open_incidents(opened, sold)

    def _open_incidents(
        self, opened: Sequence[PlaceKey], sold: Mapping[PlaceKey, Mapping[str, int]]
    ) -> None:
        """Opens incidents where none is open, and adds what was sold to those that are."""
        connection, now = self._transaction.connection, self._transaction.now
        known = incident_store.open_at(connection, sorted({*opened, *sold}))
        more = [(key, incidents.sold_more(known[key], sold[key])) for key in sold if key in known]
        if more:
            incident_store.save_sold(connection, more)
        incident_store.open_incidents(
            connection,
            [(key[0], self._incident(key, now)) for key in opened if key not in known],
        )

    def _sold(self) -> Mapping[PlaceKey, Mapping[str, int]]:
        """What sales took that is not there, by place and reservation."""
        levels = self.changes.levels
        return {key: taken for key, taken in self.changes.sold.items() if levels[key].on_hand < 0}

    def _incident(self, key: PlaceKey, now: datetime) -> incidents.Incident:
        may_pass = incidents.may_pass(self.changes.before[key], self.changes.levels[key])
        cause, sold = self.changes.missed[key], self.changes.sold.get(key, {})
        begun = incidents.begin(key[1:], cause, now, uuid4().hex, may_pass=may_pass)
        return replace(begun, sold=incidents.sold_more((), sold))

    def _save_figures(self, fed: Sequence[Fed]) -> None:
        changes: dict[tuple[str, str], list[Change]] = {}
        for merchant, feed, item_ids in fed:
            of = (merchant, feed.channel.channel_id)
            levels, items = self._stocks[merchant].levels, self._stocks[merchant].items
            found = changes[of] = []
            for item_id in item_ids:
                key = (*of, item_id)
                kept = self._kept.get(key)
                before, version = (kept.quantity, kept.version) if kept else (0, 0)
                after = feed.figure(item_id, levels)
                if after != before or key in self._told_again:
                    kind = (items[item_id].tracked, items[item_id].deleted)
                    found.append(Change(item_id, before, after, version + 1, *kind))
        keep_figures(self._transaction, changes)

    def _fed(self) -> Iterator[Fed]:
        """By merchant and channel, the items whose figures may be different: those that changed at
        an outlet that feeds it. No change reaches a channel whose figures stand still (INV-11).
        """
        places: dict[str, list[stock.Place]] = {}
        for merchant, item_id, outlet_id in self.changes.levels:
            places.setdefault(merchant, []).append((item_id, outlet_id))
        for merchant, _, item_id in self._told_again:
            places.setdefault(merchant, []).append((item_id, ""))
        for merchant, changed in places.items():
            for feed in self._feeds[merchant]:
                channel = feed.channel
                if channel.stands_still:
                    continue
                connected = channel.connected_outlet_ids
                again = {key[2] for key in self._told_again if key[1] == channel.channel_id}
                concerned = dict.fromkeys(
                    [
                        item_id
                        for item_id, outlet_id in changed
                        if outlet_id in connected or item_id in again
                    ]
                )
                if concerned:
                    yield merchant, feed, list(concerned)

    def _save_heard(self) -> None:
        """Notes which outlets were heard of, unless that was noted a moment ago: an outlet's row
        must not be what all of its calls wait for.
        """
        if not self._heard:
            return
        now, due = self._transaction.now, []
        for merchant, outlet_id in self._heard:
            channels = (feed.channel for feed in self._feeds[merchant])
            before = now - heard_every(channels)
            heard = self._stocks[merchant].heard.get(outlet_id)
            if heard is None or heard < before:
                due.append((merchant, outlet_id))
        if due:
            channel_store.save_heard(self._transaction.connection, due, now)


class ReservationWork(Work):
    """A group of calls that end reservations."""

    def __init__(self, transaction: Transaction, calls: Calls[Any, Any]) -> None:
        connection = transaction.connection
        wanted = [(call.merchant, call.request.reservation_id) for call in calls]
        named = reservation_store.load_reservations(connection, wanted)
        items = {
            key: [given.item_id for given in reservation.allocations]
            for key, (reservation, _) in named.items()
        }
        by_id = {key[1]: found for key, found in items.items()}
        super().__init__(transaction, calls, lambda request: by_id.get(request.reservation_id, ()))
        # What an order holds never changes its items; its state may have, before its items were
        # locked.
        self._reservations = reservation_store.load_reservations(connection, wanted)

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
        key = (merchant, reservation.reservation_id)
        self.changes.reservations_before.setdefault(key, self._reservations[key][0])
        self.changes.reservations[key] = reservation
        self._reservations[key] = (reservation, list(holds))


def _figure_keys(fed: Iterable[Fed]) -> list[FigureKey]:
    return [
        (merchant, feed.channel.channel_id, item_id)
        for merchant, feed, item_ids in fed
        for item_id in item_ids
    ]


def not_zero(quantity: int, given: str) -> int:
    """The contract refuses `0`; this refuses `0.0` and `-0.000` too."""
    if quantity == 0:
        raise invalid("quantity", f"must not be zero, got {given!r}")
    return quantity
