"""Any dataset class of tonic, by its name, as a benchmark: "tonic:SHD"."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.lib.recfunctions  # noqa: F401  (which tonic's classes use without importing it)
from filelock import FileLock
from tonic import datasets
from tonic.datasets.hsd import HSD

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import FOLDER, TONIC, folder_of
from snnq.recordings.events import BadRecording, events_of, refuse_off_sensor
from snnq.recordings.own import SIDES, STEPS
from snnq.recordings.places import DATA
from snnq.system.files import files_below, first_line

ALL = "all"  # the side of a class without an official split
CHOOSING = ("train", "split", "subset")  # arguments that choose a side
ARCHIVES = (".zip", ".gz", ".tar", ".tgz")


@dataclass(frozen=True)
class TonicClass(Benchmark):
    """A dataset class of tonic, whose recordings are read through it.

    A recording's path is its place, not a file's: `<folder>/<side>/<number>`, counted in the order
    of tonic's files where it lists any, else in its own.
    """

    def folder(self, root: str | Path) -> Path:
        return folder_of(self.name, root)

    def recordings_in(self, root: str | Path, train: bool) -> list[Path]:
        place = self.folder(root) / self.folders[0 if train else 1]
        return [place / f"{number:06}" for number in range(len(_side(place).labels))]

    def class_of(self, path: Path) -> str:
        return _side(path.parent).labels[int(path.name)]

    def files(self, root: str | Path, paths: Sequence[Path]) -> Sequence[Path]:
        """All files of both sides but archives."""
        found = files_below(self.folder(root))
        return [path for path in found if path.suffix.lower() not in ARCHIVES]

    def read(self, path: Path) -> np.ndarray:
        side, number = _side(path.parent), int(path.name)
        path = side.files[number] if side.files else path
        try:
            found = np.ravel(side.sample(number))
            columns = {name: found[name] for name in ("x", "t")}
        except Exception as error:  # of as many kinds as there are readers
            raise BadRecording(f"{path}: not read by tonic ({first_line(error)})") from None
        nothing = np.zeros(len(found), dtype=int)
        columns["y"] = found["y"] if self.height > 1 else nothing
        columns["p"] = found["p"] if self.polarities > 1 else nothing
        events = events_of(path, columns)
        refuse_off_sensor(path, events, self.width, self.height)
        return self.at_origin(events)


class _Opened:
    """One side of a tonic class: its samples in order, and what class each has."""

    def __init__(self, dataset: Any):
        self.dataset, places = dataset, range(len(dataset))
        files = getattr(dataset, "data", ())
        in_files = len(files) == len(places) and all(isinstance(file, str) for file in files)
        self.order = sorted(places, key=files.__getitem__) if in_files else [*places]
        self.files = [Path(files[place]) for place in self.order] if in_files else []
        found, self.classes = _named(dataset)
        self.labels = [found[place] for place in self.order]

    def sample(self, number: int) -> np.ndarray:
        return self.dataset[self.order[number]][0]


def tonic_class(which: str, root: str | Path, fetch: bool) -> TonicClass:
    """A dataset class of tonic, with its recordings.

    They lie where tonic keeps them, in a folder of its name below the data folder; any part will
    do. Its own test is found by an argument `train`, `split` or `subset` of its constructor; without
    one the split is in shares, 80/20 of each class unless told otherwise.

    Raises
    ------
    ValueError
        No class of tonic's, one that asks for more than a side, or one whose targets are no classes
        or whose sensor has no size.
    FileNotFoundError
        Its recordings are not there, and tonic could not fetch them, or was not to.
    """
    name = f"{TONIC}:{which}"
    kind = _checked(name, which)
    folder, sides = folder_of(name, root), SIDES if _choosing(kind) else (ALL, ALL)
    places = [folder / side for side in dict.fromkeys(sides)]
    if fetch:
        for place in places:
            _fetch_unless_there(place, Path(root).expanduser())
    opened = [_side(place) for place in places]
    width, height, polarities = kind.sensor_size
    classes = tuple(dict.fromkeys(label for one in opened for label in one.classes))
    labels = opened[0].labels
    return TonicClass(
        name=name,
        title=which,
        tonic_name=which,
        width=width,
        height=height,
        classes=classes,
        folders=sides,
        pattern="*",
        recordings=(len(opened[0].labels), len(opened[-1].labels)),
        steps=STEPS,
        mirrors=True,
        sizes=tuple(map(labels.count, classes)),
        polarities=polarities,
        origin="t",
        is_found=True,
    )


def _checked(name: str, which: str) -> type:
    """A dataset class of tonic that asks for no more than a side."""
    if which not in datasets.__all__:
        raise ValueError(
            f"benchmark={name!r}: expected a dataset class of tonic, one of"
            f" {', '.join(datasets.__all__)}; recordings in a folder per class are {FOLDER!r}"
        )
    kind = getattr(datasets, which)
    if not getattr(kind, "sensor_size", None):
        raise ValueError(f"benchmark={name!r}: tonic states no sensor size, expected one")
    _, *parameters = inspect.signature(kind).parameters.values()
    asked = [one.name for one in parameters if one.default is one.empty]
    if asked:
        raise ValueError(
            f"benchmark={name!r}: tonic asks for {', '.join(asked)}, expected a class that asks for"
            " nothing but a side"
        )
    chosen = _choosing(kind)
    if chosen and chosen.default not in (True, SIDES[0]):
        raise ValueError(
            f"benchmark={name!r}: {chosen.name}={chosen.default!r} is no side, expected {SIDES[0]!r}"
        )
    return kind


def _choosing(kind: type) -> inspect.Parameter | None:
    """The argument that chooses a side."""
    parameters = inspect.signature(kind).parameters
    return next((parameters[name] for name in CHOOSING if name in parameters), None)


def _arguments(kind: type, place: Path) -> dict[str, Any]:
    """The side, as the constructor takes it."""
    chosen = _choosing(kind)
    if chosen is None:
        return {}
    return {chosen.name: place.name == SIDES[0] if chosen.default is True else place.name}


def _side(place: Path) -> _Opened:
    """A side that is there. Raises FileNotFoundError where it is not; nothing is fetched."""
    return _opened(place.absolute())


@lru_cache(maxsize=4)
def _opened(place: Path) -> _Opened:
    kind = getattr(datasets, place.parent.name)
    # Of the same name, which is that of its folder; of complete downloads tonic counts the files.
    there = type(kind.__name__, (kind,), {"_check_exists": lambda self: True})
    try:
        dataset = there(str(place.parent.parent), **_arguments(kind, place))
    except (OSError, KeyError) as error:
        reason = first_line(error)
    else:
        if len(dataset):
            return _Opened(dataset)
        reason = "none"
    raise FileNotFoundError(f"{place.parent}: no {place.name} recordings of tonic's here ({reason})")


def _fetch_unless_there(place: Path, root: Path) -> None:
    try:
        _side(place)
    except FileNotFoundError as missing:
        if not root.is_dir() and root != Path(DATA):
            raise FileNotFoundError(f"{root} is no folder, expected a data folder") from None
        root.mkdir(parents=True, exist_ok=True)
        kind = getattr(datasets, place.parent.name)
        try:
            with FileLock(root / f".{kind.__name__}.lock"):
                kind(str(place.parent.parent), **_arguments(kind, place))
        except (Exception, SystemExit) as error:  # of as many kinds as there are downloads
            raise FileNotFoundError(f"{missing}, and no download ({first_line(error)})") from None


def _named(dataset: Any) -> tuple[list[str], list[str]]:
    """Each sample's class, and all classes in order. Raises ValueError where they are none."""
    found = _targets(dataset)
    if all(isinstance(label, int | np.integer) for label in found):
        names = [*getattr(dataset, "classes", ())]
        if len(names) <= max(found):
            names = range(max(found) + 1)
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
        return [names[label] for label in found], names
    if all(isinstance(label, str) for label in found):
        return [*found], sorted(set(found))
    raise ValueError(
        f"benchmark='{TONIC}:{type(dataset).__name__}': its targets are {type(found[0]).__name__},"
        " expected classes"
    )


def _targets(dataset: Any) -> Sequence[Any]:
    if len(getattr(dataset, "targets", ())) == len(dataset):
        return dataset.targets
    if isinstance(dataset, HSD):  # of which each sample would open the file anew
        with h5py.File(Path(dataset.location_on_system, dataset.data_filename)) as file:
            return file["labels"][:]
    return [dataset[number][1] for number in range(len(dataset))]
