"""One request, one judgement: what may and what may not become a value."""

import pytest

from firmware_bridge.errors import FrameError
from firmware_bridge.frames import Request, crc_bytes
from firmware_bridge.link import LinkTiming
from firmware_bridge.transaction import Cause, Outcome, Transaction

TIMING = LinkTiming(baudrate=9600)
REQUEST = Request(device_id=0x50, function=3, address=0x34)
GOLDEN = bytes.fromhex("50 03 02 07 0B 06 7F")
TIMEOUT_S = 0.1


def frame(body: str) -> bytes:
    data = bytes.fromhex(body)
    return data + crc_bytes(data)


def play(
    *parts: tuple[float, bytes], request: Request = REQUEST, echoes: bool = False, until_s: float = 5.0
) -> Outcome:
    """Feed parts at their times (seconds after the request) and let the clock run to the end."""
    transaction = Transaction(
        request, sent_at_s=0.0, timing=TIMING, response_timeout_s=TIMEOUT_S, echoes=echoes
    )
    for at_s, data in parts:
        while transaction.wake_s < at_s:
            outcome = transaction.conclude(transaction.wake_s)
            if outcome is not None:
                return outcome
        transaction.receive(data, at_s)
    outcome = transaction.conclude(until_s)
    assert outcome is not None
    return outcome


READ_BITS = Request(device_id=1, function=2, address=0, count=6)
READ_STATUS = Request(device_id=1, function=4, address=1)
READ_COUNT = Request(device_id=1, function=3, address=9, count=2)
READ_NODE = Request(device_id=1, function=3, address=16, count=8)
READ_SONIC = Request(device_id=0x0F, function=3, address=5, count=2)
READ_TANK = Request(device_id=1, function=4, address=299, count=3)
WRITE_CONFIGURATION = Request(device_id=1, function=6, address=0x1C, value=0x0B4D)


@pytest.mark.parametrize(
    ("asked", "sent", "reply", "values"),
    [
        pytest.param(REQUEST, "50 03 00 34 00 01 C8 45", "50 03 02 07 0B 06 7F", (1803,), id="SEN0492"),
        pytest.param(WRITE_CONFIGURATION, "01 06 00 1C 0B 4D", "01 06 00 1C 0B 4D", (2893,), id="M-GAGE"),
        pytest.param(READ_BITS, "01 02 00 00 00 06", "01 02 01 02", (0, 1, 0, 0, 0, 0), id="LD120 bits"),
        pytest.param(READ_STATUS, "01 04 00 01 00 01", "01 04 02 00 02", (2,), id="LD120 status"),
        pytest.param(
            READ_COUNT, "01 03 00 09 00 02", "01 03 04 00 01 00 02", (1, 2), id="LD120 counter, 40010-11"
        ),
        pytest.param(
            READ_NODE,
            "01 03 00 10 00 08",
            "01 03 10 00 96 00 00 00 00 00 00 00 00 00 00 00 00 35 01",
            (150, 0, 0, 0, 0, 0, 0, 0x3501),
            id="M-GAGE node 1: deviation and message",
        ),
        pytest.param(READ_SONIC, "0F 03 00 05 00 02", "0F 03 04 05 78 00 FA", (1400, 250), id="URM15"),
        pytest.param(
            READ_TANK, "01 04 01 2B 00 03", "01 04 06 05 DC 00 00 00 15", (1500, 0, 21), id="APG MNU"
        ),
    ],
)
def test_golden_frames_of_the_datasheets(
    asked: Request, sent: str, reply: str, values: tuple[int, ...]
) -> None:
    def whole(text: str) -> bytes:
        data = bytes.fromhex(text)
        return data if text.endswith(("45", "7F")) else data + crc_bytes(data)

    assert asked.encode() == whole(sent)
    outcome = play((0.03, whole(reply)), request=asked)
    assert (outcome.cause, outcome.values) == (Cause.OK, values)


