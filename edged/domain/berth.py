"""What happens at one berth, as a table: sensor signals in, drive-in and drive-out instructions out.

A contact must last `settle_in_s` before it is an arrival and its absence `settle_out_s` before it is a
departure. A sensor fault is not a vacancy: the visit stays open. Where a level sensor cannot tell one car
from the next (a short gap, a fault, a counter step too quick for two cars) the answer is `LOOK_AGAIN`:
the picture decides, and `swapped` follows when it shows another plate.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

# A berth's number, as painted or as the operator's register has it.
BERTH_NO_PATTERN = r"^[0-9A-Za-z-]{1,32}$"


class Phase(StrEnum):
    """Where a berth stands between vacant and occupied."""

    VACANT = "vacant"
    ARRIVING = "arriving"  # contact, not settled yet
    OCCUPIED = "occupied"
    LEAVING = "leaving"  # contact lost, not settled yet
    VACANT_FAULT = "vacant_fault"  # sensor blind; the berth was vacant before
    OCCUPIED_FAULT = "occupied_fault"  # sensor blind; the visit stays open


class Signal(StrEnum):
    """What can happen to a berth."""

    OCCUPIED = "occupied"
    VACANT = "vacant"
    FAULT = "fault"
    SETTLED = "settled"  # the phase's settle time has passed
    COUNTED = "counted"  # occupied, and the sensor's counter moved under our eyes
    COUNTED_UNSEEN = "counted_unseen"  # occupied, and it moved between two looks at the sensor
    SWAPPED = "swapped"  # the picture shows another vehicle


class Act(StrEnum):
    """What the daemon is told to do."""

    DRIVE_IN = "drive_in"
    DRIVE_OUT = "drive_out"
    LOOK_AGAIN = "look_again"


class DriveCause(StrEnum):
    """Why a drive-in or drive-out was issued."""

    SENSOR = "sensor"
    SWAP = "swap"  # another car took the berth between two polls
    RESTART = "restart"  # found so when the daemon came back


class IllegalSignal(Exception):
    """A signal that this phase refuses; nothing was changed."""


P, S, A = Phase, Signal, Act

# (phase, signal) -> (next phase, acts in order). A missing cell is refused.
TABLE: dict[tuple[Phase, Signal], tuple[Phase, tuple[Act, ...]]] = {
    (P.VACANT, S.OCCUPIED): (P.ARRIVING, ()),
    (P.VACANT, S.COUNTED): (P.ARRIVING, ()),
    (P.VACANT, S.COUNTED_UNSEEN): (P.ARRIVING, ()),
    (P.VACANT, S.VACANT): (P.VACANT, ()),
    (P.VACANT, S.FAULT): (P.VACANT_FAULT, ()),
    (P.ARRIVING, S.OCCUPIED): (P.ARRIVING, ()),
    (P.ARRIVING, S.COUNTED): (P.ARRIVING, ()),
    (P.ARRIVING, S.COUNTED_UNSEEN): (P.ARRIVING, ()),
    (P.ARRIVING, S.VACANT): (P.VACANT, ()),  # drove through, or a flap
    (P.ARRIVING, S.FAULT): (P.VACANT_FAULT, ()),
    (P.ARRIVING, S.SETTLED): (P.OCCUPIED, (A.DRIVE_IN,)),
    (P.OCCUPIED, S.OCCUPIED): (P.OCCUPIED, ()),
    (P.OCCUPIED, S.COUNTED): (P.OCCUPIED, (A.LOOK_AGAIN,)),
    (P.OCCUPIED, S.COUNTED_UNSEEN): (P.OCCUPIED, (A.DRIVE_OUT, A.DRIVE_IN)),
    (P.OCCUPIED, S.VACANT): (P.LEAVING, ()),
    (P.OCCUPIED, S.FAULT): (P.OCCUPIED_FAULT, ()),
    (P.OCCUPIED, S.SWAPPED): (P.OCCUPIED, (A.DRIVE_OUT, A.DRIVE_IN)),
    (P.LEAVING, S.OCCUPIED): (P.OCCUPIED, (A.LOOK_AGAIN,)),
    (P.LEAVING, S.COUNTED): (P.OCCUPIED, (A.LOOK_AGAIN,)),
    (P.LEAVING, S.COUNTED_UNSEEN): (P.OCCUPIED, (A.DRIVE_OUT, A.DRIVE_IN)),
    (P.LEAVING, S.VACANT): (P.LEAVING, ()),
    (P.LEAVING, S.FAULT): (P.OCCUPIED_FAULT, ()),
    (P.LEAVING, S.SETTLED): (P.VACANT, (A.DRIVE_OUT,)),
    (P.VACANT_FAULT, S.OCCUPIED): (P.ARRIVING, ()),
    (P.VACANT_FAULT, S.COUNTED): (P.ARRIVING, ()),
    (P.VACANT_FAULT, S.COUNTED_UNSEEN): (P.ARRIVING, ()),
    (P.VACANT_FAULT, S.VACANT): (P.VACANT, ()),
    (P.VACANT_FAULT, S.FAULT): (P.VACANT_FAULT, ()),
    (P.OCCUPIED_FAULT, S.OCCUPIED): (P.OCCUPIED, (A.LOOK_AGAIN,)),
    (P.OCCUPIED_FAULT, S.COUNTED): (P.OCCUPIED, (A.LOOK_AGAIN,)),
    (P.OCCUPIED_FAULT, S.COUNTED_UNSEEN): (P.OCCUPIED, (A.DRIVE_OUT, A.DRIVE_IN)),
    (P.OCCUPIED_FAULT, S.VACANT): (P.LEAVING, ()),
    (P.OCCUPIED_FAULT, S.FAULT): (P.OCCUPIED_FAULT, ()),
    (P.OCCUPIED_FAULT, S.SWAPPED): (P.OCCUPIED_FAULT, (A.DRIVE_OUT, A.DRIVE_IN)),
}

SETTLING = frozenset({Phase.ARRIVING, Phase.LEAVING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One act at one berth. `at_s` is when it happened on the road, not when it settled."""

    act: Act
    berth_no: str
    visit_id: str
    at_s: float
    cause: DriveCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """One berth's state; times are monotonic seconds.

    `visit_id` is set exactly while a vehicle is known to stand there. `restarted` holds until the
    sensor has spoken since the daemon started: what differs by then happened before the start.
    """

    berth_no: str
    settle_in_s: float
    settle_out_s: float
    phase: Phase = Phase.VACANT
    phase_since_s: float = 0.0
    heard: bool = False  # the sensor has spoken, if only of a fault
    visit_id: str | None = None
    restarted: bool = False

    @property
    def settles_at_s(self) -> float | None:
        """When `SETTLED` is due, None while nothing is settling."""
        if self.phase not in SETTLING:
            return None
        wait_s = self.settle_in_s if self.phase is Phase.ARRIVING else self.settle_out_s
        return self.phase_since_s + wait_s


def recalled(berth: Berth, visit_id: str | None) -> Berth:
    """Return the berth as it was remembered before a restart: with its open visit, or vacant."""
    phase = Phase.OCCUPIED_FAULT if visit_id else Phase.VACANT_FAULT
    return replace(berth, phase=phase, visit_id=visit_id, restarted=True)


def counted(berth: Berth, blind_s: float) -> Signal:
    """Return what a counter step says, seen after `blind_s` without a look at the sensor.

    It proves another car only after a time without a look in which a car can leave. Seen sooner, it is the
    detector losing and regaining one car, and the picture decides.
    """
    return Signal.COUNTED_UNSEEN if blind_s >= berth.settle_out_s else Signal.COUNTED


def step(
    berth: Berth, signal: Signal, at_s: float, new_visit_id: Callable[[], str]
) -> tuple[Berth, tuple[Instruction, ...]]:
    """Return the berth after `signal` at `at_s`, and what to do, in order.

    A settle time that ended before `at_s` takes effect first. `new_visit_id` names the visits that begin.
    Raises IllegalSignal, leaving `berth` as it is, where the table has no such cell.
    """
    settled: tuple[Instruction, ...] = ()
    due_s = berth.settles_at_s
    if signal is not Signal.SETTLED and due_s is not None and due_s <= at_s:
        berth, settled = _apply(berth, Signal.SETTLED, due_s, new_visit_id)
    berth, instructions = _apply(berth, signal, at_s, new_visit_id)
    return berth, settled + instructions


def _apply(
    berth: Berth, signal: Signal, at_s: float, new_visit_id: Callable[[], str]
) -> tuple[Berth, tuple[Instruction, ...]]:
    try:
        phase, acts = TABLE[berth.phase, signal]
    except KeyError:
        raise IllegalSignal(f"berth {berth.berth_no}: {signal} while {berth.phase}") from None
    due_s = berth.settles_at_s
    if signal is Signal.SETTLED and due_s is not None and at_s < due_s:
        raise IllegalSignal(f"berth {berth.berth_no}: settled at {at_s} but due at {due_s}")
    visit_id, instructions = _instructed(berth, signal, acts, at_s, new_visit_id)
    told = signal in (Signal.OCCUPIED, Signal.COUNTED, Signal.COUNTED_UNSEEN, Signal.VACANT)
    first_word = (told and phase not in SETTLING) or signal is Signal.SETTLED
    after = replace(
        berth,
        phase=phase,
        phase_since_s=berth.phase_since_s if phase is berth.phase else at_s,
        heard=berth.heard or told or signal is Signal.FAULT,
        visit_id=visit_id,
        restarted=berth.restarted and not first_word,
    )
    return after, instructions


def _instructed(
    berth: Berth, signal: Signal, acts: tuple[Act, ...], at_s: float, new_visit_id: Callable[[], str]
) -> tuple[str | None, tuple[Instruction, ...]]:
    """Return the visit open after `acts`, and their instructions."""
    cause = DriveCause.RESTART if berth.restarted else DriveCause.SENSOR
    if signal in (Signal.SWAPPED, Signal.COUNTED_UNSEEN):
        cause = DriveCause.SWAP
    # A vehicle arrived at first contact and left when contact was lost, however long settling took.
    happened_s = berth.phase_since_s if signal is Signal.SETTLED else at_s
    visit_id, instructions = berth.visit_id, []
    for act in acts:
        if act is Act.DRIVE_IN:
            visit_id = new_visit_id()
        if visit_id is None:  # the table acts on a visit only where one is open
            raise IllegalSignal(f"berth {berth.berth_no}: {act} without a visit")
        instructions.append(
            Instruction(act=act, berth_no=berth.berth_no, visit_id=visit_id, at_s=happened_s, cause=cause)
        )
        if act is Act.DRIVE_OUT:
            visit_id = None
    return visit_id, tuple(instructions)
