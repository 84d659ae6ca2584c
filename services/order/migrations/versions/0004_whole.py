"""Cancellations, refunds, fulfillments and shipping methods."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0004_whole"
down_revision = "0003_dead_letters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shipping_methods",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("method_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "method_id", name=op.f("pk_shipping_methods")
        ),
    )
    with op.batch_alter_table("shipping_methods", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_shipping_methods_merchant_id_channel_id_position_method_id"),
            ["merchant_id", "channel_id", "position", "method_id"],
            unique=False,
        )

    with op.batch_alter_table("fulfillments", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)
        )
        batch_op.add_column(
            sa.Column("tracking_number", sa.String(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("carrier", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("update_time", UtcTime(), nullable=True))
        batch_op.add_column(
            sa.Column("ship_to", sa.String(), server_default="null", nullable=False)
        )
        batch_op.add_column(sa.Column("pickup_time", UtcTime(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_fulfillments_merchant_id_state_create_time"),
            ["merchant_id", "state", "create_time"],
            unique=False,
        )

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("email", sa.String(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("payment_status", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("waiting_key", sa.String(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("cancel_time", UtcTime(), nullable=True))
        batch_op.add_column(
            sa.Column("cancel_reason", sa.String(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("accounts", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("refunds", sa.String(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("paid", sa.String(), server_default="null", nullable=False))
        batch_op.add_column(
            sa.Column("refunded", sa.String(), server_default="null", nullable=False)
        )
        batch_op.add_column(
            sa.Column("store_update", sa.String(), server_default="null", nullable=False)
        )
        batch_op.create_index(
            batch_op.f("ix_orders_merchant_id_customer_id_create_time"),
            ["merchant_id", "customer_id", "create_time"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_orders_merchant_id_email_create_time"),
            ["merchant_id", "email", "create_time"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_orders_merchant_id_order_id"), ["merchant_id", "order_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_orders_merchant_id_waiting_reason_waiting_key"),
            ["merchant_id", "waiting_reason", "waiting_key"],
            unique=False,
        )

    with op.batch_alter_table("sales", schema=None) as batch_op:
        batch_op.add_column(sa.Column("return_for", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("refund_id", sa.String(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("discounts", sa.String(), server_default="[]", nullable=False)
        )
        batch_op.add_column(sa.Column("charges", sa.String(), server_default="[]", nullable=False))
        batch_op.add_column(
            sa.Column("shipping_tax", sa.String(), server_default="null", nullable=False)
        )
        batch_op.add_column(
            sa.Column("difference", sa.String(), server_default="null", nullable=False)
        )
        batch_op.create_index(
            batch_op.f("ix_sales_merchant_id_order_id"), ["merchant_id", "order_id"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("sales", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sales_merchant_id_order_id"))
        batch_op.drop_column("difference")
        batch_op.drop_column("shipping_tax")
        batch_op.drop_column("charges")
        batch_op.drop_column("discounts")
        batch_op.drop_column("refund_id")
        batch_op.drop_column("return_for")

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_waiting_reason_waiting_key"))
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_order_id"))
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_email_create_time"))
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_customer_id_create_time"))
        batch_op.drop_column("store_update")
        batch_op.drop_column("refunded")
        batch_op.drop_column("paid")
        batch_op.drop_column("refunds")
        batch_op.drop_column("accounts")
        batch_op.drop_column("cancel_reason")
        batch_op.drop_column("cancel_time")
        batch_op.drop_column("waiting_key")
        batch_op.drop_column("payment_status")
        batch_op.drop_column("email")

    with op.batch_alter_table("fulfillments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fulfillments_merchant_id_state_create_time"))
        batch_op.drop_column("pickup_time")
        batch_op.drop_column("ship_to")
        batch_op.drop_column("update_time")
        batch_op.drop_column("carrier")
        batch_op.drop_column("tracking_number")
        batch_op.drop_column("version")

    with op.batch_alter_table("shipping_methods", schema=None) as batch_op:
        batch_op.drop_index(
            batch_op.f("ix_shipping_methods_merchant_id_channel_id_position_method_id")
        )

    op.drop_table("shipping_methods")
