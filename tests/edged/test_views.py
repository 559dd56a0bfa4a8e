"""A picture is doubted before its plate decides: camera, views, readings and store together."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edged.box.clock import Clock
from edged.camera import CameraError, CameraFault, Frame
from edged.demo.scene import Scene
from edged.demo.sensor import Sensor
from edged.domain.berth import Berth, Phase
from edged.domain.plate import PlateKind
from edged.domain.reading import PlateRead, SlotProbabilities, decide
from edged.picture import Image, encode_jpeg
from edged.settings import load_settings
from edged.store import Store
from edged.vision.manifest import find_models, load_manifest
from edged.vision.pipeline import PlateVision
from edged.workers.board import Board
from edged.workers.captures import CaptureWorker
from edged.workers.health_book import HealthBook
from edged.workers.queues import BerthNews, BurstQueue, Captured, CaptureJob, CaptureQueue, Reason
from edged.workers.readings import ReadingWorker
from edged.workers.views import ViewBook
from tests.waiting import running, until

WIDTH, HEIGHT = 960, 540
NUMBERS = ("1001", "1002", "1003", "1004")
WATCHED = ("1002", "1003")
SETTINGS = """
[site]
site_id = "street"
device_id = "pole-0001"
[[bus]]
name = "kerb"
port = "/dev/ttyS0"
[[sensor]]
name = "loop-1002"
bus = "kerb"
device_id = 1
profile = "ld120"
[[sensor]]
name = "loop-1003"
bus = "kerb"
device_id = 2
profile = "ld120"
[[camera]]
name = "high"
source = "http://127.0.0.1:9/picture"
burst_frames = 2
[[berth]]
berth_no = "1002"
sensor = "loop-1002"
camera = "high"
polygon = {first}
[[berth]]
berth_no = "1003"
sensor = "loop-1003"
camera = "high"
polygon = {second}
[store]
directory = "store"
[uplink]
cloud_url = "http://127.0.0.1:9"
credentials = "credentials.json"
"""


class Street:
    """What the camera sees, and how: live, frozen, turned, dead."""

    def __init__(self) -> None:
        self.cars: dict[str, str] = {}
        self.turned_m = (0.0, 0.0)
        self.frozen: Image | None = None
        self.is_dead = False
        self.is_damaged = False
        self.later_s = 0.0  # added to when pictures were taken: tests do not wait 10 s for an old one
        self._rng = np.random.default_rng(4)
        self._sensor = Sensor(WIDTH, HEIGHT, is_day=True, rng=self._rng)
        self._scenes: dict[tuple[float, float], Scene] = {}

    def scene(self) -> Scene:
        if self.turned_m not in self._scenes:
            self._scenes[self.turned_m] = Scene(
                NUMBERS,
                WATCHED,
                seed=5,
                is_day=True,
                turned_m=self.turned_m,
                width_px=WIDTH,
                height_px=HEIGHT,
            )
        return self._scenes[self.turned_m]

    def live(self) -> Image:
        return self._sensor.frame(self.scene().render(self.cars).image, self._rng)

    # the camera port
    name = "high"

    def frame(self, preset: int | None = None) -> Frame:
        return self.burst(1, preset)[0]

    def burst(self, count: int, preset: int | None = None) -> tuple[Frame, ...]:
        if self.is_dead:
            raise CameraError("high", "http://127.0.0.1:9", CameraFault.REFUSED, "refused the connection")
        image = self.live() if self.frozen is None else self.frozen
        data = b"cut off" if self.is_damaged else encode_jpeg(image, quality=95)
        return (Frame(data=data, taken_monotonic_s=time.monotonic() + self.later_s),) * count

    def close(self) -> None:
        pass


class ScriptedVision(PlateVision):
    """The real models' labels and thresholds; reads what `plate` says."""

    plate = ""
    hidden: object = None  # the outline in which it reads nothing

    def self_test(self) -> None:
        """Pass: what is seen is scripted."""

    def read_frame(self, image: Image, polygon_px: object = None) -> list[PlateRead]:
        if not self.plate or polygon_px == self.hidden:
            return []
        spec = self.manifest.reader
        slots = tuple(
            tuple(0.9999 if label == c.strip() else 1e-6 for label in spec.labels)
            for c in self.plate.ljust(8)
        )
        probabilities = SlotProbabilities(slots=slots, kinds={PlateKind.SMALL_CAR: 1.0})
        reading = decide(probabilities, labels=spec.labels, accept_from=spec.accept_from)
        quad = ((100.0, 100.0), (200.0, 100.0), (200.0, 130.0), (100.0, 130.0))
        return [PlateRead(reading=reading, corners=quad, probabilities=probabilities, sharpness=1.0)]


