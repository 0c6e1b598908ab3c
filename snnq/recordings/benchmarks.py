"""The four benchmarks, and by their names what may stand beside them."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.caltech101 import CALTECH101_CLASSES, CALTECH101_SIZES
from snnq.recordings.places import FRAMES

SOURCE_FILE = "SOURCE.json"  # beside simulated recordings: how they were made
# How `images` in that file begins where the pictures are none of the benchmark's own.
OTHER_PICTURES = {"handwritten digits of scikit-learn": "digits", "drawn gestures": "gestures"}
FOLDER, TONIC = "folder", "tonic"  # how recordings that are none of the four are named
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())


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


def get_benchmark(
    name: str,
    root: str | Path | None = None,
    fetch: bool = False,
    cache: str | Path = FRAMES,
    keep: bool = False,
) -> Benchmark:
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
    cache, keep
        Of recordings of one's own, see `own_recordings`. Nothing is written unless `keep`.

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

        return own_recordings(which, root, cache, keep)
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


def found_benchmark(name: str, root: str | Path, cache: str | Path = FRAMES) -> Benchmark | None:
    """The same, without a download; None where the data folder does not say yet what it holds."""
    try:
        return get_benchmark(name, root, cache=cache)
    except FileNotFoundError:
        return None


def folder_of(name: str, root: str | Path) -> Path:
    """Where the recordings of that name lie under a data folder, see `Benchmark.folder`."""
    if name in BENCHMARKS:
        return BENCHMARKS[name].folder(root)
    root, (kind, which) = Path(root).expanduser(), _kind(name)
    inner = root / which if kind == TONIC else root
    return root if root.name == inner.name and not inner.exists() else inner


def title_of(name: str, root: str | Path) -> str:
    """What the recordings of that name are called: the benchmark's title, or the name of their folder."""
    if name in BENCHMARKS:
        return BENCHMARKS[name].title
    return Path(os.path.abspath(folder_of(name, root))).name  # of ".." too; links keep their name


def word_of(name: str, root: str | Path) -> str:
    """The same in one word, for the names of files: the benchmark's name, or that of their folder."""
    return name if name in BENCHMARKS else re.sub(r"[^\w.-]+", "-", title_of(name, root))


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
    return made if benchmark in BENCHMARKS else made | {"name": title_of(benchmark, root)}


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
