"""Whether a channel's orders become sales, and what its shipping methods depend on."""

import sqlalchemy as sa
from alembic import op

revision = "0004_order_policies"
down_revision = "0003_dead_letters"
branch_labels = None
depends_on = None

ANY_SET_WITH_A_PRIMARY = 1
"""OUTLET_POLICY_PRIMARY: so far the channels of one profile have it, and no others."""
DISABLE = 1


def upgrade() -> None:
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("post_sales", sa.Boolean(), server_default=sa.true(), nullable=False)
        )
        for name in ("shipping", "delivery", "pickup"):
            column = sa.Column(
                f"{name}_availability", sa.Integer(), server_default="1", nullable=False
            )
            batch_op.add_column(column)
        batch_op.add_column(
            sa.Column("disconnected_methods", sa.Integer(), server_default="2", nullable=False)
        )
    channels = sa.table("channels", sa.column("outlets"), sa.column("disconnected_methods"))
    op.execute(
        sa.update(channels)
        .where(channels.c.outlets == ANY_SET_WITH_A_PRIMARY)
        .values(disconnected_methods=DISABLE)
    )


def downgrade() -> None:
    with op.batch_alter_table("channels", schema=None) as batch_op:
        for name in (
            "disconnected_methods",
            "pickup_availability",
            "delivery_availability",
            "shipping_availability",
            "post_sales",
        ):
            batch_op.drop_column(name)
