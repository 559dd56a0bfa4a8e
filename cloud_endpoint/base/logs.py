"""Logs as one JSON object a line, each with the id of its request; plates are masked wherever they stand."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from edged.domain.masking import mask_in

# Their own lines are ours, or too many.
_QUIET = {"uvicorn.access": logging.WARNING, "alembic": logging.WARNING}


def configure(level: str = "INFO") -> None:
    """Have every logger of this process write JSON to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _without_colours,
                mask_plates,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)


def mask_plates(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return the entry with every plate in its texts masked."""
    return {key: mask_in(value) if isinstance(value, str) else value for key, value in entry.items()}


def _without_colours(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop uvicorn's second copy of its messages."""
    entry.pop("color_message", None)
    return entry
