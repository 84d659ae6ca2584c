"""Migrations: each service's own, run under a lock so that replicas may start at once."""

from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlmodel import AutoString

from services.chassis import failpoints
from services.chassis.engines import open_engine

SERVICES = Path(__file__).resolve().parents[1]


def upgrade(service: str, url: str, revision: str = "head") -> None:
    """Brings the service's database to `revision`. One process migrates, the others wait."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = open_engine(url, writing=True)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
                connection.exec_driver_sql("SET LOCAL statement_timeout = '600s'")
                connection.exec_driver_sql("SET LOCAL enable_seqscan = on")  # whole tables change
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7465)")
            command.upgrade(config(service, connection), revision)
            failpoints.at("migrate.ready")
        failpoints.at("migrate.done")
    finally:
        engine.dispose()


def config(service: str, connection: Connection | None = None) -> Config:
    """Alembic's configuration for a service, on an open connection."""
    found = Config()
    found.set_main_option("script_location", str(SERVICES / service / "migrations"))
    found.attributes["connection"] = connection
    return found


def run(metadata: MetaData) -> None:
    """What a service's `migrations/env.py` does."""
    from alembic import context  # noqa: PLC0415  (exists only while alembic runs env.py)

    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=_render,
        user_module_prefix="",
    )
    context.run_migrations()


def _render(kind: str, value: object, _context: object) -> str | Literal[False]:
    """Writes a model's text type into a migration as what it is in the database."""
    return "sa.String()" if kind == "type" and isinstance(value, AutoString) else False
