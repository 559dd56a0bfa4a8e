"""From readings to occupied, vacant and fault: thresholds, confirmation, invalid values, counters."""

import pytest

from firmware_bridge import ChannelState
from firmware_bridge.channels import ChannelWatch
from firmware_bridge.profile_rules import Compare, FaultRule, OccupancyRule, OnInvalid
from firmware_bridge.registers import Signal

DISTANCE = OccupancyRule(signal="d", compare=Compare.BELOW, occupied_at=180, vacant_at=220)
DEVIATION = OccupancyRule(signal="d", compare=Compare.ABOVE, occupied_at=150, vacant_at=120)
LOOP = OccupancyRule(signal="d", compare=Compare.BIT)
BROKEN = FaultRule(signal="m", mask=0xFF00, equals=0x3500, cause="radio timeout")


def watch(rule: OccupancyRule, counter_range: int = 1 << 32, **changes: object) -> ChannelWatch:
    channel = ChannelWatch(
        bus="kerb",
        sensor="s",
        channel=1,
        rule=rule.model_copy(update=changes),
        faults=(BROKEN,),
        fault_after_s=5.0,
        counter_range=counter_range,
    )
    channel.start(0.0)
    return channel


def signals(**values: float | None) -> dict[str, Signal]:
    return {name: Signal(raw=int(value or 0), value=value) for name, value in values.items()}


def states(channel: ChannelWatch, values: list[float | None]) -> list[str]:
    """What each reading, a tenth of a second after the other, is observed to change."""
    seen = [channel.read(signals(d=value), 0.1 * at) for at, value in enumerate(values)]
    return [str(observation.state) if observation else "-" for observation in seen]


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (LOOP, [0, 1, 1, 0], ["vacant", "occupied", "-", "vacant"]),
        (DISTANCE, [300, 200, 180, 200, 219, 220], ["vacant", "-", "occupied", "-", "-", "vacant"]),
        (DEVIATION, [0, 149, 150, 121, 120], ["vacant", "-", "occupied", "-", "vacant"]),
        (DISTANCE, [190, 300], ["occupied", "vacant"]),  # between the thresholds: the nearer side
        (DISTANCE, [210, 100], ["vacant", "occupied"]),
    ],
)
def test_thresholds_have_hysteresis(
    rule: OccupancyRule, values: list[float | None], expected: list[str]
) -> None:
    assert states(watch(rule), values) == expected


def test_a_change_needs_its_confirming_readings_in_a_row() -> None:
    channel = watch(DISTANCE, confirm_readings=3)
    assert states(channel, [300, 300, 300, 100, 100, 300, 100, 100, 100]) == [
        "-", "-", "vacant", "-", "-", "-", "-", "-", "occupied"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        (OnInvalid.HOLD, ["occupied", "-", "-"]),
        (OnInvalid.VACANT, ["occupied", "vacant", "-"]),
        (OnInvalid.FAULT, ["occupied", "fault", "-"]),
    ],
)
def test_an_invalid_reading_means_what_the_profile_says(meaning: OnInvalid, expected: list[str]) -> None:
    assert states(watch(DISTANCE, on_invalid=meaning), [100, None, None]) == expected


def test_invalid_readings_that_last_are_a_fault_and_never_a_vacancy() -> None:
    channel = watch(DISTANCE)
    channel.read(signals(d=100.0), 0.0)
    for at_s in range(1, 6):
        assert channel.read(signals(d=None), float(at_s)) is None
        assert channel.age(float(at_s), "no echo") is None
    fault = channel.age(5.1, "no echo")
    assert fault is not None
    assert (fault.state, fault.previous, fault.cause) == (
        ChannelState.FAULT,
        ChannelState.OCCUPIED,
        "no echo",
    )
    assert channel.age(60.0, "no echo") is None
    back = channel.read(signals(d=100.0), 61.0)
    assert back is not None
    assert (back.state, back.previous) == (ChannelState.OCCUPIED, ChannelState.FAULT)


def test_a_sensor_that_never_spoke_becomes_a_fault_on_first_knowledge() -> None:
    channel = watch(LOOP)
    assert channel.age(4.9, "timeout") is None
    fault = channel.age(5.1, "timeout")
    assert fault is not None
    assert (fault.state, fault.previous) == (ChannelState.FAULT, None)


