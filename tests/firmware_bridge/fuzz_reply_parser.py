"""Fuzzing the reply parser: streams that were once right replies, and streams that never were.

    python tests/firmware_bridge/fuzz_reply_parser.py hypothesis 1000000
    python tests/firmware_bridge/fuzz_reply_parser.py atheris -atheris_runs=1000000    # pip install atheris

A stream may only end in an outcome, never in an exception, and never as a value that its bytes do not carry.
atheris is guided by coverage of this package's own code; hypothesis builds its streams edit by edit.
"""

import inspect
import itertools
import sys
from collections.abc import Iterator, Sequence
from random import Random

from firmware_bridge.frames import Request, crc_bytes
from firmware_bridge.link import LinkTiming
from firmware_bridge.transaction import Cause, Transaction

TIMING = LinkTiming(baudrate=9600)
REQUESTS = (
    Request(device_id=0x50, function=3, address=0x34),
    Request(device_id=1, function=4, address=1, count=2),
    Request(device_id=1, function=2, address=0, count=6),
    Request(device_id=7, function=3, address=16, count=20),
    Request(device_id=1, function=6, address=0x1C, value=0x0B4D),
)


def judge(data: bytes) -> None:
    """One stream: its first byte chooses request and echo, its second the size of the pieces."""
    if len(data) < 2:
        return
    request = REQUESTS[data[0] % len(REQUESTS)]
    piece = data[1] % 32 + 1
    transaction = Transaction(
        request, sent_at_s=0.0, timing=TIMING, response_timeout_s=0.1, echoes=bool(data[0] & 0x80)
    )
    stream, now_s = data[2:], 0.0
    for start in range(0, len(stream), piece):
        now_s += 0.001
        transaction.receive(stream[start : start + piece], now_s)
        if transaction.conclude(now_s) is not None:
            break
    outcome = transaction.conclude(1e6)
    if outcome is None:
        raise AssertionError("no outcome")
    if outcome.cause is Cause.OK and not request.is_write:
        head = bytes([request.device_id, request.function, request.payload_bytes])
        at = stream.find(head)
        while at >= 0:
            frame = stream[at : at + request.reply_bytes]
            if len(frame) == request.reply_bytes and crc_bytes(frame[:-2]) == frame[-2:]:
                return
            at = stream.find(head, at + 1)
        raise AssertionError(f"a value from nowhere: {data.hex()}")


def mutated(choice: int, piece: int, payload: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    """A right reply that something happened to: each edit is a kind, a place and characters."""
    request = REQUESTS[choice % len(REQUESTS)]
    payload = payload[: request.payload_bytes].ljust(request.payload_bytes, b"\x00")
    body = bytes([request.device_id, request.function, request.payload_bytes]) + payload
    reply = bytearray(request.encode() if request.is_write else body + crc_bytes(body))
    for kind, place, characters in edits:
        at = place % (len(reply) + 1)
        if kind == 0:
            reply[at : at + len(characters)] = characters
        elif kind == 1:
            reply[at:at] = characters
        elif kind == 2:
            del reply[at : at + len(characters)]
        elif kind == 3:
            reply += reply[:at]
        else:
            reply[:0] = request.encode()
    return bytes([choice, piece]) + bytes(reply)


def streams_of(script: bytes) -> Iterator[bytes]:
    """Streams as a script of bytes says: request, pieces, payload, then up to three edits each."""
    rest = iter(script)
    for choice, piece in zip(rest, rest, strict=False):
        payload = bytes(itertools.islice(rest, 4))
        edits = []
        for _ in range(next(rest, 0) % 4):
            kind, place, size = next(rest, 0) % 5, next(rest, 0), next(rest, 0) % 8 + 1
            edits.append((kind, place, bytes(itertools.islice(rest, size))))
        yield mutated(choice, piece, payload, edits)


def with_hypothesis(wanted: int) -> None:
    """Examples until so many streams were judged; nothing is kept from earlier runs."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    count = 0

    @settings(
        max_examples=1000,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=300, max_size=1000), st.binary(max_size=300))
    def fuzz(script: bytes, raw: bytes) -> None:
        nonlocal count
        for stream in (raw, *streams_of(script)):
            count += 1
            judge(stream)

    while count < wanted:
        fuzz()
    print(f"hypothesis: {count} streams: no exception, no value from nowhere")


def with_atheris(arguments: list[str]) -> None:
    """Coverage-guided; half of its streams begin as right replies."""
    import atheris

    for kind in (Transaction, Request):
        for name, part in vars(kind).items():
            if inspect.isfunction(part) and not name.startswith("__"):
                setattr(kind, name, atheris.instrument_func(part))

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(data, most_bytes))
        edits = [
            (rng.randrange(5), rng.randrange(256), rng.randbytes(rng.randint(1, 8)))
            for _ in range(rng.randrange(4))
        ]
        fresh = mutated(rng.randrange(256), rng.randrange(256), rng.randbytes(16), edits)
        return fresh[:most_bytes]

    atheris.Setup([sys.argv[0], "-max_len=120", *arguments], judge, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    match sys.argv[1:]:
        case ["hypothesis", runs]:
            with_hypothesis(int(runs))
        case ["atheris", *arguments]:
            with_atheris(arguments)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
