"""Everything this package raises. One base, so that the daemon can name the room a failure came from."""

from dataclasses import dataclass


class BridgeError(Exception):
    """Base of all errors of the bus room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in a file or in settings: where, what was got, what to do about it."""

    key: str
    got: object
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: got {self.got!r}: {self.remedy}"


class ProfileError(BridgeError):
    """A sensor profile that cannot be used; carries all of the file's faults at once.

    `name` is what the file calls the profile, or its own name where that cannot be read.
    `is_double`: all that is wrong is that another file of the folder has the name too.
    """

    def __init__(self, file: str, faults: list[Fault], *, name: str, is_double: bool = False) -> None:
        self.file = file
        self.name = name
        self.is_double = is_double
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{file}: {fault}" for fault in faults))


class SettingsError(BridgeError):
    """Bus or sensor settings that cannot be used; carries all faults at once."""

    def __init__(self, where: str, faults: list[Fault]) -> None:
        self.where = where
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{where}: {fault}" for fault in faults))


class FrameError(BridgeError):
    """A request that Modbus RTU cannot express (address, count or value out of range)."""


class PortError(BridgeError):
    """The serial port cannot be had or was lost. `what` is the cause, `remedy` the next action."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy
