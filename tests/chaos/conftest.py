"""Runs that several tests look at."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.databases import service_databases
from tests.chaos.plan import Plan
from tests.chaos.run import run

KILLED = Plan("P2", seed=1, orders=5_000, kills=25)


@pytest.fixture(scope="session")
def killed(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The history of a run on PostgreSQL in which processes are killed, and all clocks are right.

    P2 is about it; and it ends in the state that a run with clocks that are wrong has to end in.
    """
    with service_databases(postgres) as url:
        yield asyncio.run(run(KILLED, tmp_path_factory.mktemp("killed"), url))
