"""The reading worker over a real store and the committed models; what the models see is scripted where a
test is about what follows from a reading."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.box.clock import Clock
from edged.camera import Frame
from edged.domain.health import HealthStatus
from edged.domain.plate import PlateKind
from edged.domain.reading import PlateRead, Quad, SlotProbabilities, decide
from edged.picture import Image, encode_jpeg
from edged.settings import BerthSettings, SiteSettings, StoreSettings
from edged.store import Store, StoredReading
from edged.vision.manifest import find_models, load_manifest
from edged.vision.pipeline import PlateVision
from edged.workers.health_book import HealthBook
from edged.workers.queues import (
    BerthNews,
    Burst,
    BurstQueue,
    Captured,
    CaptureJob,
    CaptureQueue,
    Reason,
    Swap,
)
from edged.workers.readings import ReadingWorker
from tests.waiting import running, until

SITE = SiteSettings(site_id="street", device_id="pole-1")
BERTH = BerthSettings(
    berth_no="1001", sensor="loop-1", camera="high", polygon=((0, 0), (320, 0), (320, 240), (0, 240))
)
QUAD: Quad = ((100.0, 100.0), (200.0, 100.0), (200.0, 130.0), (100.0, 130.0))
FAR_QUAD: Quad = ((100.0, 200.0), (200.0, 200.0), (200.0, 230.0), (100.0, 230.0))


class ScriptedVision(PlateVision):
    """The real models' labels and thresholds, with plates as the script says: (text, sure, where)."""

    plates: Sequence[tuple[str, bool, Quad]] = ()
    cut_off = False

    def self_test(self) -> None:
        """Pass: what is seen is scripted."""

    def read_frame(
        self, image: Image, polygon_px: Sequence[tuple[int, int]] | None = None
    ) -> list[PlateRead]:
        return [self._plate(*plate) for plate in self.plates]

    def _plate(self, text: str, sure: bool, corners: Quad) -> PlateRead:
        spec = self.manifest.reader
        slots = tuple(self._slot(character, sure) for character in text.ljust(8))
        probabilities = SlotProbabilities(slots=slots, kinds={PlateKind.SMALL_CAR: 1.0})
        reading = decide(probabilities, labels=spec.labels, accept_from=spec.accept_from)
        return PlateRead(
            reading=reading, corners=corners, probabilities=probabilities, sharpness=1.0, cut_off=self.cut_off
        )

    def _slot(self, character: str, sure: bool) -> tuple[float, ...]:
        labels = self.manifest.reader.labels
        top = 0.9999 if sure else 0.4
        rest = (1 - top) / (len(labels) - 1)
        return tuple(top if label == character.strip() else rest for label in labels)


class Box:
    def __init__(self, directory: Path, vision: PlateVision | None) -> None:
        self.store = Store.open(StoreSettings(directory=directory))
        self.health = HealthBook()
        self.answers = 0
        self.bursts = BurstQueue()
        self.jobs = CaptureQueue("high", retry_after_s=(0.0,))
        self.news = BerthNews()
        self.worker = ReadingWorker(
            SITE,
            vision,
            self.store,
            Clock(),
            self.health,
            self.bursts,
            {"high": self.jobs},
            self.news,
        )

    def shows(
        self,
        reason: Reason = Reason.ARRIVAL,
        visit_id: str | None = "visit-0001",
        berth: BerthSettings = BERTH,
        *,
        data: bytes | None = None,
        is_awaited: bool = True,
    ) -> Captured:
        """Let a burst be read; return the answer that somebody who asked would get."""
        answers: list[Captured] = []

        def answer(captured: Captured) -> None:
            self.answers += 1
            answers.append(captured)

        image = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
        frame = Frame(data=data or encode_jpeg(image), taken_monotonic_s=time.monotonic())
        job = CaptureJob(
            berth=berth,
            visit_id=visit_id,
            reason=reason,
            asked_s=time.monotonic(),
            answer=answer,
            is_awaited=lambda: is_awaited,
        )
        self.bursts.put(Burst(job=job, frames=(frame, frame)), threading.Event())
        return until(lambda: answers)[0]

    def retried(self) -> CaptureJob | None:
        """Return the job that went back to its camera, if one did."""
        return self.jobs.get(0)

    def swap(self) -> tuple[str, str] | None:
        """Return the berth and the visit in which another vehicle was seen, if one was."""
        news = self.news.get(0)
        return (news.berth_no, news.visit_id) if isinstance(news, Swap) else None

    @property
    def reading(self) -> StoredReading | None:
        return self.store.latest_reading("visit-0001")

    @property
    def plate(self) -> str | None:
        """The text of the visit's reading."""
        return self.reading.reading.text if self.reading and self.reading.reading else None

    @property
    def is_accepted(self) -> bool:
        """Whether the visit's reading may decide an order."""
        return bool(self.reading and self.reading.reading and self.reading.reading.accepted)


@contextmanager
def opened(directory: Path, vision: PlateVision | None) -> Iterator[Box]:
    box = Box(directory, vision)
    with running(box.worker):
        yield box
    box.store.close()


@pytest.fixture
def vision() -> ScriptedVision:
    return ScriptedVision(load_manifest(find_models()))


@pytest.fixture
def box(tmp_path: Path, vision: ScriptedVision) -> Iterator[Box]:
    with opened(tmp_path, vision) as box:
        yield box


