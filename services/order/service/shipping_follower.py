"""What becomes of shipping methods when the channel's outlets change (SHP-05)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import structlog

from services.chassis.database import Database, Transaction
from services.chassis.errors import DomainError
from services.order.peers import Peers
from services.order.rules.shipping import Storefront, orphaned
from services.order.service.told import tell_method
from services.order.store import shipping as store
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2

log = structlog.get_logger()


class ShippingFollower:
    """Switches methods off whose outlet was disconnected, where the channel's policies say so.
    Nothing here switches one on again: people do. It is given what `InventoryFollower` reads.
    """

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers

    async def handle(self, events: Sequence[events_pb2.Event]) -> None:
        """Goes by what each event says has left, and by what the channel says now: an event may
        come again, and behind younger ones.
        """
        for event in events:
            changed = inventory_events_pb2.ChannelChanged()
            if not event.data.Unpack(changed) or changed.created:
                continue
            merchant, channel_id = event.merchant_id, changed.channel_id
            try:
                channel = await self._peers.channel_now(merchant, channel_id)
            except DomainError as error:
                if error.transient:
                    raise
                log.warning("channel not found", channel_id=channel_id, reason=error.reason)
                continue
            if channel.storefront.disables:
                left = frozenset(changed.disconnected_outlet_ids)
                left_time = event.time.ToDatetime(tzinfo=UTC)
                await self._database.apply(
                    "disable shipping methods",
                    partial(
                        _disable,
                        channel=(merchant, channel_id),
                        storefront=channel.storefront,
                        left=left,
                        left_time=left_time,
                    ),
                )


def _disable(
    transaction: Transaction,
    channel: tuple[str, str],
    storefront: Storefront,
    left: frozenset[str],
    left_time: datetime,
) -> None:
    connection = transaction.connection
    keys = [one.key for one in store.channel_methods(connection, *channel) if one.outlet_id]
    methods = list(store.methods(connection, keys, lock=True).values())
    saved = orphaned(methods, storefront, left, left_time, transaction.now)
    store.save_methods(connection, saved, [one.key for one in saved])
    for method in saved:
        tell_method(transaction, method)
