"""The first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


PARTITIONS = 8
BY_SITE = (
    "audit",
    "berth_assignments",
    "berths",
    "captures",
    "counters",
    "events",
    "evidence",
    "holds",
    "idempotency",
    "order_candidates",
    "order_events",
    "orders",
    "payments",
    "readings",
    "reviews",
    "visits",
    "wanted_pictures",
    "webhooks",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_sha256", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "number"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "audit_heads",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("first_number", sa.BigInteger(), nullable=False),
        sa.Column("first_previous_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("site_id"),
    )
    op.create_table(
        "berth_assignments",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("berth_no", sa.String(length=32), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "device_id", "berth_no", "from_ms"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "berths",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.Column("berth_no", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=True),
        sa.Column("zone_id", sa.String(length=64), nullable=True),
        sa.Column("pole_code", sa.String(length=64), nullable=True),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("kerb_order", sa.Integer(), server_default="0", nullable=False),
        sa.Column("in_service", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), server_default="unknown", nullable=False),
        sa.Column("state_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "berth_id"),
        sa.UniqueConstraint("site_id", "berth_no", name="berths_number"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("berths", schema=None) as batch_op:
        batch_op.create_index("berths_device", ["site_id", "device_id"], unique=False)
        batch_op.create_index("berths_pole", ["site_id", "pole_code"], unique=False)
        batch_op.create_index("berths_position", ["site_id", "lat", "lon"], unique=False)
        batch_op.create_index("berths_zone", ["site_id", "zone_id", "kerb_order"], unique=False)

    op.create_table(
        "captures",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.Column("berth_no", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("submission", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "request_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("captures", schema=None) as batch_op:
        batch_op.create_index(
            "captures_device",
            ["site_id", "device_id"],
            unique=False,
            sqlite_where=sa.text("state = 'asked'"),
            postgresql_where=sa.text("state = 'asked'"),
        )
        batch_op.create_index(
            "captures_due",
            ["due_ms"],
            unique=False,
            sqlite_where=sa.text("state = 'asked'"),
            postgresql_where=sa.text("state = 'asked'"),
        )
        batch_op.create_index("captures_order", ["site_id", "order_id"], unique=False)

    op.create_table(
        "counters",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("window_ms", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "scope", "name", "window_ms"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "credentials",
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("webhook_url", sa.String(length=500), nullable=True),
        sa.Column("signing_secret", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("credential_id"),
    )
    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("snapshot_url", sa.String(length=500), nullable=True),
        sa.Column("snapshot_token", sa.String(length=200), nullable=True),
        sa.Column("enrolled_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_sync_ms", sa.BigInteger(), nullable=True),
        sa.Column("clock_offset_ms", sa.BigInteger(), nullable=True),
        sa.Column("clock_synced", sa.Boolean(), nullable=True),
        sa.Column("software_version", sa.String(length=64), nullable=True),
        sa.Column("health", sa.String(length=16), nullable=True),
        sa.Column("problems", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("device_id"),
    )
    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_devices_site_id"), ["site_id"], unique=False)

    op.create_table(
        "enrolment_codes",
        sa.Column("code_sha256", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code_sha256"),
    )
    op.create_table(
        "events",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("observed_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("visit_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "device_id", "event_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "evidence",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "sha256"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "holds",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("visit_id", sa.String(length=64), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "berth_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "idempotency",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "credential_id", "key"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "order_candidates",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "order_id", "token_sha256"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "order_events",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "order_id", "number"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "orders",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=True),
        sa.Column("place", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("submissions", sa.Integer(), nullable=False),
        sa.Column("modifications", sa.Integer(), nullable=False),
        sa.Column("captures", sa.Integer(), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=True),
        sa.Column("visit_id", sa.String(length=64), nullable=True),
        sa.Column("plate", sa.String(length=8), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("submitted_ms", sa.BigInteger(), nullable=True),
        sa.Column("hold_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "order_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(
            "orders_berth",
            ["site_id", "berth_id"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'confirmed')"),
            postgresql_where=sa.text("state IN ('pending', 'confirmed')"),
        )
        batch_op.create_index("orders_created", ["site_id", "created_ms"], unique=False)
        batch_op.create_index(
            "orders_due",
            ["due_ms"],
            unique=False,
            sqlite_where=sa.text("state NOT IN ('paid', 'expired', 'cancelled', 'review')"),
            postgresql_where=sa.text("state NOT IN ('paid', 'expired', 'cancelled', 'review')"),
        )

    op.create_table(
        "payments",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("payment_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "payment_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "readings",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("visit_id", sa.String(length=64), nullable=False),
        sa.Column("reading_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("plate", sa.String(length=8), nullable=True),
        sa.Column("plate_kind", sa.String(length=24), nullable=True),
        sa.Column("characters", sa.JSON(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("captured_ms", sa.BigInteger(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("evidence_sha256", sa.String(length=64), nullable=True),
        sa.Column("model_version", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "visit_id", "reading_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_table(
        "reviews",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("review_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=True),
        sa.Column("visit_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("read_plate", sa.String(length=8), nullable=True),
        sa.Column("ordered_plate", sa.String(length=8), nullable=True),
        sa.Column("operator_plate", sa.String(length=8), nullable=True),
        sa.Column("evidence_sha256", sa.String(length=64), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("decision_reason", sa.String(length=500), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "review_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index(
            "reviews_open",
            ["site_id", "opened_ms"],
            unique=False,
            sqlite_where=sa.text("decision IS NULL"),
            postgresql_where=sa.text("decision IS NULL"),
        )
        batch_op.create_index("reviews_order", ["site_id", "order_id"], unique=False)

    op.create_table(
        "sites",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("site_id"),
    )
    op.create_table(
        "visits",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("visit_id", sa.String(length=64), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("start_cause", sa.String(length=16), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("end_cause", sa.String(length=16), nullable=True),
        sa.Column("plate", sa.String(length=8), nullable=True),
        sa.Column("plate_kind", sa.String(length=24), nullable=True),
        sa.Column("characters", sa.JSON(), nullable=True),
        sa.Column("accepted", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("captured_ms", sa.BigInteger(), nullable=True),
        sa.Column("evidence_sha256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("site_id", "visit_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("visits", schema=None) as batch_op:
        batch_op.create_index("visits_berth", ["site_id", "berth_id", "seen_ms"], unique=False)
        batch_op.create_index("visits_seen", ["site_id", "seen_ms"], unique=False)

    op.create_table(
        "wanted_pictures",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "sha256"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("wanted_pictures", schema=None) as batch_op:
        batch_op.create_index("wanted_pictures_due", ["due_ms"], unique=False)

    op.create_table(
        "webhooks",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("webhook_id", sa.String(length=64), nullable=False),
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "webhook_id"),
        postgresql_partition_by="HASH (site_id)",
    )
    with op.batch_alter_table("webhooks", schema=None) as batch_op:
        batch_op.create_index(
            "webhooks_due",
            ["due_ms"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )
    if op.get_bind().dialect.name == "postgresql":
        for table in BY_SITE:
            for number in range(PARTITIONS):
                op.execute(
                    f"CREATE TABLE {table}_{number} PARTITION OF {table} "
                    f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
                )


def downgrade() -> None:
    raise NotImplementedError("the first schema has nothing before it; restore a backup instead")
