"""What the HTTP API needs of the box behind it."""

from typing import Protocol

from edged.wire import BerthStatus, DeviceHealth, Snapshot


class PoleError(Exception):
    """The pole cannot answer; the message says why and what to do."""


class UnknownBerthError(PoleError):
    """No berth of this number is watched from this pole."""


class CaptureFailedError(PoleError):
    """No picture could be taken now."""


class Pole(Protocol):
    """Implemented by the daemon; called from several threads at once."""

    def berths(self) -> list[BerthStatus]:
        """Return every berth as known now."""

    def snapshot(self, berth_no: str, nonce: str) -> Snapshot:
        """Return the latest reading, signed, bound to `nonce`. Raises UnknownBerthError."""

    def capture(self, berth_no: str, nonce: str) -> Snapshot:
        """Take a new picture, read it, return it as `snapshot` does; may take seconds. Raises PoleError."""

    def picture(self, sha256: str) -> bytes | None:
        """Return an evidence picture, None when there is none or the disk does not give it."""

    def health(self) -> DeviceHealth:
        """Return what works and what does not."""
