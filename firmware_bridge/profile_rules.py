"""The rules of a sensor profile: when a channel is occupied or faulty, and what other registers are for."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from firmware_bridge.values import Checked, DoubleWord, Number, Real, Text, Whole, Word


class Compare(StrEnum):
    """How a signal becomes occupied or vacant."""

    BIT = "bit"  # occupied while the bit is `occupied_at`: 1, or 0 with a normally closed contact
    BELOW = "below"  # distance: occupied at or below one threshold, vacant at or above the other
    ABOVE = "above"  # deviation: the other way round
    STATES = "states"  # a number that stands for a state


class OnInvalid(StrEnum):
    """What an invalid value (no echo, out of range, an unlisted state) says about the berth."""

    HOLD = "hold"  # nothing: keep the state, fault when it lasts
    VACANT = "vacant"
    FAULT = "fault"


class FaultRule(Checked):
    """The device reports a fault while `raw & mask == equals`: raw bits, without scale and offset."""

    signal: Text
    mask: Annotated[int, Whole(1, 0xFFFFFFFF)] = 0xFFFFFFFF
    equals: DoubleWord = 1
    cause: Text

    @field_validator("equals")
    @classmethod
    def _inside_the_mask(cls, given: int, info: ValidationInfo) -> int:
        if given & ~info.data.get("mask", 0xFFFFFFFF):
            raise ValueError("has bits outside mask, so it never applies")
        return given


class OccupancyRule(Checked):
    """When a channel is occupied. Between two thresholds it stays what it was."""

    signal: Text
    compare: Compare
    occupied_at: Real | None = Field(
        default=None, validate_default=True, description="below, above: a threshold. bit: 1 or 0."
    )
    vacant_at: Real | None = Field(
        default=None, validate_default=True, description="below, above: the other threshold."
    )
    occupied: tuple[DoubleWord, ...] = Field(
        default=(), validate_default=True, description="states: raw numbers that mean occupied."
    )
    vacant: tuple[DoubleWord, ...] = Field(default=(), validate_default=True)
    fault: tuple[DoubleWord, ...] = ()
    confirm_readings: Annotated[int, Whole(1, 20)] = 1
    on_invalid: OnInvalid = OnInvalid.HOLD

    @field_validator("occupied_at")
    @classmethod
    def _occupied_fits(cls, given: float | None, info: ValidationInfo) -> float | None:
        compare = info.data.get("compare")
        if compare is Compare.BIT:
            if given not in (None, 0.0, 1.0):
                raise ValueError("write 1, or 0 for a normally closed contact")
            return 1.0 if given is None else given
        return _threshold(given, compare)

    @field_validator("vacant_at")
    @classmethod
    def _vacant_fits(cls, given: float | None, info: ValidationInfo) -> float | None:
        compare, occupied_at = info.data.get("compare"), info.data.get("occupied_at")
        if compare is Compare.BIT:
            if given is not None:
                raise ValueError("a bit has one threshold: write occupied_at alone")
            return None
        given = _threshold(given, compare)
        if (
            given is not None
            and occupied_at is not None
            and (side := wrong_side(compare, occupied_at, given))
        ):
            raise ValueError(f"must lie {side} occupied_at, so that there is hysteresis")
        return given

    @field_validator("occupied", "vacant")
    @classmethod
    def _states_fit(cls, given: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        compare = info.data.get("compare")
        if compare is Compare.STATES and not given:
            raise ValueError("is missing: list the numbers of this state")
        if compare is not None and compare is not Compare.STATES and given:
            raise ValueError('goes with compare = "states"')
        return given

    @field_validator("fault")
    @classmethod
    def _listed_once(cls, given: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        listed = [*info.data.get("occupied", ()), *info.data.get("vacant", ()), *given]
        twice = sorted({number for number in listed if listed.count(number) > 1})
        if twice:
            raise ValueError(f"{twice} is listed twice among occupied, vacant and fault")
        if given and info.data.get("compare") is not Compare.STATES:
            raise ValueError('goes with compare = "states"')
        return given


class CounterRule(Checked):
    """A register that counts arrivals and survives power loss."""

    register_name: Text = Field(alias="register")
    every_s: Annotated[float, Number(0.05)] = 1.0
    wraps_at: Annotated[int, Whole(2, 0x1_0000_0000)] | None = Field(
        default=None, description="The count that is shown as 0 again. Default: by the register's size."
    )


class ReapplyRule(Checked):
    """A setting that the device forgets without power: read every so often, written again when it differs."""

    register_name: Text = Field(alias="register")
    value: Real = Field(description="As the register holds it, before scale and offset.")
    every_s: Annotated[float, Number(1.0)] = 30.0


class IdentityRule(Checked):
    """What a scan reads to recognise the device: `register & mask == equals`."""

    register_name: Text = Field(alias="register")
    mask: Annotated[int, Whole(1, 0xFFFF)] = 0xFFFF
    equals: Word


class SetIdRule(Checked):
    """The register that holds the device id."""

    register_name: Text = Field(alias="register")
    needs_restart: Annotated[bool, Field(strict=True)] = False


def wrong_side(compare: Compare | None, occupied_at: float, vacant_at: float) -> str:
    """On which side of `occupied_at` the other threshold must lie; empty where it does."""
    if compare is Compare.BELOW and vacant_at <= occupied_at:
        return "above"
    return "below" if compare is Compare.ABOVE and vacant_at >= occupied_at else ""


def _threshold(given: float | None, compare: Compare | None) -> float | None:
    if compare is Compare.STATES and given is not None:
        raise ValueError('goes with compare = "below" or "above"')
    if compare in (Compare.BELOW, Compare.ABOVE) and given is None:
        raise ValueError("is missing: add it")
    return given
