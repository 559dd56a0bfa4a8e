"""The requests of an operator: reviews, the operator's page, a snapshot of a berth."""

import secrets
from http import HTTPStatus

from sqlalchemy import select

from cloud_endpoint.access.credentials import Role, authenticate
from cloud_endpoint.base.errors import Problem
from cloud_endpoint.database.pages import Page
from cloud_endpoint.database.service import Service
from cloud_endpoint.database.tables import berths, devices
from cloud_endpoint.ordering.messages import ReviewDecision, ReviewView
from cloud_endpoint.poles import captures, evidence, pulls
from cloud_endpoint.review import decisions, operator_page
from edged.wire import Snapshot


def reviews(service: Service, token: str, number: int = 1) -> Page[ReviewView]:
    """Return a page of the open reviews of the operator's site."""
    with service.reading() as work:
        site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
        return decisions.waiting(work.connection, site_id, number)


def decide_review(service: Service, token: str, review_id: str, decision: ReviewDecision) -> ReviewView:
    """Close a review."""
    with service.writing() as work:
        who = authenticate(work.connection, token, Role.OPERATOR)
        return decisions.decide(work, who, review_id, decision)


def review_picture(service: Service, token: str, review_id: str) -> bytes:
    """Return the JPEG picture of a review; raises Problem."""
    with service.reading() as work:
        site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
        row = decisions.find(work.connection, site_id, review_id)
        return evidence.load(work.connection, site_id, row.evidence_sha256)


def desk(
    service: Service, token: str, numbers: operator_page.Numbers = operator_page.FIRST
) -> operator_page.OperatorPage:
    """Return what the operator's page shows."""
    with service.reading() as work:
        site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
        return operator_page.page_of(work, site_id, numbers)


def snapshot(service: Service, token: str, berth_no: str) -> Snapshot:
    """Pull the latest snapshot of a berth for an operator; raises Problem."""
    with service.reading() as work:
        site_id = authenticate(work.connection, token, Role.OPERATOR).site_id
    return pull_snapshot(service, site_id, berth_no)


def pull_snapshot(service: Service, site_id: str, berth_no: str) -> Snapshot:
    """Pull and verify the pole's latest snapshot of a berth; raises Problem."""
    d, poles = devices.c, service.settings.poles
    with service.reading() as work:
        pole = work.connection.execute(
            select(d.device_id, d.public_key, d.snapshot_url, d.snapshot_token)
            .join(berths, (berths.c.device_id == d.device_id) & (berths.c.site_id == d.site_id))
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
    trust = captures.Trust(
        device_id=pole.device_id,
        public_key=pole.public_key,
        berth_no=berth_no,
        nonce=nonce,
        max_clock_skew_ms=round(poles.max_clock_skew_s * 1000),
        picture_max_age_ms=None,
    )
    try:
        taken = pulls.latest(
            pole.snapshot_url, pole.snapshot_token or "", berth_no, nonce, poles.pull_timeout_s
        )
    except pulls.PullFailed as exc:
        raise _failed(str(exc)) from exc
    refused = captures.refusal(taken, trust, service.clock())
    if refused is not None:
        raise _failed(refused)
    return taken


def _failed(detail: str) -> Problem:
    return Problem(
        "snapshot-failed",
        HTTPStatus.BAD_GATEWAY,
        detail,
        field="berth_no",
        remedy="look at the pole: edged diag",
    )
