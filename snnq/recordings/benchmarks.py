"""The four benchmarks: their tonic classes, and the facts that everything else needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnq.recordings.caltech101 import CALTECH101_CLASSES, CALTECH101_SIZES

OFFICIAL = "official"  # a split that comes with the recordings
SHARES = "80/20"  # of training and test, where there is none
SOURCE_FILE = "SOURCE.json"  # beside simulated recordings: how they were made
# How `images` in that file begins where the pictures are none of the benchmark's own.
OTHER_PICTURES = {"handwritten digits of scikit-learn": "digits", "drawn gestures": "gestures"}
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
        Of a recording below either.
    recordings : (int, int)
        How many training and test recordings a complete download has, by its own split.
    steps : int
        Time steps that a recording is cut into, unless told otherwise.
    mirrors : bool
        Whether a recording seen in a mirror keeps its class.
    sizes : tuple of int
        How many recordings of each class a complete download has, where there is no official split.
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

    @property
    def dataset(self) -> type:
        """tonic's class."""
        from tonic import datasets  # which imports torch: a second of what only looks for files

        return getattr(datasets, self.tonic_name)

    def folder(self, root: str | Path) -> Path:
        """Where tonic keeps the benchmark's recordings under a data folder, or that folder itself,
        where it is the benchmark's own: it has its name, or holds its recordings."""
        root = Path(root).expanduser()
        inner = root / self.tonic_name
        is_own = not inner.exists() and (root.name == inner.name or self._lies_in(root))
        return root if is_own else inner

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
        ),
    )
}


def get_benchmark(name: str) -> Benchmark:
    """A benchmark by name. Raises ValueError with the known names."""
    if name not in BENCHMARKS:
        raise ValueError(f"benchmark={name!r}: expected one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def source(benchmark: str, root: str | Path) -> dict:
    """What the recordings are: {"simulated": False}, or the content of their SOURCE.json."""
    path = get_benchmark(benchmark).folder(root) / SOURCE_FILE
    return json.loads(path.read_text()) if path.exists() else {"simulated": False}


def recordings_name(benchmark: str, made: Mapping[str, Any]) -> str:
    """What recordings are called wherever a person reads of them: "N-MNIST, real", "N-MNIST,
    simulated", or after their pictures, "digits, simulated".

    Parameters
    ----------
    benchmark : str
    made : mapping
        As `source` returns it.
    """
    if not made["simulated"]:
        return f"{get_benchmark(benchmark).title}, real"
    for start, name in OTHER_PICTURES.items():
        if made.get("images", "").startswith(start):
            return f"{name}, simulated"
    return f"{get_benchmark(benchmark).title}, simulated"
