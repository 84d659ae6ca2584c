"""What is reserved is found by its item whatever has ended, and what of it is posted by itself.

Making the indexes reads all allocations once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012_posted"
down_revision = "0011_deltas"
branch_labels = None
depends_on = None

_BY_ITEM = "ix_holds_merchant_id_item_id_held"
_NEW = {"ix_holds_held_item": "held", "ix_holds_posted": "held AND pos_version IS NOT NULL"}


def upgrade() -> None:
    for name, condition in _NEW.items():
        some = sa.text(condition)
        columns = ["merchant_id", "item_id"]
        op.create_index(name, "holds", columns, sqlite_where=some, postgresql_where=some)
    op.drop_index(_BY_ITEM, "holds")


def downgrade() -> None:
    op.create_index(_BY_ITEM, "holds", ["merchant_id", "item_id", "held"])
    for name in _NEW:
        op.drop_index(name, "holds")
