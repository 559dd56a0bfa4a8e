"""`edged diag` compares the box's clock with the cloud's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edged.diagnosis.parts import compared
from edged.domain.health import HealthStatus
from edged.settings import UplinkSettings
from edged.uplink import CloudClient


@contextmanager
def cloud_ahead_by(ahead: timedelta) -> Iterator[str]:
    """Serve /healthz with a Date header of that much later."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) + ahead, usegmt=True)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("ahead", "status"), [(timedelta(0), HealthStatus.OK), (timedelta(days=400), HealthStatus.DEGRADED)]
)
def test_a_clock_that_differs_from_the_clouds_is_a_finding(
    tmp_path: Path, ahead: timedelta, status: HealthStatus
) -> None:
    credentials = tmp_path / "none"
    with (
        cloud_ahead_by(ahead) as url,
        CloudClient(UplinkSettings(cloud_url=url, credentials=credentials)) as cloud,
    ):
        found = compared(cloud.reach())

    assert [finding.status for finding in found] == [status]
    assert ("s behind the cloud's" in found[0].cause) is (status is HealthStatus.DEGRADED)
