"""What `diag` and `bus watch` show: counts and times per sensor, and frozen snapshots of them."""

from collections import Counter, deque
from dataclasses import dataclass

from firmware_bridge.channels import ChannelState
from firmware_bridge.transaction import Cause, Outcome

_REMEMBERED_TIMES = 256
_BUCKET_S = 30.0
_BUCKETS = 10
RECENT_S = _BUCKET_S * _BUCKETS  # what happened before says nothing of how a sensor is doing now


@dataclass(frozen=True, slots=True, kw_only=True)
class BusTrouble:
    """One thing that is wrong on a bus, its likely cause and the next action. `sensors`: whom it concerns."""

    cause: str
    remedy: str
    sensors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSnapshot:
    """One channel now. `age_s`: since its last good reading, None if there was none.

    `reads`: what is read for it: function, wire address, bit.
    """

    channel: int
    state: ChannelState | None
    value: float | None
    cause: str
    age_s: float | None
    counter: int | None
    reads: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSnapshot:
    """One sensor now. `quality`: good, degraded, failing, quarantined or unknown.

    `requests`, `answers` and `errors` count from the start; `recent_...` the last five minutes.
    """

    sensor: str
    device_id: int
    profile: str
    quality: str
    channels: tuple[ChannelSnapshot, ...]
    requests: int
    answers: int
    errors: dict[str, int]
    recent_requests: int
    recent_answers: int
    recent_errors: dict[str, int]
    reply_p50_ms: float | None
    reply_p99_ms: float | None
    readings: dict[str, float | None]
    settings_rewritten: int
    settings_unconfirmed: tuple[str, ...]
    next_probe_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSnapshot:
    """One bus now. `port_error` and its remedy say why there is no port; None while there is one."""

    bus: str
    port: str
    port_error: str | None
    port_remedy: str | None
    port_losses: int
    cycle_s: float | None
    noise_bytes: int
    strangers: dict[int, int]
    echoes: bool
    sensors: tuple[SensorSnapshot, ...]
    troubles: tuple[BusTrouble, ...]


class Recent:
    """Counts by key over the last five minutes, in buckets of half a minute."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, Counter[str]]] = deque(maxlen=_BUCKETS)

    def add(self, key: str, now_s: float, count: int = 1) -> None:
        if not self._buckets or now_s - self._buckets[-1][0] >= _BUCKET_S:
            self._buckets.append((now_s, Counter()))
        self._buckets[-1][1][key] += count

    def counts(self, now_s: float) -> Counter[str]:
        """The counts by key; from any thread."""
        total = Counter[str]()
        for begun_s, counts in tuple(self._buckets):
            if now_s - begun_s < RECENT_S:
                total.update(dict(counts))  # a copy: the bus's thread goes on counting
        return total


class UnitStatistics:
    """Counts of one unit; fed with every outcome."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers = 0
        self.errors: Counter[str] = Counter()
        self._recent = Recent()
        self._reply_s: deque[float] = deque(maxlen=_REMEMBERED_TIMES)

    def note(self, outcome: Outcome, now_s: float) -> None:
        self.requests += 1
        if outcome.cause is Cause.OK:
            self.answers += 1
        else:
            self.errors[_key(outcome)] += 1
        self._recent.add(_key(outcome), now_s)
        if outcome.reply_s is not None:
            self._reply_s.append(outcome.reply_s)

    def recent(self, now_s: float) -> tuple[int, int, dict[str, int]]:
        """Requests, answers and errors by cause of the last five minutes."""
        counts = self._recent.counts(now_s)
        requests, answers = counts.total(), counts.pop(Cause.OK, 0)
        return requests, answers, dict(counts)

    def reply_ms(self, share: float) -> float | None:
        """The reply time that `share` of the recent ones did not exceed."""
        ordered = sorted(tuple(self._reply_s))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else None


def _key(outcome: Outcome) -> str:
    is_exception = outcome.cause is Cause.EXCEPTION
    return f"exception_{outcome.exception_code}" if is_exception else str(outcome.cause)
