"""Devices as streets have them: each profile here is read from an independent register bank."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_bridge import (
    BusSettings,
    ProfileError,
    SensorProfile,
    SensorSettings,
    SettingsError,
    check_sensors,
    load_profile,
)
from firmware_bridge.blocks import in_words, occupancy_parts
from firmware_bridge.simulator import FaultPlan, SimulatedDevice
from tests.firmware_bridge.conftest import Rehearsal, rehearsal

HEAD = """
format = 1
name = "{name}"
title = "a device of the test"
source = "its own document"
sensing = "other"
numbering = "{numbering}"
[link]
baudrate = 9600
response_timeout_ms = 100
max_reply_delay_ms = 150
"""


class Bank:
    """A slave with nothing but registers; it knows no profile, only Modbus."""

    def __init__(self, device_id: int = 1, **tables: dict[int, int]) -> None:
        self.device_id = device_id
        self.turnaround_s = 0.005
        self.silence_s = 0.0
        self.faults = FaultPlan()
        self.tables = {1: "coils", 2: "inputs", 3: "holding", 4: "input"}
        self.values = {name: tables.get(name, {}) for name in self.tables.values()}
        self.written: list[tuple[int, int, list[int]]] = []

    def answer(self, pdu: bytes) -> bytes:
        function, address = pdu[0], int.from_bytes(pdu[1:3])
        if function in self.tables:
            bank, count = self.values[self.tables[function]], int.from_bytes(pdu[3:5])
            wanted = range(address, address + count)
            if any(at not in bank for at in wanted):
                return bytes((function | 0x80, 2))
            if function in (1, 2):
                bits = sum(bank[at] << at - address for at in wanted)
                data = bits.to_bytes((count + 7) // 8, "little")
            else:
                data = b"".join(bank[at].to_bytes(2) for at in wanted)
            return bytes((function, len(data))) + data
        return self._write(function, address, pdu)

    def _write(self, function: int, address: int, pdu: bytes) -> bytes:
        if function == 5:
            values = [int(pdu[3:5] == b"\xff\x00")]
        elif function == 6:
            values = [int.from_bytes(pdu[3:5])]
        elif function == 15:
            values = [pdu[6 + at // 8] >> at % 8 & 1 for at in range(int.from_bytes(pdu[3:5]))]
        else:
            values = [int.from_bytes(pdu[at : at + 2]) for at in range(6, len(pdu), 2)]
        self.written.append((function, address, values))
        bank = self.values["coils" if function in (5, 15) else "holding"]
        bank.update(enumerate(values, start=address))
        return pdu[:5]


def profile_of(folder: Path, text: str, numbering: str = "wire", name: str = "device") -> SensorProfile:
    path = folder / f"{name}.toml"
    path.write_text(HEAD.format(name=name, numbering=numbering) + text, encoding="utf-8")
    return load_profile(path)


def faults_of(folder: Path, text: str, numbering: str = "wire") -> str:
    with pytest.raises(ProfileError) as error:
        profile_of(folder, text, numbering)
    return str(error.value)


def states_of(bank: Bank, *sensors: SensorSettings) -> dict[int, str]:
    """What each channel is, once all are known."""
    bus = started(bank, *sensors)
    return {channel: str(state) for (_, channel), (state, _) in bus.bus.channel_states().items()}


def started(bank: Bank, *sensors: SensorSettings) -> Rehearsal:
    bus = rehearsal([bank], sensors)  # type: ignore[list-item]  # a slave that answers like one

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: all(state for state, _ in bus.bus.channel_states().values())

    bus.play(story())
    return bus


def sensor(profile: SensorProfile, **changes: object) -> SensorSettings:
    return SensorSettings(**({"name": "s", "device_id": 1, "profile": profile} | changes))  # type: ignore[arg-type]


BIT = '[occupancy]\nsignal = "input"\ncompare = "bit"\n'


@pytest.mark.parametrize(
    ("first", "numbering", "table", "number", "bank", "expected"),
    [
        (
            1,
            "wire",
            "discrete_inputs",
            0,
            {"inputs": {0: 1, 1: 0, 2: 1}},
            {1: "occupied", 2: "vacant", 3: "occupied"},
        ),
        (
            0,
            "wire",
            "discrete_inputs",
            0,
            {"inputs": {0: 1, 1: 0, 2: 1}},
            {0: "occupied", 1: "vacant", 2: "occupied"},
        ),
        (
            1,
            "modicon",
            "discrete_inputs",
            10001,
            {"inputs": {0: 0, 1: 1, 2: 1}},
            {1: "vacant", 2: "occupied", 3: "occupied"},
        ),
        (
            1,
            "modicon",
            "discrete_inputs",
            100001,
            {"inputs": {0: 0, 1: 1, 2: 1}},
            {1: "vacant", 2: "occupied", 3: "occupied"},
        ),
        (
            1,
            "one_based",
            "coils",
            17,
            {"coils": {16: 0, 17: 0, 18: 1}},
            {1: "vacant", 2: "vacant", 3: "occupied"},
        ),
    ],
)
def test_each_input_is_its_own_berth(
    tmp_path: Path,
    first: int,
    numbering: str,
    table: str,
    number: int,
    bank: dict[str, dict[int, int]],
    expected: dict[int, str],
) -> None:
    text = (
        f'[channels]\ncount = 3\nfirst = {first}\n[registers.input]\ntable = "{table}"\nnumber = {number}\n'
    )
    assert states_of(Bank(**bank), sensor(profile_of(tmp_path, text + BIT, numbering))) == expected


def test_several_channels_without_their_first_number_are_refused_and_not_guessed(tmp_path: Path) -> None:
    text = (
        '[channels]\ncount = 8\nstride = 1\n[registers.input]\ntable = "discrete_inputs"\nnumber = 0\n' + BIT
    )
    assert "channels.first: got None: is missing: write the number of the first channel" in faults_of(
        tmp_path, text
    )


def test_a_stride_that_was_once_added_to_a_single_channel_is_refused(tmp_path: Path) -> None:
    text = '[channels]\nstride = 16\n[registers.input]\ntable = "discrete_inputs"\nnumber = 0\n' + BIT
    assert "channels.stride: got 16: leave it out" in faults_of(tmp_path, text)


def test_sixteen_inputs_are_bits_of_one_register_and_run_on_into_the_next(tmp_path: Path) -> None:
    text = """
        [channels]
        count = 20
        first = 1
        [registers.input]
        table = "input_registers"
        number = 7
        type = "bit"
        bit = 4
    """
    occupied = {1, 12, 13, 20}
    words = {7: 1 << 4 | 1 << 15, 8: 1 << 0 | 1 << 7}
    states = states_of(Bank(input=words), sensor(profile_of(tmp_path, text + BIT)))
    assert {channel for channel, state in states.items() if state == "occupied"} == occupied
    assert len(states) == 20


def test_inputs_can_be_counted_down_from_the_highest_bit(tmp_path: Path) -> None:
    text = (
        '[channels]\ncount = 4\nfirst = 1\n[registers.input]\ntable = "holding_registers"\nnumber = 0\n'
        'type = "bit"\nbit = 15\nbit_stride = -1\n'
    )
    states = states_of(Bank(holding={0: 0x4000}), sensor(profile_of(tmp_path, text + BIT)))
    assert states == {1: "vacant", 2: "occupied", 3: "vacant", 4: "vacant"}


def test_two_bits_a_bay_tell_vacant_occupied_and_fault(tmp_path: Path) -> None:
    text = """
        [channels]
        count = 8
        first = 1
        [registers.input]
        table = "holding_registers"
        number = 0
        type = "bit"
        width = 2
        [occupancy]
        signal = "input"
        compare = "states"
        vacant = [0]
        occupied = [1]
        fault = [2]
    """
    states = states_of(
        Bank(holding={0: 0b01_10_00_01}), sensor(profile_of(tmp_path, text), channels=(1, 2, 3, 4))
    )
    assert states == {1: "occupied", 2: "vacant", 3: "fault", 4: "occupied"}


def test_a_state_that_the_profile_does_not_list_decides_nothing_and_is_a_fault_when_it_lasts(
    tmp_path: Path,
) -> None:
    text = (
        '[registers.state]\ntable = "holding_registers"\nnumber = 0\n[occupancy]\nsignal = "state"\n'
        'compare = "states"\nvacant = [0]\noccupied = [1]\nfault = [2]\n'
    )
    bank = Bank(holding={0: 1})
    bus = rehearsal([bank], [sensor(profile_of(tmp_path, text))])  # type: ignore[list-item]  # as above

    def story() -> Iterator[Callable[[], bool]]:
        for raw, state in ((1, "occupied"), (9, "fault"), (0, "vacant"), (2, "fault")):
            bank.values["holding"][0] = raw
            yield lambda state=state: bus.states("s")[-1:] == [state]  # type: ignore[misc]

    bus.play(story())
    assert bus.states("s") == ["occupied", "fault", "vacant", "fault"]
    assert bus.seen[-1].cause == "state 2"


@pytest.mark.parametrize(("normally_closed", "expected"), [("occupied_at = 0\n", "occupied"), ("", "vacant")])
def test_a_normally_closed_contact_is_occupied_while_open(
    tmp_path: Path, normally_closed: str, expected: str
) -> None:
    text = '[registers.input]\ntable = "discrete_inputs"\nnumber = 5\n' + BIT + normally_closed
    assert states_of(Bank(inputs={5: 0}), sensor(profile_of(tmp_path, text))) == {1: expected}


def test_one_site_can_wire_a_contact_the_other_way_round(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, '[registers.input]\ntable = "discrete_inputs"\nnumber = 5\n' + BIT)
    assert states_of(Bank(inputs={5: 0}), sensor(profile, thresholds={"occupied_at": 0})) == {1: "occupied"}
    with pytest.raises(SettingsError, match="normally closed"):
        sensor(profile, thresholds={"occupied_at": 2})


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("abcd", (0x4148, 0x0000)),  # 12.5
        ("cdab", (0x0000, 0x4148)),
        ("badc", (0x4841, 0x0000)),
        ("dcba", (0x0000, 0x4841)),
        ("msb_first", (0x4148, 0x0000)),
        ("lsb_first", (0x0000, 0x4148)),
    ],
)
def test_a_float_is_read_in_each_order_of_its_bytes(
    tmp_path: Path, order: str, words: tuple[int, int]
) -> None:
    text = (
        '[registers.distance]\ntable = "input_registers"\nnumber = 2\ntype = "float32"\n'
        "scale = 10\noffset = 5\n"
        f'word_order = "{order}"\n[occupancy]\nsignal = "distance"\ncompare = "below"\n'
        "occupied_at = 180\nvacant_at = 220\n"
    )
    bus = started(Bank(input={2: words[0], 3: words[1]}), sensor(profile_of(tmp_path, text)))
    assert bus.bus.snapshot().sensors[0].channels[0].value == 130.0


@pytest.mark.parametrize(
    ("words", "is_valid"),
    [((0x7FC0, 0), False), ((0x7F80, 0), False), ((0x4479, 0xF99A), False), ((0x4148, 0), True)],
)
def test_a_float_that_is_no_number_or_listed_as_invalid_is_no_distance(
    tmp_path: Path, words: tuple[int, int], is_valid: bool
) -> None:
    text = (
        '[registers.distance]\ntable = "input_registers"\nnumber = 2\ntype = "float32"\ninvalid = [999.9]\n'
        '[occupancy]\nsignal = "distance"\ncompare = "below"\noccupied_at = 180\nvacant_at = 220\n'
    )
    states = states_of(Bank(input={2: words[0], 3: words[1]}), sensor(profile_of(tmp_path, text)))
    assert states == {1: "occupied" if is_valid else "fault"}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("invalid = [65535]\n", "fault"),  # held, and nothing else ever came
        ('\n[[faults]]\nsignal = "distance"\nequals = 65535\ncause = "no echo"\n', "fault"),
    ],
)
def test_fault_rules_and_invalid_compare_what_was_read_before_scale_and_offset(
    tmp_path: Path, extra: str, expected: str
) -> None:
    text = (
        '[registers.distance]\ntable = "input_registers"\nnumber = 0\nscale = 0.1\noffset = -3\n'
        f'{"" if "faults" in extra else extra}[occupancy]\nsignal = "distance"\ncompare = "below"\n'
        f"occupied_at = 180\nvacant_at = 220\n{extra if 'faults' in extra else ''}"
    )
    assert states_of(Bank(input={0: 0xFFFF}), sensor(profile_of(tmp_path, text))) == {1: expected}


def test_a_masked_value_is_shifted_down_before_it_is_judged(tmp_path: Path) -> None:
    text = (
        '[registers.level]\ntable = "input_registers"\nnumber = 0\nmask = 0x0FF0\ninvalid = [255]\n'
        '[occupancy]\nsignal = "level"\ncompare = "above"\noccupied_at = 10\nvacant_at = 5\n'
    )
    profile = profile_of(tmp_path, text)
    assert states_of(Bank(input={0: 0xF0A3}), sensor(profile)) == {1: "occupied"}
    assert states_of(Bank(input={0: 0xF02F}), sensor(profile)) == {1: "vacant"}
    assert states_of(Bank(input={0: 0x0FF0}), sensor(profile)) == {1: "fault"}


@pytest.mark.parametrize(
    ("register", "wrap"),
    [
        ("", 1 << 16),
        ("mask = 0xFF\n", 1 << 8),
        ('type = "uint32"\nword_order = "cdab"\n', 1 << 32),
        ("", 10_000),
    ],
)
def test_a_counter_that_wraps_while_a_car_stands_there_still_shows_the_swap(
    tmp_path: Path, register: str, wrap: int
) -> None:
    text = (
        '[registers.input]\ntable = "discrete_inputs"\nnumber = 0\n[registers.count]\n'
        f'table = "holding_registers"\nnumber = 8\n{register}'
        + BIT
        + '[counter]\nregister = "count"\nevery_s = 0.1\n'
    )
    text += "wraps_at = 10000\n" if wrap == 10_000 else ""
    last = wrap - 1
    bank = Bank(inputs={0: 1}, holding={8: last & 0xFFFF, 9: last >> 16})
    bus = started(bank, sensor(profile_of(tmp_path, text)))

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.bus.snapshot().sensors[0].channels[0].counter == last
        bank.values["holding"].update({8: 0, 9: 0})
        yield lambda: bus.seen[-1].counter_delta == 1

    again = rehearsal([bank], [sensor(profile_of(tmp_path, text))])  # type: ignore[list-item]  # as above
    bus = again
    bus.play(story())
    assert bus.seen[-1].state == bus.seen[-1].previous == "occupied"


def test_one_unit_is_shared_by_sensors_with_thresholds_of_their_own(tmp_path: Path) -> None:
    text = (
        '[channels]\ncount = 2\nfirst = 1\nstride = 1\n[registers.distance]\ntable = "input_registers"\n'
        'number = 0\n[occupancy]\nsignal = "distance"\ncompare = "below"\n'
        "occupied_at = 180\nvacant_at = 220\n"
    )
    profile = profile_of(tmp_path, text)
    low = sensor(profile, name="low", channels=(1,))
    high = sensor(profile, name="high", channels=(2,), thresholds={"occupied_at": 300, "vacant_at": 350})
    bus = started(Bank(input={0: 250, 1: 250}), low, high)
    assert (bus.states("low"), bus.states("high", 2)) == (["vacant"], ["occupied"])
    # one unit, one block: both channels come in one request
    assert bus.bus.snapshot().sensors[0].requests <= 3
    with pytest.raises(SettingsError, match="reads the same input"):
        check_sensors(
            BusSettings(name="b", port="/dev/null"), [low, sensor(profile, name="twin", channels=(1,))]
        )


def test_two_loops_of_one_device_may_be_two_profiles_of_one_unit(tmp_path: Path) -> None:
    one, two = (
        profile_of(
            tmp_path,
            f'[registers.input]\ntable = "input_registers"\nnumber = 0\ntype = "bit"\nbit = {bit}\n' + BIT,
            name=f"loop{bit}",
        )
        for bit in (0, 1)
    )
    bus = started(Bank(input={0: 0b10}), sensor(one, name="a"), sensor(two, name="b"))
    assert (bus.states("a"), bus.states("b")) == (["vacant"], ["occupied"])


@pytest.mark.parametrize(
    ("register", "value", "written"),
    [
        ('type = "uint32"\n', 0x0001_0002, (16, 4, [1, 2])),
        ('type = "uint32"\nword_order = "cdab"\n', 0x0001_0002, (16, 4, [2, 1])),
        ('type = "int32"\n', -2, (16, 4, [0xFFFF, 0xFFFE])),
        ('type = "float32"\n', 12.5, (16, 4, [0x4148, 0])),
        ("", 7, (6, 4, [7])),
        ("write_function = 16\n", 7, (16, 4, [7])),
    ],
)
def test_a_forgotten_setting_is_written_whole_and_read_back(
    tmp_path: Path, register: str, value: float, written: tuple[int, int, list[int]]
) -> None:
    text = (
        '[registers.input]\ntable = "discrete_inputs"\nnumber = 0\n[registers.setting]\n'
        f'table = "holding_registers"\nnumber = 4\n{register}' + BIT
    )
    text += f'[[reapply]]\nregister = "setting"\nvalue = {value}\nevery_s = 1\n'
    bank = Bank(inputs={0: 0}, holding={4: 99, 5: 99, 6: 99})
    bus = rehearsal([bank], [sensor(profile_of(tmp_path, text))])  # type: ignore[list-item]  # as above

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 20

    bus.play(story())
    assert bank.written == [written]
    assert bank.values["holding"][6] == 99
    assert bus.bus.snapshot().sensors[0].settings_unconfirmed == ()


@pytest.mark.parametrize(("function", "written"), [("", 5), ("write_function = 15\n", 15)])
def test_a_forgotten_coil_is_set_again(tmp_path: Path, function: str, written: int) -> None:
    text = (
        '[registers.input]\ntable = "discrete_inputs"\nnumber = 0\n[registers.enable]\n'
        f'table = "coils"\nnumber = 3\n{function}' + BIT
    )
    text += '[[reapply]]\nregister = "enable"\nvalue = 1\nevery_s = 1\n'
    bank = Bank(inputs={0: 0}, coils={3: 0})
    bus = rehearsal([bank], [sensor(profile_of(tmp_path, text))])  # type: ignore[list-item]  # as above

    def story() -> Iterator[Callable[[], bool]]:
        yield lambda: bus.now_s > 5

    bus.play(story())
    assert bank.written == [(written, 3, [1])]


@pytest.mark.parametrize(
    ("text", "numbering", "key", "hint"),
    [
        (
            'number = 50010\ntable = "holding_registers"\n',
            "modicon",
            "registers.input.number",
            "400001 to 465536",
        ),
        (
            'number = 30001\ntable = "holding_registers"\n',
            "modicon",
            "registers.input.number",
            "40001 to 49999",
        ),
        ('number = 0\ntable = "coils"\ntype = "uint16"\n', "wire", "registers.input.type", "leave type out"),
        ('number = 0\ntable = "input_registers"\nbit = 3\n', "wire", "registers.input.bit", 'type = "bit"'),
        (
            'number = 0\ntable = "input_registers"\ntype = "bit"\nbit = 15\nwidth = 2\n',
            "wire",
            "width",
            "beyond bit 15",
        ),
        (
            'number = 0\ntable = "input_registers"\nmask = 0x10000\n',
            "wire",
            "registers.input.mask",
            "1 to 65535",
        ),
        (
            'number = 0\ntable = "input_registers"\ninvalid = [70000]\n',
            "wire",
            "registers.input.invalid",
            "cannot hold",
        ),
        (
            'number = 0\ntable = "input_registers"\nwrite_function = 6\n',
            "wire",
            "write_function",
            "cannot be written",
        ),
        ('number = 0\ntable = "input_registers"\nbits = { high = 16 }\n', "wire", "bits.high", "0 to 15"),
    ],
)
def test_a_register_that_cannot_be_is_refused(
    tmp_path: Path, text: str, numbering: str, key: str, hint: str
) -> None:
    rest = '\n[occupancy]\nsignal = "input"\ncompare = "above"\noccupied_at = 2\nvacant_at = 1\n'
    said = faults_of(tmp_path, f"[registers.input]\n{text}{rest}", numbering)
    assert key in said
    assert hint in said


def test_what_is_read_is_said_with_unit_function_address_and_bit(
    tmp_path: Path, profiles: dict[str, SensorProfile]
) -> None:
    text = (
        "[channels]\ncount = 20\nfirst = 1\n"
        '[registers.input]\ntable = "input_registers"\nnumber = 7\ntype = "bit"\n'
    )
    module = sensor(profile_of(tmp_path, text + BIT), device_id=9, channels=(1, 17))
    assert [in_words(part) for part in occupancy_parts(module)] == [
        "unit 9 FC04 address 7 bit 0",
        "unit 9 FC04 address 8 bit 0",
    ]
    assert [in_words(part) for part in occupancy_parts(sensor(profiles["ld120"]))] == [
        "unit 1 FC04 address 1 bit 1"
    ]


@pytest.mark.parametrize("signal", ["input", "distance"])
def test_the_simulator_shows_what_the_profile_reads(tmp_path: Path, signal: str) -> None:
    text = {
        "input": '[channels]\ncount = 20\nfirst = 0\n[registers.input]\ntable = "holding_registers"\n'
        'number = 0\ntype = "bit"\n' + BIT + "occupied_at = 0\n",
        "distance": '[registers.distance]\ntable = "holding_registers"\nnumber = 0\ntype = "float32"\n'
        'word_order = "dcba"\noffset = 3\n[occupancy]\nsignal = "distance"\ncompare = "below"\n'
        "occupied_at = 180\nvacant_at = 220\n",
    }[signal]
    profile = profile_of(tmp_path, text)
    channel = profile.channel_numbers[-1]
    device = SimulatedDevice(profile, 1, occupied=[channel])
    states = states_of(device, sensor(profile))  # type: ignore[arg-type]  # answers as a bank does
    assert {at for at, state in states.items() if state == "occupied"} == {channel}
