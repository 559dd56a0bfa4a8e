"""`edged-cloud` for the people who run it: settings, registry, credentials, and what it says when wrong."""

from pathlib import Path

import pytest

from cloud_endpoint import cli
from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.base.settings import CloudSettings, load_settings
from cloud_endpoint.database.schema import head
from cloud_endpoint.street.registry import read_registry

ROOT = Path(__file__).parents[3]
REGISTRY = """
[[sites]]
site_id = "demo"
name = "Demo street"
[[berths]]
site_id = "demo"
berth_no = "1001"
device_id = "pole-1"
"""


def edged_cloud(tmp_path: Path, *arguments: str) -> None:
    """Run a command in this process: starting Python eight times would be the test's whole time."""
    config = tmp_path / "cloud.toml"
    config.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/cloud.db"\n')
    cli.app([*arguments, "--config", str(config)], standalone_mode=False)


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


def test_a_wrong_value_of_the_environment_is_told_by_its_variable_and_no_secret_is_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(
            None,
            {
                "EDGED_CLOUD_SERVER_WORKERS": "many",
                "EDGED_CLOUD_SERVER_TRUSTED_PROXIES": "everybody",
                "EDGED_CLOUD_PAGES_TERMINAL_TOKENS": "s3cret",
                "EDGED_CLOUD_ORDER_HOLD_S": "5",
            },
        )
    message = str(caught.value)
    for part in (
        "_SERVER_WORKERS: ",
        "'many'",
        "'everybody' is no address",
        "NAME.SECRET",
        "_ORDER_HOLD_S: no such",
    ):
        assert part in message
    assert "s3cret" not in message


def test_lists_can_come_from_the_environment() -> None:
    settings = load_settings(
        None,
        {
            "EDGED_CLOUD_PAGES_TERMINAL_TOKENS": "a.1, b.2",
            "EDGED_CLOUD_SERVER_TRUSTED_PROXIES": "10.0.0.0/8 ::1",
        },
    )
    assert settings.pages.terminal_tokens == ("a.1", "b.2")
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    for url, shown in (
        (f"sqlite:///{tmp_path}/no/such/folder/cloud.db", "no/such/folder"),
        ("postgresql+psycopg://edged:s3cret@127.0.0.1:1/edged", "edged:***@127.0.0.1"),
    ):
        config = tmp_path / "cloud.toml"
        config.write_text(f'[database]\nurl = "{url}"\n')
        for command in (["migrate"], ["audit", "verify"]):
            with pytest.raises(ConfigError) as caught:
                cli.app([*command, "--config", str(config)], standalone_mode=False)
            assert shown in str(caught.value)
            assert "s3cret" not in str(caught.value)


def test_the_same_berth_twice_in_a_registry_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "berths.toml"
    file.write_text(REGISTRY + '[[berths]]\nsite_id = "demo"\nberth_no = "1001"\n')
    with pytest.raises(ConfigError, match="berth demo 1001 stands here more than once"):
        read_registry(file)


def test_a_wrong_registry_is_refused_with_file_and_field(tmp_path: Path) -> None:
    file = tmp_path / "berths.toml"
    file.write_text(REGISTRY + 'latt = 3\n[[sites]]\nsite_id = "x y"\nname = "n"\ntime_zone = "Mars"\n')
    with pytest.raises(ConfigError) as caught:
        read_registry(file)
    message = str(caught.value)
    for part in (str(file), "berths.0.latt", "sites.1.site_id", "Mars"):
        assert part in message


def test_from_an_empty_database_to_a_code_and_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="edged-cloud load FILE"):
        edged_cloud(tmp_path, "enrol", "--device-id", "pole-1", "--site", "demo")
    file = tmp_path / "berths.toml"
    file.write_text(REGISTRY)
    edged_cloud(tmp_path, "load", str(file))
    assert "1 sites, 1 berths" in capsys.readouterr().out
    edged_cloud(tmp_path, "enrol", "--device-id", "pole-1", "--site", "demo")
    assert len(capsys.readouterr().out.strip()) == 19
    edged_cloud(tmp_path, "terminal", "add", "--site", "demo", "--name", "app")
    shown = capsys.readouterr()
    assert shown.out.startswith("app.")
    assert "signing secret" in shown.err
    with pytest.raises(ConfigError, match="taken"):
        edged_cloud(tmp_path, "terminal", "add", "--site", "demo", "--name", "app")
    for name in ("app.two", "", "a b", "名", "x" * 65):  # a token of it could never be used
        with pytest.raises(ConfigError, match="1 to 64 letters"):
            edged_cloud(tmp_path, "terminal", "add", "--site", "demo", "--name", name)
        with pytest.raises(ConfigError, match="1 to 64 letters"):
            edged_cloud(tmp_path, "operator", "add", "--site", "demo", "--name", name)
    for device_id in ("pole 1", "", "杆1", "p" * 65):
        with pytest.raises(ConfigError, match="1 to 64 letters"):
            edged_cloud(tmp_path, "enrol", "--device-id", device_id, "--site", "demo")
        with pytest.raises(ConfigError, match="1 to 64 letters"):
            edged_cloud(
                tmp_path, "berth", "move", "--site", "demo", "--berth-no", "1001", "--device-id", device_id
            )
    for url in (
        "app.example/hooks",
        "ftp://app.example",
        "file:///etc/passwd",
        "http://[half/hooks",
        "http:///hooks",
        "https://app.example:0/hooks",
        "https://app .example/hooks",
        "https://app.example/hooks\nX: y",
        "https://app.example/" + "x" * 500,
    ):
        with pytest.raises(ConfigError, match="such as https://"):
            edged_cloud(tmp_path, "terminal", "add", "--site", "demo", "--name", "two", "--webhook-url", url)
    edged_cloud(tmp_path, "audit", "verify", "--site", "demo")
    assert capsys.readouterr().out.startswith("demo: 3 lines hold")
    edged_cloud(tmp_path, "audit", "show", "--site", "demo")
    assert "credential_added app" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="known: demo"):
        edged_cloud(tmp_path, "audit", "verify", "--site", "dmeo")
    with pytest.raises(ConfigError, match="berth number '20 01'"):
        edged_cloud(
            tmp_path, "berth", "renumber", "--site", "demo", "--berth-no", "1001", "--new-no", "20 01"
        )
    edged_cloud(tmp_path, "berth", "renumber", "--site", "demo", "--berth-no", "1001", "--new-no", "2001")
    edged_cloud(tmp_path, "berth", "service", "--site", "demo", "--berth-no", "2001", "--out")
    edged_cloud(tmp_path, "retention", "run", "--dry-run")
    assert capsys.readouterr().out.startswith("would go: pictures 0")
    edged_cloud(tmp_path, "retention", "run")
    assert "plates 0" in capsys.readouterr().out
    edged_cloud(tmp_path, "terminal", "revoke", "--name", "app")
    edged_cloud(tmp_path, "migrate")
    assert f"schema was {head()}, is {head()}" in capsys.readouterr().out
