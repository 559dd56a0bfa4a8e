"""Poles for the tests of the cloud: boxes with a key that deliver events, sign, and answer pulls."""

import gzip
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.wire import ReadingView, Snapshot
from edged.wire.signing import signed

SURE = (0.999,) * 7


class ShiftedClock:
    """The real time plus what a test advances it by."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + round(self.shift_s * 1000)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.shift_s)

    def advance(self, seconds: float) -> None:
        self.shift_s += seconds


class Fault(StrEnum):
    """What a pole can do wrong when it is pulled."""

    SILENT = "silent"
    SLOW = "slow"  # answers when it is released
    HTTP_500 = "http_500"
    NONSENSE = "nonsense"
    OTHER_NONCE = "other_nonce"
    OTHER_KEY = "other_key"
    OTHER_BERTH = "other_berth"
    OLD_PICTURE = "old_picture"
    WRONG_CLOCK = "wrong_clock"
    NO_TIME = "no_time"
    CUT = "cut"  # the connection breaks in the middle of the answer


@dataclass
class Standing:
    """What a pole sees in a berth."""

    visit_id: str
    plate: str | None
    characters: tuple[float, ...] = SURE
    accepted: bool = True


@dataclass
class Pole:
    """A box with a key, events to deliver and an HTTP port that answers pulls."""

    device_id: str
    clock: ShiftedClock
    cloud_url: str
    token: str = ""
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    standing: dict[str, Standing] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    pulled: list[str] = field(default_factory=list)
    snapshot_token: str = "pole-secret"
    picture_sha256: str | None = None
    server: ThreadingHTTPServer | None = None
    release: threading.Event = field(default_factory=threading.Event)
    numbers: Any = field(default_factory=lambda: count(1))

    # -- the street ----------------------------------------------------------------------------------

    def drive_in(self, berth_no: str, plate: str | None, **seen: Any) -> str:
        """A car arrives; the event waits for the next sync."""
        number = next(self.numbers)
        visit_id = f"{self.device_id}-visit-{number}"
        self.standing[berth_no] = Standing(visit_id=visit_id, plate=plate, **seen)
        self.queue("drive_in", berth_no, visit_id, cause="sensor")
        return visit_id

    def read(self, berth_no: str, **changes: Any) -> None:
        """The reading of what stands there joins the queue."""
        seen = self.standing[berth_no]
        self.queue("reading", berth_no, seen.visit_id, **(self.reading_of(seen) | changes))

    def drive_out(self, berth_no: str) -> None:
        """The car leaves."""
        seen = self.standing.pop(berth_no)
        self.queue("drive_out", berth_no, seen.visit_id, cause="sensor")

    def arrive(self, berth_no: str, plate: str | None, **seen: Any) -> str:
        """A car arrives, is read, and both are delivered."""
        visit_id = self.drive_in(berth_no, plate, **seen)
        self.read(berth_no)
        self.sync()
        return visit_id

    def leave(self, berth_no: str) -> None:
        """The car leaves and that is delivered."""
        self.drive_out(berth_no)
        self.sync()

    def reading_of(self, seen: Standing) -> dict[str, Any]:
        return {
            "plate": seen.plate,
            "plate_kind": "small_car" if seen.plate else None,
            "characters": list(seen.characters) if seen.plate else [],
            "confidence": min(seen.characters) if seen.plate else 0.0,
            "accepted": seen.accepted and seen.plate is not None,
            "evidence_sha256": None,
            "captured_at": self.clock.now().isoformat(),
            "model_version": "test",
        }

    # -- the wire ------------------------------------------------------------------------------------

    def queue(self, kind: str, berth_no: str, visit_id: str | None, **rest: Any) -> dict[str, Any]:
        number = next(self.numbers)
        event = {
            "kind": kind,
            "event_id": f"{self.device_id}-event-{number}",
            "sequence": number,
            "observed_at": self.clock.now().isoformat(),
            "clock_synced": True,
            "berth_no": berth_no,
            "visit_id": visit_id,
            **rest,
        }
        self.events.append(event)
        return event

    def sync(self, **changes: Any) -> dict[str, Any]:
        """Deliver the queue; what was accepted or rejected leaves it. Returns the answer."""
        body = self.request(**changes)
        answer = self.post(body)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        keep = {v["event_id"] for v in content["verdicts"] if v["verdict"] == "keep"}
        self.events = [event for event in self.events if event["event_id"] in keep]
        return content

    def request(self, **changes: Any) -> dict[str, Any]:
        return {
            "wire_version": 1,
            "sent_at": self.clock.now().isoformat(),
            "clock_synced": True,
            "software_version": "test",
            "health": {"status": "ok", "problems": []},
            "berths": [
                {"berth_no": no, "state": "occupied", "visit_id": seen.visit_id}
                for no, seen in self.standing.items()
            ],
            "events": self.events,
        } | changes

    def post(self, body: dict[str, Any], token: str | None = None) -> requests.Response:
        return requests.post(
            f"{self.cloud_url}/v1/devices/{self.device_id}/events",
            data=gzip.compress(json.dumps(body).encode()),
            headers={
                "Authorization": f"Bearer {token or self.token}",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
            },
            timeout=20,
        )

    def put_picture(self, body: bytes, sha256: str | None = None) -> requests.Response:
        """Upload a picture, under its own hash unless another is given."""
        name = sha256 or hashlib.sha256(body).hexdigest()
        return requests.put(
            f"{self.cloud_url}/v1/devices/{self.device_id}/evidence/{name}",
            data=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
        )

    def answer_carried(self, answer: dict[str, Any]) -> None:
        """Do what the sync answer asks, as a pole behind NAT does."""
        for asked in answer["capture_requests"]:
            snapshot = self.snapshot(asked["berth_no"], asked["nonce"])
            self.queue(
                "snapshot",
                asked["berth_no"],
                snapshot.visit_id,
                request_id=asked["request_id"],
                snapshot=snapshot.model_dump(mode="json"),
            )
        self.sync()

    def snapshot(self, berth_no: str, nonce: str) -> Snapshot:
        """What the pole answers, wrong in the way of its fault."""
        fault = self.fault
        now = self.clock.now()
        seen = self.standing.get(berth_no)
        key = Ed25519PrivateKey.generate() if fault is Fault.OTHER_KEY else self.key
        # Taken when asked for: an older picture than the drive-in's would not take its place.
        picture_age = timedelta(minutes=10) if fault is Fault.OLD_PICTURE else timedelta(0)
        signed_at = now - timedelta(hours=1) if fault is Fault.WRONG_CLOCK else now
        reading = None
        if seen is not None:
            reading = ReadingView.model_validate(self.reading_of(seen))
        return signed(
            Snapshot(
                device_id=self.device_id,
                berth_no="9999" if fault is Fault.OTHER_BERTH else berth_no,
                state="occupied" if seen else "vacant",
                visit_id=seen.visit_id if seen else None,
                reading=reading,
                evidence_sha256=self.picture_sha256,
                captured_at=None if fault is Fault.NO_TIME else signed_at - picture_age,
                signed_at=signed_at,
                nonce="another-nonce" if fault is Fault.OTHER_NONCE else nonce,
            ),
            key,
        )

    # -- being pulled --------------------------------------------------------------------------------

    def listen(self) -> str:
        """Answer pulls on a loopback port; returns the URL."""
        pole = self

        class Pull(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                pole.pulled.append(f"{self.command} {urlsplit(self.path).path}")
                if self.headers.get("Authorization") != f"Bearer {pole.snapshot_token}":
                    self.send_error(401)
                    return
                if pole.fault is Fault.SILENT:
                    pole.release.wait(30)
                    return
                if pole.fault is Fault.SLOW:
                    pole.release.wait(30)
                if pole.fault is Fault.HTTP_500:
                    self.send_error(500)
                    return
                url = urlsplit(self.path)
                berth_no = url.path.split("/")[3]
                body = b"<html>captive portal</html>"
                if pole.fault is not Fault.NONSENSE:
                    sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    nonce = json.loads(sent)["nonce"] if sent else parse_qs(url.query)["nonce"][0]
                    body = pole.snapshot(berth_no, nonce).model_dump_json().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if pole.fault is Fault.CUT else body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Pull)
        self.server.daemon_threads = False
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.release.set()
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
