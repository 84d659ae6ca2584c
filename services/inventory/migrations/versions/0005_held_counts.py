"""Counts that are held, and what counts have emptied (BEY-10)."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0005_held_counts"
down_revision = "0004_order_policies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breakers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("approve_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "outlet_id", name=op.f("pk_breakers")),
    )
    op.create_table(
        "emptied_items",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("empty_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "outlet_id", "item_id", name=op.f("pk_emptied_items")
        ),
    )
    op.create_table(
        "held_counts",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=False),
        sa.Column("timed", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("record_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "outlet_id", "item_id", name=op.f("pk_held_counts")),
    )


def downgrade() -> None:
    op.drop_table("held_counts")
    op.drop_table("emptied_items")
    op.drop_table("breakers")
