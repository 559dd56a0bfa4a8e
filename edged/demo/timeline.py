"""The demo's story as it happens: one line a step, with when, who, what, and how long it took."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

_ACTORS = {
    "bus": "yellow",
    "camera": "yellow",
    "edged": "green",
    "cloud": "cyan",
    "driver": "magenta",
    "demo": "white",
}


@dataclass(slots=True)
class Timeline:
    """Prints steps; remembers those that did not end as expected."""

    console: Console
    began_s: float = field(default_factory=time.monotonic)
    unexpected: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a new part of the story."""
        self.console.print()
        self.console.print(Text(text, style="bold"))

    def step(self, actor: str, what: str, *, took_s: float | None = None) -> None:
        """Tell what happened; `took_s` is its real latency."""
        self._line(actor, what, "", took_s)

    def check(
        self, actor: str, what: str, *, expected: object, got: object, took_s: float | None = None
    ) -> bool:
        """Tell what came out, and whether it is what was expected."""
        as_expected = expected == got
        shown = what if as_expected else f"{what}: expected {expected}, got {got}"
        if not as_expected:
            self.unexpected.append(shown)
        self._line(actor, shown, "ok" if as_expected else "no", took_s)
        return as_expected

    def note(self, text: str) -> None:
        """Tell something that is no step."""
        self.console.print(Text(f"{'':>18}{text}", style="dim"), soft_wrap=True)

    def _line(self, actor: str, what: str, verdict: str, took_s: float | None) -> None:
        line = Text(f"{time.monotonic() - self.began_s:6.2f} s  ", style="dim")
        line.append(f"{actor:<8} ", style=_ACTORS.get(actor, "white"))
        marks = {"ok": ("✓ ", "green"), "no": ("✗ ", "bold red"), "": ("  ", "")}
        line.append(*marks[verdict])
        line.append(what)
        if took_s is not None:
            line.append(f"  [{_duration(took_s)}]", style="bold blue")
        self.console.print(line, soft_wrap=True)


def from_here(path: Path) -> str:
    """The path as it would be typed in the current folder."""
    return os.path.relpath(path)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
