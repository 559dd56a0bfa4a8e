"""What is remembered of a view, and what becomes of a damaged file."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from edged.view import CameraWatch, ViewPlan
from edged.view.memory import ViewMemory

KEY = ("high", None)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_is_a_view_that_is_not_remembered(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    path = tmp_path / "high.npz"
    np.savez_compressed(path, grey=np.zeros((200, 300), np.uint8), plan=np.asarray("[]"))
    content = bytearray(path.read_bytes())
    if seed == 0:
        content = content[: len(content) // 2]
    elif seed == 1:
        content = bytearray(b"not a zip file")
    else:
        for _ in range(40):
            content[rng.randrange(30, len(content) - 60)] = rng.randrange(256)
    path.write_bytes(content)
    ViewMemory(tmp_path).recall(KEY, CameraWatch({None: ViewPlan(outlines={})}).views[None])


def test_no_two_views_share_a_file(tmp_path: Path) -> None:
    memory = ViewMemory(tmp_path)
    keys: list[tuple[str, int | None]] = [("cam", 1), ("cam-1", None), ("cam.1", None), ("cam_1", None)]
    assert len({memory.path_of(key) for key in keys}) == len(keys)
