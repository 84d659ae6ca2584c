"""The RPCs of the catalog: read, decide, write, tell."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.catalog import wire
from services.catalog.rules import items, listings, products
from services.catalog.rules.listings import Placement
from services.catalog.rules.products import Change, Product, Shelf, Stamp
from services.catalog.store import Key
from services.catalog.store import listings as listing_rows
from services.catalog.store import products as product_rows
from services.chassis import pages
from services.chassis.checks import parse
from services.chassis.database import Call, Calls, Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.follow import follow
from services.chassis.rpc import View, command, command_each, query
from services.chassis.run import Parts, Wiring
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.inventory.v1 import events_pb2 as inventory_pb

CONTRACT = pb.DESCRIPTOR.services_by_name["CatalogService"]
CONSUMER = "catalog"

Report = tuple[Product, Stamp]
"""A product as it was reported, and how new the report is."""


class CatalogService:
    """Implements `tillbridge.catalog.v1.CatalogService`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @command
    def batch_upsert_products(
        self,
        transaction: Transaction,
        calls: Calls[pb.BatchUpsertProductsRequest, pb.BatchUpsertProductsResponse],
    ) -> None:
        """Takes in products of the point of sale, and keeps their listings in step (CAT-06)."""
        batches = [
            (call, [_report(message, transaction.now) for message in call.request.products])
            for call in calls
        ]
        taken = [
            (call.merchant, report[0])
            for call, batch in batches
            for report in batch
            if not isinstance(report, DomainError)
        ]
        shelf = _load(
            transaction,
            [(merchant, product.product_id) for merchant, product in taken],
            [(merchant, one.item_id) for merchant, product in taken for one in product.variants],
        )
        for call, batch in batches:
            with call:
                results = [
                    _take_in(shelf, call, index, report, transaction.now)
                    for index, report in enumerate(batch)
                ]
                call.reply(pb.BatchUpsertProductsResponse(results=results))
        _save(transaction, shelf)

    @command
    def delete_product(
        self,
        transaction: Transaction,
        calls: Calls[pb.DeleteProductRequest, pb.DeleteProductResponse],
    ) -> None:
        """Deletes products and their listings (CAT-11)."""
        shelf = _load(transaction, [(call.merchant, call.request.product_id) for call in calls], [])
        for call in calls:
            with call:
                request = call.request
                deleted = products.delete(
                    shelf, call.merchant, request.product_id, request.version, transaction.now
                )
                call.reply(pb.DeleteProductResponse(deleted=deleted))
        _save(transaction, shelf)

    @query
    def get_product(self, view: View, request: pb.GetProductRequest) -> pb.GetProductResponse:
        """One product."""
        key = (view.merchant, request.product_id)
        known = product_rows.known(view.connection, [key]).get(key)
        if known is None or known.product is None:
            raise DomainError(
                "PRODUCT_NOT_FOUND",
                f"no product {request.product_id!r}; ListProducts shows those that there are",
                field="product_id",
                product_id=request.product_id,
            )
        return pb.GetProductResponse(product=wire.known(known))

    @query
    def list_products(self, view: View, request: pb.ListProductsRequest) -> pb.ListProductsResponse:
        """Products by id."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = product_rows.product_page(view.connection, view.merchant, after, size + 1)
        token = pages.token_after(request, found[size - 1].product_id) if found[size:] else ""
        return wire.product_page(found[:size], token)

    @query
    def resolve_items(self, view: View, request: pb.ResolveItemsRequest) -> pb.ResolveItemsResponse:
        """The items behind the lines of an order."""
        references = wire.references(request)
        ids = [one.item_id for one in references if one.item_id]
        skus = [one.sku for one in references if one.sku]
        by_id = {
            item.item_id: item
            for item in product_rows.items_by_id(view.connection, view.merchant, ids)
        }
        by_sku = items.with_sku(product_rows.items_by_sku(view.connection, view.merchant, skus))
        return wire.resolved(_resolve(one, by_id, by_sku) for one in references)

    @query
    def get_listing(self, view: View, request: pb.GetListingRequest) -> pb.GetListingResponse:
        """One listing."""
        key = (view.merchant, request.channel_id, request.product_id)
        placement = listing_rows.placements(view.connection, [key]).get(key)
        if placement is None:
            raise listings.no_listing(request.channel_id, request.product_id, "product_id")
        (listing,) = _listings(view, [placement])
        return pb.GetListingResponse(listing=wire.listing(listing))

    @query
    def list_listings(self, view: View, request: pb.ListListingsRequest) -> pb.ListListingsResponse:
        """A channel's listings by product id."""
        (after,) = pages.key_before(request, str) or ("",)
        if not listing_rows.has_channel(view.connection, view.merchant, request.channel_id):
            raise listings.no_channel(request.channel_id)
        size = pages.page_size(request)
        found = listing_rows.placement_page(
            view.connection,
            view.merchant,
            request.channel_id,
            sell_online=request.sell_online if request.HasField("sell_online") else None,
            after=after,
            count=size + 1,
        )
        token = pages.token_after(request, found[size - 1].product_id) if found[size:] else ""
        return wire.listing_page(_listings(view, found[:size]), token)

    @command_each
    def set_sell_online(
        self,
        transaction: Transaction,
        call: Call[pb.SetSellOnlineRequest, pb.SetSellOnlineResponse],
    ) -> pb.SetSellOnlineResponse:
        """Switches listings on or off, all or none (CAT-02, CAT-12)."""
        request, connection, now = call.request, transaction.connection, transaction.now
        _lock(transaction, [call.merchant])
        if not listing_rows.has_channel(connection, call.merchant, request.channel_id):
            raise listings.no_channel(request.channel_id)
        if not request.product_ids:
            changed = listing_rows.switch_all(
                connection, call.merchant, request.channel_id, request.sell_online, now
            )
            _tell_listings(transaction, changed)
            return pb.SetSellOnlineResponse(changed_count=len(changed))
        keys = [(call.merchant, request.channel_id, one) for one in request.product_ids]
        before = listing_rows.placements(connection, keys)
        for index, key in enumerate(keys):
            if key not in before:
                raise listings.no_listing(key[1], key[2], f"product_ids[{index}]")
        after = {
            key: listings.switched(before[key], request.sell_online, now) for key in sorted(before)
        }
        changed = [one for key, one in after.items() if one != before[key]]
        listing_rows.save_placements(connection, [], changed)
        _tell_listings(transaction, changed)
        return pb.SetSellOnlineResponse(changed_count=len(changed))

    @command
    def report_listing_push(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReportListingPushRequest, pb.ReportListingPushResponse],
    ) -> None:
        """Keeps what became of writing listings to the store (SOR-04)."""
        _lock(transaction, [call.merchant for call in calls])
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

    async def learn_channels(self, events: Sequence[feed_pb.Event]) -> None:
        """Lists every product in channels that are new here (CAT-01)."""
        seen: set[tuple[str, str]] = set()
        for event in events:
            change = inventory_pb.ChannelChanged()
            if event.data.Unpack(change):
                seen.add((event.merchant_id, change.channel_id))
        await self._database.apply("learn_channels", lambda one: _open_channels(one, seen))


