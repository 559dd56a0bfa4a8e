import os
import sys
from pathlib import Path

import numpy as np
import pytest

# The training code runs as scripts from its own folder; it is no package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))

from plate_art import Glyphs, load_glyphs


@pytest.fixture(scope="session")
def glyphs() -> Glyphs:
    folder = Path(os.environ.get("EDGED_TEST_DATA", "../shared")) / "plates" / "glyphs"
    if not folder.is_dir():
        pytest.skip(f"no glyph pictures in {folder}: set EDGED_TEST_DATA")
    return load_glyphs(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
