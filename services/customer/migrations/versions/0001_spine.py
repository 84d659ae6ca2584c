"""Profiles, and the tables that every service has.

Revision ID: 0001_spine
Revises: none
"""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0001_spine"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consumers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "consumer", name=op.f("pk_consumers")),
    )
    op.create_table(
        "customers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("pos_customer_id", sa.String(), nullable=True),
        sa.Column("pos_version", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("email_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "customer_id", name=op.f("pk_customers")),
    )
    op.create_index(
        op.f("ix_customers_merchant_id_email_key"),
        "customers",
        ["merchant_id", "email_key"],
    )
    op.create_index(
        op.f("ix_customers_merchant_id_pos_customer_id"),
        "customers",
        ["merchant_id", "pos_customer_id"],
        unique=True,
    )

    op.create_table(
        "outbox",
        sa.Column(
            "cursor",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cursor", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outbox_channel_id_cursor"), "outbox", ["channel_id", "cursor"])

    op.create_table(
        "requests",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("record_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "method", "request_id", name=op.f("pk_requests")),
    )
    op.create_index(op.f("ix_requests_record_time"), "requests", ["record_time"])


def downgrade() -> None:
    op.drop_index(op.f("ix_requests_record_time"), "requests")
    op.drop_table("requests")
    op.drop_index(op.f("ix_outbox_channel_id_cursor"), "outbox")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_customers_merchant_id_pos_customer_id"), "customers")
    op.drop_index(op.f("ix_customers_merchant_id_email_key"), "customers")
    op.drop_table("customers")
    op.drop_table("consumers")
