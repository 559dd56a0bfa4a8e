"""What is wrong at this moment, by component; every worker writes its own lines."""

import threading

import structlog

from edged.domain.health import HealthStatus, Problem, overall

log = structlog.get_logger()


class HealthBook:
    """Thread-safe. A problem stays until its component says that it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}

    def report(self, component: str, status: HealthStatus, cause: str, remedy: str) -> None:
        """Enter a problem; the log gets a line only when it is new or different."""
        problem = Problem(component=component, status=status, cause=cause, remedy=remedy)
        with self._lock:
            known = self._problems.get(component)
            self._problems[component] = problem
        if known != problem:
            log.warning("problem", component=component, cause=cause, remedy=remedy)

    def clear(self, component: str) -> None:
        with self._lock:
            known = self._problems.pop(component, None)
        if known is not None:
            log.info("problem over", component=component)

    def problems(self) -> tuple[Problem, ...]:
        with self._lock:
            return tuple(self._problems.values())

    def status(self) -> HealthStatus:
        return overall(self.problems())
