"""What each outlet could give to a channel's next order."""

from collections.abc import Callable
from datetime import datetime

from services.chassis.database import Calls
from services.chassis.errors import DomainError
from services.chassis.rpc import View, query_together
from services.inventory.rules import availability as rules
from services.inventory.rules.channels import Channel
from services.inventory.rules.online import Feed
from services.inventory.rules.stock import Level, Place
from services.inventory.store import buffers as buffer_store
from services.inventory.store import channels as channel_store
from services.inventory.store import items as item_store
from services.inventory.store import stock as stock_store
from services.inventory.wire import availability as wire
from tillbridge.inventory.v1 import inventory_pb2 as pb


class AvailabilityRpcs:
    """The RPCs of `InventoryService` that say what each outlet could give."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    @query_together
    def get_availability(
        self, view: View, calls: Calls[pb.GetAvailabilityRequest, pb.GetAvailabilityResponse]
    ) -> None:
        """What each outlet could give of some items to a channel's next order (SHP-03)."""
        connection, now = view.connection, self._clock()
        merchants = sorted({call.merchant for call in calls})
        wanted = {(call.merchant, item_id) for call in calls for item_id in call.request.item_ids}
        channels = channel_store.load_channels(connection, merchants)
        buffers = buffer_store.load_buffers(
            connection, [*wanted, *((merchant, "") for merchant in merchants)]
        )
        items = item_store.find_items(connection, wanted)
        levels: dict[str, dict[Place, Level]] = {merchant: {} for merchant in merchants}
        for merchant, level in stock_store.load_levels(connection, list(wanted)):
            levels[merchant][level.item_id, level.outlet_id] = level
        asked = sorted({call.merchant for call in calls if call.request.outlet_ids})
        outlets = {merchant: channel_store.load_heard(connection, merchant) for merchant in asked}
        for call in calls:
            with call:
                request, merchant = call.request, call.merchant
                channel = _find(channels[merchant], request.channel_id)
                for outlet_id in request.outlet_ids:
                    if outlet_id not in outlets[merchant]:
                        raise rules.no_outlet(outlet_id)
                untracked = []
                for item_id in dict.fromkeys(request.item_ids):
                    item = items.get((merchant, item_id))
                    if item is None:
                        raise _no_item(item_id)
                    if not item.tracked:
                        untracked.append(item_id)
                feed = Feed(channel, buffers.get((merchant, channel.channel_id), {}))
                given = rules.offers(feed, request.item_ids, levels[merchant], request.outlet_ids)
                call.reply(wire.availability(given, untracked, channel.locked_outlet_id, now))


def _find(known: list[tuple[Channel, datetime]], channel_id: str) -> Channel:
    for channel, _ in known:
        if channel.channel_id == channel_id:
            return channel
    raise channel_store.no_channel(channel_id)


def _no_item(item_id: str) -> DomainError:
    return DomainError("ITEM_NOT_FOUND", f"the catalog has no item {item_id!r}", item_id=item_id)
