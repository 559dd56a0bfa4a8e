"""Berths, the visits to them, and the events that poles report."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    text,
)

from cloud_endpoint.database.tables._base import Ms, by_site

berths = by_site(
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
berth_assignments = by_site(
    "berth_assignments",
    Column("device_id", String(64), nullable=False),
    Column("berth_no", String(32), nullable=False),
    Column("from_ms", Ms, nullable=False),
    Column("berth_id", String(64), nullable=False),
    PrimaryKeyConstraint("site_id", "device_id", "berth_no", "from_ms"),
)

events = by_site(
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
outages = by_site(
    "outages",
    Column("device_id", String(64), nullable=False),
    Column("berth_id", String(64), nullable=False),  # empty: the pole itself
    Column("lost_ms", Ms, nullable=False),
    Column("restored_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "device_id", "berth_id", "lost_ms"),
    Index("outages_restored", "site_id", "restored_ms"),
)

visits = by_site(
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
    Column("read_ms", Ms),  # when the reading was decided: of two by one picture the later counts
    Column("evidence_sha256", String(64)),
    Column("time_unsure", Boolean, nullable=False, server_default=text("false")),  # no clock proves its times
    PrimaryKeyConstraint("site_id", "visit_id"),
    # The current visit of a berth is the latest one, if it has not ended.
    Index("visits_berth", "site_id", "berth_id", "seen_ms"),
    Index("visits_seen", "site_id", "seen_ms"),
    # One plate in two berths is looked for at each match.
    Index(
        "visits_open_plate",
        "site_id",
        "plate",
        sqlite_where=text("ended_ms IS NULL"),
        postgresql_where=text("ended_ms IS NULL"),
    ),
)

readings = by_site(
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
