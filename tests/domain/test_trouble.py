"""One form for whatever is wrong: where, cause, remedy."""

import pytest

from edged.camera import CameraError, CameraFault
from edged.domain.health import Finding, HealthStatus, overall
from edged.domain.trouble import Trouble, TroubleError
from edged.snapshot_api import ListenError
from edged.store import StoreError
from edged.uplink import UplinkError
from edged.vision.errors import VisionError


def test_a_trouble_reads_where_cause_remedy() -> None:
    trouble = Trouble(where="camera high", cause="no answer", remedy="check its cable")
    assert str(trouble) == "camera high: no answer; check its cable"


def test_a_trouble_leaves_out_what_it_has_not() -> None:
    assert str(Trouble(where="", cause="the daemon stops", remedy="")) == "the daemon stops"


@pytest.mark.parametrize("error_type", [StoreError, UplinkError, VisionError, ListenError])
def test_every_room_raises_errors_that_carry_a_trouble(error_type: type[TroubleError]) -> None:
    error = error_type("/var/lib/edged", "no room left", "free space")
    assert error.trouble == Trouble(where="/var/lib/edged", cause="no room left", remedy="free space")
    assert str(error) == str(error.trouble)


def test_the_trouble_of_a_camera_names_it_without_its_password() -> None:
    error = CameraError("high", "http://admin:secret@10.0.0.9/shot.jpg", CameraFault.TIMEOUT, "no answer")
    assert error.trouble.where == "camera 'high' (http://10.0.0.9/shot.jpg)"
    assert error.trouble.remedy


def test_a_finding_is_a_trouble_with_a_light() -> None:
    trouble = Trouble(where="/var/lib/edged", cause="no room left", remedy="free space")
    finding = Finding.of("store", HealthStatus.FAILED, trouble)
    assert str(finding) == "store: /var/lib/edged: no room left; free space"
    assert finding.light == "red"
    assert Finding.sound("disk", "900 MiB free").light == "green"


def test_the_worst_finding_decides_the_health() -> None:
    sound = Finding.sound("disk", "900 MiB free")
    late = Finding(where="uplink", status=HealthStatus.DEGRADED, cause="no answer", remedy="check the SIM")
    assert overall([]) is HealthStatus.OK
    assert overall([sound, late]) is HealthStatus.DEGRADED
