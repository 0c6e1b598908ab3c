"""What everything else needs to know of a benchmark, or of other recordings that stand for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnq.recordings.events import BadRecording, in_order_of_time
from snnq.recordings.formats import READERS, check_size, read_events
from snnq.system.files import files_below

OFFICIAL = "official"  # a split that comes with the recordings
SHARES = "80/20"  # of training and test, where there is none


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
    any_order : bool
        Whether a file's events may be in any order, and are to be put in that of time.
    is_found : bool
        Whether the recordings themselves say what they hold, as those do that are no benchmark's.
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
    any_order: bool = False
    is_found: bool = False

    @property
    def dataset(self) -> type:
        """tonic's class."""
        from tonic import datasets  # which imports torch: a second of what only looks for files

        return getattr(datasets, self.tonic_name)

    @property
    def dimensions(self) -> dict[str, Any]:
        """What `build_model` must be told of recordings that are no benchmark's."""
        if not self.is_found:
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
        """The events of a recording, see `read_events`; in order of time where files need not be."""
        events = read_events(path, self.width, self.height)
        return self.at_origin(in_order_of_time(events) if self.any_order else events)

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
