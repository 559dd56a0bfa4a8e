"""The daemon's settings as frozen types: what the rest of the house receives.

Made by `load_settings`, which has checked every value; nobody else reads the TOML file.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

Polygon = tuple[tuple[int, int], ...]  # px of the full frame, in order around the berth


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """Where this box stands. `device_id` is what the cloud knows it by."""

    site_id: str
    device_id: str
    time_zone: str


class CameraKind(StrEnum):
    HTTP = "http"  # one JPEG a request: Hikvision, Dahua, ONVIF snapshot URLs
    RTSP = "rtsp"
    V4L2 = "v4l2"
    FOLDER = "folder"  # replays pictures, for tests and training on site


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """One camera. `source` is a URL, a /dev/video path or a folder, by `kind`.

    `preset_url` holds `{preset}` and is requested (with `preset_method`) before a berth's burst; a moved
    camera is left to settle for `settle_s`.
    """

    name: str
    kind: CameraKind
    source: str
    username: str | None = None
    password_file: Path | None = None
    preset_url: str | None = None
    preset_method: str = "PUT"
    settle_s: float = 2.0
    timeout_s: float = 5.0
    min_interval_s: float = 0.2
    burst_frames: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BerthSettings:
    """One berth 泊位: its number, the sensor channel that watches it, and where the camera sees it."""

    berth_no: str
    sensor: str
    channel: str
    camera: str
    polygon: Polygon | None = None
    preset: int | None = None
    settle_in_s: float = 1.0
    settle_out_s: float = 3.0
    in_service: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """`directory` overrides where models are looked for; `threads` is for the TFLite runtime."""

    directory: Path | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where records and pictures live, how much they may take, how long they are kept."""

    directory: Path
    max_size_mib: int = 1024
    keep_evidence_days: int = 30
    keep_visits_days: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSettings:
    """`credentials` is the file that `edged enrol` writes: token and signing key."""

    cloud_url: str
    credentials: Path
    ca_file: Path | None = None
    batch_size: int = 100
    poll_interval_s: float = 5.0
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotApiSettings:
    """The local HTTP API. `public_url` is how the cloud reaches it; None behind NAT."""

    listen: str = "127.0.0.1"
    port: int = 8100
    public_url: str | None = None
