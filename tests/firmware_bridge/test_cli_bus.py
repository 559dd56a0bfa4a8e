"""`edged bus` and `edged replay` as a technician types them, against simulated sensors and no daemon."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edged.cli import app
from edged.control import ControlWorker
from firmware_bridge import BusSettings, SensorBus, SensorProfile, SensorSettings
from firmware_bridge.desk import bus_commands
from firmware_bridge.link import LinkTiming
from firmware_bridge.simulator import BusSimulator, SimulatedDevice
from tests.waiting import until

CONFIG = """
[site]
site_id = "test"
device_id = "pole-1"
time_zone = "Asia/Shanghai"
[[bus]]
name = "kerb"
port = "{folder}/bus"
[[sensor]]
name = "loop"
bus = "kerb"
device_id = 1
profile = "ld120"
[[sensor]]
name = "sonic"
bus = "kerb"
device_id = 2
profile = "urm15"
[[camera]]
name = "high"
kind = "folder"
source = "{folder}"
[[berth]]
berth_no = "1001"
sensor = "loop"
camera = "high"
polygon = [[0, 0], [9, 0], [9, 9], [0, 9]]
settle_in_s = 0.2
[[berth]]
berth_no = "1002"
sensor = "sonic"
camera = "high"
polygon = [[0, 0], [9, 0], [9, 9], [0, 9]]
[store]
directory = "{folder}/store"
[uplink]
cloud_url = "https://parking.example.com"
credentials = "credentials.json"
"""


@pytest.fixture
def pole(tmp_path: Path, profiles: dict[str, SensorProfile]) -> Iterator[Path]:
    """A settings file; sonic has a car, and one drives onto the loop when a trace is under way."""
    (tmp_path / "store").mkdir()
    (tmp_path / "edged.toml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    devices = [SimulatedDevice(profiles["ld120"], 1), SimulatedDevice(profiles["urm15"], 2, occupied=[1])]
    simulator = BusSimulator(devices, link=tmp_path / "bus", timing=LinkTiming(baudrate=9600))
    stop = threading.Event()

    def drive() -> None:
        trace = tmp_path / "trace.jsonl"
        while not stop.is_set():
            if trace.exists() and trace.stat().st_size > 2000:
                devices[0].arrive()
                return
            stop.wait(0.05)

    threads = [threading.Thread(target=simulator.run, args=(stop,)), threading.Thread(target=drive)]
    for thread in threads:
        thread.start()
    assert simulator.ready.wait(30)
    yield tmp_path
    stop.set()
    for thread in threads:
        thread.join(30)


def edged(pole: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(pole / "edged.toml")])


def test_list_and_read_show_what_the_sensors_say(pole: Path) -> None:
    done = edged(pole, "bus", "list", "--json")
    assert done.exit_code == 0, done.output
    sensors = json.loads(done.stdout)["sensors"]
    assert [sensor["quality"] for sensor in sensors] == ["good", "good"]
    assert sensors[1]["channels"][0]["state"] == "occupied"
    done = edged(pole, "bus", "read", "sonic", "--json")
    registers = {row["register"]: row for row in json.loads(done.stdout)["registers"]}
    assert (registers["distance"]["value"], registers["distance"]["unit"]) == (140.0, "cm")
    assert edged(pole, "bus", "read", "nobody").exit_code == 2


def test_a_trace_shows_frames_and_replays_to_its_drive_ins(pole: Path) -> None:
    trace = pole / "trace.jsonl"
    done = edged(pole, "bus", "trace", "--out", str(trace), "--seconds", "6")
    assert done.exit_code == 0, done.output
    assert "unit 1 FC04 1 x1" in done.stdout
    done = edged(pole, "replay", str(trace), "--json")
    assert done.exit_code == 0, done.output
    acts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(act["act"], act["berth_no"], act["cause"]) for act in acts} >= {
        ("drive_in", "1001", "sensor"),
        ("drive_in", "1002", "restart"),
    }


def test_a_scan_names_profiles_and_ids_are_not_given_twice(pole: Path) -> None:
    done = edged(pole, "bus", "scan", "--ids", "1-3", "--baud", "9600", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(row["device_id"], row["identified"]) for row in found] == [(1, ["ld120"]), (2, ["urm15"])]
    assert edged(pole, "bus", "scan", "--ids", "1-x").exit_code == 2
    refused = edged(pole, "bus", "set-id", "loop", "2", "--yes")
    assert refused.exit_code == 1
    assert "belongs to sensor sonic" in refused.output
    refused = edged(pole, "bus", "set-id", "loop", "9")  # nobody says yes
    assert refused.exit_code == 1
    done = edged(pole, "bus", "set-id", "loop", "9", "--yes")
    assert "device_id = 9" in done.stdout


def test_without_a_port_the_tools_say_why(pole: Path) -> None:
    config = pole / "edged.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('/bus"', '/gone"'), encoding="utf-8")
    done = edged(pole, "bus", "read", "loop")
    assert done.exit_code == 1
    assert "is not there" in done.output
    listed = edged(pole, "bus", "list", "--json")
    assert listed.exit_code == 1
    assert "is not there" in json.loads(listed.stdout)["port_error"]
    done = edged(pole, "replay", str(pole / "none.jsonl"))
    assert done.exit_code == 1
    assert "cannot be read" in done.output


def test_a_faulty_profile_that_no_sensor_names_is_told_and_stops_nothing(pole: Path) -> None:
    config = pole / "edged.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text('profiles = "profiles"\n' + text, encoding="utf-8")
    (pole / "profiles").mkdir()
    bad = pole / "profiles" / "new.toml"
    bad.write_text('format = 1\nname = "new"\n[link]\nbaudrate = "fast"\n', encoding="utf-8")
    checked = edged(pole, "check-config")
    assert checked.exit_code == 78
    assert f"profile {bad}: link.baudrate" in checked.output
    assert "'fast'" in checked.output
    assert edged(pole, "bus", "list", "--json").exit_code == 0
    config.write_text(config.read_text(encoding="utf-8").replace('"ld120"', '"new"'), encoding="utf-8")
    refused = edged(pole, "bus", "list", "--json")
    assert refused.exit_code == 78
    assert "the profile of this name is faulty" in refused.output
    assert "link.baudrate" in refused.output


@contextmanager
def daemon(pole: Path, profiles: dict[str, SensorProfile]) -> Iterator[None]:
    """What of the daemon the tools talk to: a bus thread that owns the port, and the control socket."""
    sensors = [
        SensorSettings(name="loop", device_id=1, profile=profiles["ld120"]),
        SensorSettings(name="sonic", device_id=2, profile=profiles["urm15"]),
    ]
    bus = SensorBus(BusSettings(name="kerb", port=str(pole / "bus")), sensors, lambda _: None)
    control = ControlWorker(pole / "store", bus_commands({"kerb": bus}))
    stop = threading.Event()
    threads = [threading.Thread(target=part.run, args=(stop,)) for part in (bus, control)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(bus.snapshot().sensors[at].answers for at in (0, 1)), "both were read", within_s=30)
        until((pole / "store" / "control.sock").exists, "the socket is there", within_s=30)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def test_while_the_daemon_runs_the_tools_ask_it_and_leave_the_port_alone(
    pole: Path, profiles: dict[str, SensorProfile]
) -> None:
    with daemon(pole, profiles):
        done = edged(pole, "bus", "list", "--json")
        assert [sensor["quality"] for sensor in json.loads(done.stdout)["sensors"]] == ["good", "good"]
        done = edged(pole, "bus", "read", "sonic", "--json")
        assert done.exit_code == 0, done.output
        assert {row["error"] for row in json.loads(done.stdout)["registers"]} == {None}
        assert "sonic" in edged(pole, "bus", "watch", "--seconds", "1").output
        trace = pole / "trace.jsonl"
        done = edged(pole, "bus", "trace", "--out", str(trace), "--seconds", "4", "--quiet")
        assert done.exit_code == 0, done.output
        assert "drive_in" in edged(pole, "replay", str(trace)).output
        done = edged(pole, "bus", "scan", "--ids", "1-3", "--all", "--json")
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert [row["device_id"] for row in found] == [1, 2]
        assert "other rates and parities cannot be scanned while it runs" in done.stderr
        assert "edged runs and owns" in done.stderr
        refused = edged(pole, "bus", "set-id", "loop", "300", "--yes")
        assert refused.exit_code == 2
        assert "device_id = 7" in edged(pole, "bus", "set-id", "loop", "7", "--yes").output


def test_a_trace_that_cannot_be_written_or_holds_nothing_says_why(pole: Path) -> None:
    done = edged(pole, "bus", "trace", "--out", str(pole / "no" / "where"), "--seconds", "1")
    assert done.exit_code == 1
    assert "name another file" in done.output
    config = pole / "edged.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('/bus"', '/gone"'), encoding="utf-8")
    done = edged(pole, "bus", "trace", "--out", str(pole / "t.jsonl"), "--seconds", "0.5")
    assert done.exit_code == 1
    assert "is not there" in done.output
