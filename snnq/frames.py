"""Recordings as frames: events added up in T time steps, one memory-mapped array per split.

    python -m snnq.frames nmnist data/digits --steps 10

builds them ahead of training, and says what is wrong with the recordings if anything is.
"""

import argparse
import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from snnq.benchmarks import Recordings
from snnq.files import write_atomically

VERSION = 1  # of what `frames_of` computes: raise it when the frames change
CUTS = ("number", "time")


class Frames(Dataset):
    """Frames and labels of one split.

    Item i is (uint8 tensor [T, 2, H, W], class); a list of items, as a `DataLoader` asks for it,
    is one batch (uint8 tensor [N, T, 2, H, W], int64 tensor [N]).

    Attributes
    ----------
    name : str
        The benchmark, the split, and a digest of all that determines the frames.
    frames : uint8 array [recordings, T, 2, H, W], memory-mapped
    labels : int64 array [recordings]
    """

    def __init__(self, name: str, frames: np.ndarray, labels: np.ndarray):
        self.name, self.frames, self.labels = name, frames, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.frames[index].copy()), int(self.labels[index])

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.frames[indices]), torch.from_numpy(self.labels[indices])


def load(
    benchmark: str,
    root: str | Path = "data",
    steps: int | None = None,
    cut: str = "number",
    cache: str | Path = "data/frames",
) -> tuple[Frames, Frames]:
    """A benchmark's training and test split as frames.

    Parameters
    ----------
    benchmark : str
        A name in `snnq.BENCHMARKS`.
    root : path
        The data folder, with a complete download or a part of one.
    steps : int, optional
        Time steps T; the benchmark's own where not given.
    cut : str
        "number": T slices of equally many events, the last with the remainder (the protocol of
        Fang et al., ICCV 2021). "time": T slices of equal duration.
    cache : path
        Where the frames are kept. A file there is named by all that determines it: the
        recordings (path, size and time of change), T, the cut and the version of this code.

    Raises
    ------
    ValueError
        Unknown benchmark or cut, steps below 1, or a file that is no recording of the benchmark.
    FileNotFoundError
        No recordings under the folder.
    """
    if cut not in CUTS:
        raise ValueError(f"cut={cut!r}: expected one of {', '.join(CUTS)}")
    splits = [Recordings(benchmark, root, train) for train in (True, False)]
    steps = splits[0].benchmark.steps if steps is None else steps
    if steps < 1:
        raise ValueError(f"steps={steps}: expected at least 1")
    return tuple(_cached(split, steps, cut, Path(cache)) for split in splits)


def frames_of(events: np.ndarray, steps: int, cut: str, height: int, width: int) -> np.ndarray:
    """Events added up in T steps: int64 [T, 2, H, W]. Every event counts exactly once."""
    if cut == "number":
        step = np.minimum(np.arange(len(events)) // max(1, len(events) // steps), steps - 1)
    else:
        since = events["t"] - events["t"].min()
        step = since * steps // (since.max() + 1)
    shape = (steps, 2, height, width)
    place = np.ravel_multi_index((step, events["p"], events["y"], events["x"]), shape)
    return np.bincount(place, minlength=np.prod(shape)).reshape(shape)


def _cached(recordings: Recordings, steps: int, cut: str, cache: Path) -> Frames:
    path = cache / f"{recordings.name}-T{steps}-{cut}-{_fingerprint(recordings, steps, cut)}.npy"
    if not path.exists():
        write_atomically(path, lambda partial: _build(recordings, steps, cut, partial))
    frames = np.load(path, mmap_mode="r", allow_pickle=False)
    return Frames(path.stem, frames, recordings.labels)


def _fingerprint(recordings: Recordings, steps: int, cut: str) -> str:
    """What determines the frames, in 16 characters."""
    stats = [(str(path.relative_to(recordings.root)), path.stat()) for path in recordings.paths]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    what = json.dumps([VERSION, recordings.benchmark.name, steps, cut, files])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _build(recordings: Recordings, steps: int, cut: str, path: Path) -> None:
    height, width = recordings.benchmark.height, recordings.benchmark.width
    shape = (len(recordings), steps, 2, height, width)
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    saturated = 0
    for i in tqdm(range(len(recordings)), desc=f"frames of {recordings.name}", unit="recording"):
        frames = frames_of(recordings[i], steps, cut, height, width)
        saturated += np.count_nonzero(frames > 255)
        array[i] = np.minimum(frames, 255)
    array.flush()
    if saturated:
        warnings.warn(f"{recordings.name}: {saturated} counts above 255 were set to 255", stacklevel=2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m snnq.frames", description=load.__doc__.split("\n")[0])
    parser.add_argument("benchmark")
    parser.add_argument("root", help="data folder that holds the recordings")
    parser.add_argument("--steps", type=int, help="time steps T (the benchmark's own)")
    parser.add_argument("--cut", default="number", help="equal numbers of events, or equal time")
    arguments = parser.parse_args()
    try:
        train, test = load(arguments.benchmark, arguments.root, arguments.steps, arguments.cut)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"snnq.frames: {error}")
    print(f"{arguments.benchmark}: {len(train)} training and {len(test)} test recordings")


if __name__ == "__main__":
    main()
