"""What the simulated cameras show: cars that come and go, or the user's own photographs."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edged.demo.scene import HEIGHT_PX, WIDTH_PX, Scene
from edged.demo.sensor import Sensor
from edged.picture import PictureError, decode_picture, encode_jpeg

_JPEG_QUALITY = 88


class StageError(ValueError):
    """A command that cannot be carried out; the message says why and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One camera of the pole, as a Hikvision counts them (101, 201, ...), and the berths that it watches."""

    number: int
    berths: tuple[str, ...]
    is_day: bool = True


class Stage:
    """All channels' pictures. Scenes are rendered when cars move, so that cameras answer at once."""

    def __init__(self, berths: Sequence[str], channels: Sequence[Channel], *, seed: int) -> None:
        self._channels = {channel.number: channel for channel in channels}
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._scenes = {
            channel.number: Scene(berths, channel.berths, seed=seed + channel.number, is_day=channel.is_day)
            for channel in channels
        }
        self._cars: dict[str, str] = {}
        self._photos: dict[int, bytes] = {}
        self._sensors = {
            channel.number: Sensor(WIDTH_PX, HEIGHT_PX, is_day=channel.is_day, rng=self._rng)
            for channel in channels
        }
        self._rendered = {number: scene.render({}).image for number, scene in self._scenes.items()}

    @property
    def polygons(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Where each berth lies in the picture of its channel."""
        return {
            berth_no: self._scenes[channel.number].polygon(berth_no)
            for channel in self._channels.values()
            for berth_no in channel.berths
        }

    def jpeg(self, number: int) -> bytes:
        """Return the channel's next frame; KeyError when there is no such channel."""
        with self._lock:
            photo = self._photos.get(number)
            if photo is not None:
                return photo
            image = self._rendered[number]
            frame_seed = int(self._rng.integers(2**32))
        frame = self._sensors[number].frame(image, np.random.default_rng(frame_seed))
        return encode_jpeg(frame, quality=_JPEG_QUALITY)

    def arrive(self, berth_no: str, *, plate: str | None = None, photo: str | None = None) -> None:
        """Show a car of that plate in the berth, or a photograph on the berth's channel."""
        channel = self._channel_of(berth_no)
        if photo is not None:
            shown = _as_jpeg(Path(photo))
            with self._lock:
                self._photos[channel.number] = shown
            return
        if plate is None:
            raise StageError("arrive: give a plate such as 京A12345, or a photo")
        self._render({**self._cars, berth_no: plate}, came=berth_no)

    def leave(self, berth_no: str) -> None:
        """Show the berth empty."""
        channel = self._channel_of(berth_no)
        with self._lock:
            self._photos.pop(channel.number, None)
        if berth_no in self._cars:
            self._render({no: plate for no, plate in self._cars.items() if no != berth_no})

    def _render(self, cars: dict[str, str], *, came: str | None = None) -> None:
        moved = set(cars.items()) ^ set(self._cars.items())
        seen_by = [
            number
            for number, scene in self._scenes.items()
            if any(scene.sees(berth_no) for berth_no, _ in moved)
        ]
        try:
            rendered = {
                number: self._scenes[number].render(cars, lights_on=[came] if came else []).image
                for number in seen_by
            }
        except ValueError as exc:
            raise StageError(str(exc)) from exc
        with self._lock:
            self._cars = cars
            self._rendered.update(rendered)

    def _channel_of(self, berth_no: str) -> Channel:
        for channel in self._channels.values():
            if berth_no in channel.berths:
                return channel
        known = ", ".join(no for channel in self._channels.values() for no in channel.berths)
        raise StageError(f"no camera watches berth {berth_no!r}; there are {known}")


def _as_jpeg(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        image = decode_picture(data)
    except (OSError, PictureError) as exc:
        raise StageError(f"{path} cannot be shown: {exc}") from exc
    return data if data[:2] == b"\xff\xd8" else encode_jpeg(image, quality=95)
