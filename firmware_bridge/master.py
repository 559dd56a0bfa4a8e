"""The bus master without I/O: schedule, judged outcomes, channel states. The thread, the replay and the
in-memory bench all drive this same object.
"""

from collections import Counter
from collections.abc import Iterable

from firmware_bridge.blocks import Slot, signals_of, slots_of
from firmware_bridge.channels import ChannelState, ChannelWatch, Observation
from firmware_bridge.frames import Request
from firmware_bridge.lane import Lane
from firmware_bridge.schedule import Rest, Schedule, Turn
from firmware_bridge.settings import BusSettings, SensorSettings, check_sensors
from firmware_bridge.statistics import ChannelSnapshot, SensorSnapshot, SensorStatistics
from firmware_bridge.transaction import Cause, Outcome

_CYCLE_WEIGHT = 0.1
_FIRST_REWRITE_PAUSE_S = 5.0
_LONGEST_REWRITE_PAUSE_S = 3600.0
_FAULT_AFTER_ROUNDS = 4
_FAILING = 3  # failures in a row; one or two are a bad line's daily bread, and counted


class BusMaster:
    """Everything that is decided on one bus; time is an argument."""

    def __init__(self, settings: BusSettings, sensors: Iterable[SensorSettings]) -> None:
        sensors = tuple(sensors)
        check_sensors(settings, sensors)
        self.settings = settings
        self.noise_bytes = 0
        self.strangers: Counter[int] = Counter()
        self.echoes = False
        self.cycle_s: float | None = None
        self._schedule = Schedule(sensors, timing=settings.timing, poll_interval_s=settings.poll_interval_s)
        # On a slow bus with many sensors a reading may be older than that and good.
        fault_after_s = max(settings.fault_after_s, _FAULT_AFTER_ROUNDS * self._schedule.round_s)
        self._statistics = {sensor.name: SensorStatistics() for sensor in sensors}
        self._channels = {
            (sensor.name, channel): ChannelWatch(
                bus=settings.name,
                sensor=sensor.name,
                channel=channel,
                rule=sensor.occupancy,
                faults=sensor.profile.faults,
                fault_after_s=fault_after_s,
            )
            for sensor in sensors
            for channel in sensor.used_channels
        }
        self._slots: dict[Request, tuple[Slot, ...]] = {}
        self._last_cause: dict[str, str] = {}
        self._rewrites: dict[tuple[int, int], tuple[int, float]] = {}
        self._round_mark: tuple[str, float] | None = None

    def start(self, now_s: float) -> None:
        for channel in self._channels.values():
            channel.start(now_s)

    def next(self, now_s: float) -> Turn | Rest:
        return self._schedule.next(now_s)

    def ahead(self, turn: Turn, now_s: float) -> Turn | None:
        """What to ask after `turn`, whatever comes of it; None if that depends on it, or nothing is due."""
        following = self._schedule.next(now_s, in_flight=turn.lane)
        return following if isinstance(following, Turn) else None

    def settle(self, turn: Turn, outcome: Outcome, now_s: float) -> None:
        """Take the end of a turn into account for what is asked next."""
        self._schedule.settle(turn, outcome, now_s)
        self.echoes = self.echoes or outcome.echoed

    def free_s(self, request: Request) -> float:
        """From when on nothing but the answer can look like the answer to `request`, exceptions included."""
        lane = self.lane(request.device_id)
        bars = lane.barred_s.items() if lane else ()
        return max((until_s for shape, until_s in bars if shape[1] == request.function), default=0.0)

    def note_question(self, outcome: Outcome, now_s: float) -> None:
        """A technician's question went unanswered: the schedule must not be fooled by its late reply."""
        lane = self.lane(outcome.request.device_id)
        self.echoes = self.echoes or outcome.echoed
        if lane is not None and outcome.outstanding:
            self._schedule.bar(lane, outcome.request, now_s + lane.longest_s)

    def take(self, lane: Lane, outcome: Outcome, now_s: float) -> list[Observation]:
        """Count an outcome and read its values: what they say about the sensor's channels."""
        sensor = lane.sensor
        self._statistics[sensor.name].note(outcome)
        self.noise_bytes += outcome.noise_bytes
        self.strangers.update(outcome.strangers)
        if outcome.cause is not Cause.OK:
            code = f" {outcome.exception_code}" if outcome.cause is Cause.EXCEPTION else ""
            self._last_cause[sensor.name] = f"{outcome.cause}{code}"
            return []
        self._measure_cycle(sensor.name, now_s)
        return [] if outcome.request.is_write else self._read(lane, outcome, now_s)

    def age(self, now_s: float, port_error: str | None = None) -> list[Observation]:
        """Channels that were silent for too long become FAULT."""
        found = []
        for (sensor, _), channel in self._channels.items():
            cause = port_error or self._last_cause.get(sensor, "not asked yet")
            found.append(channel.age(now_s, cause))
        return [observation for observation in found if observation is not None]

    def lane(self, device_id: int) -> Lane | None:
        return next((lane for lane in self._schedule.lanes if lane.sensor.device_id == device_id), None)

    def channel_states(self, now_s: float) -> dict[tuple[str, int], tuple[ChannelState | None, float | None]]:
        """State and age of the last good reading by (sensor, channel)."""
        return {
            key: (channel.state, None if channel.last_good_s is None else now_s - channel.last_good_s)
            for key, channel in self._channels.items()
        }

    def sensor_snapshots(self, now_s: float) -> tuple[SensorSnapshot, ...]:
        return tuple(self._sensor_snapshot(lane, now_s) for lane in self._schedule.lanes)

    def _read(self, lane: Lane, outcome: Outcome, now_s: float) -> list[Observation]:
        sensor, signals = lane.sensor, dict[int, dict[str, float | None]]()
        statistics, profile = self._statistics[sensor.name], sensor.profile
        for slot in self._slots_of(sensor, outcome.request):
            register, channel, raw = slot.register, slot.channel, slot.raw(outcome.values)
            found = signals_of(register, raw)
            signals.setdefault(channel, {}).update(found)
            label = register.name if len(sensor.used_channels) == 1 else f"{register.name}[{channel}]"
            statistics.readings[label] = found[register.name]
            if profile.counter is not None and register.name == profile.counter.register:
                self._channels[sensor.name, channel].count(raw, now_s)
            if profile.reapply:
                self._check_setting(lane, register.name, profile.address(register, channel), raw, now_s)
        seen = (
            self._channels[sensor.name, channel].read(values, now_s) for channel, values in signals.items()
        )
        return [observation for observation in seen if observation is not None]

    def _slots_of(self, sensor: SensorSettings, request: Request) -> tuple[Slot, ...]:
        """As blocks.slots_of, worked out once for each of the few requests that are sent for years."""
        slots = self._slots.get(request)
        if slots is None:
            slots = self._slots[request] = slots_of(sensor, request)
        return slots

    def _check_setting(self, lane: Lane, register: str, address: int, raw: int, now_s: float) -> None:
        for rule in lane.sensor.profile.reapply:
            if rule.register != register:
                continue
            wanted = lane.sensor.reapply.get(register, rule.value)
            key = (lane.sensor.device_id, address)
            if raw == wanted:
                self._rewrites.pop(key, None)
                continue
            # Some devices take a setting but never show it: they are written less and less often.
            tries, not_before_s = self._rewrites.get(key, (0, now_s))
            if now_s >= not_before_s:
                pause_s = min(_FIRST_REWRITE_PAUSE_S * 2**tries, _LONGEST_REWRITE_PAUSE_S)
                self._rewrites[key] = (tries + 1, now_s + pause_s)
                write = Request(device_id=key[0], function=6, address=address, value=wanted)
                self._schedule.write_soon(lane, write)
                self._statistics[lane.sensor.name].settings_rewritten += 1

    def _measure_cycle(self, sensor: str, now_s: float) -> None:
        # One round is over when the sensor that it was measured from answers again.
        mark = self._round_mark
        if mark is None or now_s - mark[1] > 10 * (self.cycle_s or 1.0) + 1.0:
            self._round_mark = (sensor, now_s)
        elif mark[0] == sensor:
            cycle_s = now_s - mark[1]
            self.cycle_s = (
                cycle_s if self.cycle_s is None else self.cycle_s + _CYCLE_WEIGHT * (cycle_s - self.cycle_s)
            )
            self._round_mark = (sensor, now_s)

    def _sensor_snapshot(self, lane: Lane, now_s: float) -> SensorSnapshot:
        sensor, statistics = lane.sensor, self._statistics[lane.sensor.name]
        channels = []
        for number in sensor.used_channels:
            channel = self._channels[sensor.name, number]
            channels.append(
                ChannelSnapshot(
                    channel=number,
                    state=channel.state,
                    value=channel.value,
                    cause=channel.cause,
                    age_s=None if channel.last_good_s is None else now_s - channel.last_good_s,
                    counter=channel.counter,
                )
            )
        return SensorSnapshot(
            sensor=sensor.name,
            device_id=sensor.device_id,
            profile=sensor.profile.name,
            quality=self._quality(lane, statistics),
            channels=tuple(channels),
            requests=statistics.requests,
            answers=statistics.answers,
            errors=dict(statistics.errors),
            reply_p50_ms=statistics.reply_ms(0.5),
            reply_p99_ms=statistics.reply_ms(0.99),
            readings=dict(statistics.readings),
            settings_rewritten=statistics.settings_rewritten,
            next_probe_s=max(0.0, lane.held_until_s - now_s) if lane.quarantined else None,
        )

    @staticmethod
    def _quality(lane: Lane, statistics: SensorStatistics) -> str:
        if lane.quarantined:
            return "quarantined"
        if lane.failures >= _FAILING:
            return "failing"
        if lane.degraded:
            return "degraded"
        return "good" if statistics.answers else "unknown"
