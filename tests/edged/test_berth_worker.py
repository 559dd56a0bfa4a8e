"""The berths' worker over a real store; observations come as a bus thread would bring them."""

import dataclasses
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from edged.box.clock import Clock
from edged.domain.health import HealthStatus
from edged.settings import BerthSettings, StoreSettings
from edged.store import Store, StoreError, Visit
from edged.wire import BerthState, DriveCause
from edged.workers.berths import BerthWorker, InstructionsLost
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.instructions import InstructionQueue
from edged.workers.queues import BerthNews, CaptureQueue, Reason, Swap
from edged.workers.recording import RecordingWorker
from edged.workers.storage import StorageWorker
from firmware_bridge import ChannelState, Observation
from tests.waiting import running as workers_running
from tests.waiting import until

BERTHS = tuple(
    BerthSettings(berth_no=no, sensor=f"loop-{no}", camera="high", settle_in_s=0.05, settle_out_s=0.1)
    for no in ("1001", "1002")
)


class StubbornStore(Store):
    """A real store whose disk refuses arrivals while `full`."""

    full = False

    def drive_in(self, *arguments: Any, **keywords: Any) -> None:
        if self.full:
            raise StoreError("edged.db", "database or disk is full", "free space")
        super().drive_in(*arguments, **keywords)


class Kerb:
    """A running worker and what it tells the others."""

    def __init__(
        self, directory: Path, berths: tuple[BerthSettings, ...] = BERTHS, *, is_open: bool = True
    ) -> None:
        self.store = StubbornStore(StoreSettings(directory=directory))
        if is_open:
            self.store.reopen()
        self.board = Board(berths)
        self.health = HealthBook()
        self.news = BerthNews()
        self.jobs = CaptureQueue("high")
        instructions = InstructionQueue(self.board)
        self.health.add_sources(self.store, instructions)
        self.worker = BerthWorker(berths, self.store, self.health, self.news, instructions)
        self.recording = RecordingWorker(berths, self.store, Clock(), instructions, {"high": self.jobs})

    def capture(self) -> tuple[str, Reason]:
        """Return the berth of the next job that the camera gets, and why."""
        job = until(lambda: self.jobs.get(0.1))
        assert job is not None
        return job.berth.berth_no, job.reason

    def sees(self, berth_no: str, state: ChannelState, counter_delta: int | None = None) -> None:
        self.news.put(self.observation(berth_no, state, time.monotonic(), counter_delta))

    def observation(
        self, berth_no: str, state: ChannelState, at_s: float, counter_delta: int | None = None
    ) -> Observation:
        return Observation(
            bus="kerb",
            sensor=f"loop-{berth_no}",
            channel=1,
            state=state,
            previous=None,
            at_monotonic_s=at_s,
            cause="level",
            counter_delta=counter_delta,
        )

    def state(self, berth_no: str) -> BerthState:
        status = self.board.get(berth_no)
        assert status is not None
        return status.state

    def visits(self) -> list[Visit]:
        return self.store.visits()


@contextmanager
def running(kerb: Kerb) -> Iterator[Kerb]:
    try:
        with workers_running(kerb.worker, kerb.recording):
            yield kerb
    finally:
        kerb.store.close()


def arrive(kerb: Kerb, berth_no: str = "1001") -> None:
    kerb.sees(berth_no, ChannelState.OCCUPIED)
    until(lambda: kerb.state(berth_no) is BerthState.OCCUPIED)


