"""What the guest has named as committed, and whether it is there after a cut."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Promise:
    """All that was named so far, and every way in which a boot did not hold it."""

    arrived: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    delivering: set[str] = field(default_factory=set)
    visits: int = 0
    cuts: int = 0
    failures: list[str] = field(default_factory=list)

    def name(self, line: str) -> None:
        """Take a line of the guest: `arrived ID`, `read ID` or `delivering EVENT`; a cut line is none."""
        word, _, what = line.partition(" ")
        match word:
            case "arrived":
                self.arrived.add(what)
            case "read":
                self.read.add(what)
            case "delivering":
                self.delivering.add(what)

    def hold(self, report: dict[str, Any]) -> None:
        """Compare what a boot found with what was named before it."""
        visits, waiting = report["visits"], report["waiting"]
        self.visits = len(visits)
        gone = len(self.delivering - set(waiting))
        for what, count in {
            "the store reports problems": len(report["problems"]),
            "arrivals lost": len(self.arrived - set(visits)),
            "arrivals doubled": len(visits) - len(set(visits)),
            "readings lost": len(self.read - set(report["read"])),
            "pictures of readings missing": report["pictures_missing"],
            "events doubled": len(waiting) - len(set(waiting)),
            "arrivals neither delivered nor waiting": report["neither"],
            # each visit and each reading has one event: it waits, or it was given to the cloud
            "events unaccounted for": abs(len(visits) + len(report["read"]) - len(waiting) - gone),
        }.items():
            if count:
                self.failures.append(
                    f"after cut {self.cuts}: {what}: {count} {report['problems'] or ''}".rstrip()
                )

    def counts(self) -> dict[str, int]:
        """Return how much was at stake."""
        return {
            "arrivals_named": len(self.arrived),
            "readings_named": len(self.read),
            "visits_at_the_last_boot": self.visits,
        }

    def summary(self) -> str:
        """Return one line for a person who watches."""
        return f"{len(self.arrived)} arrivals named, {self.visits} found, {len(self.failures)} failures"
