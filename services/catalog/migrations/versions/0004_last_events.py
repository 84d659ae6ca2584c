"""The newest of the events that the outbox has no more."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0004_last_events"
down_revision = "0003_dead_letters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "last_events",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "subject", "type", name=op.f("pk_last_events")
        ),
    )
    with op.batch_alter_table("last_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_last_events_cursor"), ["cursor"], unique=True)
        batch_op.create_index(
            batch_op.f("ix_last_events_merchant_id_cursor"), ["merchant_id", "cursor"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_last_events_channel_id_cursor"), ["channel_id", "cursor"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("last_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_last_events_channel_id_cursor"))
        batch_op.drop_index(batch_op.f("ix_last_events_merchant_id_cursor"))
        batch_op.drop_index(batch_op.f("ix_last_events_cursor"))

    op.drop_table("last_events")
