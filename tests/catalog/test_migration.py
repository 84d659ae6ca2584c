"""Listings of an older version, after an upgrade."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.catalog.store import listings
from services.chassis import migrate
from services.chassis.engines import open_engine
from tests.harness import settings


@pytest.mark.rule("BEY-08")
def test_switches_of_an_older_version_know_which_product_they_were_set_for(
    tmp_path: Path, database_url: str
) -> None:
    url = settings(tmp_path, database_url).database("catalog")
    migrate.upgrade("catalog", url, "0001_spine")
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO products (merchant_id, product_id, deleted, name, description,"
                " category, brand, active, attribute_names, images, handle, tags, supplier,"
                " version, observe_time, revision, update_time)"
                " VALUES ('m', 'mug', :no, 'Mug', '', '', '', :yes, '[]', '[]', '', '[]', '',"
                " 7, 5, 1, 5)"
            ),
            {"yes": True, "no": False},
        )
        connection.execute(
            sa.text(
                "INSERT INTO listings (merchant_id, channel_id, product_id, sell_online, version,"
                " deleted, update_time, pushed_version, push_error)"
                " VALUES ('m', :channel, 'mug', :switch, 1, :no, 5, 0, '')"
            ),
            [
                {"channel": "on", "switch": True, "no": False},
                {"channel": "off", "switch": False, "no": False},
            ],
        )
    migrate.upgrade("catalog", url)
    with engine.begin() as connection:
        found = listings.placements_of_products(connection, [("m", "mug")])["m", "mug"]
    engine.dispose()
    assert {place.channel_id: place.switch_version for place in found} == {"on": 7, "off": 0}
