"""Orders, sales, fulfillments, and the tables that every service has.

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
        "awaited_items",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "reference", "channel_id", "order_id", name=op.f("pk_awaited_items")
        ),
    )
    op.create_table(
        "consumers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "consumer", name=op.f("pk_consumers")),
    )
    op.create_table(
        "fulfillments",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("fulfillment_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("sale_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("lines", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "fulfillment_id", name=op.f("pk_fulfillments")),
    )
    op.create_index(
        op.f("ix_fulfillments_merchant_id_create_time"),
        "fulfillments",
        ["merchant_id", "create_time"],
    )
    op.create_index(
        op.f("ix_fulfillments_merchant_id_order_id"), "fulfillments", ["merchant_id", "order_id"]
    )

    op.create_table(
        "orders",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("document", sa.String(), nullable=True),
        sa.Column("resolved", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("hold", sa.String(), nullable=True),
        sa.Column("holds_ended", sa.Integer(), nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("allocations", sa.String(), nullable=True),
        sa.Column("sale_id", sa.String(), nullable=False),
        sa.Column("pos_version", sa.BigInteger(), nullable=True),
        sa.Column("committed", sa.Boolean(), nullable=False),
        sa.Column("waiting_reason", sa.String(), nullable=False),
        sa.Column("waiting_message", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_time", UtcTime(), nullable=True),
        sa.Column("awaited", sa.String(), nullable=False),
        sa.Column("due_time", UtcTime(), nullable=True),
        sa.Column("lease_time", UtcTime(), nullable=True),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel_id", "order_id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_due_time"), "orders", ["due_time"])
    op.create_index(
        op.f("ix_orders_merchant_id_create_time"), "orders", ["merchant_id", "create_time"]
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

    op.create_table(
        "sale_payments",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("sale_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("currency_code", sa.String(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("pay_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "sale_id", "number", name=op.f("pk_sale_payments")),
    )
    op.create_index(
        op.f("ix_sale_payments_merchant_id_pay_time"), "sale_payments", ["merchant_id", "pay_time"]
    )

    op.create_table(
        "sales",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("sale_id", sa.String(), nullable=False),
        sa.Column("origin", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("register_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("lines", sa.String(), nullable=False),
        sa.Column("total", sa.String(), nullable=False),
        sa.Column("shipping_price", sa.String(), nullable=False),
        sa.Column("discount", sa.String(), nullable=False),
        sa.Column("tax", sa.String(), nullable=False),
        sa.Column("prices_include_tax", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("sale_time", UtcTime(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("mirrored", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("posted_revision", sa.BigInteger(), nullable=False),
        sa.Column("post_error", sa.String(), nullable=False),
        sa.Column("stock_pending", sa.Boolean(), nullable=False),
        sa.Column("stock_error", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_time", UtcTime(), nullable=True),
        sa.Column("lease_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "sale_id", name=op.f("pk_sales")),
    )
    op.create_index(op.f("ix_sales_due_time"), "sales", ["due_time"])
    op.create_index(op.f("ix_sales_merchant_id_sale_time"), "sales", ["merchant_id", "sale_time"])

    op.create_table(
        "source_documents",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("source_document", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "order_id", name=op.f("pk_source_documents")
        ),
    )


def downgrade() -> None:
    op.drop_table("source_documents")
    op.drop_index(op.f("ix_sales_due_time"), "sales")
    op.drop_index(op.f("ix_sales_merchant_id_sale_time"), "sales")
    op.drop_table("sales")
    op.drop_index(op.f("ix_sale_payments_merchant_id_pay_time"), "sale_payments")
    op.drop_table("sale_payments")
    op.drop_index(op.f("ix_requests_record_time"), "requests")
    op.drop_table("requests")
    op.drop_index(op.f("ix_outbox_channel_id_cursor"), "outbox")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_orders_due_time"), "orders")
    op.drop_index(op.f("ix_orders_merchant_id_create_time"), "orders")
    op.drop_table("orders")
    op.drop_index(op.f("ix_fulfillments_merchant_id_create_time"), "fulfillments")
    op.drop_index(op.f("ix_fulfillments_merchant_id_order_id"), "fulfillments")
    op.drop_table("fulfillments")
    op.drop_table("consumers")
    op.drop_table("awaited_items")
