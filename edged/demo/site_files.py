"""The files that a technician and an operator would write for the demo's street."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SITE = "demo-street"
DEVICE = "pole-0001"
POLE_CODE = "P1-7Q4K"
CAMERA_USER, CAMERA_PASSWORD = "edged", "Gao-Wei-1"  # of the simulated camera only

BUS_TOML = """\
link = "{run}/bus0"
control = "{run}/bus.sock"
baudrate = 9600
seed = {seed}
"""

BUS_DEVICE_TOML = """
[[device]]
profile = "{profile}"
id = {id}
"""

CAMERA_TOML = """\
username = "{user}"
password = "{password}"
control = "{run}/camera.sock"
seed = {seed}
berths = [{berths}]
"""

CHANNEL_TOML = """
[[channel]]
number = {number}
berths = [{berths}]
is_day = {is_day}
"""

EDGED_TOML = """\
[site]
site_id = "{site}"
device_id = "{device}"
time_zone = "Asia/Shanghai"

[[bus]]
name = "kerb"
port = "{run}/bus0"
baudrate = 9600

[store]
directory = "{run}/store"

[uplink]
cloud_url = "{cloud_url}"
credentials = "{run}/credentials.json"
poll_interval_s = 1.0

[snapshot_api]
port = {api_port}
public_url = "http://127.0.0.1:{api_port}"
"""

SENSOR_TOML = """
[[sensor]]
name = "{name}"
bus = "kerb"
device_id = {id}
profile = "{profile}"
"""

CAMERA_BLOCK_TOML = """
[[camera]]
name = "high-{number}"
kind = "http"
source = "http://127.0.0.1:{port}/ISAPI/Streaming/channels/{number}/picture"
username = "{user}"
password_file = "camera.password"
live = {live}
"""

BERTH_TOML = """
[[berth]]
berth_no = "{berth_no}"
sensor = "{sensor}"
camera = "high-{channel}"
"""

CLOUD_TOML = """\
[server]
port = {port}

[database]
url = "sqlite:///{run}/cloud.db"
"""

REGISTRY_TOML = """\
[[sites]]
site_id = "{site}"
name = "Demo street"
"""

REGISTRY_BERTH_TOML = """
[[berths]]
site_id = "{site}"
berth_no = "{berth_no}"
device_id = "{device}"
pole_code = "{pole_code}"
zone_id = "north"
lat = {lat:.6f}
lon = 120.211980
kerb_order = {order}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoBerth:
    """One berth of the demo: its sensor on the bus, and the camera channel that watches it."""

    berth_no: str
    sensor_id: int
    profile: str
    channel: int

    @property
    def sensor(self) -> str:
        return f"{self.profile}-{self.sensor_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFiles:
    """Writes into `folder`; what programs make at run time (sockets, records) goes into `run`."""

    folder: Path
    run: Path
    berths: Sequence[DemoBerth]
    seed: int

    def write_bus(self) -> Path:
        devices = (BUS_DEVICE_TOML.format(profile=b.profile, id=b.sensor_id) for b in self.berths)
        return self._write("bus.toml", BUS_TOML.format(run=self.run, seed=self.seed) + "".join(devices))

    def write_camera(self, is_day: Mapping[int, bool]) -> Path:
        text = CAMERA_TOML.format(
            user=CAMERA_USER,
            password=CAMERA_PASSWORD,
            run=self.run,
            seed=self.seed,
            berths=_quoted(berth.berth_no for berth in self.berths),
        )
        for number in self._channels():
            watched = _quoted(berth.berth_no for berth in self.berths if berth.channel == number)
            by_day = str(is_day[number]).lower()
            text += CHANNEL_TOML.format(number=number, berths=watched, is_day=by_day)
        return self._write("camera.toml", text)

    def write_cloud(self, port: int) -> tuple[Path, Path]:
        """Return the service's settings and the registry of berths."""
        registry = REGISTRY_TOML.format(site=SITE)
        for order, berth in enumerate(self.berths):
            registry += REGISTRY_BERTH_TOML.format(
                site=SITE,
                berth_no=berth.berth_no,
                device=DEVICE,
                pole_code=POLE_CODE,
                lat=30.208400 + order * 0.0000225,
                order=order + 1,
            )
        settings = CLOUD_TOML.format(port=port, run=self.run)
        return self._write("cloud.toml", settings), self._write("berths.toml", registry)

    def write_edged(
        self,
        *,
        camera_port: int,
        api_port: int,
        cloud_url: str,
        polygons: Mapping[str, Sequence[Sequence[int]]] | None,
    ) -> Path:
        """Write the daemon's settings; without `polygons` each berth has its camera's whole picture.

        Such cameras may show photographs, each of another place: they are no live view.
        """
        self._write("camera.password", CAMERA_PASSWORD + "\n").chmod(0o600)
        text = EDGED_TOML.format(
            site=SITE, device=DEVICE, run=self.run, cloud_url=cloud_url, api_port=api_port
        )
        for berth in self.berths:
            text += SENSOR_TOML.format(name=berth.sensor, id=berth.sensor_id, profile=berth.profile)
        for number in self._channels():
            text += CAMERA_BLOCK_TOML.format(
                number=number, port=camera_port, user=CAMERA_USER, live=str(polygons is not None).lower()
            )
        for berth in self.berths:
            text += BERTH_TOML.format(berth_no=berth.berth_no, sensor=berth.sensor, channel=berth.channel)
            if polygons is not None:
                text += f"polygon = {[list(point) for point in polygons[berth.berth_no]]}\n"
        return self._write("edged.toml", text)

    def _channels(self) -> list[int]:
        return sorted({berth.channel for berth in self.berths})

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
