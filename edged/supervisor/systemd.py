"""What systemd is told: READY, WATCHDOG, STATUS, STOPPING (sd_notify(3)). Silent where systemd is not."""

import os
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class SystemdNotifier:
    """Speaks to the service manager that started this process, if one did and systemd-python is installed."""

    def __init__(self) -> None:
        self._notify = _library()

    def ready(self) -> None:
        self._notify("READY=1")

    def alive(self) -> None:
        self._notify("WATCHDOG=1")

    def status(self, line: str) -> None:
        self._notify(f"STATUS={line}")

    def stopping(self) -> None:
        self._notify("STOPPING=1")


def _library() -> Callable[[str], object]:
    try:
        from systemd.daemon import notify
    except ImportError:
        if "NOTIFY_SOCKET" in os.environ:
            log.warning(
                "systemd-python is not installed: systemd will not see READY",
                remedy="pip install edged[systemd]",
            )
        return lambda _message: None
    return notify  # type: ignore[no-any-return]