@pytest.mark.parametrize("cut", range(1, len(GOLDEN)))
def test_a_reply_may_arrive_split_at_every_byte(cut: int) -> None:
    outcome = play((0.03, GOLDEN[:cut]), (0.045, GOLDEN[cut:]))
    assert (outcome.cause, outcome.values) == (Cause.OK, (1803,))


@pytest.mark.parametrize("cut", range(len(GOLDEN)))
def test_a_truncated_reply_never_becomes_a_value(cut: int) -> None:
    assert play((0.03, GOLDEN[:cut])).cause in (Cause.TIMEOUT, Cause.GARBLED)


OTHER_REGISTER = frame("50 03 02 00 64")
NEIGHBOUR = frame("51 03 02 00 64")


@pytest.mark.parametrize(
    ("parts", "cause", "outstanding"),
    [
        pytest.param([], Cause.TIMEOUT, True, id="silence"),
        pytest.param([(0.03, GOLDEN[:-1] + b"\x00")], Cause.GARBLED, False, id="wrong crc"),
        pytest.param([(0.03, b"\x50\x03\x02\x07\x0c\x06\x7f")], Cause.GARBLED, False, id="wrong data"),
        # It may be a neighbour's late reply: then this one's is still to come.
        pytest.param([(0.03, b"\x51" + GOLDEN[1:])], Cause.GARBLED, True, id="wrong id"),
        pytest.param([(0.03, NEIGHBOUR)], Cause.WRONG_UNIT, True, id="neighbour"),
        pytest.param([(0.03, frame("50 04 02 00 64"))], Cause.WRONG_REPLY, True, id="wrong function"),
        pytest.param([(0.03, frame("50 03 04 00 64 00 64"))], Cause.WRONG_REPLY, True, id="wrong count"),
        pytest.param([(0.03, frame("50 03 01 64"))], Cause.WRONG_REPLY, True, id="odd count"),
        pytest.param([(0.03, GOLDEN + OTHER_REGISTER)], Cause.MERGED, True, id="two answers glued"),
        pytest.param([(0.03, GOLDEN), (0.033, OTHER_REGISTER)], Cause.MERGED, True, id="two answers, no gap"),
        pytest.param([(0.03, GOLDEN + OTHER_REGISTER[:4])], Cause.MERGED, True, id="answer and a cut one"),
        pytest.param([(0.03, GOLDEN + b"\x50\x03")], Cause.MERGED, True, id="answer and a head"),
        pytest.param([(0.03, GOLDEN + NEIGHBOUR)], Cause.MERGED, True, id="answer and neighbour glued"),
        pytest.param([(0.2, GOLDEN)], Cause.TIMEOUT, True, id="late"),
        pytest.param([(0.1, GOLDEN[:3]), (0.2, GOLDEN[3:])], Cause.TIMEOUT, True, id="half late"),
        pytest.param([(0.03, REQUEST.encode())], Cause.TIMEOUT, True, id="only an echo"),
        pytest.param([(0.03, b"\xaa" * 300)], Cause.TIMEOUT, True, id="babble"),
        pytest.param([(0.03, frame("50 83 02"))], Cause.EXCEPTION, False, id="exception"),
        pytest.param([(0.03, frame("51 83 02"))], Cause.WRONG_UNIT, True, id="neighbour's exception"),
        pytest.param([(0.03, frame("50 84 02"))], Cause.WRONG_REPLY, True, id="other function's exception"),
    ],
)
def test_what_is_not_the_answer_never_becomes_a_value(
    parts: list[tuple[float, bytes]], cause: Cause, outstanding: bool
) -> None:
    outcome = play(*parts)
    assert (outcome.cause, outcome.outstanding, outcome.values) == (cause, outstanding, ())


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(0.03, b"\x00\xff" + GOLDEN)], id="leading 00 FF"),
        pytest.param([(0.03, b"\x50" + GOLDEN)], id="leading own id"),
        pytest.param([(0.03, b"\x50\x03\x02" + GOLDEN)], id="leading own head"),
        pytest.param([(0.03, GOLDEN + b"\x00")], id="trailing glitch"),
        pytest.param([(0.03, NEIGHBOUR), (0.06, GOLDEN)], id="late neighbour first"),
        pytest.param([(0.03, NEIGHBOUR + GOLDEN)], id="late neighbour glued in front"),
        pytest.param([(0.01, REQUEST.encode()), (0.03, GOLDEN)], id="echo"),
        pytest.param([(0.01, REQUEST.encode() + GOLDEN)], id="echo glued"),
        pytest.param(
            [(0.03, frame("50 03 04 00 64 00 64")), (0.06, GOLDEN)], id="late reply of another shape first"
        ),
    ],
)
def test_noise_echo_and_strangers_do_not_hide_the_answer(parts: list[tuple[float, bytes]]) -> None:
    outcome = play(*parts)
    assert (outcome.cause, outcome.values) == (Cause.OK, (1803,))