def test_an_arrival_is_committed_then_photographed(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        kerb.sees("1001", ChannelState.VACANT)
        arrive(kerb)
        (visit,) = kerb.visits()
        assert (visit.berth_no, visit.arrived_cause, visit.left) == ("1001", DriveCause.SENSOR, None)
        assert kerb.capture() == ("1001", Reason.ARRIVAL)
        assert kerb.state("1002") is BerthState.UNKNOWN


def test_a_lost_port_is_one_line_in_the_log_and_not_one_a_berth(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb, capture_logs() as lines:
        for berth_no in ("1001", "1002"):
            lost = kerb.observation(berth_no, ChannelState.FAULT, time.monotonic())
            kerb.news.put(dataclasses.replace(lost, cause="port: /dev/ttyUSB0 was unplugged"))
        until(lambda: len(kerb.health.problems()) == 2)
        for berth_no in ("1001", "1002"):
            kerb.sees(berth_no, ChannelState.VACANT)
        until(lambda: not kerb.health.problems())
    assert [line["event"] for line in lines if "berth" not in line["event"]] == ["port lost", "port back"]


def test_a_departure_closes_the_visit(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
        kerb.sees("1001", ChannelState.VACANT)
        until(lambda: kerb.state("1001") is BerthState.VACANT)
        (visit,) = kerb.visits()
        assert visit.left is not None


def test_a_restart_with_a_car_parked_continues_its_visit(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
        (before,) = kerb.visits()
    with running(Kerb(tmp_path)) as kerb:
        kerb.sees("1001", ChannelState.OCCUPIED)
        assert kerb.capture() == ("1001", Reason.LOOK_AGAIN)
        (after,) = kerb.visits()
    assert after.visit_id == before.visit_id
    assert after.left is None


def test_visits_of_a_berth_that_was_taken_away_are_closed_at_the_restart(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
    with running(Kerb(tmp_path, BERTHS[1:])) as kerb:
        (visit,) = until(lambda: [v for v in kerb.visits() if v.left])
        assert (visit.berth_no, visit.left_cause) == ("1001", DriveCause.RESTART)


def test_a_sensor_fault_keeps_the_visit_and_shows_in_health(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
        kerb.sees("1001", ChannelState.FAULT)
        until(lambda: kerb.state("1001") is BerthState.FAULT)
        assert kerb.visits()[0].left is None
        assert kerb.health.problems()[0].where == "berth 1001"
        arrive(kerb)
        assert kerb.health.problems() == ()


def test_a_picture_of_another_car_ends_the_visit_and_begins_the_next(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
        (first,) = kerb.visits()
        kerb.news.put(Swap(berth_no="1001", visit_id=first.visit_id, at_s=time.monotonic()))
        until(lambda: len(kerb.visits()) == 2)
        second, first = kerb.visits()
        assert first.left_cause is second.arrived_cause is DriveCause.SWAP
        kerb.news.put(
            Swap(berth_no="1001", visit_id=first.visit_id, at_s=time.monotonic())
        )  # too late: that visit has ended
        kerb.sees("1002", ChannelState.VACANT)
        until(lambda: kerb.state("1002") is BerthState.VACANT)
        assert len(kerb.visits()) == 2


def test_what_a_full_disk_refuses_waits_and_is_committed_in_order(tmp_path: Path) -> None:
    kerb = Kerb(tmp_path)
    kerb.store.full = True
    with running(kerb):
        kerb.sees("1001", ChannelState.OCCUPIED)
        until(lambda: kerb.health.status() is HealthStatus.FAILED)
        kerb.sees("1002", ChannelState.OCCUPIED)
        assert kerb.state("1001") is not BerthState.OCCUPIED
        assert kerb.jobs.get(0) is None
        kerb.store.full = False
        until(lambda: len(kerb.visits()) == 2)
        assert [visit.berth_no for visit in reversed(kerb.visits())] == ["1001", "1002"]
        until(lambda: kerb.health.status() is HealthStatus.OK)


@pytest.mark.parametrize("delta", [0, None])
def test_a_car_that_stays_is_seen_once(tmp_path: Path, delta: int | None) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
        for _ in range(20):
            kerb.sees("1001", ChannelState.OCCUPIED, counter_delta=delta)
        kerb.sees("1002", ChannelState.VACANT)
        until(lambda: kerb.state("1002") is BerthState.VACANT)
        assert len(kerb.visits()) == 1


def test_who_came_and_left_unseen_is_counted_and_no_visit_is_made_up(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        kerb.sees("1001", ChannelState.VACANT, counter_delta=2)
        kerb.sees("1002", ChannelState.VACANT)
        until(lambda: kerb.state("1002") is BerthState.VACANT)
        assert kerb.visits() == []
        assert REGISTRY.get_sample_value("edged_unseen_arrivals_total", {"berth": "1001"}) == 2


def stop_and_fail(kerb: Kerb) -> str:
    """Run the workers with the stop already set; return why the berths' worker failed."""
    stop = threading.Event()
    stop.set()
    recording = threading.Thread(target=kerb.recording.run, args=(stop,))
    recording.start()
    try:
        with pytest.raises(InstructionsLost) as lost:
            kerb.worker.run(stop)
    finally:
        recording.join(15)
        kerb.store.close()
    return str(lost.value)


def test_what_cannot_be_stored_before_the_end_is_named_and_a_failure(tmp_path: Path) -> None:
    kerb = Kerb(tmp_path)
    kerb.store.full = True
    kerb.worker._recall()
    kerb.sees("1001", ChannelState.OCCUPIED)
    kerb.news.put(kerb.observation("1001", ChannelState.OCCUPIED, time.monotonic() + 1))  # settled by then
    with capture_logs() as lines:
        assert stop_and_fail(kerb) == "1 instructions and 0 sensor news were lost"
    (line,) = (line for line in lines if "instruction lost" in line["event"])
    assert line["lost"].berth_no == "1001"


def test_the_last_try_stores_what_waited(tmp_path: Path) -> None:
    kerb = Kerb(tmp_path)
    kerb.store.full = True
    with running(kerb):
        kerb.sees("1001", ChannelState.OCCUPIED)
        until(lambda: kerb.health.status() is HealthStatus.FAILED)
        kerb.store.full = False
    with Store.open(StoreSettings(directory=tmp_path)) as store:
        assert len(store.visits()) == 1


def test_arrivals_wait_in_memory_with_their_times_until_the_store_opens(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)  # a visit of before the restart
    (tmp_path / "blocked").touch()
    kerb = Kerb(tmp_path / "blocked" / "store", is_open=False)
    storage = StorageWorker(kerb.store)
    with running(kerb), workers_running(storage):
        until(lambda: any("Not a directory" in str(problem) for problem in kerb.health.problems()))
        seen_s = time.monotonic()
        kerb.sees("1001", ChannelState.OCCUPIED)
        kerb.sees("1002", ChannelState.VACANT)
        kerb.sees("1002", ChannelState.OCCUPIED)
        until(lambda: any("3 sensor news wait" in problem.cause for problem in kerb.health.problems()))
        assert kerb.state("1001") is BerthState.UNKNOWN
        (tmp_path / "blocked").unlink()
        (tmp_path / "blocked").mkdir()
        shutil.copytree(tmp_path, tmp_path / "blocked" / "store", ignore=shutil.ignore_patterns("blocked"))
        until(lambda: kerb.state("1002") is BerthState.OCCUPIED, within_s=30)
        new, old = kerb.visits()
        assert (new.berth_no, old.berth_no, old.left) == ("1002", "1001", None)  # its visit goes on
        assert new.arrived is not None
        assert abs(new.arrived.monotonic_s - seen_s) < 1
        until(lambda: kerb.health.status() is HealthStatus.OK)


def test_arrivals_are_taken_and_timed_while_a_commit_hangs(tmp_path: Path) -> None:
    with running(Kerb(tmp_path)) as kerb:
        arrive(kerb)
        with closing(sqlite3.connect(tmp_path / "edged.db")) as blocker:
            blocker.execute("BEGIN IMMEDIATE")  # no commit gets through
            kerb.sees("1002", ChannelState.OCCUPIED)
            seen_s = time.monotonic()
            for _ in range(20):
                kerb.sees("1001", ChannelState.OCCUPIED)
            assert kerb.state("1002") is not BerthState.OCCUPIED
            until(lambda: "wait in memory" in "".join(p.cause for p in kerb.health.problems()), within_s=30)
            blocker.rollback()
        until(lambda: kerb.state("1002") is BerthState.OCCUPIED)
        visit = kerb.visits()[0]
        assert visit.arrived is not None
        assert abs(visit.arrived.monotonic_s - seen_s) < 1
