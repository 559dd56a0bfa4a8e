"""What one sensor channel is: occupied, vacant or faulty, from readings and counters.

Pure: time is an argument.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.profile_rules import Compare, FaultRule, OccupancyRule, OnInvalid
from firmware_bridge.registers import Signal

# More arrivals than this between two looks is a counter that was reset or exchanged, not traffic.
_MOST_ARRIVALS_PER_S = 1.0
_ALWAYS_PLAUSIBLE = 10
# A device counts a vehicle and shows its level at moments of its own: so long one may be behind the other.
_COUNT_AND_LEVEL_APART_S = 0.5
_YOUNG_S = 2.0
PORT_CAUSE = "port: "
"""How the cause of a channel's fault begins where its bus has no port."""


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
        counter_range: int = 1 << 32,
    ) -> None:
        self.state: ChannelState | None = None
        self.value: float | None = None
        self.cause = ""
        self.counter: int | None = None
        self.last_good_s: float | None = None
        self._bus, self._sensor, self._channel = bus, sensor, channel
        self._rule = rule
        self._faults = faults
        self.fault_after_s = fault_after_s
        self._counter_range = counter_range
        self._started_s: float | None = None
        self._level: bool | None = None
        self._left_s = self._changed_s = float("-inf")
        self._candidate: bool | None = None
        self._confirmed = 0
        self._active: set[str] = set()  # causes that the device reports
        self._unseen = 0
        self._unseen_since_s: float | None = None
        self._levels_since = 0
        self._blind_s = 0.0
        self._counted_at_s = 0.0

    def start(self, now_s: float) -> None:
        """The bus begins to listen: from here on silence counts."""
        self._started_s = now_s

    def read(self, signals: Mapping[str, Signal], now_s: float) -> Observation | None:
        """Take one reply's signals; an observation if the state changed or a swap came to light."""
        self._note_device_faults(signals)
        level = signals.get(self._rule.signal)
        if level is not None:
            self.value = level.value
            self._take_level(level, now_s)
        for cause in self._causes():
            if cause in self._active:
                return self._become(ChannelState.FAULT, cause, now_s)
        if level is None:
            return None  # a counter or a diagnostic says nothing of the level
        if self._is_invalid(level) and self._rule.on_invalid is OnInvalid.FAULT:
            return self._become(ChannelState.FAULT, "invalid reading", now_s)
        fresh = self.last_good_s is not None and now_s - self.last_good_s <= self.fault_after_s
        if self._level is None or not fresh:
            return None
        state = ChannelState.OCCUPIED if self._level else ChannelState.VACANT
        return self._become(state, "level", now_s) or self._report_unseen(now_s)

    def count(self, counter: int, now_s: float) -> None:
        """Take the arrival counter. What the level did not show is reported with a later level."""
        if self.counter is not None:
            delta = (counter - self.counter) % self._counter_range
            most = _ALWAYS_PLAUSIBLE + _MOST_ARRIVALS_PER_S * (now_s - self._counted_at_s)
            self._unseen = 0 if delta > most else self._unseen + delta
        # A seen car that the counter does not show yet may be shown a moment later.
        may_follow = self._level or now_s - self._left_s <= _COUNT_AND_LEVEL_APART_S
        self._unseen = max(self._unseen, -1 if may_follow else 0)
        if self._unseen <= 0:
            self._blind_s = 0.0  # no vehicle came in the time without a reading
            self._unseen_since_s = None
        elif self._unseen_since_s is None:
            # A car may have arrived between the last level and this count: the next levels show it.
            self._unseen_since_s, self._levels_since = now_s, 0
        self.counter, self._counted_at_s = counter, now_s

    def age(self, now_s: float, cause: str) -> Observation | None:
        """FAULT once nothing good was read for too long."""
        since_s = self.last_good_s if self.last_good_s is not None else self._started_s
        if since_s is None or now_s - since_s <= self.fault_after_s or self.state is ChannelState.FAULT:
            return None
        return self._become(ChannelState.FAULT, cause, now_s)

    def distrust(self, cause: str, now_s: float) -> Observation | None:
        """FAULT at once if the state is so young that a reply that came too late may have made it."""
        if now_s - self._changed_s > _YOUNG_S or self.state is ChannelState.FAULT:
            return None
        return self._become(ChannelState.FAULT, cause, now_s)

    def _causes(self) -> Iterator[str]:
        """Every fault that the device can report, the one to name first first."""
        yield from (fault.cause for fault in self._faults)
        yield from (f"state {number}" for number in self._rule.fault)

    def _note_device_faults(self, signals: Mapping[str, Signal]) -> None:
        for fault in self._faults:
            if fault.signal in signals:
                is_active = signals[fault.signal].raw & fault.mask == fault.equals
                (self._active.add if is_active else self._active.discard)(fault.cause)
        if self._rule.fault and self._rule.signal in signals:
            for number in self._rule.fault:
                is_active = signals[self._rule.signal].raw == number
                (self._active.add if is_active else self._active.discard)(f"state {number}")

    def _take_level(self, level: Signal, now_s: float) -> None:
        wanted = self._wanted_level(level)
        if not self._is_invalid(level) or self._rule.on_invalid is not OnInvalid.HOLD:
            since_s = self._unseen_since_s
            # A gap that began after the count says nothing of how the vehicle came.
            if self.last_good_s is not None and (since_s is None or self.last_good_s < since_s):
                self._blind_s = max(self._blind_s, now_s - self.last_good_s)
            self.last_good_s = now_s
        self._levels_since += 1
        if wanted is None or wanted == self._level:
            self._candidate, self._confirmed = None, 0
            return
        self._confirmed = self._confirmed + 1 if wanted == self._candidate else 1
        self._candidate = wanted
        if self._confirmed >= self._rule.confirm_readings:
            if wanted and self._level is False and self.counter is not None:
                self._unseen -= 1  # seen; the counter will show it too
            if not wanted:
                self._left_s = now_s
            self._level, self._candidate, self._confirmed, self._changed_s = wanted, None, 0, now_s

    def _is_invalid(self, level: Signal) -> bool:
        rule = self._rule
        is_listed = rule.compare is not Compare.STATES or level.raw in (
            *rule.occupied,
            *rule.vacant,
            *rule.fault,
        )
        return level.value is None or not is_listed

    def _wanted_level(self, level: Signal) -> bool | None:
        rule, value = self._rule, level.value
        if value is None or self._is_invalid(level):
            return False if rule.on_invalid is OnInvalid.VACANT else None
        if rule.compare is Compare.BIT:
            return level.raw == rule.occupied_at
        if rule.compare is Compare.STATES:
            return None if level.raw in rule.fault else level.raw in rule.occupied
        if rule.occupied_at is None or rule.vacant_at is None:
            return None
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
        since_s = self._unseen_since_s
        if since_s is None or self.state is None:
            return None
        if self._unseen <= 0:
            self._unseen_since_s = None
            return None
        is_judged = self._candidate is None and self._levels_since >= self._rule.confirm_readings
        if not is_judged or now_s - since_s < _COUNT_AND_LEVEL_APART_S:
            return None
        return self._observe(self.state, "counter", now_s)

    def _become(self, state: ChannelState, cause: str, now_s: float) -> Observation | None:
        if state is self.state and (state is not ChannelState.FAULT or cause == self.cause):
            return None
        return self._observe(state, cause, now_s)

    def _observe(self, state: ChannelState, cause: str, now_s: float) -> Observation:
        previous, self.state, self.cause = self.state, state, cause
        delta = None if self.counter is None else max(0, self._unseen)
        if state is ChannelState.FAULT and delta:
            delta = 0  # nothing can be concluded now; it is reported with the next level
        elif delta:
            self._unseen, self._unseen_since_s = 0, None
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
