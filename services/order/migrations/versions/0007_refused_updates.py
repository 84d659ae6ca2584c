"""What stores refuse to show of orders."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0007_refused_updates"
down_revision = "0006_wait_time"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refused_updates",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("store_update", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("refuse_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "order_id", name=op.f("pk_refused_updates")
        ),
    )


def downgrade() -> None:
    op.drop_table("refused_updates")
