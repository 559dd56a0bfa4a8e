"""Who takes part: small tables, one row per site, pole, code or credential."""

from sqlalchemy import JSON, Boolean, Column, String, Table

from cloud_endpoint.database.tables._base import Ms, metadata

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
