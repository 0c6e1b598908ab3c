"""Reading one recording of each file format through tonic's readers, and refusing what is none."""

import faulthandler
import multiprocessing
import os
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from snnq.system.files import first_line

EVENT_BYTES = 5  # of one event in N-MNIST's and N-Caltech101's files
EVENTS = np.dtype([(name, int) for name in "xytp"])  # as tonic's: t in µs, p in {0, 1}
GESTURE_COLUMNS = ("x", "y", "p", "t")  # t in ms
AEDAT4_MAGIC = b"#!AER-DAT4.0\r\n"


class BadRecording(ValueError):
    """A file that is no recording of its benchmark; the message starts with its path."""


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
        `.bin` (N-MNIST, N-Caltech101), `.npy` (DVS128 Gesture) or `.aedat4` (CIFAR10-DVS).
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
    check_size(path)
    events = READERS[path.suffix.lower()](path)
    for axis, size in (("x", width), ("y", height), ("p", 2)):
        off = np.flatnonzero((events[axis] >= size) | (events[axis] < 0))
        if len(off):
            raise BadRecording(
                f"{path}: event {off[0]} has {axis}={events[axis][off[0]]}, expected 0 to {size - 1}"
            )
    if len(events) and events["t"].min() < 0:
        raise BadRecording(f"{path}: t={events['t'].min()}, expected no time before 0")
    return events


# tonic is imported where something is read: with torch it takes a second, which a process that
# only writes recordings need not wait for.


def _read_bin(path: Path) -> np.ndarray:
    from tonic.io import read_mnist_file

    return read_mnist_file(path, dtype=EVENTS)


def _read_gesture(path: Path) -> np.ndarray:
    """As `tonic.datasets.DVSGesture` reads it, from an array that is checked first: there, a
    coordinate of 70,000 wraps around to one on the sensor."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # of many kinds: its header is a Python expression
        raise BadRecording(f"{path}: no NumPy array of numbers ({first_line(error)})") from None
    if array.ndim != 2 or array.shape[1] != len(GESTURE_COLUMNS) or array.dtype.kind not in "iu":
        raise BadRecording(
            f"{path}: {array.dtype} {list(array.shape)}, expected integers [events, 4]: x, y, p, t"
        )
    events = np.empty(len(array), dtype=EVENTS)
    for column, name in enumerate(GESTURE_COLUMNS):
        events[name] = array[:, column]
    events["t"] *= 1000
    return events


def _read_aedat4(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        if file.read(len(AEDAT4_MAGIC)) != AEDAT4_MAGIC:
            raise BadRecording(f"{path}: does not start as an AEDAT 4 file does")
    decoder = _decoder()
    try:
        decoder.send(str(path.absolute()))  # it stays in the directory that it was started in
        found = decoder.recv()
    except (EOFError, OSError):
        _decoder.cache_clear()
        raise BadRecording(f"{path}: no readable AEDAT 4 file (its decoder gave up)") from None
    if isinstance(found, str):
        raise BadRecording(f"{path}: no readable AEDAT 4 file ({found})")
    events = np.empty(len(found), dtype=EVENTS)
    for name, theirs in zip(("t", "x", "y", "p"), found.dtype.names or ()):
        events[name] = found[theirs]
    return events


@lru_cache(maxsize=1)
def _decoder() -> Connection:
    """To a process of its own for the AEDAT 4 decoder, which some malformed files make abort.

    Forked, since it runs nothing but the decoder and a new one must start in milliseconds; a
    daemon, since the processes that build frames wait for all others when they end.
    """
    import tonic.io  # noqa: F401  (once, not in every process that is forked)

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=_decode_all, args=(theirs, ours), daemon=True).start()
    theirs.close()
    return ours


def _decode_all(requests: Connection, parents: Connection) -> None:
    parents.close()  # so that the parent's end is seen here, however it comes
    _silence()
    while True:
        try:
            path = requests.recv()
        except EOFError:
            return
        requests.send(_decode_aedat4(path))


def _silence() -> None:
    """The decoder prints a page for each error that it is going to raise, Python for an abort."""
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _decode_aedat4(path: str) -> np.ndarray | str:
    """The events, or what is wrong with the file."""
    from tonic.io import read_aedat4

    try:
        return read_aedat4(path)
    except BaseException as error:  # the decoder's panics are no Exception
        if "need at least one array to concatenate" in str(error):
            return np.empty(0)
        return first_line(error)


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".bin": _read_bin,
    ".npy": _read_gesture,
    ".aedat4": _read_aedat4,
}
