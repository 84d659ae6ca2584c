"""Documents as messages; one index less for orders that do not wait."""

import sqlalchemy as sa
from alembic import op

revision = "0005_document_message"
down_revision = "0004_whole"
branch_labels = None
depends_on = None

REASON = "ix_orders_merchant_id_waiting_reason_waiting_key"


def _create_waiting(waiting: sa.TextClause) -> None:
    op.create_index(
        "ix_orders_waiting",
        "orders",
        ["merchant_id", "create_time"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def upgrade() -> None:
    op.add_column("orders", sa.Column("document_message", sa.LargeBinary(), nullable=True))
    waiting = sa.text("waiting_reason > ''")
    op.drop_index(REASON, "orders")
    op.create_index(
        "ix_orders_reason",
        "orders",
        ["merchant_id", "waiting_reason", "waiting_key"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.drop_index("ix_orders_waiting", "orders")
    _create_waiting(waiting)


def downgrade() -> None:
    op.drop_index("ix_orders_waiting", "orders")
    _create_waiting(sa.text("waiting_reason <> ''"))
    op.drop_index("ix_orders_reason", "orders")
    op.create_index(REASON, "orders", ["merchant_id", "waiting_reason", "waiting_key"])
    op.drop_column("orders", "document_message")
