from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.berth import (
    TABLE,
    Act,
    Berth,
    DriveCause,
    IllegalSignal,
    Instruction,
    Phase,
    Signal,
    counted,
    recalled,
    step,
)

VACANT_BERTH = Berth(berth_no="1001", settle_in_s=1.0, settle_out_s=3.0)


def play(berth: Berth, *signals: tuple[Signal, float]) -> tuple[Berth, list[Instruction]]:
    ids = count(1)
    issued: list[Instruction] = []
    for signal, at_s in signals:
        berth, instructions = step(berth, signal, at_s, lambda: f"visit-{next(ids)}")
        issued += instructions
    return berth, issued


def acts(instructions: list[Instruction]) -> list[tuple[Act, str, float]]:
    return [(i.act, i.visit_id, i.at_s) for i in instructions]


OCCUPIED = (Signal.OCCUPIED, 10.0), (Signal.SETTLED, 11.0)


def test_a_car_that_stays_drives_in_at_first_contact() -> None:
    berth, issued = play(VACANT_BERTH, *OCCUPIED)
    assert acts(issued) == [(Act.DRIVE_IN, "visit-1", 10.0)]
    assert issued[0].cause is DriveCause.SENSOR
    assert (berth.phase, berth.visit_id) == (Phase.OCCUPIED, "visit-1")


def test_a_car_that_drives_through_is_no_visit() -> None:
    berth, issued = play(VACANT_BERTH, (Signal.OCCUPIED, 10.0), (Signal.VACANT, 10.5))
    assert issued == []
    assert berth.phase is Phase.VACANT


def test_a_car_that_leaves_drives_out_when_contact_was_lost() -> None:
    berth, issued = play(VACANT_BERTH, *OCCUPIED, (Signal.VACANT, 60.0), (Signal.SETTLED, 63.0))
    assert acts(issued)[1:] == [(Act.DRIVE_OUT, "visit-1", 60.0)]
    assert berth.visit_id is None


def test_a_settle_time_that_passed_unnoticed_takes_effect_before_the_next_signal() -> None:
    _, issued = play(VACANT_BERTH, (Signal.OCCUPIED, 10.0), (Signal.VACANT, 40.0), (Signal.OCCUPIED, 80.0))
    assert acts(issued) == [(Act.DRIVE_IN, "visit-1", 10.0), (Act.DRIVE_OUT, "visit-1", 40.0)]


def test_a_flap_while_parked_is_the_same_visit_and_worth_a_look() -> None:
    berth, issued = play(VACANT_BERTH, *OCCUPIED, (Signal.VACANT, 60.0), (Signal.OCCUPIED, 61.0))
    assert acts(issued)[1:] == [(Act.LOOK_AGAIN, "visit-1", 61.0)]
    assert berth.visit_id == "visit-1"


def test_a_sensor_fault_is_not_a_vacancy() -> None:
    berth, issued = play(VACANT_BERTH, *OCCUPIED, (Signal.FAULT, 60.0), (Signal.FAULT, 6000.0))
    assert acts(issued)[1:] == []
    assert (berth.phase, berth.visit_id) == (Phase.OCCUPIED_FAULT, "visit-1")
    berth, issued = play(berth, (Signal.VACANT, 7000.0), (Signal.SETTLED, 7003.0))
    assert acts(issued) == [(Act.DRIVE_OUT, "visit-1", 7000.0)]


def test_a_counter_step_proves_another_car_only_if_nobody_looked_long_enough() -> None:
    berth, _ = play(VACANT_BERTH, *OCCUPIED)
    assert counted(berth, blind_s=0.2) is Signal.COUNTED
    assert counted(berth, blind_s=3.0) is Signal.COUNTED_UNSEEN


@pytest.mark.parametrize("before", [Signal.OCCUPIED, Signal.FAULT, Signal.VACANT])
def test_a_car_that_nobody_saw_come_is_another_car(before: Signal) -> None:
    berth, issued = play(VACANT_BERTH, *OCCUPIED, (before, 88.0), (Signal.COUNTED_UNSEEN, 90.0))
    assert acts(issued)[1:] == [(Act.DRIVE_OUT, "visit-1", 90.0), (Act.DRIVE_IN, "visit-2", 90.0)]
    assert {i.cause for i in issued[1:]} == {DriveCause.SWAP}
    assert berth.visit_id == "visit-2"


