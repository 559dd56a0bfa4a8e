"""What is remembered of each view over a restart: its reference and its habits, one file a view."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from edged.view.quality import Habits
from edged.view.watch import View

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ViewMemory:
    """`root`/CAMERA.npz or CAMERA@PRESET.npz. The pictures never leave the box."""

    root: Path

    def keep(self, key: tuple[str, int | None], view: View) -> None:
        """Write the view's reference; a disk that takes nothing is no reason to stop."""
        reference = view.reference
        if reference.place is None or reference.size_px is None:
            return
        path = self.path_of(key)
        part = path.with_suffix(".part")
        try:
            self.root.mkdir(mode=0o750, exist_ok=True)
            with part.open("wb") as file:
                np.savez_compressed(
                    file,
                    grey=reference.place.grey,
                    size_px=reference.size_px,
                    count_day=(reference.count, reference.day),
                    habits=np.asarray(view.habits.as_rows()),
                    plan=np.asarray(_plan(view)),
                )
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError as error:
            log.warning("view not kept", path=str(path), reason=str(error))

    def recall(self, key: tuple[str, int | None], view: View) -> None:
        """Take up what was kept, unless the outlines have been drawn anew since."""
        path = self.path_of(key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if str(kept["plan"]) != _plan(view):
                    return
                width, height = (int(side) for side in kept["size_px"])
                count, day = (int(number) for number in kept["count_day"])
                view.reference.restore(kept["grey"], size_px=(width, height), count=count, day=day)
                view.habits = Habits.of_rows(kept["habits"].tolist())
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            log.warning("view not remembered", path=str(path), reason=str(error))

    def path_of(self, key: tuple[str, int | None]) -> Path:
        """Return the file of a camera's view, at a preset or without one."""
        camera, preset = key
        # settings allow letters, digits, "_", "." and "-" in a camera's name: no two views share a file
        return self.root / (f"{camera}.npz" if preset is None else f"{camera}@{preset}.npz")


def _plan(view: View) -> str:
    """Return the outlines as text: who draws them anew has looked at the view."""
    return repr(sorted((no, outline) for no, outline in view.plan.outlines.items()))
