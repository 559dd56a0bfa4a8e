"""A camera's worker over a real (folder) camera."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.camera import Frame, open_camera
from edged.domain.berth import Berth, Phase
from edged.domain.health import HealthStatus
from edged.settings import BerthSettings, CameraKind, CameraSettings
from edged.workers.board import Board
from edged.workers.captures import CaptureWorker
from edged.workers.health_book import HealthBook
from edged.workers.looks import Looks
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


def test_an_arrival_goes_before_requests_and_these_before_second_looks(pole: Pole, tmp_path: Path) -> None:
    add_picture(tmp_path / "pictures")
    for reason in (Reason.LOOK_AGAIN, Reason.REQUEST, Reason.ARRIVAL):
        pole.jobs.put(job(reason, answer=lambda _captured: None))
    with running(pole.worker):
        # the last two were both in line when the second was taken
        first, *others = [pole.burst().job.reason for _ in range(3)]
    assert first is Reason.ARRIVAL
    assert others == [Reason.REQUEST, Reason.LOOK_AGAIN]


def test_all_who_ask_for_a_fresh_look_at_a_berth_share_one(pole: Pole, tmp_path: Path) -> None:
    add_picture(tmp_path / "pictures")
    looks = Looks({"high": pole.jobs})
    until_s = time.monotonic() + 60
    first = looks.ask(BERTH, "visit-0001", until_s)
    with running(pole.worker):
        burst = pole.burst()
        second = looks.ask(BERTH, "visit-0001", until_s)  # the burst is under way
        assert second is first
        assert burst.job.answer is not None
        burst.job.answer(Captured(visit_id="visit-0001"))
        assert second.result(0).visit_id == "visit-0001"
        assert looks.ask(BERTH, "visit-0001", until_s) is not first  # answered: the next one is fresh
        pole.burst()
        assert pole.jobs.get(0) is None


def test_a_look_asked_for_before_a_vehicle_came_is_not_shared(pole: Pole) -> None:
    looks = Looks({"high": pole.jobs})
    until_s = time.monotonic() + 60
    assert looks.ask(BERTH, None, until_s) is not looks.ask(BERTH, "visit-0001", until_s)


def test_a_look_that_nobody_waits_for_is_dropped_before_the_camera_is_asked(
    pole: Pole, tmp_path: Path
) -> None:
    add_picture(tmp_path / "pictures")
    looks = Looks({"high": pole.jobs})
    given_up = looks.ask(BERTH, "visit-0001", time.monotonic())
    with running(pole.worker):
        assert given_up.result(15).error == "its answer was not awaited any more"
        assert pole.bursts.get() is None
        renewed = looks.ask(BERTH, "visit-0001", time.monotonic() + 60)
        assert pole.burst().job.answer is not None
        assert not renewed.done()


def burst_of(size_bytes: int, reason: Reason = Reason.ARRIVAL) -> Burst:
    return Burst(job=job(reason), frames=(Frame(data=bytes(size_bytes), taken_monotonic_s=0.0),))


def test_bursts_that_wait_keep_to_a_budget_of_bytes() -> None:
    bursts = BurstQueue(budget_bytes=1000)
    stop = threading.Event()
    bursts.put(burst_of(5000), stop)  # too large for the budget, but alone
    full = threading.Event()
    camera = threading.Thread(target=bursts.put, args=(burst_of(10), stop, full.set))
    camera.start()
    assert full.wait(15)
    assert until(bursts.get).size_bytes == 5000
    camera.join(15)
    bursts.put(burst_of(900, Reason.LOOK_AGAIN), stop)
    assert [until(bursts.get).size_bytes for _ in range(2)] == [10, 900]


def test_a_stopped_camera_answers_who_asks_later(pole: Pole) -> None:
    with running(pole.worker):
        pass
    answers: list[Captured] = []
    pole.jobs.put(job(Reason.REQUEST, answer=answers.append))
    assert answers[0].error == "the daemon is stopping"


def test_a_full_queue_says_so_instead_of_growing(pole: Pole) -> None:
    answers: list[Captured] = []
    for _ in range(70):
        pole.jobs.put(job(Reason.REQUEST, answer=answers.append))
    assert len(answers) == 6
    assert answers[0].error == "the camera's queue is full"


def test_a_camera_that_is_away_for_days_has_room_for_the_next_arrival(pole: Pole) -> None:
    for _ in range(100):
        pole.jobs.put(job(Reason.VIEW, visit_id=None))
        pole.jobs.put(job(Reason.LOOK_AGAIN))  # the sensor loses and regains its vehicle
    pole.jobs.put(job(Reason.ARRIVAL, visit_id="visit-0002"))
    waiting = [pole.jobs.get(0.0) for _ in range(4)]
    assert [each.reason for each in waiting if each] == [Reason.ARRIVAL, Reason.LOOK_AGAIN, Reason.VIEW]


def test_jobs_of_one_visit_become_one_that_is_due_as_the_earlier(pole: Pole) -> None:
    arrival = job(Reason.ARRIVAL)
    pole.jobs.put(arrival, after_s=600.0)
    pole.jobs.put(job(Reason.LOOK_AGAIN))
    taken = pole.jobs.get(0.0)
    assert taken is not None
    assert taken.reason is Reason.ARRIVAL
    assert taken.asked_s == arrival.asked_s
    assert pole.jobs.get(0.0) is None
