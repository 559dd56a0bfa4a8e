"""Light and focus of a picture, against absolute floors and against this camera's own past at that hour."""

from dataclasses import dataclass, field, replace

import numpy as np

from edged.picture import Image
from edged.view.doubts import Doubt
from edged.view.place import Slopes, distinct_share, slopes_of
from edged.view.sight import Sight, look_at

# Absolute floors. A street at night under a lamp has its brightest tenth at 50 grey levels and more.
_DARK_BELOW = 16.0
_BURNT_LEVEL, _BURNT_SHARE = 250, 0.5
# A 1920 x 1080 picture blurred by 3 px has 1.19 to 1.24, by 5 px 1.08 to 1.11; sharp ones have 1.5 to 2.9.
_BLURRED_BELOW = 1.18
# Against the camera's own past at that hour.
_USUAL_FROM = 5  # pictures
_DARKER = 0.3
_SOFTER = 0.3
_BURNT_MORE = 0.35
_EMPTIER = 0.2  # of the usual share of distinct edges is left: something covers most of the picture
_WEIGHT = 0.1  # a month of pictures of one hour decides, not the last one
_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Light and focus of a picture.

    `brightness`: grey level that a tenth of the picture exceeds. `burnt`: share of white pixels. `detail`:
    share of pixels with distinct edges. `sharpness` as in `Sight`.
    """

    brightness: float
    burnt: float
    detail: float
    sharpness: float
    is_flat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usual:
    count: int = 0
    brightness: float = 0.0
    burnt: float = 0.0
    detail: float = 0.0
    sharpness: float = 0.0


@dataclass(slots=True)
class Habits:
    """What this view usually looks like, by hour of the day; pictures under doubt are not learnt."""

    hours: list[_Usual] = field(default_factory=lambda: [_Usual()] * _HOURS)

    def learn(self, quality: Quality, hour: int) -> None:
        usual = self.hours[hour]
        weight = max(_WEIGHT, 1 / (usual.count + 1))
        self.hours[hour] = replace(
            usual,
            count=usual.count + 1,
            **{
                name: getattr(usual, name) * (1 - weight) + getattr(quality, name) * weight
                for name in ("brightness", "burnt", "detail", "sharpness")
            },
        )

    def as_rows(self) -> list[list[float]]:
        return [[u.count, u.brightness, u.burnt, u.detail, u.sharpness] for u in self.hours]

    @classmethod
    def of_rows(cls, rows: list[list[float]]) -> "Habits":
        hours = [
            _Usual(count=int(count), brightness=brightness, burnt=burnt, detail=detail, sharpness=sharpness)
            for count, brightness, burnt, detail, sharpness in rows
        ]
        return cls(hours if len(hours) == _HOURS else [_Usual()] * _HOURS)


def quality_of(sight: Sight, slopes: Slopes) -> Quality:
    """Return light and focus of a picture with these slopes."""
    return Quality(
        brightness=float(np.percentile(sight.grey[::2, ::2], 90)),
        burnt=float((sight.grey >= _BURNT_LEVEL).mean()),
        detail=distinct_share(slopes),
        sharpness=sight.sharpness,
        is_flat=sight.is_flat,
    )


def poor_picture(image: Image) -> Doubt | None:
    """Return what is wrong with light or focus of a picture, whatever its camera's past."""
    sight = look_at(image, taken_s=0.0)
    return absolute_doubt(quality_of(sight, slopes_of(sight.grey)))


def absolute_doubt(quality: Quality) -> Doubt | None:
    """Return what is wrong whatever the camera's past, None when nothing is."""
    if quality.brightness < _DARK_BELOW:
        return Doubt.DARK
    if quality.burnt > _BURNT_SHARE:
        return Doubt.OVEREXPOSED
    if quality.is_flat:
        return Doubt.COVERED
    return Doubt.BLURRED if quality.sharpness < _BLURRED_BELOW else None


def unusual_doubt(quality: Quality, habits: Habits, hour: int) -> Doubt | None:
    """Return what is much worse than usual at that hour, None when nothing is or the past is too short."""
    usual = habits.hours[hour]
    if usual.count < _USUAL_FROM:
        return None
    if quality.brightness < _DARKER * usual.brightness:
        return Doubt.DARK
    if quality.burnt > usual.burnt + _BURNT_MORE:
        return Doubt.OVEREXPOSED
    if quality.detail < _EMPTIER * usual.detail:
        return Doubt.COVERED
    return Doubt.BLURRED if quality.sharpness - 1 < _SOFTER * (usual.sharpness - 1) else None
