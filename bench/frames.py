"""Frames: batches from the frame store against tonic's cache, and building them against ToFrame.

    python bench/frames.py [data folder]

Claims: at least 50 times as many batches per second as tonic's `DiskCachedDataset` behind a
`DataLoader`; building no slower per core than tonic's `ToFrame` on the same files.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import tonic
import torch
from compare import compare, report
from torch.utils.data import DataLoader, Subset

import snnq
from snnq.recordings.binning import frames_of
from snnq.training.batches import collate

BATCH, STEPS, RECORDINGS = 16, 10, 640


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="data/digits")
    root = parser.parse_args().data
    torch.set_num_threads(1)
    recordings = snnq.Recordings("nmnist", root, train=True)
    chosen = (
        np.linspace(0, len(recordings) - 1, min(RECORDINGS, len(recordings))).astype(int).tolist()
    )
    with tempfile.TemporaryDirectory() as folder:
        ours, _ = snnq.load("nmnist", root, STEPS, cache=Path(folder) / "ours")
        to_frame = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_event_bins=STEPS)
        theirs = _Events(recordings, to_frame)
        cached = tonic.DiskCachedDataset(theirs, cache_path=f"{folder}/theirs")
        store = DataLoader(Subset(ours, chosen), BATCH, collate_fn=collate)
        disk = DataLoader(Subset(cached, chosen), BATCH)

        batches = compare(
            {"frame store": lambda: _drain(store), "DiskCachedDataset": lambda: _drain(disk)}
        )
        batches["batches_per_second"] = len(store) / batches["seconds"]
        report("frames_batches", batches)

    some = chosen[:200]
    building = compare(
        {
            "ToFrame": lambda: [theirs[i][0] for i in some],
            "frames_of": lambda: [_ours(recordings[i]) for i in some],
        }
    )
    building["recordings_per_second"] = len(some) / building["seconds"]
    report("frames_building", building)


class _Events(torch.utils.data.Dataset):
    """The recordings as tonic's datasets give them, through a transform."""

    def __init__(self, recordings, transform):
        self.recordings, self.transform = recordings, transform

    def __len__(self):
        return len(self.recordings)

    def __getitem__(self, index):
        return self.transform(self.recordings[index]), int(self.recordings.labels[index])


def _ours(events: np.ndarray) -> np.ndarray:
    return np.minimum(frames_of(events, STEPS, "number", (34, 34)), 255).astype(np.uint8)


def _drain(loader) -> None:
    for _ in loader:
        pass


if __name__ == "__main__":
    main()
