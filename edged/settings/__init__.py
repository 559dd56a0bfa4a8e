"""TOML -> frozen settings; every error of a file is reported at once, with file, key, value and remedy."""

from edged.settings.model import (
    BerthSettings,
    CameraKind,
    CameraSettings,
    ModelSettings,
    Polygon,
    SiteSettings,
    SnapshotApiSettings,
    StoreSettings,
    UplinkSettings,
)

__all__ = [
    "BerthSettings",
    "CameraKind",
    "CameraSettings",
    "ModelSettings",
    "Polygon",
    "SiteSettings",
    "SnapshotApiSettings",
    "StoreSettings",
    "UplinkSettings",
]
