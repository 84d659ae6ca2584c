"""The RPCs of listings."""

from collections.abc import Sequence

from services.catalog.rules import drift, listings
from services.catalog.rules.listings import Placement
from services.catalog.rules.provenance import Source
from services.catalog.service.upkeep import close_drift, lock, tell_listings
from services.catalog.store import listings as listing_rows
from services.catalog.store import products as product_rows
from services.catalog.wire import listings as listing_wire
from services.chassis import pages
from services.chassis.database import Call, Calls, Transaction
from services.chassis.rpc import View, command, command_each, query
from tillbridge.catalog.v1 import catalog_pb2 as pb


class ListingRpcs:
    """The RPCs of `CatalogService` that are about listings."""

    @query
    def get_listing(self, view: View, request: pb.GetListingRequest) -> pb.GetListingResponse:
        """One listing, with where its values came from (SOR-04)."""
        key = (view.merchant, request.channel_id, request.product_id)
        placement = listing_rows.placements(view.connection, [key]).get(key)
        if placement is None:
            raise listings.no_listing(request.channel_id, request.product_id, "product_id")
        product = (view.merchant, request.product_id)
        known = product_rows.known(view.connection, [product])[product]
        assert known.product is not None, "a listing goes with its product"
        listing = listings.listing_of(known.product, placement)
        message = listing_wire.listing(listing, listings.sources(known, listing))
        return pb.GetListingResponse(listing=message)

    @query
    def list_listings(self, view: View, request: pb.ListListingsRequest) -> pb.ListListingsResponse:
        """A channel's listings by product id, those that fit the filters."""
        (after,) = pages.key_before(request, str) or ("",)
        if not listing_rows.has_channel(view.connection, view.merchant, request.channel_id):
            raise listings.no_channel(request.channel_id)
        size = pages.page_size(request)
        found = listing_rows.placement_page(
            view.connection,
            view.merchant,
            request.channel_id,
            listing_wire.wanted(request),
            after=after,
            count=size + 1,
        )
        token = pages.token_after(request, found[size - 1].product_id) if found[size:] else ""
        return listing_wire.listing_page(_listings(view, found[:size]), token)

    @command_each
    def set_sell_online(
        self,
        transaction: Transaction,
        call: Call[pb.SetSellOnlineRequest, pb.SetSellOnlineResponse],
    ) -> pb.SetSellOnlineResponse:
        """Switches listings on or off: all or none of the named ones, and of those what fits the
        filters (CAT-02, CAT-12).
        """
        request, connection, now = call.request, transaction.connection, transaction.now
        channel_id, wanted = request.channel_id, listing_wire.to_switch(request)
        lock(transaction, [call.merchant])
        if not listing_rows.has_channel(connection, call.merchant, channel_id):
            raise listings.no_channel(channel_id)
        _check_named(transaction, call)
        if request.validate_only:
            count = listing_rows.placement_count(connection, call.merchant, channel_id, wanted)
            return pb.SetSellOnlineResponse(changed_count=count)
        source = Source(call.caller.subject, call.request_id, now)
        count = 0
        for before in listing_rows.all_pages(connection, call.merchant, channel_id, wanted):
            keys = [(call.merchant, one.product_id) for one in before]
            versions = product_rows.versions(connection, keys)
            after = [
                listings.switched(place, request.sell_online, versions[key], source, now)
                for key, place in zip(keys, before, strict=True)
            ]
            listing_rows.save_placements(connection, [], after)
            tell_listings(transaction, after)
            count += len(after)
        return pb.SetSellOnlineResponse(changed_count=count)

    @command
    def report_listing_push(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReportListingPushRequest, pb.ReportListingPushResponse],
    ) -> None:
        """Keeps what became of writing listings to the store (SOR-04); what was written is right
        again (BEY-07).
        """
        lock(transaction, [call.merchant for call in calls])
        keys = [(one.merchant, one.request.channel_id, one.request.product_id) for one in calls]
        places = listing_rows.placements(transaction.connection, keys)
        before = dict(places)
        for key, call in zip(keys, calls, strict=True):
            with call:
                if key not in places:
                    raise listings.no_listing(key[1], key[2], "product_id")
                request = call.request
                places[key] = listings.pushed(
                    places[key], request.version, request.error, transaction.now
                )
                call.reply(pb.ReportListingPushResponse())
        changed = [places[key] for key in sorted(places) if places[key] != before[key]]
        listing_rows.save_placements(transaction.connection, [], changed)
        close_drift(
            transaction,
            [places[key] for key in sorted(places) if drift.is_answered(before[key], places[key])],
        )


def _check_named(
    transaction: Transaction, call: Call[pb.SetSellOnlineRequest, pb.SetSellOnlineResponse]
) -> None:
    """Checks that every named listing is there.

    Raises:
        DomainError: LISTING_NOT_FOUND.
    """
    request = call.request
    keys = [(call.merchant, request.channel_id, one) for one in request.product_ids]
    known = listing_rows.placements(transaction.connection, keys) if keys else {}
    for index, key in enumerate(keys):
        if key not in known:
            raise listings.no_listing(key[1], key[2], f"product_ids[{index}]")


def _listings(view: View, placements: Sequence[Placement]) -> list[listings.Listing]:
    """The listings at these places."""
    keys = [(view.merchant, place.product_id) for place in placements]
    known = product_rows.known(view.connection, keys)
    return [
        listings.listing_of(product, place)
        for key, place in zip(keys, placements, strict=True)
        if (product := known[key].product)
    ]
