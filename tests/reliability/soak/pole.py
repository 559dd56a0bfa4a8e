"""The street of the soak: eight berths, four cameras, a store on a small disk of its own."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edged.demo.site_files import DemoBerth, SiteFiles

DISK_MIB = 192
STORE_MIB = 96  # the quota drops old pictures from the first minutes on


def eight_berths() -> list[DemoBerth]:
    """Return berths with two kinds of sensors, by two on a camera."""
    return [
        DemoBerth(
            berth_no=str(1001 + at),
            sensor_id=1 + at,
            profile="ld120" if at < 4 else "urm15",
            channel=101 + 100 * (at // 2),
        )
        for at in range(8)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakFiles(SiteFiles):
    """The demo's files, with a quota that the pictures reach."""

    def write_edged(
        self,
        *,
        camera_port: int,
        api_port: int,
        cloud_url: str,
        polygons: Mapping[str, Sequence[Sequence[int]]] | None,
    ) -> Path:
        path = SiteFiles.write_edged(
            self, camera_port=camera_port, api_port=api_port, cloud_url=cloud_url, polygons=polygons
        )
        path.write_text(path.read_text().replace("[store]\n", f"[store]\nmax_size_mib = {STORE_MIB}\n"))
        return path


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk for the store and yield it; None when that takes rights that nobody has here."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
