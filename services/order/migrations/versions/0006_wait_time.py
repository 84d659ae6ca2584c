"""Since when an order waits."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0006_wait_time"
down_revision = "0005_document_message"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("wait_time", UtcTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("orders", "wait_time")
