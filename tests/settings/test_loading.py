from collections.abc import Callable
from pathlib import Path

import pytest

from edged.settings import Settings, SettingsError, load_settings

SAMPLE = Path(__file__).parents[2] / "config" / "edged.toml"


@pytest.fixture
def load_edited(tmp_path: Path) -> Callable[..., Settings]:
    """Load the sample with pieces of text replaced."""

    def load(*edits: tuple[str, str]) -> Settings:
        text = SAMPLE.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "edged.toml"
        path.write_text(text)
        return load_settings(path)

    return load


def complaints_of(load: Callable[..., Settings], *edits: tuple[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(*edits)
    return [str(trouble) for trouble in caught.value.troubles]


def test_the_sample_is_accepted_as_it_is() -> None:
    settings = load_settings(SAMPLE)
    assert [berth.berth_no for berth in settings.berth] == ["1001", "1002", "1003", "1004"]
    assert settings.sensor[2].thresholds == {"occupied_at": 180, "vacant_at": 220}


def test_relative_paths_are_taken_from_the_files_folder() -> None:
    settings = load_settings(SAMPLE)
    assert settings.camera[0].password_file == SAMPLE.parent / "camera.password"
    assert settings.store.directory == Path("/var/lib/edged")


def test_a_folder_of_pictures_is_a_path_and_a_url_is_not(
    load_edited: Callable[..., Settings], tmp_path: Path
) -> None:
    assert load_edited().camera[0].source.startswith("http://192.168.1.64/")
    replayed = load_edited(
        ('kind = "http" ', 'kind = "folder" '),
        ('source = "http://192.168.1.64/ISAPI/Streaming/channels/101/picture"', 'source = "pictures"'),
    )
    assert replayed.camera[0].source == str(tmp_path / "pictures")


@pytest.mark.parametrize(
    ("old", "new", "key", "remedy"),
    [
        ("device_id = 1\n", "device_id = 2\n", 'sensor[2] "loop-2": device_id', "loop-1"),
        ('camera = "high"\npolygon', "polygon", 'berth[1] "1001": camera', "add a line `camera"),
        ('camera = "high"\npolygon', 'camera = "low"\npolygon', 'berth[1] "1001": camera', "there are high"),
        ("baudrate = 9600", "baudrat = 9600", 'bus[1] "kerb": baudrat', "did you mean baudrate"),
        ("baudrate = 9600", 'baudrate = "fast"', 'bus[1] "kerb": baudrate', "'fast'"),
        ("device_id = 4", "device_id = 300", 'sensor[4] "sonic-4": device_id', "300"),
        (
            "polygon = [[60, 420], [480, 420], [480, 1000], [60, 1000]]\n",
            "",
            'berth[1] "1001": polygon',
            "neighbour",
        ),
        ('berth_no = "1002"', 'berth_no = "1001"', "berth: berth_no", "make each unique"),
        ('sensor = "loop-2"\n', 'sensor = "loop-1"\n', 'berth[2] "1002": channel', "1001"),
        ('"Asia/Shanghai"', '"China/Peking"', "site: time_zone", "Asia/Shanghai"),
        ("https://parking", "http://parking", "uplink: cloud_url", "https"),
        ('[store]\ndirectory = "/var/lib/edged"', "", "store", "add a section [store]"),
        ("# settle_in_s = 1.0", "preset = 3 #", 'berth[1] "1001": preset', "preset_url"),
        ("# settle_in_s = 1.0", "settle_in_s = nan #", 'berth[1] "1001": settle_in_s', "finite"),
        ("occupied_at = 180", "occupied_at = -inf", 'sensor[3] "sonic-3": thresholds.occupied_at', "finite"),
        ("# port = 8100", 'port = "8100"', "snapshot_api: port: got '8100'", "integer"),
        ("# port = 8100", "port = true", "snapshot_api: port: got True", "integer"),
        ("# max_size_mib = 1024", "max_size_mib = -1", "store: max_size_mib: got -1", "16"),
        ("# max_size_mib = 1024", f"max_size_mib = {10**30}", "store: max_size_mib", "less than"),
        ('berth_no = "1002"', 'berth_no = "１００２"', 'berth[2] "１００２": berth_no', "full-width"),
        ('port = "/dev/serial', 'port = "COM3" # ', 'bus[1] "kerb": port', "/dev/serial/by-path"),
        ("[480, 1000], [60, 1000]", "[60, 1000], [480, 1000]", 'berth[1] "1001": polygon', "cross"),
        ("[480, 1000], [60, 1000]", "[900, 420]", 'berth[1] "1001": polygon', "encloses nothing"),
        (", [480, 1000], [60, 1000]", "", 'berth[1] "1001": polygon', "has 2 entries, wants 3"),
        ('"Asia/Shanghai"', '"Asia"', "site: time_zone", "Asia/Shanghai"),
        ("https://parking.example.com", "https://[::1", "uplink: cloud_url", "is not a URL"),
        ("https://parking.example.com", "https://a:99999", "uplink: cloud_url", "out of range"),
        ("http://192.168.1.64/ISAPI/Streaming", "192.168.1.64/ISAPI", 'camera[1] "high": source', "http://"),
        ("# preset_url", 'preset_url = "http://c/{n}" #', 'camera[1] "high": preset_url', "{preset}"),
        ("# listen", 'listen = "anywhere" #', "snapshot_api: listen", "127.0.0.1"),
        (
            'credentials = "/var/lib/edged/credentials.json"',
            'credentials = ""',
            "uplink: credentials",
            "name a file",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_a_remedy(
    load_edited: Callable[..., Settings], old: str, new: str, key: str, remedy: str
) -> None:
    (complaint,) = complaints_of(load_edited, (old, new))
    assert complaint.startswith(key)
    assert remedy in complaint


def test_no_complaint_tells_a_cameras_password(load_edited: Callable[..., Settings]) -> None:
    (complaint,) = complaints_of(
        load_edited, ("http://192.168.1.64/ISAPI", "htp://admin:secret@192.168.1.64/ISAPI")
    )
    assert "192.168.1.64/ISAPI" in complaint
    assert "secret" not in complaint


def test_all_errors_are_told_at_once(load_edited: Callable[..., Settings]) -> None:
    complaints = complaints_of(
        load_edited,
        ("baudrate = 9600", "baudrate = 1"),
        ("device_id = 4", "device_id = 0"),
        ("[model]", "[mdel]"),
    )
    assert len(complaints) == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[site\n", "not valid TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "add a section [site]"),
        (b"bus = 3", r"[[bus]]"),
        (b"a = " + b"[" * 3000, "not valid TOML"),
    ],
)
def test_a_file_that_is_no_settings_file_says_why(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "edged.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("prefix", "line_end"), [(b"\xef\xbb\xbf", b"\n"), (b"", b"\r\n")])
def test_what_editors_on_windows_write_is_read(tmp_path: Path, prefix: bytes, line_end: bytes) -> None:
    path = tmp_path / "edged.toml"
    path.write_bytes(prefix + SAMPLE.read_bytes().replace(b"\n", line_end))
    assert load_settings(path).site == load_settings(SAMPLE).site


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml.*--config"):
        load_settings(tmp_path / "nowhere.toml")
