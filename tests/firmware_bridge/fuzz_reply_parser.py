"""Fuzzing the reply parser: `python tests/firmware_bridge/fuzz_reply_parser.py [-atheris_runs=1000000]`.

With atheris installed the fuzzer is guided by coverage; without it a million replies are mutated blindly.
Either way a stream may only end in an outcome, never in an exception, and never as a value that its bytes do
not carry.
"""

import sys
from random import Random

from firmware_bridge.frames import Request, crc_bytes
from firmware_bridge.link import LinkTiming
from firmware_bridge.transaction import Cause, Transaction

TIMING = LinkTiming(baudrate=9600)
REQUESTS = (
    Request(device_id=0x50, function=3, address=0x34),
    Request(device_id=1, function=4, address=1, count=2),
    Request(device_id=1, function=2, address=0, count=6),
    Request(device_id=7, function=3, address=16, count=120),
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


def mutated(rng: Random) -> bytes:
    """A right reply that something happened to."""
    choice = rng.randrange(256)
    request = REQUESTS[choice % len(REQUESTS)]
    body = bytes([request.device_id, request.function, request.payload_bytes])
    body += rng.randbytes(request.payload_bytes)
    reply = bytearray(request.encode() if request.is_write else body + crc_bytes(body))
    for _ in range(rng.randrange(4)):
        kind, at = rng.randrange(5), rng.randrange(len(reply) + 1)
        if kind == 0 and at < len(reply):
            reply[at] ^= rng.randint(1, 255)
        elif kind == 1:
            reply[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 2:
            del reply[at : at + rng.randint(1, 4)]
        elif kind == 3:
            reply += reply[: rng.randint(1, len(reply))] if reply else b"\x00"
        else:
            reply[:0] = request.encode()
    return bytes([choice, rng.randrange(256)]) + bytes(reply)


def main() -> None:
    try:
        import atheris
    except ImportError:
        rng = Random(1)
        runs = 1_000_000
        for _ in range(runs):
            judge(mutated(rng))
        print(f"{runs} mutated replies: no exception, no value from nowhere")
        return
    for name in ("receive", "conclude", "_drop_echo", "_find", "_accept", "_garbled_at"):
        setattr(Transaction, name, atheris.instrument_func(getattr(Transaction, name)))
    Request.answer_at = atheris.instrument_func(Request.answer_at)  # type: ignore[method-assign]

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        rng = Random(seed)
        return mutated(rng)[:most_bytes] if rng.random() < 0.5 else bytes(atheris.Mutate(data, most_bytes))

    atheris.Setup(sys.argv, judge, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
