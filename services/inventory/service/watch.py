"""What becomes of channels by themselves, as time goes by.

An outlet that is being disconnected leaves with the last that is held there (BEY-06); one that has
been silent for too long gives less, until it is heard of again (BEY-12). Every process watches; who
finds something to do has the merchant's channels for itself and looks again before doing it, so
that it is done once.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import structlog

from services.chassis.database import Database, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View
from services.inventory.rules.channels import Channel, end_drain, listen
from services.inventory.service.buffers import hold_channel
from services.inventory.service.figures import change_channel
from services.inventory.store import channels as channel_store
from services.inventory.store import online as online_store

EVERY_S = 1.0

log = structlog.get_logger()


async def look_after_channels(database: Database) -> None:
    """Looks after all channels, forever."""
    while True:
        try:
            await look(database)
        except DomainError as error:  # the next time will do
            log.warning("channels not looked after", reason=error.reason)
        await asyncio.sleep(EVERY_S)


async def look(database: Database) -> int:
    """Looks after all channels once; how many of them have changed.

    Raises:
        DomainError: SERVICE_UNAVAILABLE; what was not changed is next time.
    """
    due = await database.read(lambda connection: _due(View(connection, ""), database.clock()))
    changed = 0
    for merchant, channel_id in due:
        changed += await database.apply(
            "look after a channel", partial(_look_after, merchant=merchant, channel_id=channel_id)
        )
    return changed


def _due(everybody: View, now: datetime) -> Sequence[tuple[str, str]]:
    """The channels that are not as they should be by now, with their merchants."""
    connection = everybody.connection
    return [
        (merchant, channel.channel_id)
        for merchant, channel in channel_store.load_watched(connection)
        if _as_it_should_be(View(connection, merchant), channel, now) != channel
    ]


def _look_after(transaction: Transaction, merchant: str, channel_id: str) -> bool:
    before, _ = hold_channel(transaction, merchant, channel_id)
    after = _as_it_should_be(View(transaction.connection, merchant), before, transaction.now)
    if after == before:
        return False  # another process was faster
    after, impact = change_channel(transaction, merchant, before, after)
    log.info(
        "channel changed by itself",
        channel_id=channel_id,
        silent=after.silent_outlet_ids,
        draining=after.draining_outlet_ids,
        changed_items=len(impact.changes),
    )
    return True


def _as_it_should_be(view: View, channel: Channel, now: datetime) -> Channel:
    connection, merchant = view.connection, view.merchant
    draining = channel.draining_outlet_ids
    if draining:
        busy = online_store.outlets_holding(connection, merchant, channel.channel_id, draining)
        channel = end_drain(channel, [one for one in draining if one not in busy])
    return listen(channel, channel_store.load_heard(connection, merchant), now)
