"""`python -m edged.picture.video_child`: the process in which video is decoded, made to be killed.

A read of an RTSP stream or of a V4L2 device can hang for ever in native code, where no timeout and no
thread can end it. So it runs here, and `VideoCamera` kills it when it is late.

It stands beside the pictures and not beside the cameras: these import the settings, which would cost each
child 20 MB.

stdin: one JSON line {"kind", "source", "count", "interval_s", "timeout_s"}; an address may hold a
password, which has no place in a command line that every user of the box can list.
stdout: per frame a header (`HEADER`: bytes of the JPEG, CLOCK_MONOTONIC seconds) and the JPEG; the end of the
stream after less than `count` frames means that the source gave no more. A frame of too many pixels has 0
bytes.
"""

import json
import os
import struct
import sys
import time

import cv2
import numpy as np

from edged.picture import MAX_PIXELS, encode_jpeg

HEADER = struct.Struct("<Id")
_QUALITY = 95  # what the stream's own codec has left of the picture is kept
_BAD_FRAMES = 50  # a stream joined between two keyframes begins with frames that cannot be decoded


def main() -> int:
    """Read the request, write the frames; 1 when the source cannot be opened."""
    request = json.loads(sys.stdin.readline())
    capture = _opened(request["kind"], request["source"], float(request["timeout_s"]))
    if not capture.isOpened():
        return 1
    try:
        _stream(capture, int(request["count"]), float(request["interval_s"]))
    except BrokenPipeError:
        pass  # the parent has what it wanted
    finally:
        capture.release()
    return 0


def _opened(kind: str, source: str, timeout_s: float) -> cv2.VideoCapture:
    if kind == "v4l2":
        capture = cv2.VideoCapture(source, cv2.CAP_V4L2)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture
    # Over UDP, lost packets smear the picture; interleaved TCP passes every firewall between.
    # One thread: each decoding thread holds some frames of its own, and four children share a small box.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|threads;1")
    timeout_ms = int(timeout_s * 1000)
    parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    return cv2.VideoCapture(source, cv2.CAP_FFMPEG, parameters)


def _stream(capture: cv2.VideoCapture, count: int, interval_s: float) -> None:
    """Write `count` frames, `interval_s` apart; what lies between is read and thrown away, so that the
    next one is of now and not of a queue."""
    written, bad, due_s = 0, 0, 0.0
    while written < count and bad < _BAD_FRAMES:
        done, image = capture.read()
        taken_s = time.monotonic()
        if not done or image is None:
            bad += 1
            continue
        if taken_s < due_s:
            continue
        is_too_large = image.shape[0] * image.shape[1] > MAX_PIXELS
        jpeg = b"" if is_too_large else encode_jpeg(np.asarray(image, np.uint8), quality=_QUALITY)
        sys.stdout.buffer.write(HEADER.pack(len(jpeg), taken_s))
        sys.stdout.buffer.write(jpeg)
        sys.stdout.buffer.flush()
        written, due_s = written + 1, taken_s + interval_s


if __name__ == "__main__":
    sys.exit(main())
