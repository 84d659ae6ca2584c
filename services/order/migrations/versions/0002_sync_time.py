"""When an order was last read from its store."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0002_sync_time"
down_revision = "0001_spine"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sync_time", UtcTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("sync_time")
