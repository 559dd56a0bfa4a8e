"""An old pole with a new cloud, a new pole with an old cloud: what release 0.1.0 says and understands."""

import json
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import TypeAdapter

from edged import wire
from edged.domain.plate import PlateKind
from edged.wire.base import Payload
from edged.wire.signing import signed, verify

RELEASED = Path(__file__).parents[1] / "golden" / "wire-0.1.0"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
EVENT: TypeAdapter[wire.Event] = TypeAdapter(wire.Event)
MODELS: dict[str, type[Payload]] = {
    "sync_request": wire.SyncRequest,
    "sync_answer": wire.SyncAnswer,
    "enrolment_request": wire.EnrolmentRequest,
    "enrolment_answer": wire.EnrolmentAnswer,
    "snapshot": wire.Snapshot,
}


def released(name: str) -> Any:
    return json.loads((RELEASED / f"{name}.json").read_text(encoding="utf-8"))


def understood(payload: Payload) -> None:
    """Hold a payload of today against the models of 0.1.0, which ignore fields that they do not know."""
    schema = released("schemas")
    name = type(payload).__name__
    jsonschema.validate(payload.model_dump(mode="json"), schema.get(name, schema["Event"]))


def carries(today: Any, old: Any) -> bool:
    """Tell whether everything that the old payload says is still in today's form of it."""
    if isinstance(old, dict):
        return all(key in today and carries(today[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(today) == len(old) and all(map(carries, today, old))
    return bool(today == old)


@pytest.mark.parametrize("name", MODELS)
def test_a_released_payload_keeps_all_that_it_says(name: str) -> None:
    today = MODELS[name].model_validate(released(name))
    assert carries(today.model_dump(mode="json"), released(name))


def test_a_released_event_of_each_kind_keeps_all_that_it_says() -> None:
    events = released("sync_request")["events"]
    assert {event["kind"] for event in events} == {"drive_in", "drive_out", "reading", "snapshot"}
    for event in events:
        assert carries(EVENT.dump_python(EVENT.validate_python(event), mode="json"), event)


def test_the_signature_of_an_old_pole_still_proves_its_snapshot() -> None:
    assert verify(wire.Snapshot.model_validate(released("snapshot")), KEY.public_key())
    [carried] = [e["snapshot"] for e in released("sync_request")["events"] if e.get("snapshot")]
    assert verify(wire.Snapshot.model_validate(carried), KEY.public_key())


def test_an_old_cloud_can_verify_what_a_new_pole_signs() -> None:
    """0.1.0 signs the fields that it knows, and drops the others before it verifies."""
    known = released("schemas")["Snapshot"]
    of_reading = known["$defs"]["ReadingView"]["properties"]
    sent = signed(wire.Snapshot.model_validate(released("snapshot")), KEY).model_dump(mode="json")
    received = {name: value for name, value in sent.items() if name in known["properties"]}
    received["reading"] = {name: value for name, value in sent["reading"].items() if name in of_reading}
    signature = bytes.fromhex(received.pop("signature"))
    text = json.dumps(received, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    KEY.public_key().verify(signature, text.encode())


def head(visit_id: str | None = "visit-0001") -> dict[str, Any]:
    return {
        "event_id": "event-0001",
        "sequence": 1,
        "observed_at": NOW,
        "clock_synced": False,
        "berth_no": "1001",
        "visit_id": visit_id,
        "not_before": NOW,
        "not_after": NOW,
    }


@pytest.mark.parametrize("kind", [wire.DriveIn, wire.DriveOut])
@pytest.mark.parametrize("cause", wire.DriveCause)
def test_an_old_cloud_understands_each_drive(
    kind: type[wire.DriveIn | wire.DriveOut], cause: wire.DriveCause
) -> None:
    understood(kind(**head(), cause=cause))


@pytest.mark.parametrize("plate_kind", [None, *PlateKind])
def test_an_old_cloud_understands_each_reading(plate_kind: PlateKind | None) -> None:
    view = {
        "plate": "京A12345" if plate_kind else None,
        "plate_kind": plate_kind,
        "characters": (0.9,) * 7 if plate_kind else (),
        "confidence": 0.9,
        "accepted": plate_kind is not None,
    }
    understood(
        wire.Reading(**head(), **view, evidence_sha256=None, captured_at=NOW, model_version="2026.11-6")
    )
    snapshot = wire.Snapshot(
        device_id="pole-1",
        berth_no="1001",
        state=wire.BerthState.OCCUPIED,
        visit_id="visit-0001",
        reading=wire.ReadingView.model_validate(view),
        evidence_sha256=None,
        captured_at=NOW,
        signed_at=NOW,
        nonce="n0123456789",
    )
    understood(snapshot)
    understood(wire.SnapshotTaken(**head(), request_id="request-0001", snapshot=snapshot))
    understood(wire.SnapshotTaken(**head(None), request_id="request-0001", snapshot=None, error="dark"))


@pytest.mark.parametrize(("state", "status"), [*product(wire.BerthState, ("ok", "degraded", "failed"))])
def test_an_old_cloud_understands_each_heartbeat(state: wire.BerthState, status: str) -> None:
    understood(
        wire.SyncRequest(
            wire_version=wire.WIRE_VERSION,
            sent_at=NOW,
            clock_synced=True,
            software_version="0.2.0",
            health=wire.DeviceHealth(status=status, problems=("store: the disk is full; make room",)),
            berths=(wire.BerthStatus(berth_no="1001", state=state),),
            events=({"kind": "drive_in"},),
        )
    )


def test_an_old_cloud_understands_an_enrolment() -> None:
    understood(wire.EnrolmentRequest.model_validate(released("enrolment_request")))


@pytest.mark.parametrize("verdict", wire.Verdict)
def test_an_old_pole_understands_each_answer(verdict: wire.Verdict) -> None:
    asked = wire.CaptureRequest(
        request_id="request-0001", berth_no="1001", nonce="n0123456789", expires_at=NOW
    )
    understood(
        wire.SyncAnswer(
            verdicts=(wire.EventVerdict(event_id="event-0001", verdict=verdict, reason="no such berth"),),
            capture_requests=(asked,),
            wanted_evidence=("ab" * 32,),
            server_time=NOW,
            poll_after_s=2.0,
        )
    )
    understood(wire.EnrolmentAnswer(device_id="pole-1", site_id="demo", token="a-token"))
