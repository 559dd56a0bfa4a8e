"""The real service for `bench trust`: SQLite, a pole behind NAT that signs, and a clock that is turned."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.base.clock import from_ms
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.bench.stories import CAPTURE_S, PATIENCE, SYNC_S, Story, Tally, looked_again
from cloud_endpoint.bench.town import Seen, Town, read
from cloud_endpoint.database.engine import open_engine, writing
from cloud_endpoint.database.schema import migrate
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering import due_orders
from cloud_endpoint.ordering.messages import BerthNumberAcquisition, OrderAnswer, PrePaymentOrder
from cloud_endpoint.ordering.states import OrderState
from cloud_endpoint.poles.enrolment import issue_code
from cloud_endpoint.street.registry import RegistryFile, load_registry
from cloud_endpoint.web.calls import poles, terminals
from edged.wire import EnrolmentRequest, ReadingView, Snapshot, SyncAnswer, SyncRequest
from edged.wire.signing import signed

BERTHS = 5
SETTINGS = {
    "check": {"reading_grace_s": 0},
    "limits": {"orders_per_account_per_day": 10**9, "orders_per_zone_per_hour": 10**9},
}


class ServiceWorld:
    """One pole with five berths; each story takes the next berth, which is empty again afterwards."""

    def __init__(self, folder: Path) -> None:
        self._now_ms = 1_800_000_000_000
        engine = open_engine(f"sqlite:///{folder}/trust.db")
        migrate(engine)
        settings = CloudSettings.model_validate(SETTINGS)
        self._cloud = Service(engine=engine, settings=settings, clock=lambda: self._now_ms)
        self._key = Ed25519PrivateKey.generate()
        self._number = 0

    def __enter__(self) -> Self:
        berths = [
            {
                "site_id": "town",
                "berth_no": str(n),
                "pole_code": "P",
                "zone_id": "z",
                "device_id": "pole",
                "kerb_order": n,
            }
            for n in range(BERTHS)
        ]
        registry = {"sites": [{"site_id": "town", "name": "Town"}], "berths": berths}
        with writing(self._cloud.engine) as connection:
            load_registry(connection, RegistryFile.model_validate(registry), self._now_ms)
            self._terminal, _ = add_credential(connection, "town", Role.TERMINAL, "app", self._now_ms)
            code = issue_code(connection, "town", "pole", now_ms=self._now_ms, lifetime_ms=1000)
        request = EnrolmentRequest(
            code=code,
            device_id="pole",
            public_key=self._key.public_key().public_bytes_raw().hex(),
            berths=(),
        )
        self._pole = poles.enrol(self._cloud, request).token
        return self

    def __exit__(self, *_: object) -> None:
        self._cloud.engine.dispose()

    def order(self, tale: Story, town: Town, rng: random.Random, tally: Tally) -> None:
        """Take one story through the service and count what became of it."""
        berth_no = str(self._number % BERTHS)
        visit_id = f"visit-{self._number:08d}"
        self._number += 1
        seen = tale.first
        if seen is not None:
            self._arrive(berth_no, visit_id, seen)
        place = BerthNumberAcquisition.model_validate({"place": {"pole_code": "P"}, "account_id": "driver"})
        order_id = terminals.open_order(self._cloud, self._terminal, place).order_id
        offered = terminals.offer(self._cloud, self._terminal, order_id).candidates
        token = next(c.token for c in offered if c.berth_no == berth_no)
        request = PrePaymentOrder(berth_token=token, plate=tale.typed, minutes=60)
        told = False
        for _ in range(PATIENCE):
            answer = terminals.submit(self._cloud, self._terminal, order_id, request)
            waited_s = 0.0
            if answer.state is OrderState.PENDING and seen is None:
                waited_s += self._pass(rng.uniform(*SYNC_S))
                seen = read(tale.standing, town.reader, rng)
                self._arrive(berth_no, visit_id, seen)
                answer = terminals.view(self._cloud, self._terminal, order_id)
            while answer.state is OrderState.PENDING:
                assert seen is not None
                waited_s += self._pass(rng.uniform(*CAPTURE_S))
                seen = looked_again(seen, tale, town, rng)
                answer = self._look(order_id, berth_no, visit_id, seen)
            tally.waited(waited_s)
            told = told or answer.state is OrderState.PLATE_MODIFICATION
            if answer.state is not OrderState.PLATE_MODIFICATION or not tale.right:
                break
        if answer.state is OrderState.REVIEW:
            tally.sent_to_review["review"] += 1
        while answer.state is OrderState.REVIEW and seen is not None:
            self._pass(self._cloud.settings.orders.review_look_s)
            if self._now_ms >= round(answer.expires_at.timestamp() * 1000):
                break
            seen = looked_again(seen, tale, town, rng)
            answer = self._look(order_id, berth_no, visit_id, seen)
        tally.ended(tale, answer.state, told=told)
        self._sync(berth_no, visit_id, [{"kind": "drive_out", "cause": "sensor"}])

    def _look(self, order_id: str, berth_no: str, visit_id: str, seen: Seen) -> OrderAnswer:
        """The pole answers what it is asked, with this reading; returns where the order stands then."""
        due_orders.look(self._cloud)
        self._answer_requests(berth_no, visit_id, seen)
        return terminals.view(self._cloud, self._terminal, order_id)

    def _pass(self, seconds: float) -> float:
        self._now_ms += round(seconds * 1000)
        return seconds

    def _arrive(self, berth_no: str, visit_id: str, seen: Seen) -> None:
        view = self._view(seen)
        captured = {"captured_at": from_ms(self._now_ms).isoformat()}
        reading = {"kind": "reading", "evidence_sha256": None, "model_version": "bench", **captured, **view}
        self._sync(berth_no, visit_id, [{"kind": "drive_in", "cause": "sensor"}, reading])

    def _view(self, seen: Seen) -> dict[str, Any]:
        return {
            "plate": seen.plate,
            "plate_kind": "small_car",
            "characters": list(seen.characters),
            "confidence": min(seen.characters),
            "accepted": seen.accepted,
        }

    def _sync(self, berth_no: str, visit_id: str, events: list[dict[str, Any]]) -> SyncAnswer:
        self._now_ms += 10
        now = from_ms(self._now_ms).isoformat()
        common = {"observed_at": now, "clock_synced": True, "berth_no": berth_no, "visit_id": visit_id}
        full = [
            {**common, "event_id": f"event-{self._now_ms}-{n}", "sequence": self._now_ms * 10 + n, **event}
            for n, event in enumerate(events)
        ]
        body = {
            "wire_version": 1,
            "sent_at": now,
            "clock_synced": True,
            "software_version": "bench",
            "health": {"status": "ok"},
            "berths": [],
            "events": full,
        }
        return poles.sync(self._cloud, "pole", self._pole, SyncRequest.model_validate(body))

    def _answer_requests(self, berth_no: str, visit_id: str, seen: Seen) -> None:
        answer = self._sync(berth_no, visit_id, [])
        now = from_ms(self._now_ms)
        for asked in answer.capture_requests:
            snapshot = Snapshot(
                device_id="pole",
                berth_no=asked.berth_no,
                state="occupied",
                visit_id=visit_id,
                reading=ReadingView.model_validate(self._view(seen)),
                evidence_sha256=None,
                captured_at=now - timedelta(milliseconds=300),
                signed_at=now,
                nonce=asked.nonce,
            )
            taken = {
                "kind": "snapshot",
                "request_id": asked.request_id,
                "snapshot": signed(snapshot, self._key).model_dump(mode="json"),
            }
            self._sync(asked.berth_no, visit_id, [taken])
