"""A counter on each kind of database."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.chassis.database import Database
from tests.chassis.counter import Served, opened, served
from tests.conftest import new_database
from tests.harness import settings


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged meanwhile."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> str:
    """Address of a fresh database; each test that uses it runs on both kinds."""
    return database_url or f"sqlite:///{tmp_path}/counter.sqlite3"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with opened(url) as found:
        yield found


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    """A counter that is served, on SQLite: what a call meets on its way does not depend on it."""
    async with served(f"sqlite:///{tmp_path}/counter.sqlite3", settings(tmp_path)) as found:
        yield found


@pytest.fixture
def shared(postgres: str) -> Iterator[str]:
    """Address of a database that several processes share."""
    with new_database(postgres) as url:
        yield url
