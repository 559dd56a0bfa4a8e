"""Who is asked next: turns, retries, quarantine, bars against late replies, background work."""

import itertools
import threading
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from firmware_bridge import (
    BusSettings,
    ChannelState,
    Observation,
    SensorBus,
    SensorProfile,
    SensorSettings,
    load_profile,
)
from firmware_bridge.blocks import Purpose
from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.schedule import Rest, Schedule, Turn
from firmware_bridge.simulator import SimulatedDevice, SimulatedLine, VirtualLine
from firmware_bridge.simulator.traffic import Action, Deed
from firmware_bridge.transaction import Cause, Outcome
from tests.firmware_bridge.conftest import SENSORS

Profiles = dict[str, SensorProfile]
TIMING = LinkTiming(baudrate=9600)
TURN_S = 0.026


class Clockwork:
    """Plays a schedule against sensors of which some are dead, in its own time."""

    def __init__(self, schedule: Schedule, dead: set[int] | None = None) -> None:
        self.schedule = schedule
        self.dead = dead or set()
        self.garbling: set[int] = set()
        self.mute: set[tuple[int, int]] = set()  # unit id and function
        self.now_s = 0.0
        self.asked: list[tuple[float, Request]] = []

    def turn(self, cause: Cause = Cause.OK, exception_code: int = 0) -> Turn:
        while isinstance(step := self.schedule.next(self.now_s), Rest):
            assert step.until_s > self.now_s
            self.now_s = step.until_s
        device_id = step.request.device_id
        silent = device_id in self.dead or (device_id, step.request.function) in self.mute
        if device_id in self.garbling:
            cause = Cause.GARBLED
        self.asked.append((self.now_s, step.request))
        self.now_s += step.response_timeout_s if silent else TURN_S
        outcome = Outcome(
            request=step.request,
            cause=Cause.TIMEOUT if silent else cause,
            outstanding=silent,
            exception_code=exception_code,
            reply_s=None if silent or device_id in self.garbling else TURN_S,
        )
        self.schedule.settle(step, outcome, self.now_s)
        return step

    def run(self, seconds: float) -> Counter[int]:
        """How often each unit was asked from now on."""
        start, end_s = len(self.asked), self.now_s + seconds
        while self.now_s < end_s:
            self.turn()
        return Counter(request.device_id for _, request in self.asked[start:])


def clockwork(
    profiles: Profiles, name: str, count: int, dead: set[int] | None = None, poll_s: float = 0.0
) -> Clockwork:
    sensors = [SensorSettings(name=f"s{i}", device_id=i, profile=profiles[name]) for i in range(1, count + 1)]
    return Clockwork(Schedule(sensors, timing=TIMING, poll_interval_s=poll_s), dead)


def test_every_sensor_gets_its_turn_before_any_gets_a_second(profiles: Profiles) -> None:
    works = clockwork(profiles, "sen0492", 32)
    order = [works.turn().request.device_id for _ in range(64)]
    assert order == [*range(1, 33)] * 2


def test_dead_sensors_cost_the_living_at_most_a_tenth(profiles: Profiles) -> None:
    healthy = clockwork(profiles, "sen0492", 16).run(60.0)[1]
    works = clockwork(profiles, "sen0492", 16, dead={3, 7, 16})
    works.run(20.0)
    assert works.run(60.0)[1] >= healthy / 1.10


def test_a_quarantined_sensor_costs_one_timeout_a_period_and_periods_grow_to_ten_seconds(
    profiles: Profiles,
) -> None:
    works = clockwork(profiles, "sen0492", 2, dead={2})
    works.run(60.0)
    times = [at_s for at_s, request in works.asked if request.device_id == 2]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[-1] == pytest.approx(10.0, abs=0.5)
    assert sorted(gaps[6:]) == gaps[6:]
    assert len(times) <= 16


def test_a_sensor_that_answers_again_is_back_within_one_period(profiles: Profiles) -> None:
    works = clockwork(profiles, "sen0492", 2, dead={2})
    works.run(60.0)
    works.dead.clear()
    asked = works.run(11.0)
    assert asked[2] > 10
    lane = works.schedule.lanes[1]
    assert (lane.quarantined, lane.failures) == (False, 0)


def test_a_failing_sensor_is_never_asked_twice_in_a_row_while_another_is_due(profiles: Profiles) -> None:
    works = clockwork(profiles, "urm15", 4, dead={1, 2})
    for _ in range(20):
        works.turn()
    failing = [request.device_id in works.dead for _, request in works.asked]
    assert not any(first and second for first, second in itertools.pairwise(failing[2:]))


def test_no_request_of_a_shape_goes_out_while_a_late_reply_to_it_may_come(profiles: Profiles) -> None:
    works = clockwork(profiles, "urm15", 3, dead={1})
    works.run(30.0)
    link = profiles["urm15"].link
    bound_s = (link.response_timeout_ms + link.max_reply_delay_ms) / 1000
    last: dict[tuple[int, int, int], float] = {}
    for at_s, request in works.asked:
        if request.device_id == 1:
            assert at_s - last.get(request.shape, -9.0) >= bound_s
            last[request.shape] = at_s


