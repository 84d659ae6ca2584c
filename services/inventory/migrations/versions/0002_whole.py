"""Buffers, edits in stores, transfers, incidents, expiry, silence, and what outlets tell."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0002_whole"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "buffers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "outlet_id", "item_id", name=op.f("pk_buffers")
        ),
    )
    op.create_table(
        "incidents",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("incident_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("outlet_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("end_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "incident_id", name=op.f("pk_incidents")),
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_incidents_merchant_id_create_time_incident_id"),
            ["merchant_id", "create_time", "incident_id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_incidents_open",
            ["merchant_id", "item_id", "outlet_id"],
            unique=True,
            sqlite_where=sa.text("state = 1"),
            postgresql_where=sa.text("state = 1"),
        )

    op.create_table(
        "stock_edits",
        sa.Column("edit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("own_quantity", sa.BigInteger(), nullable=False),
        sa.Column("store_quantity", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("record_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("edit_id", name=op.f("pk_stock_edits")),
    )
    with op.batch_alter_table("stock_edits", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_stock_edits_merchant_id_channel_id_edit_id"),
            ["merchant_id", "channel_id", "edit_id"],
            unique=False,
        )

    op.create_table(
        "transfer_lines",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "transfer_id", "item_id", name=op.f("pk_transfer_lines")
        ),
    )
    op.create_table(
        "transfers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("from_outlet_id", sa.String(), nullable=False),
        sa.Column("to_outlet_id", sa.String(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "transfer_id", name=op.f("pk_transfers")),
    )
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_transfers_merchant_id_create_time_transfer_id"),
            ["merchant_id", "create_time", "transfer_id"],
            unique=False,
        )

    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("update_inventory", sa.Boolean(), server_default=sa.true(), nullable=False)
        )
        batch_op.add_column(
            sa.Column(
                "accept_store_stock_edits",
                sa.Boolean(),
                server_default=sa.false(),
                nullable=False,
            )
        )
        batch_op.add_column(
            sa.Column("silent_after_s", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("silent_quantity", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("draining_outlet_ids", sa.String(), server_default="[]", nullable=False)
        )
        batch_op.add_column(
            sa.Column("silent_outlet_ids", sa.String(), server_default="[]", nullable=False)
        )

    op.create_index(
        "ix_holds_held_outlet",
        "holds",
        ["merchant_id", "outlet_id"],
        unique=False,
        sqlite_where=sa.text("held"),
        postgresql_where=sa.text("held"),
    )
    with op.batch_alter_table("levels", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("in_transit", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.add_column(sa.Column("count_time", UtcTime(), nullable=True))

    with op.batch_alter_table("movements", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reason", sa.Integer(), server_default="0", nullable=False))
        batch_op.create_index(
            batch_op.f("ix_movements_merchant_id_item_id_outlet_id_record_time"),
            ["merchant_id", "item_id", "outlet_id", "record_time"],
            unique=False,
        )

    with op.batch_alter_table("outlets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cause", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("sync_time", UtcTime(), nullable=True))
        batch_op.add_column(sa.Column("heard_time", UtcTime(), nullable=True))
    op.execute(
        "UPDATE outlets SET heard_time = (SELECT MAX(observe_time) FROM levels"
        " WHERE levels.merchant_id = outlets.merchant_id"
        " AND levels.outlet_id = outlets.outlet_id)"
    )

    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("expire_time", UtcTime(), nullable=True))
        batch_op.add_column(
            sa.Column("explanation", sa.String(), server_default="", nullable=False)
        )
        batch_op.create_index(
            "ix_reservations_expire_time",
            ["expire_time"],
            unique=False,
            sqlite_where=sa.text("expire_time IS NOT NULL"),
            postgresql_where=sa.text("expire_time IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_reservations_expire_time",
            sqlite_where=sa.text("expire_time IS NOT NULL"),
            postgresql_where=sa.text("expire_time IS NOT NULL"),
        )
        batch_op.drop_column("explanation")
        batch_op.drop_column("expire_time")

    with op.batch_alter_table("outlets", schema=None) as batch_op:
        batch_op.drop_column("heard_time")
        batch_op.drop_column("sync_time")
        batch_op.drop_column("cause")

    with op.batch_alter_table("movements", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_movements_merchant_id_item_id_outlet_id_record_time"))
        batch_op.drop_column("reason")

    with op.batch_alter_table("levels", schema=None) as batch_op:
        batch_op.drop_column("count_time")
        batch_op.drop_column("in_transit")

    op.drop_index("ix_holds_held_outlet", "holds")

    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.drop_column("silent_outlet_ids")
        batch_op.drop_column("draining_outlet_ids")
        batch_op.drop_column("silent_quantity")
        batch_op.drop_column("silent_after_s")
        batch_op.drop_column("accept_store_stock_edits")
        batch_op.drop_column("update_inventory")

    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_transfers_merchant_id_create_time_transfer_id"))

    op.drop_table("transfers")
    op.drop_table("transfer_lines")
    with op.batch_alter_table("stock_edits", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stock_edits_merchant_id_channel_id_edit_id"))

    op.drop_table("stock_edits")
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_incidents_open",
            sqlite_where=sa.text("state = 1"),
            postgresql_where=sa.text("state = 1"),
        )
        batch_op.drop_index(batch_op.f("ix_incidents_merchant_id_create_time_incident_id"))

    op.drop_table("incidents")
    op.drop_table("buffers")
