"""Modbus TCP gateways and transparent serial servers, against servers and bridges that are not ours."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from edged.cli import app
from firmware_bridge import BusSettings, Observation, SensorBus, SensorProfile, SensorSettings
from firmware_bridge.errors import PortError
from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.network import connected
from firmware_bridge.simulator import BusSimulator, SimulatedDevice, TcpGateway
from firmware_bridge.trace import TraceBuffer
from firmware_bridge.transaction import Cause
from tests.firmware_bridge.test_cli_bus import CONFIG
from tests.waiting import until

Profiles = dict[str, SensorProfile]


class Proxy:
    """A network between two ends: late, uneven, deaf, or cut."""

    def __init__(self, port: int, *, delay_s: float = 0.0, jitter_s: float = 0.0) -> None:
        self.delay_s, self.jitter_s = delay_s, jitter_s
        self.deaf = False  # keeps the connection, passes nothing on
        self.connections = 0
        self._target = port
        self._rng = Random(1)
        self._cut = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Reset the connection that there is."""
        self._cut.set()

    def run(self, stop: threading.Event) -> None:
        with self._listener:
            while not stop.is_set():
                if select.select([self._listener], [], [], 0.02)[0]:
                    near, _ = self._listener.accept()
                    self.connections += 1
                    self._cut.clear()
                    target = ("127.0.0.1", self._target)
                    with near, suppress(ConnectionRefusedError), socket.create_connection(target) as far:
                        self._pass_on(near, far, stop)

    def _pass_on(self, near: socket.socket, far: socket.socket, stop: threading.Event) -> None:
        waiting: list[tuple[float, socket.socket, bytes]] = []
        while not stop.is_set():
            if self._cut.is_set():
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            for source in select.select([near, far], [], [], 0.002)[0]:
                try:
                    data = source.recv(4096)
                except OSError:
                    return
                if not data:
                    return
                due_s = time.monotonic() + (self.delay_s + self._rng.uniform(0, self.jitter_s)) / 2
                due_s = max([due_s, *(when_s for when_s, _, _ in waiting)])  # TCP keeps the order
                waiting.append((due_s, far if source is near else near, data))
            while waiting and waiting[0][0] <= time.monotonic():
                _, to, data = waiting.pop(0)
                if not self.deaf:
                    to.sendall(data)


@contextmanager
def threads(*parts: object) -> Iterator[None]:
    stop = threading.Event()
    running = [threading.Thread(target=part.run, args=(stop,)) for part in parts]  # type: ignore[attr-defined]  # all have run(stop)
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join(10)


@contextmanager
def bus_at(port: str, *sensors: SensorSettings) -> Iterator[tuple[SensorBus, list[Observation]]]:
    seen: list[Observation] = []
    settings = BusSettings(name="net", port=port, baudrate=115200, poll_interval_s=0.0)
    bus = SensorBus(settings, sensors, seen.append)
    with threads(bus):
        yield bus, seen


def sensors(profiles: Profiles, *ids: int) -> list[SensorSettings]:
    return [SensorSettings(name=f"s{at}", device_id=at, profile=profiles["sen0492"]) for at in ids]


def states(seen: list[Observation], sensor: str) -> list[str]:
    return [str(observation.state) for observation in tuple(seen) if observation.sensor == sensor]


@pytest.mark.parametrize(("delay_s", "jitter_s"), [(0.005, 0.0), (0.05, 0.02), (0.2, 0.1)])
def test_arrivals_are_seen_through_a_gateway_however_slow(
    profiles: Profiles, delay_s: float, jitter_s: float
) -> None:
    devices = [SimulatedDevice(profiles["sen0492"], at) for at in (1, 2)]
    gateway = TcpGateway(devices)
    proxy = Proxy(gateway.port, delay_s=delay_s, jitter_s=jitter_s)
    with (
        threads(gateway, proxy),
        bus_at(f"tcp://127.0.0.1:{proxy.port}", *sensors(profiles, 1, 2, 3)) as (bus, seen),
    ):
        until(lambda: states(seen, "s1") and states(seen, "s2"), "both are known")
        devices[0].arrive()
        until(lambda: states(seen, "s1")[-1] == "occupied", "the arrival is seen")
        until(lambda: states(seen, "s3") == ["fault"], "the third is not there")
        assert seen[-1].cause == "no answer (the gateway says exception 11)"
        assert bus.snapshot().sensors[2].quality in ("failing", "quarantined")
    assert states(seen, "s2") == ["vacant"]


