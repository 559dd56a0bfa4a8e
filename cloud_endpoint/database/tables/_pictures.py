"""Pictures that poles are asked for, and evidence that they have sent."""

from sqlalchemy import Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, String, literal_column, text

from cloud_endpoint.database.tables._base import Ms, by_site

captures = by_site(
    "captures",
    Column("request_id", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("berth_id", String(64), nullable=False),
    Column("berth_no", String(32), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("submission", Integer, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # asked | answered | failed
    Column("created_ms", Ms, nullable=False),
    Column("expires_ms", Ms, nullable=False),
    Column("due_ms", Ms, nullable=False),  # when the pull is tried next; far future once carried by sync
    Column("attempts", Integer, nullable=False),
    Column("error", String(300)),
    PrimaryKeyConstraint("site_id", "request_id"),
    Index(
        "captures_due",
        "due_ms",
        sqlite_where=text("state = 'asked'"),
        postgresql_where=text("state = 'asked'"),
    ),
    Index(
        "captures_device",
        "site_id",
        "device_id",
        sqlite_where=text("state = 'asked'"),
        postgresql_where=text("state = 'asked'"),
    ),
    Index("captures_order", "site_id", "order_id"),
)

# Pictures that a review needs and that are still at the pole.
wanted_pictures = by_site(
    "wanted_pictures",
    Column("sha256", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("due_ms", Ms, nullable=False),
    Column("attempts", Integer, nullable=False),
    PrimaryKeyConstraint("site_id", "sha256"),
    Index("wanted_pictures_due", "due_ms"),
)

evidence = by_site(
    "evidence",
    Column("sha256", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("received_ms", Ms, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("site_id", "sha256"),
)

# The value is written out: a prepared statement is planned without its parameters, and the index would
# not be known to apply.
CAPTURE_ASKED = captures.c.state == literal_column("'asked'", String)