def test_a_sure_reading_is_committed_with_its_picture(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", True, QUAD)]
    captured = box.shows()
    assert captured.reading is not None
    assert captured.reading.plate == "京A12345"
    assert box.reading is not None
    assert (box.plate, box.is_accepted) == ("京A12345", True)
    assert box.reading.evidence_sha256 == captured.evidence_sha256
    picture = box.store.picture(captured.evidence_sha256 or "")
    assert picture is not None
    assert len(picture) <= 150 * 1024
    height, width = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert width == 320
    assert height > 240  # the band with time, berth and device
    assert box.retried() is None


def test_an_unsure_reading_is_kept_and_tried_again(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", False, QUAD)]
    box.shows()
    assert box.reading is not None
    assert not box.is_accepted
    assert until(box.retried)


def test_no_plate_in_the_picture_is_a_reading_without_one(box: Box) -> None:
    box.shows()
    assert box.reading is not None
    assert box.plate is None
    assert box.reading.evidence_sha256 is not None
    assert until(box.retried)


def test_two_plates_in_one_berth_decide_nothing(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", True, QUAD), ("沪B67890", True, FAR_QUAD)]
    box.shows()
    assert box.reading is not None
    assert not box.is_accepted


def test_a_worse_look_never_replaces_a_sure_reading(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", True, QUAD)]
    box.shows()
    for worse in ([], [("京A12340", False, QUAD)]):
        vision.plates = worse
        box.shows(Reason.LOOK_AGAIN)
    assert box.reading is not None
    assert (box.plate, box.is_accepted) == ("京A12345", True)
    assert box.retried() is None


def test_another_plate_is_another_car(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", True, QUAD)]
    box.shows()
    vision.plates = [("沪B67890", True, QUAD)]
    captured = box.shows(Reason.LOOK_AGAIN)
    assert box.swap() == ("1001", "visit-0001")
    assert "another vehicle" in (captured.error or "")
    assert box.reading is not None
    assert box.plate == "京A12345"


def test_two_sure_readings_that_differ_in_one_character_decide_nothing(
    box: Box, vision: ScriptedVision
) -> None:
    vision.plates = [("京A12345", True, QUAD)]
    box.shows()
    vision.plates = [("京A12346", True, QUAD)]
    box.shows(Reason.LOOK_AGAIN)
    assert box.swap() is None
    assert box.reading is not None
    assert not box.is_accepted


def test_who_asks_about_a_doubtful_plate_is_answered_once(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", False, QUAD)]
    captured = box.shows(Reason.REQUEST)
    assert captured.reading is not None
    assert captured.error is None
    vision.plates = [("京A12345", True, QUAD)]
    box.shows(Reason.REQUEST)  # the worker has done with the first by now
    assert box.answers == 2
    assert box.retried() is None


def test_an_empty_berth_is_answered_and_not_kept(box: Box) -> None:
    captured = box.shows(Reason.REQUEST, visit_id=None)
    assert captured.error is None
    assert captured.visit_id is None
    assert captured.evidence_sha256 is None
    assert list(box.store.evidence.scan()) == []


def test_a_polygon_outside_the_picture_shows_in_health_and_stops_nothing(tmp_path: Path) -> None:
    outside = BerthSettings(
        berth_no="1001", sensor="loop-1", camera="high", polygon=((5000, 5000), (5100, 5000), (5100, 5100))
    )
    with opened(tmp_path, PlateVision.load()) as box:
        box.shows(berth=outside)
        assert box.health.status() is HealthStatus.DEGRADED
        assert "1001" in box.health.problems()[0].where
        assert box.shows().error is None


def test_a_plate_at_the_pictures_edge_decides_nothing_and_shows_in_health(
    box: Box, vision: ScriptedVision
) -> None:
    vision.plates, vision.cut_off = [("京A12345", True, QUAD)], True
    box.shows()
    assert box.reading is not None
    assert not box.is_accepted
    (problem,) = box.health.problems()
    assert problem.where == "view of berth 1001"
    assert "picture's edge" in problem.cause
    vision.cut_off = False
    box.shows(Reason.LOOK_AGAIN)
    assert box.health.status() is HealthStatus.OK


def test_without_models_arrivals_keep_their_pictures(tmp_path: Path) -> None:
    with opened(tmp_path, None) as box:
        box.shows()
        assert box.reading is not None
        assert (box.plate, box.reading.model_version) == (None, "none")
        assert box.reading.evidence_sha256 is not None


def test_a_picture_that_cannot_be_decoded_shows_in_health_and_stops_nothing(
    box: Box, vision: ScriptedVision
) -> None:
    vision.plates = [("京A12345", True, QUAD)]
    assert box.shows(data=encode_jpeg(np.zeros((240, 320, 3), np.uint8))[:-2]).error is None
    (problem,) = box.health.problems()
    assert problem.where == "picture of camera high"
    box.shows()
    assert box.health.problems() == ()


def test_a_look_that_nobody_waits_for_any_more_is_not_read(box: Box, vision: ScriptedVision) -> None:
    vision.plates = [("京A12345", True, QUAD)]
    captured = box.shows(Reason.REQUEST, is_awaited=False)
    assert captured.error == "its answer was not awaited any more"
    assert box.reading is None
