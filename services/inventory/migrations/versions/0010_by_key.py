"""Levels and figures where they cost least with a million items; see `_BY_KEY` of the tables.

Recreates three tables of SQLite, which takes some seconds for each million of rows. PostgreSQL
leaves room in new pages only; `VACUUM FULL levels, online_stock` does it for those there are.
"""

from alembic import op

revision = "0010_by_key"
down_revision = "0009_sold"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _recreate(sqlite_with_rowid=False)
    else:
        op.execute("ALTER TABLE levels SET (fillfactor = 70)")
        op.execute("ALTER TABLE online_stock SET (fillfactor = 70)")


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _recreate()
    else:
        op.execute("ALTER TABLE levels RESET (fillfactor)")
        op.execute("ALTER TABLE online_stock RESET (fillfactor)")


def _recreate(**options: bool) -> None:
    for name in ("items", "levels", "online_stock"):
        with op.batch_alter_table(name, recreate="always", table_kwargs=options):
            pass
