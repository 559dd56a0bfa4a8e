"""The local API over real HTTP."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests
from served_api import TOKEN, Api

from edged.demo.street import free_port
from edged.settings import SnapshotApiSettings
from edged.snapshot_api import ListenError, listening_socket
from edged.wire import Snapshot

NONCE = "nonce-12345678"
PROTECTED = [
    "/v1/berths",
    f"/v1/berths/1001/snapshot?nonce={NONCE}",
    f"/v1/evidence/{'a' * 64}.jpg",
    "/v1/health",
]


def problem(answer: requests.Response, status: int) -> dict[str, str]:
    """Check that `answer` is an RFC 9457 problem with a remedy, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, str] = answer.json()
    assert body["type"].startswith("urn:edged:problem:")
    assert body["title"]
    assert body["remedy"]
    return body


def test_berths_are_listed(api: Api) -> None:
    assert api.get("/v1/berths").json() == [
        {"berth_no": "1001", "state": "occupied", "visit_id": "visit-0001"}
    ]


def test_a_snapshot_comes_back_with_the_askers_nonce(api: Api) -> None:
    answer = api.get(f"/v1/berths/1001/snapshot?nonce={NONCE}")
    assert Snapshot.model_validate_json(answer.content).nonce == NONCE


def test_a_capture_makes_a_new_snapshot(api: Api) -> None:
    api.pole.camera_free.set()
    answer = api.call("POST", "/v1/berths/1001/captures", json={"nonce": NONCE})
    assert Snapshot.model_validate_json(answer.content).berth_no == "1001"


@pytest.mark.parametrize("path", PROTECTED)
def test_without_the_token_nothing_is_told(path: str, api: Api) -> None:
    for token in (None, "", "wrong", TOKEN + "x", TOKEN[:-1], "тайна"):
        answer = api.get(path, token)
        assert problem(answer, 401)["type"] == "urn:edged:problem:unauthorised"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_before_enrolment_no_token_opens(api: Api) -> None:
    for nothing in (None, ""):
        api.tokens[0] = nothing
        assert problem(api.get("/v1/berths", ""), 503)["type"] == "urn:edged:problem:not-enrolled"


def test_a_foreign_berth_is_unknown(api: Api) -> None:
    answer = api.get(f"/v1/berths/9999/snapshot?nonce={NONCE}")
    assert problem(answer, 404)["type"] == "urn:edged:problem:unknown-berth"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/berths/1001/snapshot",
        "/v1/berths/1001/snapshot?nonce=short",
        f"/v1/berths/1001/snapshot?nonce={'n' * 65}",
        f"/v1/berths/{'1' * 33}/snapshot?nonce={NONCE}",
        f"/v1/berths/%27%20OR%201=1/snapshot?nonce={NONCE}",
        "/v1/evidence/abc.jpg",
        f"/v1/evidence/{'A' * 64}.jpg",
    ],
)
def test_malformed_parameters_are_named(path: str, api: Api) -> None:
    assert problem(api.get(path), 422)["type"] == "urn:edged:problem:malformed"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"nonce": 5}', b'{"nonce": "short"}', b"\xff\xfe"])
def test_malformed_capture_orders_are_refused(body: bytes, api: Api) -> None:
    problem(api.call("POST", "/v1/berths/1001/captures", data=body), 422)


def test_a_body_that_is_no_text_is_refused(api: Api) -> None:
    answer = api.call("POST", "/v1/berths/1001/captures", data=b"\x01lN\xff\x9f")
    assert problem(answer, 400)["type"] == "urn:edged:problem:malformed"


def test_a_huge_body_is_cut_off(api: Api) -> None:
    answer = api.call("POST", "/v1/berths/1001/captures", data=b'{"nonce": "' + b"n" * 100_000 + b'"}')
    assert problem(answer, 413)["type"] == "urn:edged:problem:too-large"


def test_a_camera_that_fails_is_a_bad_gateway(api: Api) -> None:
    api.pole.camera_broken = True
    api.pole.camera_free.set()
    answer = api.call("POST", "/v1/berths/1001/captures", json={"nonce": NONCE})
    assert "camera north: no answer" in problem(answer, 502)["detail"]


