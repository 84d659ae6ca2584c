"""What the store is known to hold of a channel's listings, and which item belongs where."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace

from gateway.ecom import Figure, Shelf, Slot, Store
from gateway.owners import Owners
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import inventory_pb2

FIGURES_PER_CALL = 500
LISTINGS_PER_PAGE = 500


class Shelves:
    """The shelves of one channel's store, as they were last read or written.

    It is a memory, not a record: it is read from the store when the worker starts, and whatever
    is missing in it is found by the next sweep.
    """

    def __init__(self, channel_id: str, owners: Owners, store: Store) -> None:
        self.channel_id = channel_id
        self._owners = owners
        self._store = store
        self._shelves: dict[str, Shelf] = {}
        self._product_of: dict[str, str] = {}
        self._items_of: dict[str, tuple[str, ...]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._writes: Counter[str] = Counter()

    def lock(self, product_id: str) -> asyncio.Lock:
        """Held while something of the product is written, so that the last read is written last."""
        return self._locks[product_id]

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

    def all(self) -> Iterable[Shelf]:
        """Every shelf."""
        return list(self._shelves.values())

    def of_product(self, product_id: str) -> Shelf | None:
        """The shelf of a product."""
        return self._shelves.get(product_id)

    def put(self, shelf: Shelf) -> None:
        """Remembers a shelf as it is now."""
        self._shelves[shelf.product_id] = shelf
        self._writes[shelf.product_id] += 1

    def drop(self, product_id: str) -> None:
        """Forgets a shelf that is not there any more."""
        self._shelves.pop(product_id, None)

    def learn(self, listing: catalog_pb2.Listing) -> None:
        """Remembers which items a listing has."""
        items = tuple(variant.item_id for variant in listing.variants)
        for gone in set(self._items_of.get(listing.product_id, ())) - set(items):
            self._product_of.pop(gone, None)
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
        product_id = self.product_of(item_id)
        shelf = self._shelves.get(product_id)
        if shelf is None:
            return None
        slot = shelf.slots.get(item_id)
        return slot or (self._only_slot(shelf) if len(self.items_of(product_id)) == 1 else None)

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
                figure = Figure(0, True) if online.unlimited else Figure(online.quantity)
                found[online.item_id] = figure
        return found

    async def listings(self) -> AsyncIterator[Sequence[catalog_pb2.Listing]]:
        """All listings of the channel, page by page."""
        request = catalog_pb2.ListListingsRequest(
            channel_id=self.channel_id, page_size=LISTINGS_PER_PAGE
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
