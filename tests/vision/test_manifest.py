"""The manifest: where models are looked for, and what is said about one that is broken."""

import json
from pathlib import Path
from typing import Any

import pytest

from edged.domain.plate import PlateKind
from edged.vision.errors import ManifestInvalid, ModelMissing
from edged.vision.manifest import Manifest, find_models, load_manifest


def write(folder: Path, manifest: Any) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def committed() -> Any:
    return json.loads((find_models() / "manifest.json").read_text(encoding="utf-8"))


def test_the_committed_manifest_is_whole(manifest: Manifest) -> None:
    assert set(manifest.reader.kinds) == set(PlateKind)
    assert manifest.reader.labels.count("") == 1
    assert len(set(manifest.reader.labels)) == len(manifest.reader.labels)
    assert 0.5 <= manifest.reader.accept_from <= manifest.quick_reader.accept_from <= 1
    assert manifest.quick_reader.labels == manifest.reader.labels


def test_a_configured_folder_without_models_is_an_error_not_a_reason_to_look_on(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no manifest\.json there"):
        find_models(tmp_path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    raw = committed()
    del raw["detector"]["sha256"]
    write(tmp_path, raw)
    with pytest.raises(ManifestInvalid, match=r"manifest\.json: sha256 is missing"):
        load_manifest(tmp_path)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    raw = committed()
    raw["reader"]["kinds"][0] = "spaceship"
    write(tmp_path, raw)
    with pytest.raises(ManifestInvalid, match="spaceship"):
        load_manifest(tmp_path)


def test_a_model_outside_the_folder_is_refused(tmp_path: Path) -> None:
    raw = committed()
    raw["reader"]["file"] = "../../etc/passwd"
    write(tmp_path, raw)
    with pytest.raises(ManifestInvalid, match="a name beside the manifest"):
        load_manifest(tmp_path)


def test_what_is_not_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ManifestInvalid, match="not JSON"):
        load_manifest(tmp_path)
