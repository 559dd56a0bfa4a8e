"""What the service does for its callers, one transaction per step: the shell around the pure parts."""

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter
from pydantic import ValidationError
from sqlalchemy import Connection, Engine, select

from cloud_endpoint import (
    captures,
    checks,
    enrolment,
    evidence,
    limits,
    offers,
    orders,
    outages,
    payments,
    reviews,
    submissions,
)
from cloud_endpoint.access import Credential, Role, authenticate, authenticate_device
from cloud_endpoint.checking import Sight
from cloud_endpoint.clock import Clock, from_ms, system_clock
from cloud_endpoint.database import reading, writing
from cloud_endpoint.desk import Desk, look
from cloud_endpoint.errors import Problem, invalid
from cloud_endpoint.ingest import ingest
from cloud_endpoint.messages import (
    Appeal,
    BerthNumberAcquisition,
    CandidateBerths,
    OrderAnswer,
    PaymentAnswer,
    PaymentReport,
    PrePaymentOrder,
    ReviewDecision,
    ReviewView,
)
from cloud_endpoint.once import is_repeated, once
from cloud_endpoint.order_states import Instruction
from cloud_endpoint.orders import Order, answer
from cloud_endpoint.pulls import PullFailed, latest
from cloud_endpoint.settings import CloudSettings
from cloud_endpoint.tables import berths, devices
from cloud_endpoint.tables import captures as captures_table
from edged.wire import EnrolmentAnswer, EnrolmentRequest, Snapshot, SnapshotTaken, SyncAnswer, SyncRequest

log = logging.getLogger(__name__)

