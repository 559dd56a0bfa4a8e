"""Outages, since when a berth is known, and events by time: what the curb data feed tells"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PARTITIONS = 8


def upgrade() -> None:
    op.create_table(
        "outages",
        sa.Column("site_id", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("berth_id", sa.String(length=64), nullable=False),
        sa.Column("lost_ms", sa.BigInteger(), nullable=False),
        sa.Column("restored_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "device_id", "berth_id", "lost_ms"),
        postgresql_partition_by="HASH (site_id)",
    )
    op.create_index("outages_restored", "outages", ["site_id", "restored_ms"])
    op.create_index("events_observed", "events", ["observed_ms"], postgresql_using="brin")
    for name in ("created_ms", "changed_ms"):
        op.add_column("berths", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "postgresql":
        for number in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE outages_{number} PARTITION OF outages "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
            )


def downgrade() -> None:
    op.drop_table("outages")
    op.drop_index("events_observed", "events")
    for name in ("created_ms", "changed_ms"):
        op.drop_column("berths", name)