def test_a_fault_that_the_device_reports_hides_its_level_until_it_is_gone() -> None:
    channel = watch(DEVIATION)
    assert channel.read(signals(d=200.0, m=0.0), 0.0) is not None
    fault = channel.read(signals(d=0.0, m=float(0x3501)), 0.1)
    assert fault is not None
    assert (fault.state, fault.cause) == (ChannelState.FAULT, "radio timeout")
    assert channel.read(signals(d=0.0, m=float(0x3501)), 0.2) is None
    vacant = channel.read(signals(d=0.0, m=0.0), 0.3)
    assert vacant is not None
    assert vacant.state is ChannelState.VACANT


def play(*events: tuple[str, int], counter_range: int = 1 << 32) -> list[tuple[str, int | None]]:
    """Levels ("l") and counts ("c") a second apart; what is observed of them."""
    channel, seen = watch(LOOP, counter_range), []
    for at, (kind, value) in enumerate(events):
        if kind == "c":
            channel.count(value, float(at))
        elif (observation := channel.read(signals(d=float(value)), float(at))) is not None:
            seen.append((str(observation.state), observation.counter_delta))
    return seen


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [("c", 7), ("l", 0), ("l", 1), ("c", 8), ("l", 1)],
            [("vacant", 0), ("occupied", 0)],
            id="one car, level first",
        ),
        pytest.param(
            [("c", 7), ("l", 0), ("c", 8), ("l", 1), ("c", 8), ("l", 1)],
            [("vacant", 0), ("occupied", 0)],
            id="one car, counter first",
        ),
        pytest.param(
            [("c", 7), ("l", 0), ("l", 1), ("c", 8), ("l", 1), ("c", 9), ("l", 1)],
            [("vacant", 0), ("occupied", 0), ("occupied", 1)],
            id="swapped between two levels",
        ),
        pytest.param(
            [("c", 7), ("l", 0), ("c", 8), ("l", 0)],
            [("vacant", 0), ("vacant", 1)],
            id="came and left between two levels",
        ),
        pytest.param(
            [("c", 2**32 - 1), ("l", 1), ("c", 0), ("l", 1)],
            [("occupied", 0), ("occupied", 1)],
            id="the counter wraps",
        ),
        pytest.param(
            [("c", 5000), ("l", 1), ("c", 3), ("l", 1), ("c", 4), ("l", 1)],
            [("occupied", 0), ("occupied", 1)],
            id="a counter that was reset is no traffic",
        ),
        pytest.param(
            [("l", 1), ("c", 5), ("l", 1)],
            [("occupied", None)],
            id="parked already when the counter is first read",
        ),
        pytest.param(
            [("c", 7), ("l", 0), ("l", 1), ("l", 0), ("c", 8), ("l", 0)],
            [("vacant", 0), ("occupied", 0), ("vacant", 0)],
            id="a short visit that the level showed is not counted twice",
        ),
        pytest.param(
            [("c", 7), ("l", 0), ("l", 1), ("l", 0), ("l", 1), ("c", 10), ("l", 1)],
            [("vacant", 0), ("occupied", 0), ("vacant", 0), ("occupied", 0), ("occupied", 1)],
            id="two cars seen and a third one swapped in before the next count",
        ),
    ],
)
def test_the_counter_reports_only_arrivals_that_the_level_did_not_show(
    events: list[tuple[str, int]], expected: list[tuple[str, int | None]]
) -> None:
    assert play(*events) == expected


@pytest.mark.parametrize(("gap_s", "tells"), [(0.1, "a detector that lost one car"), (4.0, "another car")])
def test_an_unseen_arrival_says_for_how_long_nobody_looked(gap_s: float, tells: str) -> None:
    channel = watch(LOOP)
    channel.count(7, 0.0)
    channel.read(signals(d=1.0), 0.1)
    channel.read(signals(d=1.0), 4.0)  # a gap before the last count, when nobody came
    channel.count(7, 4.0)
    channel.count(8, 4.0 + gap_s)
    channel.read(signals(d=1.0), 4.0 + gap_s)
    observation = channel.read(signals(d=1.0), 5.0 + gap_s)
    assert observation is not None
    assert (observation.state, observation.counter_delta) == (ChannelState.OCCUPIED, 1)
    assert observation.blind_s == pytest.approx(gap_s), tells


def test_an_unseen_arrival_before_a_fault_is_reported_after_it() -> None:
    channel = watch(LOOP)
    channel.count(7, 0.0)
    channel.read(signals(d=1.0), 0.1)
    channel.count(8, 0.2)
    fault = channel.age(60.0, "timeout")
    assert fault is not None
    assert (fault.state, fault.counter_delta) == (ChannelState.FAULT, 0)
    observation = channel.read(signals(d=1.0), 61.0)
    assert observation is not None
    assert (observation.state, observation.counter_delta) == (ChannelState.OCCUPIED, 1)
    assert observation.blind_s == pytest.approx(60.9)
