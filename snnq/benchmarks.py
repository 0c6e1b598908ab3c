"""The benchmarks: where their recordings lie, what they hold, and how one is read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tonic.datasets

EVENT_BYTES = 5  # of one event in N-MNIST's and N-Caltech101's files
EVENTS = tonic.datasets.NMNIST.dtype  # fields x, y, t in µs, p in {0, 1}
SOURCE_FILE = "SOURCE.json"  # beside simulated recordings: how they were made


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's tonic class, and the facts that networks and frames need."""

    name: str
    dataset: type[tonic.datasets.NMNIST]
    width: int
    height: int
    classes: int
    steps: int  # time steps T that a recording is cut into, unless told otherwise

    def folder(self, root: str | Path) -> Path:
        """Where tonic keeps the benchmark's recordings under a data folder."""
        return Path(root) / self.dataset.__name__


BENCHMARKS = {
    "nmnist": Benchmark(
        "nmnist", tonic.datasets.NMNIST, width=34, height=34, classes=10, steps=10
    ),
}


def get_benchmark(name: str) -> Benchmark:
    """A benchmark by name. Raises ValueError with the known names."""
    if name not in BENCHMARKS:
        raise ValueError(f"benchmark={name!r}: expected one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


class Recordings:
    """One split of a benchmark, from a complete download or any part of one.

    Parameters
    ----------
    benchmark : str
        A name in `BENCHMARKS`.
    root : path
        The data folder; recordings lie below it as tonic lays them out.
    train : bool
        The training split, or the test split.

    Attributes
    ----------
    paths : list of Path
        Every recording, ordered by class and name.
    labels : int64 array [recordings]
        The class of each.

    Raises
    ------
    ValueError
        Unknown benchmark, or a file that cannot hold whole events.
    FileNotFoundError
        No recording under the folder.
    """

    def __init__(self, benchmark: str, root: str | Path, train: bool):
        self.benchmark = get_benchmark(benchmark)
        self.root = Path(root)
        split = "Train" if train else "Test"
        self.name = f"{benchmark}-{split.lower()}"
        folder = self.benchmark.folder(root) / split
        if not any(folder.glob("*/*.bin")):
            raise FileNotFoundError(
                f"{folder}: no recordings of {benchmark} here, expected"
                f" {self.benchmark.folder('<data>') / split}/<class>/*.bin with data={str(root)!r}"
            )
        self._dataset = _partial(self.benchmark.dataset)(str(root), train=train)
        self.paths = [Path(path) for path in self._dataset.data]
        self.labels = np.array(self._dataset.targets, dtype=np.int64)
        for path in self.paths:
            size = path.stat().st_size
            if size == 0 or size % EVENT_BYTES:
                raise ValueError(
                    f"{path}: {size} bytes, expected events of {EVENT_BYTES} bytes each"
                    " (an empty or truncated recording)"
                )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """The events of one recording, with fields x, y, t (µs) and p (0 or 1), in time order.

        Raises ValueError where a coordinate lies off the sensor.
        """
        events, _ = self._dataset[index]
        for axis, size in (("x", self.benchmark.width), ("y", self.benchmark.height)):
            off = np.flatnonzero(events[axis] >= size)
            if len(off):
                raise ValueError(
                    f"{self.paths[index]}: event {off[0]} has {axis}={events[axis][off[0]]},"
                    f" expected 0 to {size - 1}"
                )
        return events


def _partial(dataset: type) -> type:
    """The dataset class without its demand for a complete download."""
    return type(dataset.__name__, (dataset,), {"_check_exists": lambda self: True})


def source(benchmark: str, root: str | Path) -> dict:
    """What the recordings are: {"simulated": False}, or the content of their SOURCE.json."""
    path = get_benchmark(benchmark).folder(root) / SOURCE_FILE
    return json.loads(path.read_text()) if path.exists() else {"simulated": False}