def build(parts: Parts) -> Wiring:
    """The catalog, and the inventory's feed that tells it the channels."""
    service = CatalogService(parts.database)
    channels = feed_pb.ReadEventsRequest(
        feed="inventory",
        consumer=CONSUMER,
        types=[inventory_pb.ChannelChanged.DESCRIPTOR.full_name],
    )
    return Wiring(
        contracts={CONTRACT: service},
        background=[
            lambda: follow(
                parts.connect("inventory"), parts.identity, channels, service.learn_channels
            )
        ],
    )


def _lock(transaction: Transaction, merchants: Iterable[str]) -> None:
    """Lets no other process change these merchants' catalogs until commit: products, items and
    listings hang together too much for finer locks to be worth it.
    """
    transaction.lock(f"catalog/{merchant}" for merchant in merchants)


def _load(transaction: Transaction, keys: Sequence[Key], item_keys: Sequence[Key]) -> Shelf:
    _lock(transaction, [merchant for merchant, _ in keys])
    return product_rows.shelf(transaction.connection, keys, item_keys)


def _report(message: pb.Product, now: datetime) -> Report | DomainError:
    """One product of a batch, or why it is none: each is checked for itself."""
    try:
        parse(pb.Product, message.SerializeToString())
        return wire.product(message), wire.stamp(message, now)
    except DomainError as error:
        return error


