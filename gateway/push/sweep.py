"""The sweep: everything that the store shows, compared with what it shall show."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.push.listings import ListingPush, shows
from gateway.push.shelves import Shelves
from tillbridge.catalog.v1 import catalog_pb2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Differences:
    """What a sweep found.

    Attributes:
        product_ids: products whose listing has to be written.
        item_ids: items whose stock has to be written.
        compared: how many listings were looked at.
    """

    product_ids: Sequence[str]
    item_ids: Sequence[str]
    compared: int


async def compare(shelves: Shelves, pushing: ListingPush) -> Differences:
    """Reads the store anew and compares it with all listings and their current stock.

    What the store holds beside our listings is the merchant's own business and is left alone.

    Raises:
        DomainError: a service cannot be reached.
        PlatformError: the store cannot be read.
    """
    await shelves.read()
    product_ids: list[str] = []
    item_ids: list[str] = []
    listed: set[str] = set()
    async for listings in shelves.listings():
        for listing in listings:
            shelves.learn(listing)
        listed.update(listing.product_id for listing in listings)
        due = [listing.product_id for listing in listings if pushing.is_due(listing)]
        product_ids += due
        item_ids += await _wrong_stock(shelves, listings, set(due))
    unknown = [shelf.product_id for shelf in shelves.all() if shelf.product_id not in listed]
    if unknown:
        log.info("the store holds products that have no listing", count=len(unknown))
    return Differences(product_ids, item_ids, len(listed))


async def _wrong_stock(
    shelves: Shelves, listings: Sequence[catalog_pb2.Listing], due: set[str]
) -> list[str]:
    """Items of these listings whose stock the store shows wrongly."""
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
        if slot and not shows(slot, figure):
            wrong.append(item_id)
    return wrong
