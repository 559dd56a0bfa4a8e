"""Settings per bus and per sensor: the profile's value is the default, and each one takes effect."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edged.cli import app
from firmware_bridge import SensorProfile, SensorSettings
from firmware_bridge.simulator import SimulatedDevice
from tests.firmware_bridge.conftest import rehearsal

Profiles = dict[str, SensorProfile]
SAMPLE = (Path(__file__).parents[2] / "config" / "edged.toml").read_text(encoding="utf-8")


def errors(profiles: Profiles, changes: dict[str, float], *sensors: SensorSettings) -> int:
    """Failed requests of sensors 1 and 2 in 30 s, where the second needs 20 ms of silence on the line."""
    devices = [
        SimulatedDevice(profiles["sen0492"], 1),
        SimulatedDevice(profiles["sen0492"], 2, silence_s=0.02),
    ]
    bus = rehearsal(devices, sensors, **changes)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 30

    bus.play(story())
    return sum(sum(sensor.errors.values()) for sensor in bus.bus.snapshot().sensors)


def test_a_device_that_needs_silence_on_the_line_gets_it(profiles: Profiles) -> None:
    one, two = (SensorSettings(name=f"s{at}", device_id=at, profile=profiles["sen0492"]) for at in (1, 2))
    quiet = SensorSettings(name="s2", device_id=2, profile=profiles["sen0492"], gap_ms=20)
    assert errors(profiles, {}, one, two) > 10
    assert errors(profiles, {}, one, quiet) == 0
    assert errors(profiles, {"gap_ms": 20}, one, two) == 0


def test_a_sensor_is_read_as_often_as_it_or_its_bus_says(profiles: Profiles) -> None:
    devices = [SimulatedDevice(profiles["sen0492"], at) for at in (1, 2)]
    slow = SensorSettings(name="slow", device_id=1, profile=profiles["sen0492"], poll_interval_s=5.0)
    usual = SensorSettings(name="usual", device_id=2, profile=profiles["sen0492"])
    bus = rehearsal(devices, [slow, usual], poll_interval_s=1.0, fault_after_s=20.0)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 61

    bus.play(story())
    asked = {sensor.sensor: sensor.requests for sensor in bus.bus.snapshot().sensors}
    assert 11 <= asked["slow"] <= 14
    assert 55 <= asked["usual"] <= 62


def test_silence_is_a_fault_after_what_the_sensor_says(profiles: Profiles) -> None:
    quick = SensorSettings(name="quick", device_id=1, profile=profiles["sen0492"], fault_after_s=1.0)
    patient = SensorSettings(name="patient", device_id=2, profile=profiles["sen0492"], fault_after_s=30.0)
    bus = rehearsal([], [quick, patient])

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.states("quick") == ["fault"]
        assert bus.now_s < 4
        yield lambda: bus.states("patient") == ["fault"]
        assert bus.now_s > 30

    bus.play(story())


def edited(folder: Path, *edits: tuple[str, str]) -> str:
    text = SAMPLE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "edged.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def check(path: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check-config", "--config", path])
    return done.exit_code, done.output


def test_check_config_prints_what_is_read_for_every_berth(tmp_path: Path) -> None:
    status, said = check(edited(tmp_path))
    assert status == 0, said
    assert "berth 1001: loop-1 on kerb, unit 1 FC04 address 1 bit 1" in said
    assert "berth 1003: sonic-3 on kerb, unit 3 FC03 address 5" in said
    assert "sensor sonic-3: urm15 is delivered with 19200 8N1, the bus runs with 9600 8N1" in said


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (
            [("baudrate = 9600", "baudrate = 19200")],
            "ld120 is fixed at 9600 8N1, the bus runs with 19200 8N1",
        ),
        ([('parity = "none"', 'parity = "even"')], "ld120 is fixed at 9600 8N1, the bus runs with 9600 8E1"),
        ([("baudrate = 9600", "baudrate = 9600\ngap_ms = -1")], 'bus[1] "kerb": gap_ms'),
        ([('profile = "ld120"', 'profile = "ld120"\nresponse_timeout_ms = 1')], "response_timeout_ms"),
        (
            [('profile = "ld120"', 'profile = "dx80_mgage"')],
            'berth[1] "1001": channel: got none; is missing; sensor loop-1 has channels 1 to 47',
        ),
        (
            [('profile = "ld120"', 'profile = "dx80_mgage"'), ("# channel = 1", "channel = 48 #")],
            "sensor loop-1 has channels 1 to 47",
        ),
        ([("device_id = 3", "device_id = 1")], "ld120 is another device"),
    ],
)
def test_check_config_refuses_what_would_read_the_wrong_thing(
    tmp_path: Path, edits: list[tuple[str, str]], words: str
) -> None:
    status, said = check(edited(tmp_path, *edits))
    assert status == 78
    assert words in said


def test_a_gateway_is_a_port_and_its_serial_side_is_its_own_business(tmp_path: Path) -> None:
    port = SAMPLE.split('port = "')[1].split('"')[0]
    for name in ("tcp://192.168.1.20", "tcp://gateway:502", "rtu+tcp://[fe80::1]:4196"):
        status, said = check(edited(tmp_path, (port, name), ("baudrate = 9600", "baudrate = 19200")))
        assert status == 0, said
    status, said = check(edited(tmp_path, (port, "udp://192.168.1.20")))
    assert status == 78
    assert "tcp://host:502" in said
