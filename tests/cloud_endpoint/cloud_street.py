"""What the tests of the cloud stand on: a street, its terminal and its operator."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import requests
from cloud_pole import Pole, ShiftedClock
from fastapi import FastAPI
from sqlalchemy import insert, select

from cloud_endpoint.access.signatures import sign
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.service import Service
from cloud_endpoint.database.tables import wanted_pictures
from cloud_endpoint.poles.enrolment import issue_code

SITE = "demo"
POLE_CODE = "P1-7Q4K"
RIGHT, WRONG = "京A12345", "京A12346"
UNSURE = (0.999,) * 6 + (0.98,)  # of the last character
JPEG = cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes()


def registry_of(berths: int = 5, pole: str = "pole-1") -> dict[str, Any]:
    """A street of one pole; berths 1001..., 6 m apart along a kerb in Shanghai."""
    return {
        "sites": [{"site_id": SITE, "name": "Demo street"}],
        "berths": [
            {
                "site_id": SITE,
                "berth_no": str(1001 + i),
                "device_id": pole,
                "pole_code": POLE_CODE,
                "zone_id": "north",
                "lat": 31.2304 + i * 6 / 111_320,
                "lon": 121.4737,
                "kerb_order": i,
            }
            for i in range(berths)
        ],
    }


@dataclass
class Street:
    """The service under test with its credentials, and what a test does to it."""

    url: str
    cloud: Service
    clock: ShiftedClock
    terminal: str
    secret: str  # signs the terminal's callbacks, and the webhooks to it
    operator: str
    app: FastAPI
    poles: list[Pole] = field(default_factory=list)

    def enrol(
        self, device_id: str = "pole-1", *, reachable: bool = True, berths: tuple[str, ...] = ()
    ) -> Pole:
        """Enrol a pole as a technician would."""
        with writing(self.cloud.engine) as connection:
            code = issue_code(connection, SITE, device_id, now_ms=self.clock(), lifetime_ms=60_000)
        pole = Pole(device_id=device_id, clock=self.clock, cloud_url=self.url)
        self.poles.append(pole)
        body = {
            "code": code,
            "device_id": device_id,
            "public_key": pole.key.public_key().public_bytes_raw().hex(),
            "berths": list(berths),
            "snapshot_url": pole.listen() if reachable else None,
            "snapshot_token": pole.snapshot_token if reachable else None,
        }
        answer = requests.post(f"{self.url}/v1/enrolments", json=body, timeout=10)
        assert answer.status_code == 201, answer.text
        pole.token = answer.json()["token"]
        return pole

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **rest: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.terminal}"} | rest.pop("headers", {})
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=30, **rest)

    def open(self, account: str = "driver-1", place: dict[str, Any] | None = None) -> str:
        """Open an order; returns its id."""
        body = {"place": place or {"pole_code": POLE_CODE}, "account_id": account}
        answer = self.call("POST", "/v1/orders", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["order_id"])

    def offer(self, order_id: str) -> dict[str, str]:
        """Ask for candidates; returns tokens by berth number."""
        answer = self.call("POST", f"/v1/orders/{order_id}/candidates")
        assert answer.status_code == 200, answer.text
        return {c["berth_no"]: c["token"] for c in answer.json()["candidates"]}

    def submit(self, order_id: str, token: str, plate: str, **more: Any) -> requests.Response:
        body = {"berth_token": token, "plate": plate, "minutes": 60, **more}
        return self.call("POST", f"/v1/orders/{order_id}/submit", body)

    def order(self, berth_no: str, plate: str, account: str = "driver-1") -> tuple[str, dict[str, Any]]:
        """Open, choose, submit; returns the order's id and the answer."""
        order_id = self.open(account)
        answer = self.submit(order_id, self.offer(order_id)[berth_no], plate)
        assert answer.status_code == 200, answer.text
        return order_id, answer.json()

    def view(self, order_id: str, wait: float = 0) -> dict[str, Any]:
        answer = self.call("GET", f"/v1/orders/{order_id}?wait={wait}")
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def pay(
        self, order_id: str, payment_id: str = "payment-1", header: str | None = None, **changes: Any
    ) -> requests.Response:
        """Report a payment as the terminal's operator does."""
        body = {
            "payment_id": payment_id,
            "order_id": order_id,
            "amount_fen": 500,
            "paid_at": self.clock.now().isoformat(),
        }
        text = json.dumps(body | changes).encode()
        signature = header or sign(text, self.secret, self.clock() // 1000)
        return requests.post(
            f"{self.url}/v1/callbacks/app/payments",
            data=text,
            headers={"Edged-Signature": signature, "Content-Type": "application/json"},
            timeout=10,
        )

    def close(self) -> None:
        for pole in self.poles:
            pole.close()


def slug(answer: requests.Response) -> str:
    """Return which problem an answer is; it must be a whole one."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["remedy"]
    assert body["status"] == answer.status_code
    return str(body["type"].rsplit("/")[-1])


def reviewed(street: Street) -> tuple[Pole, str, dict[str, Any]]:
    """Bring an order to an operator; returns its pole, its id and the review."""
    pole = street.enrol()
    pole.arrive("1003", WRONG, characters=UNSURE)
    order_id, _ = street.order("1003", RIGHT)
    assert street.view(order_id, wait=20)["instruction"] == "review"
    queue = street.call("GET", "/v1/reviews", token=street.operator).json()
    assert len(queue) == 1
    return pole, order_id, queue[0]


def want_picture(street: Street, body: bytes, device_id: str = "pole-1") -> None:
    """Have the cloud want a picture, as an opened review does."""
    with writing(street.cloud.engine) as connection:
        connection.execute(
            insert(wanted_pictures).values(
                site_id=SITE,
                sha256=hashlib.sha256(body).hexdigest(),
                device_id=device_id,
                due_ms=street.clock() + 3_600_000,
                attempts=0,
            )
        )


def decide(street: Street, review_id: str, **body: Any) -> requests.Response:
    """Decide a review as the operator."""
    return street.call("POST", f"/v1/reviews/{review_id}", body, token=street.operator)


def rows(street: Street, table: Any) -> list[dict[str, Any]]:
    """Return all rows of a table."""
    with reading(street.cloud.engine) as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def verdicts(answer: dict[str, Any]) -> list[str]:
    """Return what became of each event of a batch."""
    return [v["verdict"] for v in answer["verdicts"]]
