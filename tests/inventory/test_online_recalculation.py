"""The recalculation of a whole channel gives the figures that each item would get by itself."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from services.chassis import migrate
from services.chassis.engines import open_engine
from services.chassis.statements import upsert
from services.inventory.rules.channels import Channel, Profile, Register, create, drain
from services.inventory.rules.online import Feed, KeptBack, Online
from services.inventory.rules.stock import UNIT, Level, Place
from services.inventory.store import buffers as buffer_store
from services.inventory.store import online as online_store
from services.inventory.store.items import learn_items
from services.inventory.store.tables import LEVELS

NOON = datetime(2026, 7, 4, 12, tzinfo=UTC)
MERCHANT, CHANNEL = "mug-shop", "ch-1"
OUTLETS = ("main", "harbour", "third", "fourth")
ITEMS = [f"item-{number:02}" for number in range(40)]
ROUNDS = 25


def any_channel(chance: random.Random) -> Channel:
    """A channel in any state."""
    made = create(
        CHANNEL,
        "Web",
        Profile.RETAIL_X_ECOM,
        register=Register("till", "Till", "main"),
        primary_outlet_id="",
        wanted=chance.sample(OUTLETS[1:], chance.randrange(4)),
        external_pos=True,
    )
    for outlet_id in made.connected_outlet_ids[1:]:
        if chance.random() < 0.25:
            made = drain(made, outlet_id, draining=True)
    return made


def with_silence(made: Channel, chance: random.Random) -> Channel:
    """The channel with some outlets silent."""
    silent = tuple(one for one in made.connected_outlet_ids if chance.random() < 0.3)
    policies = replace(made.policies, silent_quantity=chance.randrange(6 * UNIT))
    return replace(made, silent_outlet_ids=silent, policies=policies)


def any_levels(chance: random.Random) -> dict[Place, Level]:
    """Levels at some places."""
    return {
        (item_id, outlet_id): Level(
            item_id, outlet_id, chance.randrange(-3, 12) * 500, chance.randrange(5) * 500
        )
        for item_id in ITEMS
        for outlet_id in OUTLETS
        if chance.random() < 0.7
    }


def any_buffers(chance: random.Random) -> dict[tuple[str, str], int]:
    """Buffers of all four kinds, or none."""
    many = chance.choice([0, 1, 4, 30])
    return {
        (chance.choice(["", *OUTLETS]), chance.choice(["", "", *ITEMS])): chance.randrange(6) * 500
        for _ in range(many)
    }


def store_all(
    connection: Connection, levels: dict[Place, Level], buffers: dict[tuple[str, str], int]
) -> None:
    for table in ("levels", "buffers"):
        connection.exec_driver_sql(f"DELETE FROM {table}")
    rows: list[dict[str, Any]] = [
        {
            "merchant_id": merchant,
            "item_id": level.item_id,
            "outlet_id": level.outlet_id,
            "on_hand": level.on_hand + (0 if merchant == MERCHANT else 7000),
            "reserved": level.reserved,
            "version": 0,
            "observe_time": NOON,
        }
        for level in levels.values()
        for merchant in (MERCHANT, "another")
    ]
    upsert(connection, LEVELS, rows)
    for (outlet_id, item_id), quantity in buffers.items():
        kept = KeptBack(CHANNEL, outlet_id, item_id, quantity, NOON)
        buffer_store.put_buffer(connection, MERCHANT, kept)
        other = KeptBack("another", outlet_id, item_id, quantity + 1000, NOON)
        buffer_store.put_buffer(connection, MERCHANT, other)


@pytest.mark.rule("INV-05")
@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-07")
@pytest.mark.rule("BEY-05")
def test_all_at_once_is_as_one_by_one(database_url: str, tmp_path: Path) -> None:
    """Whatever the levels, holds, buffers, drains and silence, on both databases."""
    url = database_url or f"sqlite:///{tmp_path}/inventory.sqlite3"
    migrate.upgrade("inventory", url)
    engine = open_engine(url, writing=True)
    figures: dict[str, Online] = {}
    with engine.begin() as connection:
        learn_items(connection, [item_row(item_id) for item_id in ITEMS], [])
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        made = with_silence(any_channel(chance), chance)
        levels, buffers = any_levels(chance), any_buffers(chance)
        with engine.begin() as connection:
            store_all(connection, levels, buffers)
            general = {key: one for key, one in buffers.items() if not key[1]}
            one_item = online_store.recalculate(
                connection, MERCHANT, Feed(made, general), ITEMS[seed]
            )
            changes = online_store.recalculate(connection, MERCHANT, Feed(made, general))
            online_store.save_changes(connection, {(MERCHANT, CHANNEL): changes}, NOON)
            kept = online_store.load_online(connection, MERCHANT, CHANNEL, ITEMS)
        feed = Feed(made, buffers)
        for item_id in ITEMS:
            expected = feed.figure(item_id, levels)
            assert expected == (kept[item_id].quantity if item_id in kept else 0), (seed, item_id)
        assert [one for one in changes if one.item_id == ITEMS[seed]] == one_item
        assert [one.item_id for one in changes] == sorted(
            item_id for item_id in kept if kept[item_id] != figures.get(item_id)
        )
        for one in changes:
            before = figures.get(one.item_id) or Online(CHANNEL, one.item_id)
            assert (before.quantity, before.version + 1) == (one.before, one.version)
        figures = kept
    engine.dispose()


def item_row(item_id: str) -> dict[str, Any]:
    return {
        "merchant_id": MERCHANT,
        "item_id": item_id,
        "product_id": f"product-{item_id}",
        "tracked": True,
        "deleted": False,
        "revision": 1,
    }
