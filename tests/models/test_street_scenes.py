"""What detector and refiner are trained on: labels that stay true, and cuts that are the pole's."""

import dataclasses

import framing
import numpy as np
import pytest
import refiner_patches
from carriers import Carrier, is_held_out, load_carriers
from plate_art import Glyphs
from street_scenes import PlateBank, compose

from edged.vision.manifest import find_models, load_manifest
from edged.vision.rectifier import levelled, warped, widened, window

SIZE = {"width_px": 320, "height_px": 192}


def carrier(*, foreign: bool = False, with_plate: bool = True) -> Carrier:
    quad = np.asarray([[[300, 200], [420, 206], [418, 246], [298, 240]]], np.float32)
    return Carrier(
        name="scenes/somewhere.jpg",
        image=np.full((480, 720, 3), 120, np.uint8),
        quads=quad if with_plate else quad[:0],
        rows=(1,) if with_plate else (),
        foreign=foreign,
    )


@pytest.fixture(scope="module")
def bank(glyphs: Glyphs) -> PlateBank:
    return PlateBank(30, np.random.default_rng(3))


@pytest.mark.parametrize("seed", range(12))
def test_a_composed_plate_is_where_its_label_says(bank: PlateBank, seed: int) -> None:
    sample = compose(np.random.default_rng(seed), carrier(foreign=True), bank, **SIZE, plate_px=(60, 90))
    assert sample.image.shape == (192, 320, 3)
    for quad in sample.quads:
        inner = quad.mean(axis=0) + (quad - quad.mean(axis=0)) * 0.7
        patch, _ = warped(sample.image, inner.astype(np.float32), 64, 20)
        # Characters, where the carrier is flat grey; by night both are dark.
        assert patch.std() > 0.05 * patch.mean()


def test_the_same_seed_composes_the_same_picture(bank: PlateBank) -> None:
    one, two = (
        compose(np.random.default_rng(5), carrier(), bank, **SIZE, plate_px=(30, 90)) for _ in range(2)
    )
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.quads, two.quads)


def test_foreign_plates_are_never_taken_for_ours(bank: PlateBank) -> None:
    kept = [
        compose(np.random.default_rng(seed), carrier(foreign=True), bank, **SIZE, plate_px=(60, 90))
        for seed in range(40)
    ]
    assert any(len(sample.foreign) for sample in kept)
    for sample in kept:
        for quad in sample.foreign:
            assert not any(np.allclose(quad, ours, atol=4) for ours in sample.quads)


def test_validation_scenes_are_held_out_by_name_and_street_pictures_by_checksum() -> None:
    assert is_held_out("scenes/easypr/0a.jpg")
    assert is_held_out("scenes/ccpd/3f.jpg")
    assert not is_held_out("scenes/easypr/4a.jpg")
    names = [f"street/somebody+videos/frame_{i}.jpg" for i in range(400)]
    assert 60 < sum(is_held_out(name) for name in names) < 140


def test_the_pole_cuts_plates_exactly_as_training_did() -> None:
    picture = np.random.default_rng(2).integers(0, 255, (300, 400, 3), np.uint8)
    quad = np.asarray([[100, 80], [300, 120], [290, 190], [95, 150]], np.float32)
    told = load_manifest(find_models()).reader.framing
    for rows in (1, 2):
        pole = window(picture, quad, told, rows=rows, width_px=framing.WIDTH, height_px=framing.HEIGHT)
        taught = framing.rectified(picture, framing.widened(quad, framing.MARGIN_X, framing.MARGIN_Y), rows)
        assert np.array_equal(pole, taught)
        assert np.array_equal(levelled(pole, told.levels), framing.levelled(taught))
    told = dataclasses.replace(told, margin_x=0.1)
    other = window(picture, quad, told, rows=1, width_px=framing.WIDTH, height_px=framing.HEIGHT)
    assert not np.array_equal(other, framing.rectified(picture, quad))


def test_the_pole_patches_candidates_exactly_as_training_did() -> None:
    picture = np.random.default_rng(2).integers(0, 255, (300, 400, 3), np.uint8)
    quad = np.asarray([[100, 80], [300, 120], [290, 190], [95, 150]], np.float32)
    told = load_manifest(find_models()).refiner
    grown = widened(quad, told.margin_x / (1 - 2 * told.margin_x), told.margin_y / (1 - 2 * told.margin_y))
    pole, matrix = warped(picture, grown, refiner_patches.WIDTH, refiner_patches.HEIGHT)
    taught, homography = refiner_patches.patch_of(picture, quad)
    assert np.array_equal(pole, taught)
    assert np.allclose(matrix, homography)


def test_a_patch_tells_where_the_corners_are(bank: PlateBank) -> None:
    rng = np.random.default_rng(9)
    sample = compose(rng, carrier(), bank, **SIZE, plate_px=(60, 90))
    assert len(sample.quads)
    for patch, target in refiner_patches.patches(sample, rng):
        assert patch.shape == (refiner_patches.HEIGHT, refiner_patches.WIDTH, 3)
        if target[3]:
            corners = target[4:].reshape(4, 2)
            assert (corners[1] - corners[0])[0] > 0.2
            assert (corners[3] - corners[0])[1] > 0.1
        assert target[0] >= target[3]


def test_a_missing_label_file_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OSError, match=r"labels\.csv"):
        load_carriers(tmp_path)