class Box:
    """A camera's worker and the reading worker between real queues; the test is the sensor."""

    def __init__(self, folder: Path) -> None:
        self.street = Street()
        outlines = [[list(p) for p in self.street.scene().polygon(no)] for no in WATCHED]
        path = folder / "edged.toml"
        path.write_text(SETTINGS.format(first=outlines[0], second=outlines[1]))
        settings = self.settings = load_settings(path)
        self.vision = ScriptedVision(load_manifest(find_models()))
        self.store = Store.open(settings.store)
        self.health = HealthBook()
        self.board = Board(settings.berth)
        self.jobs = CaptureQueue("high", retry_after_s=(0.2,))
        self.bursts = BurstQueue()
        self.news = BerthNews()
        clock, captures = Clock(), {"high": self.jobs}
        self.views = ViewBook(settings, clock, self.board, self.health, captures)
        self.camera = CaptureWorker(
            settings.camera[0], self.street, self.jobs, self.bursts, self.board, self.health, settings.berth
        )
        self.reading = ReadingWorker(
            settings.site,
            self.vision,
            self.store,
            clock,
            self.health,
            self.bursts,
            captures,
            self.news,
            self.views,
        )
        self._clock = clock
        for berth_no in WATCHED:
            self._put(berth_no, None)

    def arrive(self, berth_no: str, plate: str, visit_id: str) -> None:
        """A car comes; the vision reads this plate from now on, whatever the picture shows."""
        self.street.cars = {**self.street.cars, berth_no: plate}
        self.sense(berth_no, visit_id)

    def sense(self, berth_no: str, visit_id: str) -> None:
        self.store.drive_in(berth_no, visit_id, self._clock.now(), "sensor")
        self._put(berth_no, visit_id)
        self.look(berth_no, visit_id, Reason.ARRIVAL)

    def leave(self, berth_no: str, visit_id: str) -> None:
        self.street.cars = {no: plate for no, plate in self.street.cars.items() if no != berth_no}
        self.store.drive_out(berth_no, visit_id, self._clock.now(), "sensor")
        self._put(berth_no, None)

    def look(
        self,
        berth_no: str,
        visit_id: str | None,
        reason: Reason,
        answer: Callable[[Captured], None] | None = None,
    ) -> None:
        berth = self.views.berths[berth_no]
        asked_s = time.monotonic() + self.street.later_s
        self.jobs.put(
            CaptureJob(berth=berth, visit_id=visit_id, reason=reason, asked_s=asked_s, answer=answer)
        )

    def viewed(self, berth_no: str = "1002") -> None:
        """Have the view judged once more, and wait until it is."""
        before = self.reading.judged
        self.look(berth_no, None, Reason.VIEW)
        until(lambda: self.reading.judged > before)

    def is_accepted(self, visit_id: str) -> bool:
        stored = self.store.latest_reading(visit_id)
        return bool(stored and stored.reading and stored.reading.accepted)

    def troubles(self) -> dict[str, str]:
        return {finding.where: finding.cause for finding in self.health.problems()}

    def _put(self, berth_no: str, visit_id: str | None) -> None:
        phase = Phase.OCCUPIED if visit_id else Phase.VACANT
        self.board.put(
            Berth(
                berth_no=berth_no, settle_in_s=1, settle_out_s=1, phase=phase, visit_id=visit_id, heard=True
            )
        )


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    with running(box.camera, box.reading):
        until(lambda: box.reading.judged >= 2)  # each vacant berth is pictured at the start
        yield box
    box.store.close()


def test_a_frozen_camera_gives_the_next_car_no_plate_and_is_named_until_it_thaws(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: box.is_accepted("visit-0001"))
    box.street.frozen = box.street.live()
    box.viewed()
    box.leave("1002", "visit-0001")
    box.street.later_s = 30.0
    box.arrive("1002", "沪B67890", "visit-0002")

    cause = until(lambda: box.troubles().get("view of camera high"))
    assert "repeats an old picture" in cause
    assert "since " in cause
    assert box.store.latest_reading("visit-0002") is None
    assert box.is_accepted("visit-0001")  # read before the camera froze

    box.vision.plate = "沪B67890"
    box.street.frozen = None
    until(lambda: box.is_accepted("visit-0002"), within_s=10)
    assert "view of camera high" not in box.troubles()


