"""The credentials file, and how it comes to be."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edged.settings import UplinkSettings
from edged.uplink import (
    Credentials,
    CredentialsError,
    NotEnrolledError,
    UplinkError,
    enrol,
    load_credentials,
    write_credentials,
)
from edged.wire import EnrolmentRequest


@contextmanager
def enrolling_cloud(
    status: int = 200, device_id: str = "pole-0001", token: str = "token-from-cloud"
) -> Iterator[tuple[str, list[bytes]]]:
    """Serve `POST /v1/enrolments`; yields the URL and the bodies received."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"device_id": device_id, "site_id": "demo", "token": token}
            body = json.dumps(answer if status == 200 else {"title": "unknown or used code"}).encode()
            self.send_response(status if self.path == "/v1/enrolments" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings(url: str, path: Path) -> UplinkSettings:
    return UplinkSettings(cloud_url=url, credentials=path, timeout_s=5)


def enrolled(url: str, path: Path, *, replace: bool = False, snapshot_url: str | None = None) -> Credentials:
    return enrol(
        settings(url, path),
        code="CODE-1234-5678",
        device_id="pole-0001",
        berths=["1001", "1002"],
        snapshot_url=snapshot_url,
        replace=replace,
    )


def test_a_code_becomes_credentials_that_only_the_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "credentials.json"
    with enrolling_cloud() as (url, received):
        made = enrolled(url, path, snapshot_url="http://192.0.2.1:8100")
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load_credentials(path)
    assert (loaded.token, loaded.snapshot_token) == ("token-from-cloud", made.snapshot_token)
    request = EnrolmentRequest.model_validate_json(received[0])
    assert request.berths == ("1001", "1002")
    assert request.snapshot_token == loaded.snapshot_token
    signature = loaded.private_key.sign(b"text")
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(request.public_key)).verify(signature, b"text")
    assert loaded.private_key.private_bytes_raw().hex().encode() not in received[0]


def test_behind_nat_the_cloud_gets_no_token_to_pull_with(tmp_path: Path) -> None:
    with enrolling_cloud() as (url, received):
        enrolled(url, tmp_path / "credentials.json")
    assert EnrolmentRequest.model_validate_json(received[0]).snapshot_token is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410])
def test_a_used_code_says_so_and_changes_nothing(status: int, tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    with enrolling_cloud(status) as (url, _), pytest.raises(UplinkError, match="a code works once"):
        enrolled(url, path)
    assert list(tmp_path.iterdir()) == []


def test_an_enrolled_box_is_not_enrolled_again_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    with enrolling_cloud() as (url, received):
        first = enrolled(url, path)
        with pytest.raises(CredentialsError, match="add --replace"):
            enrolled(url, path)
        assert len(received) == 1
        assert enrolled(url, path, replace=True).snapshot_token != first.snapshot_token


@pytest.mark.parametrize("code", ["", "x", "x" * 65])
def test_half_a_code_is_told_before_the_cloud_is_asked(code: str, tmp_path: Path) -> None:
    with pytest.raises(UplinkError, match="copy the whole one-time code"):
        enrol(
            UplinkSettings(cloud_url="http://127.0.0.1:9", credentials=tmp_path / "credentials.json"),
            code=code,
            device_id="pole-0001",
            berths=["1001"],
            snapshot_url=None,
        )
    assert not list(tmp_path.iterdir())


def test_a_code_of_another_box_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    with enrolling_cloud(device_id="pole-0002") as (url, _), pytest.raises(UplinkError, match="pole-0002"):
        enrolled(url, path)
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_found_before_the_code_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with enrolling_cloud() as (url, received), pytest.raises(CredentialsError, match="cannot be written"):
        enrolled(url, tmp_path / "file" / "credentials.json")
    assert received == []


def test_an_unreachable_cloud_leaves_the_old_credentials(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    with enrolling_cloud() as (url, _):
        first = enrolled(url, path)
    with pytest.raises(UplinkError, match="refused the connection"):
        enrolled(url, path, replace=True)
    assert load_credentials(path).token == first.token


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "credentials.json"
    with enrolling_cloud() as (url, _):
        enrolled(url, path)
    return path


def test_a_box_without_credentials_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolledError, match=r"not enrolled; .*edged enrol"):
        load_credentials(tmp_path / "credentials.json")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o660])
def test_credentials_that_others_may_read_are_not_used(mode: int, written: Path) -> None:
    written.chmod(mode)
    with pytest.raises(CredentialsError, match=r"other users .*chmod 600"):
        load_credentials(written)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not JSON"),
        (b"\xff\x00", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "device_id is missing"),
        (b'{"device_id": "p", "token": "a b"}', "token is missing or malformed"),
        (b'{"device_id": "p", "token": "t", "private_key": "zz", "snapshot_token": "s"}', "32 bytes in hex"),
        (
            b'{"device_id": "p", "token": "t", "private_key": "abcd", "snapshot_token": "s"}',
            "32 bytes in hex",
        ),
        (b'{"device_id": "p", "token": "t\\r\\nX: y", "private_key": "ab", "snapshot_token": "s"}', "token"),
    ],
)
def test_damaged_credentials_are_named(content: bytes, cause: str, written: Path) -> None:
    written.write_bytes(content)
    with pytest.raises(CredentialsError, match=cause):
        load_credentials(written)


def test_writing_replaces_whole_or_not_at_all(written: Path) -> None:
    old = load_credentials(written)
    write_credentials(written, old)
    assert list(written.parent.iterdir()) == [written]
    assert load_credentials(written).token == old.token


def test_a_token_that_no_header_carries_is_not_kept(tmp_path: Path) -> None:
    with (
        enrolling_cloud(token="令牌") as (url, _),
        pytest.raises(UplinkError, match="not the cloud's answer"),
    ):
        enrolled(url, tmp_path / "credentials.json")
    assert not (tmp_path / "credentials.json").exists()
