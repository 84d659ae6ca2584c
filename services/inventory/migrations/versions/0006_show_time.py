"""From when on an incident is listed."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0006_show_time"
down_revision = "0005_held_counts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("show_time", UtcTime(), nullable=False, server_default="0")
    op.add_column("incidents", column)


def downgrade() -> None:
    op.drop_column("incidents", "show_time")
