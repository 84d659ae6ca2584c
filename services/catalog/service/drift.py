"""The RPCs of edits: what may be changed of a listing, and what a store should not show."""

from collections.abc import Iterator, Sequence

from services.catalog.rules import drift, listings
from services.catalog.rules.drift import Drift, EditKey
from services.catalog.rules.listings import Placement
from services.catalog.rules.products import Known
from services.catalog.rules.provenance import Source
from services.catalog.service.upkeep import lock, tell_listings
from services.catalog.store import Key
from services.catalog.store import drift as drift_rows
from services.catalog.store import listings as listing_rows
from services.catalog.store import products as product_rows
from services.catalog.store.listings import PlaceKey
from services.catalog.wire import drift as drift_wire
from services.catalog.wire import listings as listing_wire
from services.chassis import pages
from services.chassis.database import Call, Calls, Transaction
from services.chassis.rpc import View, command, command_each, query
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import drift_pb2

STORE = "store"
"""Cause of the values that a store reports of its own fields."""
HEALED_SHOWN_MAX = 1000


class DriftRpcs:
    """The RPCs of `CatalogService` that are about edits and drift."""

    @command
    def update_listing(
        self,
        transaction: Transaction,
        calls: Calls[pb.UpdateListingRequest, pb.UpdateListingResponse],
    ) -> None:
        """Changes fields that are the store's own (CAT-05). An attempt at others is refused, and
        recorded all the same (CAT-07, CAT-09, CAT-10).
        """
        keys = [
            (one.merchant, one.request.listing.channel_id, one.request.listing.product_id)
            for one in calls
        ]
        desk = _Desk(transaction, keys)
        products = [(merchant, product_id) for merchant, _, product_id in keys]
        known = product_rows.known(transaction.connection, products)
        for key, call in zip(keys, calls, strict=True):
            with call:
                place = desk.place(key, "listing.product_id")
                _update(desk, call, place, known)
        desk.save()

    @command
    def report_listing_edit(
        self,
        transaction: Transaction,
        calls: Calls[drift_pb2.ReportListingEditRequest, drift_pb2.ReportListingEditResponse],
    ) -> None:
        """Takes in how stores show listings (CAT-07 to CAT-11)."""
        keys = [(one.merchant, one.request.channel_id, one.request.product_id) for one in calls]
        desk, now = _Desk(transaction, keys), transaction.now
        for key, call in zip(keys, calls, strict=True):
            with call:
                before = desk.place(key, "product_id")
                seen = drift_wire.seen(call.request)
                source = Source(STORE, call.request_id, min(seen.store_update_time or now, now))
                verdict = drift.judged(before, desk.drift(key), seen, source, now)
                desk.put(verdict.placement, verdict.drift)
                call.reply(drift_wire.answer(seen.edits, verdict))
        desk.save()

    @query
    def list_drift(
        self, view: View, request: drift_pb2.ListDriftRequest
    ) -> drift_pb2.ListDriftResponse:
        """Drift of a channel by product, item, field and kind (BEY-07)."""
        after = pages.key_before(request, str, str, str, str)
        if not listing_rows.has_channel(view.connection, view.merchant, request.channel_id):
            raise listings.no_channel(request.channel_id)
        size = pages.page_size(request)
        found = drift_rows.page(
            view.connection,
            view.merchant,
            request.channel_id,
            product_id=request.product_id,
            state=drift_wire.state(request),
            after=(after[0], after[1], after[2], after[3]) if after else None,
            count=size + 1,
        )
        token = ""
        if found[size:]:
            last = found[size - 1]
            token = pages.token_after(request, last.product_id, *last.key)
        return drift_wire.page(found[:size], token)

    @command_each
    def heal_drift(
        self,
        transaction: Transaction,
        call: Call[drift_pb2.HealDriftRequest, drift_pb2.HealDriftResponse],
    ) -> drift_pb2.HealDriftResponse:
        """Has listings with open drift written to their store again (BEY-07)."""
        request, connection = call.request, transaction.connection
        lock(transaction, [call.merchant])
        if not listing_rows.has_channel(connection, call.merchant, request.channel_id):
            raise listings.no_channel(request.channel_id)
        shown: list[Drift] = []
        count = 0
        for ids in _drifting(transaction, call):
            keys = [(call.merchant, request.channel_id, one) for one in ids]
            found = drift_rows.open_of_listings(connection, keys)
            before = listing_rows.placements(connection, list(found))
            count += len(before)
            shown += [one for key in sorted(before) for one in _in_order(found[key])]
            del shown[HEALED_SHOWN_MAX:]
            if not request.validate_only:
                after = [
                    drift.restored(before[key], found[key].values(), transaction.now)
                    for key in sorted(before)
                ]
                listing_rows.save_placements(connection, [], after)
                tell_listings(transaction, after)
        return drift_wire.restored(shown, count)


