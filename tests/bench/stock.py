"""What the benchmark counts: 1,000 items at three outlets, two of which feed a channel."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import overload
from uuid import uuid4

import grpc

from services.chassis import migrate
from services.chassis.client import Metadata
from services.chassis.engines import open_engine
from services.chassis.plumbing import batches
from services.inventory.store.items import learn_items
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.inventory.v1.channels_pb2_grpc import ChannelServiceStub

PATH = "/tillbridge.inventory.v1.InventoryService/RecordCounts"
MERCHANT = "bench-shop"


class Items(Sequence[str]):
    """The ids of as many items as there are."""

    how_many = 1000

    def __len__(self) -> int:
        return self.how_many

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        numbers = range(self.how_many)[at]
        if isinstance(numbers, int):
            return f"item-{numbers:07}"
        return [f"item-{number:07}" for number in numbers]


ITEMS = Items()
"""1,000 of them, unless it is measured what more cost."""
OUTLETS: Sequence[str] = ["outlet-main", "outlet-harbour", "outlet-depot"]
CONNECTED = OUTLETS[:2]
"""The outlets that feed the channel."""
BATCH = 100

_random = random.Random(2)


def quantity() -> int:
    """A level, in units, that is hardly ever the one that is known."""
    return _random.randrange(10_000)


def places(count: int) -> list[tuple[str, str]]:
    """Different places (item, outlet), any of them as likely as any other."""
    numbers = _random.sample(range(len(ITEMS) * len(OUTLETS)), count)
    return [(ITEMS[number // 3], OUTLETS[number % 3]) for number in numbers]


def request(counts: int) -> bytes:
    """A RecordCountsRequest as bytes."""
    return inventory_pb2.RecordCountsRequest(
        request_id=uuid4().hex,
        counts=[
            inventory_pb2.Count(item_id=item_id, outlet_id=outlet_id, quantity=str(quantity()))
            for item_id, outlet_id in places(counts)
        ],
        cause="bench",
    ).SerializeToString()


def prepare(url: str) -> None:
    """Creates the tables, and the items as if the catalog had told them."""
    migrate.upgrade("inventory", url)
    engine = open_engine(url, writing=True)
    for some in batches(ITEMS, 10_000):
        with engine.begin() as connection:
            learn_items(
                connection,
                [
                    {
                        "merchant_id": MERCHANT,
                        "item_id": item_id,
                        "product_id": f"product-{item_id}",
                        "tracked": True,
                        "deleted": False,
                        "revision": 1,
                    }
                    for item_id in some
                ],
                [],
            )
    engine.dispose()


async def open_shop(
    channel: grpc.aio.Channel, metadata: Metadata, timeout_s: float | None = None
) -> None:
    """Creates the outlets, a register, and an X-Series channel that two outlets feed."""
    stub = ChannelServiceStub(channel)
    for outlet_id in OUTLETS:
        outlet = channels_pb2.Outlet(outlet_id=outlet_id, display_name=outlet_id)
        await stub.CreateOutlet(
            channels_pb2.CreateOutletRequest(request_id=outlet_id, outlet=outlet),
            metadata=metadata,
        )
    register = channels_pb2.Register(register_id="till", display_name="Till", outlet_id=OUTLETS[0])
    await stub.CreateRegister(
        channels_pb2.CreateRegisterRequest(request_id="till", register=register),
        metadata=metadata,
    )
    await stub.CreateChannel(
        channels_pb2.CreateChannelRequest(
            request_id="web",
            display_name="Web",
            profile=channels_pb2.PROFILE_RETAIL_X_ECOM,
            register_id="till",
            connected_outlet_ids=CONNECTED,
        ),
        metadata=metadata,
        timeout=timeout_s,
    )


def now_us() -> int:
    """Microseconds since 1970, as the tables keep times."""
    return int(datetime.now(UTC).timestamp() * 1_000_000)