def test_after_a_lost_reply_the_block_is_asked_in_another_shape_at_once(profiles: Profiles) -> None:
    works = clockwork(profiles, "urm15", 1, dead={1})
    first, second = works.turn().request, works.turn().request
    assert first.shape != second.shape
    assert works.asked[1][0] == pytest.approx(works.asked[0][0] + 0.1, abs=0.02)


def test_the_device_gets_the_gap_that_it_needs_between_transactions(profiles: Profiles) -> None:
    works = clockwork(profiles, "apg_mnu", 2)
    works.run(5.0)
    for device_id in (1, 2):
        times = [at_s for at_s, request in works.asked if request.device_id == device_id]
        assert min(b - a for a, b in itertools.pairwise(times)) >= 0.3


def test_counters_and_diagnostics_take_at_most_one_turn_a_round(profiles: Profiles) -> None:
    works = clockwork(profiles, "ld120", 8)
    works.run(30.0)
    is_level = [request.function == 4 for _, request in works.asked]
    assert not all(is_level)
    spare = [at for at, level in enumerate(is_level) if not level]
    assert min(b - a for a, b in itertools.pairwise(spare)) > 8


def test_with_time_to_spare_counters_are_read_as_often_as_the_profile_says(profiles: Profiles) -> None:
    works = clockwork(profiles, "ld120", 2, poll_s=0.5)
    works.run(20.0)
    counters = sum(request.function == 3 and request.device_id == 1 for _, request in works.asked)
    assert 17 <= counters <= 22


@pytest.mark.parametrize(("code", "pause_s"), [(5, 0.2), (6, 0.2), (4, 1.0), (2, 10.0)])
def test_an_exception_pauses_the_block_as_its_code_deserves(
    profiles: Profiles, code: int, pause_s: float
) -> None:
    works = clockwork(profiles, "sen0492", 1)
    works.turn(Cause.EXCEPTION, code)
    works.turn()
    (first_s, _), (second_s, _) = works.asked
    assert second_s - first_s == pytest.approx(pause_s + TURN_S, abs=0.01)
    assert works.schedule.lanes[0].failures == 0


def test_one_refusal_of_what_was_answered_before_is_a_garbled_request(profiles: Profiles) -> None:
    """A corrupted request can be a right one for registers that are not there: once in some 65,000."""
    works = clockwork(profiles, "sen0492", 1)
    works.turn()
    works.turn(Cause.EXCEPTION, 2)
    works.turn()
    assert works.asked[2][0] - works.asked[1][0] < 0.1
    works.turn(Cause.EXCEPTION, 2)
    works.turn(Cause.EXCEPTION, 2)  # twice: it means it
    works.turn()
    assert works.asked[5][0] - works.asked[4][0] == pytest.approx(10.0 + TURN_S, abs=0.01)


def test_a_failing_sensor_leaves_the_others_their_retries(profiles: Profiles) -> None:
    works = clockwork(profiles, "urm15", 8, dead={1})
    for _ in range(4):
        works.turn()
    works.dead = {1, 2}
    works.run(0.1)
    works.dead = {1}
    asked = works.run(0.5)
    assert asked[2] >= 1


def test_registers_that_cannot_be_read_together_are_read_one_by_one(profiles: Profiles) -> None:
    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1, 2))
    works = Clockwork(Schedule([gateway], timing=TIMING, poll_interval_s=0.0))
    together = works.turn(Cause.EXCEPTION, 2)
    assert together.block is not None
    assert together.request.count > 1
    lane = works.schedule.lanes[0]
    fast = [block for block in lane.blocks if block.purpose is Purpose.OCCUPANCY]
    assert [block.requests[0].count for block in fast] == [1] * len(together.block.parts)


def test_a_forgotten_setting_is_written_before_other_background_work(profiles: Profiles) -> None:
    works = clockwork(profiles, "ld120", 2)
    works.run(2.0)
    write = Request(device_id=1, function=6, address=1, value=7)
    works.schedule.write_soon(works.schedule.lanes[0], write)
    asked = [works.turn().request for _ in range(5)]
    assert write in asked
    assert works.schedule.lanes[0].writes == []


def test_a_block_that_is_never_answered_does_not_take_its_sensor_off_the_bus(
    profiles: dict[str, SensorProfile],
) -> None:
    """The loop answers its status and stays mute about its counter."""
    works = clockwork(profiles, "ld120", 4)
    works.mute = {(1, 3)}
    works.run(60.0)
    start = len(works.asked)
    asked = works.run(60.0)
    assert not works.schedule.lanes[0].quarantined
    assert asked[1] == pytest.approx(asked[2], rel=0.1)
    mute = [request for _, request in works.asked[start:] if (request.device_id, request.function) == (1, 3)]
    assert 4 <= len(mute) <= 8


