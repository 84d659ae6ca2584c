"""An index less that each count has to write: by time, the ledger is asked for deltas alone.

Making it reads the whole ledger once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011_deltas"
down_revision = "0010_by_key"
branch_labels = None
depends_on = None

_BY_TIME = "ix_movements_merchant_id_item_id_outlet_id_record_time"
_DELTAS = "ix_movements_deltas"
_PLACE = ("merchant_id", "item_id", "outlet_id")
_IS_DELTA = sa.text("kind NOT IN (1, 10)")


def upgrade() -> None:
    op.create_index(
        _DELTAS,
        "movements",
        [*_PLACE, "observe_time"],
        sqlite_where=_IS_DELTA,
        postgresql_where=_IS_DELTA,
    )
    op.drop_index(_BY_TIME, "movements")


def downgrade() -> None:
    op.create_index(_BY_TIME, "movements", [*_PLACE, "record_time"])
    op.drop_index(_DELTAS, "movements")
