"""The service as it is measured: its workers as processes, on PostgreSQL with fsync."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from cloud_endpoint.base.errors import CloudError
from cloud_endpoint.bench.load import Shot, fire
from cloud_endpoint.bench.postgres import Cluster
from cloud_endpoint.web.app import KEEP_ALIVE_S

WORKERS = 2
CONNECTIONS = 16
PG_OPTIONS = (
    "-c fsync=on -c synchronous_commit=on -c shared_buffers=256MB -c max_connections=150 -c max_wal_size=4GB"
)


class BenchFailed(CloudError):
    """A request that should have been answered was not."""


@contextmanager
def served(cluster: Cluster, **settings: object) -> Iterator[tuple[int, int]]:
    """Run the service with its workers; yields its port, and the process that its workers are children of."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "EDGED_CLOUD_DATABASE_URL": cluster.url,
        "EDGED_CLOUD_DATABASE_POOL_SIZE": "20",
        **{f"EDGED_CLOUD_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "uvicorn", "cloud_endpoint.bench.app:app_from_environment", "--factory"]
    command += ["--port", str(port), "--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"]
    command += ["--timeout-keep-alive", str(KEEP_ALIVE_S)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            _wait_ready(port, process)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchFailed("the service did not start")
        time.sleep(0.1)


def answered(
    port: int, messages: list[bytes], rate_per_s: float | None = None, connections: int = CONNECTIONS
) -> tuple[list[Shot], float]:
    """Send all messages and return their outcomes, and the time taken in s; raises BenchFailed."""
    shots, took_s = asyncio.run(fire(port, messages, connections, rate_per_s))
    wrong = [shot for shot in shots if shot.status != 200]
    if wrong:
        raise BenchFailed(f"{len(wrong)} of {len(shots)} answers: {wrong[0].status} {wrong[0].body[:300]!r}")
    return shots, took_s