def test_a_turned_camera_gives_no_plate_until_it_is_turned_back(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.street.turned_m = (2.5, 0.0)
    box.arrive("1002", "京A12345", "visit-0001")

    assert "another place" in until(lambda: box.troubles().get("view of camera high"))
    assert box.store.latest_reading("visit-0001") is None

    box.street.turned_m = (0.0, 0.0)
    until(lambda: box.is_accepted("visit-0001"), within_s=10)


def test_a_person_confirms_a_camera_that_was_turned_on_purpose(box: Box) -> None:
    box.street.turned_m = (2.5, 0.0)
    box.viewed()
    until(lambda: "view of camera high" in box.troubles())

    box.views.confirm("high")

    until(lambda: "view of camera high" not in box.troubles())


def test_who_asks_for_a_picture_of_a_turned_view_gets_the_reason(box: Box) -> None:
    answers: list[Captured] = []
    box.street.turned_m = (2.5, 0.0)
    box.look("1002", None, Reason.REQUEST, answers.append)

    assert "another place" in (until(lambda: answers)[0].error or "")


def test_a_car_is_read_within_seconds_of_the_cameras_return(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.street.is_dead = True
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: "camera high" in box.troubles())

    box.street.is_dead = False
    until(lambda: box.is_accepted("visit-0001"), within_s=5)


def test_one_plate_in_two_berths_decides_nothing_and_a_person_is_asked(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: box.is_accepted("visit-0001"))
    box.arrive("1003", "京A12345", "visit-0002")

    until(lambda: not box.is_accepted("visit-0001"))
    trouble = until(lambda: [w for w in box.troubles() if w.startswith("plate of berth")])
    assert trouble
    assert not box.is_accepted("visit-0001")
    assert not box.is_accepted("visit-0002")
    events = box.store.pending(20, Clock().now())
    readings = [e.body for e in events if e.body["kind"] == "reading" and e.body["visit_id"] == "visit-0001"]
    assert [reading["accepted"] for reading in readings[:2]] == [True, False]
    assert readings[1]["captured_at"] > readings[0]["captured_at"]

    box.leave("1003", "visit-0002")
    until(lambda: box.is_accepted("visit-0001"))


def test_a_berth_that_does_not_show_the_plate_any_more_keeps_no_other_from_it(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: box.is_accepted("visit-0001"))
    box.arrive("1003", "京A12345", "visit-0002")
    until(lambda: not box.is_accepted("visit-0001"))

    box.vision.hidden = box.views.berths["1002"].polygon  # another car stands there, its plate covered

    until(lambda: box.is_accepted("visit-0002"))
    assert not box.is_accepted("visit-0001")


def test_a_berth_whose_visits_stay_unread_is_named(box: Box) -> None:
    for number in range(5):
        visit_id = f"visit-000{number}"
        box.store.drive_in("1003", visit_id, Clock().now(), "sensor")
        box.store.drive_out("1003", visit_id, Clock().now(), "sensor")

    assert until(lambda: box.troubles().get("readings of berth 1003"))


def test_a_view_is_remembered_over_a_restart(box: Box, tmp_path: Path) -> None:
    again = ViewBook(box.settings, Clock(), box.board, HealthBook(), {"high": CaptureQueue("high")})
    box.street.turned_m = (2.5, 0.0)

    judgement = again.judge(
        CaptureJob(berth=again.berths["1002"], visit_id=None, reason=Reason.VIEW, asked_s=0.0),
        box.street.frame(),
    )

    assert not judgement.may_decide


def test_a_plate_that_two_berths_showed_is_no_trouble_once_both_have_left(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: box.is_accepted("visit-0001"))
    box.arrive("1003", "京A12345", "visit-0002")
    until(lambda: [where for where in box.troubles() if where.startswith("plate of berth")])

    box.leave("1002", "visit-0001")
    box.leave("1003", "visit-0002")

    until(lambda: not [where for where in box.troubles() if where.startswith("plate of berth")])


def test_a_request_takes_no_plate_from_a_car_that_has_just_changed_its_berth(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: box.is_accepted("visit-0001"))
    box.leave("1002", "visit-0001")
    box.arrive("1003", "京A12345", "visit-0002")
    until(lambda: box.is_accepted("visit-0002"))

    answers: list[Captured] = []
    box.look("1003", "visit-0002", Reason.REQUEST, answers.append)

    answer = until(lambda: answers)[0]
    assert answer.reading is not None
    assert answer.reading.accepted
    assert box.is_accepted("visit-0002")


def test_a_damaged_picture_does_not_end_the_wait_for_a_view(box: Box) -> None:
    box.vision.plate = "京A12345"
    box.street.turned_m = (2.5, 0.0)
    box.arrive("1002", "京A12345", "visit-0001")
    until(lambda: "view of camera high" in box.troubles())
    box.street.is_damaged = True
    before = box.reading.judged
    until(lambda: box.reading.judged > before)

    box.street.is_damaged = False
    box.street.turned_m = (0.0, 0.0)
    until(lambda: box.is_accepted("visit-0001"), within_s=10)


def test_a_camera_that_failed_one_request_is_well_again_by_itself(box: Box) -> None:
    answers: list[Captured] = []
    box.street.is_dead = True
    box.look("1002", None, Reason.REQUEST, answers.append)
    until(lambda: answers and "camera high" in box.troubles())

    box.street.is_dead = False
    until(lambda: "camera high" not in box.troubles(), within_s=10)
