from collections.abc import Iterator
from pathlib import Path

import pytest
from store_parts import opened

from edged.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store") as store:
        yield store
