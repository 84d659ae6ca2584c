"""Products, listings, and the tables that every service has.

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
        "channels",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "channel_id", name=op.f("pk_channels")),
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
        "listings",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("sell_online", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.Column("push_time", UtcTime(), nullable=True),
        sa.Column("pushed_version", sa.BigInteger(), nullable=False),
        sa.Column("push_error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "channel_id", "product_id", name=op.f("pk_listings")
        ),
    )
    op.create_index(
        op.f("ix_listings_merchant_id_product_id"), "listings", ["merchant_id", "product_id"]
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
        "products",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("brand", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("attribute_names", sa.String(), nullable=False),
        sa.Column("images", sa.String(), nullable=False),
        sa.Column("handle", sa.String(), nullable=False),
        sa.Column("tags", sa.String(), nullable=False),
        sa.Column("supplier", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "product_id", name=op.f("pk_products")),
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
    op.create_index(op.f("ix_requests_record_time"), "requests", ["record_time"])

    op.create_table(
        "variants",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("upc", sa.String(), nullable=False),
        sa.Column("attribute_values", sa.String(), nullable=False),
        sa.Column("retail_price_currency_code", sa.String(), nullable=True),
        sa.Column("retail_price_amount_nanos", sa.BigInteger(), nullable=True),
        sa.Column("weight_value", sa.String(), nullable=True),
        sa.Column("weight_unit", sa.String(), nullable=True),
        sa.Column("dimensions_length", sa.String(), nullable=True),
        sa.Column("dimensions_width", sa.String(), nullable=True),
        sa.Column("dimensions_height", sa.String(), nullable=True),
        sa.Column("dimensions_unit", sa.String(), nullable=True),
        sa.Column("track_inventory", sa.Boolean(), nullable=False),
        sa.Column("supply_price_currency_code", sa.String(), nullable=True),
        sa.Column("supply_price_amount_nanos", sa.BigInteger(), nullable=True),
        sa.Column("supplier_code", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "item_id", name=op.f("pk_variants")),
    )
    op.create_index(
        op.f("ix_variants_merchant_id_product_id_position"),
        "variants",
        ["merchant_id", "product_id", "position"],
    )
    op.create_index(op.f("ix_variants_merchant_id_sku"), "variants", ["merchant_id", "sku"])


def downgrade() -> None:
    op.drop_index(op.f("ix_variants_merchant_id_sku"), "variants")
    op.drop_index(op.f("ix_variants_merchant_id_product_id_position"), "variants")
    op.drop_table("variants")
    op.drop_index(op.f("ix_requests_record_time"), "requests")
    op.drop_table("requests")
    op.drop_table("products")
    op.drop_index(op.f("ix_outbox_channel_id_cursor"), "outbox")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_listings_merchant_id_product_id"), "listings")
    op.drop_table("listings")
    op.drop_table("consumers")
    op.drop_table("channels")
