"""The views of all cameras: each picture judged, troubles reported, jobs held back until the view is good."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from edged.box.clock import Clock
from edged.camera import Frame
from edged.domain.health import HealthStatus
from edged.picture import PictureError
from edged.settings import BerthSettings, Settings
from edged.view import CameraWatch, Doubt, Judgement, Occasion, ViewPlan, look_at, trouble_of
from edged.view.doubts import WITHHOLDS
from edged.view.memory import ViewMemory
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.queues import CaptureJob, CaptureQueue, Reason

log = structlog.get_logger()

# A car that waits to be read is looked at within 5 s of the camera's return; the picture takes the rest.
LOOK_AGAIN_AFTER_S = 3.0
_CONTACT_TO_JOB_S = 1.0  # a poll of the sensor and a commit on a slow card
_LOOK_IDLE_S = 60.0  # no job waits, but health has to see the end of a trouble
_KEEP_EVERY_S = 600.0  # 80 kB a time: a new view learns from every picture, and the card wears
_LOST_AFTER_S = 60.0  # a look that was not answered for so long was dropped with a full queue

ViewKey = tuple[str, int | None]  # camera, preset

_IN_ORDER = Judgement(is_proven=True)


@dataclass(slots=True)
class _Standing:
    """What is known of one view beside its pictures. `held`: jobs that wait for it, by berth."""

    berths: list[BerthSettings] = field(default_factory=list)
    held: dict[str, CaptureJob] = field(default_factory=dict)
    bad_since: datetime | None = None
    look_due_s: float = -_LOST_AFTER_S  # monotonic; of the look that is on its way
    kept_s: float = -_KEEP_EVERY_S  # monotonic; when the view was last written


class ViewBook:
    """Used by the reading worker's thread; `confirm` from any thread."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        board: Board,
        health: HealthBook,
        captures: Mapping[str, CaptureQueue],
    ) -> None:
        self._clock = clock
        self._zone = ZoneInfo(settings.site.time_zone)
        self._board = board
        self._health = health
        self._captures = captures
        self._memory = ViewMemory(settings.store.directory / "views")
        self._standings: dict[ViewKey, _Standing] = {}
        self._watches: dict[str, CameraWatch] = {}
        self.berths = {berth.berth_no: berth for berth in settings.berth}
        self._arrivals: dict[str, tuple[str, float]] = {}  # by berth: visit, and when it came
        self._unchanged_since: dict[str, datetime] = {}  # by berth
        self._to_confirm: set[ViewKey] = set()
        self._lock = threading.Lock()
        for camera in settings.camera:
            berths = [berth for berth in settings.berth if berth.camera == camera.name and berth.in_service]
            if camera.is_live and berths:
                self._watch(camera.name, berths)

    def judge(self, job: CaptureJob, frame: Frame) -> Judgement:
        """Judge a picture of the job's berth, report what is wrong with the view, and see to its end.

        Raises PictureError.
        """
        key = (job.berth.camera, job.berth.preset)
        standing = self._standings.get(key)
        if standing is None:
            return _IN_ORDER
        if job.reason is Reason.ARRIVAL and job.visit_id is not None:
            # the picture may be as old as the first contact, and no older
            came_s = job.asked_s - job.berth.settle_in_s - _CONTACT_TO_JOB_S
            self._arrivals[job.berth.berth_no] = (job.visit_id, came_s)
        now = self._clock.now().utc.astimezone(self._zone)
        if job.reason is Reason.VIEW:
            standing.look_due_s = -_LOST_AFTER_S
        try:
            sight = look_at(frame.decode(), taken_s=frame.taken_monotonic_s)
        except PictureError:
            if standing.held:  # a damaged picture says nothing of the view; the next one may
                self._look_soon(key, standing, job.berth, LOOK_AGAIN_AFTER_S)
            raise
        watch = self._watches[job.berth.camera]
        is_confirmed = self._take_confirmation(key)
        if is_confirmed:
            watch.confirm(job.berth.preset, sight, now.toordinal())
        judgement = watch.judge(sight, self._occasion(job, now))
        if judgement.has_learnt and (is_confirmed or time.monotonic() - standing.kept_s >= _KEEP_EVERY_S):
            standing.kept_s = time.monotonic()
            self._memory.keep(key, watch.views[job.berth.preset])
        self._report(key, standing, job, judgement, now)
        self._see_to_it(key, standing, job, judgement)
        return judgement

    def hold(self, job: CaptureJob) -> None:
        """Keep a job back until its view is good again."""
        standing = self._standings[job.berth.camera, job.berth.preset]
        standing.held[job.berth.berth_no] = job
        self._look_soon((job.berth.camera, job.berth.preset), standing, job.berth, LOOK_AGAIN_AFTER_S)

    def look_after_held(self) -> None:
        """Have another picture taken where jobs wait for a view and the picture that was due did not come.

        It may have been dropped with a full queue.
        """
        for key, standing in self._standings.items():
            if standing.held and time.monotonic() > standing.look_due_s + _LOST_AFTER_S:
                self._look_soon(key, standing, standing.berths[0], LOOK_AGAIN_AFTER_S)

    def concerned(self, berth: BerthSettings, judgement: Judgement) -> set[str]:
        """Return the berths whose pictures share the doubt about a picture of `berth`."""
        if judgement.doubts[0] is Doubt.NOTHING_CHANGED:
            return {berth.berth_no}
        return {
            one.berth_no
            for (camera, preset), standing in self._standings.items()
            for one in standing.berths
            if camera == berth.camera and (preset == berth.preset or judgement.doubts[0] is Doubt.FROZEN)
        }

    def confirm(self, camera: str) -> None:
        """Take the next picture of each of the camera's views as its reference; KeyError: no such camera."""
        if camera not in self._watches:
            known = ", ".join(sorted(self._watches)) or "none"
            raise KeyError(f"no live camera {camera!r}; there are {known}")
        for key, standing in self._standings.items():
            if key[0] == camera:
                with self._lock:
                    self._to_confirm.add(key)
                self._captures[camera].put(CaptureJob.view_of(standing.berths[0]))

    def _watch(self, camera: str, berths: Iterable[BerthSettings]) -> None:
        for berth in berths:
            self._standings.setdefault((camera, berth.preset), _Standing()).berths.append(berth)
        plans = {
            preset: ViewPlan(
                outlines={berth.berth_no: berth.polygon for berth in standing.berths},
                picture_size=next((berth.picture_size for berth in standing.berths), None),
            )
            for (name, preset), standing in self._standings.items()
            if name == camera
        }
        watch = self._watches[camera] = CameraWatch(plans)
        for preset, view in watch.views.items():
            self._memory.recall((camera, preset), view)

    def _occasion(self, job: CaptureJob, now: datetime) -> Occasion:
        status = self._board.get(job.berth.berth_no)
        visit_id = status.visit_id if status else None
        arrived = self._arrivals.get(job.berth.berth_no)
        return Occasion(
            berth_no=job.berth.berth_no,
            preset=job.berth.preset,
            hour=now.hour,
            day=now.toordinal(),
            is_vacant=visit_id is None and self._board.is_empty(job.berth.berth_no),
            arrived_s=arrived[1] if arrived and arrived[0] == (job.visit_id or visit_id) else None,
        )

    def _report(
        self, key: ViewKey, standing: _Standing, job: CaptureJob, judgement: Judgement, now: datetime
    ) -> None:
        """Enter what is wrong with the view, or with the berth alone, and clear what is over."""
        doubts = [doubt for doubt in judgement.doubts if doubt is not Doubt.NOTHING_CHANGED]
        if doubts:
            standing.bad_since = standing.bad_since or now
            self._enter(doubts[0], part_of(key), standing.bad_since)
        elif not judgement.is_repeated:
            standing.bad_since = None
            self._health.clear(part_of(key))
        berth_no = job.berth.berth_no
        if Doubt.NOTHING_CHANGED in judgement.doubts:
            since = self._unchanged_since.setdefault(berth_no, now)
            self._enter(Doubt.NOTHING_CHANGED, f"view of berth {berth_no}", since)
        elif not doubts and self._unchanged_since.pop(berth_no, None) is not None:
            self._health.clear(f"view of berth {berth_no}")

    def _enter(self, doubt: Doubt, where: str, since: datetime) -> None:
        trouble = trouble_of(doubt, where)
        cause = f"{trouble.cause}, since {since:%Y-%m-%d %H:%M}"
        self._health.report(where, HealthStatus.DEGRADED, cause, trouble.remedy)

    def _see_to_it(self, key: ViewKey, standing: _Standing, job: CaptureJob, judgement: Judgement) -> None:
        """Release the jobs of a view that is good again; look again soon at one that is not."""
        held = {no: waiting for no, waiting in standing.held.items() if self._is_there(waiting)}
        standing.held = {} if judgement.may_decide else held
        if judgement.may_decide:
            for waiting in held.values():
                self._captures[key[0]].put(waiting)
        if judgement.doubts:
            self._look_soon(key, standing, job.berth, LOOK_AGAIN_AFTER_S if standing.held else _LOOK_IDLE_S)

    def is_open(self, visit_id: str) -> bool:
        """Tell whether the vehicle of that visit still stands there."""
        return self._board.has_visit(visit_id)

    def _is_there(self, job: CaptureJob) -> bool:
        return job.visit_id is not None and self.is_open(job.visit_id)

    def _look_soon(self, key: ViewKey, standing: _Standing, berth: BerthSettings, after_s: float) -> None:
        """Have a picture taken for judging alone, unless one is on its way that comes as soon."""
        now_s = time.monotonic()
        is_on_its_way = now_s < standing.look_due_s + _LOST_AFTER_S
        if is_on_its_way and standing.look_due_s <= now_s + after_s:
            return
        standing.look_due_s = now_s + after_s
        held = next(iter(standing.held.values()), None)
        self._captures[key[0]].put(CaptureJob.view_of(held.berth if held else berth), after_s)

    def _take_confirmation(self, key: ViewKey) -> bool:
        with self._lock:
            wanted = key in self._to_confirm
            self._to_confirm.discard(key)
        return wanted


def part_of(key: ViewKey) -> str:
    """Return how health names a view."""
    camera, preset = key
    return f"view of camera {camera}" + (f" preset {preset}" if preset is not None else "")


def withholds(judgement: Judgement) -> bool:
    """Tell whether the view itself is wrong: a job waits for the view, not for a better picture."""
    return not WITHHOLDS.isdisjoint(judgement.doubts)
