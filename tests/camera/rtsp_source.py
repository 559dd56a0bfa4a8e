"""A small RTSP server (RFC 2326) that streams one JPEG over interleaved TCP (RFC 2435), with faults."""

import socket
import socketserver
import struct
import threading

_STEP = 3000  # 90 kHz ticks a frame: 30 frames/s
_MOST_BYTES = 1400


class RtspSource:
    """`with RtspSource(jpeg) as source:`; `silent` streams nothing, `frames` hangs after that many."""

    def __init__(self, jpeg: bytes, *, silent: bool = False, frames: int | None = None) -> None:
        self.tables, self.scan, self.size = _taken_apart(jpeg)
        self.silent, self.frames = silent, frames
        self.ended = threading.Event()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session)
        self._server.source = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._server.server_address[1]}/Streaming/Channels/101"

    def __enter__(self) -> "RtspSource":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        source: RtspSource = self.server.source  # type: ignore[attr-defined]
        url = source.url
        sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\n"
        sdp += f"a=control:{url}/1\r\n"
        while True:
            request = self._request()
            if request is None:
                return
            method, number = request
            if method == "OPTIONS":
                self._answer(number, "Public: DESCRIBE, SETUP, PLAY, TEARDOWN, OPTIONS")
            elif method == "DESCRIBE":
                self._answer(number, "Content-Type: application/sdp", f"Content-Base: {url}/", body=sdp)
            elif method == "SETUP":
                self._answer(number, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")
            elif method == "PLAY":
                self._answer(number, "Session: 1")
                self._stream(source)
                return
            else:
                self._answer(number)

    def _request(self) -> tuple[str, str] | None:
        lines: list[str] = []
        while line := self.rfile.readline().decode():
            if line == "\r\n":
                break
            lines.append(line)
        if not lines:
            return None
        number = next(line.split(":")[1].strip() for line in lines if line.lower().startswith("cseq"))
        return lines[0].split()[0], number

    def _answer(self, number: str, *headers: str, body: str = "") -> None:
        head = "".join(f"{header}\r\n" for header in headers)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{head}{length}\r\n{body}".encode())

    def _stream(self, source: RtspSource) -> None:
        sequence = sent = 0
        try:
            while not source.ended.wait(1 / 30):
                if source.silent or (source.frames is not None and sent >= source.frames):
                    continue
                for packet in _packets(source, sequence, sent * _STEP):
                    self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                    sequence += 1
                sent += 1
        except OSError:
            pass  # the camera client has enough


def _packets(source: RtspSource, sequence: int, ticks: int) -> list[bytes]:
    packets = []
    width, height = source.size
    for offset in range(0, len(source.scan), _MOST_BYTES):
        piece = source.scan[offset : offset + _MOST_BYTES]
        last = offset + _MOST_BYTES >= len(source.scan)
        number = (sequence + len(packets)) & 0xFFFF
        rtp = struct.pack(">BBHII", 0x80, 26 | (0x80 if last else 0), number, ticks, 7)
        # type 1 is 4:2:0; 255: the quantization tables come along
        jpeg = struct.pack(">I", offset) + bytes((1, 255, width // 8, height // 8))
        if offset == 0:
            jpeg += struct.pack(">BBH", 0, 0, len(source.tables)) + source.tables
        packets.append(rtp + jpeg + piece)
    return packets


def _taken_apart(jpeg: bytes) -> tuple[bytes, bytes, tuple[int, int]]:
    """Return quantization tables, entropy-coded scan and (width, height) of a baseline 4:2:0 JPEG."""
    tables, at, size = b"", 2, (0, 0)
    while True:
        marker, length = jpeg[at + 1], struct.unpack_from(">H", jpeg, at + 2)[0]
        segment = jpeg[at + 4 : at + 2 + length]
        if marker == 0xDB:
            while segment:
                tables, segment = tables + segment[1:65], segment[65:]
        elif marker == 0xC0:
            height, width = struct.unpack_from(">HH", segment, 1)
            size = (width, height)
        elif marker == 0xDA:
            return tables, jpeg[at + 2 + length : -2], size
        at += 2 + length


def free_of_listeners() -> str:
    """Return an rtsp address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"rtsp://127.0.0.1:{probe.getsockname()[1]}/nothing"
