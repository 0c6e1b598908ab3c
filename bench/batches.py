"""Batches of augmented frames against a `DataLoader` and torch's own sampling in float32.

    python bench/batches.py

Frames as those of N-MNIST and of DVS128 Gesture, at batch 16, each recording through an affine map
of its own. A batch ends as the images that a network's first layer takes, in float32. Where there
is a GPU: there, with frames that are resident and with frames that are copied.
"""

import argparse
from functools import partial

import numpy as np
import pandas as pd
import torch
from compare import compare, report
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.recordings.frames import Frames
from snnq.recordings.resident import ResidentFrames
from snnq.system.memory import keep_freed_memory
from snnq.training.batches import batches, collate

BATCH = 16
SHAPES = {"nmnist": (640, 10, 2, 34, 34), "dvsgesture": (64, 20, 2, 128, 128)}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    keep_freed_memory()
    report("batches", pd.concat([of(benchmark) for benchmark in SHAPES], ignore_index=True))


def of(benchmark: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    numbers = rng.poisson(0.2, SHAPES[benchmark]).astype(np.uint8)
    data = Frames(benchmark, numbers, rng.integers(0, 10, len(numbers)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        ours = {"mapped": data}
    else:
        ours = {"copied": data, "resident": ResidentFrames(data, device)}
    candidates = {name: partial(_ours, frames, device) for name, frames in ours.items()}
    candidates = {"DataLoader": partial(_loaded, data, device)} | candidates
    table = compare(candidates)
    table["batches_per_second"] = -(-len(data) // BATCH) / table["seconds"]
    return table.assign(benchmark=benchmark, device=device.type, threads=torch.get_num_threads())


def _ours(data: Dataset, device: torch.device) -> None:
    changes = AUGMENTATIONS["affine"](len(data))
    for frames, _ in batches(data, BATCH, device, torch.randperm(len(data)), changes):
        frames.flatten(0, 1).contiguous()
    _wait(device)


def _loaded(data: Frames, device: torch.device) -> None:
    for frames, _ in DataLoader(data, BATCH, shuffle=True, collate_fn=collate):
        maps = torch.eye(2, 3) + 0.1 * (2 * torch.rand(len(frames), 2, 3) - 1)
        images = frames.to(device).flatten(1, 2).float()
        grid = F.affine_grid(maps.to(device), list(images.shape), align_corners=False)
        moved = F.grid_sample(images, grid, mode="nearest", align_corners=False)
        moved.reshape(frames.shape).transpose(0, 1).flatten(0, 1).contiguous()
    _wait(device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
