"""What the values of a settings file may not say of each other."""

from collections import Counter
from collections.abc import Iterable, Iterator
from string import Formatter
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edged.domain.trouble import Trouble
from edged.settings.addresses import is_address, is_loopback, masked_url, url_fault
from edged.settings.errors import refused
from edged.settings.model import CameraKind, CameraSettings, Settings
from edged.settings.outlines import outline_fault

_SCHEMES = {CameraKind.HTTP: ("http", "https"), CameraKind.RTSP: ("rtsp", "rtsps")}


def contradictions(settings: Settings) -> Iterator[Trouble]:
    """Yield every contradiction between values that are each right alone."""
    yield from _empty(settings)
    yield from _repeated("bus", "name", (bus.name for bus in settings.bus))
    yield from _repeated("bus", "port", (bus.port for bus in settings.bus))
    yield from _repeated("sensor", "name", (sensor.name for sensor in settings.sensor))
    yield from _repeated("camera", "name", (camera.name for camera in settings.camera))
    yield from _repeated("berth", "berth_no", (berth.berth_no for berth in settings.berth))
    yield from _shared_device_ids(settings)
    yield from _dangling(settings)
    yield from _shared_channels(settings)
    yield from _indistinct_berths(settings)
    yield from _outlines(settings)
    for number, camera in enumerate(settings.camera, start=1):
        yield from _camera_urls(f'camera[{number}] "{camera.name}"', camera)
    yield from _site(settings)
    yield from _addresses(settings)


def _empty(settings: Settings) -> Iterator[Trouble]:
    for section in ("bus", "sensor", "camera", "berth"):
        if not getattr(settings, section):
            yield refused(key=section, got="none", remedy=f"add a section [[{section}]]")


def _repeated(section: str, key: str, values: Iterable[str]) -> Iterator[Trouble]:
    for value, times in Counter(values).items():
        if times > 1:
            yield refused(
                key=f"{section}: {key}", got=repr(value), remedy=f"is used {times} times; make each unique"
            )


def _shared_device_ids(settings: Settings) -> Iterator[Trouble]:
    """Two sensors with one id are inputs of one device, or a mistake: then they would watch one channel.

    What different profiles read of a device shows only with the profiles at hand.
    """
    channels: dict[str, set[int]] = {sensor.name: set() for sensor in settings.sensor}
    for berth in settings.berth:
        channels.setdefault(berth.sensor, set()).add(berth.watched_by[1])
    for number, sensor in enumerate(settings.sensor, start=1):
        for other in settings.sensor[: number - 1]:
            if (other.bus, other.device_id, other.profile) != (sensor.bus, sensor.device_id, sensor.profile):
                continue
            if channels[other.name] and channels[sensor.name].isdisjoint(channels[other.name]):
                continue
            yield refused(
                key=f'sensor[{number}] "{sensor.name}": device_id',
                got=str(sensor.device_id),
                remedy=f'sensor "{other.name}" has this id on bus "{sensor.bus}" already; both would answer '
                "at once: give one another id (`edged bus set-id`); inputs of one device differ by channel",
            )
            break


def _dangling(settings: Settings) -> Iterator[Trouble]:
    buses = [bus.name for bus in settings.bus]
    sensors = [sensor.name for sensor in settings.sensor]
    cameras = [camera.name for camera in settings.camera]
    for number, sensor in enumerate(settings.sensor, start=1):
        yield from _unknown(f'sensor[{number}] "{sensor.name}": bus', sensor.bus, "bus", buses)
    for number, berth in enumerate(settings.berth, start=1):
        where = f'berth[{number}] "{berth.berth_no}"'
        yield from _unknown(f"{where}: sensor", berth.sensor, "sensor", sensors)
        yield from _unknown(f"{where}: camera", berth.camera, "camera", cameras)


def _unknown(key: str, got: str, section: str, names: list[str]) -> Iterator[Trouble]:
    if got not in names:
        remedy = f"no [[{section}]] has this name; there are {', '.join(names)}"
        yield refused(key=key, got=repr(got), remedy=remedy)


