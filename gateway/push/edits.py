"""What was changed of a listing in a store, told to the catalog (CAT-05, CAT-07 to 11, BEY-07)."""

from uuid import uuid4

from gateway.ecom import Held, Store
from gateway.owners import Owners
from gateway.records import BadRecordError, request_id
from services.chassis.errors import DomainError
from tillbridge.catalog.v1 import catalog_pb2, drift_pb2

VALUE_LENGTH_MAX = 10_000


class ListingEdits:
    """Compares what a store shows with its listings, and reports what differs.

    The catalog decides what becomes of a difference; one that our own writes left behind (BEY-16),
    or that is none, is not even reported.

    Args:
        channel_id: the channel.
        owners: the services.
        store: what to look at.
    """

    def __init__(self, channel_id: str, owners: Owners, store: Store) -> None:
        self._channel_id = channel_id
        self._owners = owners
        self._store = store

    async def look_at(self, shelf_id: str, event_id: str) -> Held | None:
        """Looks at what the store has under an id of its own; None when it has nothing there.

        Raises:
            BadRecordError: it makes no sense.
            DomainError: the catalog cannot be reached.
            PlatformError: the store cannot be read.
        """
        held = await self._store.held_at(shelf_id)
        listing = await self._listing(held.shelf.product_id) if held is not None else None
        if held is not None and listing is not None and differs(listing, held):
            # We may have written between the two reads. What is read after the listing is at
            # least as new, so that a write of ours is never taken for an edit.
            await self.look(listing.product_id, event_id)
        return held

    async def look(self, product_id: str, event_id: str = "") -> Held | None:
        """Looks at a product by our own id; gives what the store holds of it.

        Args:
            product_id: the product.
            event_id: what made us look: the same event reports the same thing under the same
                request id. Empty when nothing but ourselves did.

        Raises:
            BadRecordError: what the store holds makes no sense.
            DomainError: the catalog cannot be reached.
            PlatformError: the store cannot be read.
        """
        listing = await self._listing(product_id)
        held = await self._store.held_of(product_id)
        if listing is None:
            return held
        if held is not None:
            # What the store was not told wholly yet is being written, perhaps right now: the worker
            # looks at it when that is done.
            if is_written(listing) and differs(listing, held):
                await self._report(reported(listing, held), event_id)
        elif listing.pushed_version:
            await self._report(_deleted(listing), event_id)
        return held

    async def _listing(self, product_id: str) -> catalog_pb2.Listing | None:
        """The listing; None for a product of the store's own."""
        if not product_id:
            return None
        request = catalog_pb2.GetListingRequest(channel_id=self._channel_id, product_id=product_id)
        try:
            return (await self._owners.call(self._owners.catalog.GetListing, request)).listing
        except DomainError as error:
            if error.reason == "LISTING_NOT_FOUND":
                return None
            raise

    async def _report(self, report: drift_pb2.ReportListingEditRequest, event_id: str) -> None:
        report.request_id = request_id("edit", event_id or uuid4(), body=report)
        try:
            await self._owners.call(self._owners.catalog.ReportListingEdit, report)
        except DomainError as error:
            if error.reason != "LISTING_NOT_FOUND":  # its product was deleted meanwhile
                raise


def is_written(listing: catalog_pb2.Listing) -> bool:
    """Whether the store was told all of it; else a difference is a write that is still due."""
    return 0 < listing.pushed_version == listing.version


def differs(listing: catalog_pb2.Listing, held: Held) -> bool:
    """Whether a store shows anything that the catalog does not know of."""
    try:
        report = reported(listing, held)
    except BadRecordError:  # it cannot hold the listing, as the listing's push error says
        return False
    fields = report.store_fields
    return bool(report.edits) or (
        fields != _known_fields(listing)
        or list(report.store_image_urls) != list(listing.store_image_urls)
    )


def reported(listing: catalog_pb2.Listing, held: Held) -> drift_pb2.ReportListingEditRequest:
    """What to report of a listing. Of the store's own fields, those that were set here and are not
    written to it yet are told as they will be.

    Raises:
        BadRecordError: the store cannot hold the listing.
    """
    report = held.report(listing)
    ours = _known_fields(listing)
    for field in drift_pb2.StoreFields.DESCRIPTOR.fields:
        ahead = field.name in listing.unpushed_fields
        (report.store_fields if ahead else ours).ClearField(field.name)  # type: ignore[arg-type]
    report.store_fields.MergeFrom(ours)
    return report


def _known_fields(listing: catalog_pb2.Listing) -> drift_pb2.StoreFields:
    """What the catalog knows of the store's own fields."""
    fields = drift_pb2.StoreFields(subtitle=listing.subtitle)
    if listing.HasField("compare_to_price"):
        fields.compare_to_price.CopyFrom(listing.compare_to_price)
    if listing.HasField("low_stock_threshold"):
        fields.low_stock_threshold = listing.low_stock_threshold
    return fields


def _deleted(listing: catalog_pb2.Listing) -> drift_pb2.ReportListingEditRequest:
    """The report of a listing that the store held and holds no more (CAT-11)."""
    return drift_pb2.ReportListingEditRequest(
        channel_id=listing.channel_id,
        product_id=listing.product_id,
        version=listing.version,
        edits=[
            drift_pb2.ListingEdit(
                kind=drift_pb2.EDIT_KIND_LISTING_DELETED, own_value=listing.name[:VALUE_LENGTH_MAX]
            )
        ],
    )
