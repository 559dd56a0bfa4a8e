"""What the technician's commands may ask of the running daemon, beside its buses."""

from collections.abc import Mapping
from typing import Any

from edged.control import Command
from edged.domain.health import Finding
from edged.workers.board import Board
from edged.workers.health_book import HealthBook


def pole_commands(board: Board, health: HealthBook) -> dict[str, Command]:
    """Return the commands by name; the names of their answers' members are stable.

    health {} -> [{component, status, cause, remedy}], the worst first
    berths {} -> [{berth_no, state, visit_id}]
    """

    def ask_health(_request: Mapping[str, Any]) -> list[dict[str, str]]:
        return [_as_json(finding) for finding in health.problems()]

    def ask_berths(_request: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [status.model_dump(mode="json") for status in board.all()]

    return {"health": ask_health, "berths": ask_berths}


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "component": finding.where,
        "status": finding.status.value,
        "cause": finding.cause,
        "remedy": finding.remedy,
    }
