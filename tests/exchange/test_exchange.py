"""The exchange itself: which fault each trouble is, and what a good answer costs."""

import errno
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from hostile_peer import (
    CHUNKED,
    LONG_BODY,
    Act,
    HostilePeer,
    endlessly,
    gzip_bomb,
    reset,
    sends,
    silence,
    slowly,
    whole,
)

from edged.exchange import Bounds, ExchangeError, ExchangeFault, HttpClient
from edged.exchange.names import addresses_of
from edged.exchange.sockets import TimedSocket

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
AMPLE = Bounds(deadline_s=30, max_bytes=2**20)
SHORT = Bounds(deadline_s=0.5, wait_s=0.2, max_bytes=2**20)


def fault_at(url: str, bounds: Bounds = AMPLE, token: str | None = None, **client: object) -> ExchangeError:
    with (
        HttpClient("test", **client) as asking,  # type: ignore[arg-type]
        pytest.raises(ExchangeError) as caught,
    ):
        asking.ask("GET", url, bounds=bounds, token=token, redirects=1)
    return caught.value


@pytest.mark.parametrize(
    ("act", "bounds", "fault", "words"),
    [
        (silence, SHORT, ExchangeFault.TIMEOUT, "no answer within 0.2 s"),
        (slowly(b"HTTP/1.1 200 OK\r\nX: "), SHORT, ExchangeFault.TIMEOUT, "did not end within 0.5 s"),
        (slowly(LONG_BODY), SHORT, ExchangeFault.TIMEOUT, "did not end within 0.5 s"),
        (endlessly(b"", CONTINUE), SHORT, ExchangeFault.TIMEOUT, "did not end within 0.5 s"),
        (endlessly(CHUNKED + b"0\r\n", b"X: y\r\n"), SHORT, ExchangeFault.TIMEOUT, "did not end within"),
        (sends(LONG_BODY + b"{"), AMPLE, ExchangeFault.CUT_OFF, "in the middle of the answer"),
        (sends(CHUNKED + b"100\r\n{"), AMPLE, ExchangeFault.CUT_OFF, "in the middle of the answer"),
        (sends(whole(b"no", "Content-Encoding: gzip")), AMPLE, ExchangeFault.BAD_ANSWER, "decompressed"),
        (sends(CHUNKED + b"2\r\n{}\r\n"), AMPLE, ExchangeFault.CUT_OFF, "in the middle of the answer"),
        (sends(CHUNKED + b"no length\r\n"), AMPLE, ExchangeFault.CUT_OFF, "in the middle of the answer"),
        (sends(b"RTSP/1.0 400 Bad\r\n\r\n"), AMPLE, ExchangeFault.BAD_ANSWER, "not HTTP (BadStatusLine)"),
        (endlessly(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), AMPLE, ExchangeFault.BAD_ANSWER, "not HTTP"),
        (sends(b""), AMPLE, ExchangeFault.BROKEN_OFF, "broke off the connection"),
        (reset, AMPLE, ExchangeFault.BROKEN_OFF, "(Connection reset by peer)"),
        (endlessly(LONG_BODY, bytes(65536)), AMPLE, ExchangeFault.TOO_LARGE, "above 1048576 bytes"),
        (sends(gzip_bomb()), AMPLE, ExchangeFault.TOO_LARGE, "above 1048576 bytes"),
        (
            sends(whole(b"", "Location: http://192.0.2.7/", status="302 Found")),
            AMPLE,
            ExchangeFault.REDIRECTED,
            "to another host, 192.0.2.7",
        ),
        (
            sends(whole(b"", "Location: /again", status="302 Found")),
            AMPLE,
            ExchangeFault.REDIRECTED,
            "more than 1 times",
        ),
    ],
)
def test_each_trouble_is_its_own_fault_in_plain_words(
    act: Act, bounds: Bounds, fault: ExchangeFault, words: str
) -> None:
    with HostilePeer(act) as peer:
        error = fault_at(peer.url, bounds)
    assert (error.fault, words in error.cause) == (fault, True), error.cause


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://berth.invalid/", ExchangeFault.UNKNOWN_HOST),
        (f"http://{'a' * 300}.example/", ExchangeFault.BAD_ADDRESS),
        ("http://127.0.0.1:99999/", ExchangeFault.BAD_ADDRESS),
        ("http://[::1/", ExchangeFault.BAD_ADDRESS),
        ("gopher://127.0.0.1/", ExchangeFault.BAD_ADDRESS),
        ("no address", ExchangeFault.BAD_ADDRESS),
    ],
)
def test_an_address_that_cannot_be_asked_is_named_so(url: str, fault: ExchangeFault) -> None:
    assert fault_at(url).fault is fault


