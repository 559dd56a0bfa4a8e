"""Reading one plate: quickly if that will do, carefully, and by further corners where it stays doubtful."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from edged.domain.plate import likely_kinds
from edged.domain.reading import (
    PlateRead,
    SlotProbabilities,
    decide,
    doubted,
    fuse,
    wide_enough,
    width_px,
)
from edged.picture import Image
from edged.vision.detector import Candidate, Refiner, is_sound, points_of
from edged.vision.manifest import Manifest, ReaderSpec
from edged.vision.ranking import legibility, sureness
from edged.vision.reader import Reader, sharpness
from edged.vision.rectifier import Corners, unstacked, widened, window

# By how much (parts of the plate's width and height) a doubtful plate is framed wider and tighter.
_SECOND_LOOKS = ((0.02, 0.06), (-0.02, -0.06))
# Below this a second look has never made a reading of it.
_WORTH_ANOTHER_LOOK = 0.45
# Rows that are at least this likely are tried; the surer reading is taken.
_UNSURE_ROWS = 0.1


class Looks:
    """Reads plates whose corners are known. One instance for one thread."""

    def __init__(self, manifest: Manifest, refiner: Refiner, quick_reader: Reader, reader: Reader) -> None:
        self._manifest = manifest
        self._refiner = refiner
        self._quick_reader = quick_reader
        self._reader = reader

    def read_plate(self, image: Image, plate: Candidate) -> PlateRead:
        """Return what stands on a refined plate, its rows read as they seem, both ways where unsure."""
        reads = []
        further = cache(lambda: self._surer_corners(image, plate))
        for rows, share in ((1, 1 - plate.two_rows), (2, plate.two_rows)):
            if share < _UNSURE_ROWS:
                continue
            cut = self._cut(image, plate.corners, rows)
            reads.append(self._read_cut(image, cut, plate, rows, further))
        return max(reads, key=sureness)

    def read_by_each(self, image: Image, plate: Candidate) -> tuple[PlateRead, PlateRead]:
        """Return what the quick and the careful reader make of a plate on one row, each for itself."""
        cut = self._cut(image, plate.corners, 1)
        quick, careful = self._quick_reader.read(cut), self._reader.read(cut)
        sharp = sharpness(cut)
        return (
            self._decided(quick, quick, plate, 1, sharp, self._manifest.quick_reader),
            self._decided(careful, careful, plate, 1, sharp, self._manifest.reader),
        )

    def read_cut_out(self, image: Image) -> PlateRead:
        """Return what stands on a cut-out plate; its corners are the picture's.

        Seen from the side a plate stands aslant in its cut-out: a doubtful one is read by its corners too.
        """
        height, width = image.shape[:2]
        corners = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        framing = self._manifest.reader.framing
        whole = Candidate(corners=corners, score=1.0, two_rows=0.0)
        reads = []
        further = cache(lambda: self._own_corners(image, whole))
        for rows in (1, 2) if width < framing.two_rows_below * height else (1,):
            cut = unstacked(image, framing, rows=rows, **self._window_size())
            reads.append(self._read_cut(image, cut, whole, rows, further))
        return max(reads, key=sureness)

    def _read_cut(
        self,
        image: Image,
        cut: Image,
        plate: Candidate,
        rows: int,
        further: Callable[[], list[Corners]],
    ) -> PlateRead:
        """Read a window, quickly if that will do."""
        said = self._quick_reader.read(cut)
        quick = self._decided(said, said, plate, rows, sharpness(cut), self._manifest.quick_reader)
        if quick.reading.accepted or legibility(quick) < _WORTH_ANOTHER_LOOK:
            return quick
        return self._read_carefully(image, cut, said, quick.sharpness, plate, rows, further)

    def _read_carefully(
        self,
        image: Image,
        cut: Image,
        quick: SlotProbabilities,
        sharp: float,
        plate: Candidate,
        rows: int,
        further: Callable[[], list[Corners]],
    ) -> PlateRead:
        """Read a window that `quick` doubts; what stays doubtful by `further` corners too, all together."""
        spec = self._manifest.reader
        looks = [self._reader.read(cut)]
        read = self._decided(_together(looks), quick, plate, rows, sharp, spec)
        if read.reading.accepted or legibility(read) < _WORTH_ANOTHER_LOOK:
            return read
        for corners in further():
            looks.append(self._reader.read(self._cut(image, corners, rows)))
        return self._decided(_together(looks), quick, plate, rows, sharp, spec)

    def _own_corners(self, image: Image, cut_out: Candidate) -> list[Corners]:
        """The corners of the plate in its cut-out and the same framed wider and tighter."""
        refined = self._refiner.refine(image, cut_out)
        if refined.score < self._manifest.refiner.plate_from or not is_sound(refined.corners):
            return _framings(cut_out.corners)
        return self._surer_corners(image, refined)

    def _surer_corners(self, image: Image, plate: Candidate) -> list[Corners]:
        """The plate's corners as a second refining leaves them, and the same framed wider and tighter."""
        corners = self._refiner.refine_again(image, plate).corners
        return [corners, *_framings(corners)]

    def _cut(self, image: Image, corners: Corners, rows: int) -> Image:
        return window(image, corners, self._manifest.reader.framing, rows=rows, **self._window_size())

    def _decided(
        self,
        probabilities: SlotProbabilities,
        second: SlotProbabilities,
        plate: Candidate,
        rows: int,
        sharp: float,
        spec: ReaderSpec,
    ) -> PlateRead:
        """What is read, with a `second` reader's doubts."""
        across, down = plate.corners[1] - plate.corners[0], plate.corners[3] - plate.corners[0]
        aspect = float(np.linalg.norm(across) / max(1.0, float(np.linalg.norm(down))))
        likely = likely_kinds(probabilities.kinds, rows=rows, aspect=aspect)
        probabilities = SlotProbabilities(
            slots=probabilities.slots, kinds={kind: p * plate.score for kind, p in likely.items()}
        )
        corners = points_of(plate.corners)
        probabilities = doubted(probabilities, second, plate_px=width_px(corners))
        reading = decide(probabilities, labels=spec.labels, accept_from=spec.accept_from)
        return PlateRead(
            reading=replace(reading, accepted=reading.accepted and wide_enough(corners)),
            corners=corners,
            probabilities=probabilities,
            sharpness=sharp,
        )

    def _window_size(self) -> dict[str, int]:
        return {"width_px": self._reader.width_px, "height_px": self._reader.height_px}


def _framings(corners: Corners) -> list[Corners]:
    return [widened(corners, *margins) for margins in _SECOND_LOOKS]


def _together(looks: list[SlotProbabilities]) -> SlotProbabilities:
    """Looks at one picture are one witness: averaged, not multiplied."""
    return fuse(looks, [1.0] * len(looks), dependence=1.0)
