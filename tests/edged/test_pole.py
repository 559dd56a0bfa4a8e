"""What the cloud may ask of the pole, over a real store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edged.box.clock import Clock
from edged.domain.berth import Berth, Phase
from edged.settings import StoreSettings, load_settings
from edged.snapshot_api import RecordsUnavailableError
from edged.store import Store
from edged.uplink import CredentialsFile
from edged.wire import CaptureRequest
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


def test_an_answer_to_the_cloud_that_cannot_be_stored_is_asked_for_again(tmp_path: Path) -> None:
    settings = load_settings(CONFIG)
    request = CaptureRequest(
        request_id="request-0001",
        berth_no="9999",
        nonce=NONCE,
        expires_at=datetime.now(UTC) + timedelta(minutes=1),
    )
    lost: list[str] = []
    with Store(StoreSettings(directory=tmp_path)) as store:
        credentials = CredentialsFile(tmp_path / "none.json")
        pole = Pole(settings, store, Clock(), Board(settings.berth), HealthBook(), {}, credentials)
        pole.carry_out(request, lambda: lost.append(request.request_id))
        assert lost == ["request-0001"]
        store.reopen()
        pole.carry_out(request, lambda: lost.append(request.request_id))
        assert store.counts().waiting == 1
    assert lost == ["request-0001"]