def test_a_few_captures_at_once_and_no_more(api: Api) -> None:
    def capture() -> requests.Response:
        return api.call("POST", "/v1/berths/1001/captures", json={"nonce": NONCE})

    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(capture) for _ in range(3)]
        for _ in range(3):
            assert api.pole.capturing.acquire(timeout=10)
        refused = capture()
        assert problem(refused, 503)["type"] == "urn:edged:problem:busy"
        assert int(refused.headers["Retry-After"]) > 0
        assert api.get("/v1/berths").status_code == 200  # the rest is not held up
        api.pole.camera_free.set()
        assert [future.result().status_code for future in first] == [200, 200, 200]
    assert capture().status_code == 200


def test_a_picture_by_its_hash(api: Api) -> None:
    api.pole.evidence.root.mkdir()
    digest = api.pole.evidence.write(b"\xff\xd8 jpeg")
    answer = api.get(f"/v1/evidence/{digest}.jpg")
    assert answer.content == b"\xff\xd8 jpeg"
    assert answer.headers["Content-Type"] == "image/jpeg"
    missing = api.get(f"/v1/evidence/{'0' * 64}.jpg")
    assert problem(missing, 404)["type"] == "urn:edged:problem:unknown-evidence"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/evidence/../../edged.db",
        "/v1/evidence/..%2f..%2fedged.db",
        "/v1/evidence/%2e%2e/%2e%2e/etc/passwd",
        "/v1/evidence//etc/passwd.jpg",
        f"/v1/evidence/{'a' * 62}%2f..jpg",
        f"/v1/evidence/{'a' * 64}%00.jpg",
    ],
)
def test_no_path_leads_out_of_the_evidence_folder(path: str, api: Api) -> None:
    parts = urlsplit(api.url)
    # as raw bytes: an HTTP client would tidy the dots away
    with socket.create_connection((parts.hostname, parts.port), 10) as connection:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request.encode())
        status = int(connection.makefile("rb").readline().split()[1])
    assert status in (404, 422)


def test_monitoring_needs_no_token_and_learns_no_more_than_a_word(api: Api) -> None:
    answer = api.get("/healthz", None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    api.pole.status = "failed"
    answer = api.get("/healthz", None)
    assert (answer.status_code, answer.json()) == (503, {"status": "failed"})
    assert "edged_example_total 1.0" in api.get("/metrics", None).text
    assert api.get("/v1/health").json()["problems"] == ["camera north: dark; clean the lens"]


def test_unknown_paths_and_methods_are_problems_too(api: Api) -> None:
    problem(api.get("/v2/berths"), 404)
    problem(api.call("DELETE", "/v1/berths"), 405)


def test_a_bug_behind_the_api_is_answered_and_hidden(api: Api) -> None:
    api.pole.failure = RuntimeError("secret detail")
    answer = api.get("/v1/berths")
    assert problem(answer, 500)["type"] == "urn:edged:problem:internal"
    assert "secret detail" not in answer.text


def test_the_openapi_document_describes_every_answer(api: Api) -> None:
    document = api.get("/openapi.json", None).json()
    assert "Problem" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["tags"]
            assert operation["summary"]
            if path.startswith("/v1/"):
                assert {"401", "503"} <= set(operation["responses"])
                assert operation["security"] == [{"HTTPBearer": []}]
    captures = document["paths"]["/v1/berths/{berth_no}/captures"]["post"]["responses"]
    assert set(captures) == {"200", "400", "401", "404", "413", "422", "502", "503"}
    for status in ("401", "404", "422"):
        assert list(captures[status]["content"]) == ["application/problem+json"]


def test_a_port_in_use_is_named_with_a_remedy() -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(ListenError, match=rf"127.0.0.1:{port}: Address already in use; stop the program"):
            listening_socket(SnapshotApiSettings(port=port))


def test_an_address_that_is_not_this_boxs_is_named() -> None:
    with pytest.raises(ListenError, match="address of this box"):
        listening_socket(SnapshotApiSettings(listen="192.0.2.77"))


def test_stopping_ends_idle_connections(api: Api) -> None:
    with requests.Session() as session:
        session.get(f"{api.url}/healthz", timeout=5)
        # the fixture's teardown fails if the open connection holds up the stop
        assert threading.active_count() > 1
