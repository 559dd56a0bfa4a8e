"""What the cloud may ask of the pole, over a real store."""

from pathlib import Path

import pytest

from edged.box.clock import Clock
from edged.domain.berth import Berth, Phase
from edged.settings import StoreSettings, load_settings
from edged.snapshot_api import RecordsUnavailableError
from edged.store import Store
from edged.uplink import CredentialsFile
from edged.workers.board import Board
from edged.workers.health_book import HealthBook
from edged.workers.pole import Pole

CONFIG = Path(__file__).parents[2] / "config" / "edged.toml"
NONCE = "12345678"


def test_a_snapshot_says_so_while_the_records_cannot_be_read(tmp_path: Path) -> None:
    settings = load_settings(CONFIG)
    berth_no = settings.berth[0].berth_no
    board = Board(settings.berth)
    board.put(
        Berth(
            berth_no=berth_no,
            settle_in_s=1,
            settle_out_s=1,
            phase=Phase.OCCUPIED,
            visit_id="visit-0001",
            heard=True,
        )
    )
    with Store(StoreSettings(directory=tmp_path)) as store:
        credentials = CredentialsFile(tmp_path / "none.json")
        pole = Pole(settings, store, Clock(), board, HealthBook(), {}, credentials)
        with pytest.raises(RecordsUnavailableError, match="not open yet"):
            pole.snapshot(berth_no, NONCE)
        store.reopen()
        assert pole.snapshot(berth_no, NONCE).visit_id == "visit-0001"
