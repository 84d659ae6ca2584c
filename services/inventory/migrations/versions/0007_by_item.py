"""What is kept back of an item, and what is on its way of it, without looking at all others."""

from alembic import op

revision = "0007_by_item"
down_revision = "0006_show_time"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("buffers", "transfer_lines"):
        op.create_index(f"ix_{table}_merchant_id_item_id", table, ["merchant_id", "item_id"])


def downgrade() -> None:
    for table in ("buffers", "transfer_lines"):
        op.drop_index(f"ix_{table}_merchant_id_item_id", table)
