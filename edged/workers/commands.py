"""What the technician's commands may ask of the running daemon, beside its buses."""

from collections.abc import Mapping
from typing import Any

from edged.control import Command
from edged.domain.health import Finding
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.views import ViewBook


def pole_commands(board: Board, health: HealthBook, views: ViewBook) -> dict[str, Command]:
    """Return the commands by name; the names of their answers' members are stable.

    health {} -> [{component, status, cause, remedy}], the worst first
    berths {} -> [{berth_no, state, visit_id}]
    confirm_view {camera} -> null: what the camera shows now is right
    """

    def ask_health(_request: Mapping[str, Any]) -> list[dict[str, str]]:
        return [_as_json(finding) for finding in health.problems()]

    def ask_berths(_request: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [status.model_dump(mode="json") for status in board.all()]

    def confirm_view(request: Mapping[str, Any]) -> None:
        views.confirm(str(request["camera"]))

    return {"health": ask_health, "berths": ask_berths, "confirm_view": confirm_view}


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "component": finding.where,
        "status": finding.status.value,
        "cause": finding.cause,
        "remedy": finding.remedy,
    }