def test_a_counter_step_too_quick_for_two_cars_is_left_to_the_picture() -> None:
    berth, issued = play(VACANT_BERTH, *OCCUPIED, (Signal.COUNTED, 90.3))
    assert acts(issued)[1:] == [(Act.LOOK_AGAIN, "visit-1", 90.3)]
    assert berth.visit_id == "visit-1"


def test_a_car_still_parked_after_a_restart_is_not_a_second_arrival() -> None:
    berth, issued = play(recalled(VACANT_BERTH, "visit-0"), (Signal.OCCUPIED, 5.0), (Signal.OCCUPIED, 6.0))
    assert acts(issued) == [(Act.LOOK_AGAIN, "visit-0", 5.0)]
    assert berth.visit_id == "visit-0"


def test_a_car_that_came_while_the_box_was_off_is_not_lost() -> None:
    _, issued = play(recalled(VACANT_BERTH, None), (Signal.OCCUPIED, 5.0), (Signal.SETTLED, 6.0))
    assert [(i.act, i.cause) for i in issued] == [(Act.DRIVE_IN, DriveCause.RESTART)]


def test_a_car_that_left_while_the_box_was_off_drives_out() -> None:
    _, issued = play(recalled(VACANT_BERTH, "visit-0"), (Signal.VACANT, 5.0), (Signal.SETTLED, 8.0))
    assert [(i.act, i.visit_id, i.cause) for i in issued] == [(Act.DRIVE_OUT, "visit-0", DriveCause.RESTART)]


def test_the_next_arrival_after_a_restart_is_an_ordinary_one() -> None:
    _, issued = play(
        recalled(VACANT_BERTH, None), (Signal.VACANT, 5.0), (Signal.OCCUPIED, 50.0), (Signal.SETTLED, 51.0)
    )
    assert [i.cause for i in issued] == [DriveCause.SENSOR]


def in_phase(phase: Phase) -> Berth:
    open_visit = phase in (Phase.OCCUPIED, Phase.LEAVING, Phase.OCCUPIED_FAULT)
    return Berth(
        berth_no="1001",
        settle_in_s=1.0,
        settle_out_s=3.0,
        phase=phase,
        phase_since_s=100.0,
        visit_id="visit-0" if open_visit else None,
    )


@pytest.mark.parametrize(
    ("phase", "signal"), [cell for cell in product(Phase, Signal) if cell not in TABLE], ids=str
)
def test_a_signal_outside_the_table_is_refused_and_changes_nothing(phase: Phase, signal: Signal) -> None:
    berth = in_phase(phase)
    with pytest.raises(IllegalSignal, match="1001"):
        step(berth, signal, 100.5, lambda: "visit-1")
    assert berth == in_phase(phase)


def test_settling_before_its_time_is_refused() -> None:
    with pytest.raises(IllegalSignal, match="due at"):
        step(in_phase(Phase.ARRIVING), Signal.SETTLED, 100.5, lambda: "visit-1")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([s for s in Signal if s not in (Signal.SETTLED, Signal.SWAPPED)]),
            st.floats(min_value=0.01, max_value=30),
        ),
        max_size=60,
    ),
    st.sampled_from([None, "visit-0"]),
)
def test_visits_open_and_close_in_pairs_whatever_the_sensor_says(
    steps: list[tuple[Signal, float]], open_visit: str | None
) -> None:
    now_s, timeline = 0.0, []
    for signal, wait_s in steps:
        now_s += wait_s
        timeline.append((signal, now_s))
    berth, issued = play(recalled(VACANT_BERTH, open_visit), *timeline)
    current = open_visit
    for instruction in issued:
        if instruction.act is Act.DRIVE_IN:
            assert current is None
            current = instruction.visit_id
        else:
            assert instruction.visit_id == current
            if instruction.act is Act.DRIVE_OUT:
                current = None
    assert berth.visit_id == current
    times = [i.at_s for i in issued]
    assert times == sorted(times)
