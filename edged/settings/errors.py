"""What is wrong with a settings file: all of it at once, each with key, value and remedy."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One wrong place. `key` reads `sensor[2] "urm-3": device_id`, as a technician would say it."""

    key: str
    got: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: got {self.got}; {self.remedy}" if self.got else f"{self.key}: {self.remedy}"


class SettingsError(Exception):
    """The file cannot be used; `complaints` holds everything found, in the order of the file."""

    def __init__(self, file: Path, complaints: tuple[Complaint, ...]) -> None:
        self.file = file
        self.complaints = complaints
        super().__init__("\n".join(f"{file}: {complaint}" for complaint in complaints))
