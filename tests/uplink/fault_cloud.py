"""A small real cloud over real HTTP, with a plan of what goes wrong."""

import gzip
import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "token-of-this-pole"
Event = dict[str, Any]


class Fault(Enum):
    NONE = auto()
    SERVER_ERROR = auto()  # 500 after having stored nothing
    STORED_THEN_ERROR = auto()  # the worst 500: everything was stored
    STORED_THEN_SILENCE = auto()  # stored, and the connection dies before the answer
    SILENCE = auto()  # no answer at all within the box's patience
    DRIP = auto()  # an answer that never ends
    DRIP_HEAD = auto()  # not even its head does
    PORTAL = auto()  # a captive portal's page, 200
    REDIRECT = auto()
    WRONG_JSON = auto()
    UNAUTHORISED = auto()
    BUSY = auto()  # 503 with Retry-After
    HALF = auto()  # verdicts for the first half only
    KEEP = auto()  # all of this batch later, please
    BAD_ENVELOPE = auto()  # 400 whatever the events are
    TWICE = auto()  # each verdict twice, and one about a stranger's event


class FaultCloud:
    """Thread-safe; `plan` is used up one fault a request, then all goes well."""

    def __init__(self) -> None:
        self.plan: deque[Fault] = deque()
        self.always: Fault | None = None
        self.refuses: Callable[[Event], bool] = lambda event: False  # 400 for a batch that holds one
        self.rejects: Callable[[Event], bool] = lambda event: False
        self.keeps: Callable[[Event], bool] = lambda event: False
        self.max_body_bytes = 10_000_000
        self.accepted: dict[str, Event] = {}
        self.received: list[str] = []  # event ids in order of arrival, repeats included
        self.requests: list[dict[str, Any]] = []
        self.batch_sizes: list[int] = []
        self.pictures: dict[str, bytes] = {}
        self.picture_faults: deque[int] = deque()
        self.extra: dict[str, Any] = {}  # merged into every sync answer
        self.server_time: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.released = threading.Event()  # ends hangs when the test ends
        self.changed = threading.Condition()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Return once `condition` holds; fails the test when it does not in time."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), "condition not met in time"

    def verdicts(self, events: list[Event]) -> list[dict[str, str]]:
        verdicts = []
        for event in events:
            self.received.append(event["event_id"])
            if self.rejects(event):
                verdict = {"verdict": "rejected", "reason": "no such berth"}
            elif self.keeps(event):
                verdict = {"verdict": "keep"}
            else:
                self.accepted.setdefault(event["event_id"], event)
                verdict = {"verdict": "accepted"}
            verdicts.append({"event_id": event["event_id"], **verdict})
        return verdicts

    @contextmanager
    def listening(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """Serve on loopback; yields the URL."""

        class Handler(_Handler):
            cloud = self

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            self.released.set()
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    cloud: FaultCloud
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        cloud = self.cloud
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with cloud.changed:
            fault = cloud.plan.popleft() if cloud.plan else cloud.always or Fault.NONE
            request = json.loads(gzip.decompress(body))
            cloud.requests.append(request)
            cloud.batch_sizes.append(len(request["events"]))
            try:
                self._answer(fault, request, len(body))
            finally:
                cloud.changed.notify_all()

    def do_PUT(self) -> None:
        cloud = self.cloud
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with cloud.changed:
            status = cloud.picture_faults.popleft() if cloud.picture_faults else 204
            if status == 204:
                cloud.pictures[self.path.rsplit("/", 1)[1]] = body
            self._send(status, b"")
            cloud.changed.notify_all()

    def _answer(self, fault: Fault, request: dict[str, Any], body_bytes: int) -> None:
        cloud = self.cloud
        events = request["events"]
        if fault is Fault.UNAUTHORISED or self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._send(401, b'{"title": "unknown token"}')
        elif fault is Fault.SERVER_ERROR:
            self._send(500, b"Internal Server Error")
        elif fault is Fault.BUSY:
            self._send(503, b"", {"Retry-After": "1"})
        elif fault is Fault.SILENCE:
            self._hang()
        elif fault is Fault.PORTAL:
            self._send(200, b"<html>Welcome! Please accept our terms</html>", {"Content-Type": "text/html"})
        elif fault is Fault.REDIRECT:
            self._send(302, b"", {"Location": "http://portal.example/"})
        elif fault is Fault.WRONG_JSON:
            self._send(200, '{"verdicts": "all fine", "plate": "京A12345"}'.encode())
        elif fault is Fault.DRIP:
            self._drip()
        elif fault is Fault.DRIP_HEAD:
            self._drip(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        elif fault is Fault.BAD_ENVELOPE or any(map(cloud.refuses, events)):
            self._send(400, b'{"title": "cannot take this"}')
        elif body_bytes > cloud.max_body_bytes:
            self._send(413, b"<html>413 Request Entity Too Large</html>")
        else:
            self._take(fault, events)

    def _take(self, fault: Fault, events: list[Event]) -> None:
        cloud = self.cloud
        if fault is Fault.KEEP:
            verdicts = [{"event_id": event["event_id"], "verdict": "keep"} for event in events]
        elif fault is Fault.HALF:
            verdicts = cloud.verdicts(events[: len(events) // 2])
        else:
            verdicts = cloud.verdicts(events)
        if fault is Fault.STORED_THEN_ERROR:
            self._send(500, b"Internal Server Error")
            return
        if fault is Fault.STORED_THEN_SILENCE:
            self.close_connection = True
            return
        if fault is Fault.TWICE:
            verdicts = [*verdicts, *verdicts, {"event_id": "of-a-stranger", "verdict": "rejected"}]
        answer = {"verdicts": verdicts, "server_time": cloud.server_time().isoformat(), **cloud.extra}
        self._send(200, json.dumps(answer).encode())

    def _drip(self, begin: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") -> None:
        self.wfile.write(begin)
        self.cloud.changed.release()
        try:
            while not self.cloud.released.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:
            pass  # the box has given up
        finally:
            self.cloud.changed.acquire()
        self.close_connection = True

    def _hang(self) -> None:
        self.cloud.changed.release()
        try:
            self.cloud.released.wait(30)
        finally:
            self.cloud.changed.acquire()
        self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
