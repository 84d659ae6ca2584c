"""What is due, by an index of that alone."""

import sqlalchemy as sa
from alembic import op

revision = "0008_due"
down_revision = "0007_refused_updates"
branch_labels = None
depends_on = None

DUE = sa.text("due_time IS NOT NULL")


def upgrade() -> None:
    for table in ("orders", "sales"):
        op.drop_index(f"ix_{table}_due_time", table)
        op.create_index(
            f"ix_{table}_due", table, ["due_time"], sqlite_where=DUE, postgresql_where=DUE
        )


def downgrade() -> None:
    for table in ("orders", "sales"):
        op.drop_index(f"ix_{table}_due", table)
        op.create_index(f"ix_{table}_due_time", table, ["due_time"])