def _shared_channels(settings: Settings) -> Iterator[Trouble]:
    owners: dict[tuple[str, int], str] = {}
    for number, berth in enumerate(settings.berth, start=1):
        first = owners.setdefault(berth.watched_by, berth.berth_no)
        if first != berth.berth_no:
            yield refused(
                key=f'berth[{number}] "{berth.berth_no}": channel',
                got="/".join(map(str, berth.watched_by)),
                remedy=f'berth "{first}" is watched by this channel already; each berth needs its own',
            )


def _indistinct_berths(settings: Settings) -> Iterator[Trouble]:
    berths_of = Counter(berth.camera for berth in settings.berth)
    presets = {camera.name: camera.preset_url for camera in settings.camera}
    for number, berth in enumerate(settings.berth, start=1):
        where = f'berth[{number}] "{berth.berth_no}"'
        if berths_of[berth.camera] > 1 and berth.polygon is None and berth.preset is None:
            yield Trouble(
                where=f"{where}: polygon",
                cause=f'is missing, but camera "{berth.camera}" sees {berths_of[berth.camera]} berths',
                remedy="add polygon = [[x, y], ...], or a neighbour's plate would be read",
            )
        if berth.preset is not None and presets.get(berth.camera) is None:
            yield refused(
                key=f"{where}: preset",
                got=str(berth.preset),
                remedy=f'camera "{berth.camera}" has no preset_url; add one, or use a polygon',
            )


def _site(settings: Settings) -> Iterator[Trouble]:
    try:
        ZoneInfo(settings.site.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # "Asia" is a folder
        yield refused(
            key="site: time_zone",
            got=repr(settings.site.time_zone),
            remedy="is no time zone of the IANA list; in China write Asia/Shanghai",
        )


def _addresses(settings: Settings) -> Iterator[Trouble]:
    cloud_url, api = settings.uplink.cloud_url, settings.snapshot_api
    for key, url in (("uplink: cloud_url", cloud_url), ("snapshot_api: public_url", api.public_url)):
        if url is not None and (fault := url_fault(url, ("http", "https"))):
            yield refused(key=key, got=repr(url), remedy=fault)
        elif url == cloud_url and not _is_private(cloud_url):
            remedy = "would send the token and plates in clear; use https:// (a private CA goes into ca_file)"
            yield refused(key=key, got=repr(url), remedy=remedy)
    if not is_address(api.listen):
        remedy = "is no address to listen at; write 127.0.0.1, 0.0.0.0 or one of this box"
        yield refused(key="snapshot_api: listen", got=repr(api.listen), remedy=remedy)


def _is_private(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _outlines(settings: Settings) -> Iterator[Trouble]:
    for number, berth in enumerate(settings.berth, start=1):
        if berth.polygon is not None and (fault := outline_fault(berth.polygon)):
            shown = [list(point) for point in berth.polygon]
            yield refused(key=f'berth[{number}] "{berth.berth_no}": polygon', got=str(shown), remedy=fault)


def _camera_urls(where: str, camera: CameraSettings) -> Iterator[Trouble]:
    schemes = _SCHEMES.get(camera.kind)
    if schemes and (fault := url_fault(camera.source, schemes)):
        yield refused(key=f"{where}: source", got=repr(masked_url(camera.source)), remedy=fault)
    if camera.preset_url is None:
        return
    if fault := _preset_fault(camera.preset_url):
        yield refused(key=f"{where}: preset_url", got=repr(masked_url(camera.preset_url)), remedy=fault)


def _preset_fault(url: str) -> str | None:
    try:
        names = {name for _, name, _, _ in Formatter().parse(url) if name is not None}
    except ValueError:
        names = set()
    if names != {"preset"}:
        return "write {preset} where the preset's number belongs, and no other braces"
    return url_fault(url.format(preset=1), ("http", "https"))
