"""A pole of release 0.1.0, as it is still in the field, works with the cloud of today."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from cloud_pole import Pole
from cloud_street import SITE, Street, rows, verdicts
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import readings, visits
from cloud_endpoint.poles.enrolment import issue_code

RELEASED = Path(__file__).parents[2] / "golden" / "wire-0.1.0"


def released(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RELEASED / f"{name}.json").read_text(encoding="utf-8"))
    return content


def enrolled(street: Street) -> Pole:
    """Enrol with the request of that release, under a code of today, on that release's day."""
    request = released("enrolment_request")
    sent_at = datetime.fromisoformat(released("sync_request")["sent_at"])
    street.clock.advance((sent_at - datetime.now(UTC)).total_seconds())
    with writing(street.cloud.engine) as connection:
        code = issue_code(connection, SITE, "pole-1", now_ms=street.clock(), lifetime_ms=60_000)
    answer = requests.post(f"{street.url}/v1/enrolments", json=request | {"code": code}, timeout=10)
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == released("enrolment_answer").keys()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return Pole(
        device_id="pole-1", clock=street.clock, cloud_url=street.url, token=answer.json()["token"], key=key
    )


def test_a_released_pole_enrols_and_each_of_its_events_is_accepted_and_stored_once(street: Street) -> None:
    pole = enrolled(street)
    for _ in range(2):  # it did not get the first answer, and sends the batch again
        answer = pole.post(released("sync_request"))
        assert answer.status_code == 200, answer.text
        assert verdicts(answer.json()) == ["accepted"] * len(released("sync_request")["events"])
    stored = {visit["visit_id"]: visit for visit in rows(street, visits)}
    assert stored.keys() == {"visit-0001", "visit-0002", "visit-0003"}
    assert [visit_id for visit_id, visit in stored.items() if visit["ended_ms"] is None] == ["visit-0003"]
    assert len(rows(street, readings)) == 2


def test_an_order_is_decided_by_what_a_released_pole_read(street: Street) -> None:
    pole = enrolled(street)
    request = released("sync_request")
    pole.post(request | {"events": [e for e in request["events"] if e["kind"] != "drive_out"]})
    _, answer = street.order("1001", "京A12345")
    assert answer["instruction"] == "order_confirmation", answer
