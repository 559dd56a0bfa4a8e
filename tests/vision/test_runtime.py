"""The TFLite runtimes: only the model that the manifest describes, and the same answers from both."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from edged.vision.errors import ModelMismatch, ModelMissing
from edged.vision.manifest import Manifest, ModelFile
from edged.vision.runtime import Model, Runtime, available_runtimes, checked_bytes


def test_a_changed_model_is_never_loaded(tmp_path: Path, manifest: Manifest) -> None:
    file = manifest.reader.model
    changed = tmp_path / "plate_reader.tflite"
    data = bytearray(file.path.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    with pytest.raises(ModelMismatch) as caught:
        Model(changed, file.sha256)
    message = str(caught.value)
    assert str(changed) in message
    assert file.sha256 in message
    assert "of one release together" in message
    assert hashlib.sha256(data).hexdigest() in message


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"plate_reader\.tflite: No such file"):
        checked_bytes(tmp_path / "plate_reader.tflite", "0" * 64)


def test_what_is_no_model_is_refused_even_with_the_right_hash(tmp_path: Path) -> None:
    path = tmp_path / "noise.tflite"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ModelMismatch, match="cannot load this model"):
        Model(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_litert_is_preferred_where_it_is_installed(manifest: Manifest) -> None:
    if Runtime.LITERT not in available_runtimes():
        pytest.skip("LiteRT is not installed")
    assert Model(manifest.reader.model.path, manifest.reader.model.sha256).runtime is Runtime.LITERT


def models(manifest: Manifest) -> list[ModelFile]:
    specs = (manifest.detector, manifest.refiner, manifest.quick_reader, manifest.reader)
    return [spec.model for spec in specs]


@pytest.mark.parametrize("index", range(4), ids=["detector", "refiner", "quick_reader", "reader"])
def test_both_runtimes_give_the_same_integers_to_within_rounding(manifest: Manifest, index: int) -> None:
    """LiteRT rescales sums in floating point, tflite-runtime in fixed point: a layer may differ by one."""
    if len(available_runtimes()) < 2:
        pytest.skip("only one TFLite runtime is installed (Python 3.12 and later have LiteRT alone)")
    file = models(manifest)[index]
    new, old = (Model(file.path, file.sha256, runtime=runtime) for runtime in Runtime)
    rng = np.random.default_rng(index)
    smooth = np.cumsum(rng.integers(-9, 10, new.input_shape), axis=1)
    pixels = np.clip(smooth + 128, 0, 255).astype(np.uint8)
    for left, right, output in zip(new.run(pixels), old.run(pixels), new.outputs, strict=True):
        difference = np.abs(left.astype(int) - right.astype(int))
        assert difference.mean() <= 2.0  # of 255, after some thirty layers
        assert difference.max() * output.scale <= 1.0


def test_every_model_is_full_integer_and_takes_bytes(manifest: Manifest) -> None:
    for file in models(manifest):
        model = Model(file.path, file.sha256)
        assert model.input_shape[0] == 1
        assert all(output.scale > 0 for output in model.outputs)


def test_the_refiner_places_corners_in_steps_below_a_pixel_of_its_patch(manifest: Manifest) -> None:
    model = Model(manifest.refiner.model.path, manifest.refiner.model.sha256)
    _, height_px, folded_width, _ = model.input_shape
    (places,) = (output for output in model.outputs if output.shape[-1] == 8)
    assert places.scale * max(height_px, 4 * folded_width) < 1


def test_all_models_together_are_small(manifest: Manifest) -> None:
    assert sum(file.path.stat().st_size for file in models(manifest)) <= 1.2e6


def test_models_load_from_any_folder(tmp_path: Path, manifest: Manifest) -> None:
    from edged.vision.pipeline import PlateVision

    for file in models(manifest):
        shutil.copy(file.path, tmp_path)
    shutil.copy(manifest.reader.model.path.parent / "manifest.json", tmp_path)
    PlateVision.load(tmp_path).self_test()
