"""Which other processes have a device open, as far as this user may see."""

import os
from contextlib import suppress
from pathlib import Path

_MOST_NAMED = 3
_PTY_MASTER = os.makedev(5, 2)


def users_of(device: int) -> str:
    """Return ` (mbpoll, pid 123)` for the other processes that have device number `device` open.

    Empty where none can be seen: other users' processes show to root only.
    """
    found = [f"{_name(pid)}, pid {pid}" for pid in _others() if _has_open(pid, device)]
    return f" ({'; '.join(found[:_MOST_NAMED])})" if found else ""


def _others() -> list[int]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted(pid for pid in pids if pid != os.getpid())


def _has_open(pid: int, device: int) -> bool:
    """A process that holds a pty's other end is what our line leads to, no intruder."""
    devices = set()
    with suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                devices.add(fd.stat().st_rdev)
    return device in devices and _PTY_MASTER not in devices


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return "?"
