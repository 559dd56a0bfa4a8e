"""What sensors say, and what must not be made of it."""

import re
from collections.abc import Callable, Iterator

import pytest

from firmware_bridge import SensorProfile, SensorSettings
from firmware_bridge.bench.honesty import false_drive_ins, false_unseen
from firmware_bridge.simulator import FaultPlan, SimulatedDevice
from tests.firmware_bridge.conftest import rehearsal

Profiles = dict[str, SensorProfile]


def test_no_honest_arrival_is_reported_as_unseen(profiles: Profiles) -> None:
    assert false_unseen(profiles, arrivals=300, seed=1) == (300, 0)


@pytest.mark.long
def test_no_honest_arrival_of_ten_thousand_is_reported_as_unseen(profiles: Profiles) -> None:
    assert false_unseen(profiles, arrivals=10_000, seed=2) == (10_000, 0)


def test_replies_beyond_the_bound_make_no_drive_in(profiles: Profiles) -> None:
    assert false_drive_ins(profiles, seconds=120.0, seed=2) == 0


def test_a_sensor_beyond_its_bound_is_degraded_and_the_remedy_names_the_setting(profiles: Profiles) -> None:
    late = SimulatedDevice(profiles["ld120"], 1, faults=FaultPlan(late_rate=0.3, late_s=0.6, overtaking=True))
    devices = [late, SimulatedDevice(profiles["ld120"], 2)]
    sensors = [SensorSettings(name=f"s{at}", device_id=at, profile=profiles["ld120"]) for at in (1, 2)]
    bus = rehearsal(devices, sensors, poll_interval_s=0.2)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.bus.snapshot().sensors[0].quality == "degraded"
        trouble = bus.bus.snapshot().troubles[0]
        assert re.match(r"id 1 answers after \d+ ms, the limit is 250", trouble.cause)
        assert "max_reply_delay_ms = " in trouble.remedy
        assert trouble.sensors == ("s1",)
        yield lambda: bus.states("s1")[-1:] == ["fault"]  # nothing that it says counts
        late.faults = FaultPlan()
        yield lambda: bus.states("s1")[-1:] == ["vacant"]
        yield lambda: bus.bus.snapshot().sensors[0].quality == "good"

    bus.play(story(), within_s=300.0)
    assert bus.states("s2") == ["vacant"]


def test_a_reply_that_is_late_within_its_bound_costs_no_trust(profiles: Profiles) -> None:
    late = SimulatedDevice(profiles["ld120"], 1, faults=FaultPlan(late_rate=0.2, late_s=0.12))
    sensors = [SensorSettings(name="s", device_id=1, profile=profiles["ld120"])]
    bus = rehearsal([late], sensors, poll_interval_s=0.2)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 60
        trouble = bus.bus.snapshot().troubles[0]
        assert re.match(r"id 1 answers after 1[234]\d ms, the limit is 100", trouble.cause)
        assert "raise response_timeout_ms" in trouble.remedy

    bus.play(story())
    assert bus.states("s") == ["vacant"]


def test_the_limit_that_the_remedy_names_is_kept(profiles: Profiles) -> None:
    slow = SimulatedDevice(profiles["ld120"], 1, turnaround_s=0.3)
    sensors = [SensorSettings(name="s", device_id=1, profile=profiles["ld120"], response_timeout_ms=350)]
    bus = rehearsal([slow], sensors)

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 20

    bus.play(story())
    assert bus.states("s") == ["vacant"]
    assert bus.bus.snapshot().sensors[0].errors == {}