EVENTS = Counter("edged_cloud_events", "Events of poles by verdict", ["verdict"])
INSTRUCTIONS_TOLD = Counter(
    "edged_cloud_checks", "Answers to submitted orders by instruction", ["instruction"]
)
CAPTURES = Counter("edged_cloud_captures", "Requested pictures by outcome", ["outcome"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One process of the service; it keeps nothing that another process would need."""

    engine: Engine
    settings: CloudSettings
    clock: Clock = system_clock
    wake: threading.Event = field(default_factory=threading.Event)  # there is work for the clockwork

    # -- poles ---------------------------------------------------------------------------------------

    def enrol(self, request: EnrolmentRequest) -> EnrolmentAnswer:
        """Trade a one-time code for a pole's credentials."""
        with writing(self.engine) as connection:
            answer = enrolment.enrol(connection, request, self.clock())
        log.info("enrolled device=%s site=%s", answer.device_id, answer.site_id)
        return answer

    def sync(self, device_id: str, token: str, request: SyncRequest) -> SyncAnswer:
        """Take a pole's batch and answer with verdicts and requests."""
        now_ms = self.clock()
        poles = self.settings.poles
        with writing(self.engine) as connection:
            device = authenticate_device(connection, device_id, token, lock=True)
            site_id = device.site_id
            outages.silence_ended(connection, site_id, device_id, device.last_sync_ms, now_ms)
            result = ingest(
                connection, site_id, device_id, request, now_ms, round(poles.max_clock_skew_s * 1000)
            )
        for verdict in result.verdicts:
            EVENTS.labels(verdict.verdict.value).inc()
        for event in result.snapshots:
            self._take_carried(site_id, device_id, event)
        self.look_at(site_id, result.berth_ids)
        with reading(self.engine) as connection:
            requests = captures.carried(connection, site_id, device_id, self.clock())
            wanted = evidence.wanted(connection, site_id, device_id)
        return SyncAnswer(
            verdicts=tuple(result.verdicts),
            capture_requests=requests,
            wanted_evidence=wanted,
            server_time=from_ms(self.clock()),
            poll_after_s=poles.sync_busy_s if requests else poles.sync_idle_s,
        )

    def _take_carried(self, site_id: str, device_id: str, event: SnapshotTaken) -> None:
        with reading(self.engine) as connection:
            capture = connection.execute(
                select(captures_table).where(
                    captures_table.c.site_id == site_id,
                    captures_table.c.request_id == event.request_id,
                    captures_table.c.device_id == device_id,
                )
            ).one_or_none()
        if capture is not None:
            self.take_capture(capture, event.snapshot, event.error or "the pole gave no picture")

    def take_capture(self, capture: Any, snapshot: Snapshot | None, error: str = "") -> None:
        """Judge the answer to a capture request, and its order by it."""
        now_ms = self.clock()
        with writing(self.engine) as connection:
            order = orders.find(connection, capture.site_id, capture.order_id, lock=True)
            if order is None:  # its captures went with it
                log.info("capture not needed any more device=%s", capture.device_id)
                return
            if snapshot is not None:
                error = captures.refusal(snapshot, self._trust(connection, capture), now_ms) or ""
            if error or snapshot is None:
                log.warning(
                    "capture failed device=%s berth=%s: %s", capture.device_id, capture.berth_no, error
                )
                captures.close(connection, capture, "failed", error)
                CAPTURES.labels("failed").inc()
                return
            if not captures.close(connection, capture, "answered"):
                return
            CAPTURES.labels("answered").inc()
            fresh: Sight | None = captures.record(connection, capture, snapshot, now_ms)
            if capture.submission == order.submissions:
                checks.resolve(connection, order, self.settings, now_ms, fresh=fresh, captured=True)
        self.wake.set()

    def _trust(self, connection: Connection, capture: Any) -> captures.Trust:
        poles = self.settings.poles
        key = connection.execute(
            select(devices.c.public_key).where(devices.c.device_id == capture.device_id)
        ).scalar_one()
        return captures.Trust(
            device_id=capture.device_id,
            public_key=key,
            berth_no=capture.berth_no,
            nonce=capture.nonce,
            max_clock_skew_ms=round(poles.max_clock_skew_s * 1000),
            picture_max_age_ms=round(poles.picture_max_age_s * 1000),
        )

    def put_evidence(self, device_id: str, token: str, sha256: str, body: bytes) -> None:
        """Keep a picture that a pole uploads."""
        with writing(self.engine) as connection:
            device = authenticate_device(connection, device_id, token)
            evidence.store(connection, device.site_id, device_id, sha256, body, self.clock())

    def look_at(self, site_id: str, berth_ids: set[str]) -> None:
        """Decide the open orders of these berths again."""
        if not berth_ids:
            return
        with reading(self.engine) as connection:
            waiting = checks.open_orders(connection, site_id, berth_ids)
        for order_id in waiting:
            with writing(self.engine) as connection:
                order = orders.find(connection, site_id, order_id, lock=True)
                if order is not None:  # deleted meanwhile
                    checks.resolve(connection, order, self.settings, self.clock())
        if waiting:
            self.wake.set()

    # -- terminals -----------------------------------------------------------------------------------

    def open_order(self, token: str, request: BerthNumberAcquisition, key: str | None = None) -> OrderAnswer:
        """泊位号获取指令: open an order, within the limits of account, phone and zone."""
        now_ms = self.clock()
        limit = self.settings.limits
        with writing(self.engine) as connection:
            who = authenticate(connection, token, Role.TERMINAL)
            # Counted even if the place turns out unknown: guessing pole codes is bounded too.
            if not is_repeated(connection, who, key):
                self._charge(connection, who, "account", request.account_id, limit.orders_per_account_per_day)
                if request.client_id is not None:
                    self._charge(
                        connection, who, "client", request.client_id, limit.orders_per_client_per_day
                    )
        with writing(self.engine) as connection:
            return self._once(
                connection,
                who,
                key,
                f"open {request.model_dump_json()}",
                lambda: self._open(connection, who, request, now_ms),
            )

    def _open(
        self, connection: Connection, who: Credential, request: BerthNumberAcquisition, now_ms: int
    ) -> OrderAnswer:
        limit = self.settings.limits
        zone = offers.zone_of(connection, who.site_id, request.place, limit.near_m)
        most = limit.orders_per_zone_per_hour
        limits.charge(
            connection, who.site_id, "zone", zone, most=most, window_ms=limits.HOUR_MS, now_ms=now_ms
        )
        order = offers.open_order(connection, who.site_id, who.credential_id, request, self.settings, now_ms)
        return answer(order, self.settings)

    def _charge(self, connection: Connection, who: Credential, scope: str, name: str, most: int) -> None:
        limits.charge(
            connection, who.site_id, scope, name, most=most, window_ms=limits.DAY_MS, now_ms=self.clock()
        )

    def _once(
        self,
        connection: Connection,
        who: Credential,
        key: str | None,
        request: str,
        act: Callable[[], OrderAnswer],
    ) -> OrderAnswer:
        return once(connection, who, key, request, OrderAnswer, act, self.clock())

    def offer(
        self, token: str, order_id: str, key: str | None = None, *, elsewhere: bool = False
    ) -> CandidateBerths:
        """候选泊位号 for an order; `elsewhere` looks for others than those of before."""
        with writing(self.engine) as connection:
            who = authenticate(connection, token, Role.TERMINAL)

            def act() -> CandidateBerths:
                order = self._own(connection, who, order_id)
                return offers.offer(connection, order, self.settings, self.clock(), elsewhere=elsewhere)

            return once(connection, who, key, f"offer {order_id}", CandidateBerths, act, self.clock())

    def submit(
        self, token: str, order_id: str, request: PrePaymentOrder, key: str | None = None
    ) -> OrderAnswer:
        """预缴费订单: check the second plate."""
        with writing(self.engine) as connection:

            def act() -> OrderAnswer:
                order = submissions.submit(connection, token, order_id, request, self.settings, self.clock())
                return answer(order, self.settings)

            if key is None:
                told = act()
            else:
                who = authenticate(connection, token, Role.TERMINAL)
                told = self._once(connection, who, key, f"submit {order_id} {request.model_dump_json()}", act)
        if told.instruction is Instruction.PENDING:
            self.wake.set()  # a picture has been asked for
        INSTRUCTIONS_TOLD.labels(told.instruction or "none").inc()
        return told

    def cancel(self, token: str, order_id: str, key: str | None = None) -> OrderAnswer:
        """End an order that is not paid."""
        with writing(self.engine) as connection:
            who = authenticate(connection, token, Role.TERMINAL)

            def act() -> OrderAnswer:
                order = self._own(connection, who, order_id)
                return answer(checks.cancel(connection, order, self.clock()), self.settings)

            return self._once(connection, who, key, f"cancel {order_id}", act)

    def appeal(self, token: str, order_id: str, request: Appeal, key: str | None = None) -> OrderAnswer:
        """Object to what became of an order."""
        with writing(self.engine) as connection:
            who = authenticate(connection, token, Role.TERMINAL)

            def act() -> OrderAnswer:
                order = self._own(connection, who, order_id)
                changed = reviews.appeal(connection, order, request.reason, self.clock())
                return answer(changed, self.settings)

            told = self._once(connection, who, key, f"appeal {order_id} {request.model_dump_json()}", act)
        self.wake.set()
        return told

    def view(self, token: str, order_id: str) -> OrderAnswer:
        """Return an order as it stands."""
        with reading(self.engine) as connection:
            who = authenticate(connection, token, Role.TERMINAL)
            order = orders.load(
                connection, who.site_id, order_id, credential_id=who.credential_id, lock=False
            )
        return answer(order, self.settings)

    def _own(self, connection: Connection, who: Credential, order_id: str) -> Order:
        return orders.load(connection, who.site_id, order_id, credential_id=who.credential_id, lock=True)

    def report_payment(self, credential_id: str, header: str, body: bytes) -> PaymentAnswer:
        """Take the operator's signed payment callback."""
        now_ms = self.clock()
        with writing(self.engine) as connection:
            site_id = payments.authentic(connection, credential_id, header, body, now_ms)
            try:
                payment = PaymentReport.model_validate_json(body)
            except ValidationError as exc:
                raise invalid(exc.errors()[0]) from exc
            return payments.report(connection, site_id, credential_id, payment, now_ms)

    # -- operators -----------------------------------------------------------------------------------

    def reviews(self, token: str) -> list[ReviewView]:
        """Return the open reviews of the operator's site."""
        with reading(self.engine) as connection:
            return reviews.waiting(connection, authenticate(connection, token, Role.OPERATOR).site_id)

    def decide_review(self, token: str, review_id: str, decision: ReviewDecision) -> ReviewView:
        """Close a review."""
        with writing(self.engine) as connection:
            who = authenticate(connection, token, Role.OPERATOR)
            return reviews.decide(connection, who, review_id, decision, self.settings, self.clock())

    def review_picture(self, token: str, review_id: str) -> bytes:
        """Return the JPEG picture of a review; raises Problem."""
        with reading(self.engine) as connection:
            site_id = authenticate(connection, token, Role.OPERATOR).site_id
            row = reviews.find(connection, site_id, review_id)
            return evidence.body(connection, site_id, row.evidence_sha256)

    def desk(self, token: str) -> Desk:
        """Return what the operator's page shows."""
        with reading(self.engine) as connection:
            site_id = authenticate(connection, token, Role.OPERATOR).site_id
            return look(connection, site_id, self.clock())

    def snapshot(self, token: str, berth_no: str) -> Snapshot:
        """Pull the latest snapshot of a berth for an operator; raises Problem."""
        with reading(self.engine) as connection:
            site_id = authenticate(connection, token, Role.OPERATOR).site_id
        return self.pull_snapshot(site_id, berth_no)

    def pull_snapshot(self, site_id: str, berth_no: str) -> Snapshot:
        """Pull and verify the pole's latest snapshot of a berth; raises Problem."""
        with reading(self.engine) as connection:
            pole = connection.execute(
                select(
                    devices.c.device_id,
                    devices.c.public_key,
                    devices.c.snapshot_url,
                    devices.c.snapshot_token,
                )
                .join(berths, berths.c.device_id == devices.c.device_id)
                .where(berths.c.site_id == site_id, berths.c.berth_no == berth_no)
            ).one_or_none()
        if pole is None or pole.snapshot_url is None:
            raise Problem(
                "pole-unreachable",
                HTTPStatus.CONFLICT,
                f"no pole that can be pulled watches berth {berth_no}",
                field="berth_no",
                remedy="check the berth's device_id, and snapshot_url in the pole's enrolment",
            )
        nonce = secrets.token_hex(16)
        try:
            snapshot = latest(
                pole.snapshot_url,
                pole.snapshot_token or "",
                berth_no,
                nonce,
                self.settings.poles.pull_timeout_s,
            )
        except PullFailed as exc:
            raise _pull_problem(str(exc)) from exc
        trust = captures.Trust(
            device_id=pole.device_id,
            public_key=pole.public_key,
            berth_no=berth_no,
            nonce=nonce,
            max_clock_skew_ms=round(self.settings.poles.max_clock_skew_s * 1000),
            picture_max_age_ms=None,
        )
        refused = captures.refusal(snapshot, trust, self.clock())
        if refused is not None:
            raise _pull_problem(refused)
        return snapshot


def _pull_problem(detail: str) -> Problem:
    return Problem(
        "snapshot-failed",
        HTTPStatus.BAD_GATEWAY,
        detail,
        field="berth_no",
        remedy="look at the pole: edged diag",
    )
