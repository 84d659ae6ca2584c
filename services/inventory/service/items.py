"""What the catalog tells of items."""

from collections.abc import Sequence
from typing import Any

from services.chassis.database import Database, Transaction
from services.inventory.rules.online import Online
from services.inventory.store import channels as channel_store
from services.inventory.store import items as item_store
from services.inventory.store import online as online_store
from services.inventory.wire import online as online_wire
from services.inventory.wire import stock as wire
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.events.v1 import events_pb2


async def learn(database: Database, events: Sequence[events_pb2.Event]) -> None:
    """Takes over what the catalog tells of its items; telling it again changes nothing."""
    latest: dict[tuple[str, str], catalog_events_pb2.ProductChanged] = {}
    for event in events:
        told = catalog_events_pb2.ProductChanged()
        if event.data.Unpack(told):
            latest[event.merchant_id, told.product_id] = told
    rows = [row for (owner, _), told in latest.items() for row in wire.item_rows(owner, told)]
    products = [
        {"merchant_id": owner, "product_id": product_id, "revision": told.revision}
        for (owner, product_id), told in latest.items()
    ]
    await database.apply(
        "learn products",
        lambda transaction: _learn(transaction, rows, products),
    )


def _learn(
    transaction: Transaction, rows: list[dict[str, Any]], products: list[dict[str, Any]]
) -> None:
    """Items that are new, different or gone.

    A channel shows one that is tracked or not tracked from now on in another way, so that is told.
    So is the figure of one that is new or back: its listing may be in the store already, written
    when nothing was known of the item.
    """
    connection = transaction.connection
    merchants = sorted({product["merchant_id"] for product in products})
    named = [(row["merchant_id"], row["item_id"]) for row in rows]
    before = dict(item_store.lock_items(connection, named))
    item_store.learn_items(connection, rows, products)
    after = item_store.find_items(connection, named)
    channels = channel_store.load_channels(connection, merchants)
    figures = online_store.load_figures(
        connection,
        [
            (merchant, channel.channel_id, item_id)
            for merchant, item_id in named
            for channel, _ in channels[merchant]
        ],
    )
    for row in rows:
        merchant, item_id = row["merchant_id"], row["item_id"]
        known, item = before.get((merchant, item_id)), after.get((merchant, item_id))
        is_new = known is None or known.deleted
        if item is None:
            continue  # gone: what is told here of it is older
        if known and not is_new and known.tracked == item.tracked:
            continue
        for channel, _ in channels[merchant]:
            key = (merchant, channel.channel_id, item_id)
            figure = figures.get(key) or Online(channel.channel_id, item_id)
            if is_new and item.tracked and not figure.version:
                continue  # it was never anything but what a store shows untold
            transaction.emit(
                merchant,
                f"item/{item_id}",
                online_wire.online_stock_changed(figure, tracked=item.tracked),
                channel.channel_id,
            )
