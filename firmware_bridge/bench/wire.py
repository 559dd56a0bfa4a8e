"""Poll cycles on a pty, paced at the real baud rate, and through a Modbus TCP gateway."""

import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, ModbusSerialClient

from firmware_bridge.bus import SensorBus
from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.scan import NAMED_PROBE_TIMEOUT_S, LinkSettings, scan
from firmware_bridge.settings import BusSettings, SensorSettings
from firmware_bridge.simulator import SimulatedDevice, TcpGateway, send_command
from firmware_bridge.transaction import Outcome

SENSORS = 16
TURNAROUND_S = 0.005
_PROFILE = "sen0492"  # one register, nothing else to ask
_ADDRESS = 0x34
_WARM_UP_S = 1.0
_ABSENT_IDS = range(101, 107)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBus:
    """A simulator process: where its port and its command socket are."""

    port: Path
    control: Path
    timing: LinkTiming

    @property
    def limit_s(self) -> float:
        """The least time of one cycle on this wire (FACTS: 8c + turnaround + reply + t3.5)."""
        one_s = self.timing.transaction_s(request_bytes=8, reply_bytes=7, turnaround_s=TURNAROUND_S)
        return SENSORS * one_s

    def violations(self) -> int:
        return int(send_command(self.control, {"do": "status"})["counts"]["gap_violations"])


