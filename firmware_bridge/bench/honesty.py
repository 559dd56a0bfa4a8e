"""What sensors say, and what must not be made of it, in virtual time.

Honest loop detectors count each vehicle and show it; the counter may be ahead of the level, or behind it. No
arrival of theirs may be reported as one that came and left unseen.

Latecomers answer "vacant" in time, and "occupied" later than their profile allows. No such reply may become a
drive-in: a contact that lasts for as long as a berth takes to believe it.
"""

import threading
from collections.abc import Iterable, Mapping
from random import Random

from firmware_bridge.bus import SensorBus
from firmware_bridge.channels import ChannelState, Observation
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.settings import BusSettings, SensorSettings
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.faults import FaultPlan
from firmware_bridge.simulator.line import SimulatedLine
from firmware_bridge.simulator.virtual import VirtualLine

_SENSORS = 8
_BAUDRATE = 9600
_SETTLE_IN_S = 0.2  # the shortest contact that a site takes for an arrival
_SHORTEST_STAY_S = 2.0
_MOST_APART_S = 0.4  # between a vehicle's count and its level, either way
_LATE_RATE = 0.2


class _Ending(threading.Event):
    """Set by the line itself, in virtual time."""


class _Street(VirtualLine):
    """A line whose devices change on their own, until an end."""

    def __init__(self, line: SimulatedLine, end_s: float) -> None:
        super().__init__(line)
        self.stop = _Ending()
        self._end_s = end_s

    def send(self, frame: bytes) -> None:
        if self.now_s >= self._end_s:
            self.stop.set()
        super().send(frame)

    def poll(self, devices: Iterable[SimulatedDevice], profile: SensorProfile, observe: object) -> None:
        sensors = [
            SensorSettings(name=str(device.device_id), device_id=device.device_id, profile=profile)
            for device in devices
        ]
        settings = BusSettings(name="bench", port="/virtual", baudrate=_BAUDRATE)
        bus = SensorBus(settings, sensors, observe, open_port=self.open, clock=self.clock)  # type: ignore[arg-type]  # both callers give a function of an observation
        bus.run(self.stop)


class _HonestLoop(SimulatedDevice):
    """Counts and shows each vehicle, the one up to `_MOST_APART_S` before the other."""

    clock: VirtualLine
    rng: Random
    arrivals = 0
    _plan: tuple[float, float, float] = (0.0, 0.0, 0.0)  # counts, shows, leaves

    def answer(self, pdu: bytes) -> bytes:
        self._go_on(self.clock.now_s)
        return super().answer(pdu)

    def _go_on(self, now_s: float) -> None:
        counts_s, shows_s, leaves_s = self._plan
        if counts_s and now_s >= counts_s:
            self._count(1)
            counts_s = 0.0
        if shows_s and now_s >= shows_s:
            self._show(1, occupied=True)
            self.arrivals += 1
            shows_s = 0.0
        if not counts_s and not shows_s and now_s >= leaves_s:
            self._show(1, occupied=False)
            comes_s = now_s + self.rng.uniform(1.0, 4.0) * _SHORTEST_STAY_S
            counts_s, shows_s = (comes_s + self.rng.uniform(0, _MOST_APART_S) for _ in range(2))
            leaves_s = comes_s + self.rng.uniform(1.0, 4.0) * _SHORTEST_STAY_S
        self._plan = (counts_s, shows_s, leaves_s)


def false_unseen(profiles: Mapping[str, SensorProfile], *, arrivals: int, seed: int) -> tuple[int, int]:
    """Honest arrivals simulated, and how many vehicles were reported as unseen."""
    profile, rng = profiles["ld120"], Random(seed)
    devices = [_HonestLoop(profile, device_id) for device_id in range(1, _SENSORS + 1)]
    timing = BusSettings(name="bench", port="/virtual", baudrate=_BAUDRATE).timing
    street = _Street(SimulatedLine(devices, timing=timing, rng=rng), float("inf"))
    for device in devices:
        device.clock, device.rng = street, rng
    unseen = 0

    def observe(observation: Observation) -> None:
        nonlocal unseen
        unseen += observation.counter_delta or 0
        if sum(device.arrivals for device in devices) >= arrivals:
            street.stop.set()

    street.poll(devices, profile, observe)
    return sum(device.arrivals for device in devices), unseen


class _Latecomer(SimulatedDevice):
    """Vacant in time; occupied when it answers later than its profile allows."""

    rng: Random

    def answer(self, pdu: bytes) -> bytes:
        link = self.profile.link
        bound_s = (link.response_timeout_ms + link.max_reply_delay_ms) / 1000
        is_late = self.rng.random() < _LATE_RATE
        self.turnaround_s = bound_s * self.rng.uniform(1.05, 6.0) if is_late else 0.005
        self._show(1, occupied=is_late)
        return super().answer(pdu)


def false_drive_ins(profiles: Mapping[str, SensorProfile], *, seconds: float, seed: int) -> int:
    """Drive-ins made of replies beyond the bound, on a street where no vehicle comes."""
    found = 0
    for name in ("ld120", "sen0492"):
        rng = Random(seed)
        devices = [
            _Latecomer(profiles[name], device_id, faults=FaultPlan(overtaking=True))
            for device_id in (1, 2, 3)
        ]
        for device in devices:
            device.rng = rng
        timing = BusSettings(name="bench", port="/virtual", baudrate=_BAUDRATE).timing
        street = _Street(SimulatedLine(devices, timing=timing, rng=rng), seconds)
        since_s: dict[str, float] = {}

        def observe(observation: Observation, since_s: dict[str, float] = since_s) -> None:
            nonlocal found
            begun_s = since_s.pop(observation.sensor, None)
            if begun_s is not None:
                found += observation.at_monotonic_s - begun_s >= _SETTLE_IN_S
            if observation.state is ChannelState.OCCUPIED:
                since_s[observation.sensor] = observation.at_monotonic_s

        street.poll(devices, profiles[name], observe)
        found += sum(seconds - begun_s >= _SETTLE_IN_S for begun_s in since_s.values())
    return found
