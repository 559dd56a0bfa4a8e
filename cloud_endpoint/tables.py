"""The tables, for SQLite and PostgreSQL alike.

Times are integer milliseconds of UTC. Every key of a table that grows with the city begins with
`site_id`, and on PostgreSQL those tables are hash-partitioned by it.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData()
PARTITIONS = 8  # created by the migrations; see docs/scaling.md

Ms = BigInteger


def _by_site(name: str, *columns: SchemaItem) -> Table:
    site = Column("site_id", String(32), nullable=False)
    return Table(name, metadata, site, *columns, postgresql_partition_by="HASH (site_id)")


# -- small tables: one row per site, pole, code or credential -----------------------------------------

sites = Table(
    "sites",
    metadata,
    Column("site_id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("time_zone", String(64), nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", String(64), primary_key=True),
    Column("site_id", String(32), nullable=False, index=True),
    Column("token_sha256", String(64), nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("snapshot_url", String(500)),
    Column("snapshot_token", String(200)),
    Column("enrolled_ms", Ms, nullable=False),
    Column("last_sync_ms", Ms),
    Column("clock_offset_ms", Ms),
    Column("clock_synced", Boolean),
    Column("software_version", String(64)),
    Column("health", String(16)),
    Column("problems", JSON),
)

enrolment_codes = Table(
    "enrolment_codes",
    metadata,
    Column("code_sha256", String(64), primary_key=True),
    Column("site_id", String(32), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("expires_ms", Ms, nullable=False),
    Column("used_ms", Ms),
)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", String(64), primary_key=True),
    Column("site_id", String(32), nullable=False),
    Column("role", String(16), nullable=False),  # terminal | operator
    Column("token_sha256", String(64), nullable=False),
    Column("webhook_url", String(500)),
    Column("signing_secret", String(64), nullable=False),
    Column("created_ms", Ms, nullable=False),
    Column("revoked_ms", Ms),
)

# -- berths and what stands in them ------------------------------------------------------------------

berths = _by_site(
    "berths",
    Column("berth_id", String(64), nullable=False),  # stays when the number or the pole changes
    Column("berth_no", String(32), nullable=False),
    Column("device_id", String(64)),
    Column("zone_id", String(64)),
    Column("pole_code", String(64)),
    Column("lat", Float),
    Column("lon", Float),
    Column("kerb_order", Integer, nullable=False, server_default="0"),
    Column("in_service", Boolean, nullable=False),
    Column("state", String(16), nullable=False, server_default="unknown"),
    Column("state_ms", Ms),
    Column("created_ms", Ms, nullable=False, server_default="0"),
    Column("changed_ms", Ms, nullable=False, server_default="0"),  # number, place, pole or service
    PrimaryKeyConstraint("site_id", "berth_id"),
    UniqueConstraint("site_id", "berth_no", name="berths_number"),
    Index("berths_pole", "site_id", "pole_code"),
    Index("berths_zone", "site_id", "zone_id", "kerb_order"),
    Index("berths_position", "site_id", "lat", "lon"),
    Index("berths_device", "site_id", "device_id"),
)

# Which berth a pole meant by a number, and from when: late events find the berth of their time.
berth_assignments = _by_site(
    "berth_assignments",
    Column("device_id", String(64), nullable=False),
    Column("berth_no", String(32), nullable=False),
    Column("from_ms", Ms, nullable=False),
    Column("berth_id", String(64), nullable=False),
    PrimaryKeyConstraint("site_id", "device_id", "berth_no", "from_ms"),
)

events = _by_site(
    "events",
    Column("device_id", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("observed_ms", Ms, nullable=False),
    Column("received_ms", Ms, nullable=False),
    Column("visit_id", String(64)),
    PrimaryKeyConstraint("site_id", "device_id", "event_id"),
    # Events arrive nearly in order of time: a BRIN costs an insert nothing, unlike a tree.
    Index("events_observed", "observed_ms", postgresql_using="brin"),
)

# When a pole, or the sensor of one of its berths, was not heard of; those under way are not here yet.
outages = _by_site(
    "outages",
    Column("device_id", String(64), nullable=False),
    Column("berth_id", String(64), nullable=False),  # empty: the pole itself
    Column("lost_ms", Ms, nullable=False),
    Column("restored_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "device_id", "berth_id", "lost_ms"),
    Index("outages_restored", "site_id", "restored_ms"),
)

visits = _by_site(
    "visits",
    Column("visit_id", String(64), nullable=False),
    Column("berth_id", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("seen_ms", Ms, nullable=False),  # drive-in, or the first that was heard of it
    Column("started_ms", Ms),
    Column("start_cause", String(16)),
    Column("ended_ms", Ms),
    Column("end_cause", String(16)),
    Column("plate", String(8)),
    Column("plate_kind", String(24)),
    Column("characters", JSON),
    Column("accepted", Boolean, nullable=False, server_default=text("false")),
    Column("captured_ms", Ms),
    Column("evidence_sha256", String(64)),
    PrimaryKeyConstraint("site_id", "visit_id"),
    # The current visit of a berth is the latest one, if it has not ended.
    Index("visits_berth", "site_id", "berth_id", "seen_ms"),
    Index("visits_seen", "site_id", "seen_ms"),
)

readings = _by_site(
    "readings",
    Column("visit_id", String(64), nullable=False),
    Column("reading_id", String(64), nullable=False),  # event id, or request id of a pulled snapshot
    Column("source", String(16), nullable=False),  # event | snapshot
    Column("plate", String(8)),
    Column("plate_kind", String(24)),
    Column("characters", JSON),
    Column("accepted", Boolean, nullable=False),
    Column("captured_ms", Ms),
    Column("received_ms", Ms, nullable=False),
    Column("evidence_sha256", String(64)),
    Column("model_version", String(64)),
    PrimaryKeyConstraint("site_id", "visit_id", "reading_id"),
)

captures = _by_site(
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
wanted_pictures = _by_site(
    "wanted_pictures",
    Column("sha256", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("due_ms", Ms, nullable=False),
    Column("attempts", Integer, nullable=False),
    PrimaryKeyConstraint("site_id", "sha256"),
    Index("wanted_pictures_due", "due_ms"),
)

evidence = _by_site(
    "evidence",
    Column("sha256", String(64), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("received_ms", Ms, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("site_id", "sha256"),
)

# -- orders --------------------------------------------------------------------------------------------

orders = _by_site(
    "orders",
    Column("order_id", String(64), nullable=False),
    Column("credential_id", String(64), nullable=False),
    Column("account_id", String(64), nullable=False),
    Column("client_id", String(64)),
    Column("place", JSON, nullable=False),
    Column("state", String(24), nullable=False),
    Column("reason", String(64)),
    Column("created_ms", Ms, nullable=False),
    Column("expires_ms", Ms, nullable=False),
    Column("changes", Integer, nullable=False),  # numbers the order's events
    Column("offers", Integer, nullable=False),
    Column("submissions", Integer, nullable=False),
    Column("modifications", Integer, nullable=False),
    Column("captures", Integer, nullable=False),  # answered for the latest submission
    Column("berth_id", String(64)),
    Column("visit_id", String(64)),
    Column("plate", String(8)),
    Column("minutes", Integer),
    Column("submitted_ms", Ms),
    Column("hold_until_ms", Ms),
    Column("due_ms", Ms, nullable=False),  # when the clockwork looks at it next
    PrimaryKeyConstraint("site_id", "order_id"),
    Index(
        "orders_berth",
        "site_id",
        "berth_id",
        sqlite_where=text("state IN ('pending', 'review', 'confirmed')"),
        postgresql_where=text("state IN ('pending', 'review', 'confirmed')"),
    ),
    Index(
        "orders_due",
        "due_ms",
        sqlite_where=text("state NOT IN ('paid', 'expired', 'cancelled')"),
        postgresql_where=text("state NOT IN ('paid', 'expired', 'cancelled')"),
    ),
    Index("orders_created", "site_id", "created_ms"),
)

order_candidates = _by_site(
    "order_candidates",
    Column("order_id", String(64), nullable=False),
    Column("token_sha256", String(64), nullable=False),
    Column("berth_id", String(64), nullable=False),
    Column("expires_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "order_id", "token_sha256"),
)

order_events = _by_site(
    "order_events",
    Column("order_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ms", Ms, nullable=False),
    Column("event", String(24), nullable=False),
    Column("state", String(24), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("detail", JSON),
    PrimaryKeyConstraint("site_id", "order_id", "number"),
)

# One row per held berth: who inserts it holds the berth, nobody else.
holds = _by_site(
    "holds",
    Column("berth_id", String(64), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("visit_id", String(64), nullable=False),
    Column("until_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "berth_id"),
)

counters = _by_site(
    "counters",
    Column("scope", String(16), nullable=False),  # account | client | zone
    Column("name", String(64), nullable=False),
    Column("window_ms", Ms, nullable=False),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint("site_id", "scope", "name", "window_ms"),
)

idempotency = _by_site(
    "idempotency",
    Column("credential_id", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("request_sha256", String(64), nullable=False),
    Column("answer", JSON),
    Column("created_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "credential_id", "key"),
)

payments = _by_site(
    "payments",
    Column("payment_id", String(64), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("paid_ms", Ms, nullable=False),
    Column("received_ms", Ms, nullable=False),
    Column("outcome", String(16), nullable=False),  # applied | refund_due
    PrimaryKeyConstraint("site_id", "payment_id"),
)

webhooks = _by_site(
    "webhooks",
    Column("webhook_id", String(64), nullable=False),
    Column("credential_id", String(64), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_ms", Ms, nullable=False),
    Column("due_ms", Ms, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # waiting | delivered | given_up
    PrimaryKeyConstraint("site_id", "webhook_id"),
    Index(
        "webhooks_due",
        "due_ms",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)

# Read, ordered and operator's plate stay in three columns; none is ever written into another.
reviews = _by_site(
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
    Column("decision", String(16)),  # approve | refuse
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

audit = _by_site(
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

# The conditions of the partial indices, with their values written out: a prepared statement is planned
# without its parameters, and the index would not be known to apply.
_PAID, _EXPIRED, _CANCELLED, _PENDING, _REVIEW, _CONFIRMED, _ASKED, _WAITING = (
    literal_column(f"'{state}'", String)
    for state in ("paid", "expired", "cancelled", "pending", "review", "confirmed", "asked", "waiting")
)
ORDER_OPEN = orders.c.state.not_in([_PAID, _EXPIRED, _CANCELLED])
ORDER_WATCHED = orders.c.state.in_([_PENDING, _REVIEW, _CONFIRMED])
CAPTURE_ASKED = captures.c.state == _ASKED
WEBHOOK_WAITING = webhooks.c.state == _WAITING
