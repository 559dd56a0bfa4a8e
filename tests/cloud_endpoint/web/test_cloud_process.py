"""`edged-cloud serve` as a process of its own, as systemd starts it: workers, logs, metrics, proxies."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from cloud_street import POLE_CODE, SITE, registry_of
from hostile_receiver import queue_webhooks, slow_receiver
from sqlalchemy import text

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.database.engine import open_engine, writing
from cloud_endpoint.database.schema import migrate
from cloud_endpoint.street.registry import RegistryFile, load_registry
from tests.waiting import until


@dataclass
class Served:
    """The process, and what it is reached by."""

    url: str
    database_url: str
    terminal: str
    log: Path

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def page(self, forwarded_for: str) -> int:
        """Open an order from the driver's page, with this X-Forwarded-For."""
        answer = requests.post(
            f"{self.url}/pay",
            data={"code": POLE_CODE},
            headers={"X-Forwarded-For": forwarded_for},
            timeout=20,
            allow_redirects=False,
        )
        return answer.status_code

    def metric(self, pattern: str) -> float:
        body = requests.get(f"{self.url}/metrics", timeout=20).text
        found = re.search(rf"^{pattern} ([0-9.e+]+)$", body, re.M)
        return float(found[1]) if found else 0.0


@contextmanager
def serving(tmp_path: Path, **server: object) -> Iterator[Served]:
    database_url = f"sqlite:///{tmp_path}/cloud.db"
    engine = open_engine(database_url)
    migrate(engine)
    with writing(engine) as connection:
        load_registry(connection, RegistryFile.model_validate(registry_of()), system_clock())
        token, _ = add_credential(connection, SITE, Role.TERMINAL, "page", system_clock())
    engine.dispose()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {
        "DATABASE_URL": database_url,
        "SERVER_PORT": port,
        "PAGES_TERMINAL_TOKENS": token,
        "LIMITS_ORDERS_PER_ADDRESS_PER_HOUR": 2,
        **{f"SERVER_{name}".upper(): value for name, value in server.items()},
    }
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "cloud_endpoint.cli", "serve"],
            env=os.environ | {f"EDGED_CLOUD_{name}": str(value) for name, value in values.items()},
            stderr=stderr,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is None and _ready(url), "it is ready", within_s=100)
        yield Served(url=url, database_url=database_url, terminal=token, log=log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)
    assert process.returncode in (0, -signal.SIGTERM), log.read_text()


@pytest.mark.long
def test_sigterm_ends_within_the_units_limit_whatever_peers_do(tmp_path: Path) -> None:
    """A receiver answers a byte every 2 s; a phone sends the head of its request and nothing more."""
    unit = Path(__file__).parents[3] / "systemd" / "edged-cloud.service"
    limit = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.M)
    assert limit is not None
    with slow_receiver() as receiver, ExitStack() as stack:
        with serving(tmp_path, workers=2) as cloud:
            engine = open_engine(cloud.database_url)
            stack.callback(engine.dispose)
            with writing(engine) as connection:
                queue_webhooks(connection, receiver.url, 200, system_clock())
            until(lambda: receiver.held, "the receiver holds the service up")
            host, port = cloud.url.removeprefix("http://").split(":")
            for _ in range(8):
                phone = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
                phone.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            stopped_s = time.monotonic()
        assert time.monotonic() - stopped_s < int(limit[1]) - 5


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_two_workers_count_together_log_json_and_believe_only_the_proxy(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as cloud:
        headers = {"Authorization": f"Bearer {cloud.terminal}"}
        body = {"place": {"pole_code": POLE_CODE}, "account_id": "driver-1"}
        for _ in range(8):  # each on a connection of its own, so that both workers get some
            answer = requests.post(f"{cloud.url}/v1/orders", json=body, headers=headers, timeout=20)
            assert answer.status_code == 201
            assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])
        named = requests.get(
            f"{cloud.url}/v1/orders/{answer.json()['order_id']}",
            headers=headers | {"X-Request-ID": "from-the-app-1"},
            timeout=20,
        )
        assert named.headers["X-Request-ID"] == "from-the-app-1"
        answers = r'edged_cloud_answers_total\{method="POST",route="/v1/orders",status="201"\}'
        # A worker counts an answer after it has sent it.
        until(lambda: cloud.metric(answers) == 8, "all eight are counted")
        assert cloud.metric(r'edged_cloud_open_orders\{state="draft"\}') == 8
        requests.get(f"{cloud.url}/no/such/{SITE}", timeout=20)
        nowhere = r'edged_cloud_answers_total\{method="GET",route="none",status="404"\}'
        until(lambda: cloud.metric(nowhere) == 1, "the unknown path is counted, without its name")
        # The proxy appends the address it sees; what stands before it may be forged.
        assert [cloud.page(f"198.51.100.{i}, 203.0.113.9") for i in range(3)] == [303, 303, 429]
        assert cloud.page("203.0.113.10") == 303
        lines = until(
            lambda: [line for line in cloud.lines() if line.get("request_id") == "from-the-app-1"],
            "the request is in the log",
        )
        assert lines[0]["route"] == "/v1/orders/{order_id}"
        assert cloud.terminal not in cloud.log.read_text()
        assert POLE_CODE not in cloud.log.read_text()
    pids = re.findall(r"Started server process \[(\d+)\]", cloud.log.read_text())
    assert len(set(pids)) == 2


def test_an_address_that_no_trusted_proxy_reports_is_not_believed(tmp_path: Path) -> None:
    with serving(tmp_path, trusted_proxies="10.0.0.0/8") as cloud:
        assert [cloud.page(f"203.0.113.{i}") for i in range(3)] == [303, 303, 429]
        assert requests.get(f"{cloud.url}/healthz", timeout=20).json() == {"status": "ok"}
        engine = open_engine(cloud.database_url)
        with writing(engine) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        engine.dispose()
        refused = requests.get(f"{cloud.url}/readyz", timeout=20)
        assert (refused.status_code, refused.json()["remedy"]) == (503, "run: edged-cloud migrate")
        assert requests.get(f"{cloud.url}/healthz", timeout=20).status_code == 200
