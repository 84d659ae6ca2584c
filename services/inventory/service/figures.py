"""Recalculating what a channel may sell, when the channel is what changes."""

from collections.abc import Mapping, Sequence

from services.chassis.database import Transaction
from services.inventory.rules.channels import Channel, listen
from services.inventory.rules.online import Change, Feed, Impact, outlets_left
from services.inventory.store import buffers as buffer_store
from services.inventory.store import channels as channel_store
from services.inventory.store import online as online_store
from services.inventory.wire import online as wire
from tillbridge.inventory.v1 import events_pb2


def change_channel(
    transaction: Transaction,
    merchant: str,
    before: Channel,
    after: Channel,
    *,
    validate_only: bool = False,
    item_id: str = "",
) -> tuple[Channel, Impact]:
    """Saves a channel that has changed, with its figures, and tells of both (INV-05 to INV-07).

    The caller has the merchant's channels for itself, so that every level is at rest.

    Args:
        transaction: where to.
        merchant: whose it is.
        before: the channel as it was; without outlets when it is new.
        after: the channel as it shall be.
        validate_only: whether to only find out what would be different (BEY-03).
        item_id: the only item that this is about, where the channel stays as it is; empty: all.

    Returns:
        The channel as it is then, and what is different.
    """
    connection = transaction.connection
    if after.policies.silent_after_s or after.silent_outlet_ids:
        heard = channel_store.load_heard(connection, merchant)
        after = listen(after, heard, transaction.now)
    if after != before:
        item_id = ""  # an outlet may have fallen silent by now, and that is about all items
    impact = _impact(transaction, merchant, before, after, item_id)
    if validate_only:
        return after, impact
    if after != before:
        channel_store.update_channel(connection, merchant, after)
        left = set(before.connected_outlet_ids) - set(after.connected_outlet_ids)
        tell_channel(transaction, merchant, after, disconnected=sorted(left))
    keep_figures(transaction, {(merchant, after.channel_id): impact.changes})
    return after, impact


def keep_figures(
    transaction: Transaction, changes: Mapping[tuple[str, str], Sequence[Change]]
) -> None:
    """Saves figures that are different now, given by (merchant, channel), and tells of them."""
    online_store.save_changes(transaction.connection, changes, transaction.now)
    for (merchant, channel_id), found in changes.items():
        transaction.emit_all(merchant, wire.changes_told(channel_id, found), channel_id)


def tell_channel(
    transaction: Transaction,
    merchant: str,
    channel: Channel,
    *,
    created: bool = False,
    disconnected: Sequence[str] = (),
) -> None:
    """Tells that a channel is new or different, and which outlets do not feed it any more."""
    transaction.emit(
        merchant,
        f"channel/{channel.channel_id}",
        events_pb2.ChannelChanged(
            channel_id=channel.channel_id, created=created, disconnected_outlet_ids=disconnected
        ),
        channel.channel_id,
    )


def _impact(
    transaction: Transaction, merchant: str, before: Channel, after: Channel, item_id: str
) -> Impact:
    connection, channel_id = transaction.connection, after.channel_id
    buffers = buffer_store.load_buffers(connection, [(merchant, "")])
    feed = Feed(after, buffers.get((merchant, channel_id), {}))
    still = after.stands_still
    changes = [] if still else online_store.recalculate(connection, merchant, feed, item_id)
    left = outlets_left(before, after)
    count, causes = online_store.open_reservations(connection, merchant, channel_id, left)
    return Impact(changes, count, causes)
