"""The recordings of one split of a benchmark, from a complete download or any part of one; or of what
stands beside the benchmarks."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import FOLDER, get_benchmark, recordings_name, source
from snnq.recordings.download import download
from snnq.recordings.events import BadRecording
from snnq.recordings.layout import has_recordings, refuse_download, warn_of_others
from snnq.recordings.splits import complete_split, resolved_split, split_by_hash


class Recordings:
    """One split of a benchmark.

    Parameters
    ----------
    benchmark : str or Benchmark
        A name in `snnq.BENCHMARKS`, "folder" or "tonic:<class>", see `get_benchmark`; or what that
        returns.
    root : path
        The data folder; recordings lie below it as tonic lays them out, or it is the benchmark's
        own folder. Links are followed. Any part of them will do, and may lack one of the splits.
        Where there are none, they are downloaded, if the folder is there or is "data".
    train : bool
        The training split, or the test split: the official one, or else `split_by_hash`'s.
    fetch : bool
        Whether to download where there are none; otherwise the split is empty.
    split : str, optional
        Of a benchmark without an official split, the shares of training and test in per cent:
        "80/20" where not given, "90/10", any that add up to 100.

    Attributes
    ----------
    name : str
        Benchmark, split where it is not the benchmark's own, and side.
    title : str
        For people: what they are called, see `recordings_name`, and the side.
    paths : list of Path
        Every recording, ordered by class and path, whatever the file system's order; of a tonic
        class its place there.
    files : list of Path
        That hold them.
    labels : int64 array [recordings]
    complete : int
        How many recordings a complete download has.

    Raises
    ------
    ValueError
        Unknown benchmark, a split that it cannot have, a class folder that is none, two recordings
        with the same name, or a file whose size is that of no recording.
    FileNotFoundError
        No recordings under the folder, with what lies there in their place, or why they could not
        be downloaded; or a link that leads nowhere.
    OSError
        A folder that cannot be read.
    """

    def __init__(
        self,
        benchmark: str | Benchmark,
        root: str | Path,
        train: bool,
        fetch: bool = True,
        split: str | None = None,
    ):
        if not isinstance(benchmark, Benchmark):
            benchmark = get_benchmark(benchmark, root, fetch)
        self.benchmark, name = benchmark, benchmark.name
        split = resolved_split(self.benchmark, split)
        self.root = Path(root).expanduser()
        shares = "" if split == self.benchmark.split else f"-{split.replace('/', '-')}"
        side = "train" if train else "test"
        self.name = f"{name.replace(':', '-')}{shares}-{side}"
        self.title = f"{recordings_name(name, source(name, self.root))}, {side}"
        self.complete = complete_split(self.benchmark, split)[0 if train else 1]
        found = _listed(self.benchmark, self.root, train, fetch)
        if not self.benchmark.has_official_split:
            folder = self.benchmark.folder(root)
            found = [split_by_hash(paths, folder, train, split) for paths in found]
        self.paths = [path for paths in found for path in paths]
        self.labels = np.repeat(np.arange(len(found)), [len(paths) for paths in found])
        self.files = self.benchmark.files(self.root, self.paths)

    def __repr__(self) -> str:
        of, classes = self.benchmark, len(self.benchmark.classes)
        what = f"{len(self):,} of {self.complete:,} recordings, {classes} classes"
        return f"Recordings({self.title}: {what}, sensor {of.width}×{of.height}, in {self.root})"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.benchmark.read(self.paths[index])


def _listed(benchmark: Benchmark, root: Path, train: bool, fetch: bool) -> list[list[Path]]:
    """The paths of a folder's recordings by class, each in order."""
    paths = benchmark.recordings_in(root, train)
    if fetch and not paths and not benchmark.is_found and not _is_a_part(benchmark, root):
        refuse_download(benchmark, root, train)
        paths = download(benchmark, root, train)
    warn_of_others(benchmark, root, train)
    found: list[list[Path]] = [[] for _ in benchmark.classes]
    names = defaultdict(list)
    for path in paths:
        name = benchmark.class_of(path)
        if name not in benchmark.classes:
            raise BadRecording(
                f"{path}: {name!r} is no class of {benchmark.name}; if these recordings are your own,"
                f" benchmark={FOLDER!r}"
            )
        found[benchmark.classes.index(name)].append(path)
        names[path.name].append(path)
    if benchmark.unique_names:
        for same in names.values():
            if len(same) > 1:
                raise BadRecording(f"{same[1]}: has the same name as {same[0]}")
    return found


def _is_a_part(benchmark: Benchmark, root: Path) -> bool:
    """Whether somebody put a part of the recordings there, which may lack a split: there are some,
    and no archive that they came from."""
    folder = benchmark.folder(root)
    archives = any(folder.glob("*.zip")) or any(folder.glob("*.tar.gz"))
    return not archives and has_recordings(benchmark, root)
