"""The RPCs of the catalog: read, decide, write, tell."""

from collections.abc import Iterable, Sequence

from services.catalog.service.attention import AttentionRpcs
from services.catalog.service.drift import DriftRpcs
from services.catalog.service.imports import ImportService
from services.catalog.service.listings import ListingRpcs
from services.catalog.service.products import ProductRpcs
from services.catalog.service.upkeep import lock, tell_listings
from services.catalog.store import Key
from services.catalog.store import listings as listing_rows
from services.chassis.database import Database, Transaction
from services.chassis.follow import follow
from services.chassis.run import Parts, Wiring
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import imports_pb2
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.inventory.v1 import events_pb2 as inventory_pb

__all__ = ["build"]

CONTRACT = pb.DESCRIPTOR.services_by_name["CatalogService"]
IMPORTS = imports_pb2.DESCRIPTOR.services_by_name["ImportService"]
CONSUMER = "catalog"


class CatalogService(ProductRpcs, ListingRpcs, DriftRpcs, AttentionRpcs):
    """Implements `tillbridge.catalog.v1.CatalogService`."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        contracts={CONTRACT: service, IMPORTS: ImportService()},
        background=[
            lambda: follow(
                parts.connect("inventory"), parts.identity, channels, service.learn_channels
            )
        ],
    )


def _open_channels(transaction: Transaction, seen: Iterable[Key]) -> None:
    known = sorted(seen)
    lock(transaction, [merchant for merchant, _ in known])
    for merchant, channel_id in known:
        if listing_rows.add_channel(transaction.connection, merchant, channel_id):
            tell_listings(
                transaction,
                listing_rows.list_all(
                    transaction.connection, merchant, channel_id, transaction.now
                ),
            )
