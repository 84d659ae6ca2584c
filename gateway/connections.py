"""Which platforms a channel is connected to, and the clients that call them."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import httpx
import structlog

from gateway.ecom import Store
from gateway.ecom.ecwid import PLATFORM as ECWID
from gateway.ecom.ecwid import Ecwid
from gateway.owners import Owners
from gateway.pos import PointOfSale
from gateway.pos.lightspeed_x import PLATFORM as LIGHTSPEED_X
from gateway.pos.lightspeed_x import LightspeedX
from services.chassis.errors import DomainError
from tillbridge.inventory.v1 import channels_pb2 as pb

REMEMBERED_S = 3.0
"""How long a channel's connections are taken to be as they were read."""

REMEMBERED_MAX = 10_000

log = structlog.get_logger()

Client = TypeVar("Client")


@dataclass(frozen=True, slots=True)
class Link:
    """A channel and the platforms at its two ends; either may be missing.

    Attributes:
        channel_id: the channel.
        owners: the services, called for the channel's merchant.
        pos: the point of sale.
        store: the online store.
        pos_side: how the point of sale is reached, its webhook secret included.
        store_side: likewise for the store.
    """

    channel_id: str
    owners: Owners
    pos: PointOfSale | None
    store: Store | None
    pos_side: pb.Connection | None
    store_side: pb.Connection | None


class Platforms:
    """Clients of platforms, one per account however many channels use it, so that its rate limit
    and its connections are shared.

    Args:
        ecwid_calls_per_minute: rate limit of each Ecwid store.
    """

    def __init__(self, ecwid_calls_per_minute: int) -> None:
        self._ecwid_calls_per_minute = ecwid_calls_per_minute
        self._points_of_sale: dict[tuple[str, str, str], PointOfSale] = {}
        self._stores: dict[tuple[str, str, str], Store] = {}

    def pos(self, side: pb.Connection | None) -> PointOfSale | None:
        """The point of sale behind a connection; None where there is none that can be called."""
        if side is None or side.platform != LIGHTSPEED_X:
            return None
        return _once(
            self._points_of_sale, side, lambda: LightspeedX(side.base_url, side.access_token)
        )

    def store(self, side: pb.Connection | None) -> Store | None:
        """The store behind a connection; None where there is none that can be called."""
        if side is None or side.platform != ECWID:
            return None
        return _once(
            self._stores,
            side,
            lambda: Ecwid(
                side.base_url, side.account, side.access_token, self._ecwid_calls_per_minute
            ),
        )

    async def close(self) -> None:
        """Closes all connections."""
        for pos in self._points_of_sale.values():
            await pos.close()
        for store in self._stores.values():
            await store.close()


def _once(
    clients: dict[tuple[str, str, str], Client], side: pb.Connection, make: Callable[[], Client]
) -> Client | None:
    """The client of an account. Nobody can make one of a token that no header can hold: that is
    this channel's trouble, and must not keep the other channels' workers from running.
    """
    key = (side.base_url, side.account, side.access_token)
    if key not in clients:
        try:
            clients[key] = make()
        except (ValueError, httpx.InvalidURL) as error:
            log.warning(
                "connection cannot be used", channel_id=side.channel_id, why=type(error).__name__
            )
            return None
    return clients[key]


class Connections:
    """The channels' connections, as ChannelService knows them."""

    def __init__(self, owners: Owners, platforms: Platforms) -> None:
        self._owners = owners
        self._platforms = platforms
        self._known: dict[str, tuple[float, Link]] = {}

    async def of(self, channel_id: str) -> Link:
        """The link of a channel.

        Raises:
            DomainError: CONNECTION_NOT_FOUND, or ChannelService cannot be reached.
        """
        known = self._known.get(channel_id)
        now = time.monotonic()
        if known and known[0] > now:
            return known[1]
        found = await self._owners.call(
            self._owners.channels.ListConnections, pb.ListConnectionsRequest(channel_id=channel_id)
        )
        if not found.connections:
            raise connection_missing(channel_id)
        link = self._link(channel_id, found.connections)
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        self._known[channel_id] = (now + REMEMBERED_S, link)
        return link

    async def all(self) -> list[Link]:
        """The links of all channels of all merchants.

        Raises:
            DomainError: ChannelService cannot be reached.
        """
        found = await self._owners.call(
            self._owners.channels.ListConnections, pb.ListConnectionsRequest()
        )
        by_channel: dict[str, list[pb.Connection]] = {}
        for connection in found.connections:
            by_channel.setdefault(connection.channel_id, []).append(connection)
        return [self._link(channel_id, sides) for channel_id, sides in by_channel.items()]

    def _link(self, channel_id: str, sides: Iterable[pb.Connection]) -> Link:
        by_side = {connection.side: connection for connection in sides}
        pos_side = by_side.get(pb.CONNECTION_SIDE_POS)
        store_side = by_side.get(pb.CONNECTION_SIDE_STORE)
        merchant = next(iter(by_side.values())).merchant_id
        return Link(
            channel_id=channel_id,
            owners=self._owners.acting_for(merchant),
            pos=self._platforms.pos(pos_side),
            store=self._platforms.store(store_side),
            pos_side=pos_side,
            store_side=store_side,
        )


def connection_missing(channel_id: str, side: str = "") -> DomainError:
    """The refusal of a call that needs a connection which nobody has set."""
    what = f"a connection to its {side}" if side else "a connection"
    return DomainError(
        "CONNECTION_NOT_FOUND",
        f"channel {channel_id!r} is not known, or has not {what}; set it by SetConnection",
        channel_id=channel_id,
        side=side,
    )
