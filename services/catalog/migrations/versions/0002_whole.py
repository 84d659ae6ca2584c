"""Listings with fields of the store, drift, held reports, imports, provenance."""

import sqlalchemy as sa
from alembic import op

from services.chassis.plumbing import UtcTime

revision = "0002_whole"
down_revision = "0001_spine"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breakers",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("window_time", UtcTime(), nullable=False),
        sa.Column("deactivated_count", sa.Integer(), nullable=False),
        sa.Column("previous_count", sa.Integer(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "cause", name=op.f("pk_breakers")),
    )
    op.create_table(
        "drift",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("own_value", sa.String(), nullable=False),
        sa.Column("store_value", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=False),
        sa.Column("last_observe_time", UtcTime(), nullable=False),
        sa.Column("heal_time", UtcTime(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id",
            "channel_id",
            "product_id",
            "item_id",
            "field",
            "kind",
            name=op.f("pk_drift"),
        ),
    )
    with op.batch_alter_table("drift", schema=None) as batch_op:
        batch_op.create_index(
            "ix_drift_open",
            ["merchant_id", "channel_id", "product_id"],
            unique=False,
            sqlite_where=sa.text("state = 'OPEN'"),
            postgresql_where=sa.text("state = 'OPEN'"),
        )

    op.create_table(
        "held_reports",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("observe_time", UtcTime(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("record_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "product_id", name=op.f("pk_held_reports")),
    )
    with op.batch_alter_table("held_reports", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_held_reports_merchant_id_reason_key"),
            ["merchant_id", "reason", "key"],
            unique=False,
        )

    op.create_table(
        "import_changes",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("import_id", sa.String(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("before_version", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id", "import_id", "product_id", name=op.f("pk_import_changes")
        ),
    )
    with op.batch_alter_table("import_changes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_import_changes_merchant_id_import_id_row"),
            ["merchant_id", "import_id", "row"],
            unique=False,
        )

    op.create_table(
        "import_rows",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("import_id", sa.String(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "import_id", "row", name=op.f("pk_import_rows")),
    )
    op.create_table(
        "imports",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("import_id", sa.String(), nullable=False),
        sa.Column("source_name", sa.String(), nullable=False),
        sa.Column("source_digest", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("next_row", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("created_count", sa.BigInteger(), nullable=False),
        sa.Column("updated_count", sa.BigInteger(), nullable=False),
        sa.Column("unchanged_count", sa.BigInteger(), nullable=False),
        sa.Column("refused_count", sa.BigInteger(), nullable=False),
        sa.Column("deactivated_count", sa.BigInteger(), nullable=False),
        sa.Column("breaker_share_percent", sa.Integer(), nullable=False),
        sa.Column("breaker_items_min", sa.Integer(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("held_count", sa.BigInteger(), nullable=False),
        sa.Column("undone_count", sa.BigInteger(), nullable=False),
        sa.Column("kept_count", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.Column("end_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "import_id", name=op.f("pk_imports")),
    )
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_imports_merchant_id_source_digest"),
            ["merchant_id", "source_digest"],
            unique=False,
        )

    with op.batch_alter_table("listings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("compare_to_price_currency_code", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column("compare_to_price_amount_nanos", sa.BigInteger(), nullable=True)
        )
        batch_op.add_column(sa.Column("subtitle", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("low_stock_threshold", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("unpushed_fields", sa.String(), server_default="[]", nullable=False)
        )
        batch_op.add_column(
            sa.Column("store_image_urls", sa.String(), server_default="[]", nullable=False)
        )
        batch_op.add_column(
            sa.Column("images_version", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("provenance", sa.String(), server_default="[]", nullable=False)
        )
        batch_op.add_column(
            sa.Column("switch_version", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.create_index(
            "ix_listings_push_error",
            ["merchant_id", "channel_id", "product_id"],
            unique=False,
            sqlite_where=sa.text("push_error <> ''"),
            postgresql_where=sa.text("push_error <> ''"),
        )
        batch_op.create_index(
            "ix_listings_sell_online",
            ["merchant_id", "channel_id", "product_id"],
            unique=False,
            sqlite_where=sa.text("sell_online"),
            postgresql_where=sa.text("sell_online"),
        )
    op.execute(
        "UPDATE listings SET switch_version = (SELECT products.version FROM products"
        " WHERE products.merchant_id = listings.merchant_id"
        " AND products.product_id = listings.product_id) WHERE sell_online"
    )

    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("provenance", sa.String(), server_default="[]", nullable=False)
        )
        batch_op.create_index(
            batch_op.f("ix_products_merchant_id_brand_product_id"),
            ["merchant_id", "brand", "product_id"],
            unique=False,
            sqlite_where=sa.text("brand <> ''"),
            postgresql_where=sa.text("brand <> ''"),
        )
        batch_op.create_index(
            batch_op.f("ix_products_merchant_id_category_product_id"),
            ["merchant_id", "category", "product_id"],
            unique=False,
            sqlite_where=sa.text("category <> ''"),
            postgresql_where=sa.text("category <> ''"),
        )


def downgrade() -> None:
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_index(
            batch_op.f("ix_products_merchant_id_category_product_id"),
            sqlite_where=sa.text("category <> ''"),
            postgresql_where=sa.text("category <> ''"),
        )
        batch_op.drop_index(
            batch_op.f("ix_products_merchant_id_brand_product_id"),
            sqlite_where=sa.text("brand <> ''"),
            postgresql_where=sa.text("brand <> ''"),
        )
        batch_op.drop_column("provenance")

    with op.batch_alter_table("listings", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_listings_sell_online",
            sqlite_where=sa.text("sell_online"),
            postgresql_where=sa.text("sell_online"),
        )
        batch_op.drop_index(
            "ix_listings_push_error",
            sqlite_where=sa.text("push_error <> ''"),
            postgresql_where=sa.text("push_error <> ''"),
        )
        batch_op.drop_column("switch_version")
        batch_op.drop_column("provenance")
        batch_op.drop_column("images_version")
        batch_op.drop_column("store_image_urls")
        batch_op.drop_column("unpushed_fields")
        batch_op.drop_column("low_stock_threshold")
        batch_op.drop_column("subtitle")
        batch_op.drop_column("compare_to_price_amount_nanos")
        batch_op.drop_column("compare_to_price_currency_code")

    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_imports_merchant_id_source_digest"))

    op.drop_table("imports")
    op.drop_table("import_rows")
    with op.batch_alter_table("import_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_import_changes_merchant_id_import_id_row"))

    op.drop_table("import_changes")
    with op.batch_alter_table("held_reports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_held_reports_merchant_id_reason_key"))

    op.drop_table("held_reports")
    with op.batch_alter_table("drift", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_drift_open",
            sqlite_where=sa.text("state = 'OPEN'"),
            postgresql_where=sa.text("state = 'OPEN'"),
        )

    op.drop_table("drift")
    op.drop_table("breakers")
