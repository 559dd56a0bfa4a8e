"""A real HTTP camera with a fault plan, on a free port."""

import base64
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edged.camera import Camera
from edged.demo.digest import DigestGate

PATH = "/ISAPI/Streaming/channels/101/picture"
USER, PASSWORD = "admin", "Pole-1234"

OpenCamera = Callable[..., Camera]
Act = Callable[["_Handler"], None]


@dataclass
class FaultPlan:
    """`acts` answer the authorised requests one by one; when they are used up, the picture is sent."""

    acts: deque[Act] = field(default_factory=deque)
    auth: str = "digest"  # digest | sha256+md5 | basic | basic+digest | none
    close_on_401: bool = False
    drop_after_answer: bool = False


class HostileCamera:
    """`with HostileCamera(jpeg) as camera:` serves until the block ends."""

    def __init__(self, jpeg: bytes, plan: FaultPlan | None = None) -> None:
        self.jpeg = jpeg
        self.plan = plan or FaultPlan()
        self.requests: list[tuple[float, str, str]] = []  # (monotonic s, method, path), authorised ones
        self.logins_refused = 0
        self.ended = threading.Event()
        self.gates = [DigestGate(username=USER, password=PASSWORD, realm="IP Camera(C1234)", algorithm="MD5")]
        if self.plan.auth == "sha256+md5":
            self.gates.append(
                DigestGate(username=USER, password=PASSWORD, realm="IP Camera", algorithm="SHA-256")
            )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.camera = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return self.root + PATH

    def __enter__(self) -> "HostileCamera":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def camera(self) -> HostileCamera:
        camera: HostileCamera = self.server.camera  # type: ignore[attr-defined]
        return camera

    def do_GET(self) -> None:
        plan = self.camera.plan
        if not self._admitted():
            self._challenge()
            return
        self.camera.requests.append((time.monotonic(), self.command, self.path))
        act = plan.acts.popleft() if plan.acts else None
        if act is not None:
            act(self)
        elif self.path in (PATH, "/moved"):
            self.send(200, self.camera.jpeg, "image/jpeg")
        else:
            self.send(404, b"", "text/plain")
        if plan.drop_after_answer:
            self.close_connection = True  # without saying so in a header

    def do_PUT(self) -> None:
        if not self._admitted():
            self._challenge()
            return
        self.camera.requests.append((time.monotonic(), self.command, self.path))
        self.send(200, b"", "application/xml")

    def send(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _admitted(self) -> bool:
        header = self.headers.get("Authorization")
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        scheme = self.camera.plan.auth
        if scheme == "none" or ("basic" in scheme and header == basic):
            return True
        admitted = any(gate.admits(self.command, header) for gate in self.camera.gates)
        if header is not None and not admitted:
            self.camera.logins_refused += 1
        return admitted and scheme != "basic"

    def _challenge(self) -> None:
        scheme = self.camera.plan.auth
        self.send_response(401)
        digests = [gate.challenge() for gate in self.camera.gates]
        if scheme == "basic":
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        elif scheme == "basic+digest":
            self.send_header("WWW-Authenticate", f'Basic realm="camera", {digests[0]}')
        else:
            for digest in digests:
                self.send_header("WWW-Authenticate", digest)
        if self.camera.plan.close_on_401:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def answer(status: int, body: bytes = b"", content_type: str = "text/plain", **headers: str) -> Act:
    """A whole answer of that status."""
    return lambda handler: handler.send(status, body, content_type, **headers)


def cut_off_behind(sent: int) -> Act:
    """Promise the whole picture, send `sent` bytes and hang up."""

    def act(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(handler.camera.jpeg)))
        handler.end_headers()
        handler.wfile.write(handler.camera.jpeg[:sent])
        handler.close_connection = True

    return act


def silence(handler: _Handler) -> None:
    """Take the request and never answer."""
    handler.camera.ended.wait()
    handler.close_connection = True


def hang_up(handler: _Handler) -> None:
    """Take the request and close the connection."""
    handler.close_connection = True


def drip(handler: _Handler) -> None:
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(handler.camera.jpeg)))
    handler.end_headers()
    for byte in handler.camera.jpeg:
        try:
            handler.wfile.write(bytes((byte,)))
        except OSError:
            break
        if handler.camera.ended.wait(0.05):
            break
    handler.close_connection = True


def drip_head(handler: _Handler) -> None:
    """Send a byte of a header now and then, for ever: no single wait is long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    while not handler.camera.ended.wait(0.05):
        try:
            handler.wfile.write(b"x")
        except OSError:
            break
    handler.close_connection = True


def endless_stream(handler: _Handler) -> None:
    """Send MJPEG as browsers know it."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    handler.close_connection = True
