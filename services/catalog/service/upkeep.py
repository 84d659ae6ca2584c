"""What every change of the catalog has in common: who may change it, and what follows from it."""

from collections.abc import Iterable, Sequence

from services.catalog.rules import drift, listings
from services.catalog.rules.held import HeldReports
from services.catalog.rules.listings import Placement
from services.catalog.rules.products import Change, Known
from services.catalog.rules.shelf import Shelf
from services.catalog.store import Key
from services.catalog.store import drift as drift_rows
from services.catalog.store import held as held_rows
from services.catalog.store import listings as listing_rows
from services.catalog.store import products as product_rows
from services.catalog.wire import listings as listing_wire
from services.catalog.wire import products as product_wire
from services.chassis.database import Transaction


def lock(transaction: Transaction, merchants: Iterable[str]) -> None:
    """Lets no other process change these merchants' catalogs until commit: products, items and
    listings hang together too much for finer locks to be worth it.
    """
    transaction.lock(f"catalog/{merchant}" for merchant in merchants)


def save(transaction: Transaction, shelf: Shelf, held: HeldReports | None = None) -> None:
    """Saves what was decided, tells it, and brings the listings along (CAT-06).

    Without `held`, which of the reports that wait are old news now is found out here.
    """
    changes = shelf.changes()
    product_rows.save_products(transaction.connection, changes)
    if held is None:
        held = _outdated(transaction, [change.after for change in changes])
    held_rows.save_held(transaction.connection, held.changed)
    news = [change for change in changes if change.is_news]
    for change in news:
        after = change.after
        transaction.emit(
            after.merchant_id, f"product/{after.product_id}", product_wire.product_changed(after)
        )
    keep_in_step(
        transaction,
        [
            change
            for change in changes
            if change.outlived_version or (change.is_news and listings.shows_anew(change))
        ],
    )


def _outdated(transaction: Transaction, known: Sequence[Known]) -> HeldReports:
    keys = [(one.merchant_id, one.product_id) for one in known]
    held = HeldReports(held_rows.held_of(transaction.connection, keys))
    for key, one in zip(keys, known, strict=True):
        held.take_in(key, one.stamp)
    return held


def keep_in_step(transaction: Transaction, changes: Sequence[Change]) -> None:
    """Brings the listings of changed products to what is shown now, in every channel."""
    if not changes:
        return
    keys = [(change.after.merchant_id, change.after.product_id) for change in changes]
    channels = listing_rows.channels(transaction.connection, {merchant for merchant, _ in keys})
    had = [key for key, change in zip(keys, changes, strict=True) if change.before]
    places = listing_rows.placements_of_products(transaction.connection, had)
    new: list[Placement] = []
    old: list[Placement] = []
    for key, change in zip(keys, changes, strict=True):
        by_channel = {place.channel_id: place for place in places.get(key, [])}
        for channel_id in channels.get(key[0], []):
            before = by_channel.get(channel_id)
            after = listings.kept_in_step(before, change, channel_id, transaction.now)
            if after and after != before:
                (old if before else new).append(after)
    listing_rows.save_placements(transaction.connection, new, old)
    gone = [change.after for change in changes if change.reborn or change.after.product is None]
    close_drift(transaction, [one for known in gone for one in places.get(_key(known), [])])
    tell_listings(transaction, new + old)


def close_drift(transaction: Transaction, places: Iterable[Placement]) -> None:
    """Heals the drift of listings that are gone, or that their store has anew."""
    keys = [(place.merchant_id, place.channel_id, place.product_id) for place in places]
    found = drift_rows.open_of_listings(transaction.connection, keys)
    healed = [
        drift.healed(one, transaction.now) for by_key in found.values() for one in by_key.values()
    ]
    drift_rows.save(transaction.connection, healed)


def _key(known: Known) -> Key:
    return (known.merchant_id, known.product_id)


def tell_listings(transaction: Transaction, changed: Iterable[Placement]) -> None:
    """Tells that these listings are new, different or gone."""
    for place in changed:
        transaction.emit(
            place.merchant_id,
            f"listing/{place.channel_id}/{place.product_id}",
            listing_wire.listing_changed(place),
            channel_id=place.channel_id,
        )
