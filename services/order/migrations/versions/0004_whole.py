"""Cancellations, refunds, fulfillments and shipping methods."""

import json

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0004_whole"
down_revision = "0003_dead_letters"
branch_labels = None
depends_on = None


FILLED_AT_ONCE = 1_000


def _fill_orders(connection: sa.Connection) -> None:
    """Fills in what lists look for. Most orders have the address that they were matched by; of the
    others it is taken from the document, as the service itself compares addresses.
    """
    part = "json_extract(document, '$.{}')"
    if connection.dialect.name == "postgresql":
        part = "(CAST(document AS json) ->> '{}')"
    connection.exec_driver_sql(
        "UPDATE orders SET email = COALESCE(address, ''),"  # noqa: S608  (two fixed names)
        f" payment_status = CAST({part.format('payment_status')} AS integer)"
        " WHERE document IS NOT NULL"
    )
    orders = sa.table(
        "orders",
        *map(sa.column, ("merchant_id", "channel_id", "order_id", "document", "address", "email")),
    )
    key = [orders.c.merchant_id, orders.c.channel_id, orders.c.order_id]
    after = ("", "", "")
    while rows := connection.execute(
        sa.select(*key, orders.c.document)
        .where(
            orders.c.address.is_(None),
            orders.c.document.is_not(None),
            sa.tuple_(*key) > sa.tuple_(*map(sa.literal, after)),
        )
        .order_by(*key)
        .limit(FILLED_AT_ONCE)
    ).all():
        after = tuple(rows[-1][:3])
        connection.execute(
            sa.update(orders)
            .where(*(column == sa.bindparam(f"of_{column.name}") for column in key))
            .values(email=sa.bindparam("address_there")),
            [
                {
                    "of_merchant_id": row.merchant_id,
                    "of_channel_id": row.channel_id,
                    "of_order_id": row.order_id,
                    "address_there": json.loads(row.document).get("email", "").strip().casefold(),
                }
                for row in rows
            ],
        )


def upgrade() -> None:
    op.create_table(
        "refused_sales",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("sale_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("refuse_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "sale_id", name=op.f("pk_refused_sales")),
    )
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
            "ix_orders_begins",
            ["merchant_id", "order_id", "create_time", "channel_id"],
            unique=False,
            postgresql_ops={"order_id": "text_pattern_ops"},
        )
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_create_time"))
        for names in (
            ("create_time", "channel_id", "order_id"),
            ("channel_id", "create_time", "order_id"),
            ("payment_status", "create_time"),
        ):
            batch_op.create_index(
                batch_op.f(f"ix_orders_merchant_id_{'_'.join(names)}"),
                ["merchant_id", *names],
                unique=False,
            )
        waiting, going = sa.text("waiting_reason <> ''"), sa.text("state < 6")
        batch_op.create_index(
            "ix_orders_waiting",
            ["merchant_id", "create_time"],
            unique=False,
            sqlite_where=waiting,
            postgresql_where=waiting,
        )
        batch_op.create_index(
            "ix_orders_going",
            ["merchant_id", "state", "create_time"],
            unique=False,
            sqlite_where=going,
            postgresql_where=going,
        )
        batch_op.create_index(
            batch_op.f("ix_orders_merchant_id_waiting_reason_waiting_key"),
            ["merchant_id", "waiting_reason", "waiting_key"],
            unique=False,
        )
        batch_op.create_index(
            "ix_orders_held",
            ["merchant_id", "channel_id"],
            unique=False,
            sqlite_where=sa.text("state = 5"),
            postgresql_where=sa.text("state = 5"),
        )

    _fill_orders(op.get_bind())

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
        unposted = sa.text("origin = 2 AND posted_revision < revision")
        batch_op.create_index(
            "ix_sales_unposted",
            ["merchant_id", "channel_id", "sale_time"],
            unique=False,
            sqlite_where=unposted,
            postgresql_where=unposted,
        )
        troubled = sa.text("post_error <> '' OR stock_error <> '' OR difference <> 'null'")
        batch_op.create_index(
            "ix_sales_troubled",
            ["merchant_id", "sale_id"],
            unique=False,
            sqlite_where=troubled,
            postgresql_where=troubled,
        )


def downgrade() -> None:
    with op.batch_alter_table("sales", schema=None) as batch_op:
        batch_op.drop_index("ix_sales_troubled")
        batch_op.drop_index("ix_sales_unposted")
        batch_op.drop_index(batch_op.f("ix_sales_merchant_id_order_id"))
        batch_op.drop_column("difference")
        batch_op.drop_column("shipping_tax")
        batch_op.drop_column("charges")
        batch_op.drop_column("discounts")
        batch_op.drop_column("refund_id")
        batch_op.drop_column("return_for")

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index("ix_orders_held")
        batch_op.drop_index("ix_orders_going")
        batch_op.drop_index("ix_orders_waiting")
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_payment_status_create_time"))
        for names in ("channel_id_create_time_order_id", "create_time_channel_id_order_id"):
            batch_op.drop_index(batch_op.f(f"ix_orders_merchant_id_{names}"))
        batch_op.create_index(
            batch_op.f("ix_orders_merchant_id_create_time"), ["merchant_id", "create_time"]
        )
        batch_op.drop_index(batch_op.f("ix_orders_merchant_id_waiting_reason_waiting_key"))
        batch_op.drop_index("ix_orders_begins")
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
    op.drop_table("refused_sales")
