"""Where stores have something else of orders than is known here."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0010_order_drift"
down_revision = "0009_last_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_drift",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("field", sa.Integer(), nullable=False),
        sa.Column("own_value", sa.String(), nullable=False),
        sa.Column("store_value", sa.String(), nullable=False),
        sa.Column("cause", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=False),
        sa.Column("last_observe_time", UtcTime(), nullable=False),
        sa.Column("heal_time", UtcTime(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "order_id", "field", name=op.f("pk_order_drift")
        ),
    )
    with op.batch_alter_table("order_drift", schema=None) as batch_op:
        batch_op.create_index(
            "ix_order_drift_open",
            ["merchant_id", "channel_id", "order_id"],
            unique=False,
            sqlite_where=sa.text("state = 1"),
            postgresql_where=sa.text("state = 1"),
        )

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("gone", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("gone")
    with op.batch_alter_table("order_drift", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_order_drift_open",
            sqlite_where=sa.text("state = 1"),
            postgresql_where=sa.text("state = 1"),
        )

    op.drop_table("order_drift")
