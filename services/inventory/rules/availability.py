"""What each outlet could give to a channel's next order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.chassis.errors import DomainError
from services.inventory.rules.allocation import STRATEGIES
from services.inventory.rules.channels import AllocationPolicy, Channel
from services.inventory.rules.online import Feed
from services.inventory.rules.stock import Level, Place


@dataclass(frozen=True, slots=True)
class Offer:
    """What one outlet could give, in thousandths, of each item asked for, in that order."""

    outlet_id: str
    connected: bool
    """Whether it feeds the channel; one that is being disconnected does not any more (BEY-06)."""
    quantities: tuple[int, ...]


def preferred(channel: Channel) -> tuple[str, ...]:
    """The connected outlets in the order in which orders take from them (ORD-10)."""
    connected = channel.connected_outlet_ids
    decided = channel.allocation is not AllocationPolicy.REGISTER or channel.register_outlet_id
    first = STRATEGIES[channel.allocation].outlets(channel) if decided else ()
    return tuple(dict.fromkeys((*(one for one in first if one in connected), *connected)))


def offers(
    feed: Feed,
    item_ids: Sequence[str],
    levels: Mapping[Place, Level],
    asked_outlet_ids: Sequence[str] = (),
) -> list[Offer]:
    """What each connected outlet could give, then the outlets that are asked for beside them.

    It is what `reservations.reserve` would take there, for an order whose method is tied to that
    outlet: what is available, less the buffer, at most what a silent outlet gives, and nothing of
    one that is being disconnected (BEY-05, BEY-06, BEY-12).
    """
    channel = feed.channel
    connected, draining = preferred(channel), channel.draining_outlet_ids
    found = []
    for outlet_id in dict.fromkeys((*connected, *asked_outlet_ids)):
        quantities = []
        for item_id in item_ids:
            level = levels.get((item_id, outlet_id))
            quantities.append(min(feed.promised(level), level.available) if level else 0)
        feeds = outlet_id in connected and outlet_id not in draining
        found.append(Offer(outlet_id, feeds, tuple(quantities)))
    return found


def no_outlet(outlet_id: str) -> DomainError:
    """That there is no such outlet."""
    return DomainError(
        "OUTLET_NOT_FOUND",
        f"there is no outlet {outlet_id!r}; create it first",
        outlet_id=outlet_id,
    )
