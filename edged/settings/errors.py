"""What is wrong with a settings file: all of it at once, each with key, value and remedy."""

from pathlib import Path

from edged.domain.trouble import Trouble


class SettingsError(Exception):
    """The file cannot be used; `troubles` holds everything found, in the order of the file."""

    def __init__(self, file: Path, troubles: tuple[Trouble, ...]) -> None:
        self.file = file
        self.troubles = troubles
        super().__init__("\n".join(f"{file}: {trouble}" for trouble in troubles))


def refused(key: str, got: str, remedy: str) -> Trouble:
    """Return the trouble of a value; `key` reads `sensor[2] "urm-3": device_id`, counted from one."""
    return Trouble(where=key, cause=f"got {got}", remedy=remedy)
