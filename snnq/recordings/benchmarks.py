"""What everything else needs to know of recordings: the four benchmarks, and what stands beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnq.recordings.caltech101 import CALTECH101_CLASSES, CALTECH101_SIZES
from snnq.recordings.events import BadRecording
from snnq.recordings.formats import READERS, check_size, read_events
from snnq.system.files import files_below

OFFICIAL = "official"  # a split that comes with the recordings
SHARES = "80/20"  # of training and test, where there is none
SOURCE_FILE = "SOURCE.json"  # beside simulated recordings: how they were made
# How `images` in that file begins where the pictures are none of the benchmark's own.
OTHER_PICTURES = {"handwritten digits of scikit-learn": "digits", "drawn gestures": "gestures"}
FOLDER, TONIC = "folder", "tonic"  # how recordings that are none of the four are named
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark's recordings lie, what they hold, and what is done with them.

    Attributes
    ----------
    title : str
        As people write its name.
    tonic_name : str
        Of tonic's dataset class, and of the folder below the data folder.
    width, height : int
        Of the sensor, in pixels.
    classes : tuple of str
        As they are called on disk; a class's label is its place here.
    folders : (str, str)
        Of the training and the test recordings; the same where there is no official split.
    pattern : str
        Of a recording below either; without a suffix, of any format that is read.
    recordings : (int, int)
        How many training and test recordings a complete download has, by its own split.
    steps : int
        Time steps that a recording is cut into, unless told otherwise.
    mirrors : bool
        Whether a recording seen in a mirror keeps its class.
    sizes : tuple of int
        How many recordings of each class a complete download has, where there is no official split.
    polarities : int
        Channels of a frame: 2 for events of either sign.
    origin : str
        Axes whose least value in each recording becomes 0: N-Caltech101's "xy", since each of its
        recordings covers another part of the sensor, as tonic moves them too.
    unique_names : bool
        Whether a file's name is its recording's own.
    """

    name: str
    title: str
    tonic_name: str
    width: int
    height: int
    classes: tuple[str, ...]
    folders: tuple[str, str]
    pattern: str
    recordings: tuple[int, int]
    steps: int
    mirrors: bool
    sizes: tuple[int, ...] = ()
    polarities: int = 2
    origin: str = ""
    unique_names: bool = False

    @property
    def dataset(self) -> type:
        """tonic's class."""
        from tonic import datasets  # which imports torch: a second of what only looks for files

        return getattr(datasets, self.tonic_name)

    @property
    def dimensions(self) -> dict[str, Any]:
        """What `build_model` must be told of recordings that are none of `BENCHMARKS`."""
        if self.name in BENCHMARKS:
            return {}
        sensor = self.polarities, self.height, self.width
        return {"classes": len(self.classes), "sensor": sensor}

    def folder(self, root: str | Path) -> Path:
        """Where tonic keeps the benchmark's recordings under a data folder, or that folder itself,
        where it is the benchmark's own: it has its name, or holds its recordings."""
        root = Path(root).expanduser()
        inner = root / self.tonic_name
        is_own = not inner.exists() and (root.name == inner.name or self._lies_in(root))
        return root if is_own else inner

    @property
    def suffixes(self) -> tuple[str, ...]:
        suffix = Path(self.pattern).suffix
        return (suffix,) if suffix else tuple(READERS)

    def recordings_in(self, root: str | Path, train: bool) -> list[Path]:
        """The recordings of one side, by class folder and name; without an official split all.

        Raises
        ------
        BadRecording
            One that is not in a class folder.
        OSError
            A folder that cannot be read, or a link that leads nowhere.
        """
        folder = self.folder(root) / self.folders[0 if train else 1]
        paths = files_below(folder, self.suffixes)
        for path in paths:
            if len(path.relative_to(folder).parts) != 2:
                raise BadRecording(f"{path}: expected recordings as {folder / self.pattern}")
        return paths

    def files(self, root: str | Path, paths: Sequence[Path]) -> Sequence[Path]:
        """The files whose contents recordings are, which are looked at here, not read.

        Raises BadRecording for one whose size is that of no recording.
        """
        for path in paths:
            check_size(path)
        return paths

    def read(self, path: Path) -> np.ndarray:
        """The events of a recording, see `read_events`."""
        return self.at_origin(read_events(path, self.width, self.height))

    def at_origin(self, events: np.ndarray) -> np.ndarray:
        for axis in self.origin if len(events) else "":
            events[axis] -= events[axis].min()
        return events

    def _lies_in(self, folder: Path) -> bool:
        inside, pattern = self.folders, self.pattern
        if inside[0] == ".":
            inside, pattern = self.classes, Path(pattern).name
        return any(any((folder / name).glob(pattern)) for name in inside)

    @property
    def has_official_split(self) -> bool:
        return self.folders[0] != self.folders[1]

    @property
    def split(self) -> str:
        """Its own split: "official", or the shares of training and test in per cent."""
        return OFFICIAL if self.has_official_split else SHARES

    def class_of(self, path: Path) -> str:
        """The class that a recording's path states."""
        return path.stem if self.pattern == "*/*.npy" else path.parent.name


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            name="nmnist",
            title="N-MNIST",
            tonic_name="NMNIST",
            width=34,
            height=34,
            classes=tuple("0123456789"),
            folders=("Train", "Test"),
            pattern="*/*.bin",
            recordings=(60_000, 10_000),
            steps=10,
            mirrors=False,
            unique_names=True,
        ),
        Benchmark(
            name="dvsgesture",
            title="DVS128 Gesture",
            tonic_name="DVSGesture",
            width=128,
            height=128,
            classes=tuple(str(label) for label in range(11)),
            folders=("ibmGestureTrain", "ibmGestureTest"),
            pattern="*/*.npy",
            recordings=(1_077, 264),
            steps=20,
            mirrors=False,
        ),
        Benchmark(
            name="cifar10dvs",
            title="CIFAR10-DVS",
            tonic_name="CIFAR10DVS",
            width=128,
            height=128,
            classes=CIFAR10_CLASSES,
            folders=(".", "."),
            pattern="*/*.aedat4",
            recordings=(8_000, 2_000),
            steps=20,
            mirrors=True,
            sizes=(1_000,) * 10,
            unique_names=True,
        ),
        Benchmark(
            name="ncaltech101",
            title="N-Caltech101",
            tonic_name="NCALTECH101",
            width=240,
            height=180,
            classes=CALTECH101_CLASSES,
            folders=("Caltech101", "Caltech101"),
            pattern="*/*.bin",
            recordings=(6_967, 1_742),
            steps=10,
            mirrors=True,
            sizes=CALTECH101_SIZES,
            origin="xy",
        ),
    )
}


