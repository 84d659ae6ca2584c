"""An order service that runs between fakes of the services it asks, on each kind of database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.order import pool
from services.order.rules import order, stock
from services.order.service import build
from services.order.store import PLUMBING
from tests.harness import running, settings
from tests.order.fakes import Fakes, fakes
from tests.order.shop import Shop


@pytest.fixture
async def others() -> AsyncIterator[Fakes]:
    async with fakes() as found:
        yield found


@pytest.fixture
async def shop(
    tmp_path: Path, database_url: str, others: Fakes, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shop]:
    """A shop with two mugs' worth of catalog, whose waits are short."""
    for module in (order, stock):
        monkeypatch.setattr(module, "pause_seconds", lambda _attempts, *, transient: 0.05)
    monkeypatch.setattr(pool, "POLL_S", 0.02)
    configured = settings(
        tmp_path,
        database_url,
        catalog_address=others.catalog.address,
        customer_address=others.customer.address,
        inventory_address=others.inventory.address,
    )
    async with running("order", PLUMBING, build, configured) as service:
        yield Shop(service, others)
