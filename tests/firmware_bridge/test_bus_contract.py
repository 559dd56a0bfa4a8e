"""The bus against simulated sensors on a real pty: what the daemon may rely on."""

import errno
import itertools
import os
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from pydantic import ValidationError

from firmware_bridge import (
    BusSettings,
    ChannelState,
    PortError,
    SensorBus,
    SensorProfile,
    SensorSettings,
    SettingsError,
    check_sensors,
)
from firmware_bridge.lines import open_line
from firmware_bridge.serial_port import SerialLine, port_error
from firmware_bridge.simulator import FaultPlan, LineFaults, SimulatedDevice
from tests.firmware_bridge.conftest import rehearsal, running
from tests.waiting import until

Profiles = dict[str, SensorProfile]


def sensor(profiles: Profiles, name: str, device_id: int) -> SensorSettings:
    return SensorSettings(name=f"{name}-{device_id}", device_id=device_id, profile=profiles[name])


def test_arrivals_and_departures_are_seen_on_a_loop_and_a_distance_sensor(
    tmp_path: Path, profiles: Profiles
) -> None:
    devices = [SimulatedDevice(profiles["ld120"], 1), SimulatedDevice(profiles["urm15"], 2, occupied=[1])]
    sensors = [sensor(profiles, "ld120", 1), sensor(profiles, "urm15", 2)]
    with running(tmp_path / "bus", devices, sensors) as rig:
        until(lambda: len(rig.seen) == 2, "both are known")
        assert rig.states("ld120-1") == ["vacant"]
        assert rig.states("urm15-2") == ["occupied"]
        assert all(observation.previous is None for observation in rig.seen)
        rig.device(1).arrive()
        rig.device(2).leave()
        until(lambda: len(rig.seen) == 4, "both have changed")
        assert rig.states("ld120-1") == ["vacant", "occupied"]
        assert rig.states("urm15-2") == ["occupied", "vacant"]
        state, age_s = rig.bus.channel_states()["ld120-1", 1]
        assert state is ChannelState.OCCUPIED
        assert age_s is not None
        assert 0 <= age_s < 60


def test_a_swapped_car_shows_in_the_counter(tmp_path: Path, profiles: Profiles) -> None:
    with running(
        tmp_path / "bus", [SimulatedDevice(profiles["ld120"], 1)], [sensor(profiles, "ld120", 1)]
    ) as rig:
        until(lambda: rig.bus.snapshot().sensors[0].channels[0].counter is not None, "the counter is known")
        rig.device(1).arrive()
        until(lambda: rig.states("ld120-1")[-1:] == ["occupied"], "the first car is seen")
        until(lambda: rig.bus.snapshot().sensors[0].channels[0].counter == 1, "the first car is counted")
        rig.device(1).swap()
        until(lambda: rig.seen[-1].counter_delta == 1, "the swap is seen")
        assert rig.seen[-1].state is rig.seen[-1].previous is ChannelState.OCCUPIED
        assert [o.counter_delta for o in rig.seen[1:-1]] == [0]


def test_a_dead_sensor_becomes_fault_is_quarantined_and_comes_back(profiles: Profiles) -> None:
    dead = SimulatedDevice(profiles["ld120"], 1, faults=FaultPlan(silent_rate=1.0))
    devices = [dead, SimulatedDevice(profiles["ld120"], 2)]
    sensors = [sensor(profiles, "ld120", 1), sensor(profiles, "ld120", 2)]
    bus = rehearsal(devices, sensors, fault_after_s=1.0)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.states("ld120-1") == ["fault"]
        yield lambda: bus.bus.snapshot().sensors[0].quality == "quarantined"
        assert bus.states("ld120-2") == ["vacant"]
        dead.faults = FaultPlan()
        yield lambda: bus.states("ld120-1") == ["fault", "vacant"]

    bus.play(story())


def test_a_faulty_loop_is_a_fault_and_not_a_vacant_berth(tmp_path: Path, profiles: Profiles) -> None:
    with running(
        tmp_path / "bus", [SimulatedDevice(profiles["ld120"], 1)], [sensor(profiles, "ld120", 1)]
    ) as rig:
        until(lambda: rig.states("ld120-1") == ["vacant"], "vacant is known")
        rig.device(1).break_down("loop open circuit")
        until(lambda: rig.states("ld120-1")[-1] == "fault", "the fault is seen")
        assert rig.seen[-1].cause == "loop open circuit"
        rig.device(1).break_down("")
        until(lambda: rig.states("ld120-1")[-1] == "vacant", "the loop is mended")


