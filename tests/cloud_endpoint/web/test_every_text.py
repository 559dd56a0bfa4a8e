"""Every text of every request: what no database holds is a problem with a field, on both databases alike."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import requests
from cloud_street import POLE_CODE, RIGHT, Street, reviewed, slug

from cloud_endpoint.access.signatures import sign

ODD = ("a\0b", "\ud800", "京\0" * 8, "x" * 5000)


def changed(body: Any) -> Iterator[tuple[str, Any]]:
    """Return the body once for each of its texts and each odd text, with the path of what was changed."""
    for path in list(_texts(body, ())):
        for odd in ODD:
            other = copy.deepcopy(body)
            at = other
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = odd
            yield ".".join(map(str, path)) + f" = {odd[:6]!a}", other


def _texts(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(part, (*path, key))


def ascii_json(body: Any) -> bytes:
    """Write the body as senders do that know nothing of surrogates."""
    return json.dumps(body, ensure_ascii=True).encode()


def post(street: Street, path: str, body: Any, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return requests.post(street.url + path, data=ascii_json(body), headers=headers, timeout=20)


def test_an_odd_text_anywhere_in_a_request_is_a_problem_of_its_field(street: Street) -> None:
    _, order_id, review = reviewed(street)
    place = {"zone": "north", "presence": None}
    requests_with_texts: list[tuple[str, Any, str]] = [
        ("/v1/orders", {"place": {"pole_code": POLE_CODE}, "account_id": "a", "client_id": "p"}, "terminal"),
        ("/v1/orders", {"place": {"zone": place["zone"]}, "account_id": "a"}, "terminal"),
        (
            f"/v1/orders/{order_id}/submit",
            {"berth_token": "t" * 12, "plate": RIGHT, "minutes": 60, "presence": {"pole_code": POLE_CODE}},
            "terminal",
        ),
        (f"/v1/orders/{order_id}/appeals", {"reason": "mine"}, "terminal"),
        (
            f"/v1/reviews/{review['review_id']}",
            {"decision": "refuse", "operator_plate": RIGHT, "reason": "no"},
            "operator",
        ),
        (
            "/v1/enrolments",
            {
                "code": "XXXX-XXXX-XXXX-XXXX",
                "device_id": "pole-7",
                "public_key": "0" * 64,
                "berths": ["1001"],
                "snapshot_url": "http://10.0.0.7",
                "snapshot_token": "secret",
            },
            "terminal",
        ),
    ]
    for path, body, who in requests_with_texts:
        for what, odd in changed(body):
            answer = post(street, path, odd, getattr(street, who))
            assert 400 <= answer.status_code < 500, (path, what, answer.text)
            assert slug(answer), (path, what)
            assert answer.json().get("field"), (path, what, answer.text)


def test_an_odd_text_in_a_payment_is_a_problem_of_its_field(street: Street) -> None:
    order_id = street.open()
    payment = {
        "payment_id": "payment-1",
        "order_id": order_id,
        "amount_fen": 500,
        "paid_at": street.clock.now().isoformat(),
    }
    for what, odd in changed(payment):
        body = ascii_json(odd)
        answer = requests.post(
            f"{street.url}/v1/callbacks/app/payments",
            data=body,
            headers={"Edged-Signature": sign(body, street.secret, street.clock() // 1000)},
            timeout=10,
        )
        assert 400 <= answer.status_code < 500, (what, answer.text)
        assert answer.json()["field"], what


def test_an_odd_text_in_a_batch_is_refused_or_judged_with_its_event(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1003", RIGHT)
    pole.read("1003", evidence_sha256="0" * 64)
    snapshot = pole.snapshot("1003", "nonce-nonce").model_dump(mode="json")
    pole.queue("snapshot", "1003", None, request_id="request-1", snapshot=snapshot, error="none")
    batch = pole.request(health={"status": "degraded", "problems": ["camera: dark"]})
    for what, odd in changed(batch):
        answer = pole.post(odd)
        assert answer.status_code < 500, (what, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["field"], what
    assert street.call("GET", "/v1/reviews", token=street.operator).status_code == 200
    desk = requests.get(f"{street.url}/desk", cookies={"operator": street.operator}, timeout=10)
    assert desk.status_code == 200
