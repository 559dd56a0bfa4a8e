"""TOML -> frozen settings; every error of a file is reported at once, with file, key, value and remedy."""

from edged.settings.errors import SettingsError, refused
from edged.settings.loading import load_settings
from edged.settings.model import (
    BerthSettings,
    CameraKind,
    CameraSettings,
    ModelSettings,
    Polygon,
    SensorSettings,
    Settings,
    SiteSettings,
    SnapshotApiSettings,
    StoreSettings,
    UplinkSettings,
)
from edged.settings.parts import needs_of
from firmware_bridge.settings import BusSettings

__all__ = [
    "BerthSettings",
    "BusSettings",
    "CameraKind",
    "CameraSettings",
    "ModelSettings",
    "Polygon",
    "SensorSettings",
    "Settings",
    "SettingsError",
    "SiteSettings",
    "SnapshotApiSettings",
    "StoreSettings",
    "UplinkSettings",
    "load_settings",
    "needs_of",
    "refused",
]
