"""What is wrong and what to do about it: one type for settings, errors, health and HTTP answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong.

    `where` names the place as a technician knows it: a path, a URL, a settings key, a part of the box.
    `remedy` is the next action. Both may be empty: nothing to name, nothing to do.
    """

    where: str
    cause: str
    remedy: str

    @property
    def what(self) -> str:
        """Return where and why, without the remedy."""
        return f"{self.where}: {self.cause}" if self.where else self.cause

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


class TroubleError(Exception):
    """Base of errors that carry a trouble; the message is the trouble's own text."""

    def __init__(self, where: str, cause: str, remedy: str) -> None:
        self.trouble = Trouble(where=where, cause=cause, remedy=remedy)
        super().__init__(str(self.trouble))
