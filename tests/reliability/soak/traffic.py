"""Cars in the berths: each arrives, stays, and leaves once the pole has seen it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from edged.demo.cars import DemoCar
from edged.demo.hardware import Hardware

# A fault of 15 s may hide a change, a busy machine doubles it; beyond this the pole has missed it.
SEEN_WITHIN_S = 120.0
STAY_S = 4.0


class Step(Enum):
    EMPTY = auto()
    ARRIVING = auto()
    STANDING = auto()
    LEAVING = auto()


@dataclass(slots=True)
class BerthTraffic:
    """One berth and the car that is on its way in or out. Cars of two plates take turns."""

    berth_no: str
    cars: Sequence[DemoCar]
    step: Step = Step.EMPTY
    since_s: float = 0.0
    count: int = 0


@dataclass(slots=True)
class Traffic:
    """All berths. `shown` is which plate stood there, by the visit that the pole began for it."""

    hardware: Hardware
    berths: Sequence[BerthTraffic]
    shown: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return all(berth.step is Step.EMPTY for berth in self.berths)

    def go(self, board: Mapping[str, Mapping[str, Any]], now_s: float, most: int) -> None:
        """Move the cars one step, by what the pole sees; not more than `most` arrive in all."""
        for berth in self.berths:
            at_pole = board[berth.berth_no]
            waited_s = now_s - berth.since_s
            match berth.step:
                case Step.EMPTY:
                    if sum(one.count for one in self.berths) < most:
                        self.hardware.drive_in(berth.berth_no, berth.cars[berth.count % len(berth.cars)])
                        self._next(berth, Step.ARRIVING, now_s)
                        berth.count += 1
                case Step.ARRIVING if at_pole["state"] == "occupied":
                    self._seen(berth, at_pole["visit_id"])
                    self._next(berth, Step.STANDING, now_s)
                case Step.STANDING if waited_s > STAY_S:
                    self.hardware.drive_out(berth.berth_no)
                    self._next(berth, Step.LEAVING, now_s)
                case Step.LEAVING if at_pole["state"] == "vacant":
                    self._next(berth, Step.EMPTY, now_s)
                case Step.ARRIVING | Step.LEAVING if waited_s > SEEN_WITHIN_S:
                    self.failures.append(f"berth {berth.berth_no}: {berth.step.name.lower()} was not seen")
                    self._next(berth, Step.STANDING if berth.step is Step.ARRIVING else Step.EMPTY, now_s)

    def _seen(self, berth: BerthTraffic, visit_id: str) -> None:
        plate = berth.cars[(berth.count - 1) % len(berth.cars)].plate
        if visit_id in self.shown:
            self.failures.append(f"berth {berth.berth_no}: a car arrived, its visit is an earlier one's")
        self.shown[visit_id] = str(plate)

    @staticmethod
    def _next(berth: BerthTraffic, step: Step, now_s: float) -> None:
        berth.step, berth.since_s = step, now_s
