"""What alembic runs for this service's migrations."""

from services.catalog.store import Row
from services.chassis import migrate

migrate.run(Row.metadata)
