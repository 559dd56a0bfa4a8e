"""The daemon's settings as frozen types: what the rest of the house receives.

Made by `load_settings`, which checks every value and what they say of each other; no other module reads the
TOML file.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, ValidationInfo
from pydantic.dataclasses import dataclass

from edged.domain.berth import BERTH_NO_PATTERN
from firmware_bridge.settings import BusSettings, Float, Int, Name, SensorOptions

_STRICT_KEYS = ConfigDict(extra="forbid")

METHOD_FORM = r"^(GET|PUT|POST)$"
WEB_FORM = r"^https?://[^/\s]+"

# A number in quotes, or `true` for 1, is a slip of the pen, not a value.
Bool = Annotated[bool, Strict()]
Point = tuple[Annotated[Int, Field(ge=0, le=20_000)], Annotated[Int, Field(ge=0, le=20_000)]]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3)]  # px of the full frame, in order around the berth
PictureSize = tuple[Annotated[Int, Field(ge=16, le=20_000)], Annotated[Int, Field(ge=16, le=20_000)]]
BerthNo = Annotated[str, Field(pattern=BERTH_NO_PATTERN)]
Seconds = Annotated[Float, Field(ge=0, le=600)]
Timeout = Annotated[Float, Field(gt=0, le=60)]
Days = Annotated[Int, Field(ge=1, le=3650)]


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path in the file means: relative to the file."""
    base = (info.context or {}).get("base")
    return path if base is None else base / path


def _folder_beside_the_file(source: str, info: ValidationInfo) -> str:
    """A camera's source is a path only where it replays a folder."""
    is_folder = info.data.get("kind") is CameraKind.FOLDER
    return str(_beside_the_file(Path(source), info)) if is_folder else source


def _path_text(given: object) -> object:
    """A path that no file can have, or that would mean the settings' own folder, is a slip too."""
    if isinstance(given, str) and (not given or "\0" in given):
        raise ValueError("is no path; name a file or folder")
    return given


FilePath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_beside_the_file)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class SiteSettings:
    """Where this box stands. `device_id` is what the cloud knows it by."""

    site_id: Name
    device_id: Name
    time_zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class SensorSettings(SensorOptions):
    """One device on a bus, or one of several that share a unit id; `profile` names its profile."""

    bus: Name
    profile: Name


class CameraKind(StrEnum):
    HTTP = "http"  # one JPEG a request: Hikvision, Dahua, ONVIF snapshot URLs
    RTSP = "rtsp"
    V4L2 = "v4l2"
    FOLDER = "folder"  # replays pictures, for tests and training on site


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class CameraSettings:
    """One camera. `source` is a URL, a /dev/video path or a folder, by `kind`.

    `preset_url` holds `{preset}` and is requested (with `preset_method`) before a berth's burst; a moved
    camera is left to settle for `settle_s`. `live` false: the pictures are no live view (photographs that are
    shown for a demonstration), and whether the camera is frozen or turned is not judged.
    """

    name: Name
    kind: CameraKind = CameraKind.HTTP
    source: Annotated[str, Field(min_length=1), AfterValidator(_folder_beside_the_file)]
    username: str | None = None
    password_file: FilePath | None = None
    preset_url: str | None = None
    preset_method: Annotated[str, Field(pattern=METHOD_FORM)] = "PUT"
    settle_s: Seconds = 2.0
    timeout_s: Timeout = 5.0
    min_interval_s: Seconds = 0.2
    live: Bool = True
    burst_frames: Annotated[Int, Field(ge=1, le=15)] = 5

    @property
    def is_live(self) -> bool:
        """Tell whether the pictures are a live view; a folder repeats its pictures on purpose."""
        return self.live and self.kind is not CameraKind.FOLDER


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class BerthSettings:
    """One berth 泊位: its number, the sensor channel that watches it, and where the camera sees it.

    A camera shared by several berths needs a `polygon` (or a PTZ `preset`) for each, or a neighbour's plate
    would be read. `picture_size` is the width and height (px) of the picture that the polygon was drawn on;
    without it the first good picture counts. `channel` is needed for a device with several. A contact counts
    as an arrival after `settle_in_s`, its loss as a departure after `settle_out_s`.
    """

    berth_no: BerthNo
    sensor: Name
    channel: Annotated[Int, Field(ge=0, le=500)] | None = None
    camera: Name
    polygon: Polygon | None = None
    picture_size: PictureSize | None = None
    preset: Annotated[Int, Field(ge=0, le=300)] | None = None
    settle_in_s: Seconds = 1.0
    settle_out_s: Seconds = 3.0
    in_service: Bool = True

    @property
    def watched_by(self) -> tuple[str, int]:
        """The sensor and its channel; without one in the settings the only channel of a plain sensor."""
        return self.sensor, 1 if self.channel is None else self.channel


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class ModelSettings:
    """`directory` overrides where models are looked for; `threads` is for the TFLite runtime."""

    directory: FilePath | None = None
    threads: Annotated[Int, Field(ge=1, le=16)] = 1


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class StoreSettings:
    """Where records and pictures live, how much they may take, how long they are kept."""

    directory: FilePath
    max_size_mib: Annotated[Int, Field(ge=16, le=100_000_000)] = 1024
    keep_evidence_days: Days = 30
    keep_visits_days: Days = 90


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class UplinkSettings:
    """`credentials` is the file that `edged enrol` writes: token and signing key."""

    cloud_url: Annotated[str, Field(pattern=WEB_FORM)]
    credentials: FilePath
    ca_file: FilePath | None = None
    batch_size: Annotated[Int, Field(ge=1, le=1000)] = 100
    poll_interval_s: Annotated[Float, Field(ge=0.2, le=3600)] = 5.0
    timeout_s: Timeout = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class SnapshotApiSettings:
    """The local HTTP API. `public_url` is how the cloud reaches it; None behind NAT."""

    listen: str = "127.0.0.1"
    port: Annotated[Int, Field(ge=1, le=65535)] = 8100
    public_url: Annotated[str, Field(pattern=WEB_FORM)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT_KEYS)
class Settings:
    """The whole file, checked."""

    site: SiteSettings
    bus: tuple[BusSettings, ...]
    sensor: tuple[SensorSettings, ...]
    camera: tuple[CameraSettings, ...]
    berth: tuple[BerthSettings, ...]
    model: ModelSettings = Field(default_factory=ModelSettings)
    store: StoreSettings
    uplink: UplinkSettings
    snapshot_api: SnapshotApiSettings = Field(default_factory=SnapshotApiSettings)
    profiles: FilePath | None = None