def test_a_reset_connection_is_opened_again_and_a_silent_one_is_noticed(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.network._SILENT_S", 1.0)
    device = SimulatedDevice(profiles["sen0492"], 1)
    gateway = TcpGateway([device])
    proxy = Proxy(gateway.port)
    with (
        threads(gateway, proxy),
        bus_at(f"tcp://127.0.0.1:{proxy.port}", *sensors(profiles, 1)) as (bus, seen),
    ):
        until(lambda: states(seen, "s1") == ["vacant"], "it is known")
        proxy.cut()
        until(lambda: proxy.connections == 2, "it is connected again")
        device.arrive()
        until(lambda: states(seen, "s1")[-1] == "occupied", "polling goes on")
        proxy.deaf = True
        until(lambda: bus.snapshot().port_losses >= 2, "the silence is noticed", within_s=30)
        proxy.deaf = False
        device.leave()
        until(lambda: states(seen, "s1")[-1] == "vacant", "polling goes on", within_s=30)


def test_a_reply_with_another_transaction_id_is_no_answer(profiles: Profiles) -> None:
    gateway = TcpGateway([SimulatedDevice(profiles["sen0492"], 1)])
    gateway.transaction_offset = -1
    with threads(gateway), bus_at(f"tcp://127.0.0.1:{gateway.port}", *sensors(profiles, 1)) as (bus, seen):
        until(lambda: gateway.requests > 3, "it is asked")
        assert bus.snapshot().sensors[0].answers == 0
        gateway.transaction_offset = 0
        until(lambda: states(seen, "s1")[-1:] == ["vacant"], "it is understood", within_s=30)


def test_what_is_not_there_or_speaks_otherwise_is_said(profiles: Profiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with bus_at(f"tcp://127.0.0.1:{port}", *sensors(profiles, 1)) as (bus, _):
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                until(lambda: bus.snapshot().port_error is not None, "it is noticed")
            assert "does not speak Modbus TCP" in str(bus.snapshot().port_error)
            assert "rtu+tcp://" in str(bus.snapshot().port_remedy)
    with bus_at(f"tcp://127.0.0.1:{port}", *sensors(profiles, 1)) as (bus, _):
        until(lambda: bus.snapshot().port_error is not None, "nobody listens")
        assert "refuses the connection" in str(bus.snapshot().port_error)
    with bus_at("tcp://no.such.host.invalid", *sensors(profiles, 1)) as (bus, _):
        until(lambda: bus.snapshot().port_error is not None, "it has no address")
        assert "is not known" in str(bus.snapshot().port_error)


def test_a_trace_of_a_gateway_holds_frames_as_a_serial_one_does(profiles: Profiles) -> None:
    gateway = TcpGateway([SimulatedDevice(profiles["sen0492"], 1)])
    with threads(gateway), bus_at(f"tcp://127.0.0.1:{gateway.port}", *sensors(profiles, 1)) as (bus, seen):
        bus.tap = tap = TraceBuffer()
        until(lambda: states(seen, "s1"), "it is known")
        until(lambda: tap.since(0, 0.0)[0] > 3, "it is traced")
        events = tap.since(0, 0.0)[2]
    assert {event["sent"] for event in events if "sent" in event} == {"010300340001c5c4"}
    assert all(event["heard"].startswith("010302") for event in events if "heard" in event)


@pytest.mark.skipif(shutil.which("socat") is None, reason="needs socat")
@pytest.mark.parametrize("delay_s", [0.0, 0.2])
def test_a_transparent_serial_server_is_a_line_like_any_other(
    tmp_path: Path, profiles: Profiles, delay_s: float
) -> None:
    device = SimulatedDevice(profiles["sen0492"], 1)
    simulator = BusSimulator([device], link=tmp_path / "bus", timing=LinkTiming(baudrate=115200))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with threads(simulator):
        assert simulator.ready.wait(30)
        words = [
            f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork",
            f"FILE:{tmp_path / 'bus'},raw,echo=0,b115200",
        ]
        with subprocess.Popen(["socat", *words]) as bridge:
            proxy = Proxy(port, delay_s=delay_s)
            try:
                name = f"rtu+tcp://127.0.0.1:{proxy.port}"
                with threads(proxy), bus_at(name, *sensors(profiles, 1)) as (bus, seen):
                    until(lambda: states(seen, "s1")[-1:] == ["vacant"], "it is known", within_s=30)
                    device.arrive()
                    until(lambda: states(seen, "s1")[-1] == "occupied", "the arrival is seen")
                    asked = bus.ask(Request(device_id=1, function=3, address=0x34), response_timeout_s=0.3)
                    assert asked.cause is Cause.OK
            finally:
                bridge.terminate()


def test_our_master_reads_libmodbus(tmp_path: Path) -> None:
    if shutil.which("gcc") is None or not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("needs gcc and libmodbus-dev")
    source = Path(__file__).with_name("libmodbus_server.c")
    program = tmp_path / "server"
    built = ["gcc", str(source), "-I/usr/include/modbus", "-lmodbus", "-o", str(program)]
    subprocess.run(built, check=True)
    with subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            with bus_at(f"tcp://127.0.0.1:{port}") as (bus, _):
                register = bus.ask(Request(device_id=1, function=3, address=0x34, count=2))
                assert (register.cause, register.values) == (Cause.OK, (1803, 0))
                assert bus.ask(Request(device_id=1, function=2, address=0, count=3)).values == (1, 0, 0)
                for write in (
                    Request(device_id=1, function=16, address=8, values=(1, 2, 3)),
                    Request(device_id=1, function=6, address=11, value=4),
                    Request(device_id=1, function=15, address=2, values=(1, 0, 1)),
                    Request(device_id=1, function=5, address=5, value=1),
                ):
                    assert bus.ask(write).cause is Cause.OK
                assert bus.ask(Request(device_id=1, function=3, address=8, count=4)).values == (1, 2, 3, 4)
                assert bus.ask(Request(device_id=1, function=1, address=2, count=4)).values == (1, 0, 1, 1)
                refused = bus.ask(Request(device_id=1, function=3, address=500))
                assert (refused.cause, refused.exception_code) == (Cause.EXCEPTION, 2)
        finally:
            server.kill()


def test_our_master_reads_a_pymodbus_tcp_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    script = tmp_path / "server.py"
    script.write_text(
        "import sys\n"
        "from pymodbus.server import StartTcpServer\n"
        "from pymodbus.simulator import DataType, SimData, SimDevice\n"
        "data = [SimData(0x34, count=4, values=1803, datatype=DataType.REGISTERS)]\n"
        "StartTcpServer(SimDevice(7, simdata=data), address=('127.0.0.1', int(sys.argv[1])))\n",
        encoding="utf-8",
    )
    with subprocess.Popen([sys.executable, str(script), str(port)], env=os.environ) as server:
        try:
            with bus_at(f"tcp://127.0.0.1:{port}") as (bus, _):
                until(
                    lambda: bus.snapshot().port_error is None and _answers(bus),
                    "the server is up",
                    within_s=30,
                )
                absent = bus.ask(Request(device_id=9, function=3, address=0x34))
                assert absent.is_absence or absent.cause is Cause.TIMEOUT
        finally:
            server.terminate()


def _answers(bus: SensorBus) -> bool:
    from firmware_bridge import PortError

    try:
        return bus.ask(Request(device_id=7, function=3, address=0x34, count=2)).values == (1803, 1803)
    except PortError:
        return False


def test_all_tools_work_through_a_gateway(tmp_path: Path, profiles: Profiles) -> None:
    devices = [SimulatedDevice(profiles["ld120"], 1), SimulatedDevice(profiles["urm15"], 2, occupied=[1])]
    gateway = TcpGateway(devices, latency_s=0.02)
    (tmp_path / "store").mkdir()
    text = CONFIG.format(folder=tmp_path).replace(f"{tmp_path}/bus", f"tcp://127.0.0.1:{gateway.port}")
    (tmp_path / "edged.toml").write_text(text, encoding="utf-8")

    def edged(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--config", str(tmp_path / "edged.toml")])
        assert done.exit_code == 0, done.output
        return done.stdout

    with threads(gateway):
        listed = json.loads(edged("bus", "list", "--json"))
        assert [sensor["quality"] for sensor in listed["sensors"]] == ["good", "good"]
        assert listed["sensors"][0]["channels"][0]["reads"] == "unit 1 FC04 address 1 bit 1"
        registers = json.loads(edged("bus", "read", "sonic", "--json"))["registers"]
        assert {row["register"]: row["value"] for row in registers}["distance"] == 140.0
        found = [json.loads(line) for line in edged("bus", "scan", "--ids", "1-3", "--json").splitlines()]
        assert [(row["device_id"], row["identified"]) for row in found] == [(1, ["ld120"]), (2, ["urm15"])]
        trace = tmp_path / "trace.jsonl"
        edged("bus", "trace", "--out", str(trace), "--seconds", "3", "--quiet")
        assert "drive_in" in edged("replay", str(trace))
        assert "has stored id 40" in edged("bus", "set-id", "loop", "40", "--yes")


def test_a_host_with_an_address_that_nobody_serves_is_reached_at_the_next_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        unserved = free.getsockname()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connected([unserved, server.getsockname()], "tcp://gateway:502") as connection,
    ):
        assert connection.getpeername() == server.getsockname()
    with pytest.raises(PortError, match="tcp://gateway:502"):
        connected([unserved], "tcp://gateway:502")
