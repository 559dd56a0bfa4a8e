"""Whatever the cloud does, each event arrives, once in effect, and nothing blocks the others."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from box import Box
from fault_cloud import Fault, FaultCloud

from edged.store import requeue_rejected
from edged.wire import SyncRequest
from edged.wire.events import DriveIn


def visits_at(cloud: FaultCloud) -> list[str]:
    return sorted(event["visit_id"] for event in cloud.accepted.values())


def emptied(box: Box) -> bool:
    return box.store.counts().waiting == 0


def given_up(box: Box) -> int:
    """Return how many events were refused twice: for today they are not tried again."""
    with closing(sqlite3.connect(box.store.path)) as db:
        sql = "SELECT count(*) FROM outbox WHERE rejected_reason IS NOT NULL AND set_aside_count = 2"
        return int(db.execute(sql).fetchone()[0])


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_each_event_arrives_once_after_any_fault(fault: Fault, box: Box, cloud: FaultCloud) -> None:
    cloud.plan.extend([fault])
    expected = box.arrive(7)
    with box.running():
        box.until(lambda: emptied(box))
    assert visits_at(cloud) == expected
    assert box.store.counts().rejected == 0
    assert box.uplink.problems == ()


def test_what_is_sent_is_what_the_wire_describes(box: Box, cloud: FaultCloud) -> None:
    box.arrive(1)
    with box.running():
        box.until(lambda: emptied(box))
    request = SyncRequest.model_validate(next(r for r in cloud.requests if r["events"]))
    assert request.clock_synced
    assert DriveIn.model_validate(request.events[0]).visit_id == "visit-000000"


def test_a_long_backlog_goes_in_batches_oldest_first(box: Box, cloud: FaultCloud) -> None:
    expected = box.arrive(65)
    with box.running():
        box.until(lambda: emptied(box))
    assert [size for size in cloud.batch_sizes if size] == [20, 20, 20, 5]
    assert [cloud.accepted[event_id]["visit_id"] for event_id in cloud.received] == expected


def test_events_committed_while_running_go_at_once(box: Box, cloud: FaultCloud) -> None:
    cloud.extra["poll_after_s"] = 3600  # idle for long, were it not for the new events
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) == 1)
        box.arrive(1)
        cloud.wait_for(lambda: len(cloud.accepted) == 1, timeout_s=3)


def test_the_heartbeat_goes_on_without_events(box: Box, cloud: FaultCloud) -> None:
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 3)
    assert cloud.requests[0]["health"] == {"status": "ok", "problems": []}
    assert cloud.requests[0]["berths"] == [{"berth_no": "1001", "state": "vacant", "visit_id": None}]


def test_a_poison_event_is_set_aside_and_blocks_nobody(box: Box, cloud: FaultCloud) -> None:
    expected = box.arrive(20)
    cloud.refuses = lambda event: event["visit_id"] == "visit-000011"
    with box.running():
        box.until(lambda: given_up(box) == 1)
    assert visits_at(cloud) == [visit_id for visit_id in expected if visit_id != "visit-000011"]
    rejected = box.store.rejected()
    assert len(rejected) == 1
    assert "answered 400" in rejected[0].reason
    assert len(cloud.requests) < 20  # halving, not one by one


def test_a_body_too_large_for_the_cloud_is_halved(box: Box, cloud: FaultCloud) -> None:
    cloud.max_body_bytes = 600
    expected = box.arrive(20)
    with box.running():
        box.until(lambda: emptied(box))
    assert visits_at(cloud) == expected
    assert box.store.counts().rejected == 0


def test_a_cloud_that_refuses_everything_does_not_empty_the_outbox(box: Box, cloud: FaultCloud) -> None:
    cloud.refuses = lambda event: True
    box.arrive(20)
    with box.running():
        cloud.wait_for(lambda: cloud.batch_sizes.count(1) >= 20)
        assert box.store.counts().rejected <= 3
        cloud.refuses = lambda event: False
        box.until(lambda: len(cloud.accepted) == 20, timeout_s=40)  # what was set aside comes too
    assert box.store.counts().rejected == 0


def test_a_rejected_event_is_kept_aside_and_can_be_sent_again(box: Box, cloud: FaultCloud) -> None:
    cloud.rejects = lambda event: event["visit_id"] == "visit-000002"
    box.arrive(4)
    with box.running():
        box.until(lambda: given_up(box) == 1)
    assert [event.reason for event in box.store.rejected()] == ["no such berth"]
    cloud.rejects = lambda event: False
    assert requeue_rejected(box.store.directory, None) == 1
    with box.running():
        box.until(lambda: len(cloud.accepted) == 4)
    assert box.store.counts().rejected == 0


def test_events_that_the_cloud_keeps_off_do_not_delay_new_ones(box: Box, cloud: FaultCloud) -> None:
    cloud.keeps = lambda event: int(event["visit_id"][-6:]) < 30
    box.arrive(30)
    with box.running():
        cloud.wait_for(lambda: len(cloud.received) >= 30)
        box.arrive(5, first=30)
        cloud.wait_for(lambda: len(cloud.accepted) == 5, timeout_s=3)
        cloud.keeps = lambda event: False
        box.until(lambda: emptied(box), timeout_s=40)
    assert len(cloud.accepted) == 35


def test_after_failures_the_box_waits_longer_and_longer(box: Box, cloud: FaultCloud) -> None:
    cloud.always = Fault.SERVER_ERROR
    box.arrive(1)
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) == 2)
        for _ in range(50):
            box.store.grown.set()  # new events do not undercut the pause
        first, second = (datetime.fromisoformat(request["sent_at"]) for request in cloud.requests)
        assert second - first >= timedelta(seconds=0.9)
        assert len(cloud.requests) == 2
        (problem,) = box.uplink.problems
        assert "answered 500" in problem.cause


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault.SILENCE, "no answer within"),
        (Fault.PORTAL, "Please accept our terms"),
        (Fault.REDIRECT, "redirect to 'http://portal.example/'"),
        (Fault.WRONG_JSON, "all fine"),
        (Fault.UNAUTHORISED, "answered 401"),
        (Fault.BAD_ENVELOPE, "answered 400"),
        (Fault.DRIP, "did not end within"),
        (Fault.DRIP_HEAD, "did not end within"),
    ],
)
def test_health_says_what_is_wrong_with_the_line(
    fault: Fault, cause: str, box: Box, cloud: FaultCloud
) -> None:
    cloud.always = fault
    with box.running():
        box.until(lambda: bool(box.uplink.problems))
        (problem,) = box.uplink.problems
        assert cause in problem.cause
        assert problem.remedy


def test_a_wrong_clock_is_noticed(box: Box, cloud: FaultCloud) -> None:
    cloud.server_time = lambda: datetime.now(UTC) + timedelta(hours=8)
    with box.running():
        box.until(lambda: bool(box.uplink.problems))
        (problem,) = box.uplink.problems
    assert problem.where == "clock"
    assert "behind the cloud's" in problem.cause


def test_progress_is_shown_while_the_line_is_down(box: Box, cloud: FaultCloud) -> None:
    cloud.always = Fault.SERVER_ERROR
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 1)
        seen_s = box.uplink.last_progress_s
        box.until(lambda: box.uplink.last_progress_s > seen_s, timeout_s=3)


def test_the_heartbeat_goes_on_while_the_store_cannot_be_used(box: Box, cloud: FaultCloud) -> None:
    box.store.close()
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 3)
        box.store.reopen()
        box.arrive(1)
        cloud.wait_for(lambda: len(cloud.accepted) == 1)


def test_uploads_that_always_fail_are_reported_until_one_succeeds(box: Box, cloud: FaultCloud) -> None:
    digest = box.store.evidence.write(b"\xff\xd8 a picture")
    cloud.picture_faults.extend([503] * 3)
    cloud.extra["wanted_evidence"] = [digest]
    with box.running():
        box.until(lambda: [problem.where for problem in box.uplink.problems] == ["uploads"])
        assert "503" in box.uplink.problems[0].cause
        box.until(lambda: box.uplink.problems == ())
        assert cloud.pictures


def test_uploads_are_no_trouble_once_the_picture_has_been_dropped(box: Box, cloud: FaultCloud) -> None:
    digest = box.store.evidence.write(b"\xff\xd8 a picture")
    cloud.picture_faults.extend([503] * 1000)
    cloud.extra["wanted_evidence"] = [digest]
    with box.running():
        box.until(lambda: [problem.where for problem in box.uplink.problems] == ["uploads"])
        del cloud.extra["wanted_evidence"]
        seen = len(cloud.requests)
        cloud.wait_for(lambda: len(cloud.requests) > seen + 1)  # the last answer that wanted it is over
        box.store.evidence_done(digest)
        box.until(lambda: box.uplink.problems == ())


def test_health_shows_no_plate_that_the_cloud_repeats(box: Box, cloud: FaultCloud) -> None:
    cloud.always = Fault.WRONG_JSON
    with box.running():
        box.until(lambda: bool(box.uplink.problems))
        (problem,) = box.uplink.problems
    assert "京A·**345" in problem.cause
    assert "12345" not in problem.cause
