"""What the benchmark promises and reads: one item, or any of 1,000, through one channel."""

import random
from uuid import uuid4

import grpc

from services.chassis.client import Metadata
from tests.bench.stock import CONNECTED, ITEMS
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub
from tillbridge.inventory.v1.inventory_pb2_grpc import InventoryServiceStub

_SERVICE = "/tillbridge.inventory.v1.InventoryService"
RESERVE, READ, LIST = (
    f"{_SERVICE}/{method}" for method in ("ReserveStock", "GetOnlineStock", "ListOnlineStock")
)
LISTED = 500
"""Items in a list that is read."""
PLENTY = "100000000"

_random = random.Random(5)


class Web:
    """Requests through a channel, whose id is only known once it was created."""

    def __init__(self) -> None:
        self.channel_id = ""

    def reserve_random(self) -> bytes:
        """Holds one of any item."""
        return self._reserve(_random.choice(ITEMS))

    def reserve_hot(self) -> bytes:
        """Holds one of the item that everybody wants."""
        return self._reserve(ITEMS[0])

    def read(self) -> bytes:
        """Asks what may be sold of an item."""
        return inventory_pb2.GetOnlineStockRequest(
            channel_id=self.channel_id, item_id=_random.choice(ITEMS)
        ).SerializeToString()

    def read_list(self) -> bytes:
        """Asks what may be sold of many items."""
        return inventory_pb2.ListOnlineStockRequest(
            channel_id=self.channel_id, item_ids=_random.sample(ITEMS, LISTED), page_size=LISTED
        ).SerializeToString()

    def _reserve(self, item_id: str) -> bytes:
        return inventory_pb2.ReserveStockRequest(
            request_id=uuid4().hex,
            channel_id=self.channel_id,
            lines=[inventory_pb2.ReservationLine(line_id="1", item_id=item_id, quantity="1")],
            cause="order bench",
        ).SerializeToString()


async def fill(channel: grpc.aio.Channel, metadata: Metadata) -> str:
    """Counts plenty of everything where it feeds the channel; returns the channel's id."""
    stub = InventoryServiceStub(channel)
    for outlet_id in CONNECTED:
        counts = [
            inventory_pb2.Count(item_id=item_id, outlet_id=outlet_id, quantity=PLENTY)
            for item_id in ITEMS
        ]
        await stub.RecordCounts(
            inventory_pb2.RecordCountsRequest(request_id=uuid4().hex, counts=counts),
            metadata=metadata,
        )
    answer = await ChannelServiceStub(channel).ListChannels(
        channels_pb2.ListChannelsRequest(), metadata=metadata
    )
    return str(answer.channels[0].channel_id)
