"""The sweep: everything that the store shows, compared with what it shall show (BEY-07)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import structlog

from gateway.ecom import Held
from gateway.push.edits import differs, is_written
from gateway.push.listings import ListingPush, shows
from gateway.push.shelves import Shelves
from tillbridge.catalog.v1 import catalog_pb2

log = structlog.get_logger()


@dataclass(slots=True)
class Differences:
    """What a sweep found.

    Attributes:
        edited: products that the store shows otherwise than it was last told, their stock
            included, or not at all.
        product_ids: products whose listing has to be written.
        item_ids: items whose stock has to be written.
        compared: how many listings were looked at.
    """

    edited: list[str] = field(default_factory=list)
    product_ids: list[str] = field(default_factory=list)
    item_ids: list[str] = field(default_factory=list)
    compared: int = 0


async def compare(shelves: Shelves, pushing: ListingPush) -> Differences:
    """Reads the store anew and compares it with all listings and their current stock.

    Page by page: what was compared is not kept. What the store holds beside our listings is the
    merchant's own business and is left alone.

    Raises:
        DomainError: a service cannot be reached.
        PlatformError: the store cannot be read.
    """
    found = Differences()
    unlisted = await _compare_pages(shelves, pushing, shelves.held(), found)
    if unlisted:
        log.info("the store holds products that have no listing", count=unlisted)
    async for listings in shelves.listings():
        found.compared += len(listings)
        for listing in listings:
            shelves.learn(listing)
            if shelves.of_product(listing.product_id) is None:
                _note_missing(listing, pushing, found)
    log.info(
        "sweep",
        channel_id=shelves.channel_id,
        edited=len(found.edited),
        listings=len(found.product_ids),
        stocks=len(found.item_ids),
        compared=found.compared,
    )
    return found


async def edited_of(
    shelves: Shelves, pushing: ListingPush, shelf_ids: Sequence[str]
) -> Sequence[str]:
    """Of what the store has under these ids of its own, the products that it shows otherwise than
    it was last told, their stock included, or no more.

    Raises:
        DomainError: a service cannot be reached.
        PlatformError: the store cannot be read.
    """
    found = Differences()
    product_ids = [name for one in shelf_ids if (name := shelves.product_at(one))]
    await _compare_pages(shelves, pushing, shelves.held(shelf_ids), found)
    gone = [name for name in product_ids if shelves.of_product(name) is None]
    return [*found.edited, *gone]


async def _compare_pages(
    shelves: Shelves,
    pushing: ListingPush,
    pages: AsyncIterator[Sequence[Held]],
    found: Differences,
) -> int:
    """Compares what the store holds; gives how much of it has no listing."""
    unlisted = 0
    async for page in pages:
        by_product = {held.shelf.product_id: held for held in page}
        unlisted += len(by_product) - await _compare_page(shelves, pushing, by_product, found)
    return unlisted


async def _compare_page(
    shelves: Shelves, pushing: ListingPush, by_product: dict[str, Held], found: Differences
) -> int:
    """Compares what a page of the store holds; gives how much of it has a listing."""
    known = 0
    if not by_product:
        return known
    async for listings in shelves.listings(list(by_product)):
        known += len(listings)
        due = set()
        for listing in listings:
            shelves.learn(listing)
            if pushing.is_due(listing):
                found.product_ids.append(listing.product_id)
                due.add(listing.product_id)
            held = by_product[listing.product_id]
            stock_changed = bool(shelves.changed(held.shelf))
            if stock_changed or (is_written(listing) and differs(listing, held)):
                found.edited.append(listing.product_id)
            if stock_changed:  # by a buyer, perhaps: that is not for us to undo
                due.add(listing.product_id)
        found.item_ids += await _wrong_stock(shelves, listings, due)
    return known


def _note_missing(listing: catalog_pb2.Listing, pushing: ListingPush, found: Differences) -> None:
    """Notes a listing that the store does not hold (CAT-11)."""
    if is_written(listing):
        found.edited.append(listing.product_id)
    elif pushing.is_due(listing):
        found.product_ids.append(listing.product_id)


async def _wrong_stock(
    shelves: Shelves, listings: Sequence[catalog_pb2.Listing], due: set[str]
) -> list[str]:
    """Items of these listings, but for those due for more, whose stock the store shows wrongly."""
    held = [
        variant.item_id
        for listing in listings
        if listing.product_id not in due and shelves.of_product(listing.product_id)
        for variant in listing.variants
    ]
    figures = await shelves.figures(held)
    wrong = []
    for item_id, figure in figures.items():
        slot = shelves.slot_of(item_id)
        if slot is None:
            continue
        if shows(slot, figure):
            shelves.tell(item_id, figure)
        else:
            wrong.append(item_id)
    return wrong
