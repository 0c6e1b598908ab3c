"""Recordings as frames: data sets that a network is trained and tested on."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import found_benchmark, get_benchmark
from snnq.recordings.binning import VERSION, Cutting
from snnq.recordings.fingerprints import fingerprints
from snnq.recordings.places import DATA, FRAMES
from snnq.recordings.recordings import Recordings
from snnq.recordings.store import stored


class Frames(Dataset):
    """Frames and labels of one split.

    Item i is (uint8 tensor [N_t, C, H, W], class), with a channel for each sign of events. The items
    of a batch, as a `DataLoader` asks for them, are read at once.

    Attributes
    ----------
    name : str
        The benchmark, the split, and a digest of all that determines the frames.
    title : str
        What they are of, see `Recordings`; the name where nobody says.
    device : torch.device
        The CPU.
    frames : uint8 array [recordings, N_t, C, H, W], memory-mapped
    labels : int64 array [recordings]
    """

    device = torch.device("cpu")

    def __init__(self, name: str, frames: np.ndarray, labels: np.ndarray, title: str = ""):
        self.name, self.frames, self.labels, self.title = name, frames, labels, title or name

    def __repr__(self) -> str:
        shape, classes = [*self.frames.shape[1:]], len(np.unique(self.labels))
        return f"Frames({self.title}: {len(self):,} samples {shape} of {classes} classes)"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.frames[index].copy()), int(self.labels[index])

    def __getitems__(self, indices: list[int]) -> "Batch":
        return Batch(*self.rows(torch.tensor(indices)))

    def rows(self, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [N, N_t, C, H, W] and labels [N] at N places, read at once."""
        chosen = places.numpy()
        return torch.from_numpy(self.frames[chosen]), torch.from_numpy(self.labels[chosen])


class Batch(list):
    """The items of a batch, and the tensors that they are rows of, which need no collating.

    Attributes
    ----------
    tensors : (uint8 tensor [N, N_t, C, H, W], int64 tensor [N])
    """

    def __init__(self, frames: torch.Tensor, labels: torch.Tensor):
        super().__init__(zip(frames, labels.tolist()))
        self.tensors = frames, labels


def load(
    benchmark: str,
    root: str | Path = DATA,
    steps: int | None = None,
    cut: str = "number",
    size: int | None = None,
    cache: str | Path = FRAMES,
    split: str | None = None,
) -> tuple[Frames, Frames]:
    """A benchmark's training and test split as frames.

    Parameters
    ----------
    benchmark : str
        A name in `snnq.BENCHMARKS`; "folder" for recordings of one's own, see `own_recordings`; or
        "tonic:<class>" for a dataset class of tonic, see `tonic_class`.
    root : path
        The data folder, with a complete download or a part of one. Where it holds no recording
        of the benchmark, they are downloaded.
    steps : int, optional
        Time steps N_t; the benchmark's own where not given.
    cut : str
        "number": N_t slices of equally many events, the last with the remainder (the protocol of
        Fang et al., ICCV 2021). "time": N_t slices of equal duration.
    size : int, optional
        Height and width of the frames, at most the sensor's: the events of all pixels that fall
        into one are added up. The sensor's own where not given.
    cache : path
        Where the frames are kept, and what is known of the recordings' files. A file of frames is
        named by all that determines it: the recordings (path and content), the split, the time
        steps, the cut, the size and the version of this code.
    split : str, optional
        Of a benchmark without an official split, the shares of training and test recordings in per
        cent: "80/20" where not given, "90/10", any that add up to 100 (see `split_by_hash`).

    Raises
    ------
    ValueError
        Unknown benchmark or cut, a split that it cannot have, steps or size out of range, or a
        file that is no recording of the benchmark.
    FileNotFoundError
        No recordings under the folder, and no download.
    OSError
        No room for the frames.
    """
    found = get_benchmark(benchmark, root, fetch=True, cache=cache, keep=True)
    splits, cutting = _checked(found, root, (steps, cut, size), split, fetch=True)
    cache = Path(cache)
    names = [_name(split, cutting, cache) for split in splits]
    return tuple(
        Frames(name, stored(split, cutting, cache, name), split.labels, split.title)
        for split, name in zip(splits, names)
    )


def names_of_frames(
    benchmark: str,
    root: str | Path = DATA,
    steps: int | None = None,
    cut: str = "number",
    size: int | None = None,
    cache: str | Path = FRAMES,
    split: str | None = None,
) -> tuple[str, str] | None:
    """The names of the frames that `load` would return; None where there are no recordings.

    Nothing is downloaded, built or written. Raises ValueError as `load` does.
    """
    if (found := found_benchmark(benchmark, root, cache)) is None:
        return None
    splits, cutting = _checked(found, root, (steps, cut, size), split, fetch=False)
    if not any(map(len, splits)):
        return None
    return tuple(_name(split, cutting, Path(cache), keep=False) for split in splits)


def _checked(
    benchmark: Benchmark,
    root: str | Path,
    cutting: tuple[int | None, str, int | None],
    split: str | None,
    fetch: bool,
) -> tuple[list[Recordings], Cutting]:
    """Both splits, and how they are to be cut."""
    steps, cut, size = cutting
    cutting = Cutting(benchmark.steps if steps is None else steps, cut, size)
    cutting.refuse_for((benchmark.height, benchmark.width))
    splits = [Recordings(benchmark, root, train, fetch, split) for train in (True, False)]
    return splits, cutting


def _name(recordings: Recordings, cutting: Cutting, cache: Path, keep: bool = True) -> str:
    """Benchmark, split, cutting, and a digest of all that determines the frames."""
    benchmark, paths = recordings.benchmark, recordings.files
    folder = benchmark.folder(recordings.root)
    contents = fingerprints(folder, paths, cache, keep)
    files = [(str(path.relative_to(folder)), found) for path, found in zip(paths, contents)]
    what = [VERSION, benchmark.name, cutting, files, *benchmark.dimensions.values()]
    what += ["in order of time"] * benchmark.any_order  # frames from before it was seen to are others
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    cut = "-".join(str(value) for value in cutting if value is not None)
    return f"{recordings.name}-{cut}-{digest}"
