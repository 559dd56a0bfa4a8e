"""Logs for the journal: one line an event, `key=value`, plates masked whoever wrote them."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from edged.domain.masking import mask_in

# sd-daemon(3): a line's level, where the journal reads our standard error
_JOURNAL_LEVELS = {"critical": "<2>", "error": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}


def configure(*, verbose: bool = False) -> None:
    """Send structlog and the standard library's logging to standard error, once, at start-up."""
    in_journal = "JOURNAL_STREAM" in os.environ
    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.format_exc_info, _mask_plates]
    if not in_journal:  # the journal has its own clock
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _journal_line(renderer) if in_journal else renderer,
        ],
    )
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [to_stderr]
    root.setLevel(level)
    for chatty in ("uvicorn.access", "urllib3", "pymodbus"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _mask_plates(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask_in(value)
    return event


def _journal_line(renderer: Any) -> Any:
    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        level = _JOURNAL_LEVELS.get(str(event.pop("level", "info")), "<6>")
        return f"{level}{renderer(logger, method, event)}"

    return render
