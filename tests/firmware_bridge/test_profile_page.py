"""docs/sensor-profiles.md: each example is a profile, and reads what the text beside it says."""

import re
from pathlib import Path

import pytest

from firmware_bridge import SensorProfile, SensorSettings, load_profile
from firmware_bridge.blocks import in_words, occupancy_parts
from firmware_bridge.profile_schema import schema_text
from firmware_bridge.registers import Register
from tests.firmware_bridge.conftest import SENSORS

PAGE = (Path(__file__).parents[2] / "docs" / "sensor-profiles.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SensorProfile]:
    folder = tmp_path_factory.mktemp("profiles")
    found = {}
    for number, text in enumerate(EXAMPLES):
        path = folder / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        profile = load_profile(path)
        found[profile.name] = profile
    return found


@pytest.mark.parametrize(
    ("name", "channel", "reads"),
    [
        ("my_loop", 1, "unit 1 FC04 address 1 bit 1"),
        ("two_loops", 2, "unit 1 FC03 address 0 bit 1"),
        ("inputs16", 1, "unit 1 FC02 address 0"),
        ("inputs16", 16, "unit 1 FC02 address 15"),
        ("sonic_float", 1, "unit 1 FC04 address 4 to 5"),
        ("nodes32", 1, "unit 1 FC03 address 110"),
        ("nodes32", 32, "unit 1 FC03 address 420"),
    ],
)
def test_each_example_reads_what_its_manual_says(
    examples: dict[str, SensorProfile], name: str, channel: int, reads: str
) -> None:
    sensor = SensorSettings(name="s", device_id=1, profile=examples[name], channels=(channel,))
    assert [in_words(part) for part in occupancy_parts(sensor)] == [reads]


def test_the_float_of_the_page_is_twelve_and_a_half(examples: dict[str, SensorProfile]) -> None:
    distance = examples["sonic_float"].registers["distance"]
    assert distance.number_of(distance.raw((0x0000, 0x4148))) == 12.5


def test_a_register_of_the_whole_device_is_the_same_for_all_channels(
    examples: dict[str, SensorProfile],
) -> None:
    profile = examples["nodes32"]
    assert {profile.address(profile.registers["product"], channel) for channel in (1, 32)} == {0}


def test_the_page_names_every_key_of_a_register() -> None:
    assert [key for key in Register.model_fields if f"`{key}`" not in PAGE] == []


def test_the_committed_schema_is_what_the_models_say() -> None:
    committed = (SENSORS / "profile.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "write it with `python -m firmware_bridge.profile_schema`"
