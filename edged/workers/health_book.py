"""What is wrong at this moment: entered by the workers, or asked of the parts that keep it themselves."""

import threading
from collections.abc import Sequence
from typing import Protocol

import structlog

from edged.domain.causes import Cause, Needs, arrange
from edged.domain.health import Finding, HealthStatus, overall
from edged.settings.parts import ONCE

log = structlog.get_logger()


class Source(Protocol):
    """A part that keeps its own findings; read from any thread."""

    @property
    def problems(self) -> Sequence[Finding]: ...


class HealthBook:
    """Thread-safe. An entered problem stays until its component says that it is over.

    `needs` says which part needs which, so that a cause is told from what follows from it.
    """

    def __init__(self, needs: Needs = ONCE) -> None:
        self._needs = needs
        self._lock = threading.Lock()
        self._entered: dict[str, Finding] = {}
        self._unlogged: set[str] = set()
        self._sources: list[Source] = []

    def add_sources(self, *sources: Source) -> None:
        """Ask `sources` for their findings whenever somebody looks. Call it before the workers start."""
        self._sources += sources

    def report(
        self, where: str, status: HealthStatus, cause: str, remedy: str, *, is_logged: bool = True
    ) -> None:
        """Enter a finding made of its parts. The log gets a line only when it is new or different.

        `is_logged`: false where a line about the cause is in the log already.
        """
        finding = Finding(where=where, status=status, cause=cause, remedy=remedy)
        self.enter(finding, is_logged=is_logged)

    def enter(self, finding: Finding, *, is_logged: bool = True) -> None:
        """Enter a finding, which replaces the one of the same part."""
        with self._lock:
            known = self._entered.get(finding.where)
            self._entered[finding.where] = finding
            (self._unlogged.discard if is_logged else self._unlogged.add)(finding.where)
        if known != finding and is_logged:
            log.warning("problem", component=finding.where, cause=finding.cause, remedy=finding.remedy)

    def clear(self, where: str) -> None:
        with self._lock:
            known = self._entered.pop(where, None)
            is_logged = where not in self._unlogged
            self._unlogged.discard(where)
        if known is not None and is_logged:
            log.info("problem over", component=where)

    def causes(self) -> tuple[Cause, ...]:
        """Return all problems by cause, the most severe cause first."""
        with self._lock:
            found = list(self._entered.values())
        for source in self._sources:
            found += source.problems
        return arrange(found, self._needs)

    def problems(self) -> tuple[Finding, ...]:
        """Return all problems: each cause, then what follows from it; the most severe cause first."""
        return tuple(finding for cause in self.causes() for finding in cause.findings)

    def status(self) -> HealthStatus:
        return overall(self.problems())

    def level(self) -> int:
        """Return the status as a number: 0 ok, 1 degraded, 2 failed."""
        return list(HealthStatus).index(self.status())
