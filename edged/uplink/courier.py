"""Carries a batch to a verdict for each event: no event that the cloud cannot take blocks the others."""

from collections.abc import Callable, Sequence

import structlog
from prometheus_client import Counter

from edged.domain.delivery import PendingEvent
from edged.uplink.errors import CloudRefusedError
from edged.wire import EventVerdict, SyncAnswer, Verdict

EVENTS = Counter("edged_events", "Verdicts of the cloud about events", ["verdict"])

# An event that alone makes the cloud refuse a batch is set aside. When this many go one after the other
# and none is accepted in between, it is rather the cloud that is wrong: they are kept.
SET_ASIDE_IN_A_ROW = 3

log = structlog.get_logger(__name__)


class Courier:
    """`exchange` does one request and raises CloudError; `apply_verdicts` makes verdicts durable."""

    def __init__(
        self,
        exchange: Callable[[Sequence[PendingEvent]], SyncAnswer],
        apply_verdicts: Callable[[Sequence[EventVerdict]], None],
    ) -> None:
        self._exchange = exchange
        self._apply_verdicts = apply_verdicts
        self._set_aside_in_a_row = 0

    def limit(self, batch_size: int) -> int:
        """Return how many events to bring: one at a time while the cloud refuses them one after another."""
        return 1 if self._set_aside_in_a_row >= SET_ASIDE_IN_A_ROW else batch_size

    def deliver(self, events: Sequence[PendingEvent]) -> bool:
        """Send `events` (none: a heartbeat); tell whether the cloud asked to keep some. Raises CloudError."""
        try:
            answer = self._exchange(events)
        except CloudRefusedError as refusal:
            if not events:
                raise
            # Is it the events? The same request without them tells, and raises if it is not.
            self._exchange(())
            return self._halve(events, refusal)
        return self._act_on(events, answer)

    def _halve(self, events: Sequence[PendingEvent], refusal: CloudRefusedError) -> bool:
        """Send a refused batch in halves until the culprit is alone."""
        if len(events) == 1:
            return self._alone(events[0], refusal)
        middle = len(events) // 2
        kept = False
        for half in (events[:middle], events[middle:]):
            try:
                kept |= self._act_on(half, self._exchange(half))
            except CloudRefusedError as error:
                kept |= self._halve(half, error)
        return kept

    def _alone(self, event: PendingEvent, refusal: CloudRefusedError) -> bool:
        self._set_aside_in_a_row += 1
        keep = self._set_aside_in_a_row > SET_ASIDE_IN_A_ROW
        verdict = Verdict.KEEP if keep else Verdict.REJECTED
        log.warning("event refused", event_id=event.event_id, verdict=verdict, reason=refusal.trouble.what)
        self._apply_verdicts(
            [EventVerdict(event_id=event.event_id, verdict=verdict, reason=refusal.trouble.what)]
        )
        EVENTS.labels(verdict.value).inc()
        return keep

    def _act_on(self, events: Sequence[PendingEvent], answer: SyncAnswer) -> bool:
        """Act on the verdicts about `events`; an event without one is kept, a stranger's is ignored."""
        said: dict[str, EventVerdict] = {}
        for verdict in answer.verdicts:
            said.setdefault(verdict.event_id, verdict)
        verdicts = [
            said.get(event.event_id, EventVerdict(event_id=event.event_id, verdict=Verdict.KEEP))
            for event in events
        ]
        self._apply_verdicts(verdicts)
        for verdict in verdicts:
            EVENTS.labels(verdict.verdict.value).inc()
            if verdict.verdict is Verdict.REJECTED:
                log.warning("event rejected", event_id=verdict.event_id, reason=verdict.reason)
        if any(verdict.verdict is Verdict.ACCEPTED for verdict in verdicts):
            self._set_aside_in_a_row = 0
        return any(verdict.verdict is Verdict.KEEP for verdict in verdicts)