def test_a_gateway_that_lost_power_gets_its_settings_again(tmp_path: Path, profiles: Profiles) -> None:
    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1, 3))
    with running(tmp_path / "bus", [SimulatedDevice(profiles["dx80_mgage"], 1)], [gateway]) as rig:
        device = rig.device(1)
        until(lambda: device.peek("configuration", 3) == 0x0B4B, "both nodes are configured")
        assert device.peek("configuration", 1) == 0x0B4B
        assert device.peek("configuration", 2) == 0  # not in use
        device.arrive(3)
        until(lambda: rig.states("g", 3)[-1:] == ["occupied"], "node 3 sees a car")
        assert rig.states("g", 1) == ["vacant"]


def test_a_gateway_that_never_shows_its_setting_is_written_less_and_less_often(profiles: Profiles) -> None:
    written_s: list[float] = []

    class Secretive(SimulatedDevice):
        def answer(self, pdu: bytes) -> bytes:
            reply = super().answer(pdu)
            if pdu[0] == 6:
                written_s.append(bus.now_s)
                self.power_cycle()
            return reply

    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1,))
    bus = rehearsal(
        [Secretive(profiles["dx80_mgage"], 1)], [gateway], poll_interval_s=10.0, fault_after_s=60.0
    )

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 1000

    bus.play(story(), within_s=1100)
    pauses_s = [round(later - earlier) for earlier, later in itertools.pairwise(written_s)]
    assert pauses_s == [30, 30, 30, 60, 90, 180, 330]  # at least 5, 10, 20 ..., and read every half minute


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(LineFaults(echo=True), id="echo"),
        pytest.param(LineFaults(leading_noise_rate=1.0), id="leading noise"),
        pytest.param(LineFaults(trailing_noise_rate=1.0), id="trailing noise"),
        pytest.param(LineFaults(idle_noise_rate=1.0), id="noise between frames"),
        pytest.param(LineFaults(corrupt_byte_rate=0.02), id="corrupted bytes"),
    ],
)
def test_changes_are_seen_on_a_bad_line(profiles: Profiles, faults: LineFaults) -> None:
    devices = [SimulatedDevice(profiles["ld120"], 1), SimulatedDevice(profiles["ld120"], 2)]
    bus = rehearsal(devices, [sensor(profiles, "ld120", 1), sensor(profiles, "ld120", 2)], faults)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: len(bus.seen) == 2
        devices[1].arrive()
        yield lambda: bus.states("ld120-2") == ["vacant", "occupied"]

    bus.play(story())
    assert bus.states("ld120-1") == ["vacant"]


def test_an_echo_on_a_real_port_hides_nothing(tmp_path: Path, profiles: Profiles) -> None:
    with running(
        tmp_path / "bus", [SimulatedDevice(profiles["ld120"], 1)], [sensor(profiles, "ld120", 1)]
    ) as rig:
        rig.simulator.line.faults = LineFaults(echo=True)
        until(lambda: rig.bus.snapshot().echoes, "the echo is noticed")
        rig.device(1).arrive()
        until(lambda: rig.states("ld120-1") == ["vacant", "occupied"], "the arrival is seen")


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(FaultPlan(late_rate=0.5, late_s=0.15), id="late"),
        pytest.param(FaultPlan(wrong_id_rate=0.5), id="wrong id"),
        pytest.param(FaultPlan(wrong_count_rate=0.5), id="wrong count"),
        pytest.param(FaultPlan(truncate_rate=0.5), id="cut"),
        pytest.param(FaultPlan(merge_rate=0.5), id="merged"),
        pytest.param(FaultPlan(split_rate=1.0), id="split"),
        pytest.param(FaultPlan(babble_rate=0.5), id="babble"),
        pytest.param(FaultPlan(exception_rate=0.5, exception_code=6), id="busy"),
    ],
)
def test_a_nasty_sensor_never_shows_a_wrong_state(profiles: Profiles, plan: FaultPlan) -> None:
    nasty = SimulatedDevice(profiles["urm15"], 1, occupied=[1], faults=plan)
    # taken for the distance, this temperature would be a berth without a car
    nasty.write_signal("temperature", 1, 3000.0)
    devices = [nasty, SimulatedDevice(profiles["urm15"], 2)]
    sensors = [sensor(profiles, "urm15", 1), sensor(profiles, "urm15", 2)]
    bus = rehearsal(devices, sensors, fault_after_s=60.0)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: len(bus.seen) == 2
        for _ in range(20):
            nasty.leave()
            yield lambda: bus.states("urm15-1")[-1] == "vacant"
            nasty.arrive()
            yield lambda: bus.states("urm15-1")[-1] == "occupied"

    bus.play(story(), within_s=1200)
    assert bus.states("urm15-1") == ["occupied", *["vacant", "occupied"] * 20]
    assert bus.states("urm15-2") == ["vacant"]