def test_a_certificate_must_be_trusted_and_of_this_host(
    certificate: Path, stranger_tls: ssl.SSLContext
) -> None:
    with HostilePeer(sends(whole(b"{}")), stranger_tls) as peer:
        unknown = fault_at(peer.url)
        other_name = fault_at(peer.url.replace("127.0.0.1", "localhost"), ca_file=certificate)
        with HttpClient("test", ca_file=certificate) as trusting:
            assert trusting.ask("GET", peer.url, bounds=AMPLE).body == b"{}"
    assert (unknown.fault, unknown.cause) == (ExchangeFault.TLS, "TLS was refused (self-signed certificate)")
    assert other_name.fault is ExchangeFault.TLS
    assert "not valid for 'localhost'" in other_name.cause


def test_a_redirect_never_leaves_tls(certificate: Path, stranger_tls: ssl.SSLContext) -> None:
    away = whole(b"", "Location: http://127.0.0.1/picture", status="302 Found")
    with (
        HostilePeer(sends(away), stranger_tls) as peer,
        HttpClient("test", ca_file=certificate) as client,
        pytest.raises(ExchangeError, match="without TLS") as caught,
    ):
        client.ask("GET", peer.url, bounds=AMPLE, redirects=1)
    assert caught.value.fault is ExchangeFault.REDIRECTED


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    error = fault_at("https://127.0.0.1:9/", ca_file=tmp_path / "none.pem")
    assert error.fault is ExchangeFault.TLS
    assert "none.pem" in error.cause


@pytest.mark.parametrize("token", ["令牌", "", "two words", "a\r\nX-Injected: 1"])
def test_a_token_that_no_header_carries_is_not_sent(token: str) -> None:
    with HostilePeer(sends(whole(b"{}"))) as peer:
        error = fault_at(peer.url, token=token)
    assert error.fault is ExchangeFault.UNSENDABLE
    assert peer.connections == 0


@pytest.mark.parametrize("answer", [whole(b"{}"), CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", whole(b"")])
def test_requests_share_one_connection(answer: bytes) -> None:
    with HostilePeer(sends(answer, then_close=False)) as peer, HttpClient("test") as client:
        for _ in range(3):
            assert client.ask("GET", peer.url, bounds=AMPLE).status == 200
        assert peer.connections == 1


def test_a_failed_exchange_does_not_harm_the_next_one() -> None:
    answers = iter([whole(bytes(2**21)), whole(b"{}")])

    def act(peer: HostilePeer, connection: socket.socket) -> None:
        connection.sendall(next(answers))

    with HostilePeer(act) as peer, HttpClient("test") as client:
        with pytest.raises(ExchangeError, match="above"):
            client.ask("GET", peer.url, bounds=AMPLE)
        assert client.ask("GET", peer.url, bounds=AMPLE).body == b"{}"


def test_sending_may_take_longer_than_one_step_may_wait() -> None:
    """A picture on a slow line takes longer than the timeout, and goes on all the time."""
    pause = threading.Event()
    size_bytes = 12 * 2**20  # far more than the system's buffers hold

    def receive_slowly() -> None:
        connection, _ = listener.accept()
        with connection:
            received = 0
            while received < size_bytes:
                received += len(connection.recv(2**18, socket.MSG_WAITALL))
                pause.wait(0.03)
            connection.sendall(whole(b"{}"))

    bounds = Bounds(deadline_s=30, wait_s=1, max_bytes=2**20)
    with socket.create_server(("127.0.0.1", 0)) as listener, HttpClient("test") as client:
        receiver = threading.Thread(target=receive_slowly)
        receiver.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        began_s = time.monotonic()
        assert client.ask("PUT", url, bounds=bounds, body=bytes(size_bytes)).status == 200
        assert time.monotonic() - began_s > 1
        receiver.join()


def test_a_name_server_that_never_answers_costs_one_thread_a_name() -> None:
    answers = threading.Event()

    def resolver(host: str, port: int, *, type: int, flags: int = 0) -> list[tuple[object, ...]]:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not an IP address")
        answers.wait()
        return [(socket.AF_INET, type, 6, "", ("192.0.2.1", port))]

    began_s = time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            addresses_of("silent.example", 80, 0.05, resolver)
    assert time.monotonic() - began_s < 5
    assert [t.name for t in threading.enumerate()].count("lookup silent.example") == 1
    answers.set()
    assert addresses_of("silent.example", 80, 5, resolver)[0][4] == ("192.0.2.1", 80)


def test_a_peer_that_resets_the_connection_while_it_is_made_is_an_error_of_the_exchange(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loaded peer does so once in thousands of connects; urllib3 would ignore it and fail on no socket."""

    def connect(_socket: socket.socket, _address: object) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(TimedSocket, "connect", connect)
    assert fault_at("http://127.0.0.1:9").fault is ExchangeFault.BROKEN_OFF
