"""The running daemon as a witness: what it knows to be wrong, and how its buses are."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from edged.control import ControlError, NotRunning, ask
from edged.domain.health import Finding, HealthStatus
from firmware_bridge import BusSnapshot

_ASKED_WITHIN_S = 1.0  # the first line of `edged diag` waits for it
_BUSES_WITHIN_S = 5.0
_NOT_RUNNING = "start it: systemctl start edged (journalctl -u edged tells why it stopped)"
_SILENT = "restart it: systemctl restart edged (journalctl -u edged shows what it last did)"

_SNAPSHOTS = TypeAdapter(list[BusSnapshot])


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """`finding` is about the daemon itself; `troubles` are what it knows to be wrong with its parts."""

    is_running: bool
    finding: Finding
    troubles: tuple[Finding, ...] = ()


def ask_daemon(directory: Path) -> Daemon:
    """Ask the daemon whose store is `directory` for its health. Raises nothing."""
    try:
        answer = ask(directory, "health", timeout_s=_ASKED_WITHIN_S)
        troubles = tuple(
            Finding(
                where=item["component"],
                status=HealthStatus(item["status"]),
                cause=item["cause"],
                remedy=item["remedy"],
            )
            for item in answer
        )
    except NotRunning:
        return Daemon(is_running=False, finding=_of_daemon("does not run", _NOT_RUNNING))
    except (ControlError, TypeError, KeyError, ValueError) as error:
        return Daemon(is_running=True, finding=_of_daemon(f"runs, but does not answer: {error}", _SILENT))
    return Daemon(is_running=True, finding=Finding.sound("daemon", "runs"), troubles=troubles)


def ask_buses(directory: Path) -> list[BusSnapshot]:
    """Return how the daemon's buses are. Raises ControlError."""
    answer = ask(directory, "buses", timeout_s=_BUSES_WITHIN_S)
    try:
        return _SNAPSHOTS.validate_python(answer)
    except ValueError as error:
        raise ControlError("the daemon is of another version than this command") from error


def _of_daemon(cause: str, remedy: str) -> Finding:
    return Finding(where="daemon", status=HealthStatus.FAILED, cause=cause, remedy=remedy)
