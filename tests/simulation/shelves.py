"""What must be true of stock at a quiet moment: figures and their terms, what stores show, what is
in transit, and incidents.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from tests.simulation.auditor import LIVE, Ledger, Place, thousandths
from tests.simulation.people import Scene
from tests.simulation.shop import Shop
from tillbridge.inventory.v1 import (
    audit_pb2,
    channels_pb2,
    events_pb2,
    inventory_pb2,
    transfers_pb2,
)

_UNIT = 1000
_OPEN = 1


@dataclass(frozen=True, slots=True)
class Feeding:
    """How a channel is fed, by what its own RPCs say of it."""

    channel: channels_pb2.Channel
    buffers: dict[tuple[str, str], int]
    """What is kept back, by outlet and item; an empty one means each."""

    @property
    def still(self) -> bool:
        """Whether no change of stock may reach it (INV-11)."""
        return not self.channel.policies.update_inventory

    def online(self, merchant: str, item: str, ledger: Ledger) -> int:
        """What the channel may sell: what its outlets have and have not promised, less what is kept
        back by the most specific buffer; nothing of one that is being disconnected, and of one that
        has been silent for too long no more than was agreed.
        """
        total, channel = 0, self.channel
        for outlet in set(channel.connected_outlet_ids) - set(channel.draining_outlet_ids):
            place = (merchant, item, outlet)
            free = ledger.on_hand.get(place, 0) - ledger.reserved.get(place, 0)
            which = ((outlet, item), ("", item), (outlet, ""), ("", ""))
            kept = next((self.buffers[one] for one in which if one in self.buffers), 0)
            given = max(0, free - kept)
            if outlet in channel.silent_outlet_ids:
                given = min(given, thousandths(channel.policies.silent_quantity or "0"))
            total += given
        return total // _UNIT


class Shelves:
    """One look at the stock of one shop."""

    def __init__(self, scene: Scene, ledger: Ledger, raw: Any) -> None:
        self._scene = scene
        self._shop: Shop = scene.shop
        self._ledger = ledger
        self._raw = raw
        self._findings: list[str] = []

    async def run(self) -> list[str]:
        """What is wrong."""
        await self._check_figures()
        await self._check_transfers()
        await self._check_proof()
        self._check_incidents()
        return self._findings

    def _say(self, text: str) -> None:
        self._findings.append(text)

    async def _check_figures(self) -> None:
        """Online stock is the sum of its terms, was told, and is what the store shows."""
        book, services, told = self._shop.book, self._shop.services, self._told()
        heard = self._heard()
        for channel_id, store in self._scene.stores.items():
            feeding = await self._feeding(channel_id)
            self._check_silent(feeding.channel, heard)
            answer = await book.ask(
                services.inventory.ListOnlineStock,
                inventory_pb2.ListOnlineStockRequest(channel_id=channel_id),
            )
            for figure in answer.online_stock:
                item = figure.item_id
                where = f"{item} in {channel_id}"
                right = feeding.online(self._shop.merchant, item, self._ledger)
                if figure.quantity != right and not feeding.still:
                    self._say(f"{where} says {figure.quantity}, its terms say {right}")
                if store.shown.get(item, 0) != figure.quantity and item not in store.by_hand:
                    self._say(f"{where} is {figure.quantity}, the store shows {store.shown}")
                if item not in self._shop.deleted:
                    self._check_told(where, figure, told[channel_id, item])
            shown = set(store.shown) - {one.item_id for one in answer.online_stock}
            if shown:
                self._say(f"{channel_id} shows {shown}, which are gone")

    async def _feeding(self, channel_id: str) -> Feeding:
        channels, book = self._shop.services.channels, self._shop.book
        found = await book.ask(
            channels.GetChannel, channels_pb2.GetChannelRequest(channel_id=channel_id)
        )
        kept_back = await book.ask(
            channels.ListBuffers, channels_pb2.ListBuffersRequest(channel_id=channel_id)
        )
        buffers = {
            (one.outlet_id, one.item_id): thousandths(one.quantity) for one in kept_back.buffers
        }
        return Feeding(found.channel, buffers)

    def _heard(self) -> set[str]:
        rows = self._raw.execute(
            "SELECT outlet_id FROM outlets WHERE merchant_id = ? AND heard_time IS NOT NULL",
            (self._shop.merchant,),
        )
        return {outlet for (outlet,) in rows}

    def _check_silent(self, channel: channels_pb2.Channel, heard: set[str]) -> None:
        """At a quiet moment nobody has said anything for longer than any channel waits (BEY-12)."""
        doubted = heard if channel.policies.silent_after_s else set()
        right = doubted & set(channel.connected_outlet_ids)
        if set(channel.silent_outlet_ids) != right:
            found = sorted(channel.silent_outlet_ids)
            self._say(f"{channel.channel_id} has {found} silent instead of {sorted(right)}")

    def _told(self) -> dict[tuple[str, str], list[events_pb2.OnlineStockChanged]]:
        told = defaultdict(list)
        for (data,) in self._raw.execute(
            "SELECT data FROM outbox WHERE merchant_id = ? AND type LIKE '%OnlineStockChanged'"
            " ORDER BY cursor",
            (self._shop.merchant,),
        ):
            event = events_pb2.OnlineStockChanged.FromString(data)
            told[event.channel_id, event.item_id].append(event)
        return told

    def _check_told(
        self, where: str, figure: Any, events: list[events_pb2.OnlineStockChanged]
    ) -> None:
        """Each change of a figure was told, once and in order."""
        versions = [event.version for event in events]
        if versions != list(range(1, figure.version + 1)):
            self._say(f"{where} is at version {figure.version}, told were {versions}")
        elif events and events[-1].quantity != figure.quantity:
            self._say(f"{where} is {figure.quantity}, told was {events[-1].quantity}")

    async def _check_transfers(self) -> None:
        """What is in transit to an outlet is what was sent there and has not come."""
        found = await self._shop.book.ask(
            self._shop.services.transfers.ListTransfers,
            transfers_pb2.ListTransfersRequest(page_size=1000),
        )
        expected: Counter[Place] = Counter()
        for one in found.transfers:
            for line in one.lines:
                sent, received = thousandths(line.sent), thousandths(line.received)
                over = thousandths(line.returned) + thousandths(line.lost)
                place = (self._shop.merchant, line.item_id, one.to_outlet_id)
                expected[place] += max(0, sent - received - over)
                if one.state == transfers_pb2.TRANSFER_STATE_CLOSED and sent > received + over:
                    self._say(f"transfer {one.transfer_id} is closed, and something is missing")
        for merchant, item, outlet, in_transit in self._raw.execute(
            "SELECT merchant_id, item_id, outlet_id, in_transit FROM levels WHERE merchant_id = ?",
            (self._shop.merchant,),
        ):
            right = expected[merchant, item, outlet]
            if in_transit != right:
                self._say(f"{item} to {outlet}: {in_transit} in transit, transfers say {right}")

    async def _check_proof(self) -> None:
        """The service's own proof agrees: it finds nothing wrong."""
        proof = await self._shop.book.ask(
            self._shop.services.audit.CheckStock,
            audit_pb2.CheckStockRequest(request_id=f"quiet {self._shop.version()}"),
        )
        if proof.findings:
            self._say(f"CheckStock finds {proof.findings}")

    def _check_incidents(self) -> None:
        """Where more is promised than there is, an incident says so, and nowhere else; only an
        operator ends one before there is enough again (BEY-04). What the sale of an order has taken
        below zero is still owed to the order.
        """
        states: dict[Place, set[int]] = defaultdict(set)
        owed: Counter[Place] = Counter()
        for *names, state, sold in self._raw.execute(
            "SELECT merchant_id, item_id, outlet_id, state, sold FROM incidents"
            " WHERE merchant_id = ?",
            (self._shop.merchant,),
        ):
            place = (names[0], names[1], names[2])
            states[place].add(state)
            for reservation_id, quantity in json.loads(sold):
                self._check_sold(place, reservation_id, quantity)
                owed[place] += quantity if state == _OPEN else 0
        for place in {*states, *self._ledger.reserved}:
            if place[0] != self._shop.merchant:
                continue
            here = max(0, self._ledger.on_hand.get(place, 0) + owed[place])
            missing = self._ledger.reserved.get(place, 0) + owed[place] - here
            told = _OPEN in states[place] or (self._shop.dealt_with and bool(states[place]))
            if missing > 0 and not told:
                self._say(f"{place} misses {missing}, and there is no incident")
            elif missing <= 0 and _OPEN in states[place]:
                self._say(f"{place} misses nothing, and there is an incident")

    def _check_sold(self, place: Place, reservation_id: str, quantity: int) -> None:
        """What is said to be owed was held by an order there, and its sale has taken it."""
        merchant, item, outlet = place
        ended = sum(
            hold.quantity
            for key, hold in self._ledger.holds.items()
            if key[:2] == (merchant, reservation_id) and hold.place == place and not hold.held
        )
        if ended != quantity or self._ledger.reservations[merchant, reservation_id][1] not in LIVE:
            self._say(f"{reservation_id} is owed {quantity} {item} at {outlet}, it held {ended}")
