"""Migrations: one process migrates, the others wait, and the tables are those of the code."""

import importlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect

from services.chassis import migrate
from services.chassis.engines import open_engine
from services.chassis.settings import CONTEXTS

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services"
MIGRATED = [name for name in CONTEXTS if any(SERVICES.glob(f"{name}/migrations/versions/*.py"))]


@pytest.fixture
def address(database_url: str, tmp_path: Path) -> str:
    """A database with nothing in it."""
    return database_url or f"sqlite:///{tmp_path}/some/folder/service.sqlite3"


def look(address: str, query: Any) -> Any:
    engine = open_engine(address, writing=True)
    try:
        with engine.begin() as connection:
            return query(connection)
    finally:
        engine.dispose()


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """What `alembic check` would find: nothing, or what a migration forgot."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def stored(table: str, told: Mapping[str, Any]) -> tuple[str, bool, dict[str, str]]:
    """How a table is stored: whether by row number (SQLite), and with what room (PostgreSQL)."""
    room = {name: str(value) for name, value in told.get("postgresql_with", {}).items()}
    return table, told.get("sqlite_with_rowid", True), room


def version(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars())


@pytest.mark.parametrize("service", MIGRATED)
def test_the_migrations_make_the_tables_of_the_code(service: str, address: str) -> None:
    migrate.upgrade(service, address)
    metadata = importlib.import_module(f"services.{service}.store").Row.metadata
    assert look(address, lambda connection: differences(connection, metadata)) == []
    names = set(look(address, lambda connection: inspect(connection).get_table_names()))
    assert names == {*metadata.tables, "alembic_version"}


@pytest.mark.parametrize("service", MIGRATED)
def test_the_migrations_store_tables_as_the_code_says(service: str, address: str) -> None:
    """What `alembic check` does not look at."""
    migrate.upgrade(service, address)
    metadata = importlib.import_module(f"services.{service}.store").Row.metadata
    found = look(address, lambda connection: inspect(connection).get_multi_table_options())
    kind = "postgresql" if address.startswith("postgres") else "sqlite"
    for table in metadata.tables.values():
        said = {name: value for name, value in table.kwargs.items() if name.startswith(kind)}
        assert stored(table.name, found[None, table.name]) == stored(table.name, said)


@pytest.mark.parametrize("service", MIGRATED)
def test_upgrading_again_changes_nothing(service: str, address: str) -> None:
    migrate.upgrade(service, address)
    before = look(address, version)
    migrate.upgrade(service, address)
    assert before == look(address, version)
    assert before == [ScriptDirectory.from_config(migrate.config(service)).get_current_head()]


@pytest.mark.parametrize("service", MIGRATED)
def test_every_merchants_rows_are_keyed_by_merchant_first(service: str) -> None:
    """The ledger, stores' edits and the outbox are keyed by the number that orders them."""
    metadata = importlib.import_module(f"services.{service}.store").Row.metadata
    for table in metadata.tables.values():
        first = next(iter(table.primary_key)).name
        ordered = table.name in {"outbox", "movements", "stock_edits"}
        assert first == "merchant_id" or ordered, table.name
        assert "merchant_id" in table.columns, table.name


def test_processes_that_start_at_once_migrate_once(address: str) -> None:
    script = "import sys; from services.chassis import migrate; migrate.upgrade(*sys.argv[1:])"
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", script, "inventory", address],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(3)
    ]
    for process in starting:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(look(address, version)) == 1


def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """Of two that would have a file keep a log SQLite refuses one, in some of these rounds, and
    does not wait for the other.
    """
    for number in range(150):
        url = f"sqlite:///{tmp_path}/{number}.sqlite3"
        together = threading.Barrier(4)

        def begin(url: str = url, together: threading.Barrier = together) -> None:
            engine = open_engine(url, writing=True)
            together.wait(60)
            with engine.begin() as connection:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS one (n)")
            engine.dispose()

        with ThreadPoolExecutor(4) as pool:
            for opened in [pool.submit(begin) for _ in range(4)]:
                opened.result()
