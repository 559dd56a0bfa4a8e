"""What is wrong on a bus, by the last five minutes: the likely cause and the next action. Pure."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.statistics import BusTrouble
from firmware_bridge.transaction import Cause

_MOST_FAILED = 0.02  # of a unit's requests; fewer are the weather
_FEW = 3  # so many of a kind are no chance any more
_LATE_SHARE = 0.05
_COLLIDING_SHARE = 0.1
_ASKED_ENOUGH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """One unit's last five minutes. Times in ms after the request; `beyond_ms` None: answers no request."""

    device_id: int
    sensors: tuple[str, ...]
    requests: int
    answers: int
    errors: Mapping[str, int]
    late_ms: Sequence[float]
    beyond_ms: Sequence[float | None]
    response_timeout_ms: float
    bound_ms: float
    unconfirmed: tuple[str, ...]

    @property
    def is_silent(self) -> bool:
        """Asked often enough, and never understood."""
        heard = self.answers + sum(n for key, n in self.errors.items() if key.startswith("exception"))
        return self.requests >= _ASKED_ENOUGH and not heard


def troubles_of(
    units: Sequence[UnitFacts], *, noise_bytes: int, echo_changes: int, intrusion: str
) -> Iterator[BusTrouble]:
    """Yield the bus's own troubles first, then those of single units."""
    if intrusion:
        remedy = "end it (fuser -v shows it); ModemManager: systemctl disable --now ModemManager"
        yield BusTrouble(cause=intrusion, remedy=remedy)
    if units and all(unit.is_silent and not unit.late_ms and not unit.beyond_ms for unit in units):
        yield _all_silent(units, noise_bytes)
        return
    if echo_changes >= 2:
        yield BusTrouble(
            cause=f"the adapter's echo came and went {echo_changes} times",
            remedy="look at the adapter's echo switch and at its wires: one contact is loose",
        )
    for unit in units:
        yield from _of_unit(unit)


def _all_silent(units: Sequence[UnitFacts], noise_bytes: int) -> BusTrouble:
    sensors = tuple(name for unit in units for name in unit.sensors)
    if noise_bytes:
        return BusTrouble(
            cause=f"only noise on the line ({noise_bytes} bytes), no sensor is understood",
            remedy="check baud rate and parity, then swap the A and B wires",
            sensors=sensors,
        )
    return BusTrouble(
        cause="all sensors are silent",
        remedy="check port, power, A and B wires and baud rate: edged bus scan --all",
        sensors=sensors,
    )


def _of_unit(unit: UnitFacts) -> Iterator[BusTrouble]:
    errors, name = unit.errors, f"id {unit.device_id}"
    # Two answers that collide garble each other or follow each other; the other units are read well.
    collisions = errors.get(Cause.MERGED, 0) + sum(delay_ms is None for delay_ms in unit.beyond_ms)
    beyond_ms = [delay_ms for delay_ms in unit.beyond_ms if delay_ms is not None]
    really_late_ms = [delay_ms for delay_ms in beyond_ms if delay_ms > unit.bound_ms]
    collisions += len(beyond_ms) - len(really_late_ms)
    if really_late_ms:
        wanted_ms = 50 * (int(max(really_late_ms) - unit.response_timeout_ms) // 50 + 2)
        yield BusTrouble(
            cause=f"{name} answers after {statistics.median(really_late_ms):.0f} ms, "
            f"the limit is {unit.bound_ms:.0f}: its readings decide nothing",
            remedy=f"set max_reply_delay_ms = {wanted_ms} for it, or look for what slows it down",
            sensors=unit.sensors,
        )
    # The bus may have given up before the limit: that is no fault of the device.
    late_ms = [delay_ms for delay_ms in unit.late_ms if delay_ms > unit.response_timeout_ms]
    if len(late_ms) >= _FEW and len(late_ms) >= _LATE_SHARE * min(unit.requests, 64):
        yield BusTrouble(
            cause=f"{name} answers after {statistics.median(late_ms):.0f} ms, "
            f"the limit is {unit.response_timeout_ms:.0f}",
            remedy=f"raise response_timeout_ms to {50 * (int(max(late_ms)) // 50 + 2)} for it",
            sensors=unit.sensors,
        )
    elif collisions >= _FEW and collisions >= _COLLIDING_SHARE * min(unit.requests, 64):
        yield BusTrouble(
            cause=f"two devices seem to have id {unit.device_id}: replies collide or come twice",
            remedy="take one of them off the line and look again: edged bus scan --ids "
            + str(unit.device_id),
            sensors=unit.sensors,
        )
    yield from _exceptions(unit, name)
    if unit.unconfirmed:
        yield BusTrouble(
            cause=f"{name} does not keep what is written to {', '.join(unit.unconfirmed)}",
            remedy="compare register and value with the manual; some devices must be unlocked first",
            sensors=unit.sensors,
        )


def _exceptions(unit: UnitFacts, name: str) -> Iterator[BusTrouble]:
    refused = {key: n for key, n in unit.errors.items() if key.startswith("exception")}
    if unit.answers or sum(refused.values()) < _FEW:
        return
    code = max(refused, key=lambda key: refused[key]).rpartition("_")[2]
    remedies = {
        "4": "the device reports a failure of its own: power it off and on, else exchange it",
        "5": "the device stays busy: power it off and on",
        "6": "the device stays busy: power it off and on",
        "10": "the gateway has no path to this device: check the gateway's settings",
        "11": "the device behind the gateway does not answer: check its power, cable and id",
    }
    remedy = remedies.get(
        code, "the profile does not fit the device: compare it with the maker's register table"
    )
    yield BusTrouble(cause=f"{name} answers exception {code} only", remedy=remedy, sensors=unit.sensors)
