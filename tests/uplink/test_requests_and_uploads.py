"""What comes back on a sync answer: capture requests, wanted pictures, how soon to come again."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from box import Box, now
from fault_cloud import TOKEN, Fault, FaultCloud

from edged.store import NewReading
from edged.uplink import Credentials, write_credentials


def capture_request(request_id: str, expires_in_s: float = 60.0) -> dict[str, str]:
    return {
        "request_id": request_id,
        "berth_no": "1001",
        "nonce": "nonce-12345678",
        "expires_at": (datetime.now(UTC) + timedelta(seconds=expires_in_s)).isoformat(),
    }


def keep_picture(box: Box, jpeg: bytes) -> str:
    new = NewReading(
        visit_id="visit-0001",
        berth_no="1001",
        stamp=now(),
        reading=None,
        captured=now(),
        model_version="reader-1",
        evidence_jpeg=jpeg,
    )
    return box.store.commit_reading(new) or ""


def test_a_capture_request_repeated_by_the_cloud_is_passed_on_once(box: Box, cloud: FaultCloud) -> None:
    cloud.extra["capture_requests"] = [capture_request("request-0001"), capture_request("request-0002")]
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 3)
    assert [request.request_id for request in box.captures] == ["request-0001", "request-0002"]


def test_a_capture_request_whose_answer_could_not_be_stored_is_taken_again_once(
    box: Box, cloud: FaultCloud
) -> None:
    cloud.extra["capture_requests"] = [capture_request("lost-0001")]
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 4)
    assert [request.request_id for request in box.captures] == ["lost-0001", "lost-0001"]


def test_a_request_is_expired_by_the_clouds_clock_not_ours(box: Box, cloud: FaultCloud) -> None:
    cloud.server_time = lambda: datetime.now(UTC) + timedelta(hours=8)
    cloud.extra["capture_requests"] = [
        capture_request("request-old", expires_in_s=60),
        capture_request("request-new", expires_in_s=8 * 3600 + 60),
    ]
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 2)
    assert [request.request_id for request in box.captures] == ["request-new"]


def test_a_picture_that_the_cloud_wants_is_uploaded(box: Box, cloud: FaultCloud) -> None:
    digests = [keep_picture(box, bytes([number]) * 50_000) for number in range(3)]
    cloud.extra["wanted_evidence"] = [*digests, "0" * 64, "../../etc/passwd"]
    with box.running():
        cloud.wait_for(lambda: len(cloud.pictures) == 3)
        cloud.extra.clear()
        box.until(lambda: box.store.counts().uploads == 0)
    assert sorted(cloud.pictures) == sorted(digests)
    assert all(sha256(jpeg).hexdigest() == digest for digest, jpeg in cloud.pictures.items())


def test_an_upload_that_fails_is_tried_again_and_events_go_on(box: Box, cloud: FaultCloud) -> None:
    digest = keep_picture(box, b"\xff\xd8" * 1000)
    cloud.extra["wanted_evidence"] = [digest]
    cloud.picture_faults.extend([500, 503])
    with box.running():
        cloud.wait_for(lambda: len(cloud.picture_faults) < 2)
        box.arrive(3)
        cloud.wait_for(lambda: len(cloud.accepted) == 4)  # the reading's event, and the arrivals
        cloud.wait_for(lambda: digest in cloud.pictures)
    assert box.uplink.problems == ()


def test_an_upload_that_the_cloud_refuses_is_given_up(box: Box, cloud: FaultCloud) -> None:
    digest = keep_picture(box, b"\xff\xd8" * 1000)
    box.store.want_evidence([digest])
    cloud.picture_faults.append(413)
    with box.running():
        box.until(lambda: box.store.counts().uploads == 0)
    assert cloud.pictures == {}


def test_the_cloud_slows_an_idle_box_down_within_bounds(box: Box, cloud: FaultCloud) -> None:
    cloud.extra["poll_after_s"] = 1.5
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) == 2)
    first, second = (datetime.fromisoformat(request["sent_at"]) for request in cloud.requests)
    assert timedelta(seconds=1.4) <= second - first


def test_a_box_is_enrolled_while_the_daemon_runs(
    box: Box, cloud: FaultCloud, credentials: Credentials, tmp_path: Path
) -> None:
    box.credentials.current = None
    box.arrive(2)
    with box.running():
        box.until(lambda: any("not enrolled" in problem.cause for problem in box.uplink.problems))
        assert cloud.requests == []
        assert box.store.counts().waiting == 2
        write_credentials(tmp_path / "credentials.json", credentials)
        cloud.wait_for(lambda: len(cloud.accepted) == 2)
        box.until(lambda: box.uplink.problems == ())


def test_a_box_denied_looks_for_new_credentials(
    box: Box, cloud: FaultCloud, credentials: Credentials, tmp_path: Path
) -> None:
    old = Credentials(
        device_id="pole-0001", token="revoked", private_key=credentials.private_key, snapshot_token="s"
    )
    box.credentials.current = old
    box.arrive(1)
    with box.running():
        box.until(lambda: any("answered 401" in problem.cause for problem in box.uplink.problems))
        write_credentials(tmp_path / "credentials.json", credentials)
        cloud.wait_for(lambda: len(cloud.accepted) == 1)
    assert box.uplink.problems == ()


def test_stopping_is_quick_in_the_middle_of_a_pause(box: Box, cloud: FaultCloud) -> None:
    cloud.always = Fault.BUSY
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 2)
    # leaving the block joins the thread within its bound, or fails


def test_the_token_goes_to_the_cloud_only(box: Box, cloud: FaultCloud) -> None:
    cloud.plan.append(Fault.REDIRECT)
    with box.running():
        cloud.wait_for(lambda: len(cloud.requests) >= 2)
    text = f"{box.credentials.current!r} {box.uplink.problems!r}"
    assert TOKEN not in text
