"""The HTTP API that the cloud pulls and the technician's page sits on."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, generate_latest
from pydantic import BaseModel, Field

from edged import __version__
from edged.domain.berth import BERTH_NO_PATTERN
from edged.snapshot_api import problems
from edged.snapshot_api.body_limit import BodyLimit
from edged.snapshot_api.pole import Pole, PoleError
from edged.snapshot_api.problems import described
from edged.wire import BerthStatus, DeviceHealth, Snapshot
from edged.wire.problem import Problem

MAX_CAPTURES_AT_ONCE = 3
CAPTURE_RETRY_AFTER_S = 2

SNAPSHOTS = Counter("edged_snapshots", "Snapshots asked of the local API", ["kind", "outcome"])

BerthNoPath = Annotated[str, Path(pattern=BERTH_NO_PATTERN, examples=["1001"])]
Sha256Path = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
_NONCE = {"min_length": 8, "max_length": 64, "pattern": "^[ -~]+$"}
NonceQuery = Annotated[str, Query(description="chosen by the asker, comes back signed", **_NONCE)]


class CaptureOrder(BaseModel):
    """Ask for a new picture; `nonce` comes back signed."""

    nonce: str = Field(**_NONCE)  # type: ignore[call-overload]  # one set of limits for both places


class Alive(BaseModel):
    """`status` is ok, degraded or failed; the reasons are at /v1/health."""

    status: str


def create_app(
    pole: Pole, token: Callable[[], str | None], registry: CollectorRegistry = REGISTRY
) -> FastAPI:
    """Return the API. `token` gives the bearer token that /v1 asks for; None: not enrolled yet."""
    app = FastAPI(
        title="edged snapshot API",
        version=__version__,
        description="Berths, snapshots 泊位车牌快照 and evidence pictures of one pole.",
        openapi_tags=[
            {"name": "berths", "description": "What stands where, as the pole knows it"},
            {"name": "evidence", "description": "The pictures behind readings"},
            {"name": "operation", "description": "For monitoring; needs no token"},
        ],
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    app.add_middleware(BodyLimit)
    _add_berths(app, pole, _authorised(token))
    _add_evidence(app, pole, _authorised(token))
    _add_operation(app, pole, _authorised(token), registry)
    return app


def _authorised(token: Callable[[], str | None]) -> Callable[..., None]:
    bearer = HTTPBearer(auto_error=False, description="snapshot_token of the credentials file")

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        expected = token()
        if not expected:
            raise Problem(
                "not-enrolled", 503, "this pole has no token yet", remedy="run `edged enrol` on the pole"
            )
        offered = given.credentials if given else ""
        # constant time, whatever was offered; bytes, because compare_digest refuses non-ASCII text
        if not hmac.compare_digest(offered.encode(), expected.encode()):
            raise Problem(
                "unauthorised",
                401,
                "the bearer token is missing or wrong",
                remedy="use the token that the pole gave at its enrolment",
            )

    return check


def _add_berths(app: FastAPI, pole: Pole, authorised: Callable[..., None]) -> None:
    free = BoundedSemaphore(MAX_CAPTURES_AT_ONCE)

    @app.get(
        "/v1/berths",
        tags=["berths"],
        summary="Every berth of this pole",
        dependencies=[Depends(authorised)],
        responses=described(401, 503),
    )
    def berths() -> list[BerthStatus]:
        return pole.berths()

    @app.get(
        "/v1/berths/{berth_no}/snapshot",
        tags=["berths"],
        summary="The latest reading of a berth, signed",
        dependencies=[Depends(authorised)],
        responses=described(401, 404, 422, 503),
    )
    def snapshot(berth_no: BerthNoPath, nonce: NonceQuery) -> Snapshot:
        with _counted("latest"):
            return pole.snapshot(berth_no, nonce)

    @app.post(
        "/v1/berths/{berth_no}/captures",
        tags=["berths"],
        summary="A new picture of a berth, read and signed",
        dependencies=[Depends(authorised)],
        responses=described(400, 401, 404, 413, 422, 502, 503),
    )
    def capture(berth_no: BerthNoPath, order: CaptureOrder) -> Snapshot:
        with _counted("capture"):
            if not free.acquire(blocking=False):
                raise Problem(
                    "busy",
                    503,
                    f"{MAX_CAPTURES_AT_ONCE} captures are under way",
                    remedy=f"try again in {CAPTURE_RETRY_AFTER_S} s",
                    retry_after_s=CAPTURE_RETRY_AFTER_S,
                )
            try:
                return pole.capture(berth_no, order.nonce)
            finally:
                free.release()


def _add_evidence(app: FastAPI, pole: Pole, authorised: Callable[..., None]) -> None:
    @app.get(
        "/v1/evidence/{sha256}.jpg",
        tags=["evidence"],
        summary="An evidence picture by its hash",
        dependencies=[Depends(authorised)],
        response_class=Response,
        responses={
            200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
            **described(401, 404, 422, 503),
        },
    )
    def evidence(sha256: Sha256Path) -> Response:
        jpeg = pole.picture(sha256)
        if jpeg is None:
            raise Problem(
                "unknown-evidence",
                404,
                "never taken here, or dropped by retention",
                remedy="pictures are kept for store.keep_evidence_days",
                title="No such picture",
            )
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, immutable"})


def _add_operation(
    app: FastAPI, pole: Pole, authorised: Callable[..., None], registry: CollectorRegistry
) -> None:
    @app.get(
        "/v1/health",
        tags=["operation"],
        summary="What works, what does not, and what to do about it",
        dependencies=[Depends(authorised)],
        responses=described(401, 503),
    )
    def health() -> DeviceHealth:
        return pole.health()

    @app.get(
        "/healthz",
        tags=["operation"],
        summary="Alive, in one word",
        response_model=Alive,
        responses={503: {"model": Alive, "description": "the box does not do its job"}},
    )
    def healthz() -> JSONResponse:
        status = pole.health().status
        return JSONResponse({"status": status}, 503 if status == "failed" else 200)

    @app.get(
        "/metrics",
        tags=["operation"],
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@contextmanager
def _counted(kind: str) -> Iterator[None]:
    try:
        yield
    except PoleError:
        SNAPSHOTS.labels(kind, "failed").inc()
        raise
    except Problem:
        SNAPSHOTS.labels(kind, "busy").inc()
        raise
    SNAPSHOTS.labels(kind, "ok").inc()
