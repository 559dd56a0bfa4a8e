"""What Prometheus is told of the store: asked of it when somebody looks, not counted beside it."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from edged.box.clock import Clock
from edged.store import Archive, StoreError


class StoreMetrics(Collector):
    """The outbox's length and age, and what retention has dropped since the box was set up."""

    def __init__(self, archive: Archive, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        """Name nothing in advance: the store need not be readable yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield all gauges; none while the store cannot be read, for a zero would be a lie."""
        try:
            counts = self._archive.counts()
        except StoreError:
            return
        age_s = 0.0
        if counts.oldest is not None:
            age_s = max(0.0, (self._clock.now().utc - counts.oldest.utc).total_seconds())
        for name, what, value in (
            ("edged_outbox_waiting", "Events that wait for the cloud", counts.waiting),
            ("edged_outbox_oldest_seconds", "How long the first of them has waited", age_s),
            ("edged_outbox_rejected", "Events that the cloud refused", counts.rejected),
            ("edged_outbox_uploads", "Pictures that wait to be uploaded", counts.uploads),
        ):
            yield GaugeMetricFamily(name, what, value=value)
        dropped = CounterMetricFamily(
            "edged_retention_dropped", "What retention dropped since the box was set up", labels=["cause"]
        )
        for cause, count in counts.dropped.items():
            dropped.add_metric([cause], count)
        yield dropped
