"""From a frame to the plates on it: find, refine, rectify, read."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from edged.domain.plate import kinds_of
from edged.domain.reading import Evidence, PlateRead, decide, fuse, width_px
from edged.picture import Image
from edged.vision.detector import Candidate, Detector, Refiner, distinct
from edged.vision.errors import BadFrame
from edged.vision.manifest import Manifest, ReaderSpec, find_models, load_manifest
from edged.vision.reader import Reader, sharpness
from edged.vision.rectifier import Corners, unstacked, widened, window
from edged.vision.regions import Polygon, Region, stands_in, surroundings, tiles
from edged.vision.runtime import Model, Runtime

# The detector's score from which a candidate is clear; most of the fainter ones are no plates.
_CLEAR_FROM = 0.3
# Candidates of a picture that are looked at, the best first: of a frame, which is in a hurry, and of a file.
_MOST_PLATES = 16
_MOST_PLATES_CLOSELY = 48
# Enlarging small pictures helps the detector up to here; beyond is mush.
_MAX_SCALE = 2.0
# Tiles of an unknown picture overlap by the widest plate that only they can show.
_TILE_OVERLAP_PX = 96
# By how much (parts of the plate's width and height) a doubtful plate is framed wider and tighter.
_SECOND_LOOKS = ((0.02, 0.06), (-0.02, -0.06))
# What shows fewer characters is a lamp, a badge or a sign.
_FEWEST_CHARACTERS = 5
# Mean confidence of the characters. On a plate most are sure even if one is not (validation: 0.76 and more);
# headlights, badges and the camera's own clock are unsure throughout. Raised from 0.55 it took away a third
# of the stray entries on plate-free pictures, and no plate was lost.
_LEGIBLE_FROM = 0.65
# Below this a second look has never made a reading of it.
_WORTH_ANOTHER_LOOK = 0.45
# Rows that are at least this likely are tried; the surer reading is taken.
_UNSURE_ROWS = 0.1
# Twice the area of a plate's smallest corner triangle, px: flatter ones hold no characters.
_SMALLEST_PX2 = 20.0
# A plate nearer to the picture's edge than this part of its width may go on beyond it.
_CUT_OFF_WITHIN = 0.02
# Wider than this part of the picture it is what the picture was cut out for, not a vehicle leaving the view.
_CUT_OUT_FROM = 0.6


class PlateVision:
    """Finds and reads plates. One instance for one thread."""

    def __init__(self, manifest: Manifest, *, threads: int = 1, runtime: Runtime | None = None) -> None:
        """Load the models. Raises VisionError."""

        def load(spec: object) -> Model:
            file = spec.model  # type: ignore[attr-defined]
            return Model(file.path, file.sha256, threads=threads, runtime=runtime)

        self.manifest = manifest
        self._detector = Detector(load(manifest.detector), manifest.detector)
        self._refiner = Refiner(load(manifest.refiner), manifest.refiner)
        self._quick_reader = Reader(load(manifest.quick_reader), manifest.quick_reader)
        self._reader = Reader(load(manifest.reader), manifest.reader)

    @classmethod
    def load(
        cls, directory: Path | None = None, *, threads: int = 1, runtime: Runtime | None = None
    ) -> "PlateVision":
        """Load the models of `directory`, or of the first place that has some. Raises VisionError."""
        return cls(load_manifest(find_models(directory)), threads=threads, runtime=runtime)

    def read_frame(self, image: Image, polygon_px: Polygon | None = None) -> list[PlateRead]:
        """Return the plates of a camera's frame (height x width x 3, BGR), surest first.

        With the berth's polygon only its surroundings are looked at, in full resolution, and only plates that
        stand in it are returned; without it the frame is a picture like any. Raises BadFrame.
        """
        if polygon_px is None:
            return self.read_picture(image)
        _check(image)
        region = surroundings(polygon_px, image.shape[1], image.shape[0])
        scale = min(self._detector.fitting_scale(region), _MAX_SCALE)
        reads = self._read_all(image, self._detector.find(image, region, scale))
        return [read for read in reads if stands_in(read.corners, polygon_px)]

    def read_picture(self, image: Image, *, closely: bool = False) -> list[PlateRead]:
        """Return the plates of a picture of unknown scale: the whole, then closer and from farther off.

        Faint candidates and the other scales, up to ten passes more, are looked at only when the clear ones
        give nothing that is accepted; `closely` what is faint or shows only nearer is looked at always: small
        plates beside large ones. Raises BadFrame.
        """
        _check(image)
        height, width = image.shape[:2]
        whole = Region(left=0, top=0, right=width, bottom=height)
        fitting = min(self._detector.fitting_scale(whole), _MAX_SCALE)
        candidates = self._detector.find(image, whole, fitting)
        if closely:
            candidates = distinct(candidates + self._find_nearer(image, whole, 2 * fitting))
            reads = self._read_all(image, candidates, most=_MOST_PLATES_CLOSELY)
        else:
            reads = self._read_all(image, [c for c in candidates if c.score >= _CLEAR_FROM])
        if any(read.reading.accepted for read in reads):
            return reads
        if not closely:
            candidates = candidates + self._find_nearer(image, whole, 2 * fitting)
        candidates = candidates + self._detector.find(image, whole, fitting / 2.5)
        return self._read_all(image, distinct(candidates), most=_MOST_PLATES_CLOSELY)

    def _find_nearer(self, image: Image, whole: Region, scale: float) -> list[Candidate]:
        """Return what tiles seen at `scale` show; nothing where that would only enlarge."""
        if scale > 1:
            return []
        tile = (math.ceil(self._detector.width_px / scale), math.ceil(self._detector.height_px / scale))
        regions = tiles(whole, tile, math.ceil(_TILE_OVERLAP_PX / scale))
        return [found for region in regions for found in self._detector.find(image, region, scale)]

    def read_crop(self, image: Image) -> PlateRead:
        """Return what stands on a cut-out plate; its corners are the picture's. Raises BadFrame.

        Seen from the side a plate stands aslant in its cut-out: a doubtful one is read by its corners too.
        """
        _check(image)
        height, width = image.shape[:2]
        corners = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        framing = self.manifest.reader.framing
        whole = Candidate(corners=corners, score=1.0, two_rows=0.0)
        reads = []
        further = cache(lambda: self._own_corners(image, whole))
        for rows in (1, 2) if width < framing.two_rows_below * height else (1,):
            cut = unstacked(image, framing, rows=rows, **self._window_size())
            reads.append(self._read_cut(image, cut, whole, rows, further))
        return max(reads, key=_sureness)

    def self_test(self) -> None:
        """Run every model once on a grey frame. Raises VisionError when one cannot."""
        grey = np.full((360, 640, 3), 128, np.uint8)
        corners = np.asarray([[100, 100], [200, 100], [200, 132], [100, 132]], np.float32)
        self.read_frame(grey)
        self._refiner.refine(grey, Candidate(corners=corners, score=1.0, two_rows=0.0))
        self.read_crop(grey)

    def _read_all(
        self, image: Image, candidates: list[Candidate], most: int = _MOST_PLATES
    ) -> list[PlateRead]:
        # Four corners on one line span no patch to look at.
        sound = [candidate for candidate in candidates[:most] if _is_sound(candidate.corners)]
        refined = [self._refiner.refine(image, candidate) for candidate in sound]
        plate_from = self.manifest.refiner.plate_from
        plates = [c for c in distinct(refined) if c.score >= plate_from and _is_sound(c.corners)]
        reads = [_doubted_if_cut_off(self._read_plate(image, plate), image) for plate in plates]
        reads = [read for read in reads if _legibility(read) >= _LEGIBLE_FROM]
        return sorted(reads, key=_sureness, reverse=True)

    def _read_plate(self, image: Image, plate: Candidate) -> PlateRead:
        reads = []
        further = cache(lambda: self._surer_corners(image, plate))
        for rows, share in ((1, 1 - plate.two_rows), (2, plate.two_rows)):
            if share < _UNSURE_ROWS:
                continue
            cut = self._cut(image, plate.corners, rows)
            reads.append(self._read_cut(image, cut, plate, rows, further))
        return max(reads, key=_sureness)

    def _read_cut(
        self,
        image: Image,
        cut: Image,
        plate: Candidate,
        rows: int,
        further: Callable[[], list[Corners]],
    ) -> PlateRead:
        """Read a window, quickly if that will do.

        A doubtful plate is read carefully, a still doubtful one by `further` corners too, all looks together.
        """
        quick = self._decided(self._quick_reader.read(cut), plate, sharpness(cut), self.manifest.quick_reader)
        if quick.reading.accepted or _legibility(quick) < _WORTH_ANOTHER_LOOK:
            return quick
        spec = self.manifest.reader
        looks = [self._reader.read(cut)]
        read = self._decided(looks[0], plate, quick.sharpness, spec)
        if self._is_plain(read) or _legibility(read) < _WORTH_ANOTHER_LOOK:
            return read
        for corners in further():
            looks.append(self._reader.read(self._cut(image, corners, rows)))
        # Looks at one picture are one witness: averaged, not multiplied.
        evidence = fuse(looks, [1.0] * len(looks), dependence=1.0)
        together = self._decided(evidence, plate, read.sharpness, spec)
        confirmed = read.reading.accepted and read.reading.text == together.reading.text
        return read if confirmed else together

    def _is_plain(self, read: PlateRead) -> bool:
        """Whether one look was enough: it leaves a third of the doubt that an accepted reading may have."""
        doubt = (1 - self.manifest.reader.accept_from) / 3
        return read.reading.accepted and read.reading.confidence >= 1 - doubt

    def _own_corners(self, image: Image, cut_out: Candidate) -> list[Corners]:
        """The corners of the plate in its cut-out and the same framed wider and tighter."""
        refined = self._refiner.refine(image, cut_out)
        if refined.score < self.manifest.refiner.plate_from or not _is_sound(refined.corners):
            return _framings(cut_out.corners)
        return self._surer_corners(image, refined)

    def _surer_corners(self, image: Image, plate: Candidate) -> list[Corners]:
        """The plate's corners as a second refining leaves them, and the same framed wider and tighter."""
        corners = self._refiner.refine_again(image, plate).corners
        return [corners, *_framings(corners)]

    def _cut(self, image: Image, corners: Corners, rows: int) -> Image:
        return window(image, corners, self.manifest.reader.framing, rows=rows, **self._window_size())

    def _decided(self, evidence: Evidence, plate: Candidate, sharp: float, spec: ReaderSpec) -> PlateRead:
        kinds = {kind: p * plate.score for kind, p in evidence.kinds.items()}
        evidence = Evidence(slots=evidence.slots, kinds=kinds)
        points = tuple((float(x), float(y)) for x, y in plate.corners)
        return PlateRead(
            reading=decide(evidence, labels=spec.labels, accept_from=spec.accept_from),
            corners=(points[0], points[1], points[2], points[3]),
            evidence=evidence,
            sharpness=sharp,
        )

    def _window_size(self) -> dict[str, int]:
        return {"width_px": self._reader.width_px, "height_px": self._reader.height_px}