def test_a_mute_occupancy_block_does_not_hide_the_other_one(tmp_path: Path) -> None:
    text = (SENSORS / "ld120.toml").read_text(encoding="utf-8")
    text = text.replace(
        "[registers.count]", '[registers.alarm]\ntable = "discrete_inputs"\nnumber = 10001\n[registers.count]'
    )
    text += '[[faults]]\nsignal = "alarm"\ncause = "alarm"\n'
    path = tmp_path / "two.toml"
    path.write_text(text.replace('"ld120"', '"two"'), encoding="utf-8")
    works = clockwork({"two": load_profile(path)}, "two", 2)
    assert len(works.schedule.lanes[0].fast) == 2
    works.mute = {(1, 2)}
    works.run(60.0)
    start = len(works.asked)
    asked = works.run(60.0)
    mute = [request for _, request in works.asked[start:] if (request.device_id, request.function) == (1, 2)]
    assert len(mute) <= 8
    assert asked[1] > 0.3 * asked[2]
    works.mute.clear()
    works.run(11.0)
    assert works.run(20.0)[1] == pytest.approx(works.run(20.0)[2], rel=0.1)


def test_a_sensor_that_only_garbles_costs_the_others_next_to_nothing(profiles: Profiles) -> None:
    healthy = clockwork(profiles, "sen0492", 16).run(60.0)[1]
    works = clockwork(profiles, "sen0492", 16)
    works.garbling = {3}
    works.run(20.0)
    assert works.run(60.0)[1] >= healthy / 1.10
    works.garbling.clear()
    works.run(11.0)
    assert not works.schedule.lanes[2].quarantined


def test_a_refused_wider_shape_leaves_other_blocks_theirs(tmp_path: Path) -> None:
    """One register read as two has the shape of a 32-bit value: refusing one must not bar the other."""
    text = (SENSORS / "urm15.toml").read_text(encoding="utf-8")
    total = '[registers.total]\ntable = "holding_registers"\nnumber = 0x40\ntype = "uint32"\nevery_s = 1\n'
    text = text.replace("[[readable]]", total + "[[readable]]")
    path = tmp_path / "wide.toml"
    path.write_text(text.replace('"urm15"', '"wide"'), encoding="utf-8")
    works = clockwork({"wide": load_profile(path)}, "wide", 1)
    works.dead = {1}
    works.turn()  # the tightest shape is lost
    works.dead = set()
    wider = works.turn(Cause.EXCEPTION, 2)
    assert wider.request.count == 2
    works.dead = {1}
    works.run(3.0)
    works.dead = set()
    works.run(30.0)
    assert any(request.address == 0x40 for _, request in works.asked)


def test_a_divided_block_is_asked_whole_again_after_a_while(profiles: Profiles) -> None:
    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1, 2))
    works = Clockwork(Schedule([gateway], timing=TIMING, poll_interval_s=0.5))
    whole = works.turn(Cause.EXCEPTION, 2).request
    works.run(590.0)
    assert sum(request == whole for _, request in works.asked) == 1
    works.run(20.0)
    assert sum(request == whole for _, request in works.asked) > 10


def test_an_exception_is_not_believed_while_an_earlier_request_may_still_be_answered(
    profiles: Profiles,
) -> None:
    works = clockwork(profiles, "urm15", 1, dead={1})
    lost = works.turn().request
    works.dead.clear()
    doubtful = works.turn(Cause.EXCEPTION, 2).request
    assert doubtful.shape != lost.shape
    lane = works.schedule.lanes[0]
    assert lane.failures == 2
    assert doubtful.shape in lane.barred_s  # its own reply may follow
    later = works.turn()
    assert later.request.shape not in (lost.shape, doubtful.shape)
    works.run(1.0)
    works.turn(Cause.EXCEPTION, 6)
    assert lane.failures == 0


def test_a_slow_bus_with_many_berths_is_no_fault(profiles: Profiles) -> None:
    """47 nodes at 1200 baud: one round takes longer than the time after which silence is a fault."""
    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"])
    devices = [SimulatedDevice(profiles["dx80_mgage"], 1)]
    line = VirtualLine(SimulatedLine(devices, timing=LinkTiming(baudrate=1200), rng=Random(1)))
    seen: list[Observation] = []
    stop = threading.Event()

    def observe(observation: Observation) -> None:
        seen.append(observation)
        if line.now_s > 120:
            stop.set()

    settings = BusSettings(name="slow", port="/virtual", baudrate=1200, poll_interval_s=0.0)
    bus = SensorBus(settings, [gateway], observe, open_port=line.open, clock=line.clock)
    line.traffic.start(0.0)
    line.traffic.do(Deed(do=Action.FLAP, device=1, times=10, period_s=30.0), 1.0)
    bus.run(stop)
    assert len({observation.channel for observation in seen}) == 47
    assert all(observation.state is not ChannelState.FAULT for observation in seen)