@contextmanager
def simulated(baudrate: int) -> Iterator[SimulatedBus]:
    """Sixteen distance sensors in a process of their own."""
    with tempfile.TemporaryDirectory(prefix="bench-bus-") as folder:
        port, control = Path(folder) / "bus", Path(folder) / "control"
        lines = [f'link = "{port}"', f'control = "{control}"', f"baudrate = {baudrate}"]
        for device_id in range(1, SENSORS + 1):
            lines += ["[[device]]", f'profile = "{_PROFILE}"', f"id = {device_id}"]
            lines += [f"turnaround_ms = {TURNAROUND_S * 1000:g}"]
        config = Path(folder) / "sim.toml"
        config.write_text("\n".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", "firmware_bridge.simulator", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                yield SimulatedBus(port=port, control=control, timing=LinkTiming(baudrate=baudrate))
            finally:
                process.terminate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Mean cycle over a stretch of time, and what it cost."""

    cycle_s: float
    cpu_percent: float = 0.0
    errors: int = 0


def ours(
    bus: SimulatedBus, profiles: Mapping[str, SensorProfile], seconds: float, *, dead: int = 0
) -> Measured:
    """Our bus thread, everything else of the process at rest. With `dead` the last ones say nothing."""
    for device_id in range(SENSORS - dead + 1, SENSORS + 1):
        send_command(bus.control, {"do": "faults", "device": device_id, "silent_rate": 1.0})
    settings = BusSettings(
        name="bench", port=str(bus.port), baudrate=bus.timing.baudrate, poll_interval_s=0.0
    )
    master = SensorBus(settings, _sensors(profiles), lambda _: None)
    stop = threading.Event()
    thread = threading.Thread(target=master.run, args=(stop,))
    thread.start()
    # the dead ones' first failures are over when they are in quarantine
    time.sleep(_WARM_UP_S + 4.0 * bool(dead))
    before, started_s, cpu_s = _answers(master, SENSORS - dead), time.monotonic(), time.process_time()
    time.sleep(seconds)
    answered = _answers(master, SENSORS - dead) - before
    took_s, cpu_s = time.monotonic() - started_s, time.process_time() - cpu_s
    errors = sum(sum(sensor.errors.values()) for sensor in master.snapshot().sensors[: SENSORS - dead])
    stop.set()
    thread.join()
    for device_id in range(SENSORS - dead + 1, SENSORS + 1):
        send_command(bus.control, {"do": "faults", "device": device_id})
    return Measured(
        cycle_s=took_s * (SENSORS - dead) / answered, cpu_percent=100 * cpu_s / took_s, errors=errors
    )


GATEWAY_LATENCY_S = 0.020


def gateway_cycle_over_limit(profiles: Mapping[str, SensorProfile], seconds: float) -> float:
    """Poll cycle through a Modbus TCP gateway over the least that one request at a time can take."""
    devices = [SimulatedDevice(profiles[_PROFILE], device_id) for device_id in range(1, SENSORS + 1)]
    gateway, stop = TcpGateway(devices, latency_s=GATEWAY_LATENCY_S), threading.Event()
    settings = BusSettings(name="bench", port=f"tcp://127.0.0.1:{gateway.port}", poll_interval_s=0.0)
    master = SensorBus(settings, _sensors(profiles), lambda _: None)
    threads = [threading.Thread(target=part.run, args=(stop,)) for part in (gateway, master)]
    for thread in threads:
        thread.start()
    time.sleep(_WARM_UP_S)
    before, started_s = gateway.requests, time.monotonic()
    time.sleep(seconds)
    cycle_s = (time.monotonic() - started_s) * SENSORS / (gateway.requests - before)
    stop.set()
    for thread in threads:
        thread.join()
    return cycle_s / (SENSORS * GATEWAY_LATENCY_S)


def scan_worst_age_s(bus: SimulatedBus, profiles: Mapping[str, SensorProfile]) -> float:
    """The oldest reading of any sensor while a technician scans ids of no device."""
    settings = BusSettings(name="bench", port=str(bus.port), baudrate=bus.timing.baudrate)
    master, stop, worst_s = SensorBus(settings, _sensors(profiles), lambda _: None), threading.Event(), 0.0
    thread = threading.Thread(target=master.run, args=(stop,))
    thread.start()
    time.sleep(2 * _WARM_UP_S)
    link = LinkSettings(baudrate=bus.timing.baudrate, parity="N", stop_bits=1)

    def ask(request: Request, timeout_s: float) -> Outcome:
        return master.ask(request, response_timeout_s=timeout_s)

    def scan_absent() -> None:
        list(scan(ask, link, profiles, _ABSENT_IDS, probe_timeout_s=NAMED_PROBE_TIMEOUT_S))

    scanning = threading.Thread(target=scan_absent)
    scanning.start()
    while scanning.is_alive():
        ages = [age_s for _, age_s in master.channel_states().values() if age_s is not None]
        worst_s = max([worst_s, *ages])
        time.sleep(0.02)
    scanning.join()
    stop.set()
    thread.join()
    return worst_s


def pymodbus_sync(bus: SimulatedBus, seconds: float) -> Measured:
    """A plain loop of pymodbus's sync client, keeping t3.5 before each request."""
    client: Any = ModbusSerialClient(port=str(bus.port), baudrate=bus.timing.baudrate, timeout=0.5, retries=0)
    client.connect()

    def ask(device_id: int) -> bool:
        reply = client.read_holding_registers(_ADDRESS, count=1, device_id=device_id)
        time.sleep(bus.timing.gap_s)
        return bool(reply.isError())

    try:
        return _loop(ask, seconds)
    finally:
        client.close()


def pymodbus_async(bus: SimulatedBus, seconds: float) -> Measured:
    """The same with its async client.

    The gap is slept, not awaited: asyncio's timer only counts milliseconds.
    """

    async def poll() -> Measured:
        client: Any = AsyncModbusSerialClient(
            port=str(bus.port), baudrate=bus.timing.baudrate, timeout=0.5, retries=0
        )
        await client.connect()
        errors = count = 0
        started_s = time.monotonic()
        try:
            while time.monotonic() < started_s + seconds:
                for device_id in range(1, SENSORS + 1):
                    reply = await client.read_holding_registers(_ADDRESS, count=1, device_id=device_id)
                    errors += bool(reply.isError())
                    time.sleep(bus.timing.gap_s)
                count += 1
            return Measured(cycle_s=(time.monotonic() - started_s) / count, errors=errors)
        finally:
            client.close()

    return asyncio.run(poll())


def _loop(ask: Callable[[int], bool], seconds: float) -> Measured:
    errors = count = 0
    started_s = time.monotonic()
    while time.monotonic() < started_s + seconds:
        errors += sum(ask(device_id) for device_id in range(1, SENSORS + 1))
        count += 1
    return Measured(cycle_s=(time.monotonic() - started_s) / count, errors=errors)


def _sensors(profiles: Mapping[str, SensorProfile]) -> list[SensorSettings]:
    return [
        SensorSettings(name=str(device_id), device_id=device_id, profile=profiles[_PROFILE])
        for device_id in range(1, SENSORS + 1)
    ]


def _answers(master: SensorBus, living: int) -> int:
    return sum(sensor.answers for sensor in master.snapshot().sensors[:living])
