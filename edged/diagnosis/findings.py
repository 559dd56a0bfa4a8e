"""What a check finds: a light, why, and what to do next."""

from dataclasses import dataclass
from enum import StrEnum


class Light(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"  # works, but look after it
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part's state. `next_action` is empty where there is nothing to do."""

    part: str
    light: Light
    cause: str
    next_action: str = ""
