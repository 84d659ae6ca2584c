"""Stock of an older version, after an upgrade."""

from datetime import UTC, datetime
from pathlib import Path

from services.chassis import migrate
from services.chassis.engines import open_engine
from services.chassis.statements import append
from services.inventory.rules.online import Online
from services.inventory.rules.stock import NEVER, Item, Level
from services.inventory.store.items import find_items, learn_items
from services.inventory.store.online import load_figures
from services.inventory.store.stock import load_levels
from services.inventory.store.tables import LEVELS, ONLINE
from tests.harness import settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_items_levels_and_figures_are_what_they_were(tmp_path: Path, database_url: str) -> None:
    url = settings(tmp_path, database_url).database("inventory")
    migrate.upgrade("inventory", url, "0009_sold")
    keys = [("m", "mug"), ("m", "tee")]
    levels = [
        Level("mug", "harbour", 7500, 2000, 3, NOW, 1000, NOW),
        Level("mug", "main", -1000, 0, 0, None, 0, None),
        Level("tee", "main", 4000, 0, 9, NOW, 0, NEVER),
    ]
    figure = Online("web", "mug", 5, 2, NOW)
    names = [column.name for column in LEVELS.columns]
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        learn_items(
            connection,
            [
                {
                    "merchant_id": "m",
                    "item_id": item_id,
                    "product_id": "product",
                    "tracked": item_id == "mug",
                    "deleted": False,
                    "revision": 1,
                }
                for _, item_id in keys
            ],
            [],
        )
        rows = [{name: getattr(level, name, "m") for name in names} for level in levels]
        append(connection, LEVELS, rows)
        names = [column.name for column in ONLINE.columns]
        append(connection, ONLINE, [{name: getattr(figure, name, "m") for name in names}])
    migrate.upgrade("inventory", url)
    with engine.begin() as connection:
        assert find_items(connection, keys) == {
            ("m", "mug"): Item("mug", tracked=True),
            ("m", "tee"): Item("tee", tracked=False),
        }
        found = sorted((level for _, level in load_levels(connection, keys)), key=repr)
        assert found == sorted(levels, key=repr)
        assert load_figures(connection, [("m", "web", "mug")]) == {("m", "web", "mug"): figure}
    engine.dispose()
