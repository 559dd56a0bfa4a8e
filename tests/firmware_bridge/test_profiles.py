"""Profiles: the shipped ones say what the data sheets say, and a wrong one is explained at once."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from firmware_bridge import (
    ProfileError,
    SensorProfile,
    SensorSettings,
    SettingsError,
    find_profiles,
    load_profile,
    load_profiles,
)
from firmware_bridge.blocks import Purpose, plan_blocks
from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from tests.firmware_bridge.conftest import SENSORS

GOOD = (SENSORS / "urm15.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("profile", "signal", "channel", "function", "address"),
    [
        ("ld120", "detect", 1, 4, 1),
        ("ld120", "count", 1, 3, 9),
        ("urm15", "distance", 1, 3, 5),
        ("sen0492", "distance", 1, 3, 0x34),
        ("apg_mnu", "distance", 1, 4, 299),
        ("dx80_mgage", "deviation", 1, 3, 16),
        ("dx80_mgage", "configuration", 1, 3, 0x1C),  # data sheet: 01 06 00 1C 0B 4D
        ("dx80_mgage", "deviation", 7, 3, 112),
    ],
)
def test_a_document_number_becomes_the_wire_address(
    profiles: dict[str, SensorProfile], profile: str, signal: str, channel: int, function: int, address: int
) -> None:
    register = profiles[profile].register_of(signal)
    assert (register.table.read_function, profiles[profile].address(register, channel)) == (function, address)


@pytest.mark.parametrize("path", sorted(SENSORS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_profiles_fit_their_json_schema(path: Path) -> None:
    schema = json.loads((SENSORS / "profile.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), schema)
    assert load_profile(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        ('numbering = "wire"', 'numbering = "hex"', "numbering", "modicon"),
        ("baudrate = 19200", "baudrate = 19201", "link.baudrate", "19200"),
        ("response_timeout_ms = 100", "", "link.response_timeout_ms", "is missing"),
        ("vacant_at = 220", "vacant_at = 180", "occupancy.vacant_at", "hysteresis"),
        ('signal = "distance"', 'signal = "distanse"', "occupancy.signal", "distance"),
        ('on_invalid = "hold"', 'on_invalid = "maybe"', "occupancy.on_invalid", "vacant"),
        ("number = 0x05", "number = 70000", "registers.distance.number", "65535"),
        ('table = "holding_registers"', 'table = "registers"', "registers.product.table", "input_registers"),
        ("max_registers = 8", "max_registres = 8", "link.max_registres", "unknown key"),
        ("scale = 0.1", 'scale = "0.1"', "registers.distance.scale", "number"),
        ("confirm_readings = 2", "confirm_readings = 0", "occupancy.confirm_readings", "1 to 20"),
        ("confirm_readings = 2", "confirm_readings = true", "occupancy.confirm_readings", "1 to 20"),
        ('compare = "below"', 'compare = "bit"', "occupancy.occupied_at", "normally closed"),
        ("equals = 0x0005", "equals = -1", "identity.equals", "0 to 65535"),
        ("format = 1", "format = 2", "format", "1"),
        ("[link]", "[[link]]", "link", "table"),
        ("format = 1", "format = 1\n= broken", "file", "TOML"),
        ("format = 1", "format = true", "format", "1"),
        ("stop_bits = 1", "stop_bits = true", "link.stop_bits", "1, 2"),
        ("default_device_id = 0x0F", "default_device_id = 250", "link.default_device_id", "1 to 247"),
        ("scale = 0.1", "scale = 0", "registers.distance.scale", "every value would be 0"),
        ("vacant_at = 220", "", "occupancy.vacant_at", "is missing"),
        ("max_registers = 8", "max_registers = 126", "link.max_registers", "1 to 125"),
        ("scale = 0.1", 'type = "float"', "registers.distance.type", "uint32"),
        ("[[readable]]", "[channels]\ncount = 2\nfirst = 1\n[[readable]]", "channels.stride", "addresses"),
        (
            "[[readable]]",
            "[channels]\ncount = 250\nfirst = 1\nstride = 500\n[[readable]]",
            "registers.distance.number",
            "65535 is the highest",
        ),
        (
            "[identity]",
            '[[faults]]\nsignal = "tilt"\ncause = "tilted"\n[identity]',
            "faults[0].signal",
            "temperature",
        ),
        (
            "[identity]",
            '[[faults]]\nsignal = "product"\nmask = 1\nequals = 2\ncause = "x"\n[identity]',
            "faults[0].equals",
            "outside mask",
        ),
    ],
)
def test_a_wrong_profile_names_key_value_and_remedy(
    tmp_path: Path, old: str, new: str, key: str, hint: str
) -> None:
    assert old in GOOD
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProfileError) as error:
        load_profile(path)
    assert key in [fault.key for fault in error.value.faults]
    assert hint in str(error.value)
    assert str(path) in str(error.value)


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    text = GOOD.replace("baudrate = 19200", "baudrate = 1").replace("vacant_at = 220", "vacant_at = 1")
    path.write_text(text.replace('sensing = "ultrasonic"', 'sensing = "magic"'), encoding="utf-8")
    with pytest.raises(ProfileError) as error:
        load_profile(path)
    assert {fault.key for fault in error.value.faults} >= {"link.baudrate", "occupancy.vacant_at", "sensing"}


def test_a_value_larger_than_a_read_may_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    text = GOOD.replace("max_registers = 8", "max_registers = 1").replace("scale = 0.1", 'type = "uint32"', 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=r"takes 2 registers, but link\.max_registers is 1"):
        load_profile(path)


def test_a_faulty_file_harms_no_other_profile(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD.replace("baudrate = 19200", "baudrate = 1"), encoding="utf-8")
    (tmp_path / "note.toml").write_text("not = a profile = at all", encoding="utf-8")
    (tmp_path / "extra.toml").write_text(GOOD.replace('"urm15"', '"extra"'), encoding="utf-8")
    found = find_profiles([tmp_path, SENSORS])
    # The site's own urm15 is faulty: the shipped one is not what the site meant.
    assert set(found.profiles) == {"extra", "ld120", "sen0492", "apg_mnu", "dx80_mgage"}
    assert found.spoilt == {"urm15", "note"}
    assert [Path(error.file).name for error in found.errors] == ["mine.toml", "note.toml"]


def test_of_two_files_with_one_name_neither_is_guessed_but_a_faulty_copy_does_no_harm(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    assert "urm15" in find_profiles([tmp_path, SENSORS]).spoilt
    assert "urm15" in find_profiles([SENSORS, tmp_path]).profiles  # decided before
    (tmp_path / "a.toml").write_text(GOOD.replace("format = 1", "format = 2"), encoding="utf-8")
    assert "urm15" in find_profiles([tmp_path]).profiles


def test_a_missing_file_and_a_name_taken_twice_are_profile_errors(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="readable"):
        load_profile(tmp_path / "none.toml")
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    with pytest.raises(ProfileError, match=r"a\.toml has that name"):
        load_profiles([tmp_path])


def test_the_first_directory_wins_and_missing_ones_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        GOOD.replace("occupied_at = 180", "occupied_at = 90"), encoding="utf-8"
    )
    found = load_profiles([tmp_path / "nowhere", tmp_path, SENSORS])
    assert found["urm15"].occupancy.occupied_at == 90
    assert "ld120" in found


def test_settings_of_a_sensor_are_refused_with_key_and_remedy(profiles: dict[str, SensorProfile]) -> None:
    wrong = {"occupied_at": 300.0, "colour": 1.0, "confirm_readings": 0.5}
    with pytest.raises(SettingsError) as error:
        SensorSettings(name="s", device_id=250, profile=profiles["urm15"], channels=(2,), thresholds=wrong)
    keys = {fault.key for fault in error.value.faults}
    assert keys == {"device_id", "channels", "colour", "confirm_readings", "vacant_at"}


def test_near_registers_are_read_in_one_block_within_the_limit(profiles: dict[str, SensorProfile]) -> None:
    timing = LinkTiming(baudrate=19200)
    gateway = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"], channels=(1, 2, 3))
    fast = [block for block in plan_blocks([gateway], timing) if block.purpose is Purpose.OCCUPANCY]
    assert [block.requests[0] for block in fast] == [Request(device_id=1, function=3, address=16, count=40)]
    every = SensorSettings(name="g", device_id=1, profile=profiles["dx80_mgage"])
    assert all(request.count <= 120 for block in plan_blocks([every], timing) for request in block.requests)


def test_a_block_never_reaches_over_addresses_that_the_profile_does_not_name(
    profiles: dict[str, SensorProfile],
) -> None:
    known = {"input_registers": {0, 1}, "holding_registers": {9, 10, 13}}  # wire addresses of the LD120
    sensor = SensorSettings(name="l", device_id=15, profile=profiles["ld120"])
    for block in plan_blocks([sensor], LinkTiming(baudrate=9600)):
        for request in block.requests:
            assert set(range(request.address, request.address + request.count)) <= known[block.table]
