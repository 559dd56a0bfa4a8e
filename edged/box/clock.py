"""The box's clocks as `Stamp`s: UTC, the boot's own clock, and whether UTC can be believed."""

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path

from edged.domain.timekeeping import Stamp

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_SIZE_BYTES = 512  # struct timex is 208 on 64-bit Linux; only its zeroed `modes` matters here


class Clock:
    """Stamps for records. A clock is believed when the kernel says that it is disciplined (NTP, PTP, GPS)."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        self._libc = ctypes.CDLL(None)

    def now(self) -> Stamp:
        return self.at(time.monotonic())

    def at(self, monotonic_s: float) -> Stamp:
        """Return the stamp of a moment on the monotonic clock, by what both clocks say now."""
        age_s = time.monotonic() - monotonic_s
        return Stamp(
            utc=datetime.fromtimestamp(time.time() - age_s, UTC),
            clock_synced=self.is_synced(),
            boot_id=self._boot_id,
            monotonic_s=monotonic_s,
        )

    def is_synced(self) -> bool:
        """Ask the kernel (adjtimex with no modes: read only), as `timedatectl` does."""
        state = self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE_BYTES))
        return int(state) not in (-1, _TIME_ERROR)
