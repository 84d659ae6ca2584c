"""The RPCs of the inventory: read, decide, write, tell."""

from functools import partial

from services.chassis.client import Identity
from services.chassis.follow import follow
from services.chassis.run import Parts, Wiring
from services.chassis.sealing import Sealer
from services.inventory.service.audit import AuditService
from services.inventory.service.availability import AvailabilityRpcs
from services.inventory.service.channels import ChannelService
from services.inventory.service.items import learn
from services.inventory.service.online import OnlineStockRpcs
from services.inventory.service.reservations import ReservationRpcs, expire_forever
from services.inventory.service.stock import StockRpcs
from services.inventory.service.transfers import TransferService
from services.inventory.service.watch import look_after_channels
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import audit_pb2, channels_pb2, inventory_pb2, transfers_pb2

__all__ = ["build"]

CONSUMER = "inventory"


class InventoryService(StockRpcs, OnlineStockRpcs, ReservationRpcs, AvailabilityRpcs):
    """Implements `tillbridge.inventory.v1.InventoryService`."""


def build(parts: Parts) -> Wiring:
    """The inventory: stock and channels, and the catalog's feed that tells it the items."""
    channels = ChannelService(Sealer(parts.settings.signing_key))
    identity: Identity = parts.identity
    products = events_pb2.ReadEventsRequest(
        feed="catalog",
        consumer=CONSUMER,
        max_events=1000,
        types=[catalog_events_pb2.ProductChanged.DESCRIPTOR.full_name],
    )
    return Wiring(
        contracts={
            inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"]: InventoryService(
                parts.database.clock
            ),
            channels_pb2.DESCRIPTOR.services_by_name["ChannelService"]: channels,
            transfers_pb2.DESCRIPTOR.services_by_name["TransferService"]: TransferService(),
            audit_pb2.DESCRIPTOR.services_by_name["AuditService"]: AuditService(parts.database),
        },
        background=[
            partial(expire_forever, parts.database),
            partial(look_after_channels, parts.database),
            lambda: follow(
                parts.connect("catalog"), identity, products, partial(learn, parts.database)
            ),
        ],
    )
