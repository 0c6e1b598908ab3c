"""Reading one recording of any file format, and refusing what is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from snnq.recordings.arrays import read_h5, read_npy, read_npz
from snnq.recordings.cameras import Sensor, read_aedat, read_decoded
from snnq.recordings.events import EVENTS, BadRecording, refuse_off_sensor, unwrapped

EVENT_BYTES = 5  # of one event in N-MNIST's and N-Caltech101's files
BIN_CLOCK = 2**23  # µs, after which the times in such files start again


def check_size(path: Path) -> None:
    """What a look at the folder tells: raises BadRecording for an empty or a cut `.bin` file."""
    size, in_events = path.stat().st_size, path.suffix.lower() == ".bin"
    if size == 0 or (in_events and size % EVENT_BYTES):
        expected = f"events of {EVENT_BYTES} bytes each" if in_events else "a recording"
        raise BadRecording(
            f"{path}: {size} bytes, expected {expected} (an empty or truncated recording)"
        )


def read_events(path: Path, width: int, height: int) -> np.ndarray:
    """The events of a recording, in the file's order.

    Parameters
    ----------
    path : Path
        With a suffix in `READERS`: `.bin` (N-MNIST's and N-Caltech101's 5 bytes an event), `.npy`,
        `.npz`, `.h5` and `.hdf5` (see `snnq.recordings.arrays`), `.aedat`, `.aedat4` and `.dat`
        (see `snnq.recordings.cameras`).
    width, height : int
        Of the sensor.

    Returns
    -------
    structured array with integer fields x, y, t (µs), p (0 or 1)
        Empty for a recording that is valid and has no event.

    Raises
    ------
    BadRecording
        The file is none of its format, or an event lies off the sensor.
    """
    events, _ = _read(path)
    refuse_off_sensor(path, events, width, height)
    return events


def sensor_of(path: Path) -> Sensor:
    """Width and height of a recording's sensor: as its file states them, or what its events take."""
    events, sensor = _read(path)
    return sensor or tuple(int(events[axis].max(initial=-1)) + 1 for axis in "xy")


def _read(path: Path) -> tuple[np.ndarray, Sensor | None]:
    check_size(path)
    return READERS[path.suffix.lower()](path)


def _read_bin(path: Path) -> np.ndarray:
    # Imported here: with torch it takes a second, which a process that only writes recordings
    # need not wait for.
    from tonic.io import read_mnist_file

    events = read_mnist_file(path, dtype=EVENTS)
    events["t"] = unwrapped(events["t"], BIN_CLOCK)
    return events


def _without_sensor(
    read: Callable[[Path], np.ndarray],
) -> Callable[[Path], tuple[np.ndarray, Sensor | None]]:
    return lambda path: (read(path), None)


READERS: dict[str, Callable[[Path], tuple[np.ndarray, Sensor | None]]] = {
    ".bin": _without_sensor(_read_bin),
    ".npy": _without_sensor(read_npy),
    ".npz": _without_sensor(read_npz),
    ".h5": _without_sensor(read_h5),
    ".hdf5": _without_sensor(read_h5),
    ".aedat": read_aedat,
    ".aedat4": read_decoded,
    ".dat": read_decoded,
}
