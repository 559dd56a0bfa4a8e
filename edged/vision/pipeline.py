"""From a frame to the plates on it: find, refine, rectify, read."""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edged.domain.plate import kinds_of
from edged.domain.reading import Evidence, PlateRead, Quad, decide
from edged.picture import Image
from edged.vision.detector import Candidate, Detector, Refiner, Region, distinct
from edged.vision.errors import BadFrame
from edged.vision.manifest import Manifest, find_models, load_manifest
from edged.vision.reader import Reader, sharpness
from edged.vision.rectifier import Corners, unstacked, window
from edged.vision.runtime import Model, Runtime

Polygon = Sequence[tuple[int, int]]

_MAX_PLATES = 16
# A plate may hang over the berth's line by this part of its width.
_OVERHANG = 0.5
# What is added around a berth's polygon: the plate of a vehicle that stands a little out.
_TILE_MARGIN = 0.06
# Enlarging small pictures helps the detector up to here; beyond is mush.
_MAX_SCALE = 2.0
# Tiles of an unknown picture overlap by the widest plate that only they can show.
_TILE_OVERLAP_PX = 96
# What shows fewer characters is a lamp, a badge or a sign.
_FEWEST_CHARACTERS = 5
# Rows that are at least this likely are tried; the surer reading is taken.
_UNSURE_ROWS = 0.1


