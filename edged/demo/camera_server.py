"""A simulated HTTP camera: Hikvision snapshot paths behind Digest authentication.

    python -m edged.demo.camera_server --config camera.toml

    listen = "127.0.0.1"
    port = 0                       # 0: a free one
    username = "edged"
    password = "..."
    control = "camera.sock"        # unix socket for commands
    seed = 1
    berths = ["1001", "1002", "1003", "1004"]     # along the kerb
    [[channel]]
    number = 101                   # GET /ISAPI/Streaming/channels/101/picture
    berths = ["1001", "1002"]      # those in the middle of its picture
    is_day = true

Once it serves, one line goes to stdout: {"ready": true, "port": ..., "polygons": {"1001": [[x, y], ...]}}.
Commands are JSON objects, one a line, as the bus simulator takes them:

    {"do": "arrive", "berth_no": "1001", "plate": "京A12345"}
    {"do": "arrive", "berth_no": "1001", "photo": "/path/picture.jpg"}    shown as it is
    {"do": "leave", "berth_no": "1001"}
    {"do": "faults", "answer": "401"}      401, 404, 500, html, cut_off, silent, frozen; "" mends it
"""

import argparse
import json
import re
import signal
import socketserver
import sys
import threading
import tomllib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edged.demo.digest import DigestGate
from edged.demo.stage import Channel, Stage, StageError

_PATH = re.compile(r"/ISAPI/Streaming/channels/(\d+)/picture")
_REALM = "IP Camera(Demo)"
_PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
_FAULTS = ("", "401", "404", "500", "html", "cut_off", "silent", "frozen")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraServerSettings:
    """One simulated camera server; see the module's docstring."""

    listen: str
    port: int
    username: str
    password: str
    control: Path
    seed: int
    berths: tuple[str, ...]
    channels: tuple[Channel, ...]


def load_camera_server(path: Path) -> CameraServerSettings:
    """Read the file; KeyError and ValueError say what is missing or wrong."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return CameraServerSettings(
        listen=values.get("listen", "127.0.0.1"),
        port=values.get("port", 0),
        username=values["username"],
        password=values["password"],
        control=Path(values["control"]),
        seed=values.get("seed", 1),
        berths=tuple(values["berths"]),
        channels=tuple(
            Channel(number=one["number"], berths=tuple(one["berths"]), is_day=one.get("is_day", True))
            for one in values["channel"]
        ),
    )


class CameraServer(ThreadingHTTPServer):
    """Serves the stage's channels until `shutdown`."""

    daemon_threads = True

    def __init__(self, settings: CameraServerSettings, stage: Stage) -> None:
        super().__init__((settings.listen, settings.port), _CameraHandler)
        self.gate = DigestGate(username=settings.username, password=settings.password, realm=_REALM)
        self.stage = stage
        self.fault = ""
        self.shown: dict[int, bytes] = {}  # by channel: the last picture
        self.ended = threading.Event()


class _CameraHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CameraServer

    def do_GET(self) -> None:
        server = self.server
        admitted = server.gate.admits("GET", self.headers.get("Authorization"))
        if not admitted or server.fault == "401":
            self._send(401, b"", "text/html", ("WWW-Authenticate", server.gate.challenge()))
            return
        asked = _PATH.fullmatch(self.path)
        if server.fault == "silent":
            server.ended.wait(60)
            self.close_connection = True
        elif server.fault in ("404", "500"):
            self._send(int(server.fault), b"", "text/html")
        elif server.fault == "html":
            self._send(200, _PAGE, "text/html")
        elif asked is None:
            self._send(404, b"", "text/html")
        else:
            self._send_picture(int(asked.group(1)))

    def _send_picture(self, number: int) -> None:
        try:
            jpeg = self.server.stage.jpeg(number)
        except KeyError:
            self._send(404, b"", "text/html")
            return
        if self.server.fault == "frozen":  # as an encoder that hangs: the last picture, again and again
            jpeg = self.server.shown.get(number, jpeg)
        self.server.shown[number] = jpeg
        cut = len(jpeg) // 2 if self.server.fault == "cut_off" else len(jpeg)
        self._send(200, jpeg[:cut], "image/jpeg")

    def _send(self, status: int, body: bytes, content_type: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", content_type), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Control(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    camera: CameraServer


class _ControlHandler(socketserver.StreamRequestHandler):
    server: _Control

    def handle(self) -> None:
        for line in self.rfile:
            try:
                command = json.loads(line)
                _carry_out(self.server.camera, command)
                answer: dict[str, Any] = {"ok": True}
            except (StageError, ValueError, TypeError, KeyError) as exc:
                answer = {"ok": False, "error": f"{type(exc).__name__}: {exc}"}
            self.wfile.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")


def _carry_out(camera: CameraServer, command: dict[str, Any]) -> None:
    match command["do"]:
        case "arrive":
            camera.stage.arrive(command["berth_no"], plate=command.get("plate"), photo=command.get("photo"))
        case "leave":
            camera.stage.leave(command["berth_no"])
        case "faults" if command["answer"] in _FAULTS:
            camera.fault = command["answer"]
        case unknown:
            raise StageError(f"{unknown!r}: write arrive, leave, or faults with one of {_FAULTS}")


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="edged.demo.camera_server", description="Simulated HTTP camera.")
    parser.add_argument("--config", type=Path, required=True)
    path = parser.parse_args().config
    try:
        settings = load_camera_server(path)
    except (OSError, KeyError, ValueError) as exc:
        print(f"{path}: {type(exc).__name__}: {exc}", file=sys.stderr)
        return 2
    stage = Stage(settings.berths, settings.channels, seed=settings.seed)
    stop = threading.Event()  # from here on there is something to end in order; drawing the street just ends
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings.control.unlink(missing_ok=True)
    with CameraServer(settings, stage) as camera, _Control(str(settings.control), _ControlHandler) as control:
        control.camera = camera
        threads = [threading.Thread(target=one.serve_forever, args=(0.1,)) for one in (camera, control)]
        for thread in threads:
            thread.start()
        polygons = {berth_no: list(outline) for berth_no, outline in stage.polygons.items()}
        print(json.dumps({"ready": True, "port": camera.server_port, "polygons": polygons}), flush=True)
        stop.wait()
        camera.ended.set()
        for one in (camera, control):
            one.shutdown()
        for thread in threads:
            thread.join()
    settings.control.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
