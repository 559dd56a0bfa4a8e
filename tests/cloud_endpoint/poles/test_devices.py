"""Poles and the cloud: nothing lost, nothing twice, late and wrong-clocked events in their place."""

import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
import requests
from cloud_pole import Pole
from cloud_street import JPEG, RIGHT, SITE, WRONG, Street, rows, slug, verdicts, want_picture
from fastapi import FastAPI
from sqlalchemy import func, select

from cloud_endpoint.base.clock import to_ms
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import devices, events, evidence, readings, visits
from cloud_endpoint.poles.enrolment import issue_code


def test_a_batch_delivered_twice_counts_once(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.read("1001")
    pole.drive_out("1001")
    body = pole.request()
    answers = [pole.post(body).json() for _ in range(3)]
    assert [verdicts(a) for a in answers] == [["accepted"] * 3] * 3
    assert [len(rows(street, t)) for t in (events, visits, readings)] == [3, 1, 1]


def test_an_event_that_cannot_be_parsed_is_rejected_alone(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.queue("drive_in", "1002", "visit-bad", cause="teleport")
    pole.queue("reading", "1002", "visit-bad", confidence=7)
    pole.drive_in("1003", WRONG)
    answer = pole.sync()
    assert verdicts(answer) == ["accepted", "rejected", "rejected", "accepted"]
    assert "cause" in answer["verdicts"][1]["reason"]


def test_a_kind_that_only_a_newer_pole_knows_is_kept_there_until_this_cloud_is_updated(
    street: Street,
) -> None:
    pole = street.enrol()
    pole.queue("earthquake", "1001", "visit-0001")
    assert verdicts(pole.sync(wire_version=2)) == ["keep"]
    assert verdicts(pole.sync()) == ["rejected"]


def test_late_events_out_of_order_make_the_same_street(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", WRONG)
    pole.read("1001")
    street.clock.advance(60)
    pole.drive_out("1001")
    street.clock.advance(60)
    pole.drive_in("1001", RIGHT)
    pole.read("1001")
    late, now = pole.events[:3], pole.events[3:]
    for batch in (now, late[::-1]):
        pole.events = batch
        pole.sync()
    _, answer = street.order("1001", RIGHT)
    assert answer["instruction"] == "order_confirmation"
    assert sorted(v["ended_ms"] is None for v in rows(street, visits)) == [False, True]


def test_a_drive_out_that_overtakes_its_drive_in_still_ends_the_visit(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.drive_out("1001")
    pole.events.reverse()
    pole.sync()
    (visit,) = rows(street, visits)
    assert visit["started_ms"] is not None
    assert visit["ended_ms"] is not None


def test_a_pole_whose_clock_was_never_set_is_put_right_by_the_clouds(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    pole.events[0] |= {"observed_at": "1970-01-01T00:01:00+00:00", "clock_synced": False}
    pole.sync(sent_at="1970-01-01T00:01:30+00:00", clock_synced=False)
    (visit,) = rows(street, visits)
    assert abs(visit["started_ms"] - (street.clock() - 30_000)) < 5_000
    (device,) = rows(street, devices)
    assert device["clock_synced"] is False


def test_a_pole_that_thinks_its_wrong_clock_right_is_put_right_and_shown(street: Street) -> None:
    pole = street.enrol()
    tomorrow = street.clock.now() + timedelta(days=1)
    pole.drive_in("1001", RIGHT)
    pole.events[0]["observed_at"] = tomorrow.isoformat()
    pole.sync(sent_at=tomorrow.isoformat())
    (visit,) = rows(street, visits)
    assert abs(visit["started_ms"] - street.clock()) < 5_000
    (device,) = rows(street, devices)
    assert device["clock_offset_ms"] < -86_000_000


def test_a_pole_cannot_speak_for_anothers_berths_or_visits(street: Street) -> None:
    pole = street.enrol()
    visit_id = pole.arrive("1001", RIGHT)
    other = street.enrol("pole-2")
    other.drive_in("1001", WRONG)
    other.queue("drive_out", "2001", visit_id, cause="sensor")
    answer = other.sync()
    assert verdicts(answer) == ["rejected", "rejected"]
    _, order = street.order("1001", RIGHT)
    assert order["instruction"] == "order_confirmation"


def test_an_unknown_device_is_refused(street: Street) -> None:
    pole = Pole(device_id="pole-9", clock=street.clock, cloud_url=street.url, token="x.y")
    refused = pole.post(pole.request())
    assert refused.status_code == 401
    assert refused.json()["type"].endswith("/not-authorised")
    assert refused.json()["remedy"]


def test_a_replaced_box_takes_over_and_the_old_one_is_out(street: Street) -> None:
    old = street.enrol()
    old.arrive("1001", RIGHT)
    new = street.enrol()
    assert old.post(old.request()).status_code == 401
    new.standing = old.standing
    assert verdicts(new.sync()) == []
    order_id, answer = street.order("1001", WRONG)
    assert answer["instruction"] == "pending"
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
    assert new.pulled


def test_a_code_works_once_for_its_device_and_not_for_ever(street: Street) -> None:
    from cloud_endpoint.poles.enrolment import issue_code

    def used(code: str, device_id: str = "pole-1") -> requests.Response:
        body = {"code": code, "device_id": device_id, "public_key": "ab" * 32, "berths": []}
        return requests.post(f"{street.url}/v1/enrolments", json=body, timeout=10)

    def issued() -> str:
        with writing(street.cloud.engine) as connection:
            return issue_code(connection, SITE, "pole-1", now_ms=street.clock(), lifetime_ms=60_000)

    code = issued()
    assert used(code, "pole-2").status_code == 403
    assert used(code.lower()).status_code == 201
    assert used(code).json()["type"].endswith("/enrolment-code-refused")
    late = issued()
    street.clock.advance(61)
    assert used(late).status_code == 403


@pytest.mark.parametrize(
    ("body", "encoding", "status", "problem"),
    [
        (b"not gzip", "gzip", 400, "bad-gzip"),
        (gzip.compress(b"{}", mtime=0)[:-6], "gzip", 400, "bad-gzip"),
        (gzip.compress(b"0" * 50_000_000), "gzip", 413, "body-too-large"),
        (b"[" * 9_000_000, "identity", 413, "body-too-large"),
        (b"{}", "br", 415, "encoding-unknown"),
        (b"{}", "identity", 422, "request-invalid"),
        (b"\xff\xfe", "identity", 422, "request-invalid"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_remedy(
    street: Street, body: bytes, encoding: str, status: int, problem: str
) -> None:
    pole = street.enrol()
    answer = requests.post(
        f"{street.url}/v1/devices/pole-1/events",
        data=body,
        headers={
            "Authorization": f"Bearer {pole.token}",
            "Content-Type": "application/json",
            "Content-Encoding": encoding,
        },
        timeout=20,
    )
    assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (status, problem)
    assert answer.json()["remedy"]


def test_a_picture_is_kept_under_its_own_hash_only(street: Street) -> None:
    pole = street.enrol()
    want_picture(street, JPEG)
    assert pole.put_picture(JPEG).status_code == 204
    assert pole.put_picture(JPEG).status_code == 204
    assert slug(pole.put_picture(JPEG, "0" * 64)) == "evidence-hash"
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(func.count()).select_from(evidence)).scalar() == 1


def test_a_picture_that_nobody_asked_this_pole_for_is_not_kept(street: Street) -> None:
    pole, other = street.enrol(), street.enrol("pole-2")
    refused = pole.put_picture(JPEG)
    assert (refused.status_code, slug(refused)) == (409, "evidence-unwanted")
    want_picture(street, JPEG)
    assert slug(other.put_picture(JPEG)) == "evidence-unwanted"
    assert rows(street, evidence) == []
    assert pole.put_picture(JPEG).status_code == 204


def test_what_is_no_whole_jpeg_is_no_picture(street: Street) -> None:
    body = b"\xff\xd8<html></html>\xff\xd9"
    want_picture(street, body)
    refused = street.enrol(reachable=False).put_picture(body)
    assert (refused.status_code, slug(refused)) == (415, "evidence-format")
    assert rows(street, evidence) == []


BAD_ENROLMENTS: list[tuple[str, dict[str, object]]] = [
    ("snapshot_url", {"snapshot_url": "file:///etc/passwd"}),
    ("snapshot_url", {"snapshot_url": "ftp://pole/x"}),
    ("snapshot_url", {"snapshot_url": "10.0.0.7:8090"}),
    ("snapshot_url", {"snapshot_url": "http://"}),
    ("snapshot_url", {"snapshot_url": "http://pole:99999"}),
    ("snapshot_url", {"snapshot_url": "http://pole/?a=b"}),
    ("snapshot_url", {"snapshot_url": "http://pole/\x00"}),
    ("snapshot_url", {"snapshot_url": "http://pole /"}),
    ("snapshot_url", {"snapshot_url": ""}),
    ("snapshot_url", {"snapshot_url": "http://" + "p" * 500}),
    ("snapshot_token", {"snapshot_token": None}),
    ("snapshot_token", {"snapshot_url": None}),
    ("snapshot_token", {"snapshot_token": ""}),
    ("snapshot_token", {"snapshot_token": "a b"}),
    ("snapshot_token", {"snapshot_token": "t" * 201}),
    ("berths", {"berths": [str(n) for n in range(2000, 2065)]}),
]


def test_a_pole_that_could_not_be_used_is_not_enrolled_and_its_code_stays_good(street: Street) -> None:
    with writing(street.cloud.engine) as connection:
        code = issue_code(connection, SITE, "pole-1", now_ms=street.clock(), lifetime_ms=600_000)
    body = {
        "code": code,
        "device_id": "pole-1",
        "public_key": "0" * 64,
        "berths": ["1001"],
        "snapshot_url": "http://10.0.0.7:8090",
        "snapshot_token": "secret",
    }
    for field, change in BAD_ENROLMENTS:
        refused = requests.post(f"{street.url}/v1/enrolments", json=body | change, timeout=10)
        assert refused.status_code == 422, (change, refused.text)
        assert slug(refused) in ("enrolment-unusable", "request-invalid")
        assert refused.json()["field"] == field, change
    assert requests.post(f"{street.url}/v1/enrolments", json=body, timeout=10).status_code == 201


def test_the_picture_of_a_review_is_asked_for_on_the_sync_and_shown_to_the_operator(street: Street) -> None:
    pole = street.enrol(reachable=False)
    sha256 = hashlib.sha256(JPEG).hexdigest()
    pole.drive_in("1003", WRONG, characters=(0.999,) * 6 + (0.98,))
    pole.read("1003", evidence_sha256=sha256)
    pole.sync()
    order_id, _ = street.order("1003", RIGHT)
    pole.picture_sha256 = sha256
    for _ in range(street.cloud.settings.check.max_captures):
        pole.answer_carried(pole.sync())
    assert street.view(order_id)["instruction"] == "review"
    assert pole.sync()["wanted_evidence"] == [sha256]
    (review,) = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert review["picture"] is None
    pole.put_picture(JPEG)
    assert pole.sync()["wanted_evidence"] == []
    (review,) = street.call("GET", "/v1/reviews", token=street.operator).json()
    picture = street.call("GET", review["picture"], token=street.operator)
    assert (picture.content, picture.headers["Content-Type"]) == (JPEG, "image/jpeg")


def test_times_are_kept_to_the_millisecond() -> None:
    assert to_ms(datetime(2026, 3, 1, 8, 0, 0, 123_000, tzinfo=UTC)) == 1_772_352_000_123
    assert json.dumps(to_ms(datetime(1970, 1, 1, tzinfo=UTC))) == "0"


def test_a_pole_that_comes_when_too_many_wait_is_asked_to_come_back_and_loses_nothing(
    street: Street, running: tuple[str, FastAPI]
) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    turns = running[1].state.turns
    turns._waiting += 1000
    try:
        refused = pole.post(pole.request())
    finally:
        turns._waiting -= 1000
    assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (429, "too-many-poles")
    assert 2 <= int(refused.headers["Retry-After"]) <= 10
    assert verdicts(pole.sync()) == ["accepted"]


def test_pictures_that_a_pole_has_deleted_do_not_keep_it_from_sending_new_ones(street: Street) -> None:
    pole = street.enrol(reachable=False)
    new = b"new 75"  # the last of them by its hash
    for n in range(20):
        want_picture(street, f"deleted {n}".encode())
    street.clock.advance(60)
    want_picture(street, new)

    assert hashlib.sha256(new).hexdigest() in pole.sync()["wanted_evidence"]
