"""The recordings of one split of a benchmark, from a complete download or any part of one."""

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from snnq.recordings.benchmarks import Benchmark, get_benchmark
from snnq.recordings.download import download
from snnq.recordings.formats import BadRecording, check_size, read_events

TEST_SHARE = 0.2  # of each class, where a benchmark has no official split
SPLIT_KEY = "snnq"


class Recordings:
    """One split of a benchmark.

    Parameters
    ----------
    benchmark : str
        A name in `snnq.BENCHMARKS`.
    root : path
        The data folder; recordings lie below it as tonic lays them out. Where there are none,
        they are downloaded. Any part of them will do, and may lack one of the splits.
    train : bool
        The training split, or the test split. Without an official one, a fifth of each class is
        the test: those whose path below the benchmark's folder comes first by its SHA-256.
    fetch : bool
        Whether to download where there are none; otherwise the split is empty.

    Attributes
    ----------
    name : str
        Benchmark and split.
    paths : list of Path
        Every recording, ordered by class and path, whatever the file system's order.
    labels : int64 array [recordings]
    complete : int
        How many recordings a complete download has.

    Raises
    ------
    ValueError
        Unknown benchmark, a class folder that is none, two recordings with the same name, or a
        file whose size is that of no recording.
    FileNotFoundError
        No recordings under the folder, and none could be downloaded.
    """

    def __init__(self, benchmark: str, root: str | Path, train: bool, fetch: bool = True):
        self.benchmark = get_benchmark(benchmark)
        self.root = Path(root)
        self.name = f"{benchmark}-{'train' if train else 'test'}"
        self.complete = self.benchmark.recordings[0 if train else 1]
        found = _listed(self.benchmark, self.root, train, fetch)
        if not self.benchmark.has_official_split:
            found = _split(found, self.benchmark.folder(root), train)
        self.paths = [path for paths in found for path in paths]
        self.labels = np.repeat(np.arange(len(found)), [len(paths) for paths in found])
        for path in self.paths:
            check_size(path)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_recording(self.benchmark, self.paths[index])


def read_recording(benchmark: Benchmark, path: Path) -> np.ndarray:
    """The events of a benchmark's recording, see `read_events`.

    N-Caltech101's are moved to the origin: each of its recordings covers another part of the
    sensor, and tonic moves them so as well.
    """
    events = read_events(path, benchmark.width, benchmark.height)
    if benchmark.name == "ncaltech101" and len(events):
        events["x"] -= events["x"].min()
        events["y"] -= events["y"].min()
    return events


def _listed(benchmark: Benchmark, root: Path, train: bool, fetch: bool) -> list[list[Path]]:
    """The paths of a folder's recordings by class, each in order."""
    folder = benchmark.folder(root) / benchmark.folders[0 if train else 1]
    paths = _below(folder, benchmark.pattern)
    if fetch and not paths and not _is_a_part(benchmark, root):
        download(benchmark, root, train)
        paths = _below(folder, benchmark.pattern)
    found: list[list[Path]] = [[] for _ in benchmark.classes]
    names = defaultdict(list)
    for path in paths:
        name = benchmark.class_of(path)
        if name not in benchmark.classes:
            raise BadRecording(f"{path}: {name!r} is no class of {benchmark.name}")
        found[benchmark.classes.index(name)].append(path)
        names[path.name].append(path)
    if benchmark.name in ("nmnist", "cifar10dvs"):  # where a file's name is its recording's own
        for same in names.values():
            if len(same) > 1:
                raise BadRecording(f"{same[1]}: has the same name as {same[0]}")
    return found


def _is_a_part(benchmark: Benchmark, root: Path) -> bool:
    """Whether somebody put a part of the recordings there, which may lack a split: there are some,
    and no archive that they came from."""
    folder = benchmark.folder(root)
    has_some = any(any((folder / side).glob(benchmark.pattern)) for side in benchmark.folders)
    return has_some and not any(folder.glob("*.zip")) and not any(folder.glob("*.tar.gz"))


def _below(folder: Path, pattern: str) -> list[Path]:
    """Recordings by class folder and name; hidden files, which archives may bring, are none."""
    suffix = Path(pattern).suffix
    paths = sorted(path for path in folder.rglob(f"*{suffix}") if path.name[0] != ".")
    for path in paths:
        if len(path.relative_to(folder).parts) != 2:
            raise BadRecording(f"{path}: expected recordings as {folder / pattern}")
    return paths


def _split(found: list[list[Path]], folder: Path, train: bool) -> list[list[Path]]:
    def place(path: Path) -> str:
        return hashlib.sha256(
            f"{SPLIT_KEY}/{path.relative_to(folder).as_posix()}".encode()
        ).hexdigest()

    sides = []
    for paths in found:
        ranked = sorted(paths, key=place)
        test = int(TEST_SHARE * len(paths) + 0.5)
        sides.append(sorted(ranked[test:] if train else ranked[:test]))
    return sides