def test_an_unplugged_adapter_is_found_again_without_restart(tmp_path: Path, profiles: Profiles) -> None:
    with running(
        tmp_path / "bus", [SimulatedDevice(profiles["ld120"], 1)], [sensor(profiles, "ld120", 1)]
    ) as rig:
        until(lambda: rig.states("ld120-1") == ["vacant"], "vacant is known")
        rig.simulator.unplug(0.3)
        until(lambda: rig.bus.snapshot().port_error is not None, "the loss is noticed")
        rig.device(1).arrive()
        until(lambda: rig.states("ld120-1")[-1] == "occupied", "polling goes on")
        assert rig.bus.snapshot().port_error is None


def test_a_missing_port_is_told_and_waited_for(tmp_path: Path, profiles: Profiles) -> None:
    sensors = [sensor(profiles, "ld120", 1)]
    with running(tmp_path / "none", [], sensors, fault_after_s=0.5, start_simulator=False) as rig:
        until(lambda: rig.states("ld120-1") == ["fault"], "nobody answers")
        snapshot = rig.bus.snapshot()
        assert "is not there" in str(snapshot.port_error)
        assert "plug" in str(snapshot.port_remedy)
        before_s = rig.bus.last_progress_s
        until(lambda: rig.bus.last_progress_s > before_s, "progress goes on without a port")


def test_a_port_held_by_another_process_is_told(tmp_path: Path, profiles: Profiles) -> None:
    devices, sensors = [SimulatedDevice(profiles["ld120"], 1)], [sensor(profiles, "ld120", 1)]
    with running(tmp_path / "bus", devices, sensors) as rig:
        until(lambda: len(rig.seen) == 1, "the first bus has the port")
        second = SensorBus(BusSettings(name="other", port=str(rig.port)), sensors, lambda _: None)
        stop = threading.Event()
        thread = threading.Thread(target=second.run, args=(stop,))
        thread.start()
        try:
            until(lambda: second.snapshot().port_error is not None, "the second is refused")
            assert "held by another process" in str(second.snapshot().port_error)
        finally:
            stop.set()
            thread.join(5)


