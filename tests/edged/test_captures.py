"""A camera's worker over a real (folder) camera."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.camera import open_camera
from edged.domain.berth import Berth, Phase
from edged.domain.health import HealthStatus
from edged.settings import BerthSettings, CameraKind, CameraSettings
from edged.workers.board import Board
from edged.workers.captures import CaptureWorker
from edged.workers.health_book import HealthBook
from edged.workers.queues import Burst, BurstQueue, Captured, CaptureJob, CaptureQueue, Reason
from tests.waiting import running, until

BERTH = BerthSettings(berth_no="1001", sensor="loop-1", camera="high")


class Pole:
    """A camera's worker between its two queues, and a berth with a vehicle."""

    def __init__(self, folder: Path) -> None:
        settings = CameraSettings(
            name="high", kind=CameraKind.FOLDER, source=str(folder), min_interval_s=0.0, burst_frames=3
        )
        self.health = HealthBook()
        self.jobs = CaptureQueue("high", retry_after_s=(0.05,))
        self.bursts = BurstQueue()
        self.board = Board([BERTH])
        self.stands("visit-0001")
        camera = open_camera(settings)
        self.worker = CaptureWorker(settings, camera, self.jobs, self.bursts, self.board, self.health)

    def stands(self, visit_id: str | None) -> None:
        """Have the vehicle of a visit stand in the berth, or none."""
        phase = Phase.OCCUPIED if visit_id else Phase.VACANT
        self.board.put(
            Berth(berth_no="1001", settle_in_s=1, settle_out_s=1, phase=phase, visit_id=visit_id, heard=True)
        )

    def burst(self) -> Burst:
        burst = until(self.bursts.get)
        assert burst is not None
        return burst


def job(reason: Reason = Reason.ARRIVAL, visit_id: str | None = "visit-0001", **more: object) -> CaptureJob:
    return CaptureJob(berth=BERTH, visit_id=visit_id, reason=reason, asked_s=time.monotonic(), **more)  # type: ignore[arg-type]


def add_picture(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "berth.jpg"), np.full((90, 160, 3), 90, np.uint8))


@pytest.fixture
def pole(tmp_path: Path) -> Pole:
    return Pole(tmp_path / "pictures")


def test_a_job_becomes_a_burst(pole: Pole, tmp_path: Path) -> None:
    add_picture(tmp_path / "pictures")
    with running(pole.worker):
        pole.jobs.put(job())
        burst = pole.burst()
    assert burst.job.berth.berth_no == "1001"
    assert len(burst.frames) == 3


def test_a_camera_that_comes_back_finishes_the_job_by_itself(pole: Pole, tmp_path: Path) -> None:
    with running(pole.worker):
        pole.jobs.put(job())
        until(lambda: pole.health.status() is HealthStatus.DEGRADED)
        (problem,) = pole.health.problems()
        assert problem.where == "camera high"
        assert problem.remedy
        add_picture(tmp_path / "pictures")
        pole.burst()
        until(lambda: pole.health.status() is HealthStatus.OK)


def test_who_asks_of_a_broken_camera_is_answered_at_once_and_once(pole: Pole) -> None:
    answers: list[Captured] = []
    with running(pole.worker):
        pole.jobs.put(job(Reason.REQUEST, answer=answers.append))
        until(lambda: answers)
    assert len(answers) == 1
    assert "no picture" in (answers[0].error or "")


def test_a_vehicle_that_left_needs_no_picture(pole: Pole, tmp_path: Path) -> None:
    add_picture(tmp_path / "pictures")
    pole.stands(None)
    with running(pole.worker):
        pole.jobs.put(job())
        pole.jobs.put(job(Reason.REQUEST, visit_id=None, answer=lambda _captured: None))
        assert pole.burst().job.reason is Reason.REQUEST


def test_who_waits_for_an_answer_goes_first(pole: Pole, tmp_path: Path) -> None:
    add_picture(tmp_path / "pictures")
    for reason in (Reason.LOOK_AGAIN, Reason.ARRIVAL, Reason.REQUEST):
        pole.jobs.put(job(reason, answer=lambda _captured: None))
    with running(pole.worker):
        taken = [pole.burst().job.reason for _ in range(3)]
    assert taken == [Reason.REQUEST, Reason.ARRIVAL, Reason.LOOK_AGAIN]


def test_a_full_queue_says_so_instead_of_growing(pole: Pole) -> None:
    answers: list[Captured] = []
    for _ in range(70):
        pole.jobs.put(job(Reason.REQUEST, answer=answers.append))
    assert len(answers) == 6
    assert answers[0].error == "the camera's queue is full"
