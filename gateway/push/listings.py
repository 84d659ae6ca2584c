"""Listings to the store (CAT-02, CAT-03, CAT-06, CAT-10 to CAT-12)."""

from collections.abc import Callable, Sequence
from uuid import uuid4

from gateway.ecom import Figure, Slot, Store
from gateway.owners import Owners
from gateway.platform import PlatformError
from gateway.push.chores import Failures, one_by_one
from gateway.push.shelves import Shelves
from gateway.records import BadRecordError
from services.chassis import failpoints
from services.chassis.errors import DomainError
from tillbridge.catalog.v1 import catalog_pb2

AT_ONCE = 4
ERROR_LENGTH_MAX = 4000


class ListingPush:
    """Writes listings, with their stock.

    Args:
        owners: the services.
        store: where to.
        shelves: what it holds.
        outdated: told the items whose stock changed while their listing was written.
        written: told the store's own ids of what was written.
    """

    def __init__(
        self,
        owners: Owners,
        store: Store,
        shelves: Shelves,
        outdated: Callable[[Sequence[str]], None],
        written: Callable[[str], None],
    ) -> None:
        self._owners = owners
        self._store = store
        self._shelves = shelves
        self._outdated = outdated
        self._written = written

    async def do(self, product_ids: Sequence[str]) -> Failures:
        """Makes the store show these products' listings as they are now."""
        return await one_by_one(product_ids, self._push, AT_ONCE)

    async def _push(self, product_id: str) -> None:
        async with self._shelves.lock(product_id):
            listing = await self._listing(product_id)
            if listing is None:
                await self._remove(product_id)
                return
            self._shelves.learn(listing)
            if not self.is_due(listing):
                return
            figures = await self._write(listing)
        await self._check_figures([variant.item_id for variant in listing.variants], figures)

    def is_due(self, listing: catalog_pb2.Listing) -> bool:
        """Whether a listing has to be written.

        One that is not sold online is not made in the store (CAT-02); one that is there already is
        kept up to date, switched off (CAT-12), and made again if it was deleted there (CAT-11).
        """
        shelf = self._shelves.of_product(listing.product_id)
        if shelf is None:
            return listing.sell_online or listing.pushed_version > 0
        return (
            listing.pushed_version != listing.version
            or bool(listing.push_error)
            or shelf.enabled != listing.available
            or any(self._shelves.slot_of(variant.item_id) is None for variant in listing.variants)
        )

    async def _listing(self, product_id: str) -> catalog_pb2.Listing | None:
        request = catalog_pb2.GetListingRequest(
            channel_id=self._shelves.channel_id, product_id=product_id
        )
        try:
            answer = await self._owners.call(self._owners.catalog.GetListing, request)
        except DomainError as error:
            if error.reason == "LISTING_NOT_FOUND":
                return None
            raise
        return answer.listing

    async def _remove(self, product_id: str) -> None:
        """Takes the listing of a product that is gone out of the store (CAT-11)."""
        shelf = self._shelves.of_product(product_id)
        if shelf is not None:
            await self._store.remove_listing(shelf)
            self._shelves.drop(product_id)

    async def _write(self, listing: catalog_pb2.Listing) -> dict[str, Figure]:
        figures = await self._shelves.figures([variant.item_id for variant in listing.variants])
        try:
            shelf = await self._store.write_listing(listing, figures)
            failpoints.at("push.listing.written")
        except (BadRecordError, PlatformError) as error:
            await self._report(listing, str(error)[:ERROR_LENGTH_MAX])
            raise
        self._shelves.put(shelf, figures)
        self._written(shelf.shelf_id)
        await self._report(listing, "")
        return figures

    async def _report(self, listing: catalog_pb2.Listing, error: str) -> None:
        """Lets the listing tell how writing it went (SOR-04)."""
        if error and error == listing.push_error:
            return
        await self._owners.call(
            self._owners.catalog.ReportListingPush,
            catalog_pb2.ReportListingPushRequest(
                request_id=f"push/{uuid4()}",
                channel_id=self._shelves.channel_id,
                product_id=listing.product_id,
                version=listing.version,
                error=error,
            ),
        )

    async def _check_figures(self, item_ids: Sequence[str], written: dict[str, Figure]) -> None:
        """A stock change that came while a new listing was written had no slot to go to; nor had
        the first stock of an item that inventory did not know when the listing was written.
        """
        current = await self._shelves.figures(item_ids)
        outdated = [item for item, figure in current.items() if written.get(item) != figure]
        if outdated:
            self._outdated(outdated)


def shows(slot: Slot, figure: Figure) -> bool:
    """Whether a slot shows what it shall show."""
    if figure.unlimited or slot.figure.unlimited:
        return figure.unlimited == slot.figure.unlimited
    return figure.quantity == slot.figure.quantity
