"""Recordings of one's own: a folder with a folder per class, which stands for a benchmark."""

import re
from dataclasses import replace
from pathlib import Path

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import FOLDER, title_of
from snnq.recordings.fingerprints import known_of
from snnq.recordings.formats import READERS, sensor_of
from snnq.recordings.places import FRAMES
from snnq.system.files import files_below

SIDES = ("train", "test")
STEPS = 10


def own_recordings(
    given: str, root: str | Path, cache: str | Path = FRAMES, keep: bool = False
) -> Benchmark:
    """What a folder of recordings holds, as a benchmark.

    Recordings lie in `<class>/`, and their split is in shares, 80/20 of each class unless told
    otherwise; or in `train/<class>/` and `test/<class>/` (also `Train` and `Test`), which is an
    official split. They may have any of the formats in `snnq.recordings.formats.READERS`, mixed too.
    Classes are the names of the folders, sorted. Each recording begins at time 0, and its events are
    put in order of time.

    Parameters
    ----------
    given : str
        The sensor as "<width>x<height>"; or nothing: as the files state it, else just as large as
        the events of all recordings need it.
    root : path
    cache : path
        Has the sensor that each file was found to have.
    keep : bool
        Whether to write there those that are found now.

    Raises
    ------
    FileNotFoundError
        No folder, no recordings, or one side of two alone.
    ValueError
        Recordings that lie in no class folder, fewer than two classes, a file that is no recording,
        or a sensor that is none.
    """
    size = re.fullmatch("([1-9][0-9]*)x([1-9][0-9]*)", given)
    if given and not size:
        raise ValueError(f"benchmark='{FOLDER}:{given}': expected the sensor as in {FOLDER}:346x260")
    root = Path(root).expanduser()
    found = Benchmark(
        name=f"{FOLDER}:{given}" if given else FOLDER,
        title=title_of(FOLDER, root),
        tonic_name="",
        width=0,
        height=0,
        classes=(),
        folders=_sides(root),
        pattern="*/*",
        recordings=(0, 0),
        steps=STEPS,
        mirrors=True,  # which the owner knows
        origin="t",
        any_order=True,
        is_found=True,
    )
    sides = [found.recordings_in(root, train) for train in (True, False)]
    if not all(sides):
        missing = root / found.folders[bool(sides[0])]
        raise FileNotFoundError(
            f"{missing}: no recordings here, expected <class>/* with one of {', '.join(READERS)}"
        )
    paths = sorted({*sides[0], *sides[1]})
    labels = [path.parent.name for path in paths]
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise ValueError(f"{root}: recordings of {classes[0]!r} alone, expected a folder per class")
    width, height = map(int, size.groups()) if size else _sensor(root, paths, Path(cache), keep)
    return replace(
        found,
        width=width,
        height=height,
        classes=classes,
        recordings=tuple(map(len, sides)),
        sizes=tuple(map(labels.count, classes)),
    )


def is_of_ones_own(root: Path) -> bool:
    """Whether a folder looks as `own_recordings` expects it; nothing is read."""
    paths = files_below(root, READERS)
    depth = 3 if len(set(_named(root))) == 2 else 2
    deep = {len(path.relative_to(root).parts) for path in paths}
    return deep == {depth} and len({path.parent.name for path in paths}) > 1


def _sides(root: Path) -> tuple[str, str]:
    """The folders of training and test below a folder, "." and "." where it has none."""
    found = _named(root)
    if not found:
        return ".", "."
    if len(set(found)) < 2:
        alone = next(iter(found.values()))
        raise FileNotFoundError(f"{root}: has {alone} alone, expected train and test")
    return found["train"], found["test"]


def _named(root: Path) -> dict[str, str]:
    children = sorted(root.iterdir()) if root.is_dir() else []
    return {child.name.lower(): child.name for child in children if child.name.lower() in SIDES}


def _sensor(root: Path, paths: list[Path], cache: Path, keep: bool) -> tuple[int, int]:
    """Width and height, the greatest of all recordings."""
    sensors = known_of("sensors", sensor_of, root, paths, cache, keep)
    width, height = (max(sizes) for sizes in zip(*sensors))
    if not width * height:
        raise ValueError(f"{root}: recordings without events, expected some, or {FOLDER}:346x260 say")
    return width, height
