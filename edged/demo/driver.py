"""Speaks to cloud and pole over their real HTTP APIs: as a driver's phone, as an operator, as the cloud."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import requests

from edged.demo.processes import DemoFailure

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer's JSON, and how long it took."""

    body: dict[str, Any]
    took_s: float

    def __getitem__(self, key: str) -> Any:
        return self.body[key]


class Api:
    """One HTTP service with one bearer token. Errors become DemoFailure, blaming `process`."""

    def __init__(self, base_url: str, token: str, process: str) -> None:
        self._base_url = base_url
        self._process = process
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: object = None, *, timeout_s: float = _TIMEOUT_S) -> Answered:
        """Return the answer of a 2xx; DemoFailure otherwise."""
        began_s = time.monotonic()
        response = self._send(method, path, body, timeout_s)
        took_s = time.monotonic() - began_s
        if not response.ok:
            what = f"{method} {path} answered {response.status_code}: {response.text[:300]}"
            raise DemoFailure(what, self._process)
        parsed = response.json()
        return Answered(body=parsed if isinstance(parsed, dict) else {"items": parsed}, took_s=took_s)

    def refusal(self, method: str, path: str, body: object = None) -> Answered:
        """Return the problem body of an answer that must be a refusal."""
        began_s = time.monotonic()
        response = self._send(method, path, body, _TIMEOUT_S)
        if response.ok:
            raise DemoFailure(f"{method} {path} was not refused", self._process)
        return Answered(body=response.json(), took_s=time.monotonic() - began_s)

    def picture(self, path: str) -> bytes:
        """Return the bytes of a picture."""
        response = self._send("GET", path, None, _TIMEOUT_S)
        if not response.ok:
            raise DemoFailure(f"GET {path} answered {response.status_code}", self._process)
        return response.content

    def _send(self, method: str, path: str, body: object, timeout_s: float) -> requests.Response:
        try:
            return self._session.request(method, self._base_url + path, json=body, timeout=timeout_s)
        except requests.RequestException as exc:
            raise DemoFailure(f"{method} {path}: {type(exc).__name__}", self._process) from exc


class Order:
    """A driver's pre-payment order, from the berth numbers to the instruction."""

    def __init__(self, cloud: Api, pole_code: str) -> None:
        self._cloud = cloud
        acquisition = {"place": {"pole_code": pole_code}, "account_id": f"driver-{secrets.token_hex(3)}"}
        self.acquired = cloud.ask("POST", "/v1/orders", acquisition)
        self._path = f"/v1/orders/{self.acquired['order_id']}"

    def candidates(self) -> tuple[dict[str, str], float]:
        """Return the candidate berths as berth_no -> token, and how long the answer took."""
        offered = self._cloud.ask("POST", f"{self._path}/candidates")
        return {one["berth_no"]: one["token"] for one in offered["candidates"]}, offered.took_s

    def submit(self, token: str, plate: str) -> Answered:
        """Send the pre-payment order; return the first instruction."""
        return self._cloud.ask("POST", f"{self._path}/submit", self._order(token, plate))

    def refused(self, token: str, plate: str) -> Answered:
        """Send a pre-payment order that must be refused; return the problem."""
        return self._cloud.refusal("POST", f"{self._path}/submit", self._order(token, plate))

    def wait(self, wait_s: float = 20) -> Answered:
        """Return the instruction once it is no longer pending."""
        return self._cloud.ask("GET", f"{self._path}?wait={wait_s:g}", timeout_s=wait_s + _TIMEOUT_S)

    def cancel(self) -> None:
        self._cloud.ask("POST", f"{self._path}/cancel")

    @staticmethod
    def _order(token: str, plate: str) -> dict[str, object]:
        return {"berth_token": token, "plate": plate, "minutes": 60}
