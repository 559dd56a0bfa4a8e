"""The committed models, loaded once."""

import os
from pathlib import Path

import pytest

from edged.vision.manifest import Manifest, find_models, load_manifest
from edged.vision.pipeline import PlateVision


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return load_manifest(find_models())


@pytest.fixture(scope="session")
def vision(manifest: Manifest) -> PlateVision:
    return PlateVision(manifest)


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The real pictures' folder; tests that need it are skipped without."""
    folder = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates"
    if not (folder / "labels.csv").is_file():
        pytest.skip(f"no pictures in {folder}; set EDGED_TEST_DATA")
    return folder
