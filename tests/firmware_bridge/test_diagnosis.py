"""What a bus says of itself, by its last five minutes, and what health and `edged diag` make of it."""

from collections.abc import Callable, Iterator

import pytest

from edged.domain.health import Finding, HealthStatus
from edged.workers.bus_findings import findings_of
from firmware_bridge import SensorProfile, SensorSettings
from firmware_bridge.simulator import FaultPlan, LineFaults, SimulatedDevice
from tests.firmware_bridge.conftest import Rehearsal, rehearsal

Profiles = dict[str, SensorProfile]
FIVE_MINUTES_S = 300.0


def street(profiles: Profiles, *devices: SimulatedDevice, faults: LineFaults | None = None) -> Rehearsal:
    ids = sorted({device.device_id for device in devices})
    names = {device.device_id: device.profile.name for device in devices}
    sensors = [SensorSettings(name=f"s{at}", device_id=at, profile=profiles[names[at]]) for at in ids]
    return rehearsal(devices, sensors, faults, poll_interval_s=0.5)


def loop(profiles: Profiles, device_id: int, **plan: float) -> SimulatedDevice:
    return SimulatedDevice(profiles["ld120"], device_id, faults=FaultPlan(**plan))  # type: ignore[arg-type]  # rates


def at(bus: Rehearsal, seconds: float) -> Callable[[], bool]:
    end_s = bus.now_s + seconds
    return lambda: bus.now_s >= end_s


def finding(bus: Rehearsal, where: str) -> Finding:
    return next(found for found in findings_of(bus.bus.snapshot()) if found.where == where)


def test_a_healed_sensor_is_green_within_five_minutes(profiles: Profiles) -> None:
    sick = loop(profiles, 1, silent_rate=0.4)
    bus = street(profiles, sick, loop(profiles, 2))

    def story() -> Iterator[Callable[[], bool]]:
        yield at(bus, 900.0)
        assert finding(bus, "sensor s1").status is not HealthStatus.OK
        sick.faults = FaultPlan()
        yield at(bus, FIVE_MINUTES_S + 1)
        assert finding(bus, "sensor s1").status is HealthStatus.OK
        assert bus.bus.snapshot().sensors[0].errors  # what was is still counted

    bus.play(story(), within_s=2000.0)


def test_a_sensor_that_starts_to_fail_is_yellow_within_five_minutes(profiles: Profiles) -> None:
    sick = loop(profiles, 1)
    bus = street(profiles, sick, loop(profiles, 2))

    def story() -> Iterator[Callable[[], bool]]:
        yield at(bus, 1200.0)
        assert finding(bus, "sensor s1").status is HealthStatus.OK
        sick.faults = FaultPlan(crc_rate=0.05)
        yield at(bus, FIVE_MINUTES_S)
        assert finding(bus, "sensor s1").status is HealthStatus.DEGRADED

    bus.play(story(), within_s=2500.0)


@pytest.mark.parametrize(
    ("plan", "line", "cause", "remedy"),
    [
        ({"silent_rate": 1.0}, {}, "all sensors are silent", "A and B wires"),
        ({"babble_rate": 1.0}, {}, "only noise on the line", "baud rate and parity"),
        ({}, {"corrupt_byte_rate": 0.9}, "only noise on the line|all sensors are silent", "baud rate"),
    ],
)
def test_when_no_sensor_is_understood_the_line_is_the_cause(
    profiles: Profiles, plan: dict[str, float], line: dict[str, float], cause: str, remedy: str
) -> None:
    bus = street(
        profiles, loop(profiles, 1, **plan), loop(profiles, 2, **plan), faults=LineFaults(**line)  # type: ignore[arg-type]  # rates
    )  # fmt: skip

    def story() -> Iterator[Callable[[], bool]]:
        yield at(bus, 30.0)
        found = finding(bus, "bus kerb")
        assert found.status is HealthStatus.FAILED
        assert any(found.cause.startswith(words) for words in cause.split("|"))
        assert remedy in found.remedy

    bus.play(story())


def test_a_sensor_that_answers_exceptions_for_ever_does_not_fit_its_profile(profiles: Profiles) -> None:
    bus = street(profiles, loop(profiles, 1, exception_rate=1.0, exception_code=2), loop(profiles, 2))

    def story() -> Iterator[Callable[[], bool]]:
        yield at(bus, 60.0)
        found = finding(bus, "sensor s1")
        assert found.cause == "id 1 answers exception 2 only"
        assert "profile does not fit" in found.remedy

    bus.play(story())


def test_two_devices_with_one_id_are_named(profiles: Profiles) -> None:
    twins = [loop(profiles, 1), loop(profiles, 1)]
    twins[1].turnaround_s = 0.014  # its reply follows the first one's without a gap
    bus = street(profiles, *twins, loop(profiles, 2))

    def story() -> Iterator[Callable[[], bool]]:
        yield at(bus, 60.0)
        assert "two devices seem to have id 1" in finding(bus, "sensor s1").cause
        assert finding(bus, "sensor s2").status is HealthStatus.OK

    bus.play(story())


def test_writes_go_on_when_an_echo_begins_and_ends(profiles: Profiles) -> None:
    gateway = SimulatedDevice(profiles["dx80_mgage"], 1)
    sensor = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1,))
    bus = rehearsal([gateway], [sensor], poll_interval_s=0.5)

    def story() -> Iterator[Callable[[], bool]]:
        for is_echoing in (True, False, True, False):
            bus.line.faults = LineFaults(echo=is_echoing)
            yield at(bus, 3.0)
            assert bus.bus.snapshot().echoes is is_echoing
            gateway.power_cycle()
            yield lambda: gateway.peek("configuration") == 0x0B4B
        assert any("echo came and went" in trouble.cause for trouble in bus.bus.snapshot().troubles)

    bus.play(story(), within_s=300.0)


def test_a_setting_that_a_device_does_not_keep_is_named(profiles: Profiles) -> None:
    class Forgetful(SimulatedDevice):
        def answer(self, pdu: bytes) -> bytes:
            reply = super().answer(pdu)
            self.power_cycle()
            return reply

    gateway = Forgetful(profiles["dx80_mgage"], 1)
    sensor = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1,))
    bus = rehearsal([gateway], [sensor], poll_interval_s=0.5)

    def story() -> Iterator[Callable[[], bool]]:
        yield at(bus, 100.0)
        assert finding(bus, "sensor g").cause == "id 1 does not keep what is written to configuration"

    bus.play(story())
