"""What the store is known to hold of a channel's listings, and which item belongs where."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.ecom import Figure, Held, Shelf, Slot, Store
from gateway.owners import Owners
from gateway.push.chores import Turns
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import inventory_pb2

FIGURES_PER_CALL = 500
LISTINGS_PER_PAGE = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What the store was last told of an item's stock, or was seen to show rightly, and when (unix
    seconds).
    """

    figure: Figure
    at_s: float


class Shelves:
    """The shelves of one channel's store, as they were last read or written.

    It is a memory, not a record: it is read from the store when the worker starts, and whatever
    is missing in it is found by the next sweep.

    Args:
        channel_id: the channel.
        owners: the services.
        store: what holds them.
        clock: unix seconds.
    """

    def __init__(
        self,
        channel_id: str,
        owners: Owners,
        store: Store,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.channel_id = channel_id
        self._owners = owners
        self._store = store
        self._shelves: dict[str, Shelf] = {}
        self._product_at: dict[str, str] = {}
        self._product_of: dict[str, str] = {}
        self._items_of: dict[str, tuple[str, ...]] = {}
        self._told: dict[str, Told] = {}
        self._turns = Turns()
        self._writes: Counter[str] = Counter()
        self._clock = clock

    def lock(self, product_id: str) -> asyncio.Lock:
        """Held while something of the product is written, so that the last read is written last."""
        return self._turns.of(product_id)

    def writes(self, product_id: str) -> int:
        """How often the product was written here. Whoever finds more writes than when it read what
        it is about to write reads again.
        """
        return self._writes[product_id]

    async def read(self) -> None:
        """Reads anew what the store holds."""
        self._shelves = {
            shelf.product_id: shelf async for shelf in self._store.shelves() if shelf.product_id
        }
        self._product_at = {shelf.shelf_id: name for name, shelf in self._shelves.items()}

    async def held(self, shelf_ids: Sequence[str] = ()) -> AsyncIterator[Sequence[Held]]:
        """What the store shows under these ids of its own, or all of it, page by page, as far as it
        is linked to a product; remembers the shelves. What was written here meanwhile stays as it
        was written.
        """
        gone = {self.product_at(shelf_id) for shelf_id in shelf_ids} or set(self._shelves)
        begin = Counter({product_id: self._writes[product_id] for product_id in gone})
        async for page in self._store.held(shelf_ids):
            linked = [held for held in page if held.shelf.product_id]
            for held in linked:
                product_id = held.shelf.product_id
                gone.discard(product_id)
                if self._writes[product_id] == begin[product_id]:
                    self._remember(held.shelf)
            yield linked
        for product_id in gone:
            if self._writes[product_id] == begin[product_id]:
                self.drop(product_id)

    def of_product(self, product_id: str) -> Shelf | None:
        """The shelf of a product."""
        return self._shelves.get(product_id)

    def product_at(self, shelf_id: str) -> str:
        """The product whose listing the store has under this id; empty when none of ours."""
        return self._product_at.get(shelf_id, "")

    def put(self, shelf: Shelf, figures: Mapping[str, Figure] | None = None) -> None:
        """Remembers a shelf as it was read or written, and what was written to it, by item."""
        self._remember(shelf)
        self._writes[shelf.product_id] += 1
        for item_id, figure in (figures or {}).items():
            self.tell(item_id, figure)

    def tell(self, item_id: str, figure: Figure) -> None:
        """Remembers what the store was told of an item's stock, or shows rightly."""
        self._told[item_id] = Told(figure, self._clock())

    def changed(self, shelf: Shelf) -> dict[str, tuple[Slot, Told]]:
        """The items of which a shelf, as it was just read, shows another stock than it was told.
        One whose stock was not told by this process yet is none: nobody knows what it was.
        """
        found = {}
        for item_id in self.items_of(shelf.product_id):
            slot, told = self._slot_in(shelf, item_id), self._told.get(item_id)
            if slot and told and slot.figure != told.figure:
                found[item_id] = (slot, told)
        return found

    def drop(self, product_id: str) -> None:
        """Forgets a shelf that is not there any more."""
        self._forget(product_id)
        for item_id in self.items_of(product_id):
            self._told.pop(item_id, None)

    def _forget(self, product_id: str) -> None:
        shelf = self._shelves.pop(product_id, None)
        if shelf is not None:
            self._product_at.pop(shelf.shelf_id, None)

    def _remember(self, shelf: Shelf) -> None:
        self._forget(shelf.product_id)
        self._shelves[shelf.product_id] = shelf
        self._product_at[shelf.shelf_id] = shelf.product_id

    def learn(self, listing: catalog_pb2.Listing) -> None:
        """Remembers which items a listing has."""
        items = tuple(variant.item_id for variant in listing.variants)
        for gone in set(self._items_of.get(listing.product_id, ())) - set(items):
            self._product_of.pop(gone, None)
            self._told.pop(gone, None)
        self._items_of[listing.product_id] = items
        self._product_of.update(dict.fromkeys(items, listing.product_id))

    def items_of(self, product_id: str) -> Sequence[str]:
        """The items of a product."""
        return self._items_of.get(product_id, ())

    def product_of(self, item_id: str) -> str:
        """The product that an item belongs to; empty when no listing has it."""
        return self._product_of.get(item_id, "")

    def slot_of(self, item_id: str) -> Slot | None:
        """Where the store keeps the stock of an item; None where it does not hold it."""
        shelf = self._shelves.get(self.product_of(item_id))
        return self._slot_in(shelf, item_id) if shelf else None

    def _slot_in(self, shelf: Shelf, item_id: str) -> Slot | None:
        slot = shelf.slots.get(item_id)
        only = len(self.items_of(shelf.product_id)) == 1
        return slot or (self._only_slot(shelf) if only else None)

    def wrote(self, item_id: str, figure: Figure) -> None:
        """Remembers what was written to an item's slot."""
        slot, product_id = self.slot_of(item_id), self.product_of(item_id)
        shelf = self._shelves.get(product_id)
        if slot and shelf:
            slots = {
                name: replace(known, figure=figure) if known is slot else known
                for name, known in shelf.slots.items()
            }
            self._shelves[product_id] = replace(shelf, slots=slots)
            self._writes[product_id] += 1
            self.tell(item_id, figure)

    def item_in_line(self, linked_to: str) -> str:
        """The item that an order's line is linked to: the store knows a product without options by
        the product's id.
        """
        shelf, items = self._shelves.get(linked_to), self.items_of(linked_to)
        if shelf and len(items) == 1 and self._only_slot(shelf):
            return items[0]
        return linked_to

    async def figures(self, item_ids: Sequence[str]) -> dict[str, Figure]:
        """What the store shall show of these items now; none for those that inventory does not
        know.
        """
        found: dict[str, Figure] = {}
        for begin in range(0, len(item_ids), FIGURES_PER_CALL):
            part = item_ids[begin : begin + FIGURES_PER_CALL]
            answer = await self._owners.call(
                self._owners.inventory.ListOnlineStock,
                inventory_pb2.ListOnlineStockRequest(
                    channel_id=self.channel_id, item_ids=part, page_size=len(part)
                ),
            )
            for online in answer.online_stock:
                quantity = 0 if online.unlimited else online.quantity
                found[online.item_id] = Figure(quantity, online.unlimited, online.version)
        return found

    async def listings(
        self, product_ids: Sequence[str] = ()
    ) -> AsyncIterator[Sequence[catalog_pb2.Listing]]:
        """The listings of these products, or all of the channel, page by page."""
        request = catalog_pb2.ListListingsRequest(
            channel_id=self.channel_id, page_size=LISTINGS_PER_PAGE, product_ids=product_ids
        )
        while True:
            answer = await self._owners.call(self._owners.catalog.ListListings, request)
            yield answer.listings
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    @staticmethod
    def _only_slot(shelf: Shelf) -> Slot | None:
        """The slot of a product without options."""
        slot = shelf.slots.get(shelf.product_id)
        return slot if slot and not slot.variation_id else None
