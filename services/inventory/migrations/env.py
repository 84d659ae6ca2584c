"""Alembic's entry."""

from services.chassis import migrate
from services.inventory.store import Row

migrate.run(Row.metadata)
