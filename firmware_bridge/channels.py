"""What one sensor channel is: occupied, vacant or faulty, from readings and counters.

Pure: time is an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.profiles import Compare, FaultRule, OccupancyRule, OnInvalid

_COUNTER_RANGE = 1 << 32
# More arrivals than this between two looks is a counter that was reset or exchanged, not traffic.
_MOST_ARRIVALS_PER_S = 1.0
_ALWAYS_PLAUSIBLE = 10


class ChannelState(StrEnum):
    OCCUPIED = "occupied"
    VACANT = "vacant"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a channel became, at the moment the reply that shows it was whole.

    `previous` is None on first knowledge (a restart: the car may have been there for hours). `cause` says
    why a channel is FAULT, else what showed the change. `counter_delta`: arrivals that the sensor counted
    since the last observation and that its level did not show; None where there is no counter. `blind_s`: the
    longest time without a good reading while they were counted; it tells a swapped car from a detector
    that lost and regained one. `counter` is the raw count.
    """

    bus: str
    sensor: str
    channel: int
    state: ChannelState
    previous: ChannelState | None
    at_monotonic_s: float
    cause: str
    value: float | None = None
    counter_delta: int | None = None
    blind_s: float = 0.0
    counter: int | None = None


class ChannelWatch:
    """Hysteresis, confirmation, faults and counting of one channel."""

    def __init__(
        self,
        *,
        bus: str,
        sensor: str,
        channel: int,
        rule: OccupancyRule,
        faults: tuple[FaultRule, ...],
        fault_after_s: float,
    ) -> None:
        self.state: ChannelState | None = None
        self.value: float | None = None
        self.cause = ""
        self.counter: int | None = None
        self.last_good_s: float | None = None
        self._bus, self._sensor, self._channel = bus, sensor, channel
        self._rule = rule
        self._faults = faults
        self._fault_after_s = fault_after_s
        self._started_s: float | None = None
        self._level: bool | None = None
        self._candidate: bool | None = None
        self._confirmed = 0
        self._device_fault = ""
        self._unseen = 0
        self._blind_s = 0.0
        self._counted_at_s = 0.0
        self._look_at_level = False

    def start(self, now_s: float) -> None:
        """The bus begins to listen: from here on silence counts."""
        self._started_s = now_s

    def read(self, signals: Mapping[str, float | None], now_s: float) -> Observation | None:
        """Take one reply's signals; an observation if the state changed or a swap came to light."""
        self._note_device_fault(signals)
        if self._rule.signal in signals:
            self.value = signals[self._rule.signal]
            self._take_level(self.value, now_s)
        if self._device_fault:
            return self._become(ChannelState.FAULT, self._device_fault, now_s)
        if self._rule.signal in signals and self.value is None and self._rule.on_invalid is OnInvalid.FAULT:
            return self._become(ChannelState.FAULT, "invalid reading", now_s)
        fresh = self.last_good_s is not None and now_s - self.last_good_s <= self._fault_after_s
        if self._level is None or not fresh:
            return None
        state = ChannelState.OCCUPIED if self._level else ChannelState.VACANT
        return self._become(state, "level", now_s) or self._report_unseen(now_s)

    def count(self, counter: int, now_s: float) -> None:
        """Take the arrival counter. What the level did not show is reported with the next reading."""
        if self.counter is not None:
            delta = (counter - self.counter) % _COUNTER_RANGE
            most = _ALWAYS_PLAUSIBLE + _MOST_ARRIVALS_PER_S * (now_s - self._counted_at_s)
            self._unseen = 0 if delta > most else self._unseen + delta
        # A seen car that the counter does not show yet may be shown a moment later, while it stands there.
        self._unseen = max(self._unseen, -1 if self._level else 0)
        if self._unseen <= 0:
            self._blind_s = 0.0  # whatever was not looked at, nobody came
        self.counter, self._counted_at_s = counter, now_s
        # A car may have arrived between the last level and this count: the next level tells.
        self._look_at_level = True

    def age(self, now_s: float, cause: str) -> Observation | None:
        """FAULT once nothing good was read for too long."""
        since_s = self.last_good_s if self.last_good_s is not None else self._started_s
        if since_s is None or now_s - since_s <= self._fault_after_s or self.state is ChannelState.FAULT:
            return None
        return self._become(ChannelState.FAULT, cause, now_s)

    def _note_device_fault(self, signals: Mapping[str, float | None]) -> None:
        for fault in self._faults:
            if fault.signal in signals:
                raw = int(signals[fault.signal] or 0)
                if raw & fault.mask == fault.equals:
                    self._device_fault = fault.cause
                    return
                if self._device_fault == fault.cause:
                    self._device_fault = ""

    def _take_level(self, value: float | None, now_s: float) -> None:
        wanted = self._wanted_level(value)
        if value is not None or self._rule.on_invalid is not OnInvalid.HOLD:
            if self.last_good_s is not None:
                self._blind_s = max(self._blind_s, now_s - self.last_good_s)
            self.last_good_s = now_s
        if wanted is None or wanted == self._level:
            self._candidate, self._confirmed = None, 0
            return
        self._confirmed = self._confirmed + 1 if wanted == self._candidate else 1
        self._candidate = wanted
        if self._confirmed >= self._rule.confirm_readings:
            if wanted and self._level is False and self.counter is not None:
                self._unseen -= 1  # seen; the counter will show it too
            self._level, self._candidate, self._confirmed = wanted, None, 0

    def _wanted_level(self, value: float | None) -> bool | None:
        rule = self._rule
        if value is None:
            return False if rule.on_invalid is OnInvalid.VACANT else None
        if rule.compare is Compare.BIT:
            return value >= 1
        if rule.compare is Compare.BELOW:
            occupied, vacant = value <= rule.occupied_at, value >= rule.vacant_at
        else:
            occupied, vacant = value >= rule.occupied_at, value <= rule.vacant_at
        if occupied or vacant:
            return occupied
        # Between the thresholds a known channel stays what it is; an unknown one goes to the nearer side.
        if self._level is not None:
            return self._level
        return abs(value - rule.occupied_at) < abs(value - rule.vacant_at)

    def _report_unseen(self, now_s: float) -> Observation | None:
        if not self._look_at_level or self.state is None:
            return None
        self._look_at_level = False
        if self._unseen <= 0:
            return None
        return self._observe(self.state, "counter", now_s)

    def _become(self, state: ChannelState, cause: str, now_s: float) -> Observation | None:
        if state is self.state and (state is not ChannelState.FAULT or cause == self.cause):
            return None
        return self._observe(state, cause, now_s)

    def _observe(self, state: ChannelState, cause: str, now_s: float) -> Observation:
        previous, self.state, self.cause = self.state, state, cause
        delta = None if self.counter is None else max(0, self._unseen)
        if delta:
            self._unseen = 0
        return Observation(
            bus=self._bus,
            sensor=self._sensor,
            channel=self._channel,
            state=state,
            previous=previous,
            at_monotonic_s=now_s,
            cause=cause,
            value=self.value,
            counter_delta=delta,
            blind_s=self._blind_s,
            counter=self.counter,
        )
