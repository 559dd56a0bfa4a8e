"""The tables, for SQLite and PostgreSQL alike.

Times are integer milliseconds of UTC. Every key of a table that grows with the city begins with
`site_id`, and on PostgreSQL those tables are hash-partitioned by it.
"""

from cloud_endpoint.database.tables._base import PARTITIONS, metadata
from cloud_endpoint.database.tables._members import credentials, devices, enrolment_codes, sites
from cloud_endpoint.database.tables._orders import (
    ORDER_OPEN,
    ORDER_WATCHED,
    WEBHOOK_WAITING,
    counters,
    holds,
    idempotency,
    order_candidates,
    order_events,
    orders,
    payments,
    webhooks,
)
from cloud_endpoint.database.tables._pictures import CAPTURE_ASKED, captures, evidence, wanted_pictures
from cloud_endpoint.database.tables._records import audit, audit_heads, reviews
from cloud_endpoint.database.tables._street import (
    berth_assignments,
    berths,
    events,
    outages,
    readings,
    visits,
)

__all__ = [
    "CAPTURE_ASKED",
    "ORDER_OPEN",
    "ORDER_WATCHED",
    "PARTITIONS",
    "WEBHOOK_WAITING",
    "audit",
    "audit_heads",
    "berth_assignments",
    "berths",
    "captures",
    "counters",
    "credentials",
    "devices",
    "enrolment_codes",
    "events",
    "evidence",
    "holds",
    "idempotency",
    "metadata",
    "order_candidates",
    "order_events",
    "orders",
    "outages",
    "payments",
    "readings",
    "reviews",
    "sites",
    "visits",
    "wanted_pictures",
    "webhooks",
]
