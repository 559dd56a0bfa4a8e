"""What `diag` and `bus watch` show: counts and times per sensor, and frozen snapshots of them."""

from collections import Counter, deque
from dataclasses import dataclass

from firmware_bridge.channels import ChannelState
from firmware_bridge.transaction import Cause, Outcome

_RECENT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSnapshot:
    """One channel now. `age_s`: since its last good reading, None if there was none."""

    channel: int
    state: ChannelState | None
    value: float | None
    cause: str
    age_s: float | None
    counter: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSnapshot:
    """One sensor now. `quality`: good, degraded, failing, quarantined or unknown."""

    sensor: str
    device_id: int
    profile: str
    quality: str
    channels: tuple[ChannelSnapshot, ...]
    requests: int
    answers: int
    errors: dict[str, int]
    reply_p50_ms: float | None
    reply_p99_ms: float | None
    readings: dict[str, float | None]
    settings_rewritten: int
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


class SensorStatistics:
    """Counts of one sensor; fed with every outcome."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers = 0
        self.errors: Counter[str] = Counter()
        self.readings: dict[str, float | None] = {}
        self.settings_rewritten = 0
        self._reply_s: deque[float] = deque(maxlen=_RECENT)

    def note(self, outcome: Outcome) -> None:
        self.requests += 1
        if outcome.cause is Cause.OK:
            self.answers += 1
        elif outcome.cause is Cause.EXCEPTION:
            self.errors[f"exception_{outcome.exception_code}"] += 1
        else:
            self.errors[outcome.cause] += 1
        if outcome.reply_s is not None:
            self._reply_s.append(outcome.reply_s)

    def reply_ms(self, share: float) -> float | None:
        """The reply time that `share` of the recent ones did not exceed."""
        ordered = sorted(tuple(self._reply_s))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else None
