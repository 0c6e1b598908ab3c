"""Recordings as arrays of numbers: NumPy's `.npy` and `.npz`, and HDF5. Nothing is unpickled.

An array with named fields, or an array for each field, holds x, y, t (µs) and p (0 or 1; -1 is taken
for 0), which also go by the names in `NAMES`. An array of integers [events, 4] has the columns of
tonic's DVS128 Gesture: x, y, p, and t in ms.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnq.recordings.events import BadRecording, events_of
from snnq.system.files import first_line

NAMES = {
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
COLUMNS = ("x", "y", "p", "t")  # of an array without names; t in ms


def read_npy(path: Path) -> np.ndarray:
    array = _opened(path, lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    return _of_array(path, array)


def read_npz(path: Path) -> np.ndarray:
    def arrays() -> dict[str, np.ndarray]:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    found = _opened(path, arrays)
    if len(found) == 1:
        return _of_array(path, *found.values())
    return _of_fields(path, found)


def read_h5(path: Path) -> np.ndarray:
    """The first dataset with the fields of events, or group of a dataset for each of them."""
    import h5py

    def fields() -> dict[str, np.ndarray] | None:
        with h5py.File(path, "r") as file:
            places = [file]
            file.visititems(lambda _, place: places.append(place))
            for place in places:
                names = place if isinstance(place, h5py.Group) else place.dtype.names
                if chosen := _fields(names or ()):
                    return {name: np.asarray(place[theirs]) for name, theirs in chosen.items()}
        return None

    found = _opened(path, fields)
    if found is None:
        raise BadRecording(f"{path}: expected x, y, t and p in one group or dataset")
    return _of_fields(path, found)


def _opened(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # of many kinds: a NumPy header is a Python expression
        kind = "HDF5 file" if path.suffix.lower() in (".h5", ".hdf5") else "NumPy array"
        raise BadRecording(f"{path}: no {kind} of numbers ({first_line(error)})") from None


def _fields(names: Iterable[str]) -> dict[str, str] | None:
    """What they call x, y, t and p; None where one is missing."""
    found = {field: next((n for n in names if n.lower() in NAMES[field]), None) for field in NAMES}
    return found if all(found.values()) else None


def _of_array(path: Path, array: np.ndarray) -> np.ndarray:
    """As `tonic.datasets.DVSGesture` reads columns, from an array that is checked first: there, a
    coordinate of 70,000 wraps around to one on the sensor."""
    if array.dtype.names:
        return _of_fields(path, {name: array[name] for name in array.dtype.names})
    if array.ndim != 2 or array.shape[1] != len(COLUMNS) or array.dtype.kind not in "iu":
        raise BadRecording(
            f"{path}: {array.dtype} {list(array.shape)}, expected integers [events, 4]: x, y, p, t"
        )
    events = events_of(path, dict(zip(COLUMNS, array.T)))
    events["t"] *= 1000
    return events


def _of_fields(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    found = _fields(arrays)
    if found is None:
        raise BadRecording(f"{path}: has {', '.join(arrays)}, expected x, y, t and p")
    events = events_of(path, {name: arrays[theirs] for name, theirs in found.items()})
    events["p"][events["p"] == -1] = 0
    return events
