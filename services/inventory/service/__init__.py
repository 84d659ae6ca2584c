"""The RPCs of the inventory: read, decide, write, tell."""

from services.chassis.client import Identity
from services.chassis.follow import follow
from services.chassis.run import Parts, Wiring
from services.chassis.sealing import Sealer
from services.inventory.service.channels import ChannelService
from services.inventory.service.stock import InventoryService
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2

__all__ = ["build"]

CONSUMER = "inventory"


def build(parts: Parts) -> Wiring:
    """The inventory: stock and channels, and the catalog's feed that tells it the items."""
    stock = InventoryService(parts.database)
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
            inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"]: stock,
            channels_pb2.DESCRIPTOR.services_by_name["ChannelService"]: channels,
        },
        background=[
            lambda: follow(parts.connect("catalog"), identity, products, stock.learn_products)
        ],
    )
