"""The spine"""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channels",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("profile", sa.Integer(), nullable=False),
        sa.Column("outlets", sa.Integer(), nullable=False),
        sa.Column("allocation", sa.Integer(), nullable=False),
        sa.Column("posting", sa.Integer(), nullable=False),
        sa.Column("fulfillment", sa.Integer(), nullable=False),
        sa.Column("out_of_stock_label", sa.String(), nullable=False),
        sa.Column("external_pos", sa.Boolean(), nullable=False),
        sa.Column("register_id", sa.String(), nullable=False),
        sa.Column("register_outlet_id", sa.String(), nullable=False),
        sa.Column("primary_outlet_id", sa.String(), nullable=False),
        sa.Column("connected_outlet_ids", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel_id", name=op.f("pk_channels")),
    )
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_channels_channel_id"), ["channel_id"], unique=True)

    op.create_table(
        "connections",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("webhook_secret", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel_id", "side", name=op.f("pk_connections")),
    )
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_connections_channel_id"), ["channel_id"], unique=False)

    op.create_table(
        "consumers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("consumer", sa.String(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "consumer", name=op.f("pk_consumers")),
    )
    op.create_table(
        "holds",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("line_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("pos_version", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "merchant_id", "reservation_id", "line_id", "outlet_id", name=op.f("pk_holds")
        ),
    )
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_holds_merchant_id_item_id_held"),
            ["merchant_id", "item_id", "held"],
            unique=False,
        )

    op.create_table(
        "items",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("tracked", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "item_id", name=op.f("pk_items")),
    )
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_items_merchant_id_product_id"),
            ["merchant_id", "product_id"],
            unique=False,
        )

    op.create_table(
        "leases",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("lease", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("expire_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel_id", "lease", name=op.f("pk_leases")),
    )
    op.create_table(
        "levels",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "item_id", "outlet_id", name=op.f("pk_levels")),
    )
    with op.batch_alter_table("levels", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_levels_merchant_id_outlet_id_item_id"),
            ["merchant_id", "outlet_id", "item_id"],
            unique=False,
        )

    op.create_table(
        "movements",
        sa.Column(
            "movement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=False),
        sa.Column("record_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_movements")),
    )
    with op.batch_alter_table("movements", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_movements_merchant_id_item_id_movement_id"),
            ["merchant_id", "item_id", "movement_id"],
            unique=False,
        )

    op.create_table(
        "online_stock",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "item_id", name=op.f("pk_online_stock")
        ),
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
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_outbox_channel_id_cursor"), ["channel_id", "cursor"], unique=False
        )

    op.create_table(
        "outlets",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "outlet_id", name=op.f("pk_outlets")),
    )
    op.create_table(
        "poll_cursors",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "resource", name=op.f("pk_poll_cursors")
        ),
    )
    op.create_table(
        "registers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("register_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "register_id", name=op.f("pk_registers")),
    )
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
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_requests_record_time"), ["record_time"], unique=False)

    op.create_table(
        "reservations",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "reservation_id", name=op.f("pk_reservations")),
    )


def downgrade() -> None:
    op.drop_table("reservations")
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_requests_record_time"))

    op.drop_table("requests")
    op.drop_table("registers")
    op.drop_table("poll_cursors")
    op.drop_table("outlets")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_channel_id_cursor"))

    op.drop_table("outbox")
    op.drop_table("online_stock")
    with op.batch_alter_table("movements", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_movements_merchant_id_item_id_movement_id"))

    op.drop_table("movements")
    with op.batch_alter_table("levels", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_levels_merchant_id_outlet_id_item_id"))

    op.drop_table("levels")
    op.drop_table("leases")
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_items_merchant_id_product_id"))

    op.drop_table("items")
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_holds_merchant_id_item_id_held"))

    op.drop_table("holds")
    op.drop_table("consumers")
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connections_channel_id"))

    op.drop_table("connections")
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_channels_channel_id"))

    op.drop_table("channels")
