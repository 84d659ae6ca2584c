"""What each outlet could give, on the wire."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.inventory.rules.availability import Offer
from services.inventory.rules.stock import text
from services.inventory.wire.stock import time
from tillbridge.inventory.v1 import inventory_pb2 as pb


def availability(
    offers: Iterable[Offer], untracked: Sequence[str], default_outlet_id: str, now: datetime
) -> pb.GetAvailabilityResponse:
    """What each outlet could give to a channel's next order."""
    return pb.GetAvailabilityResponse(
        outlets=[
            pb.OutletAvailability(
                outlet_id=one.outlet_id,
                connected=one.connected,
                quantities=list(map(text, one.quantities)),
            )
            for one in offers
        ],
        untracked_item_ids=untracked,
        default_outlet_id=default_outlet_id,
        read_time=time(now),
    )
