"""The API of a fake pole, served over real HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import requests
from prometheus_client import CollectorRegistry, Counter

from edged.demo.street import free_port
from edged.settings import SnapshotApiSettings
from edged.snapshot_api import (
    CaptureFailedError,
    UnknownBerthError,
    create_app,
    listening_socket,
    serve,
)
from edged.store.evidence import EvidenceFolder
from edged.wire import BerthState, BerthStatus, DeviceHealth, Snapshot

TOKEN = "the-token-of-this-pole"


@dataclass
class FakePole:
    """A pole with one berth and a camera that can be held up."""

    evidence: EvidenceFolder
    status: str = "ok"
    camera_free: threading.Event = field(default_factory=threading.Event)
    capturing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    camera_broken: bool = False
    failure: Exception | None = None

    def berths(self) -> list[BerthStatus]:
        if self.failure is not None:
            raise self.failure
        return [BerthStatus(berth_no="1001", state=BerthState.OCCUPIED, visit_id="visit-0001")]

    def snapshot(self, berth_no: str, nonce: str) -> Snapshot:
        if berth_no != "1001":
            raise UnknownBerthError(berth_no)
        return Snapshot(
            device_id="pole-0001",
            berth_no=berth_no,
            state="occupied",
            visit_id="visit-0001",
            reading=None,
            evidence_sha256=None,
            captured_at=None,
            signed_at=datetime(2026, 1, 1, tzinfo=UTC),
            nonce=nonce,
            signature="00",
        )

    def capture(self, berth_no: str, nonce: str) -> Snapshot:
        answer = self.snapshot(berth_no, nonce)
        self.capturing.release()
        assert self.camera_free.wait(20)
        if self.camera_broken:
            raise CaptureFailedError("camera north: no answer")
        return answer

    def picture(self, sha256: str) -> bytes | None:
        return self.evidence.read(sha256)

    def health(self) -> DeviceHealth:
        return DeviceHealth(status=self.status, problems=("camera north: dark; clean the lens",))


@dataclass(frozen=True)
class Api:
    url: str
    pole: FakePole
    tokens: list[str | None]

    def get(self, path: str, token: str | None = TOKEN, **options: object) -> requests.Response:
        return self.call("GET", path, token, **options)

    def call(self, method: str, path: str, token: str | None = TOKEN, **options: object) -> requests.Response:
        headers = {"Content-Type": b"application/json"} if "data" in options else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}".encode()
        return requests.request(method, self.url + path, headers=headers, timeout=20, **options)  # type: ignore[arg-type]


@contextmanager
def served(pole: FakePole) -> Iterator[Api]:
    registry = CollectorRegistry()
    Counter("edged_example", "An example", registry=registry).inc()
    tokens: list[str | None] = [TOKEN]
    app = create_app(pole, lambda: tokens[0], registry)
    settings = SnapshotApiSettings(port=free_port())
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(app, listening_socket(settings), stop))
    thread.start()
    try:
        yield Api(f"http://127.0.0.1:{settings.port}", pole, tokens)
    finally:
        pole.camera_free.set()
        stop.set()
        thread.join(10)
        assert not thread.is_alive(), "the API did not stop"
