"""Pre-render a reader's shards: python models/training/render_reader.py

A shard that is already there is kept, so a broken-off run goes on where it stopped. Each shard's random
numbers come from the seed and its own name, whatever the number of processes.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import reader_data
from plate_art import load_glyphs
from reader_config import ReaderConfig, load_config
from reader_net import SHAPES
from real_glyphs import load_real_glyphs


def render_shards(config: ReaderConfig, processes: int) -> list[Path]:
    """Make every missing shard; returns all shards' paths, real ones first."""
    config.folder.mkdir(parents=True, exist_ok=True)
    names = [f"real_{i:03d}" for i in range(config.real_shards)]
    names += [f"synthetic_{i:03d}" for i in range(config.synthetic_shards)]
    paths = [config.folder / f"{name}.npz" for name in names]
    missing = [path for path in paths if not path.exists()]
    if processes <= 1:
        for path in missing:
            render_shard(config, path)
    else:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(render_shard, [config] * len(missing), missing))
    return paths


def render_shard(config: ReaderConfig, path: Path) -> None:
    """Draw one shard of the kind that its name tells."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([config.seed, *path.stem.encode()])
    draw = _real_samples if path.stem.startswith("real") else _synthetic_samples
    samples = draw(config, rng)
    reader_data.save_shard(path, samples)
    print(f"{path.name}: {len(samples)} windows", flush=True)


def _synthetic_samples(config: ReaderConfig, rng: np.random.Generator) -> list[reader_data.Sample]:
    glyphs = load_glyphs(config.plates / "glyphs")
    glyphs.real = load_real_glyphs(config.plates / "glyphs" / "real", glyphs)
    street = reader_data.load_street(config.plates / "street", limit=120)
    cutouts = reader_data.load_no_plates(config.plates / "negatives")

    def drawn() -> reader_data.Sample:
        if street and rng.random() < config.no_plate_share:
            if cutouts and rng.random() < 0.6:
                return reader_data.no_plate_cutout(cutouts, rng)
            return reader_data.no_plate_sample(street, rng)
        return reader_data.synthetic_sample(glyphs, rng, hidden_share=config.hidden_share)

    return [drawn() for _ in range(config.shard_size)]


def _real_samples(config: ReaderConfig, rng: np.random.Generator) -> list[reader_data.Sample]:
    plates = reader_data.training_plates(config.plates)
    pictures = {plate.path: cv2.imread(str(plate.path)) for plate in plates}
    weights = reader_data.drawing_weights(plates)
    chosen = [plates[int(i)] for i in rng.choice(len(plates), config.shard_size, p=weights)]
    return [
        reader_data.real_sample(
            plate, np.asarray(pictures[plate.path], np.uint8), rng, hidden_share=config.hidden_share
        )
        for plate in chosen
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/training/config.toml"))
    parser.add_argument("--name", choices=sorted(SHAPES), default="reader")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    render_shards(load_config(arguments.config, arguments.name), arguments.processes)
