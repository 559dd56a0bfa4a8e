"""What Prometheus reads: counters of all workers of this host, and gauges of what the database holds.

With several workers each writes its counters into files in PROMETHEUS_MULTIPROC_DIR, which `serve` makes,
and whichever worker is asked adds them up. What waits in the database is the same for all hosts.
"""

import os
from collections.abc import Iterable

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from cloud_endpoint.base.order_states import OPEN
from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import (
    CAPTURE_ASKED,
    WEBHOOK_WAITING,
    devices,
    orders,
    reviews,
    wanted_pictures,
)
from cloud_endpoint.street.outages import SILENT_MS

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
REQUEST_S = Histogram(
    "edged_cloud_request_seconds",
    "Time to answer a request, by route",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
ANSWERS = Counter("edged_cloud_answers", "Answers by route and status", ["method", "route", "status"])


class _Waiting(Collector):
    """Gauges of what is open in the database, counted at each scrape."""

    def __init__(self, connection: Connection, now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        o, d = orders.c, devices.c
        by_state = GaugeMetricFamily("edged_cloud_open_orders", "Open orders by state", labels=["state"])
        states = select(o.state, func.count()).where(o.state.in_(OPEN)).group_by(o.state)
        counted: dict[str, int] = {state: count for state, count in self._connection.execute(states)}
        for state in OPEN:
            by_state.add_metric([state], counted.get(state, 0))
        yield by_state
        poles = GaugeMetricFamily(
            "edged_cloud_poles", "Enrolled poles by whether they speak", labels=["heard"]
        )
        heard = select(func.count()).where(d.last_sync_ms > self._now_ms - SILENT_MS)
        online = self._connection.execute(heard).scalar_one()
        poles.add_metric(["yes"], online)
        poles.add_metric(["no"], self._one(select(func.count()).select_from(devices)) - online)
        yield poles
        for name, what, query in (
            (
                "reviews",
                "Reviews that wait for an operator",
                select(func.count()).where(reviews.c.decision.is_(None)),
            ),
            (
                "captures",
                "Pictures asked for and not here",
                select(func.count()).where(CAPTURE_ASKED),
            ),
            (
                "webhooks",
                "Webhooks not delivered yet",
                select(func.count()).where(WEBHOOK_WAITING),
            ),
            (
                "pictures",
                "Evidence pictures still at the poles",
                select(func.count()).select_from(wanted_pictures),
            ),
        ):
            yield GaugeMetricFamily(f"edged_cloud_waiting_{name}", what, value=self._one(query))
        oldest = self._connection.execute(
            select(func.min(reviews.c.opened_ms)).where(reviews.c.decision.is_(None))
        ).scalar()
        age_s = max(0, self._now_ms - oldest) / 1000 if oldest is not None else 0
        yield GaugeMetricFamily(
            "edged_cloud_oldest_review_seconds", "Age of the oldest open review", value=age_s
        )

    def _one(self, query: object) -> int:
        return int(self._connection.execute(query).scalar_one())  # type: ignore[call-overload]


def text(work: Work) -> bytes:
    """Return all metrics in Prometheus' text format."""
    counted: CollectorRegistry = REGISTRY
    if os.environ.get(FOLDER_VARIABLE):
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    waiting = CollectorRegistry()
    waiting.register(_Waiting(work.connection, work.now_ms))
    return generate_latest(counted) + generate_latest(waiting)
