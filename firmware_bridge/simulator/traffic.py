"""What vehicles and people do to simulated sensors: deeds, at once or at their time."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

from firmware_bridge.errors import BridgeError
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.line import SimulatedLine

_MOTORCYCLE_S = 0.8


class Action(StrEnum):
    ARRIVE = "arrive"
    LEAVE = "leave"
    SWAP = "swap"
    MOTORCYCLE = "motorcycle"
    FLAP = "flap"
    SENSOR_FAULT = "sensor_fault"
    POWER_CYCLE = "power_cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that happens at a sensor, `at_s` seconds after the simulation's start."""

    do: Action
    device: int
    at_s: float = 0.0
    channel: int = 1
    cause: str = ""
    times: int = 5
    period_s: float = 0.4

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> "Deed":
        """From TOML or JSON. Raises BridgeError naming what is wrong."""
        kinds: dict[str, type | tuple[type, ...]] = dict.fromkeys(("device", "channel", "times"), int)
        kinds |= {"cause": str, "at_s": (int, float), "period_s": (int, float)}
        if values.get("do") not in tuple(Action):
            raise BridgeError(f"do: got {values.get('do')!r}: write one of {', '.join(Action)}")
        for key, value in values.items():
            if key != "do" and (
                key not in kinds or not isinstance(value, kinds[key]) or isinstance(value, bool)
            ):
                raise BridgeError(f"{key}: got {value!r}: it takes {', '.join(kinds)}")
        if "device" not in values:
            raise BridgeError("device: is missing: name the unit id")
        return cls(**(values | {"do": Action(values["do"])}))


@dataclass(order=True, slots=True)
class _Due:
    when_s: float
    order: int
    deed: Deed = field(compare=False)


class Traffic:
    """Scripted and commanded deeds on the devices of one line; time is an argument."""

    def __init__(self, line: SimulatedLine, script: Iterable[Deed] = ()) -> None:
        self.line = line
        self._script = tuple(script)
        self._due: list[_Due] = []
        self._order = count()

    def start(self, now_s: float) -> None:
        for deed in self._script:
            self._at(now_s + deed.at_s, deed)

    def next_s(self) -> float | None:
        return self._due[0].when_s if self._due else None

    def advance(self, now_s: float) -> None:
        """Do what is due."""
        while self._due and self._due[0].when_s <= now_s:
            due = heapq.heappop(self._due)
            self.do(due.deed, due.when_s)

    def do(self, deed: Deed, now_s: float) -> None:
        """Do it now; what belongs to it later is put down for later."""
        device, channel = self.device(deed.device), deed.channel
        match deed.do:
            case Action.ARRIVE:
                device.arrive(channel)
            case Action.LEAVE:
                device.leave(channel)
            case Action.SWAP:
                device.swap(channel)
            case Action.MOTORCYCLE:
                device.weaken(channel)
                self._at(now_s + _MOTORCYCLE_S, Deed(do=Action.LEAVE, device=deed.device, channel=channel))
            case Action.FLAP:
                self._flap(deed, now_s)
            case Action.SENSOR_FAULT:
                device.break_down(deed.cause, channel)
            case Action.POWER_CYCLE:
                device.power_cycle()

    def device(self, device_id: int) -> SimulatedDevice:
        device = self.line.device(device_id)
        if device is None:
            ids = ", ".join(str(device.device_id) for device in self.line.devices)
            raise BridgeError(f"device: got {device_id}: there are {ids}")
        return device

    def _flap(self, deed: Deed, now_s: float) -> None:
        device = self.device(deed.device)
        first, second = (
            (Action.LEAVE, Action.ARRIVE)
            if deed.channel in device.occupied
            else (Action.ARRIVE, Action.LEAVE)
        )
        for turn in range(deed.times):
            for half, action in enumerate((first, second)):
                when_s = now_s + (turn + half / 2) * deed.period_s
                self._at(when_s, Deed(do=action, device=deed.device, channel=deed.channel))

    def _at(self, when_s: float, deed: Deed) -> None:
        heapq.heappush(self._due, _Due(when_s, next(self._order), deed))
