"""The reader's part of the one config file."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """What `[data]` and the reader's table of config.toml say; `plates` and `work` are folders."""

    name: str
    plates: Path
    work: Path
    seed: int
    synthetic_shards: int
    real_shards: int
    shard_size: int
    no_plate_share: float
    hidden_share: float
    batch: int
    steps: int
    real_share: float
    peak_learning_rate: float
    weight_decay: float
    ema: float
    label_smoothing: float
    kind_weight: float
    threads: int
    checkpoint_every: int

    @property
    def folder(self) -> Path:
        """Where this reader's shards and checkpoints are."""
        return self.work / self.name

    @property
    def checkpoint(self) -> Path:
        """The last one."""
        return self.folder / "last.pt"


def load_config(path: Path, name: str = "reader") -> ReaderConfig:
    """Read table `name` of `path`; ValueError names the file and the keys that are missing or unknown."""
    with path.open("rb") as file:
        table = tomllib.load(file)
    data, reader = table.get("data", {}), table.get(name, {})
    wanted = {field.name for field in fields(ReaderConfig)} - {"name", "plates", "work"}
    if wanted != set(reader) or not {"plates", "work"} <= set(data):
        wrong = sorted(wanted ^ set(reader))
        raise ValueError(f"{path}: [data] needs plates and work; missing or unknown in [{name}]: {wrong}")
    shared = Path(os.environ.get("EDGED_TEST_DATA", "../shared"))
    return ReaderConfig(name=name, plates=shared / data["plates"], work=Path(data["work"]), **reader)
