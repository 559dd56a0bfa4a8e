"""Pre-payment orders, and what hangs on them."""

from collections.abc import Iterable

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnClause,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    literal_column,
    text,
)

from cloud_endpoint.base.order_states import CLOSED, WATCHED
from cloud_endpoint.database.tables._base import Ms, by_site


def _listed(states: Iterable[str]) -> str:
    return ", ".join(f"'{state}'" for state in states)


orders = by_site(
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
        sqlite_where=text(f"state IN ({_listed(WATCHED)})"),
        postgresql_where=text(f"state IN ({_listed(WATCHED)})"),
    ),
    Index(
        "orders_due",
        "due_ms",
        sqlite_where=text(f"state NOT IN ({_listed(CLOSED)})"),
        postgresql_where=text(f"state NOT IN ({_listed(CLOSED)})"),
    ),
    Index("orders_created", "site_id", "created_ms"),
)

order_candidates = by_site(
    "order_candidates",
    Column("order_id", String(64), nullable=False),
    Column("token_sha256", String(64), nullable=False),
    Column("berth_id", String(64), nullable=False),
    Column("expires_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "order_id", "token_sha256"),
)

order_events = by_site(
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

# One row per held berth: the order that inserts it holds the berth.
holds = by_site(
    "holds",
    Column("berth_id", String(64), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("visit_id", String(64), nullable=False),
    Column("until_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "berth_id"),
)

counters = by_site(
    "counters",
    Column(
        "scope", String(16), nullable=False
    ),  # account | client | zone | address | appeals:account | appeals:address
    Column("name", String(64), nullable=False),
    Column("window_ms", Ms, nullable=False),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint("site_id", "scope", "name", "window_ms"),
)

idempotency = by_site(
    "idempotency",
    Column("credential_id", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("request_sha256", String(64), nullable=False),
    Column("answer", JSON),
    Column("created_ms", Ms, nullable=False),
    PrimaryKeyConstraint("site_id", "credential_id", "key"),
)

payments = by_site(
    "payments",
    Column("payment_id", String(64), nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("paid_ms", Ms, nullable=False),
    Column("received_ms", Ms, nullable=False),
    Column("outcome", String(16), nullable=False),  # applied | refund_due
    Column("minutes", Integer),  # as reported, 0 without; NULL: reported before 2026-12
    Column("reason", String(32)),  # why a refund is due
    PrimaryKeyConstraint("site_id", "payment_id"),
)

webhooks = by_site(
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
    # The next of each receiver, however many wait for one that does not answer.
    Index(
        "webhooks_receiver",
        "site_id",
        "credential_id",
        "attempts",
        "due_ms",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)


def _literal(state: str) -> ColumnClause[str]:
    """Return a value of a partial index's condition, written out.

    A prepared statement is planned without its parameters, and the index would not be known to apply.
    """
    return literal_column(f"'{state}'", String)


ORDER_OPEN = orders.c.state.not_in([_literal(state) for state in CLOSED])
ORDER_WATCHED = orders.c.state.in_([_literal(state) for state in WATCHED])
WEBHOOK_WAITING = webhooks.c.state == _literal("waiting")
