"""One recording's events: the array that they come as, and what they may be."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

EVENTS = np.dtype([(name, int) for name in "xytp"])  # as tonic's: t in µs, p in {0, 1}


class BadRecording(ValueError):
    """A file that is no recording of its benchmark; the message starts with its path."""


def events_of(path: Path, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Events from an array of whole numbers, all of one length, for each of x, y, t (µs) and p.

    Raises BadRecording for arrays of another kind.
    """
    events = np.empty(len(columns["x"]), dtype=EVENTS)
    for name in EVENTS.names:
        column = columns[name]
        if column.shape != events.shape or column.dtype.kind not in "iub":
            raise BadRecording(
                f"{path}: {name} is {column.dtype} {list(column.shape)}, expected whole numbers"
                f" {list(events.shape)}"
            )
        events[name] = column
    return events


def unwrapped(times: np.ndarray, period: int) -> np.ndarray:
    """Times of a clock that starts again after a period, wherever they fall by more than half of it."""
    if _in_order(times):
        return times
    turns = np.cumsum(np.diff(times, prepend=times[:1]) < -(period // 2))
    return times + period * turns


def in_order_of_time(events: np.ndarray) -> np.ndarray:
    """Events sorted by time, those of one time as they were; the array itself where that is so."""
    times = events["t"]
    return events if _in_order(times) else events[np.argsort(times, kind="stable")]


def _in_order(times: np.ndarray) -> bool:
    return bool((times[1:] >= times[:-1]).all())


def refuse_off_sensor(path: Path, events: np.ndarray, width: int, height: int) -> None:
    """Raises BadRecording for the first event off the sensor, of another sign, or before time 0."""
    for axis, size in (("x", width), ("y", height), ("p", 2)):
        off = np.flatnonzero((events[axis] >= size) | (events[axis] < 0))
        if len(off):
            raise BadRecording(
                f"{path}: event {off[0]} has {axis}={events[axis][off[0]]}, expected 0 to {size - 1}"
            )
    if len(events) and events["t"].min() < 0:
        raise BadRecording(f"{path}: t={events['t'].min()}, expected no time before 0")