def test_two_sensors_with_one_id_on_a_bus_are_refused(profiles: Profiles) -> None:
    twins = [
        SensorSettings(name="a", device_id=1, profile=profiles["ld120"]),
        SensorSettings(name="b", device_id=1, profile=profiles["urm15"]),
    ]
    with pytest.raises(SettingsError, match="sensor a has that id"):
        check_sensors(BusSettings(name="kerb", port="/dev/null"), twins)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"port": ""}, "port"),
        ({"baudrate": 0}, "1200"),
        ({"parity": "X"}, "'none', 'even' or 'odd'"),
        ({"stop_bits": 3}, "less than or equal to 2"),
        ({"gap_ms": -1}, "greater than or equal to 0"),
        ({"poll_interval": 1}, "poll_interval"),
    ],
)
def test_wrong_bus_settings_are_refused(wrong: dict[str, object], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        BusSettings(**({"name": "kerb", "port": "/dev/ttyUSB0"} | wrong))  # type: ignore[arg-type]  # on purpose


def test_an_unexpected_exception_ends_the_bus(tmp_path: Path, profiles: Profiles) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug in the daemon")

    bus = SensorBus(
        BusSettings(name="kerb", port=str(tmp_path / "none"), fault_after_s=0.5),
        [sensor(profiles, "ld120", 1)],
        fail,
    )
    with pytest.raises(RuntimeError, match="a bug"):
        bus.run(threading.Event())


def test_a_port_that_is_no_serial_port_is_a_port_error(tmp_path: Path) -> None:
    plain = tmp_path / "file"
    plain.write_text("")
    with pytest.raises(PortError), open_line(BusSettings(name="kerb", port=str(plain))):
        pass


def test_rs485_by_rts_is_refused_clearly_where_the_driver_cannot(tmp_path: Path, profiles: Profiles) -> None:
    with running(tmp_path / "bus", [SimulatedDevice(profiles["ld120"], 1)], []) as rig:
        settings = BusSettings(name="kerb", port=str(rig.port), rs485=True)
        rig.simulator.unplug(0.0)  # our own bus lets go of the port for a moment
        until(lambda: rig.bus.snapshot().port_error is not None, "the port is free")
        until(rig.port.exists, "the port is back")
        with pytest.raises(PortError, match="cannot do RS-485 by RTS"), open_line(settings):
            pass


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), "is not there", "plug"),
        (PermissionError(errno.EACCES, "x"), "may not be opened", "dialout"),
        (OSError(errno.EBUSY, "x"), "is held by another process", "fuser"),
        (OSError(errno.EIO, "x"), "was unplugged", "found by itself"),
        (termios.error(errno.EIO, "x"), "was unplugged", "found by itself"),
        (OSError(errno.EINVAL, "x"), "failed", "adapter"),
        (serial.SerialException("Could not exclusively lock port x"), "is held by another process", "fuser"),
    ],
)
def test_every_error_of_the_system_has_a_cause_and_a_remedy(
    error: Exception, cause: str, remedy: str
) -> None:
    told = port_error(error, "/dev/ttyUSB0")
    assert f"/dev/ttyUSB0 {cause}" in str(told)
    assert remedy in told.remedy


def test_thirty_two_berths_behind_one_unit_id_are_read_in_few_blocks(profiles: Profiles) -> None:
    nodes = tuple(range(1, 33))
    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=nodes)
    device = SimulatedDevice(profiles["dx80_mgage"], 1, occupied=[5])
    bus = rehearsal([device], [gateway], baudrate=19200)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: len(bus.seen) == 32
        assert bus.bus.snapshot().sensors[0].requests < 5 + 32 + 32  # blocks; settings read and written
        assert {o.channel for o in bus.seen if o.state is ChannelState.OCCUPIED} == {5}
        device.arrive(32)
        came_s = bus.now_s
        yield lambda: bus.states("g", 32)[-1] == "occupied"
        assert bus.now_s - came_s < 2.0

    bus.play(story())


def test_thirty_two_sensors_share_a_bus(profiles: Profiles) -> None:
    devices = [SimulatedDevice(profiles["ld120"], device_id) for device_id in range(1, 33)]
    bus = rehearsal(devices, [sensor(profiles, "ld120", device_id) for device_id in range(1, 33)])

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: len(bus.seen) == 32
        for device in devices:
            device.arrive()
        came_s = bus.now_s
        yield lambda: len(bus.seen) == 64
        assert bus.now_s - came_s < 1.2  # a round is 0.84 s

    bus.play(story())


def test_two_buses_run_side_by_side(tmp_path: Path, profiles: Profiles) -> None:
    def one(name: str):  # type: ignore[no-untyped-def]  # a context manager of Rig
        devices = [SimulatedDevice(profiles["ld120"], 1)]
        return running(tmp_path / name, devices, [sensor(profiles, "ld120", 1)])

    with one("left") as left, one("right") as right:
        until(lambda: len(left.seen) == len(right.seen) == 1, "both poll")
        left.device(1).arrive()
        until(lambda: left.states("ld120-1")[-1] == "occupied", "the left one sees it")
        assert right.states("ld120-1") == ["vacant"]


def test_an_adapter_that_sends_nothing_on_is_not_called_held_by_another_process() -> None:
    far, near = os.openpty()
    try:
        tty.setraw(near)
        os.set_blocking(near, False)
        line = SerialLine(near, "/dev/ttyUSB0")
        with pytest.raises(PortError, match=r"took \d+ of 64 characters") as refused:
            all(line.send(bytes(64)) is None for _ in itertools.count())  # nobody reads the far end
        assert "plug it in again" in refused.value.remedy
    finally:
        os.close(far)
        os.close(near)
