"""Rendered plates (`edged.demo.scene`) with their texts: what every release of the models must read."""

import json
from collections.abc import Iterator
from importlib import resources

from edged.picture import Image, decode_jpeg


def self_test_pictures() -> Iterator[tuple[str, str, Image]]:
    """Yield the name of each picture, the text on its plate, and the picture."""
    folder = resources.files(__name__)
    expected: dict[str, str] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    for name, text in expected.items():
        yield name, text, decode_jpeg((folder / name).read_bytes())
