"""The five callers of `edged.exchange`, each as a function of the peer's address."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from sqlalchemy import create_engine

from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering import webhooks
from cloud_endpoint.poles import pulls
from edged.camera import CameraError, open_camera
from edged.exchange import Bounds
from edged.settings import UplinkSettings
from edged.settings.model import CameraKind, CameraSettings
from edged.uplink import CloudClient, CloudError, UplinkError, enrol
from edged.wire import DeviceHealth, SyncRequest

HEARTBEAT = SyncRequest(
    wire_version=1,
    sent_at=datetime(2026, 1, 1, tzinfo=UTC),
    clock_synced=True,
    software_version="0",
    health=DeviceHealth(status="ok"),
    berths=(),
    events=(),
)
WAIT_S = 0.15  # short: a caller waits for each silent peer


class NotDelivered(Exception):
    """A webhook was not delivered: its caller returns False, and logs why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`ask(url, token, folder)` makes one exchange; `declared` is the error that it may raise."""

    ask: Callable[[str, str, Path], object]
    declared: type[Exception]
    deadline_s: float  # all tries together
    max_bytes: int
    sends_token: bool = True


def _uplink_settings(url: str, folder: Path) -> UplinkSettings:
    return UplinkSettings(cloud_url=url, credentials=folder / "credentials.json", timeout_s=WAIT_S)


def _sync(url: str, token: str, folder: Path) -> object:
    with CloudClient(_uplink_settings(url, folder)) as cloud:
        return cloud.sync("pole-0001", token, HEARTBEAT)


def _enrol(url: str, token: str, folder: Path) -> object:
    settings = _uplink_settings(url, folder)
    return enrol(settings, code="12345678", device_id="pole-0001", berths=["1001"], snapshot_url=None)


def _photograph(url: str, token: str, folder: Path) -> object:
    (folder / "password").write_text(token, encoding="utf-8")
    settings = CameraSettings(
        name="north",
        kind=CameraKind.HTTP,
        source=f"{url}/picture",
        username="admin",
        password_file=folder / "password",
        timeout_s=WAIT_S,
        min_interval_s=0.0,
        settle_s=0.0,
    )
    camera = open_camera(settings)
    try:
        return camera.frame()
    finally:
        camera.close()


def _pull(url: str, token: str, folder: Path) -> object:
    return pulls.capture(url, token, "1001", "nonce", 4 * WAIT_S)


def _pull_picture(url: str, token: str, folder: Path) -> object:
    return pulls.picture(url, token, "0" * 64, 4 * WAIT_S)


def _push(url: str, token: str, folder: Path) -> object:
    row = SimpleNamespace(
        site_id="demo",
        webhook_id="hook-1",
        order_id="order-1",
        webhook_url=f"{url}/hook",
        signing_secret=token,
        body={"order": "1"},
    )
    bounds = Bounds(deadline_s=4 * WAIT_S, max_bytes=webhooks.BOUNDS.max_bytes)
    service = Service(engine=create_engine("sqlite://"), settings=CloudSettings())
    if not webhooks.deliver(service, row, bounds):
        raise NotDelivered
    return True


CALLERS = {
    "uplink": Caller(ask=_sync, declared=CloudError, deadline_s=4 * WAIT_S, max_bytes=2**20),
    "enrolment": Caller(
        ask=_enrol, declared=UplinkError, deadline_s=4 * WAIT_S, max_bytes=2**20, sends_token=False
    ),
    # a camera that breaks off is asked three times, half a second apart
    "camera": Caller(
        ask=_photograph, declared=CameraError, deadline_s=3 * 3 * WAIT_S + 1, max_bytes=20 * 2**20
    ),
    "pulls": Caller(ask=_pull, declared=pulls.PullFailed, deadline_s=4 * WAIT_S, max_bytes=2**16),
    "pulled picture": Caller(
        ask=_pull_picture, declared=pulls.PullFailed, deadline_s=4 * WAIT_S, max_bytes=2**22
    ),
    "webhooks": Caller(
        ask=_push, declared=NotDelivered, deadline_s=4 * WAIT_S, max_bytes=2**20, sends_token=False
    ),
}
