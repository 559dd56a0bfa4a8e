"""Real pictures of fixed cameras: does a view agree with itself, and not with what it shows when it is
turned?"""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import cv2

from edged.picture import Image
from edged.view.place import agreement, place_of, slopes_of
from edged.view.sight import look_at

_TURNED = 0.15  # of the picture's width
_MOST = 12  # pictures a camera


def real_views(folder: Path) -> None:
    """Print, for each subfolder, how many pairs of its pictures agree in place and turned."""
    print("\n| camera | pairs | in place | in place doubted | turned found |\n|---|---|---|---|---|")
    for camera in sorted(path for path in folder.iterdir() if path.is_dir()):
        pairs = list(_pairs(camera))
        same = moved = turned = 0
        for before, now, away in pairs:
            sights = [look_at(image, taken_s=0.0) for image in (before, now, away)]
            place = place_of(sights[0].grey, (), sights[0].size_px)
            here, there = (agreement(place, slopes_of(sight.grey)) for sight in sights[1:])
            if here is None or there is None:
                continue
            same, moved, turned = same + here.is_same, moved + here.is_moved, turned + there.is_moved
        print(f"| {camera.name} | {len(pairs)} | {same} | {moved} | {turned} |")


def _pairs(folder: Path) -> Iterator[tuple[Image, Image, Image]]:
    """Yield two pictures of one camera, cut to the same frame, and the second one cut as if turned."""
    paths = sorted(folder.glob("*.jpg"))
    for one, other in permutations(paths[:: max(1, len(paths) // _MOST)][:_MOST], 2):
        before, now = cv2.imread(str(one)), cv2.imread(str(other))
        if before is None or now is None or before.shape != now.shape:
            continue
        width = before.shape[1]
        keep = round(width * (1 - _TURNED))
        yield before[:, :keep], now[:, :keep], now[:, width - keep :]