def _framings(corners: Corners) -> list[Corners]:
    return [widened(corners, *margins) for margins in _SECOND_LOOKS]


def _check(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise BadFrame("", f"a frame is height x width x 3 bytes, got {image.shape} of {image.dtype}", "")
    if image.shape[0] < 8 or image.shape[1] < 8:
        raise BadFrame("", f"the picture is {image.shape[1]}x{image.shape[0]}, too small to hold a plate", "")


def _doubted_if_cut_off(read: PlateRead, image: Image) -> PlateRead:
    """Return the read, not accepted where the plate touches the picture's edge."""
    (height, width), corners = image.shape[:2], np.asarray(read.corners)
    plate_px = width_px(read.corners)
    margin = _CUT_OFF_WITHIN * plate_px
    has_room = (corners >= margin).all() and (corners <= np.subtract((width, height), margin)).all()
    if has_room or plate_px >= _CUT_OUT_FROM * width:
        return read
    return replace(read, reading=replace(read.reading, accepted=False), cut_off=True)


def _legibility(read: PlateRead) -> float:
    characters = read.reading.characters
    return sum(characters) / len(characters) if len(characters) >= _FEWEST_CHARACTERS else 0.0


def _sureness(read: PlateRead) -> tuple[bool, bool, float]:
    # The reader is also sure that something is no plate: rows read the wrong way give confident blanks.
    return read.reading.accepted, bool(kinds_of(read.reading.text)), read.reading.confidence


def _is_sound(corners: Corners) -> bool:
    """Whether the quad is convex, clockwise and large enough to hold characters."""
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return bool((turns >= _SMALLEST_PX2).all()) and float(np.linalg.norm(sides[0])) >= 12
