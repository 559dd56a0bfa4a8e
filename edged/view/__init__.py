"""What a picture says about its camera: frozen, moved, of another size, dark, over-exposed, blurred, covered.

`look_at(image, taken_s=...)` reduces a picture to a `Sight`, 260 kB that are kept for comparison.
`CameraWatch.judge(sight, occasion)` compares it with what this camera has shown before and returns a
`Judgement`: the doubts, and whether a plate in that picture may decide anything.
"""

from edged.view.doubts import Doubt, trouble_of
from edged.view.quality import poor_picture
from edged.view.sight import Sight, look_at
from edged.view.watch import CameraWatch, Judgement, Occasion, ViewPlan

__all__ = [
    "CameraWatch",
    "Doubt",
    "Judgement",
    "Occasion",
    "Sight",
    "ViewPlan",
    "look_at",
    "poor_picture",
    "trouble_of",
]
