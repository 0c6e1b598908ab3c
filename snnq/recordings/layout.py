"""Where a benchmark's recordings lie below a data folder, and what lies there in their place."""

import difflib
import shlex
import warnings
from collections import Counter
from pathlib import Path

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import FOLDER, source
from snnq.recordings.formats import READERS
from snnq.recordings.own import is_of_ones_own
from snnq.recordings.places import DATA, DIGITS
from snnq.system.files import files_below

# What event recordings come as elsewhere: other releases, and what other libraries make of them.
OTHER_FORMATS = (*READERS, ".raw", ".mat", ".csv", ".pt", ".tfrecord")
ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".rar", ".7z")
WITHOUT_PICTURES = ("nmnist", "dvsgesture")  # `snnq simulate` makes them from nothing


def warn_of_others(benchmark: Benchmark, root: Path, train: bool) -> None:
    """Say which recordings of one side are left out, since they have another format."""
    folder = benchmark.folder(root) / benchmark.folders[0 if train else 1]
    others = set(OTHER_FORMATS).difference(benchmark.suffixes)
    if left_out := files_below(folder, others):
        suffixes = ", ".join(benchmark.suffixes)
        warnings.warn(
            f"{folder}: {_counts(left_out)} such as {left_out[0]} left out, expected {suffixes}",
            stacklevel=2,
        )


def has_recordings(benchmark: Benchmark, root: Path) -> bool:
    return any(benchmark.recordings_in(root, train) for train in (True, False))


def no_recordings(benchmark: Benchmark, root: Path, train: bool) -> str:
    """What every message about their absence starts with."""
    side = benchmark.folder(root) / benchmark.folders[0 if train else 1]
    return f"{side}: no recordings of {benchmark.name} here"


def refuse_download(benchmark: Benchmark, root: Path, train: bool) -> None:
    """Raise FileNotFoundError where a download is not what is wanted, with what is.

    That is a data folder that is not there, unless it is the default one; that of the simulated
    digits; and one with recordings in another format or place.
    """
    missing = no_recordings(benchmark, root, train)
    if root == Path(DIGITS):
        raise FileNotFoundError(f"{missing}; `{_simulation(benchmark, root)}` makes them")
    if not root.is_dir() and root != Path(DATA):
        raise FileNotFoundError(f"{missing}: {_no_folder(benchmark, root)}")
    expected = f"expected {benchmark.folder(root) / benchmark.folders[0 if train else 1]}"
    expected += f"/<class>/*{Path(benchmark.pattern).suffix}"
    folder = benchmark.folder(root)
    if other := _other_files(benchmark, folder):
        raise FileNotFoundError(f"{missing}, but {_counts(other)} such as {other[0]}; {expected}")
    if root != Path(DATA) and is_of_ones_own(root):
        raise FileNotFoundError(
            f"{missing}, but recordings in a folder per class; if they are your own,"
            f" benchmark={FOLDER!r}"
        )
    for child in _folders_in(root):
        if benchmark.folder(child) == child and has_recordings(benchmark, child):
            raise FileNotFoundError(f"{missing}, but in {child}; {expected}, or data={str(child)!r}")


def recordings_beside(benchmark: Benchmark, root: Path) -> str:
    """A hint at data folders within this one that have recordings; or nothing."""
    found = [child for child in _folders_in(root) if has_recordings(benchmark, child)]
    kinds = ["simulated" if source(benchmark.name, child)["simulated"] else "real" for child in found]
    places = [f"{kind} ones: data={str(child)!r}" for kind, child in zip(kinds, found)]
    return f". There are {', '.join(places)}" if places else ""


def _other_files(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Recordings that lie elsewhere or have another format, and archives that are not the download's."""
    suffixes = {*OTHER_FORMATS, *ARCHIVES}
    names = ("filename", "train_filename", "test_filename")
    downloads = {getattr(benchmark.dataset, name, None) for name in names}
    return [path for path in files_below(folder, suffixes) if path.name not in downloads]


def _counts(paths: list[Path]) -> str:
    kinds = Counter(path.suffix.lower() for path in paths)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in kinds.items())


def _folders_in(root: Path) -> list[Path]:
    children = sorted(root.iterdir()) if root.is_dir() else []
    return [child for child in children if child.name[0] != "." and child.is_dir()]


def _no_folder(benchmark: Benchmark, root: Path) -> str:
    """Of a data folder that is not there: what may have been meant."""
    if root.exists():
        return f"{root} is a file, expected a data folder"
    around = [child.name for child in _folders_in(root.parent)]
    close = difflib.get_close_matches(root.name, around, n=1)
    hint = f"; did you mean {root.parent / close[0]}?" if close else ""
    make = f"`{_simulation(benchmark, root)}` makes simulated ones; "
    make = make if benchmark.name in WITHOUT_PICTURES else ""
    return f"{root} is no folder{hint} ({make}the real ones are downloaded into a folder that is there)"


def _simulation(benchmark: Benchmark, root: Path) -> str:
    command = ["snnq", "simulate", str(root)]
    return shlex.join(command + ["--benchmark", benchmark.name] * (benchmark.name != "nmnist"))
