"""What a process uses, of /proc: memory, threads, descriptors, children."""

from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One look at a process."""

    at_s: float
    rss_kib: int
    threads: int
    descriptors: int
    children: int

    @classmethod
    def of(cls, pid: int, at_s: float) -> Self:
        """Return what the process uses now; OSError when there is none."""
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        tasks = list((process / "task").iterdir())
        children = " ".join((task / "children").read_text() for task in tasks)
        return cls(
            at_s=at_s,
            rss_kib=int(status["VmRSS"].split()[0]),
            threads=len(tasks),
            descriptors=len(list((process / "fd").iterdir())),
            children=len(children.split()),
        )


def lowest(looks: list[Usage]) -> Usage:
    """Return the least of each kind: what remains when nothing is under way."""
    return Usage(
        at_s=looks[-1].at_s,
        rss_kib=min(look.rss_kib for look in looks),
        threads=min(look.threads for look in looks),
        descriptors=min(look.descriptors for look in looks),
        children=min(look.children for look in looks),
    )


def growth_mib_per_h(pauses: list[Usage]) -> float | None:
    """Return the slope of memory over the pauses; None when there are fewer than three."""
    if len(pauses) < 3:
        return None
    slope, _ = linear_regression([p.at_s / 3600 for p in pauses], [p.rss_kib / 1024 for p in pauses])
    return round(slope, 2)