class _Desk:
    """The listings that a group of calls is decided on, with their drift, as they are after the
    calls so far. No other process may change them until commit.
    """

    def __init__(self, transaction: Transaction, keys: Sequence[PlaceKey]) -> None:
        lock(transaction, [merchant for merchant, _, _ in keys])
        self.transaction = transaction
        self._places = listing_rows.placements(transaction.connection, keys)
        self._drift = drift_rows.of_listings(transaction.connection, keys)
        self._before = dict(self._places)
        self._found: dict[tuple[PlaceKey, EditKey], Drift] = {}

    def place(self, key: PlaceKey, field: str) -> Placement:
        """A listing's place.

        Raises:
            DomainError: LISTING_NOT_FOUND; `field` is to blame.
        """
        if key not in self._places:
            raise listings.no_listing(key[1], key[2], field)
        return self._places[key]

    def drift(self, key: PlaceKey) -> dict[EditKey, Drift]:
        """All drift of a listing."""
        return self._drift.setdefault(key, {})

    def put(self, place: Placement, found: Sequence[Drift] = ()) -> None:
        """Takes in what a call decided."""
        key = (place.merchant_id, place.channel_id, place.product_id)
        self._places[key] = place
        for one in found:
            self.drift(key)[one.key] = one
            self._found[key, one.key] = one

    def save(self) -> None:
        """Saves what was decided, and tells of listings that are to be written to their store."""
        before = self._before
        changed = [self._places[key] for key in sorted(before) if self._places[key] != before[key]]
        listing_rows.save_placements(self.transaction.connection, [], changed)
        drift_rows.save(
            self.transaction.connection, [self._found[key] for key in sorted(self._found)]
        )
        tell_listings(
            self.transaction,
            [
                one
                for one in changed
                if one.version != before[one.merchant_id, one.channel_id, one.product_id].version
            ],
        )


def _update(
    desk: _Desk,
    call: Call[pb.UpdateListingRequest, pb.UpdateListingResponse],
    place: Placement,
    known: dict[Key, Known],
) -> None:
    request, now = call.request, desk.transaction.now
    own, foreign = listings.edited_fields(request.update_mask.paths)
    product = known[place.merchant_id, place.product_id].product
    assert product is not None, "a listing goes with its product"
    if foreign:
        listing = listings.listing_of(product, place)
        by_key = desk.drift((place.merchant_id, place.channel_id, place.product_id))
        edits = drift.merged(drift.attempts(listing, listing_wire.asked(request.listing), foreign))
        desk.put(place, [drift.refused(by_key.get(one.key), one, place, now) for one in edits])
        raise listings.owned_by_pos(foreign[0])
    source = Source(call.caller.subject, call.request_id, now)
    after = listings.edited(place, listing_wire.own_fields(request.listing), own, source, now)
    desk.put(after)
    message = listing_wire.listing(listings.listing_of(product, after))
    call.reply(pb.UpdateListingResponse(listing=message))


def _drifting(
    transaction: Transaction, call: Call[drift_pb2.HealDriftRequest, drift_pb2.HealDriftResponse]
) -> Iterator[Sequence[str]]:
    """The products whose listings are to be healed, in runs: those named, or all with open drift.

    Raises:
        DomainError: LISTING_NOT_FOUND; a named one has none.
    """
    request, connection = call.request, transaction.connection
    if request.product_ids:
        keys = [(call.merchant, request.channel_id, one) for one in request.product_ids]
        known = listing_rows.placements(connection, keys)
        for index, key in enumerate(keys):
            if key not in known:
                raise listings.no_listing(key[1], key[2], f"product_ids[{index}]")
        yield list(request.product_ids)
        return
    after = ""
    while ids := drift_rows.open_products(
        connection, call.merchant, request.channel_id, after, listing_rows.PAGE
    ):
        yield ids
        after = ids[-1]


def _in_order(found: dict[EditKey, Drift]) -> list[Drift]:
    return [found[key] for key in sorted(found)]
