"""Matches, merges and collisions of customers; addresses compared by UTS-46.

Revision ID: 0002_whole
Revises: 0001_spine
"""

import idna
import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0002_whole"
down_revision = "0001_spine"
branch_labels = None
depends_on = None

_MERGED = sa.text("survivor_id IS NOT NULL")
_WAITS = sa.text("rule = 'AMBIGUOUS'")


def upgrade() -> None:
    op.create_table(
        "collisions",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "email_key", name=op.f("pk_collisions")),
    )
    op.create_table(
        "matches",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False),
        sa.Column("match_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel_id", "order_id", name=op.f("pk_matches")),
    )
    op.create_index(
        op.f("ix_matches_merchant_id_customer_id_channel_id_order_id"),
        "matches",
        ["merchant_id", "customer_id", "channel_id", "order_id"],
    )
    op.create_index(
        "ix_matches_waiting",
        "matches",
        ["merchant_id", "email_key"],
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    )
    op.add_column("customers", sa.Column("sync_time", UtcTime(), nullable=True))
    op.add_column("customers", sa.Column("merged_into", sa.String(), nullable=True))
    op.add_column("customers", sa.Column("survivor_id", sa.String(), nullable=True))
    op.add_column("customers", sa.Column("merge_time", UtcTime(), nullable=True))
    op.create_index(
        "ix_customers_merged",
        "customers",
        ["merchant_id", "survivor_id"],
        sqlite_where=_MERGED,
        postgresql_where=_MERGED,
    )
    op.execute("UPDATE customers SET sync_time = update_time WHERE pos_customer_id IS NOT NULL")
    _compare_by_uts46()
    op.execute(
        "INSERT INTO collisions (merchant_id, email_key, since)"
        " SELECT merchant_id, email_key, max(create_time) FROM customers WHERE email_key != ''"
        " GROUP BY merchant_id, email_key HAVING count(*) > 1"
    )


def _compare_by_uts46() -> None:
    """Compares the international domains anew, which were compared by IDNA 2003."""
    connection = op.get_bind()
    known = sa.table(
        "customers",
        *(sa.column(name) for name in ("merchant_id", "customer_id", "email", "email_key")),
    )
    not_ascii = sa.func.octet_length(known.c.email) != sa.func.length(known.c.email)
    for row in connection.execute(sa.select(known).where(known.c.email_key != "", not_ascii)).all():
        domain = row.email.strip().rpartition("@")[2]
        if domain.isascii():
            continue
        local = row.email_key.rpartition("@")[0]
        try:
            ascii_domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:  # no domain that could exist
            continue
        connection.execute(
            sa.update(known)
            .where(known.c.merchant_id == row.merchant_id, known.c.customer_id == row.customer_id)
            .values(email_key=f"{local}@{ascii_domain}")
        )


def downgrade() -> None:
    op.drop_index("ix_customers_merged", "customers")
    op.drop_column("customers", "merge_time")
    op.drop_column("customers", "survivor_id")
    op.drop_column("customers", "merged_into")
    op.drop_column("customers", "sync_time")
    op.drop_table("matches")
    op.drop_table("collisions")
