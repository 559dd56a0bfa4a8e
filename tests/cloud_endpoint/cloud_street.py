"""What the tests of the cloud stand on: poles that sign and answer over HTTP, and a terminal."""

import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_endpoint.database import writing
from cloud_endpoint.enrolment import issue_code
from cloud_endpoint.service import Cloud
from edged.wire import ReadingView, Snapshot
from edged.wire.signing import signed

SITE = "demo"
POLE_CODE = "P1-7Q4K"
RIGHT, WRONG = "京A12345", "京A12346"
SURE = (0.999,) * 7
JPEG = b"\xff\xd8\xff\xe0 a small picture \xff\xd9"


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 10) -> Any:
    """Wait for a true value and return it; fail with `what` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain: {what}"
        time.sleep(0.02)
    return value


def registry_of(berths: int = 5, pole: str = "pole-1") -> dict[str, Any]:
    """A street of one pole; berths 1001..., 6 m apart along a kerb in Shanghai."""
    return {
        "sites": [{"site_id": SITE, "name": "Demo street"}],
        "berths": [
            {
                "site_id": SITE,
                "berth_no": str(1001 + i),
                "device_id": pole,
                "pole_code": POLE_CODE,
                "zone_id": "north",
                "lat": 31.2304 + i * 6 / 111_320,
                "lon": 121.4737,
                "kerb_order": i,
            }
            for i in range(berths)
        ],
    }


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
                self.wfile.write(body)

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


@dataclass
class Street:
    """The service under test with its credentials, and what a test does to it."""

    url: str
    cloud: Cloud
    clock: ShiftedClock
    terminal: str
    secret: str  # signs the terminal's callbacks, and the webhooks to it
    operator: str
    poles: list[Pole] = field(default_factory=list)

    def enrol(
        self, device_id: str = "pole-1", *, reachable: bool = True, berths: tuple[str, ...] = ()
    ) -> Pole:
        """Enrol a pole as a technician would."""
        with writing(self.cloud.engine) as connection:
            code = issue_code(connection, SITE, device_id, now_ms=self.clock(), lifetime_ms=60_000)
        pole = Pole(device_id=device_id, clock=self.clock, cloud_url=self.url)
        self.poles.append(pole)
        body = {
            "code": code,
            "device_id": device_id,
            "public_key": pole.key.public_key().public_bytes_raw().hex(),
            "berths": list(berths),
            "snapshot_url": pole.listen() if reachable else None,
            "snapshot_token": pole.snapshot_token if reachable else None,
        }
        answer = requests.post(f"{self.url}/v1/enrolments", json=body, timeout=10)
        assert answer.status_code == 201, answer.text
        pole.token = answer.json()["token"]
        return pole

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **rest: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.terminal}"} | rest.pop("headers", {})
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=30, **rest)

    def open(self, account: str = "driver-1", place: dict[str, Any] | None = None) -> str:
        """Open an order; returns its id."""
        body = {"place": place or {"pole_code": POLE_CODE}, "account_id": account}
        answer = self.call("POST", "/v1/orders", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["order_id"])

    def offer(self, order_id: str) -> dict[str, str]:
        """Ask for candidates; returns tokens by berth number."""
        answer = self.call("POST", f"/v1/orders/{order_id}/candidates")
        assert answer.status_code == 200, answer.text
        return {c["berth_no"]: c["token"] for c in answer.json()["candidates"]}

    def submit(self, order_id: str, token: str, plate: str, **more: Any) -> requests.Response:
        body = {"berth_token": token, "plate": plate, "minutes": 60, **more}
        return self.call("POST", f"/v1/orders/{order_id}/submit", body)

    def order(self, berth_no: str, plate: str, account: str = "driver-1") -> tuple[str, dict[str, Any]]:
        """Open, choose, submit; returns the order's id and the answer."""
        order_id = self.open(account)
        answer = self.submit(order_id, self.offer(order_id)[berth_no], plate)
        assert answer.status_code == 200, answer.text
        return order_id, answer.json()

    def view(self, order_id: str, wait: float = 0) -> dict[str, Any]:
        answer = self.call("GET", f"/v1/orders/{order_id}?wait={wait}")
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def close(self) -> None:
        for pole in self.poles:
            pole.close()
