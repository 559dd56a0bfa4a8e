"""`edged-cloud` for the people who run it: settings, registry, credentials, and what it says when wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_endpoint.errors import ConfigError
from cloud_endpoint.registry import read_registry
from cloud_endpoint.settings import CloudSettings, load_settings

ROOT = Path(__file__).parents[2]
REGISTRY = """
[[sites]]
site_id = "demo"
name = "Demo street"
[[berths]]
site_id = "demo"
berth_no = "1001"
device_id = "pole-1"
"""


def edged_cloud(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"EDGED_CLOUD_DATABASE_URL": f"sqlite:///{tmp_path}/cloud.db"}
    return subprocess.run(
        [sys.executable, "-m", "cloud_endpoint.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_sample_config_is_accepted_and_shows_the_defaults() -> None:
    loaded = load_settings(ROOT / "config" / "cloud.toml", {})
    defaults = CloudSettings()
    for name in set(CloudSettings.model_fields) - {"database"}:
        assert getattr(loaded, name) == getattr(defaults, name), name


def test_all_errors_of_a_config_come_at_once_with_file_and_key(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text("[orders]\nhold_s = -1\nhlod_s = 2\n[server]\nport = 99999\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(config, {})
    message = str(caught.value)
    assert message.count(str(config)) == 3
    for part in ("orders.hold_s", "orders.hlod_s: unknown key", "server.port", "99999"):
        assert part in message


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text("[orders]\nhold_s = 60\n")
    assert load_settings(config, {"EDGED_CLOUD_ORDERS_HOLD_S": "120"}).orders.hold_s == 120
    config.write_text("[orders\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings(config, {})


def test_a_wrong_registry_is_refused_with_file_and_field(tmp_path: Path) -> None:
    file = tmp_path / "berths.toml"
    file.write_text(REGISTRY + 'latt = 3\n[[sites]]\nsite_id = "x y"\nname = "n"\ntime_zone = "Mars"\n')
    with pytest.raises(ConfigError) as caught:
        read_registry(file)
    message = str(caught.value)
    for part in (str(file), "berths.0.latt", "sites.1.site_id", "Mars"):
        assert part in message


def test_from_an_empty_database_to_a_code_and_tokens(tmp_path: Path) -> None:
    missing = edged_cloud(tmp_path, "enrol", "--device-id", "pole-1", "--site", "demo")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "edged-cloud load FILE" in missing.stderr
    file = tmp_path / "berths.toml"
    file.write_text(REGISTRY)
    assert "1 sites, 1 berths" in edged_cloud(tmp_path, "load", str(file)).stdout
    code = edged_cloud(tmp_path, "enrol", "--device-id", "pole-1", "--site", "demo").stdout
    assert len(code.strip()) == 19
    token = edged_cloud(tmp_path, "terminal", "add", "--site", "demo", "--name", "app")
    assert token.stdout.startswith("app.")
    assert "signing secret" in token.stderr
    verified = edged_cloud(tmp_path, "audit", "verify", "--site", "demo")
    assert (verified.returncode, verified.stdout.split()[0]) == (0, "2")
