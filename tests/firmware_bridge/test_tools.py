"""The technician's tools and the simulator's own promises, over a real pty."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import serial

from firmware_bridge import (
    BridgeError,
    BusSettings,
    PortError,
    SensorProfile,
    SensorSettings,
    SettingsError,
)
from firmware_bridge.desk import bus_commands
from firmware_bridge.frames import Request
from firmware_bridge.identity import change_id
from firmware_bridge.link import LinkTiming
from firmware_bridge.scan import NAMED_PROBE_TIMEOUT_S, LinkSettings, bare_bus, likely_ids, likely_links, scan
from firmware_bridge.simulator import (
    BusSimulator,
    FaultPlan,
    SimulatedDevice,
    load_simulator_settings,
    send_command,
)
from firmware_bridge.trace import read_trace, replay
from firmware_bridge.transaction import Cause
from tests.firmware_bridge.conftest import running
from tests.waiting import until

Profiles = dict[str, SensorProfile]


def loop_rig(tmp_path: Path, profiles: Profiles):  # type: ignore[no-untyped-def]  # a context manager of Rig
    sensors = [SensorSettings(name="loop", device_id=1, profile=profiles["ld120"])]
    return running(tmp_path / "bus", [SimulatedDevice(profiles["ld120"], 1)], sensors)


def test_a_question_is_answered_between_two_turns(tmp_path: Path, profiles: Profiles) -> None:
    with loop_rig(tmp_path, profiles) as rig:
        until(lambda: len(rig.seen) == 1, "polling")
        commands = bus_commands({"kerb": rig.bus})
        question = {"bus": "kerb", "device_id": 1, "function": 4, "address": 0, "response_timeout_s": 5.0}
        answer = commands["bus_ask"](question)
        assert (answer["cause"], answer["values"]) == ("ok", [34])
        silent = commands["bus_ask"]({"bus": "kerb", "device_id": 9, "function": 4, "address": 0})
        assert silent["cause"] == "timeout"
        with pytest.raises(BridgeError, match="there are kerb"):
            commands["bus_ask"]({"bus": "other", "device_id": 1, "function": 4, "address": 0})
        until(lambda: commands["buses"]({})[0]["sensors"][0]["quality"] == "good", "it is good")
        assert json.loads(json.dumps(commands["buses"]({})))[0]["bus"] == "kerb"


def test_a_question_without_a_port_says_why(tmp_path: Path, profiles: Profiles) -> None:
    question = Request(device_id=1, function=3, address=0)
    nobody = running(tmp_path / "none", [], [], start_simulator=False)
    with nobody as rig, pytest.raises(PortError, match="is not there"):
        rig.bus.ask(question)


def test_a_trace_replays_to_the_same_observations(tmp_path: Path, profiles: Profiles) -> None:
    sensors = [SensorSettings(name="loop", device_id=1, profile=profiles["ld120"])]
    device = SimulatedDevice(profiles["ld120"], 1, faults=FaultPlan(crc_rate=0.1, silent_rate=0.1))
    path = tmp_path / "trace.jsonl"
    with running(tmp_path / "bus", [device], sensors) as rig:
        trace_command = bus_commands({"kerb": rig.bus})["bus_trace"]
        header = trace_command({"bus": "kerb", "since": 0})["header"]
        until(lambda: rig.bus.snapshot().sensors[0].channels[0].counter is not None, "the counter is known")
        before = len(rig.seen)
        for act, state in (
            (device.arrive, "occupied"),
            (device.leave, "vacant"),
            (device.arrive, "occupied"),
        ):
            act()
            until(lambda state=state: rig.states("loop")[-1] == state, state)  # type: ignore[misc]
        device.swap()
        until(lambda: rig.seen[-1].counter_delta == 1, "the swap is counted")
        live = [(o.state, o.counter_delta) for o in rig.seen[before:]]
        answer = trace_command({"bus": "kerb", "since": 0})
        assert answer["lost"] == 0
        lines = [header, *answer["events"]]
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    trace = read_trace(path)
    settings = BusSettings(name="kerb", port="/replay", baudrate=trace.header["baudrate"])
    again = [(o.state, o.counter_delta) for o in replay(trace, settings, sensors)]
    assert again[-len(live) :] == live
    assert len(again) == len(live) + 1  # the trace begins with the first knowledge


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is empty"),
        ("not json", "line 1"),
        ('{"trace": 2}', "header"),
        ('{"trace": 1}\n{"t": 1}', "line 2"),
        ('{"trace": 1}\n{"t": 5, "end": "ok"}\n{"t": 1, "end": "ok"}', "line 3"),
        ('{"trace": 1}\n{"t": 1, "sent": "xyz"}', "line 2"),
    ],
)
def test_a_wrong_trace_file_names_its_line(tmp_path: Path, text: str, hint: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BridgeError, match=hint):
        read_trace(path)


def test_a_scan_finds_devices_at_their_rate_and_names_the_profile(tmp_path: Path, profiles: Profiles) -> None:
    devices = [SimulatedDevice(profiles["urm15"], 3), SimulatedDevice(profiles["apg_mnu"], 5)]
    simulator = BusSimulator(devices, link=tmp_path / "bus", timing=LinkTiming(baudrate=19200))
    stop = threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop,))
    thread.start()
    try:
        assert simulator.ready.wait(5)
        found = []
        for baudrate in (9600, 19200):
            link = LinkSettings(baudrate=baudrate, parity="N", stop_bits=1)
            with bare_bus(str(tmp_path / "bus"), link) as ask:
                found += list(scan(ask, link, profiles, [2, 3, 5], probe_timeout_s=NAMED_PROBE_TIMEOUT_S))
    finally:
        stop.set()
        thread.join()
    assert [(f.link.baudrate, f.device_id, f.identified, f.fitting) for f in found] == [
        (19200, 3, ("urm15",), ()),
        (19200, 5, (), ("apg_mnu",)),
    ]


def test_a_scan_tries_what_devices_are_delivered_with_first(profiles: Profiles) -> None:
    links = likely_links(profiles.values(), everything=True)
    assert {(link.baudrate, link.parity) for link in links[:3]} == {(9600, "N"), (19200, "N"), (115200, "N")}
    assert len(links) == len(set(links)) == 21
    ids = likely_ids(profiles.values())
    assert {254, 0x0F, 0x50, 1} == set(ids[:4])


def test_an_id_is_changed_only_to_one_that_nobody_answers_at(tmp_path: Path, profiles: Profiles) -> None:
    devices = [SimulatedDevice(profiles["ld120"], 1), SimulatedDevice(profiles["apg_mnu"], 2)]
    loop = SensorSettings(name="loop", device_id=1, profile=profiles["ld120"])
    sonic = SensorSettings(name="sonic", device_id=2, profile=profiles["apg_mnu"])
    laser = SensorSettings(name="laser", device_id=3, profile=profiles["sen0492"])
    with running(tmp_path / "bus", devices, [loop]) as rig:

        def ask(request: Request, timeout_s: float):  # type: ignore[no-untyped-def]  # Outcome
            return rig.bus.ask(request, response_timeout_s=timeout_s)

        with pytest.raises(BridgeError, match="answers at id 2 already"):
            change_id(ask, loop, 2)
        with pytest.raises(BridgeError, match="no register for its id"):
            change_id(ask, laser, 9)
        assert devices[0].device_id == 1
        assert "off and on" in change_id(ask, loop, 7)
        assert devices[0].device_id == 1
        devices[0].power_cycle()
        assert devices[0].device_id == 7
        assert "answers at id 8" in change_id(ask, sonic, 8)
        assert devices[1].device_id == 8


@pytest.fixture
def simulator_process(tmp_path: Path):  # type: ignore[no-untyped-def]  # an iterator of (port, control)
    config = tmp_path / "sim.toml"
    config.write_text(
        f'link = "{tmp_path}/bus"\ncontrol = "{tmp_path}/control"\nbaudrate = 9600\n'
        '[[device]]\nprofile = "ld120"\nid = 1\n[[traffic]]\nat_s = 0.0\ndo = "arrive"\ndevice = 1\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "firmware_bridge.simulator", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"]
        yield tmp_path / "bus", tmp_path / "control", process
        process.terminate()


def test_the_simulator_takes_commands_and_refuses_wrong_ones(simulator_process) -> None:  # type: ignore[no-untyped-def]
    _, control, process = simulator_process
    status = send_command(control, {"do": "status"})
    assert status["devices"] == [{"device": 1, "profile": "ld120", "occupied": [1]}]
    send_command(control, {"do": "leave", "device": 1})
    assert send_command(control, {"do": "status"})["devices"][0]["occupied"] == []
    for wrong, hint in [
        ({"do": "fly"}, "write one of"),
        ({"do": "arrive"}, "device: is missing"),
        ({"do": "arrive", "device": 2}, "there are 1"),
        ({"do": "arrive", "device": 1, "channel": 4}, "channels 1 to 1"),
        ({"do": "arrive", "device": "1"}, "device: got '1'"),
        ({"do": "faults", "device": 1, "silent_rate": 2}, "0 to 1"),
        ({"do": "faults", "loud_rate": 1}, "known are"),
        ({"do": "sensor_fault", "device": 1, "cause": "tired"}, "loop open circuit"),
    ]:
        with pytest.raises(BridgeError, match=hint):
            send_command(control, wrong)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control))
        client.sendall(b"[]\n\xff\n")
        assert b'"ok": false' in client.recv(4096)
    send_command(control, {"do": "stop"})
    assert process.wait(5) == 0
    assert not control.exists()


def test_the_simulator_outlives_a_caller_that_hangs_up_with_its_answer_unread(simulator_process) -> None:  # type: ignore[no-untyped-def]
    _, control, process = simulator_process
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(control))
            client.sendall(b"[]\n[]\n")
            client.recv(1)  # the rest stays unread: closing now resets the connection
    assert send_command(control, {"do": "status"})["ok"]
    assert process.poll() is None


def test_the_simulator_takes_the_wires_time_and_no_shorter_gap(simulator_process) -> None:  # type: ignore[no-untyped-def]
    port, control, _ = simulator_process
    request = Request(device_id=1, function=4, address=1)
    timing = LinkTiming(baudrate=9600)
    least_s = timing.wire_s(8 + 7) + 0.005
    with serial.Serial(str(port), 9600, timeout=1) as device:
        started_s = time.monotonic()
        device.write(request.encode())
        assert len(device.read(7)) == 7
        assert least_s <= time.monotonic() - started_s
        device.timeout = 0.2
        for _ in range(50):  # a busy box may need a few tries to be quick enough
            device.write(request.encode())  # at once: inside t3.5
            if not device.read(7):
                break
    counts = send_command(control, {"do": "status"})["counts"]
    assert counts["gap_violations"] == 1
    assert counts["requests"] == counts["replies"] + 1


def test_at_another_rate_nobody_understands(simulator_process) -> None:  # type: ignore[no-untyped-def]
    port, control, _ = simulator_process
    with serial.Serial(str(port), 19200, timeout=0.2) as device:
        device.write(Request(device_id=1, function=4, address=1).encode())
        assert device.read(7) == b""
    assert send_command(control, {"do": "status"})["counts"]["bad_requests"] == 1


def test_a_wrong_simulator_file_tells_all_its_faults(tmp_path: Path) -> None:
    config = tmp_path / "sim.toml"
    config.write_text(
        'link = "x"\nbaudrat = 1\n[[device]]\nprofile = "none"\nid = 1\nfaults = { crc_rate = 3 }\n'
        '[[device]]\nprofile = "ld120"\nid = 2\n[[device]]\nprofile = "ld120"\nid = 2\n'
        '[[traffic]]\ndo = "fly"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "firmware_bridge.simulator", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 2
    for hint in ("baudrat", "profile", "crc_rate", "is on this bus already", "traffic[0]"):
        assert hint in done.stderr


def test_a_pymodbus_client_understands_our_simulator(simulator_process) -> None:  # type: ignore[no-untyped-def]
    """An independent reader of the same bytes."""
    from pymodbus.client import ModbusSerialClient

    port, _, _ = simulator_process
    client = ModbusSerialClient(port=str(port), baudrate=9600, timeout=1, retries=0)
    assert client.connect()
    try:
        reply = client.read_input_registers(0, count=2, device_id=1)
        assert reply.registers == [34, 2]
    finally:
        client.close()


def test_our_master_reads_a_pymodbus_server(tmp_path: Path) -> None:
    """An independent device, which answers at once and unpaced."""
    script = tmp_path / "server.py"
    script.write_text(
        "import os, sys, tty\n"
        "from pymodbus.server import StartSerialServer\n"
        "from pymodbus.framer import FramerType\n"
        "from pymodbus.simulator import DataType, SimData, SimDevice\n"
        "device = SimDevice(7, simdata=[SimData(0x34, count=4, values=1803, datatype=DataType.REGISTERS)])\n"
        "StartSerialServer(device, framer=FramerType.RTU, port=sys.argv[1], baudrate=115200)\n",
        encoding="utf-8",
    )
    near, far = os.openpty()
    bus_near, bus_far = os.openpty()
    for fd in (near, far, bus_near, bus_far):
        import tty

        tty.setraw(fd)
    stop = threading.Event()

    def patch_cable() -> None:
        import select

        while not stop.is_set():
            for fd in select.select([near, bus_near], [], [], 0.05)[0]:
                os.write(bus_near if fd == near else near, os.read(fd, 4096))

    cable = threading.Thread(target=patch_cable)
    cable.start()
    link = LinkSettings(baudrate=115200, parity="N", stop_bits=1)
    with subprocess.Popen([sys.executable, str(script), os.ttyname(far)]) as server:
        try:
            with bare_bus(os.ttyname(bus_far), link) as ask:
                request = Request(device_id=7, function=3, address=0x34, count=2)
                until(lambda: ask(request, 0.3).cause is Cause.OK, "the server is up")
                assert ask(request, 0.3).values == (1803, 1803)
                refused = ask(Request(device_id=7, function=3, address=0x99), 0.3)
                assert refused.cause is Cause.EXCEPTION
        finally:
            server.terminate()
            stop.set()
            cable.join()
    for fd in (near, far, bus_near, bus_far):
        os.close(fd)


def test_the_simulator_minds_no_faulty_profile_that_no_device_names(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config" / "sensors"
    (tmp_path / "mine.toml").write_text('name = "mine"\nformat = 2\n')
    (tmp_path / "torn.toml").write_text("[registers")
    text = f'link = "{tmp_path}/bus0"\nprofiles = ["{tmp_path}", "{shipped}"]\n[[device]]\nid = 1\nprofile = '
    config = tmp_path / "settings" / "sim.toml"
    config.parent.mkdir()
    config.write_text(text + '"ld120"')
    assert [device.device_id for device in load_simulator_settings(config).devices] == [1]
    config.write_text(text + '"mine"')
    with pytest.raises(SettingsError) as refused:
        load_simulator_settings(config)
    keys = [fault.key for fault in refused.value.faults]
    assert f"profile {tmp_path / 'mine.toml'}: format" in keys
    assert not any("torn.toml" in key for key in keys)