def get_benchmark(name: str, root: str | Path | None = None, fetch: bool = False) -> Benchmark:
    """A benchmark by name; or with a data folder what stands for one.

    Parameters
    ----------
    name : str
        A name in `BENCHMARKS`; "folder" or "folder:<width>x<height>" for recordings of one's own, see
        `own_recordings`; or "tonic:<class>" for a dataset class of tonic, see `tonic_class`.
    root : path, optional
        The data folder. What recordings of the last two kinds are is found there.
    fetch : bool
        Whether tonic may download what is not there.

    Raises
    ------
    ValueError
        Another name, with the known ones; or recordings that are none.
    FileNotFoundError
        There is nothing in the data folder that could say what it holds.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    kind, which = _kind(name)
    if root is None:
        raise ValueError(
            f"benchmark={name!r}: expected one of {', '.join(BENCHMARKS)}; what others hold is known"
            " of their data folder alone"
        )
    if kind == FOLDER:
        from snnq.recordings.own import own_recordings

        return own_recordings(which, root)
    from snnq.recordings.tonic_classes import tonic_class

    return tonic_class(which, root, fetch)


def _kind(name: str) -> tuple[str, str]:
    """Of recordings that are none of `BENCHMARKS`, and which of that kind."""
    kind, _, which = str(name).partition(":")
    if kind not in (FOLDER, TONIC):
        raise ValueError(
            f"benchmark={name!r}: expected one of {', '.join(BENCHMARKS)}, {FOLDER} (recordings of your"
            f" own) or {TONIC}:<class>"
        )
    return kind, which


def found_benchmark(name: str, root: str | Path) -> Benchmark | None:
    """The same; None where the data folder does not say yet what it holds."""
    try:
        return get_benchmark(name, root)
    except FileNotFoundError:
        return None


def folder_of(name: str, root: str | Path) -> Path:
    """Where the recordings of that name lie under a data folder, see `Benchmark.folder`."""
    if name in BENCHMARKS:
        return BENCHMARKS[name].folder(root)
    root, (kind, which) = Path(root).expanduser(), _kind(name)
    inner = root / which if kind == TONIC else root
    return root if root.name == inner.name and not inner.exists() else inner


def place_in_tables(name: str) -> int:
    """The order of benchmarks in tables: that of `BENCHMARKS`, then all others."""
    names = list(BENCHMARKS)
    return names.index(name) if name in names else len(names)


def source(benchmark: str, root: str | Path) -> dict:
    """What the recordings are: {"simulated": False}, or the content of their SOURCE.json; with the
    "name" of those that are none of `BENCHMARKS`."""
    folder = folder_of(benchmark, root)
    path = folder / SOURCE_FILE
    made = json.loads(path.read_text()) if path.exists() else {"simulated": False}
    return made if benchmark in BENCHMARKS else made | {"name": folder.resolve().name}


def recordings_name(benchmark: str, made: Mapping[str, Any]) -> str:
    """What recordings are called wherever a person reads of them: "N-MNIST, real", "N-MNIST,
    simulated", after their pictures, "digits, simulated", or "my_folder, own".

    Parameters
    ----------
    benchmark : str
    made : mapping
        As `source` returns it.
    """
    title = BENCHMARKS[benchmark].title if benchmark in BENCHMARKS else made["name"]
    if not made["simulated"]:
        is_own = benchmark.partition(":")[0] == FOLDER
        return f"{title}, own" if is_own else f"{title}, real"
    for start, name in OTHER_PICTURES.items():
        if made.get("images", "").startswith(start):
            return f"{name}, simulated"
    return f"{title}, simulated"
