"""Whatever a peer does, each caller ends in time, with its own error, and leaves nothing behind."""

import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from callers import CALLERS, Caller
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

from tests.waiting import until

TOKEN = "token"
SLACK_S = 5.0  # a loaded machine; every hostile act goes on for as long as it is listened to

HOSTILE: dict[str, Act] = {
    "silence": silence,
    "slow head": slowly(b"HTTP/1.1 200 OK\r\nX-Padding: "),
    "slow body": slowly(LONG_BODY),
    "slow chunk": slowly(CHUNKED + b"fffffff\r\n"),
    "cut body": sends(LONG_BODY + b"{"),
    "cut chunk": sends(CHUNKED + b"100\r\n{"),
    "bad gzip": sends(whole(b"this is not gzip", "Content-Encoding: gzip")),
    "bad chunk": sends(CHUNKED + b"this is no length\r\n"),
    "empty answer": sends(b""),
    "garbage status line": sends(b"\x00\x16RTSP/1.0 \xff\xfe\r\n\r\n"),
    "status of four digits": sends(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "head of one long line": endlessly(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "too many headers": endlessly(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n" * 100),
    "reset": reset,
    "redirect to nowhere": sends(whole(b"", "Location: http://[", status="302 Found")),
    "login that nobody can answer": sends(
        whole(b"", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth-int"', status="401 No")
    ),
    "login without a nonce": sends(whole(b"", "WWW-Authenticate: Digest realm=r", status="401 No")),
}
# Endless as fast as the caller takes it: the limit in bytes ends it.
LARGE: dict[str, Act] = {
    "endless body": endlessly(LONG_BODY, bytes(65536)),
    "endless chunks": endlessly(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"),
    "body until the connection ends": endlessly(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
    "gzip bomb": sends(gzip_bomb()),
    "refusal without end": endlessly(
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="r"\r\nContent-Length: 1500000000\r\n\r\n',
        bytes(65536),
    ),
}

callers = pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Compare threads and open sockets before and after the block, without the garbage collector's aid.

    A service that other tests share may run in this process: its threads and sockets come and go.
    """
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    until(lambda: set(threading.enumerate()) <= threads, "no thread is left behind")
    until(lambda: open_sockets() <= sockets, "no socket is left behind")


def open_sockets() -> set[str]:
    links = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            links.add(str(entry.readlink()))
    return {link for link in links if link.startswith("socket:")}


def fails_as_declared(caller: Caller, url: str, folder: Path, token: str = TOKEN) -> Exception:
    began_s = time.monotonic()
    with pytest.raises(caller.declared) as caught:
        caller.ask(url, token, folder)
    assert time.monotonic() - began_s < caller.deadline_s + SLACK_S
    return caught.value


@callers
@pytest.mark.parametrize("act", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_the_callers_own_error_in_time(caller: Caller, act: Act, tmp_path: Path) -> None:
    with nothing_left_behind(), HostilePeer(act) as peer:
        error = fails_as_declared(caller, peer.url, tmp_path)
    assert TOKEN not in str(error)


@callers
@pytest.mark.parametrize("act", LARGE.values(), ids=LARGE)
def test_an_answer_without_end_never_fills_the_memory(caller: Caller, act: Act, tmp_path: Path) -> None:
    with nothing_left_behind(), HostilePeer(act) as peer:
        tracemalloc.start()
        try:
            fails_as_declared(caller, peer.url, tmp_path)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 3 * caller.max_bytes + 8 * 2**20


@callers
def test_a_redirect_to_another_host_is_not_followed(caller: Caller, tmp_path: Path) -> None:
    with HostilePeer(sends(whole(b"{}"))) as other:
        redirect = whole(b"", f"Location: http://localhost:{other.port}/", status="302 Found")
        with nothing_left_behind(), HostilePeer(sends(redirect)) as peer:
            fails_as_declared(caller, peer.url, tmp_path)
    assert other.connections == 0


@callers
def test_an_unknown_certificate_is_refused(
    caller: Caller, stranger_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    with nothing_left_behind(), HostilePeer(sends(whole(b"{}")), stranger_tls) as peer:
        fails_as_declared(caller, peer.url, tmp_path)


@callers
def test_a_server_that_never_begins_tls_is_given_up(caller: Caller, tmp_path: Path) -> None:
    with nothing_left_behind(), HostilePeer(silence) as peer:
        fails_as_declared(caller, peer.url.replace("http:", "https:"), tmp_path)


@callers
@pytest.mark.parametrize(
    "url", [f"http://{'a' * 300}.example", f"http://{'a.' * 150}example", "http://berth..example"]
)
def test_a_host_that_cannot_be_a_name_is_an_error(caller: Caller, url: str, tmp_path: Path) -> None:
    with nothing_left_behind():
        fails_as_declared(caller, url, tmp_path)


@callers
def test_a_closed_port_is_an_error(caller: Caller, tmp_path: Path) -> None:
    with HostilePeer(silence) as peer:
        url = peer.url
    with nothing_left_behind():
        fails_as_declared(caller, url, tmp_path)


@callers
@pytest.mark.parametrize("token", ["令牌", "\u2028", "two words\r\nX-Injected: 1"])
def test_a_token_that_no_header_carries_is_an_error(caller: Caller, token: str, tmp_path: Path) -> None:
    login = whole(b"", 'WWW-Authenticate: Basic realm="r"', status="401 No")
    with nothing_left_behind(), HostilePeer(sends(login)) as peer:
        error = fails_as_declared(caller, peer.url, tmp_path, token)
    assert token not in str(error)