def _take_in(
    shelf: Shelf,
    call: Call[pb.BatchUpsertProductsRequest, pb.BatchUpsertProductsResponse],
    index: int,
    report: Report | DomainError,
    now: datetime,
) -> pb.ProductResult:
    product_id = call.request.products[index].product_id
    try:
        if isinstance(report, DomainError):
            raise report
        outcome = products.upsert(shelf, call.merchant, *report, now)
    except DomainError as error:
        return wire.refusal(product_id, index, error)
    return wire.result(product_id, outcome)


def _save(transaction: Transaction, shelf: Shelf) -> None:
    changes = shelf.changes()
    product_rows.save_products(transaction.connection, changes)
    news = [change for change in changes if change.is_news]
    for change in news:
        after = change.after
        transaction.emit(
            after.merchant_id, f"product/{after.product_id}", wire.product_changed(after)
        )
    _keep_in_step(transaction, [change for change in news if listings.shows_anew(change)])


def _keep_in_step(transaction: Transaction, changes: Sequence[Change]) -> None:
    """Brings the listings of changed products to what is shown now, in every channel."""
    if not changes:
        return
    keys = [(change.after.merchant_id, change.after.product_id) for change in changes]
    channels = listing_rows.channels(transaction.connection, {merchant for merchant, _ in keys})
    places = listing_rows.placements_of_products(transaction.connection, keys)
    new: list[Placement] = []
    old: list[Placement] = []
    for key, change in zip(keys, changes, strict=True):
        by_channel = {place.channel_id: place for place in places.get(key, [])}
        for channel_id in channels.get(key[0], []):
            before = by_channel.get(channel_id)
            after = listings.kept_in_step(before, change, channel_id, transaction.now)
            if after and after != before:
                (old if before else new).append(after)
    listing_rows.save_placements(transaction.connection, new, old)
    _tell_listings(transaction, new + old)


def _open_channels(transaction: Transaction, seen: Iterable[Key]) -> None:
    known = sorted(seen)
    _lock(transaction, [merchant for merchant, _ in known])
    for merchant, channel_id in known:
        if listing_rows.add_channel(transaction.connection, merchant, channel_id):
            _tell_listings(
                transaction,
                listing_rows.list_all(
                    transaction.connection, merchant, channel_id, transaction.now
                ),
            )


def _tell_listings(transaction: Transaction, changed: Iterable[Placement]) -> None:
    for place in changed:
        transaction.emit(
            place.merchant_id,
            f"listing/{place.channel_id}/{place.product_id}",
            wire.listing_changed(place),
            channel_id=place.channel_id,
        )


def _listings(view: View, placements: Sequence[Placement]) -> list[listings.Listing]:
    """The listings at these places."""
    keys = [(view.merchant, place.product_id) for place in placements]
    known = product_rows.known(view.connection, keys)
    return [
        listings.listing_of(product, place)
        for key, place in zip(keys, placements, strict=True)
        if (product := known[key].product)
    ]


def _resolve(
    reference: items.Reference,
    by_id: dict[str, items.Item],
    by_sku: dict[str, list[items.Item]],
) -> items.Item | DomainError:
    try:
        return items.resolve(reference, by_id, by_sku)
    except DomainError as error:
        return error
