"""What sales have taken of what an incident misses."""

import sqlalchemy as sa
from alembic import op

revision = "0009_sold"
down_revision = "0008_last_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("sold", sa.String(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("incidents", "sold")
