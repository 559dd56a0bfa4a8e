"""All checks of a box: those that answer at once, then those that may wait, all together in bounded time."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from edged.diagnosis.daemon import Daemon
from edged.domain.health import Finding, HealthStatus
from edged.settings import Settings

WITHIN_S = 12.0  # for all parts together; `edged diag` promises 15 s, the start and a slow box take the rest

Check = Callable[[], Iterable[Finding]]


def check_at_once(settings: Settings, daemon: Daemon) -> list[Finding]:
    """Return what the daemon knows, and what disk, records, clock and credentials say: no waiting in it."""
    from edged.diagnosis.local import check_clock, check_disk, check_enrolment, check_store

    directory = settings.store.directory
    return [
        daemon.finding,
        *daemon.troubles,
        check_disk(directory),
        *check_store(directory, daemon),
        check_clock(),
        check_enrolment(settings.uplink.credentials, daemon),
    ]


def check_parts(settings: Settings, daemon: Daemon, within_s: float = WITHIN_S) -> list[Finding]:
    """Use buses, cameras, models and cloud, all at the same time.

    A part that gives no answer within `within_s` is a finding; its thread is left behind.
    """
    checks = list(_checks(settings, daemon))
    answers: queue.Queue[tuple[str, list[Finding]]] = queue.Queue()
    for part, check in checks:
        # daemon threads: a camera that hangs must not keep the command from ending
        threading.Thread(target=_run, args=(part, check, answers), name=part, daemon=True).start()
    return _collected([part for part, _check in checks], answers, time.monotonic() + within_s)


def _checks(settings: Settings, daemon: Daemon) -> Iterator[tuple[str, Check]]:
    from edged.diagnosis.buses import check_idle_buses, check_running_buses
    from edged.diagnosis.parts import check_camera, check_cloud, check_model

    yield "bus", partial(check_running_buses if daemon.is_running else check_idle_buses, settings)
    for camera in settings.camera:
        berths = [berth for berth in settings.berth if berth.camera == camera.name]
        yield f"camera {camera.name}", partial(check_camera, camera, berths)
    yield "model", partial(check_model, settings)
    yield "cloud", partial(check_cloud, settings)


def _run(part: str, check: Check, answers: "queue.Queue[tuple[str, list[Finding]]]") -> None:
    try:
        found = list(check())
    except Exception as error:  # noqa: BLE001  # a check that breaks is a finding; the others go on
        cause, remedy = f"the check itself failed: {error!r}", "report this to the maker"
        found = [Finding(where=part, status=HealthStatus.FAILED, cause=cause, remedy=remedy)]
    answers.put((part, found))


def _collected(
    parts: Sequence[str], answers: "queue.Queue[tuple[str, list[Finding]]]", end_s: float
) -> list[Finding]:
    """Return the findings in the order of `parts`, whatever the order of the answers."""
    found: dict[str, list[Finding]] = {}
    while len(found) < len(parts):
        try:
            part, findings = answers.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            break
        found[part] = findings
    return [finding for part in parts for finding in found.get(part, [_silent(part)])]


def _silent(part: str) -> Finding:
    return Finding(
        where=part,
        status=HealthStatus.FAILED,
        cause="gave no answer in time",
        remedy="check its power and its cable, then run edged diag again",
    )
