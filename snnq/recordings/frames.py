"""Recordings as frames: events added up in time steps, one memory-mapped array per split."""

import hashlib
import json
import os
import warnings
from pathlib import Path

import joblib
import numpy as np
import torch
from filelock import FileLock
from torch.utils.data import Dataset

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import found_benchmark, get_benchmark
from snnq.recordings.fingerprints import fingerprints
from snnq.recordings.places import DATA, FRAMES
from snnq.recordings.recordings import Recordings
from snnq.system.bar import bar
from snnq.system.files import sweep, write_atomically

VERSION = 2  # of what `frames_of` computes: raise it when the frames change
CUTS = ("number", "time")
CHUNK = 64  # recordings that a process takes at a time
WORTH_PROCESSES = 2**26  # bytes of recordings: building fewer takes less than starting processes


class Frames(Dataset):
    """Frames and labels of one split.

    Item i is (uint8 tensor [N_t, C, H, W], class), with a channel for each sign of events. The items of a batch, as a `DataLoader` asks for
    them, are read at once.

    Attributes
    ----------
    name : str
        The benchmark, the split, and a digest of all that determines the frames.
    device : torch.device
        The CPU.
    frames : uint8 array [recordings, N_t, C, H, W], memory-mapped
    labels : int64 array [recordings]
    """

    device = torch.device("cpu")

    def __init__(self, name: str, frames: np.ndarray, labels: np.ndarray):
        self.name, self.frames, self.labels = name, frames, labels

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
        Where the frames are kept. A file there is named by all that determines it: the
        recordings (path and content), the split, the time steps, the cut, the size and the version
        of this code.
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
    splits, cutting = _checked(benchmark, root, (steps, cut, size), split, fetch=True)
    cache = Path(cache)
    names = [_name(split, cutting, cache) for split in splits]
    return tuple(_cached(split, cutting, cache, name) for split, name in zip(splits, names))


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
    if found_benchmark(benchmark, root) is None:
        return None
    splits, cutting = _checked(benchmark, root, (steps, cut, size), split, fetch=False)
    if not any(map(len, splits)):
        return None
    return tuple(_name(split, cutting, Path(cache), keep=False) for split in splits)