@pytest.mark.parametrize("at", range(len(GOLDEN)))
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_one_corrupt_byte_anywhere_never_becomes_a_value(at: int, flip: int) -> None:
    damaged = GOLDEN[:at] + bytes([GOLDEN[at] ^ flip]) + GOLDEN[at + 1 :]
    assert play((0.03, damaged)).values == ()


def test_a_writes_echo_is_not_its_confirmation_where_the_adapter_echoes() -> None:
    write = Request(device_id=1, function=6, address=0x1C, value=0x0B4D)
    assert play((0.01, write.encode()), request=write, echoes=True).cause is Cause.TIMEOUT
    assert play((0.01, write.encode()), (0.04, write.encode()), request=write, echoes=True).cause is Cause.OK


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_frame_inside_another_units_frame_is_not_an_answer(cut: int) -> None:
    hidden = frame("51 03 08" + (b"\x00" + GOLDEN).hex())
    assert play((0.03, hidden)).cause is Cause.WRONG_UNIT
    assert play((0.03, hidden[:cut]), (0.031, hidden[cut:])).cause is Cause.WRONG_UNIT


def test_an_echo_that_would_be_a_valid_reply_is_still_an_echo() -> None:
    """Function 2, address 0x03xx, 17 to 24 bits: request and reply are alike in length, head and CRC."""
    request = Request(device_id=1, function=2, address=0x0310, count=20)
    assert request.answer_at(request.encode(), 0) == 8
    assert play((0.01, request.encode()), request=request).cause is Cause.TIMEOUT
    reply = frame("01 02 03 FF 00 0F")
    outcome = play((0.01, request.encode() + reply), request=request)
    assert (outcome.cause, outcome.echoed, sum(outcome.values)) == (Cause.OK, True, 12)


def test_a_broken_reply_does_not_burn_the_whole_timeout() -> None:
    transaction = Transaction(REQUEST, sent_at_s=0.0, timing=TIMING, response_timeout_s=2.0)
    transaction.receive(GOLDEN[:-1] + b"\x00", 0.03)
    assert transaction.wake_s < 0.06


def test_the_answer_counts_only_after_the_line_was_silent() -> None:
    transaction = Transaction(REQUEST, sent_at_s=0.0, timing=TIMING, response_timeout_s=TIMEOUT_S)
    transaction.receive(GOLDEN, 0.03)
    assert transaction.conclude(0.03 + TIMING.gap_s / 2) is None
    assert transaction.conclude(0.03 + TIMING.gap_s) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_id": 256, "function": 3, "address": 0},
        {"device_id": 0, "function": 3, "address": 0},
        {"device_id": 1, "function": 7, "address": 0},
        {"device_id": 1, "function": 3, "address": 0, "count": 126},
        {"device_id": 1, "function": 3, "address": 65535, "count": 2},
        {"device_id": 1, "function": 3, "address": 0, "count": 0},
        {"device_id": 1, "function": 6, "address": 0},
        {"device_id": 1, "function": 6, "address": 0, "value": 65536},
        {"device_id": 1, "function": 3, "address": 0, "value": 1},
    ],
)
def test_a_request_that_rtu_cannot_express_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(FrameError):
        Request(**wrong)