class PlateVision:
    """Finds and reads plates. One instance for one thread."""

    def __init__(self, manifest: Manifest, *, threads: int = 1, runtime: Runtime | None = None) -> None:
        """Load the three models. Raises VisionError."""

        def load(spec: object) -> Model:
            file = spec.model  # type: ignore[attr-defined]
            return Model(file.path, file.sha256, threads=threads, runtime=runtime)

        self.manifest = manifest
        self._detector = Detector(load(manifest.detector), manifest.detector)
        self._refiner = Refiner(load(manifest.refiner), manifest.refiner)
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
        stand in it are returned. Raises BadFrame.
        """
        _check(image)
        height, width = image.shape[:2]
        if polygon_px is None:
            region = Region(left=0, top=0, right=width, bottom=height)
        else:
            region = _surroundings(polygon_px, width, height)
        scale = min(self._detector.fitting_scale(region), _MAX_SCALE)
        reads = self._read_all(image, self._detector.find(image, region, scale))
        if polygon_px is not None:
            reads = [read for read in reads if _stands_in(read.corners, polygon_px)]
        return reads

    def read_picture(self, image: Image) -> list[PlateRead]:
        """Return the plates of a picture of unknown scale: the whole first, then closer and from farther off.

        The other scales are looked at only when the whole picture gives nothing that is accepted.
        Raises BadFrame.
        """
        _check(image)
        height, width = image.shape[:2]
        whole = Region(left=0, top=0, right=width, bottom=height)
        fitting = min(self._detector.fitting_scale(whole), _MAX_SCALE)
        candidates = self._detector.find(image, whole, fitting)
        reads = self._read_all(image, candidates)
        if any(read.reading.accepted for read in reads):
            return reads
        candidates = candidates + self._detector.find(image, whole, fitting / 2.5)
        scale = fitting * 2
        if scale <= 1:
            tile = (math.ceil(self._detector.width_px / scale), math.ceil(self._detector.height_px / scale))
            for region in _tiles(whole, tile, math.ceil(_TILE_OVERLAP_PX / scale)):
                candidates = candidates + self._detector.find(image, region, scale)
        return self._read_all(image, distinct(candidates))

    def read_crop(self, image: Image) -> PlateRead:
        """Return what stands on a cut-out plate; its corners are the picture's. Raises BadFrame."""
        _check(image)
        height, width = image.shape[:2]
        corners = np.asarray([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        framing = self.manifest.reader.framing
        reads = []
        for rows in (1, 2) if width < framing.two_rows_below * height else (1,):
            cut = unstacked(image, framing, rows=rows, **self._window_size())
            reads.append(self._decided(self._reader.read(cut), corners, 1.0, sharpness(cut)))
        return max(reads, key=_sureness)

    def self_test(self) -> None:
        """Run every model once on a grey frame. Raises VisionError when one cannot."""
        grey = np.full((360, 640, 3), 128, np.uint8)
        corners = np.asarray([[100, 100], [200, 100], [200, 132], [100, 132]], np.float32)
        self.read_frame(grey)
        self._refiner.refine(grey, Candidate(corners=corners, score=1.0, two_rows=0.0))
        self.read_crop(grey)

    def _read_all(self, image: Image, candidates: list[Candidate]) -> list[PlateRead]:
        refined = [self._refiner.refine(image, candidate) for candidate in candidates[:_MAX_PLATES]]
        plate_from = self.manifest.refiner.plate_from
        plates = [c for c in distinct(refined) if c.score >= plate_from and _is_sound(c.corners)]
        reads = [self._read_plate(image, plate) for plate in plates]
        reads = [read for read in reads if len(read.reading.text) >= _FEWEST_CHARACTERS]
        return sorted(reads, key=_sureness, reverse=True)

    def _read_plate(self, image: Image, plate: Candidate) -> PlateRead:
        reads = []
        for rows, share in ((1, 1 - plate.two_rows), (2, plate.two_rows)):
            if share < _UNSURE_ROWS:
                continue
            cut = window(image, plate.corners, self.manifest.reader.framing, rows=rows, **self._window_size())
            reads.append(self._decided(self._reader.read(cut), plate.corners, plate.score, sharpness(cut)))
        return max(reads, key=_sureness)

    def _decided(self, evidence: Evidence, corners: Corners, plate: float, sharp: float) -> PlateRead:
        kinds = {kind: p * plate for kind, p in evidence.kinds.items()}
        evidence = Evidence(slots=evidence.slots, kinds=kinds)
        spec = self.manifest.reader
        points = tuple((float(x), float(y)) for x, y in corners)
        return PlateRead(
            reading=decide(evidence, labels=spec.labels, accept_from=spec.accept_from),
            corners=(points[0], points[1], points[2], points[3]),
            evidence=evidence,
            sharpness=sharp,
        )

    def _window_size(self) -> dict[str, int]:
        return {"width_px": self._reader.width_px, "height_px": self._reader.height_px}


def _check(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise BadFrame(f"a frame is height x width x 3 bytes, got {image.shape} of {image.dtype}")
    if image.shape[0] < 8 or image.shape[1] < 8:
        raise BadFrame(f"the picture is {image.shape[1]}x{image.shape[0]}, too small to hold a plate")


def _surroundings(polygon: Polygon, width: int, height: int) -> Region:
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    margin_x, margin_y = _TILE_MARGIN * (max(xs) - min(xs)) + 8, _TILE_MARGIN * (max(ys) - min(ys)) + 8
    left, right = max(0, round(min(xs) - margin_x)), min(width, round(max(xs) + margin_x))
    top, bottom = max(0, round(min(ys) - margin_y)), min(height, round(max(ys) + margin_y))
    if right - left < 8 or bottom - top < 8:
        raise BadFrame(
            f"the berth's polygon {list(polygon)} lies outside the {width}x{height} frame;"
            " correct the polygon or the camera's resolution"
        )
    return Region(left=left, top=top, right=right, bottom=bottom)


def _stands_in(corners: Quad, polygon: Polygon) -> bool:
    x, y = (sum(point[axis] for point in corners) / 4 for axis in (0, 1))
    inside_px = cv2.pointPolygonTest(np.asarray(polygon, np.float32), (x, y), True)
    return bool(inside_px >= -_OVERHANG * math.dist(corners[0], corners[1]))


def _tiles(whole: Region, size: tuple[int, int], overlap: int) -> list[Region]:
    """Return regions of `size` that cover the whole and overlap at least so much, evenly spread."""
    spans = []
    for length, tile in zip((whole.width, whole.height), size, strict=True):
        count = 1 if length <= tile else math.ceil((length - overlap) / max(1, tile - overlap))
        step = (length - tile) / max(1, count - 1)
        spans.append([(max(0, round(i * step)), min(length, round(i * step) + tile)) for i in range(count)])
    return [
        Region(left=left, top=top, right=right, bottom=bottom)
        for top, bottom in spans[1]
        for left, right in spans[0]
    ]


def _sureness(read: PlateRead) -> tuple[bool, bool, float]:
    # The reader is also sure that something is no plate: rows read the wrong way give confident blanks.
    return read.reading.accepted, bool(kinds_of(read.reading.text)), read.reading.confidence


def _is_sound(corners: Corners) -> bool:
    """Whether the quad is convex, clockwise and large enough to hold characters."""
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return bool((turns > 0).all()) and float(np.linalg.norm(sides[0])) >= 12
