"""What alembic runs for this service's migrations."""

from services.chassis import migrate
from services.customer.store import Row

migrate.run(Row.metadata)
