"""Frames on disk: one memory-mapped array per split, built once, on all cores where that is worth it."""

import os
import warnings
from pathlib import Path

import joblib
import numpy as np
from filelock import FileLock

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.binning import Cutting, frames_of
from snnq.recordings.recordings import Recordings
from snnq.system.bar import bar
from snnq.system.files import sweep, write_atomically

CHUNK = 64  # recordings that a process takes at a time
WORTH_PROCESSES = 2**26  # bytes of recordings: building fewer takes less than starting processes


def stored(recordings: Recordings, cutting: Cutting, cache: Path, name: str) -> np.ndarray:
    """The frames of a split, uint8 [recordings, N_t, C, H, W], which are built if they are not there.

    Raises
    ------
    ValueError
        A file that is no recording of the benchmark.
    OSError
        No room for the frames.
    """
    path = cache / f"{name}.npy"
    if not path.exists():
        with _locked(cache, name):  # others that need the same frames wait for them
            sweep(cache, name)
            if not path.exists():
                write_atomically(path, lambda partial: _build(recordings, cutting, partial))
    return np.load(path, mmap_mode="r", allow_pickle=False)


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
