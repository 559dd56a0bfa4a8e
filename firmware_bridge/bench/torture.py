"""A million transactions on a rotten line in virtual time: wrong values and missed changes are counted.

Every device puts a fresh serial number into each reply that it forms, so that a reply which answers anything
but the request it was formed for shows. Every occupancy state lasts longer than two cycles of the same bus on
a good line; those that last longer than two cycles of this line, on which every sixth transaction fails, are
counted apart.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from firmware_bridge.bus import SensorBus
from firmware_bridge.channels import ChannelState, Observation
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.settings import BusSettings, SensorSettings
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.faults import FaultPlan, LineFaults
from firmware_bridge.simulator.line import SimulatedLine
from firmware_bridge.simulator.virtual import VirtualLine
from firmware_bridge.transaction import Cause, Outcome

SENSORS = 16
_BAUDRATE = 9600


@dataclass(frozen=True, slots=True, kw_only=True)
class TortureResult:
    """What came of it. `changes` lasted longer than two of the `cycle_s` given, `quick_changes` shorter but
    longer than two of the `good_cycle_s` given. `cycle_s` is this run's own: the mean time between two good
    readings of a sensor's occupancy.
    """

    transactions: int
    answers: int
    wrong_values: int
    changes: int
    missed_changes: int
    quick_changes: int
    missed_quick_changes: int
    cycle_s: float


class _Witness(SimulatedDevice):
    """Remembers, for each request, the values it last formed; no two replies are alike."""

    serial = 0

    def __init__(self, profile: SensorProfile, device_id: int, faults: FaultPlan) -> None:
        super().__init__(profile, device_id, faults=faults)
        self.formed: dict[tuple[int, int, int], bytes] = {}

    def answer(self, pdu: bytes) -> bytes:
        self.serial += 1
        if self.profile.name == "ld120":  # the upper byte of the status register is free
            status = self.profile.registers["status"]
            self._poke(status, 1, self.peek("status") & 0x00FF | (self.serial & 0xFF) << 8)
        else:
            away = 0.1 * (self.serial % 200)
            self.write_signal("distance", 1, (100.0 if self.occupied else 260.0) + away)
            self.write_signal("temperature", 1, 0.1 * (self.serial % 3000))
        reply = super().answer(pdu)
        if pdu[0] in (3, 4):
            self.formed[pdu[0], int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])] = reply[2:]
        return reply


class _Judge(threading.Event):
    """Counts what the bus accepted; set once there were enough transactions."""

    def __init__(self, devices: Mapping[int, _Witness], transactions: int) -> None:
        super().__init__()
        self.ended_count = self.answers = self.levels = self.wrong = 0
        self._devices = devices
        self._wanted = transactions

    def sent(self, frame: bytes, at_s: float) -> None: ...

    def heard(self, data: bytes, at_s: float) -> None: ...

    def ended(self, outcome: Outcome, at_s: float) -> None:
        self.ended_count += 1
        if self.ended_count >= self._wanted:
            self.set()
        if outcome.cause is Cause.OK:
            self.answers += 1
            request = outcome.request
            device = self._devices[request.device_id]
            level = device.profile.register_of(device.profile.occupancy.signal)
            at = device.profile.address(level, 1)
            covers = request.address <= at < request.address + request.count
            self.levels += covers and request.function == level.table.read_function
            formed = device.formed
            got = b"".join(value.to_bytes(2) for value in outcome.values)
            self.wrong += formed.get((request.function, request.address, request.count)) != got


class _Street:
    """Cars come and go on their own schedule; what the bus made of it is compared change by change."""

    def __init__(
        self, devices: Mapping[int, _Witness], rng: Random, shortest_s: float, enough_s: float
    ) -> None:
        self.changes = self.missed = self.quick = self.missed_quick = 0
        self._devices = devices
        self._rng = rng
        self._shortest_s = shortest_s
        self._enough_s = enough_s
        self._since_s = dict.fromkeys(devices, 0.0)
        self._next_s = {device_id: self._dwell_s() for device_id in devices}
        self._shown: dict[int, bool | None] = dict.fromkeys(devices)
        self._seen: dict[int, bool] = dict.fromkeys(devices, True)
        self.due_s = min(self._next_s.values())

    def advance(self, now_s: float) -> None:
        for device_id, when_s in self._next_s.items():
            if when_s <= now_s:
                self._change(device_id, when_s)
        self.due_s = min(self._next_s.values())

    def observe(self, observation: Observation) -> None:
        device_id = int(observation.sensor)
        shows = observation.state is ChannelState.OCCUPIED
        if observation.state is not ChannelState.FAULT and shows == bool(self._devices[device_id].occupied):
            self._seen[device_id] = True

    def _change(self, device_id: int, when_s: float) -> None:
        device = self._devices[device_id]
        if when_s - self._since_s[device_id] > self._enough_s:
            self.changes += 1
            self.missed += not self._seen[device_id]
        else:
            self.quick += 1
            self.missed_quick += not self._seen[device_id]
        self._seen[device_id], self._since_s[device_id] = False, when_s
        (device.leave if device.occupied else device.arrive)()
        self._next_s[device_id] = when_s + self._dwell_s()

    def _dwell_s(self) -> float:
        return self._shortest_s * self._rng.uniform(1.0, 10.0)


class _StreetLine(VirtualLine):
    street: _Street

    def _go(self, when_s: float) -> None:
        if when_s >= self.street.due_s:
            self.street.advance(when_s)
        super()._go(when_s)


def torture(
    profiles: Mapping[str, SensorProfile],
    *,
    transactions: int,
    seed: int,
    cycle_s: float,
    good_cycle_s: float,
    rotten: bool = True,
) -> TortureResult:
    """Run that many transactions; no occupancy state lasts shorter than twice `good_cycle_s`."""
    rng = Random(seed)
    timing = BusSettings(name="torture", port="/virtual", baudrate=_BAUDRATE)
    kinds = [profiles["ld120"], profiles["urm15"]]
    devices = {i: _Witness(kinds[i % 2], i, _plan(kinds[i % 2], i, rotten)) for i in range(1, SENSORS + 1)}
    faults = LineFaults(corrupt_byte_rate=0.01 if rotten else 0.0)
    line = SimulatedLine(devices.values(), timing=timing.timing, rng=rng, faults=faults)
    wire = _StreetLine(line)
    wire.street = _Street(devices, Random(seed + 1), 2 * good_cycle_s, 2 * cycle_s)
    judge = _Judge(devices, transactions)
    sensors = [
        SensorSettings(name=str(i), device_id=i, profile=device.profile, thresholds={"confirm_readings": 1})
        for i, device in devices.items()
    ]
    settings = BusSettings(
        name="torture", port="/virtual", baudrate=_BAUDRATE, poll_interval_s=0.0, fault_after_s=3600
    )
    bus = SensorBus(settings, sensors, wire.street.observe, open_port=wire.open, clock=wire.clock)
    bus.tap = judge
    bus.run(judge)
    return TortureResult(
        transactions=judge.ended_count,
        answers=judge.answers,
        wrong_values=judge.wrong,
        changes=wire.street.changes,
        missed_changes=wire.street.missed,
        quick_changes=wire.street.quick,
        missed_quick_changes=wire.street.missed_quick,
        cycle_s=wire.now_s * SENSORS / judge.levels,
    )


def _plan(profile: SensorProfile, device_id: int, rotten: bool) -> FaultPlan:
    # Lateness spread over all that the profile declares: from inside the timeout to its very end.
    bound_s = (profile.link.response_timeout_ms + profile.link.max_reply_delay_ms) / 1000 - 0.01
    return FaultPlan(late_rate=0.01, late_s=bound_s * device_id / SENSORS) if rotten else FaultPlan()
