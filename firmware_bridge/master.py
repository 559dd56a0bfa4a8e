"""The bus master without I/O: schedule, judged outcomes, channel states. The thread, the replay and the
in-memory bench all drive this same object.
"""

from collections.abc import Iterable
from dataclasses import replace

from firmware_bridge.blocks import Slot, in_words, occupancy_parts, slots_of
from firmware_bridge.channels import ChannelState, ChannelWatch, Observation
from firmware_bridge.frames import Request, Shape
from firmware_bridge.lane import Lane
from firmware_bridge.line_record import LineRecord
from firmware_bridge.registers import Signal
from firmware_bridge.schedule import Rest, Schedule, Turn
from firmware_bridge.setting_writes import SettingWrites
from firmware_bridge.settings import BusSettings, SensorSettings
from firmware_bridge.sharing import check_sensors
from firmware_bridge.statistics import BusTrouble, ChannelSnapshot, SensorSnapshot, UnitStatistics
from firmware_bridge.transaction import Cause, Outcome
from firmware_bridge.troubles import UnitFacts, troubles_of

_CYCLE_WEIGHT = 0.1
_FAULT_AFTER_ROUNDS = 4
_FAILING = 3  # failures in a row; one or two are usual on a bad line, and counted
_TOO_LATE = "replies come later than max_reply_delay_ms allows"
_REQUEST_BYTES = 8  # of a read


