"""Properties: whatever the line says, no reply becomes another request's value, and no parser breaks."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import SensorProfile
from firmware_bridge.bench.memory import memory_growth_kib
from firmware_bridge.bench.torture import torture
from firmware_bridge.errors import BridgeError
from firmware_bridge.frames import Request, crc_bytes, crc_fits
from firmware_bridge.link import LinkTiming
from firmware_bridge.trace import parse_request, read_trace
from firmware_bridge.transaction import Cause, Transaction

TIMING = LinkTiming(baudrate=9600)
REQUESTS = st.one_of(
    st.builds(
        Request,
        device_id=st.integers(1, 255),
        function=st.sampled_from([1, 2, 3, 4]),
        address=st.integers(0, 65000),
        count=st.integers(1, 120),
    ),
    st.builds(
        Request,
        device_id=st.integers(1, 255),
        function=st.just(6),
        address=st.integers(0, 65000),
        value=st.integers(0, 0xFFFF),
    ),
)


def good_reply(request: Request, payload: bytes) -> bytes:
    if request.is_write:
        return request.encode()
    body = (
        bytes([request.device_id, request.function, request.payload_bytes]) + payload[: request.payload_bytes]
    )
    body = body.ljust(3 + request.payload_bytes, b"\x00")
    return body + crc_bytes(body)


def feed(request: Request, pieces: list[tuple[float, bytes]]) -> Transaction:
    transaction = Transaction(request, sent_at_s=0.0, timing=TIMING, response_timeout_s=0.1)
    now_s = 0.0
    for pause_s, data in pieces:
        now_s += pause_s
        transaction.receive(data, now_s)
        if transaction.conclude(now_s) is not None:
            break
    return transaction


@settings(max_examples=300, deadline=None)
@given(REQUESTS, st.lists(st.tuples(st.floats(0, 0.05), st.binary(max_size=300)), max_size=8))
def test_no_stream_of_bytes_breaks_the_parser_or_keeps_it_for_ever(
    request: Request, pieces: list[tuple[float, bytes]]
) -> None:
    outcome = feed(request, pieces).conclude(1e6)
    assert outcome is not None
    if outcome.cause is Cause.OK:
        stream = b"".join(data for _, data in pieces)
        assert good_reply(request, b"")[:2] in stream


@settings(max_examples=300, deadline=None)
@given(REQUESTS, st.binary(min_size=250, max_size=250), st.data())
def test_a_damaged_reply_is_never_a_value(request: Request, payload: bytes, data: st.DataObject) -> None:
    reply = bytearray(good_reply(request, payload))
    at = data.draw(st.integers(0, len(reply) - 1))
    reply[at] ^= data.draw(st.integers(1, 255))
    outcome = feed(request, [(0.02, bytes(reply))]).conclude(1e6)
    assert outcome is not None
    assert outcome.values == ()


@settings(max_examples=200, deadline=None)
@given(REQUESTS, REQUESTS, st.binary(min_size=250, max_size=250))
def test_a_reply_to_another_request_is_never_a_value(mine: Request, other: Request, payload: bytes) -> None:
    if mine.shape == other.shape:  # what bars are for: see test_schedule
        return
    outcome = feed(mine, [(0.02, good_reply(other, payload))]).conclude(1e6)
    assert outcome is not None
    assert outcome.cause is not Cause.OK


@settings(max_examples=300, deadline=None)
@given(REQUESTS, st.binary(min_size=250, max_size=250), st.lists(st.integers(1, 255), max_size=6))
def test_a_whole_reply_is_taken_however_it_is_cut(request: Request, payload: bytes, cuts: list[int]) -> None:
    reply = good_reply(request, payload)
    edges = sorted({0, len(reply), *(cut % len(reply) for cut in cuts)})
    pieces = [(0.01, reply[a:b]) for a, b in itertools.pairwise(edges)]
    outcome = feed(request, pieces).conclude(1e6)
    assert outcome is not None
    assert outcome.cause is Cause.OK
    if not request.is_write and request.function in (3, 4):
        assert b"".join(value.to_bytes(2) for value in outcome.values) == reply[3:-2]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=12))
def test_any_bytes_are_a_request_or_none(data: bytes) -> None:
    request = parse_request(data)
    if request is not None:
        assert crc_fits(data)
        assert request.encode() == data


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_file_is_a_trace_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("traces") / "trace.jsonl"
    path.write_bytes(b'{"trace": 1}\n' + data)
    with suppress(BridgeError):
        assert read_trace(path).header == {"trace": 1}


def test_on_a_rotten_line_nothing_wrong_is_read_and_no_change_is_missed(
    profiles: dict[str, SensorProfile],
) -> None:
    """1% of characters corrupted, 1 in 100 replies late by up to what the profile declares."""
    calm = torture(profiles, transactions=1000, seed=1, cycle_s=60.0, good_cycle_s=60.0)
    result = torture(profiles, transactions=3000, seed=7, cycle_s=calm.cycle_s, good_cycle_s=calm.cycle_s)
    assert result.wrong_values == 0
    assert result.missed_changes == 0
    assert result.changes > 150
    assert result.answers > 0.7 * result.transactions


def test_memory_stays_flat(profiles: dict[str, SensorProfile]) -> None:
    assert memory_growth_kib(profiles, 20_000) < 1024
