"""What the HTTP API needs of the box behind it."""

from typing import Protocol

from edged.wire import BerthStatus, DeviceHealth, Snapshot
from edged.wire.problem import Problem


class PoleError(Problem):
    """The pole cannot answer."""


class UnknownBerthError(PoleError):
    """No berth of this number is watched from this pole."""

    def __init__(self, berth_no: str) -> None:
        super().__init__(
            "unknown-berth",
            404,
            f"berth {berth_no} is not on this pole; see /v1/berths",
            remedy="GET /v1/berths lists this pole's berths",
            title="No such berth",
        )


class CaptureFailedError(PoleError):
    """No picture could be taken now."""

    def __init__(self, cause: str) -> None:
        remedy = "try again; `edged diag` on the pole tells more"
        super().__init__("capture-failed", 502, cause, remedy=remedy, title="No picture")


class RecordsUnavailableError(PoleError):
    """The records cannot be read now: the disk is full, stalls or is damaged."""

    def __init__(self, cause: str) -> None:
        remedy = "try again; `edged diag` on the pole tells more"
        super().__init__("records-unavailable", 503, cause, remedy=remedy, retry_after_s=10)


class Pole(Protocol):
    """Implemented by the daemon; called from several threads at once."""

    def berths(self) -> list[BerthStatus]:
        """Return every berth as known now."""

    def snapshot(self, berth_no: str, nonce: str) -> Snapshot:
        """Return the latest reading, signed, bound to `nonce`. Raises PoleError."""

    def capture(self, berth_no: str, nonce: str) -> Snapshot:
        """Take a new picture, read it, return it as `snapshot` does; may take seconds. Raises PoleError."""

    def picture(self, sha256: str) -> bytes | None:
        """Return an evidence picture, None when there is none or the disk does not give it."""

    def health(self) -> DeviceHealth:
        """Return what works and what does not."""