def frames_of(
    events: np.ndarray,
    steps: int,
    cut: str,
    sensor: tuple[int, int],
    size: int | None = None,
    polarities: int = 2,
) -> np.ndarray:
    """Events of a sensor (height, width) added up in N_t steps: int64 [N_t, polarities, H, W].

    Every event counts exactly once. With `size`, pixel x goes to column ⌊x·size/width⌋.
    """
    if cut == "number":
        step = np.minimum(np.arange(len(events)) // max(1, len(events) // steps), steps - 1)
    else:
        since = events["t"] - (events["t"].min() if len(events) else 0)
        step = since * steps // (since.max(initial=0) + 1)
    height, width = sensor if size is None else (size, size)
    x = events["x"] if size is None else events["x"] * size // sensor[1]
    y = events["y"] if size is None else events["y"] * size // sensor[0]
    shape = (steps, polarities, height, width)
    place = np.ravel_multi_index((step, events["p"], y, x), shape)
    return np.bincount(place, minlength=np.prod(shape)).reshape(shape)


Cutting = tuple[int, str, int | None]  # steps, cut, size


def _checked(
    benchmark: str,
    root: str | Path,
    cutting: tuple[int | None, str, int | None],
    split: str | None,
    fetch: bool,
) -> tuple[list[Recordings], Cutting]:
    """Both splits, and how they are to be cut."""
    steps, cut, size = cutting
    found = get_benchmark(benchmark, root, fetch)
    if cut not in CUTS:
        raise ValueError(f"cut={cut!r}: expected one of {', '.join(CUTS)}")
    steps = found.steps if steps is None else steps
    if steps < 1:
        raise ValueError(f"steps={steps}: expected at least 1")
    if size is not None and not 1 <= size <= min(found.height, found.width):
        raise ValueError(f"size={size}: expected 1 to {min(found.height, found.width)}")
    splits = [Recordings(benchmark, root, train, fetch, split) for train in (True, False)]
    return splits, (steps, cut, size)


def _name(recordings: Recordings, cutting: Cutting, cache: Path, keep: bool = True) -> str:
    """Benchmark, split, cutting, and a digest of all that determines the frames."""
    benchmark, paths = recordings.benchmark, recordings.files
    folder = benchmark.folder(recordings.root)
    contents = fingerprints(folder, paths, cache, keep)
    files = [(str(path.relative_to(folder)), found) for path, found in zip(paths, contents)]
    what = json.dumps([VERSION, benchmark.name, cutting, files, *benchmark.dimensions.values()])
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    cut = "-".join(str(value) for value in cutting if value is not None)
    return f"{recordings.name}-{cut}-{digest}"


def _cached(recordings: Recordings, cutting: Cutting, cache: Path, name: str) -> Frames:
    path = cache / f"{name}.npy"
    if not path.exists():
        with _locked(cache, name):  # others that need the same frames wait for them
            sweep(cache, name)
            if not path.exists():
                write_atomically(path, lambda partial: _build(recordings, cutting, partial))
    frames = np.load(path, mmap_mode="r", allow_pickle=False)
    return Frames(name, frames, recordings.labels)


def _locked(cache: Path, name: str) -> FileLock:
    """Raises OSError where frames cannot be kept."""
    lock = FileLock(cache / f".{name}.lock")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        reason = f"{error.strerror}, for frames that are not there yet"
        raise OSError(error.errno, reason, str(cache)) from None
    return lock


def _build(recordings: Recordings, cutting: Cutting, path: Path) -> None:
    """Fill a file with every recording's frames, on all cores where that is worth it."""
    steps, _, size = cutting
    benchmark, paths = recordings.benchmark, recordings.paths
    height, width = (size, size) if size else (benchmark.height, benchmark.width)
    _allocate(path, (len(paths), steps, benchmark.polarities, height, width))
    many = sum(file.stat().st_size for file in recordings.files) > WORTH_PROCESSES
    jobs = (
        joblib.delayed(_fill)(path, first, benchmark, paths[first : first + CHUNK], cutting)
        for first in range(0, len(paths), CHUNK)
    )
    saturated = empty = 0
    parallel = joblib.Parallel(joblib.cpu_count() if many else 1, return_as="generator_unordered")
    with bar(total=len(paths), desc=f"frames of {recordings.name}", unit="recording") as progress:
        for done, above, none in parallel(jobs):
            progress.update(done)
            saturated += above
            empty += none
    if saturated:
        warnings.warn(
            f"{recordings.name}: {saturated} counts above 255 were set to 255", stacklevel=2
        )
    if empty:
        warnings.warn(f"{recordings.name}: {empty} recordings hold no event", stacklevel=2)


def _allocate(path: Path, shape: tuple[int, ...]) -> None:
    """A zero array on disk, with room for all of it: a full disk is no error to a memory map, but
    the end of the process."""
    np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            needed = f"{np.prod(shape) / 1e6:.0f} MB of frames"
            raise OSError(
                error.errno, f"{error.strerror}, for {needed}", str(path.parent)
            ) from None


def _fill(
    path: Path, first: int, benchmark: Benchmark, paths: list[Path], cutting: Cutting
) -> tuple[int, int, int]:
    """Frames of some recordings, from place `first` on: how many, counts above 255, empty ones."""
    steps, cut, size = cutting
    array = np.load(path, mmap_mode="r+", allow_pickle=False)
    saturated = empty = 0
    for i, recording in enumerate(paths, start=first):
        events, sensor = benchmark.read(recording), (benchmark.height, benchmark.width)
        frames = frames_of(events, steps, cut, sensor, size, benchmark.polarities)
        saturated += np.count_nonzero(frames > 255)
        empty += len(events) == 0
        array[i] = np.minimum(frames, 255)
    return len(paths), saturated, empty