class BusMaster:
    """Everything that is decided on one bus; time is an argument."""

    def __init__(self, settings: BusSettings, sensors: Iterable[SensorSettings]) -> None:
        sensors = tuple(sensor.on(settings) for sensor in sensors)
        check_sensors(settings, sensors)
        self.settings = settings
        gaps_s = (
            [sensor.line_gap_s for sensor in sensors] if settings.gap_ms is None else [settings.gap_ms / 1000]
        )
        self.timing = replace(settings.timing, silence_s=max(gaps_s, default=0.0))
        self.line = LineRecord()
        self.failures = 0
        self.cycle_s: float | None = None
        self._schedule = Schedule(sensors, timing=self.timing, poll_interval_s=settings.poll_interval_s)
        self._statistics = {lane.device_id: UnitStatistics() for lane in self._schedule.lanes}
        self._channels = {
            (sensor.name, channel): self._watch(sensor, channel)
            for sensor in sensors
            for channel in sensor.used_channels
        }
        self._reads = {
            (part.sensor.name, part.channel): in_words(part)
            for sensor in sensors
            for part in occupancy_parts(sensor)
        }
        self._readings: dict[str, dict[str, float | None]] = {sensor.name: {} for sensor in sensors}
        self._writes = SettingWrites()
        self._slots: dict[Request, tuple[Slot, ...]] = {}
        self._last_cause: dict[int, str] = {}
        self._round_mark: tuple[int, float] | None = None
        self._distrusted: list[Observation] = []

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
        self.line.note_echo(outcome, now_s)

    def free_s(self, request: Request) -> float:
        """From when on nothing but the answer can look like the answer to `request`, exceptions included."""
        lane = self.lane(request.device_id)
        bars = lane.barred_s.items() if lane else ()
        return max((until_s for shape, until_s in bars if shape[1] == request.function), default=0.0)

    def oldest_share(self, now_s: float) -> float:
        """How near the oldest reading of the answering sensors is to its fault limit: 1.0 is there."""
        ages = [
            (now_s - channel.last_good_s) / channel.fault_after_s
            for channel in self._channels.values()
            if channel.last_good_s is not None and channel.state is not ChannelState.FAULT
        ]
        return max(ages, default=0.0)

    @property
    def shortest_fault_after_s(self) -> float:
        limits = (channel.fault_after_s for channel in self._channels.values())
        return min(limits, default=self.settings.fault_after_s)

    def note_question(self, outcome: Outcome, now_s: float) -> None:
        """A technician's question ended: its late reply must not answer a request of the schedule."""
        lane = self.lane(outcome.request.device_id)
        self.line.note_echo(outcome, now_s)
        if lane is not None and outcome.outstanding:
            lane.punctuality.note_lost(outcome.request.shape, outcome.sent_at_s)
            self._schedule.bar(lane, outcome.request, now_s + lane.longest_s)

    def note_noise(self, data: bytes, now_s: float) -> None:
        """Characters came while no request was under way: noise, or a reply that is too late."""
        for shape in self.line.frames_in(data, now_s):
            self._note_unasked(shape, now_s - self.timing.wire_s(shape[2]), now_s)

    def take(self, lane: Lane, outcome: Outcome, now_s: float) -> list[Observation]:
        """Count an outcome and read its values: what they say about the channels of the unit's sensors."""
        self._statistics[lane.device_id].note(outcome, now_s)
        self.line.note_noise(outcome.noise_bytes, now_s)
        for shape in outcome.strangers:
            # In place of the answer it may be the asked unit's own, under a wrong id or with a wrong length.
            is_own = shape[0] == outcome.request.device_id
            is_alike = outcome.cause is Cause.WRONG_UNIT and shape[1:] == outcome.request.shape[1:]
            is_alike = is_alike and not self._has_lost(shape, now_s)
            is_in_place = is_own or is_alike
            self._note_unasked(shape, outcome.sent_at_s, outcome.last_heard_s, is_in_place=is_in_place)
        if outcome.cause is not Cause.OK:
            self.failures += 1
            code = f" {outcome.exception_code}" if outcome.cause is Cause.EXCEPTION else ""
            said = f"{outcome.cause}{code}"
            is_gateways = code and not outcome.heard
            self._last_cause[lane.device_id] = f"no answer (the gateway says {said})" if is_gateways else said
            return []
        self._measure_cycle(lane.device_id, now_s)
        if outcome.request.is_write or not lane.punctuality.is_trusted(now_s):
            return []
        wire_s = self.timing.wire_s(outcome.request.request_bytes + outcome.request.reply_bytes)
        turnaround_s = (outcome.reply_s or 0.0) - wire_s
        if not lane.punctuality.believes(outcome.request.shape, turnaround_s, now_s):
            lane.hurry(outcome.request)
            return []
        return self._read(lane, outcome, now_s)

    def age(self, now_s: float, port_error: str | None = None) -> list[Observation]:
        """Channels that were silent for too long become FAULT."""
        found: list[Observation | None] = [*self._distrusted]
        self._distrusted.clear()
        for lane in self._schedule.lanes:
            cause = port_error or self._cause(lane, now_s)
            for sensor in lane.sensors:
                for channel in sensor.used_channels:
                    found.append(self._channels[sensor.name, channel].age(now_s, cause))
        return [observation for observation in found if observation is not None]

    def lane(self, device_id: int) -> Lane | None:
        return next((lane for lane in self._schedule.lanes if lane.device_id == device_id), None)

    def channel_states(self, now_s: float) -> dict[tuple[str, int], tuple[ChannelState | None, float | None]]:
        """State and age of the last good reading by (sensor, channel)."""
        return {
            key: (channel.state, None if channel.last_good_s is None else now_s - channel.last_good_s)
            for key, channel in self._channels.items()
        }

    def sensor_snapshots(self, now_s: float) -> tuple[SensorSnapshot, ...]:
        return tuple(
            self._sensor_snapshot(lane, sensor, now_s)
            for lane in self._schedule.lanes
            for sensor in lane.sensors
        )

    def troubles(self, now_s: float) -> tuple[BusTrouble, ...]:
        """What is wrong, by the last minutes, and what to do about it."""
        found = troubles_of(
            [self._facts(lane, now_s) for lane in self._schedule.lanes],
            noise_bytes=self.line.recent_noise_bytes(now_s),
            echo_changes=self.line.recent_echo_changes(now_s),
            intrusion=self.line.intrusion(now_s),
        )
        return tuple(found)

    def _watch(self, sensor: SensorSettings, channel: int) -> ChannelWatch:
        # On a slow bus with many sensors a reading may be older than the limit and good.
        limit_s = self.settings.fault_after_s if sensor.fault_after_s is None else sensor.fault_after_s
        rule, counter_range = sensor.profile.counter, 1 << 32
        if rule is not None:
            counter_range = rule.wraps_at or 1 << sensor.profile.registers[rule.register_name].value_bits
        return ChannelWatch(
            bus=self.settings.name,
            sensor=sensor.name,
            channel=channel,
            rule=sensor.occupancy,
            faults=sensor.profile.faults,
            fault_after_s=max(limit_s, _FAULT_AFTER_ROUNDS * self._schedule.round_s),
            counter_range=counter_range,
        )

    def _cause(self, lane: Lane, now_s: float) -> str:
        """Why nothing good was read of a unit."""
        if not lane.punctuality.is_trusted(now_s):
            return _TOO_LATE
        return self._last_cause.get(lane.device_id, "not asked yet")

    def _note_unasked(
        self, shape: Shape, earliest_s: float, latest_s: float, *, is_in_place: bool = False
    ) -> None:
        """A whole frame that answers nothing: late, too late, or another unit's.

        It began at `earliest_s` or later, and was whole at `latest_s` or before.
        """
        self.line.strangers[shape[0]] += 1
        lane = self.lane(shape[0])
        if lane is None:
            return
        asked_s = latest_s - self.timing.wire_s(_REQUEST_BYTES + shape[2])
        if lane.awaits(shape, earliest_s):
            lane.punctuality.note_late(shape, asked_s)
        elif lane.asks(shape) and not is_in_place and not self.line.intrusion(latest_s):
            if not lane.punctuality.note_beyond(shape, asked_s):
                return
            for sensor in lane.sensors:
                for number in sensor.used_channels:
                    seen = self._channels[sensor.name, number].distrust(_TOO_LATE, latest_s)
                    self._distrusted += [] if seen is None else [seen]

    def _has_lost(self, shape: Shape, now_s: float) -> bool:
        lane = self.lane(shape[0])
        return lane is not None and lane.punctuality.has_lost(shape, now_s)

    def _read(self, lane: Lane, outcome: Outcome, now_s: float) -> list[Observation]:
        signals = dict[tuple[str, int], dict[str, Signal]]()
        for slot in self._slots_of(lane, outcome.request):
            part, raw = slot.part, slot.raw(outcome.values)
            sensor, key = part.sensor, (part.sensor.name, part.channel)
            found = part.register.signals(part.name, raw)
            signals.setdefault(key, {}).update(found)
            label = part.name if len(sensor.used_channels) == 1 else f"{part.name}[{part.channel}]"
            self._readings[sensor.name][label] = found[part.name].value
            counter = sensor.profile.counter
            if counter is not None and part.name == counter.register_name:
                self._channels[key].count(raw, now_s)
            write = self._writes.check(part, raw, now_s)
            if write is not None:
                self._schedule.write_soon(lane, write)
        seen = [self._channels[key].read(values, now_s) for key, values in signals.items()]
        return [observation for observation in seen if observation is not None]

    def _slots_of(self, lane: Lane, request: Request) -> tuple[Slot, ...]:
        """As blocks.slots_of, worked out once for each of the few requests that are sent for years."""
        slots = self._slots.get(request)
        if slots is None:
            slots = self._slots[request] = slots_of(lane.sensors, request)
        return slots

    def _measure_cycle(self, device_id: int, now_s: float) -> None:
        # One round is over when the unit that it was measured from answers again.
        mark = self._round_mark
        if mark is None or now_s - mark[1] > 10 * (self.cycle_s or 1.0) + 1.0:
            self._round_mark = (device_id, now_s)
        elif mark[0] == device_id:
            cycle_s = now_s - mark[1]
            known_s = cycle_s if self.cycle_s is None else self.cycle_s
            self.cycle_s = known_s + _CYCLE_WEIGHT * (cycle_s - known_s)
            self._round_mark = (device_id, now_s)

    def _facts(self, lane: Lane, now_s: float) -> UnitFacts:
        requests, answers, errors = self._statistics[lane.device_id].recent(now_s)
        return UnitFacts(
            device_id=lane.device_id,
            sensors=tuple(sensor.name for sensor in lane.sensors),
            requests=requests,
            answers=answers,
            errors=errors,
            late_ms=lane.punctuality.late_ms(now_s),
            beyond_ms=lane.punctuality.beyond_ms(now_s),
            response_timeout_ms=1000 * lane.longest_s,
            bound_ms=1000 * (lane.longest_s + lane.late_s),
            unconfirmed=self._writes.unconfirmed(lane.device_id),
        )

    def _sensor_snapshot(self, lane: Lane, sensor: SensorSettings, now_s: float) -> SensorSnapshot:
        statistics = self._statistics[lane.device_id]
        requests, answers, errors = statistics.recent(now_s)
        return SensorSnapshot(
            sensor=sensor.name,
            device_id=sensor.device_id,
            profile=sensor.profile.name,
            quality=self._quality(lane, statistics, now_s),
            channels=tuple(
                self._channel_snapshot(sensor.name, channel, now_s) for channel in sensor.used_channels
            ),
            requests=statistics.requests,
            answers=statistics.answers,
            errors=dict(statistics.errors),
            recent_requests=requests,
            recent_answers=answers,
            recent_errors=errors,
            reply_p50_ms=statistics.reply_ms(0.5),
            reply_p99_ms=statistics.reply_ms(0.99),
            readings=dict(self._readings[sensor.name]),
            settings_rewritten=self._writes.count(lane.device_id),
            settings_unconfirmed=self._writes.unconfirmed(lane.device_id),
            next_probe_s=max(0.0, lane.held_until_s - now_s) if lane.quarantined else None,
        )

    def _channel_snapshot(self, sensor: str, number: int, now_s: float) -> ChannelSnapshot:
        channel = self._channels[sensor, number]
        return ChannelSnapshot(
            channel=number,
            state=channel.state,
            value=channel.value,
            cause=channel.cause,
            age_s=None if channel.last_good_s is None else now_s - channel.last_good_s,
            counter=channel.counter,
            reads=self._reads[sensor, number],
        )

    @staticmethod
    def _quality(lane: Lane, statistics: UnitStatistics, now_s: float) -> str:
        if lane.quarantined:
            return "quarantined"
        if lane.failures >= _FAILING:
            return "failing"
        if lane.degraded or not lane.punctuality.is_trusted(now_s):
            return "degraded"
        return "good" if statistics.answers else "unknown"
