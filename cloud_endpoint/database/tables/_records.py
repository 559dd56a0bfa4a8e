"""What people decided, and the chained record of it."""

from sqlalchemy import JSON, BigInteger, Column, Index, PrimaryKeyConstraint, String, Table, text

from cloud_endpoint.database.tables._base import Ms, by_site, metadata

# Read, ordered and operator's plate stay in three columns; none is ever written into another.
reviews = by_site(
    "reviews",
    Column("review_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # check | appeal
    Column("order_id", String(64), nullable=False),
    Column("berth_id", String(64)),
    Column("visit_id", String(64)),
    Column("reason", String(500), nullable=False),
    Column("opened_ms", Ms, nullable=False),
    Column("read_plate", String(8)),
    Column("ordered_plate", String(8)),
    Column("operator_plate", String(8)),
    Column("evidence_sha256", String(64)),
    Column("decision", String(16)),  # approve | refuse; by the service: matched | withdrawn | left | expired
    Column("decision_reason", String(500)),
    Column("decided_by", String(64)),
    Column("decided_ms", Ms),
    PrimaryKeyConstraint("site_id", "review_id"),
    Index(
        "reviews_open",
        "site_id",
        "opened_ms",
        sqlite_where=text("decision IS NULL"),
        postgresql_where=text("decision IS NULL"),
    ),
    Index("reviews_order", "site_id", "order_id"),
)

audit = by_site(
    "audit",
    Column("number", BigInteger, nullable=False),
    Column("at_ms", Ms, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("previous_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    PrimaryKeyConstraint("site_id", "number"),
)

# The end of each site's chain, and where it begins since the last retention run.
audit_heads = Table(
    "audit_heads",
    metadata,
    Column("site_id", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("first_number", BigInteger, nullable=False),
    Column("first_previous_sha256", String(64), nullable=False),
)
