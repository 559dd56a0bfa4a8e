"""From a frame to the plates on it: find, refine, rectify, read."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from edged.domain.reading import PlateRead
from edged.domain.trouble import Trouble
from edged.picture import Image
from edged.vision.detector import Candidate, Detector, Refiner, distinct, is_sound, points_of, views_of_each
from edged.vision.errors import INSTALL_ONE_RELEASE, BadFrame, ModelMisreads
from edged.vision.looks import Looks
from edged.vision.manifest import Manifest, find_models, load_manifest
from edged.vision.ranking import LEGIBLE_FROM, doubted_if_cut_off, legibility, once_each, same_place
from edged.vision.reader import Reader
from edged.vision.regions import Polygon, Region, stands_in, surroundings, tiles
from edged.vision.runtime import Model, Runtime, chosen_runtime, version_of
from edged.vision.self_test import self_test_pictures

# The detector's score from which a candidate is clear; most of the fainter ones are no plates.
_CLEAR_FROM = 0.3
# Candidates of a picture that are looked at, the best first: of a frame, which is in a hurry, and of a file.
_MOST_PLATES = 16
_MOST_PLATES_CLOSELY = 48
# Enlarging small pictures helps the detector up to here; beyond is mush.
_MAX_SCALE = 2.0
# Tiles of an unknown picture overlap by the widest plate that only they can show.
_TILE_OVERLAP_PX = 96
# A candidate nearer to a tile's border than this part of its width is cut by it.
_CUT_BY_TILE_WITHIN = 0.03
# Views of one plate (by several candidates) that are read until one is accepted.
_MOST_VIEWS = 3


class PlateVision:
    """Finds and reads plates. One instance for one thread."""

    def __init__(self, manifest: Manifest, *, threads: int = 1, runtime: Runtime | None = None) -> None:
        """Load the models. Raises VisionError."""

        def load(spec: object) -> Model:
            file = spec.model  # type: ignore[attr-defined]
            return Model(file.path, file.sha256, threads=threads, runtime=runtime)

        self.manifest = manifest
        self._runtime, self._fallback_reason = chosen_runtime(runtime)
        self._detector = Detector(load(manifest.detector), manifest.detector)
        self._refiner = Refiner(load(manifest.refiner), manifest.refiner)
        self._quick_reader = Reader(load(manifest.quick_reader), manifest.quick_reader)
        self._reader = Reader(load(manifest.reader), manifest.reader)
        self._looks = Looks(manifest, self._refiner, self._quick_reader, self._reader)

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
        plates beside large ones. What a further pass reads is added; nothing accepted is lost by it. Raises
        BadFrame.
        """
        _check(image)
        height, width = image.shape[:2]
        whole = Region(left=0, top=0, right=width, bottom=height)
        fitting = min(self._detector.fitting_scale(whole), _MAX_SCALE)
        candidates = self._detector.find(image, whole, fitting)
        reads = self._read_all(image, [c for c in candidates if c.score >= _CLEAR_FROM])
        if closely or not _any_accepted(reads):
            faint = [c for c in candidates if c.score < _CLEAR_FROM]
            further = faint + self._find_nearer(image, whole, 2 * fitting)
            reads = self._read_further(image, further, reads)
        if not _any_accepted(reads):
            reads = self._read_further(image, self._detector.find(image, whole, fitting / 2.5), reads)
        return reads

    def _read_further(
        self, image: Image, candidates: list[Candidate], reads: list[PlateRead]
    ) -> list[PlateRead]:
        """Return `reads` and those of more candidates, the surest of each place."""
        known = [read.corners for read in reads if read.reading.accepted]
        left = [c for c in candidates if not any(same_place(points_of(c.corners), quad) for quad in known)]
        return once_each(reads + self._read_all(image, distinct(left), most=_MOST_PLATES_CLOSELY))

    def _find_nearer(self, image: Image, whole: Region, scale: float) -> list[Candidate]:
        """Return what tiles seen at `scale` show; nothing where that would only enlarge."""
        if scale > 1:
            return []
        tile = (math.ceil(self._detector.width_px / scale), math.ceil(self._detector.height_px / scale))
        regions = tiles(whole, tile, math.ceil(_TILE_OVERLAP_PX / scale))
        return [
            _behind_whole_ones(found, region, whole)
            for region in regions
            for found in self._detector.find(image, region, scale)
        ]

    def read_crop(self, image: Image) -> PlateRead:
        """Return what stands on a cut-out plate; its corners are the picture's. Raises BadFrame."""
        _check(image)
        return self._looks.read_cut_out(image)

    @property
    def runtime(self) -> str:
        """Return the runtime's name and version: `ai-edge-litert 2.3.0`."""
        return version_of(self._runtime)

    @property
    def fallback(self) -> Trouble | None:
        """Return why another runtime than the preferred one is used, None when it is not so."""
        if self._fallback_reason is None:
            return None
        cause = f"{self.runtime} reads the plates: {self._fallback_reason}"
        return Trouble(where="", cause=cause, remedy="pip install ai-edge-litert, into edged's environment")

    def self_test(self) -> None:
        """Read rendered plates whose texts are known, by every model. Raises VisionError when one is misread.

        A runtime may load a model and compute garbage: tflite-runtime 2.14 did on ARM cores without dot
        product instructions (docs/decisions/0077).
        """
        for name, expected, image in self_test_pictures():
            reads = self.read_frame(image)
            if not reads:
                raise self._misread(name, expected, "no plate")
            plate = Candidate(corners=np.asarray(reads[0].corners, np.float32), score=1.0, two_rows=0.0)
            for read in (reads[0], *self._looks.read_by_each(image, plate)):
                if read.reading.text != expected:
                    raise self._misread(name, expected, repr(read.reading.text))

    def _misread(self, name: str, expected: str, got: str) -> ModelMisreads:
        cause = f"{self.runtime} reads {got} where {expected!r} stands ({name})"
        return ModelMisreads(f"models {self.manifest.version}", cause, INSTALL_ONE_RELEASE)

    def _read_all(
        self, image: Image, candidates: list[Candidate], most: int = _MOST_PLATES
    ) -> list[PlateRead]:
        # Four corners on one line span no patch to look at.
        sound = [candidate for candidate in candidates[:most] if is_sound(candidate.corners)]
        refined = [self._refiner.refine(image, candidate) for candidate in sound]
        plate_from = self.manifest.refiner.plate_from
        plates = [c for c in refined if c.score >= plate_from and is_sound(c.corners)]
        reads: list[PlateRead] = []
        for views in views_of_each(plates):
            for view in views[:_MOST_VIEWS]:
                read = doubted_if_cut_off(self._looks.read_plate(image, view), image)
                if legibility(read) >= LEGIBLE_FROM:
                    reads.append(read)
                if read.reading.accepted:
                    break
        return once_each(reads)


def _behind_whole_ones(candidate: Candidate, tile: Region, whole: Region) -> Candidate:
    """Return the candidate with half its score where it ends at a tile's inner border.

    Another tile shows the whole plate, and may be less sure of it than this one is of a part.
    """
    (left, top), (right, bottom) = candidate.corners.min(axis=0), candidate.corners.max(axis=0)
    near = _CUT_BY_TILE_WITHIN * (right - left)
    cut = (
        (tile.left > whole.left and left < tile.left + near)
        or (tile.top > whole.top and top < tile.top + near)
        or (tile.right < whole.right and right > tile.right - near)
        or (tile.bottom < whole.bottom and bottom > tile.bottom - near)
    )
    return replace(candidate, score=candidate.score / 2) if cut else candidate


def _any_accepted(reads: list[PlateRead]) -> bool:
    return any(read.reading.accepted for read in reads)


def _check(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise BadFrame("", f"a frame is height x width x 3 bytes, got {image.shape} of {image.dtype}", "")
    if image.shape[0] < 8 or image.shape[1] < 8:
        raise BadFrame("", f"the picture is {image.shape[1]}x{image.shape[0]}, too small to hold a plate", "")
