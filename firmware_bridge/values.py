"""Checked values of profiles and settings: what pydantic refuses is refused in words that name the remedy."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Checked(BaseModel):
    """A table of a profile: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`; neither `true` nor a number in quotes is one."""

    low: int
    high: int

    def check(self, given: Any) -> Any:
        if type(given) is not int or not self.low <= given <= self.high:
            raise ValueError(f"write a whole number from {self.low} to {self.high}")
        return given

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some whole numbers; `true` is not 1."""

    numbers: tuple[int, ...]

    def check(self, given: Any) -> Any:
        if type(given) is not int or given not in self.numbers:
            raise ValueError(f"write one of {', '.join(map(str, self.numbers))}")
        return given

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"enum": list(self.numbers)}


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number, of at least `low`."""

    low: float | None = None

    def check(self, given: Any) -> Any:
        is_number = type(given) in (int, float) and math.isfinite(given)
        if not is_number or (self.low is not None and given < self.low):
            raise ValueError("write a number" + ("" if self.low is None else f" of at least {self.low:g}"))
        return float(given)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | ({} if self.low is None else {"minimum": self.low})


Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
AnyText = Annotated[str, StringConstraints(strict=True)]
Real = Annotated[float, Number()]
Word = Annotated[int, Whole(0, 0xFFFF)]
DoubleWord = Annotated[int, Whole(0, 0xFFFFFFFF)]
