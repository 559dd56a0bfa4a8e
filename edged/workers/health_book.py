"""What is wrong at this moment: entered by the workers, or asked of those who keep it themselves."""

import threading
from collections.abc import Callable, Iterable

import structlog

from edged.domain.health import HealthStatus, Problem, overall

log = structlog.get_logger()


class HealthBook:
    """Thread-safe. An entered problem stays until its component says that it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered: dict[str, Problem] = {}
        self._sources: list[Callable[[], Iterable[Problem]]] = []

    def ask(self, source: Callable[[], Iterable[Problem]]) -> None:
        """Ask `source` for its problems whenever somebody looks; before the workers start."""
        self._sources.append(source)

    def report(self, component: str, status: HealthStatus, cause: str, remedy: str) -> None:
        """Enter a problem; the log gets a line only when it is new or different."""
        problem = Problem(component=component, status=status, cause=cause, remedy=remedy)
        with self._lock:
            known = self._entered.get(component)
            self._entered[component] = problem
        if known != problem:
            log.warning("problem", component=component, cause=cause, remedy=remedy)

    def clear(self, component: str) -> None:
        with self._lock:
            known = self._entered.pop(component, None)
        if known is not None:
            log.info("problem over", component=component)

    def problems(self) -> tuple[Problem, ...]:
        """Return all problems, the worst first."""
        with self._lock:
            found = list(self._entered.values())
        for source in self._sources:
            found += source()
        return tuple(
            sorted(found, key=lambda problem: list(HealthStatus).index(problem.status), reverse=True)
        )

    def status(self) -> HealthStatus:
        return overall(self.problems())
