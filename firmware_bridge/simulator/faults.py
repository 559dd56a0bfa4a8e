"""What goes wrong on a simulated bus, and how often.

Rates are probabilities per reply unless said otherwise.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

from firmware_bridge.errors import Fault, SettingsError


class _Checked:
    """Values come from TOML or JSON: rates are 0 to 1, everything else is not negative."""

    __slots__ = ()

    @classmethod
    def from_mapping(cls, where: str, values: dict[str, Any]) -> Self:
        known = {field.name: field.default for field in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        faults = []
        for key, value in values.items():
            if key not in known:
                faults.append(Fault(key=key, got=value, remedy=f"known are {', '.join(known)}"))
            elif isinstance(known[key], bool) != isinstance(value, bool) or not isinstance(
                value, int | float
            ):
                kind = "true or false" if isinstance(known[key], bool) else "a number"
                faults.append(Fault(key=key, got=value, remedy=f"write {kind}"))
            elif value < 0 or (key.endswith("_rate") and value > 1):
                faults.append(
                    Fault(
                        key=key,
                        got=value,
                        remedy="write 0 to 1" if key.endswith("_rate") else "write 0 or more",
                    )
                )
        if faults:
            raise SettingsError(where, faults)
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan(_Checked):
    """One device's faults."""

    silent_rate: float = 0.0
    late_rate: float = 0.0
    late_s: float = 0.2  # beyond its turnaround
    overtaking: bool = False  # a reply does not wait for an earlier one that is late
    wrong_id_rate: float = 0.0  # answers under its neighbour's id
    wrong_count_rate: float = 0.0  # one register more than asked for, CRC right
    crc_rate: float = 0.0
    truncate_rate: float = 0.0  # the last characters are missing
    split_rate: float = 0.0  # a pause inside the frame
    split_s: float = 0.01
    merge_rate: float = 0.0  # its previous reply is glued in front
    babble_rate: float = 0.0  # garbage instead of a reply
    babble_bytes: int = 60
    exception_rate: float = 0.0
    exception_code: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFaults(_Checked):
    """Faults of the wire, both ways. `corrupt_byte_rate` is per character."""

    corrupt_byte_rate: float = 0.0
    leading_noise_rate: float = 0.0  # 00 FF before a reply, as unbiased lines make it
    trailing_noise_rate: float = 0.0  # a 00 as the driver releases the line
    idle_noise_rate: float = 0.0  # a character between transactions
    echo: bool = False  # a two-wire adapter that hears itself
