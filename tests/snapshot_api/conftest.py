from collections.abc import Iterator
from pathlib import Path

import pytest
from served_api import Api, FakePole, served

from edged.store.evidence import EvidenceFolder


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(FakePole(EvidenceFolder(tmp_path / "evidence"))) as api:
        yield api
